"""How the launcher is reached, which program it becomes, and that every argument arrives as it was given."""

import os
import shutil

from stage import EVIL, PAYLOAD

ARGUMENTS = ["a b", "", "'", '"', "\\", "%PATH%", "^", "!x!", "$HOME", "$(id)", "`id`", "*", "--", "-n", "é ü 漢", "\n", "a\tb", "\\n", ""]


def other_program(path, text=PAYLOAD):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    path.chmod(0o755)
    return path


def case_every_argument_arrives(stage):
    own = other_program(stage.dir / "own binary")
    own_limit = "yash" in stage.shell[0]  # it drops what is not ASCII in the C locale before any script sees it
    for locale in ("C.UTF-8",) if own_limit else ("C", "C.UTF-8"):
        for via in ("bin", "launcher"):
            assert stage.run(*ARGUMENTS, via=via, LC_ALL=locale).args == ARGUMENTS
            assert stage.run(*ARGUMENTS, via=via, LC_ALL=locale, RUNCODE_BIN=own).args == ARGUMENTS
    assert stage.run().args == []


def case_exit_status_passes_through(stage):
    for status in (0, 1, 2, 127, 130, 255):
        assert stage.run(FAKE_STATUS=status).status == status


def case_through_links(stage):
    stage.run()
    for via in ("bin", "launcher"):
        target = stage.plugin / via / "runcode"
        first, second = stage.home / f"{via} 1", stage.dir / f"{via} ü2"
        first.symlink_to(target)
        second.symlink_to(os.path.relpath(first, second.parent))
        for link in (first, second):
            assert stage.run("a", argv=[*stage.shell, str(link)]).args == ["a"]
            assert stage.run("a", argv=[*stage.shell, os.path.relpath(link, stage.home)], cwd=stage.home).args == ["a"]
        folder = stage.dir / f"folder {via}"
        folder.symlink_to(stage.plugin / via)
        assert stage.run("a", argv=[*stage.shell, str(folder / "runcode")]).args == ["a"]
        assert stage.run("a", argv=[*stage.shell, "./runcode"], cwd=folder).args == ["a"]


def case_from_any_folder(stage):
    for via in ("bin", "launcher"):
        inside = stage.plugin / via
        assert stage.run("a", argv=[*stage.shell, "runcode"], cwd=inside).args == ["a"]
        assert stage.run("a", argv=[*stage.shell, f"{via}/runcode"], cwd=stage.plugin).args == ["a"]
        assert stage.run("a", argv=[*stage.shell, f"./../{via}/runcode"], cwd=inside).args == ["a"]
        assert stage.run("a", argv=[str(inside / "runcode")], cwd="/").args == ["a"]
    hostile = stage.dir / "hostile"
    for name in ("launcher/runcode", "uname", "stat", "https:/runcode"):
        other_program(hostile / name, EVIL)
    assert stage.run("a", cwd=hostile).args == ["a"]
    assert stage.run("a", cwd=hostile, CDPATH=hostile).args == ["a"]


def case_by_name_from_path(stage):
    path = f"{stage.plugin / 'bin'}:{os.environ['PATH']}"
    assert stage.run("a", argv=["env", "runcode"], PATH=path).args == ["a"]


def case_a_plugin_path_full_of_traps(stage):
    odd = stage.dir / "a $(touch x) 'q' \"d\" \\b * % -n"
    stage.plugin.rename(odd)
    stage.plugin = odd
    assert stage.run("a").args == ["a"]
    assert stage.run("a", argv=[*stage.shell, "bin/runcode"], cwd=odd).args == ["a"]
    assert not (stage.dir / "x").exists()


