"""A stage for one case: a plugin folder, a home, releases, servers; and a way to start the launcher on it."""

import gzip
import hashlib
import http.server
import io
import os
import pathlib
import platform
import shutil
import ssl
import subprocess
import tarfile
import threading
import zipfile

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
ARCH = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "none")
ASSET = f"runcode_{platform.system().lower()}_{ARCH}.tar.gz"
PINNED = (REPOSITORY / "launcher/RUNCODE_VERSION").read_text().strip()

# What stands for the binary: shows where it is, and every argument, ended by NUL.
PAYLOAD = b"""#!/bin/sh
printf '%s\\0' "$0" "$@"
exit "${FAKE_STATUS-0}"
"""
EVIL = PAYLOAD.replace(b"printf", b"echo EVIL; :")


class Skip(Exception):
    """Why a case cannot be tried on this machine."""


class Run:
    """What a start of the launcher did."""

    def __init__(self, done):
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr.decode(errors="replace")

    @property
    def args(self):
        """The arguments as the payload received them; fails unless the payload ran."""
        assert self.out.endswith(b"\0") and b"EVIL" not in self.out, f"no payload ran: {self.out} {self.err}"
        return [part.decode() for part in self.out.split(b"\0")[1:-1]]

    def refused(self, *words, status=1):
        """It failed, ran nothing, and said so in words."""
        assert self.status == status, f"status {self.status}: {self.out} {self.err}"
        assert b"\0" not in self.out and b"EVIL" not in self.out, f"something ran: {self.out}"
        for word in words:
            assert shown(word) in self.err, f"{word!r} not in: {self.err}"
        assert len(self.err.splitlines()) <= 3, f"noise: {self.err}"


def shown(text):
    """As the launcher repeats it: each byte that is no printable ASCII is a question mark."""
    return "".join(chr(byte) if 32 <= byte < 127 else "?" for byte in text.encode())


def archive(*members, payload=PAYLOAD):
    """A .tar.gz of (name, bytes) pairs or TarInfo objects; the payload as `runcode` when none is given."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for member in members or [("runcode", payload)]:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member, io.BytesIO(b"x" * member.size))
            else:
                info = tarfile.TarInfo(member[0])
                info.size, info.mode = len(member[1]), 0o755
                tar.addfile(info, io.BytesIO(member[1]))
    return out.getvalue()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Stage:
    def __init__(self, shell, folder):
        self.shell, self.dir, self.servers = shell, pathlib.Path(folder), []
        self.plugin, self.home, self.release = self.dir / "plug in é", self.dir / "home", self.dir / "release"
        self.cache = self.dir / "ca che ü"
        for place in (self.plugin, self.home, self.release):
            place.mkdir()
        for part in ("launcher", "bin"):
            shutil.copytree(REPOSITORY / part, self.plugin / part)
        self.base = f"file://{self.release}"
        self.publish(archive())

    def publish(self, data, name=ASSET, listed=True):
        """Puts an asset into the release, and its hash into the plugin's checksums.txt."""
        (self.release / name).write_bytes(data)
        if listed:
            (self.plugin / "checksums.txt").write_text(f"{sha256(data)}  {name}\n")

    @property
    def binary(self):
        found = [path for path in (self.cache / "bin").glob("runcode-*") if not path.name.endswith(".stamp")]
        assert len(found) == 1, f"in the cache: {found}"
        return found[0]

    @property
    def stamp(self):
        return self.binary.with_name(self.binary.name + ".stamp")

    def environment(self, **changes):
        values = {
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "PATH": os.environ["PATH"],
            "RUNCODE_CACHE": str(self.cache),
            "RUNCODE_DOWNLOAD_BASE": self.base,
            **changes,
        }
        return {key: str(value) for key, value in values.items() if value is not None}

    def run(self, *args, via="bin", cwd=None, argv=None, env=None, **changes):
        command = argv or [*self.shell, str(self.plugin / via / "runcode")]
        if not argv and self.shell[0] == "bash":
            command.append("--without-functions")  # else it starts /bin/sh
        done = subprocess.run(
            [*command, *args],
            env=env or self.environment(**changes),
            cwd=cwd or self.dir,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=90,
        )
        return Run(done)

    def tools(self, *without, **fakes):
        """A PATH that has what the launcher may use except some, and scripts in the place of others."""
        folder = self.dir / f"tools{len(list(self.dir.glob('tools*')))}"
        folder.mkdir()
        names = "uname stat sha256sum readlink mktemp mkdir chmod mv rm cp tar gzip unzip sed tr tail grep timeout curl wget sh head printf cat"
        for name in names.split():
            if name in fakes:
                (folder / name).write_text(f"#!/bin/sh\n{fakes[name]}\n")
                (folder / name).chmod(0o755)
            elif name not in without and shutil.which(name):
                (folder / name).symlink_to(shutil.which(name))
        for name in fakes.keys() - set(names.split()):
            (folder / name).write_text(f"#!/bin/sh\n{fakes[name]}\n")
            (folder / name).chmod(0o755)
        return str(folder)

    def serve(self, answer=None, tls=False):
        """Serves the release (or what `answer(handler)` sends) on loopback; the server has .seen, .base and .ca."""
        server = Server(("127.0.0.1", 0), handler(answer, self.release))
        server.seen, scheme = [], "http"
        if tls:
            scheme, server.ca = "https", certificate(self.dir)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(server.ca)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        server.base = f"{scheme}://localhost:{server.server_port}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.servers.append(server)
        return server

    def left_clean(self):
        """Nothing but the binary and its stamp is in the cache, with the modes they must have."""
        kept = sorted(path.name for path in (self.cache / "bin").iterdir())
        assert kept == [self.binary.name, self.stamp.name], kept
        modes = [oct(path.stat().st_mode & 0o7777) for path in (self.cache / "bin", self.binary, self.stamp)]
        assert modes == ["0o700", "0o755", "0o600"], modes
        assert self.binary.stat().st_uid == os.getuid()

    def nothing_kept(self):
        kept = list((self.cache / "bin").iterdir()) if (self.cache / "bin").is_dir() else []
        assert kept == [], kept

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()
        shutil.rmtree(self.dir, ignore_errors=True)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads, block_on_close = True, False

    def handle_error(self, *_):
        """A client that goes away in the middle is what many cases are about."""


def handler(answer, folder):
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def do_GET(self):
            self.server.seen.append(self.path)
            answer(self) if answer else super().do_GET()

        def log_message(self, *_):
            pass

    return Handler


def certificate(folder):
    """A self-signed certificate for localhost, key and all in one file."""
    made = folder / "ca.pem"
    if not shutil.which("openssl"):
        raise Skip("openssl is not here")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", made, "-out", folder / "crt"],
        check=True,
        capture_output=True,
    )
    made.write_bytes(made.read_bytes() + (folder / "crt").read_bytes())
    return made


def windows_archive(payload=PAYLOAD):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr("runcode.exe", payload)
    return out.getvalue()


def broken_archive():
    return gzip.compress(b"not a tar file" * 100)
