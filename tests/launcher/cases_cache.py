"""The cached binary: used without a network, checked on every start, mended when it is broken."""

import concurrent.futures
import os
import shutil
import signal
import subprocess
import threading
import time

from stage import ASSET, EVIL, PAYLOAD, PINNED, Skip, archive

GONE = "file:///nowhere"


def case_first_run_fetches_and_the_next_needs_no_network(stage):
    assert stage.run("list", FAKE_STATUS=7).status == 7
    stage.left_clean()
    assert stage.run("again", RUNCODE_DOWNLOAD_BASE=GONE).args == ["again"]
    assert stage.run("again", via="launcher", RUNCODE_DOWNLOAD_BASE=GONE).args == ["again"]


def case_tampered_in_place_with_old_size_and_mtime(stage):
    stage.run()
    before = stage.binary.stat()
    stage.binary.write_bytes(EVIL.ljust(before.st_size, b"\n")[: before.st_size])
    os.utime(stage.binary, ns=(before.st_atime_ns, before.st_mtime_ns))
    stage.run(RUNCODE_DOWNLOAD_BASE=GONE).refused("cannot download")
    assert stage.run("mended").args == ["mended"]
    stage.left_clean()


def case_replaced_truncated_or_emptied(stage):
    for broken in (EVIL, PAYLOAD[:20], b""):
        stage.run()
        binary = stage.binary
        binary.unlink()
        binary.write_bytes(broken)
        binary.chmod(0o755)
        assert stage.run("mended").args == ["mended"]
        assert binary.read_bytes() == PAYLOAD


def case_a_folder_in_the_binarys_place(stage):
    stage.run()
    binary = stage.binary
    binary.unlink()
    (binary / "deep").mkdir(parents=True)
    assert stage.run("mended").args == ["mended"]
    stage.left_clean()


def case_a_link_in_the_binarys_place(stage):
    evil = stage.dir / "evil"
    same = stage.dir / "same"
    same.write_bytes(PAYLOAD)
    same.chmod(0o755)
    for target in (evil, same, stage.dir / "nothing", stage.dir):
        stage.run()
        binary = stage.binary
        evil.write_bytes(EVIL)
        evil.chmod(0o755)
        binary.unlink()
        binary.symlink_to(target)
        assert stage.run("mended").args == ["mended"]
        assert evil.read_bytes() == EVIL and not binary.is_symlink()


def case_not_executable_any_more(stage):
    stage.run()
    stage.binary.chmod(0o644)
    assert stage.run("mended").args == ["mended"]


def case_a_cache_where_no_program_may_run(stage):
    if os.geteuid() != 0:
        raise Skip("only root may mount a folder without programs")
    for options in ("noexec", "ro", "noexec,size=64k"):
        stage.cache.mkdir(exist_ok=True)
        mounted = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o "$0" tmpfs "$1" && shift && exec "$@"', options]
        launcher = [*mounted, str(stage.cache), *stage.shell, str(stage.plugin / "bin/runcode")]
        said = stage.run("list", argv=launcher, RUNCODE_DOWNLOAD_BASE=GONE)
        said.refused("RUNCODE_CACHE")
        assert "cannot download" not in said.err, said.err
        if options != "ro":
            assert "noexec" in said.err, said.err


def case_touched_but_the_same_is_hashed_once_and_kept(stage):
    stage.run()
    old = stage.stamp.read_text()
    os.utime(stage.binary, (1, 1))
    assert stage.run("kept", RUNCODE_DOWNLOAD_BASE=GONE).args == ["kept"]
    assert stage.stamp.read_text() != old
    without_hashing = stage.tools("sha256sum")
    assert stage.run("kept", RUNCODE_DOWNLOAD_BASE=GONE, PATH=without_hashing).args == ["kept"]


def case_broken_stamps(stage):
    stage.run()
    whole = stage.stamp.read_text()
    hashes = whole.split()[:2]
    touched = stage.dir / "touched"
    for broken in (
        "",
        "\n",
        "one two three\n",
        whole.replace(hashes[0], "0" * 64),
        f"$(touch '{touched}') `touch '{touched}'` x\n",
        "x" * 100_000,
        "\0\0\0",
    ):
        stage.stamp.write_text(broken)
        stage.run(RUNCODE_DOWNLOAD_BASE=GONE).refused("cannot download")
        assert stage.run("mended").args == ["mended"], broken[:50]
        assert not touched.exists()


def case_a_folder_or_link_in_the_stamps_place(stage):
    stage.run()
    stamp, whole = stage.stamp, stage.stamp.read_bytes()
    stamp.unlink()
    stamp.mkdir()
    assert stage.run("mended").args == ["mended"]
    stamp.unlink()
    (stage.dir / "elsewhere").write_bytes(whole)
    stamp.symlink_to(stage.dir / "elsewhere")
    assert stage.run("mended").args == ["mended"]
    assert not stamp.is_symlink()


def case_a_changed_pin_of_the_same_tag_is_fetched_anew(stage):
    stage.run()
    stage.publish(archive(payload=PAYLOAD + b"# second build\n"))
    assert stage.run("new").args == ["new"]
    assert stage.binary.read_bytes().endswith(b"second build\n")


