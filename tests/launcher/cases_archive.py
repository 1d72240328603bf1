"""Archives: only one regular file `runcode` is ever taken out, as ours, mode 0755. All hashes are right here."""

import os
import tarfile

from stage import ASSET, PAYLOAD, archive, broken_archive


def member(name, kind=tarfile.REGTYPE, link="", data=b"", **fields):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def refused(stage, *members):
    outside = stage.dir / "outside"
    stage.publish(archive(*members))
    stage.run().refused("does not hold one regular file runcode")
    stage.nothing_kept()
    assert not outside.exists()


def case_a_link_named_runcode(stage):
    refused(stage, member("runcode", tarfile.SYMTYPE, "/bin/sh"))
    refused(stage, member("runcode", tarfile.LNKTYPE, "other"), ("other", PAYLOAD))
    refused(stage, ("other", PAYLOAD), member("runcode", tarfile.LNKTYPE, "other"))


def case_not_a_regular_file(stage):
    refused(stage, member("runcode", tarfile.DIRTYPE))
    refused(stage, member("runcode", tarfile.DIRTYPE), ("runcode/runcode", PAYLOAD))
    refused(stage, ("runcode/evil", PAYLOAD))
    refused(stage, member("runcode", tarfile.FIFOTYPE))
    refused(stage, member("runcode", tarfile.CHRTYPE, devmajor=1, devminor=3))


def case_not_exactly_one(stage):
    refused(stage, ("runcode", PAYLOAD), ("runcode", PAYLOAD))
    refused(stage, ("runcode", PAYLOAD), member("runcode", tarfile.SYMTYPE, "/bin/sh"))
    refused(stage, ("other", PAYLOAD))
    refused(stage, ("runcode", b""))
    refused(stage, ("sub/runcode", PAYLOAD), ("../runcode", PAYLOAD), ("/runcode", PAYLOAD))


def case_not_an_archive(stage):
    for data in (broken_archive(), b"", b"x" * 2000, archive()[:60]):
        stage.publish(data)
        stage.run().refused("does not hold one regular file runcode")
        stage.nothing_kept()


def case_other_members_never_reach_the_disk(stage):
    outside = str(stage.dir / "outside")
    up = "../" * 12 + outside.lstrip("/")
    members = [(outside, b"x"), (up, b"x"), ("bin", b"x"), ("x\nruncode", b"x")]
    links = [member("link", tarfile.SYMTYPE, str(stage.dir)), ("link/outside", b"x"), ("README.md", b"x")]
    stage.publish(archive(*members, ("runcode", PAYLOAD), *links))
    assert stage.run("a").args == ["a"]
    stage.left_clean()
    assert not os.path.lexists(outside)


def case_owner_and_mode_are_ours(stage):
    odd = tarfile.TarInfo("runcode")
    odd.size, odd.mode, odd.uid, odd.gid, odd.uname, odd.mtime = 40, 0o6777, 12345, 12345, "nobody", -5
    stage.publish(archive(odd))
    stage.run()  # forty x are no program; what was kept is the point
    stage.left_clean()
    for umask in (0o000, 0o077, 0o777):
        stage.publish(archive())
        command = ["sh", "-c", f'umask {umask:o}; exec "$@"', "sh", *stage.shell, str(stage.plugin / "bin/runcode")]
        assert stage.run("a", argv=command).args == ["a"]
        stage.left_clean()
        stage.binary.unlink()


def case_a_bomb_is_cut(stage):
    huge = tarfile.TarInfo("runcode")
    huge.size = 200_000_000
    stage.publish(archive(huge))
    stage.run().refused("does not hold one regular file runcode")
    stage.nothing_kept()


case_a_bomb_is_cut.once = True  # 200 MB of zeros for each shell would only be slow
