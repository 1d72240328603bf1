"""A machine for one test: a home, the plugin's repository behind github.com, its release, a control plane, no network."""

import http.server
import os
import pathlib
import shutil
import subprocess
import tarfile
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
MARKETPLACE = "runcode-io/runcode-agent-plugin"
IDENTITY = ["-c", "user.name=Test", "-c", "user.email=test@localhost", "-c", "init.defaultBranch=main"]


class Release:
    """The asset and the plugin's repository that pins it, made once for all tests."""

    def __init__(self, binary, folder):
        self.folder, self.repositories = folder / "release", folder / "git"
        system = {"Linux": "linux", "Darwin": "darwin"}[os.uname().sysname]
        arch = {"x86_64": "amd64"}.get(os.uname().machine, "arm64")
        self.asset, self.seen = self.folder / f"runcode_{system}_{arch}.tar.gz", []
        if "RUNCODE_TEST_DIST" in os.environ:  # what dist/build made, as it is
            shutil.copytree(os.environ["RUNCODE_TEST_DIST"], self.folder)
        else:
            self.folder.mkdir()
            (self.folder / "THIRD-PARTY-NOTICES").write_text("none\n")
            pack = ["python3", "-B", ROOT / "dist/pack.py"]
            subprocess.run([*pack, system, arch, binary, self.folder], check=True, capture_output=True)
            subprocess.run([*pack, "checksums", self.folder], check=True)
        with tarfile.open(self.asset) as packed:
            self.binary = packed.extractfile("runcode").read()
        self.publish()
        release = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args):
                super().__init__(*args, directory=str(release.folder))

            def do_GET(self):
                release.seen.append(self.path)
                super().do_GET()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def publish(self):
        """Commits the plugin as it lies here, with the release's checksums, where github.com is looked for."""
        place = self.repositories / f"{MARKETPLACE}.git"
        place.mkdir(parents=True)
        names = ["launcher", "bin", "plugin", "skills", "commands", ".claude-plugin", ".codex-plugin", ".agents"]
        for name in names:
            shutil.copytree(ROOT / name, place / name, symlinks=True)
        for name in ("LICENSE", "README.md", "Cargo.toml", ".gitattributes"):
            shutil.copy(ROOT / name, place / name)
        shutil.copy(self.folder / "checksums.txt", place / "checksums.txt")
        for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "plugin"]):
            subprocess.run(["git", *IDENTITY, *command], cwd=place, check=True)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Machine:
    """A home of its own and a `runcode dev`; nothing of the real home, no proxy that leads anywhere."""

    def __init__(self, release, clients, binary):
        self.release, self.binary = release, pathlib.Path(binary).resolve()
        # Not inside the repository: Codex would take every skill there for a part of this plugin. Not in /tmp: while a sandbox of
        # Codex runs, /tmp has a `.git`, so it looks like a project that contains this home.
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="plugin-", dir="/var/tmp"))
        self.home, self.project, self.box = self.dir / "home", self.dir / "project", self.dir / "box"
        for folder in (self.home, self.project, self.box, self.dir / "tmp"):
            folder.mkdir()
        github = f'[url "file://{release.repositories}/"]\n  insteadOf = https://github.com/\n'
        (self.home / ".gitconfig").write_text(github + "[safe]\n  directory = *\n")
        self.env = {
            "HOME": self.home,
            "PATH": f"{clients}:{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "TMPDIR": self.dir / "tmp",
            "CLAUDE_CODE_TMPDIR": self.dir / "tmp",
            "CLAUDE_CONFIG_DIR": self.home / ".claude",
            "CODEX_HOME": self.home / ".codex",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "ANTHROPIC_API_KEY": "sk-ant-nothing",
            "FAKE_KEY": "nothing",
            "RUNCODE_DOWNLOAD_BASE": release.base,
            "NO_PROXY": "127.0.0.1,localhost",
            **{name: "http://127.0.0.1:9" for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")},
        }
        (self.home / ".codex").mkdir()
        self.plane = subprocess.Popen(
            [binary, "dev", "--workspace", f"test-box={self.box}"],
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(3):
            name, value = self.plane.stdout.readline().removeprefix("export ").strip().split("=", 1)
            self.env[name] = value.strip("'")

    def environment(self, **changes):
        return {key: str(value) for key, value in {**self.env, **changes}.items()}

    def run(self, *command, cwd=None, check=True, timeout=120, **changes):
        done = subprocess.run(
            [str(word) for word in command],
            cwd=cwd or self.project,
            env=self.environment(**changes),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert not check or done.returncode == 0, f"{command[:4]}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def installed_plugin(self):
        """The plugin's root in whichever client's cache it was installed to."""
        found = [path.parents[1] for path in self.home.glob(".c*/**/launcher/runcode") if "cache" in path.parts]
        assert len(found) == 1, found
        return found[0]

    def close(self):
        self.plane.terminate()
        self.plane.wait(timeout=20)
        shutil.rmtree(self.dir, ignore_errors=True)
