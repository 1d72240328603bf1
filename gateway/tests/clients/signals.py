"""Signals on request, as asyncssh and paramiko send them, and how what got one ends."""
import asyncio, os, subprocess

import asyncssh, paramiko

CONFIG = os.environ["CONFIG"]
text = subprocess.run(["ssh", "-G", "-F", CONFIG, "box"], capture_output=True, text=True).stdout
options = dict(line.split(None, 1) for line in text.splitlines() if " " in line)
host, port, user = options["hostname"], int(options["port"]), options["user"]
key, known = options["identityfile"], options["userknownhostsfile"]
# What sshd(8) takes; the gateway takes the rest of RFC 4254, section 6.10, too.
NAMES = "TERM", "INT", "USR1", "HUP", "USR2", "QUIT"
# Not a shell: bash ignores QUIT until the moment that it becomes something else.
WAITING = """exec python3 -c 'import time; print("ready", flush=True); time.sleep(60)'"""


def trapping(name):
    return f"trap 'echo got; exit 3' {name}; echo ready; while :; do sleep 0.1; done"


async def with_asyncssh():
    async with asyncssh.connect(host, port, username=user, client_keys=[key], known_hosts=known, config=None) as connection:
        for terminal in None, "xterm":
            for name in NAMES:
                process = await connection.create_process(trapping(name), term_type=terminal)
                await process.stdout.readline()
                process.send_signal(name)
                # Before it, a shell may say what its child died of.
                print(terminal, name, (await process.stdout.read()).split()[-1:], (await process.wait()).exit_status)
            for name in "KILL", "TERM", "HUP", "USR1", "QUIT":
                process = await connection.create_process(WAITING, term_type=terminal)
                await process.stdout.readline()
                process.send_signal(name)
                done = await process.wait()
                print(terminal, name, done.exit_status, done.exit_signal and done.exit_signal[:2])
        # A group of processes gets it, and one that leads its own group does not.
        process = await connection.create_process("sleep 60 & sleep 60 | cat; echo status $?; wait; echo after")
        await asyncio.sleep(0.5)
        process.send_signal("TERM")
        done = await process.wait()
        print("group", done.stdout, done.exit_signal and done.exit_signal[:2])
        # A name that nobody knows, and one for a command that is over.
        process = await connection.create_process("sleep 0.5; echo whole")
        process.send_signal("FOO")
        print((await process.wait()).stdout)
        process = await connection.create_process("echo over")
        await process.wait()
        print("over")


def with_paramiko():
    client = paramiko.SSHClient()
    client.load_host_keys(known)
    client.connect(host, port, username=user, key_filename=key, allow_agent=False, look_for_keys=False)
    for name in NAMES[:3]:
        channel = client.get_transport().open_session()
        channel.exec_command(trapping(name))
        assert channel.recv(6) == b"ready\n"
        message = paramiko.Message()
        message.add_byte(bytes([98]))  # SSH_MSG_CHANNEL_REQUEST, RFC 4254, section 6.9
        message.add_int(channel.remote_chanid)
        message.add_string("signal")
        message.add_boolean(False)
        message.add_string(name)
        client.get_transport()._send_user_message(message)
        print("paramiko", name, channel.recv(100), channel.recv_exit_status())
    client.close()


asyncio.run(with_asyncssh())
with_paramiko()
