"""Packs a binary as a release asset, always the same bytes for the same input; writes checksums.txt.

    pack.py OS ARCH BINARY FOLDER   writes runcode_OS_ARCH.tar.gz (.zip for windows); wants THIRD-PARTY-NOTICES there
    pack.py checksums FOLDER        writes FOLDER/checksums.txt over every asset in it
"""

import gzip
import hashlib
import io
import os
import pathlib
import subprocess
import sys
import tarfile
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[1]


def commit_time():
    """Seconds of the commit that is packed, or of SOURCE_DATE_EPOCH."""
    said = os.environ.get("SOURCE_DATE_EPOCH")
    return int(said or subprocess.check_output(["git", "log", "-1", "--format=%ct"], cwd=ROOT))


def members(system, binary, folder):
    exe = ".exe" if system == "windows" else ""
    notices = pathlib.Path(folder) / "THIRD-PARTY-NOTICES"
    files = [(f"runcode{exe}", pathlib.Path(binary), 0o755), ("LICENSE", ROOT / "LICENSE", 0o644)]
    files.append(("THIRD-PARTY-NOTICES", notices, 0o644))
    return [(name, path.read_bytes(), mode) for name, path, mode in files]


def tar_gz(files, when):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data, mode in files:
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(data), mode, when
            tar.addfile(info, io.BytesIO(data))
    return gzip.compress(packed.getvalue(), mtime=0)


def zipped(files, when):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data, mode in files:
            info = zipfile.ZipInfo(name, time.gmtime(when)[:6])
            info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, 3, (0o100000 | mode) << 16
            archive.writestr(info, data)
    return packed.getvalue()


def checksums(folder):
    assets = sorted(path for path in pathlib.Path(folder).iterdir() if path.name.startswith("runcode_"))
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in assets]
    (pathlib.Path(folder) / "checksums.txt").write_text("".join(lines), newline="\n")


def main():
    if sys.argv[1] == "checksums":
        return checksums(sys.argv[2])
    system, arch, binary, folder = sys.argv[1:]
    files, when = members(system, binary, folder), commit_time()
    name = f"runcode_{system}_{arch}." + ("zip" if system == "windows" else "tar.gz")
    data = zipped(files, when) if system == "windows" else tar_gz(files, when)
    (pathlib.Path(folder) / name).write_bytes(data)
    print(f"{name}: {len(data)} bytes")


main()
