"""A workspace to measure against: a real sshd on loopback, the control plane that grants sessions on it, and a home of one's own.

Nothing of the machine's own is used or touched; everything started is ended.
"""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import plane

SSHD = "/usr/sbin/sshd"
# As Debian, Fedora and macOS configure it; inside sshd itself where there is none.
SFTP = next((path for path in ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server",
                               "/usr/libexec/sftp-server") if os.path.exists(path)), "internal-sftp")
USER = os.environ.get("USER") or "root"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until_open(port):
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)


class Box:
    """`port` is where the session leads: the sshd, or what delays the way to it by `rtt` milliseconds. Its account has the
    start-up files of a new user; with a `slow_shell`, the first of them takes 200 ms more."""

    def __init__(self, root, rtt=0, accept_env="LANG LC_*", slow_shell=False, sftp=SFTP):
        self.root, self.folder, self.sshd_port = root, root / "box", free_port()
        self.folder.mkdir()
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", root / "host_key"], check=True)
        (root / "keys").write_text("")
        for name in (".bashrc", ".profile", ".zshenv"):
            skeleton = pathlib.Path("/etc/skel", name)
            text = skeleton.read_text() if skeleton.exists() else ""
            (root / name).write_text("sleep 0.2\n" * slow_shell * (name != ".profile") + text)
        (root / "config").write_text(
            f"Port {self.sshd_port}\nListenAddress 127.0.0.1\nHostKey {root}/host_key\n"
            f"AuthorizedKeysFile {root}/keys\n"
            f"SetEnv HOME={root}\n"  # the login shell reads no start-up file of the real home
            f"PidFile none\nStrictModes no\nUsePAM no\nAcceptEnv {accept_env}\nPermitRootLogin yes\nMaxSessions 100\nMaxStartups 200\n"
            f"Subsystem sftp {sftp}\nLogLevel ERROR\n"
        )
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
        self.started = [subprocess.Popen([SSHD, "-D", "-e", "-f", root / "config"])]
        until_open(self.sshd_port)
        self.port = self.sshd_port
        if rtt:
            self.port = free_port()
            delay = pathlib.Path(__file__).with_name("delay.py")
            self.started.append(
                subprocess.Popen([sys.executable, delay, str(self.port), str(self.sshd_port), str(rtt)]))
            until_open(self.port)
        self.http = plane.serve(self.bundle)
        self.base = f"http://127.0.0.1:{self.http.server_port}"
        # Spares have rows of their own: one that is being opened would take time from whatever is measured next.
        self.env = {"HOME": str(root), "PATH": os.environ["PATH"], "RUNCODE_SPARE": "off", "RUNCODE_API_BASE": self.base,
                    "RUNCODE_TOKEN": "token"}

    def bundle(self, request):
        with open(self.root / "keys", "a") as keys:
            keys.write(request["public_key"].strip() + "\n")
        return {"port": self.port, "user": USER, "workdir": str(self.folder),
                "known_hosts": f"[127.0.0.1]:{self.port} {self.host_key()}"}

    def host_key(self):
        return " ".join((self.root / "host_key.pub").read_text().split()[:2])

    def end(self):
        self.http.shutdown()
        for process in reversed(self.started):
            process.terminate()
            process.wait()


@contextlib.contextmanager
def box(rtt=0, **how):
    """A workspace below a temporary folder, in memory where that has room, so that no disk is measured; ended and removed
    afterwards."""
    missing = [tool for tool in (SSHD, "ssh", "ssh-keygen") if not shutil.which(tool)]
    if missing:
        sys.exit(f"SKIPPED: there is no {', '.join(missing)}")
    memory = "/dev/shm"
    has_room = os.path.isdir(memory) and shutil.disk_usage(memory).free > 2 << 30
    with tempfile.TemporaryDirectory(prefix="rc-perf-", dir=memory if has_room else None) as folder:
        made = Box(pathlib.Path(folder), rtt, **how)
        try:
            yield made
        finally:
            made.end()