def case_many_first_runs_at_once(stage):
    def slowly(handler):
        time.sleep(0.3)  # long enough for all of them to find nothing in the cache
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write((stage.release / ASSET).read_bytes())

    server = stage.serve(slowly)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        runs = [pool.submit(stage.run, str(number), RUNCODE_DOWNLOAD_BASE=server.base) for number in range(6)]
    assert [run.result().args for run in runs] == [[str(number)] for number in range(6)]
    stage.left_clean()
    assert len(server.seen) == 1, server.seen
    assert stage.run("after", RUNCODE_DOWNLOAD_BASE=GONE).args == ["after"]


def lock(stage, holder):
    """As a download under way has it."""
    place = stage.cache / f"bin/.fetching-runcode-{PINNED}-{ASSET.split('.')[0].removeprefix('runcode_').replace('_', '-')}"
    place.mkdir(parents=True)
    (place / "pid").write_text(holder)
    return place


def case_a_lock_that_was_left_behind(stage):
    ended = subprocess.Popen(["true"])
    ended.wait()
    for holder in (f"{ended.pid}\n", "x; touch /tmp/evil\n", "-1\n"):
        lock(stage, holder)
        began = time.monotonic()
        assert stage.run("mended").args == ["mended"]
        assert time.monotonic() - began < 20
        stage.left_clean()
        stage.binary.unlink()


def case_an_old_lock_whose_number_is_another_process_by_now(stage):
    for holder in (f"{os.getpid()}\n", ""):
        hour_ago = time.time() - 3600
        os.utime(lock(stage, holder), (hour_ago, hour_ago))
        began = time.monotonic()
        assert stage.run("mended").args == ["mended"]
        assert time.monotonic() - began < 20
        stage.left_clean()
        stage.binary.unlink()


def case_an_old_lock_that_was_taken_over_is_a_new_one(stage):
    def slowly(handler):
        if len(server.seen) == 1:
            second.append(pool.submit(stage.run, "second", RUNCODE_DOWNLOAD_BASE=server.base))
            time.sleep(1)  # long enough for the second to ask as well, if it does not wait
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write((stage.release / ASSET).read_bytes())

    hour_ago = time.time() - 3600
    os.utime(lock(stage, f"{os.getpid()}\n"), (hour_ago, hour_ago))
    server, second = stage.serve(slowly), []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert stage.run("first", RUNCODE_DOWNLOAD_BASE=server.base).args == ["first"]
        assert second[0].result().args == ["second"]
    assert len(server.seen) == 1, server.seen
    stage.left_clean()


def case_a_lock_that_is_never_given_up(stage):
    for holder in (f"{os.getpid()}\n", ""):
        lock(stage, holder)
        assert stage.run("mended", PATH=stage.tools(sleep=":")).args == ["mended"]
        stage.left_clean()
        stage.binary.unlink()


case_a_lock_that_is_never_given_up.once = True  # half a minute, but for a `sleep` that some shells have built in


def case_a_file_in_the_locks_place(stage):
    place = lock(stage, "")
    shutil.rmtree(place)
    place.write_text("")
    assert stage.run("mended").args == ["mended"]
    stage.left_clean()


def case_killed_in_the_middle_of_a_fetch(stage):
    killing = stage.tools(mv='kill -9 "$PPID"', curl='kill -9 "$PPID"')
    stage.run(PATH=killing)
    assert stage.run("mended").args == ["mended"]


def case_several_signals_in_the_middle_of_a_fetch(stage):
    pair = 'kill -s HUP "$PPID"; kill -s TERM "$PPID"; exit 1'
    pairs = 'i=0; while [ $i -lt 2000 ] && kill -s HUP "$PPID" && kill -s TERM "$PPID"; do i=$((i + 1)); done'
    flood = f"({pairs}) >/dev/null 2>&1 &\nexit 1"
    # ksh93 itself can hang in a pipeline while hundreds of signals reach it, ignored ones too.
    for sent in [pair] if "ksh93" in stage.shell[0] else [pair, flood]:
        for _ in range(8):
            assert stage.run(PATH=stage.tools(mv=sent)).status != 0
            stage.nothing_kept()
            assert stage.run(PATH=stage.tools(cp=sent)).status != 0
            stage.nothing_kept()


def case_a_download_that_is_interrupted(stage):
    def stall(handler):
        asked.set()
        over.wait(60)

    asked, over = threading.Event(), threading.Event()
    server = stage.serve(stall)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asked.clear()
        run = subprocess.Popen(
            [*stage.shell, str(stage.plugin / "bin" / "runcode")],
            env=stage.environment(RUNCODE_DOWNLOAD_BASE=server.base),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert asked.wait(60)
        os.killpg(run.pid, number)
        out, err = run.communicate(timeout=60)
        assert out == b"" and b"cannot download" not in err and run.returncode != 0, (err, run.returncode)
        stage.nothing_kept()
    over.set()


def case_binary_moved_but_stamp_not_yet(stage):
    stage.run()
    stage.stamp.unlink()
    assert stage.run("mended").args == ["mended"]
    stage.left_clean()
