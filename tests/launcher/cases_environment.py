"""Cache folders, systems, and what the binary inherits."""

import os
import shutil

from stage import ARCH, ASSET, EVIL, PAYLOAD, REPOSITORY, Skip, archive, sha256, windows_archive


def case_where_the_cache_is(stage):
    elsewhere = stage.dir / "x d g"
    for changes, folder in (
        ({}, stage.home / ".cache/runcode"),
        ({"XDG_CACHE_HOME": elsewhere}, elsewhere / "runcode"),
        ({"XDG_CACHE_HOME": "relative"}, stage.home / ".cache/runcode"),
        ({"XDG_CACHE_HOME": elsewhere, "HOME": None}, elsewhere / "runcode"),
        ({"RUNCODE_CACHE": stage.dir / "own", "XDG_CACHE_HOME": elsewhere}, stage.dir / "own"),
        ({"RUNCODE_CACHE": "own too"}, stage.dir / "own too"),
    ):
        assert stage.run("a", **{"RUNCODE_CACHE": None, **changes}).args == ["a"]
        stage.cache = folder
        stage.left_clean()
        shutil.rmtree(folder)


def case_no_home_and_no_cache(stage):
    for home in (None, "", "relative"):
        stage.run(HOME=home, RUNCODE_CACHE=None).refused("HOME is not set", "RUNCODE_CACHE")


def case_a_cache_that_cannot_be_written(stage):
    stage.cache.write_text("a file")
    stage.run().refused("cannot write to the cache folder", "RUNCODE_CACHE")
    stage.cache.unlink()
    for home in ("/dev/null", "/proc"):
        stage.run(HOME=home, RUNCODE_CACHE=None).refused("cannot write to the cache folder")


def case_a_cache_of_somebody_else(stage):
    if os.getuid() != 0:
        raise Skip("only root can make a folder somebody else's")
    (stage.cache / "bin").mkdir(parents=True)
    os.chown(stage.cache, 12345, 12345)
    stage.run().refused("belongs to another user")
    os.chown(stage.cache, 0, 0)
    stage.run()
    os.chown(stage.binary, 12345, 12345)
    assert stage.run("a").args == ["a"]
    assert stage.binary.stat().st_uid == 0


def case_an_open_cache_folder_is_closed(stage):
    (stage.cache / "bin").mkdir(parents=True)
    os.chmod(stage.cache / "bin", 0o777)
    assert stage.run("a").args == ["a"]
    stage.left_clean()


def case_the_binary_inherits_what_the_caller_has(stage):
    shows = b'#!/bin/sh\numask; ulimit -f; ulimit -c; pwd; trap; env | sed "s/=.*//" | sort; printf "\\0"\n'
    own = stage.dir / "own"
    own.write_bytes(shows)
    own.chmod(0o755)
    stage.publish(archive(payload=shows))
    plain = stage.run(argv=["sh", str(own)], RUNCODE_CACHE=str(stage.cache)).out.split()
    allowed = {b"RUNCODE_LAUNCHER", b"OLDPWD", b"SHLVL", b"_", b"PWD", b"A__z", b"LOGNAME"}
    for _ in range(2):  # fetched, then cached
        started = stage.run(rc_rest="1", IFS=":", version="3").out.split()
        extra = set(started) - set(plain) - allowed - {b"rc_rest", b"IFS", b"version"}
        assert not extra and not set(plain) - set(started) - allowed, (started, plain)


def case_the_binary_learns_where_its_launcher_is(stage):
    stage.publish(archive(payload=b'#!/bin/sh\nprintf "%s\\0" x "$RUNCODE_LAUNCHER"\n'))
    for via in ("bin", "launcher"):
        (named,) = stage.run(via=via).args
        assert os.path.isabs(named) and os.path.samefile(named, stage.plugin / "launcher/runcode")


def case_systems_without_a_release(stage):
    for system in ("Linux riscv64", "Linux i686", "FreeBSD amd64", "SunOS i86pc", ""):
        run = stage.run(PATH=stage.tools(uname=f"echo '{system}'"))
        run.refused("no runcode is published for", "RUNCODE_BIN", status=2)


def case_each_system_has_its_asset(stage):
    for system, asset in (
        ("Linux x86_64", "runcode_linux_amd64.tar.gz"),
        ("Linux aarch64", "runcode_linux_arm64.tar.gz"),
        ("Darwin x86_64", "runcode_darwin_amd64.tar.gz"),
        ("Darwin arm64", "runcode_darwin_arm64.tar.gz"),
    ):
        stage.publish(archive(), name=asset)
        tools = stage.tools(uname=f"echo '{system}'")
        assert stage.run("a", PATH=tools).args == ["a"], system
        assert asset.split("_")[1] in stage.binary.name
        for path in (stage.cache / "bin").iterdir():
            path.unlink()


def case_git_for_windows(stage):
    tools = stage.tools(uname="echo MINGW64_NT-10.0-19045 x86_64", cygpath='printf "%s" "$2"')
    if not os.path.exists(f"{tools}/unzip"):
        raise Skip("unzip is not here")
    shows = b'#!/bin/sh\nprintf "%s\\0" x "$MSYS_NO_PATHCONV" "$MSYS2_ARG_CONV_EXCL" "$@"\n'
    stage.publish(windows_archive(shows), name="runcode_windows_amd64.zip")
    local = stage.dir / "AppData"
    run = stage.run("/home/x", PATH=tools, RUNCODE_CACHE=None, LOCALAPPDATA=local)
    assert run.args == ["1", "*", "/home/x"]
    stage.cache = local / "runcode"
    assert stage.binary.suffix == ".exe"
    stage.left_clean()