def case_runcode_bin_comes_first(stage):
    own = other_program(stage.dir / "own binary")
    stage.run()
    run = stage.run("a", RUNCODE_BIN=own)
    assert run.args == ["a"] and run.out.startswith(str(own).encode())
    assert stage.run("a", RUNCODE_BIN="own binary", cwd=stage.dir).args == ["a"]
    assert stage.run("a", RUNCODE_BIN="", RUNCODE_DOWNLOAD_BASE="file:///nowhere").args == ["a"]
    nothing = {"HOME": None, "RUNCODE_CACHE": None, "RUNCODE_DOWNLOAD_BASE": "file:///nowhere"}
    assert stage.run("a", RUNCODE_BIN=own, **nothing).args == ["a"]
    other_program(stage.dir / "-n")
    assert stage.run("a", RUNCODE_BIN="-n").args == ["a"]


def case_runcode_bin_that_leads_back(stage):
    link = stage.dir / "link"
    link.symlink_to(stage.plugin / "bin/runcode")
    shim = stage.plugin / "bin/runcode"
    replaced = other_program(stage.dir / "replaced", f'#!/bin/sh\nexec "{shim}" "$@"\n'.encode())
    called = other_program(stage.dir / "called", f'#!/bin/sh\n"{shim}" "$@"\n'.encode())
    for own in (shim, stage.plugin / "launcher/runcode", link, replaced, called):
        stage.run(RUNCODE_BIN=own).refused("RUNCODE_BIN leads back", status=2)


def case_runcode_bin_that_is_no_program(stage):
    (stage.dir / "plain").write_bytes(PAYLOAD)
    for own in (stage.dir, stage.dir / "nothing", stage.dir / "plain", "runcode"):
        stage.run(RUNCODE_BIN=own).refused("RUNCODE_BIN is not a program", str(own), status=2)


def case_a_runcode_on_path_saves_the_download(stage):
    path = os.environ["PATH"]
    mine = other_program(stage.dir / "brew ed/bin/runcode")
    run = stage.run("a", PATH=f"{stage.plugin / 'bin'}:{mine.parent}:{path}", RUNCODE_DOWNLOAD_BASE="file:///nowhere")
    assert run.args == ["a"] and run.out.startswith(str(mine).encode())
    stage.nothing_kept()
    stage.run(PATH=path)
    cached = stage.run("a", PATH=f"{mine.parent}:{path}")
    assert cached.out.startswith(str(stage.binary).encode()), "the cached binary comes before PATH"


def case_launchers_on_path_are_not_taken(stage):
    path = os.environ["PATH"]
    copy = stage.dir / "another plugin"
    shutil.copytree(stage.plugin, copy)
    (copy / "checksums.txt").write_text("")
    linked = stage.dir / "linked"
    linked.mkdir()
    (linked / "runcode").symlink_to(stage.plugin / "bin/runcode")
    folders = [copy / "bin", copy / "launcher", stage.plugin / "bin", stage.plugin / "launcher", linked]
    assert stage.run("a", PATH=":".join([*map(str, folders), path])).args == ["a"]
    stage.left_clean()


def case_a_wrapper_on_path_that_leads_back_ends_in_a_download(stage):
    wrapper = other_program(stage.dir / "wrapper/runcode", f'#!/bin/sh\nexec "{stage.plugin}/bin/runcode" "$@"\n'.encode())
    assert stage.run("a", PATH=f"{wrapper.parent}:{os.environ['PATH']}").args == ["a"]
    stage.left_clean()


def case_relative_entries_of_path_are_not_searched(stage):
    other_program(stage.dir / "here/runcode", EVIL)
    other_program(stage.dir / "here/sub/runcode", EVIL)
    for entry in (".", "", "sub", "./sub"):
        for path in (f"{entry}:{os.environ['PATH']}", f"{os.environ['PATH']}:{entry}"):
            assert stage.run("a", PATH=path, cwd=stage.dir / "here").args == ["a"]
            stage.binary.unlink()


def case_a_folder_or_plain_file_on_path_is_passed_over(stage):
    (stage.dir / "folders/runcode").mkdir(parents=True)
    (stage.dir / "plain").mkdir()
    (stage.dir / "plain/runcode").write_bytes(EVIL)
    path = f"{stage.dir / 'folders'}:{stage.dir / 'plain'}:{os.environ['PATH']}"
    assert stage.run("a", PATH=path).args == ["a"]
