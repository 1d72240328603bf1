"""Commands over a warm connection, connections, forwards: against ssh, over the same master of the same sshd."""

import json
import os
import pathlib
import shlex
import subprocess
import sys
import time

from workspace import USER, free_port
from pairs import run, turns


class Bench:
    def __init__(self, box, binary):
        self.box, self.binary, self.cwd = box, str(binary), box.root
        said = subprocess.run([self.binary, "connect", "box", "--wait", "--json"], env=box.env, check=True,
                              capture_output=True, cwd=self.cwd)
        session = json.loads(said.stdout)
        self.ssh_options = ["-F", session["config"]]
        self.spare = pathlib.Path(session["config"]).parent / "spare"
        self.alias = session["alias"]
        self.keys = 0

    def end(self):
        subprocess.run([self.binary, "clean", "--all"], env=self.box.env, capture_output=True)

    def run(self, *commands, **how):
        return run(*commands, env=self.box.env, cwd=self.cwd, **how)

    def ours(self, *arguments):
        return [self.binary, *arguments]

    def ssh(self, *arguments):
        return ["ssh", *self.ssh_options, *arguments]

    def in_turns(self, rounds, ours, theirs, **how):
        """Both as lists of commands, or functions that give such a list."""
        def contender(commands):
            return lambda: self.run(*(commands() if callable(commands) else commands), **how)
        runs = turns(rounds, ours=contender(ours), theirs=contender(theirs))
        return runs["ours"], runs["theirs"]

    def warm_exec(self, table, rounds):
        ours, theirs = self.in_turns(rounds, [self.ours("exec", "-n", "--", "true")], [self.ssh("-n", self.alias, "true")])
        walls = [took.wall for took in ours], [took.wall for took in theirs]
        table.add("warm exec", "ssh, warm", *walls, target=0.5)
        table.add("warm exec, client CPU", "ssh, warm", [took.cpu for took in ours], [took.cpu for took in theirs], target=0.2)

    def settle(self):
        """Waits until the keeper has a spare, as it has for whoever thinks between two commands."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            if self.spare.exists() and self.spare.read_text().endswith(" ready"):
                return
            time.sleep(0.002)
        sys.exit("there is no spare channel")

    def spared(self, rounds, *arguments, theirs):
        """A command for which a spare waits, against `theirs`, which has the machine to itself as well."""
        env = self.box.env | {"RUNCODE_SPARE": "on"}
        ours = lambda: run(self.ours("exec", *arguments), env=env, cwd=self.cwd)
        ours()
        def settled(contender):
            self.settle()
            return contender()
        runs = turns(rounds, ours=lambda: settled(ours), theirs=lambda: settled(lambda: self.run(theirs)))
        return runs["ours"], runs["theirs"]

    def spare_exec(self, table, rounds, where="", target=0.2):
        ours, theirs = self.spared(rounds, "-n", "--", "true", theirs=self.ssh("-n", self.alias, "true"))
        walls = [took.wall for took in ours], [took.wall for took in theirs]
        table.add(f"exec, spare{where}", "ssh, warm", *walls, target=target)
        if not where:
            table.add("exec, spare, client CPU", "ssh, warm", [took.cpu for took in ours], [took.cpu for took in theirs])

    def own_host(self, table, rounds):
        """The same command on a host of the user's own: over the master that the user's ssh config leads to."""
        root, key = self.box.root, self.box.root / "own"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        with open(root / "keys", "a") as keys:
            keys.write(key.with_suffix(".pub").read_text())
        (root / "own_pins").write_text(f"[127.0.0.1]:{self.box.port} {self.box.host_key()}\n")
        (root / "own_config").write_text(f"Host own\n  HostName 127.0.0.1\n  Port {self.box.port}\n  IdentityFile {key}\n"
                                         f"  IdentitiesOnly yes\n  UserKnownHostsFile {root}/own_pins\n")
        # ssh takes `~` from the password database, whatever HOME says.
        (root / "own_ssh").write_text(f"#!/bin/sh\nexec ssh -F {root}/own_config \"$@\"\n")
        (root / "own_ssh").chmod(0o755)
        env = {"HOME": str(root), "PATH": os.environ["PATH"], "RUNCODE_SSH": str(root / "own_ssh"),
               "XDG_CACHE_HOME": str(root / "own_cache"), "RUNCODE_SPARE": "off"}
        subprocess.run(self.ours("connect", "ssh:own"), env=env, check=True, capture_output=True, cwd=self.cwd)
        runs = turns(rounds, ours=lambda: run(self.ours("exec", "-n", "--", "true"), env=env, cwd=self.cwd),
                     theirs=lambda: self.run(self.ssh("-n", self.alias, "true")))
        subprocess.run(self.ours("disconnect"), env=env, capture_output=True)
        ours, theirs = runs["ours"], runs["theirs"]
        table.add("warm exec, ssh:HOST", "ssh, warm", [took.wall for took in ours], [took.wall for took in theirs], target=0.5)

    def tools(self, table, rounds):
        """The same command through the tools of `mcp`, whose process an agent has started before; and that start."""
        def client():
            server = subprocess.Popen(self.ours("mcp", "-w", "box"), env=self.box.env, cwd=self.cwd, text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            def ask(method, **params):
                message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
                print(json.dumps(message), file=server.stdin, flush=True)
                return json.loads(server.stdout.readline())["result"]
            hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "perf", "version": "1"}}
            ask("initialize", **hello)
            return server, ask
        def end(server):
            server.stdin.close()
            server.wait()
        def timed(act):
            began = time.perf_counter()
            act()
            return time.perf_counter() - began
        server, ask = client()
        call = lambda: ask("tools/call", name="exec", arguments={"argv": ["true"]})["isError"] and sys.exit("a call failed")
        runs = turns(rounds, ours=lambda: timed(call), theirs=lambda: self.run(self.ours("exec", "-n", "--", "true")).wall)
        table.add("exec, as a tool", "exec, the verb", runs["ours"], runs["theirs"], target=1.2)
        end(server)
        def start():
            server, ask = client()
            ask("tools/list")
            self.servers.append(server)
        self.servers = []
        starts = [timed(start) for _ in range(rounds)]
        for server in self.servers:
            end(server)
        table.add("mcp: start, hello and list", "50 ms", starts, [0.05] * rounds, target=1)

    def parallel(self, table, rounds):
        ours, theirs = self.in_turns(rounds, [self.ours("exec", "-n", "--", "true")] * 50,
                                     [self.ssh("-n", self.alias, "true")] * 50, together=True)
        table.add("50 execs at once", "50 ssh, warm", [took.wall for took in ours], [took.wall for took in theirs], target=0.4)

    def context(self, table, rounds):
        ours, theirs = self.in_turns(rounds, [self.ours("context", "--json")], [self.ssh("-n", self.alias, "true")])
        table.add("context", "ssh true, warm", [took.wall for took in ours], [took.wall for took in theirs])

    def jump(self, table, rounds):
        """A box's own tools, listed and called: a server is started there for each."""
        folder = self.box.root / ".config/runcode"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "serve.toml").write_text("".join(
            f'[tool{number}]\ncommand = ["/bin/true"]\nrun_as = ""\n[tool{number}.args]\nname = "x"\ncount = 1\n'
            for number in range(10)))
        for name, peer, words in [("jump, listing", "ssh true, warm", []), ("jump, a call", "ssh true, warm", ["tool1"])]:
            ours, theirs = self.in_turns(rounds, [self.ours("jump", "--bin", self.binary, "box", *words)],
                                         [self.ssh("-n", self.alias, "true")])
            table.add(name, peer, [took.wall for took in ours], [took.wall for took in theirs], target=2)

    def forward(self, table, rounds):
        there = free_port()
        # The first forward opens a connection that lasts, and the last one ends it: a further one is what can be compared.
        first = str(free_port())
        self.run(self.ours("forward", first))
        master = ["-S", str(self.box.root / "forwards")]
        subprocess.run(self.ssh(*master, "-M", "-N", "-f", self.alias), env=self.box.env, check=True)
        def ours():
            here = str(free_port())
            return [self.ours("forward", str(there), "--local", here), self.ours("forward", str(there), "--cancel")]
        def theirs():
            way = f"127.0.0.1:{free_port()}:127.0.0.1:{there}"
            return [self.ssh(*master, "-O", act, "-L", way, self.alias) for act in ("forward", "cancel")]
        ours, theirs = self.in_turns(rounds, ours, theirs)
        subprocess.run(self.ssh(*master, "-O", "exit", self.alias), env=self.box.env, check=True, capture_output=True)
        self.run(self.ours("forward", first, "--cancel"))
        table.add("another forward, and cancel", "ssh -O, twice", [took.wall for took in ours], [took.wall for took in theirs], target=0.4)

    def cold(self, table, rounds):
        """From nothing to the first answer: what the same takes by hand is a key, a request, and ssh."""
        root, port = self.box.root, self.box.port
        (root / "pins").write_text(f"[127.0.0.1]:{port} {self.box.host_key()}\n")
        by_hand = (
            f"rm -f {root}/k {root}/k.pub && ssh-keygen -q -t ed25519 -N '' -f {root}/k && "
            f"curl -sSf -o /dev/null {self.box.base}/api/ && curl -sSf -o /dev/null -H 'Content-Type: application/json' "
            f"-d \"{{\\\"public_key\\\":\\\"$(cat {root}/k.pub)\\\",\\\"ttl\\\":1800}}\" {self.box.base}/mint && "
            f"exec ssh -F /dev/null -i {root}/k -o IdentitiesOnly=yes -o UserKnownHostsFile={root}/pins -p {port} "
            f"{USER}@127.0.0.1 true"
        )
        def contender(commands):
            def take():
                self.end()
                return self.run(*commands)
            return take
        runs = turns(rounds, ours=contender([self.ours("connect", "box"), self.ours("exec", "-n", "--", "true")]),
                     theirs=contender([["sh", "-c", by_hand]]))
        table.add("connect and first exec, cold", "keygen, curl, ssh", [took.wall for took in runs["ours"]],
                  [took.wall for took in runs["theirs"]], target=0.6)
        self.run(self.ours("connect", "box", "--wait"))

    def editor(self, table, rounds):
        """A connection of an editor's own: ssh through the proxy, as `config-ssh` writes it, and ssh alone."""
        self.run(self.ours("config-ssh"))
        through = ["ssh", "-F", self.box.root / ".ssh/config", "-l", USER, "runcode.box", "true"]
        ours, theirs = self.in_turns(rounds, [through], [self.ssh("-S", "none", self.alias, "true")])
        table.add("ssh through the proxy, cold", "ssh, cold", [took.wall for took in ours], [took.wall for took in theirs])

    def everyday(self, table, rounds, where):
        """What people do all day, `where` it is less easy than on a quiet loopback."""
        (self.cwd / "1k").write_bytes(os.urandom(1024))
        there, scp = f"{self.alias}:{self.box.folder}/1k", ["scp", "-q", *self.ssh_options]
        for name, peer, ours, theirs in [
            ("exec", "ssh, warm", self.ours("exec", "-n", "--", "true"), self.ssh("-n", self.alias, "true")),
            ("put 1 KiB", "scp, warm", self.ours("put", "1k", "1k"), [*scp, "1k", there]),
            ("get 1 KiB", "scp, warm", self.ours("get", "1k", "--out", "back"), [*scp, there, "back"]),
        ]:
            mine, others = self.in_turns(rounds, [ours], [theirs])
            table.add(f"{name}, {where}", peer, [took.wall for took in mine], [took.wall for took in others])

        targets = {"quiet": 0.2, "slow login shell": 0.05}
        self.spare_exec(table, rounds, f", {where}", targets.get(where))

    def round_trips(self, table, rounds, rtt):
        """What a real link costs, in round trips: the time above that of a command that does nothing, by `rtt`."""
        (self.cwd / "1k").write_bytes(os.urandom(1024))
        start = min(self.run(self.ours("--version")).wall for _ in range(5))
        scp = ["scp", "-q", *self.ssh_options, "1k", f"{self.alias}:{self.box.folder}/1k"]
        for name, peer, ours, theirs, most in [
            ("exec -n", "ssh", self.ours("exec", "-n", "--", "true"), self.ssh("-n", self.alias, "true"), 2.5),
            ("exec < file", "ssh", ["sh", "-c", f"exec {shlex.join(self.ours('exec', '--', 'cat'))} < 1k"],
             ["sh", "-c", f"exec {shlex.join(self.ssh(self.alias, 'cat'))} < 1k"], None),
            ("put 1 KiB", "scp", self.ours("put", "1k", "1k"), scp, None),
            ("get 1 KiB", "scp", self.ours("get", "1k", "--out", "back"),
             ["scp", "-q", *self.ssh_options, f"{self.alias}:{self.box.folder}/1k", "back"], None),
            ("context", "ssh true", self.ours("context"), self.ssh("-n", self.alias, "true"), None),
        ]:
            mine, others = self.in_turns(rounds, [ours], [theirs])
            table.add(name, peer, [took.wall for took in mine], [took.wall for took in others])
            trips = sorted((took.wall - start) * 1000 / rtt for took in mine)
            table.add(f"{name}, round trips", "1", [trips[len(trips) // 2]], [1], target=most)
        mine, _ = self.spared(rounds, "-n", "--", "true", theirs=self.ssh("-n", self.alias, "true"))
        trips = sorted((took.wall - start) * 1000 / rtt for took in mine)
        table.add("exec -n, spare, round trips", "1", [trips[len(trips) // 2]], [1], target=1.15)