def case_the_launchers_own_files_are_missing(stage):
    (stage.plugin / "launcher/RUNCODE_VERSION").unlink()
    stage.run().refused("install the plugin again")


def case_the_repositorys_own_pin_is_well_formed(stage):
    lines = (REPOSITORY / "checksums.txt").read_text().splitlines()
    entries = [line.split("  ") for line in lines if not line.startswith("#")]
    assert all(len(entry) == 2 and len(entry[0]) == 64 for entry in entries), lines
    assert ARCH != "none" and sha256(PAYLOAD)


case_the_repositorys_own_pin_is_well_formed.once = True


def case_no_program_of_a_project_runs_at_the_start(stage):
    """The hook of a new agent session, in a project whose settings set variables."""
    project, outside = stage.dir / "pro ject", stage.dir / "own"
    for folder in (project / ".git", project / "sub", outside):
        folder.mkdir(parents=True)
    shutil.copytree(REPOSITORY / "plugin", stage.plugin / "plugin")
    (stage.dir / "way").symlink_to(project)
    assert stage.run("a").args == ["a"], "the user's own cache has the binary"
    evil, cache = project / "evil", project / "cache/runcode"
    shutil.copytree(stage.cache / "bin", cache / "bin")
    binary = cache / "bin" / stage.binary.name
    for program in (evil, binary):
        program.write_bytes(EVIL)
        program.chmod(0o755)
    stamp = binary.with_name(binary.name + ".stamp")
    stamp.write_text(f"{stamp.read_text().split()[0]} {sha256(EVIL)} new\n")
    (project / ".cache").symlink_to("cache")
    (project / "hook").write_bytes(EVIL)  # what another program makes of our argument

    def started(script, cwd=project, **changes):
        path, *arguments = script.split()
        argv = [*stage.shell, str(stage.plugin / path), *arguments]
        return stage.run(argv=argv, cwd=cwd, **{"RUNCODE_WORKSPACE": "box", **changes})

    (project / "runcode").write_bytes(EVIL)
    (project / "runcode").chmod(0o755)
    (stage.dir / "sibling").mkdir()  # another checkout
    (stage.dir / "sibling/runcode").write_bytes(EVIL)
    (stage.dir / "sibling/runcode").chmod(0o755)
    (outside / "link").mkdir()
    (outside / "link/runcode").symlink_to(project / "runcode")
    own = stage.cache
    scripts = {
        "plugin/session-start": ["hook", "session-start"],
        "plugin/mcp-start": ["mcp"],
        "bin/runcode statusline": ["statusline"],
        "launcher/runcode mcp": ["mcp"],
        "bin/runcode --servers /x --json mcp": ["--servers", "/x", "--json", "mcp"],
    }
    release = project / "release"
    release.mkdir()
    packed = archive(payload=EVIL)
    (release / ASSET).write_bytes(packed)
    (release / "checksums.txt").write_text(f"{sha256(packed)}  {ASSET}\n")
    for changes in (
        {"RUNCODE_BIN": "evil"},
        {"RUNCODE_BIN": "./evil"},
        {"RUNCODE_BIN": evil},
        {"RUNCODE_BIN": stage.dir / "way/evil"},
        {"RUNCODE_BIN": f"{outside}/../pro ject/evil"},
        {"RUNCODE_BIN": "../evil", "cwd": project / "sub"},
        {"RUNCODE_BIN": evil, "cwd": project / "sub"},
        {"RUNCODE_BIN": evil, "HOME": project},
        {"RUNCODE_BIN": "/bin/sh"},
        {"RUNCODE_BIN": f"/{project}/runcode"},
        {"RUNCODE_BIN": f"/proc/self/root{project}/runcode"},
        {"RUNCODE_BIN": "/proc/self/cwd/../sibling/runcode"},
        {"RUNCODE_BIN": "/./proc/thread-self/cwd/../sibling/runcode"},
        {"RUNCODE_BIN": "/dev/fd/../cwd/../sibling/runcode"},
        {"RUNCODE_BIN": outside / "link/runcode"},
        {"RUNCODE_PIN_VERSION": "v9", "RUNCODE_DOWNLOAD_BASE": f"file://{release}"},
        {"RUNCODE_PIN_VERSION": "v9", "RUNCODE_DOWNLOAD_BASE": f"file://{release}", "RUNCODE_CACHE": None},
        {"RUNCODE_CACHE": "cache/runcode"},
        {"RUNCODE_CACHE": cache},
        {"RUNCODE_CACHE": None, "XDG_CACHE_HOME": project / "cache"},
        {"RUNCODE_CACHE": None, "HOME": project},
        {"RUNCODE_CACHE": None, "HOME": project, "cwd": project / "sub"},
    ):
        for script, args in scripts.items():
            run = started(script, **changes)
            assert b"EVIL" not in run.out, f"{script} {changes}: {run.out} {run.err}"
            assert run.status == 0 or script != "plugin/session-start", f"{changes}: {run.out} {run.err}"
            if "RUNCODE_BIN" in changes:
                assert run.args == args, (script, changes)
    shutil.copy(stage.binary, outside / "runcode")
    for script, args in scripts.items():
        assert started(script, RUNCODE_BIN=outside / "runcode", RUNCODE_CACHE=None).args == args
        assert started(script, RUNCODE_BIN=project / "runcode", cwd=outside).out, "of another project it is the user's word"
        assert started(script, RUNCODE_CACHE=own).args == args
