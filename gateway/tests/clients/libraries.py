"""What the libraries see of statuses, terminals, files and forwards."""
import asyncio, os, socket, subprocess, sys

import asyncssh, paramiko

CONFIG, BOX = os.environ["CONFIG"], os.environ["BOX"]
options = dict(
    line.split(None, 1) for line in subprocess.run(["ssh", "-G", "-F", CONFIG, "box"], capture_output=True, text=True).stdout.splitlines() if " " in line
)
host, port, user = options["hostname"], int(options["port"]), options["user"]
key, known = options["identityfile"], options["userknownhostsfile"]


async def with_asyncssh():
    async with asyncssh.connect(host, port, username=user, client_keys=[key], known_hosts=known, config=None, keepalive_interval=1) as connection:
        done = await connection.run("echo out; echo err >&2; exit 7")
        print(repr(done.stdout), repr(done.stderr), done.exit_status)
        done = await connection.run("kill -KILL $$")
        print(done.exit_signal, done.exit_status)
        done = await connection.run("stty size; echo $TERM", term_type="vt100", term_size=(90, 20))
        print(repr(done.stdout), done.exit_status)
        results = await asyncio.gather(*(connection.run(f"cat; exit {n % 100}", input=str(n)) for n in range(60)))
        print([(r.stdout, r.exit_status) for r in results] == [(str(n), n % 100) for n in range(60)])
        big = os.urandom(4_000_000)
        done = await connection.run("cat", input=big, encoding=None)
        print(done.stdout == big)
        async with connection.start_sftp_client() as sftp:
            name = f"{BOX}/as\xff".encode("latin-1")
            async with sftp.open(name, "wb") as f:
                await f.write(big)
            print(await sftp.getsize(name), await sftp.exists(name), (await sftp.stat(name)).permissions & 0o170000)
            async with sftp.open(name, "rb") as f:
                print(await f.read() == big)
            await sftp.posix_rename(name, name + b"2")
            print(sorted(entry for entry in await sftp.listdir(BOX.encode()) if entry.startswith(b"as")))
            await sftp.remove(name + b"2")
            try:
                await sftp.stat(name)
            except asyncssh.SFTPError as e:
                print(e.code, e.reason)
        try:
            await connection.run("true", env={"EVIL": "1"})
        except Exception as e:
            print(type(e).__name__)
        listener = await connection.forward_remote_port("127.0.0.1", 0, "127.0.0.1", 9)
        print("remote port", listener.get_port() > 0)
        listener.close()
        await listener.wait_closed()


def with_paramiko():
    client = paramiko.SSHClient()
    client.load_host_keys(known)
    client.connect(host, port, username=user, key_filename=key, allow_agent=False, look_for_keys=False)
    # With no channel open: paramiko itself stalls when one is closed meanwhile.
    client.get_transport().renegotiate_keys()
    _, out, err = client.exec_command("echo out; echo err >&2; exit 6")
    print(out.read(), err.read(), out.channel.recv_exit_status())
    channel = client.invoke_shell(width=77, height=22)
    channel.send(b"stty size; exit 5\n")
    seen = b""
    while piece := channel.recv(65536):
        seen += piece
    print(b"22 77" in seen, channel.recv_exit_status())
    sftp = client.open_sftp()
    with sftp.open(f"{BOX}/pk", "wb") as f:
        f.set_pipelined(True)
        f.write(b"z" * 2_000_000)
    print(sftp.stat(f"{BOX}/pk").st_size, "pk" in sftp.listdir(BOX))
    with sftp.open(f"{BOX}/pk") as f:
        f.prefetch()
        print(f.read() == b"z" * 2_000_000)
    sftp.truncate(f"{BOX}/pk", 10)
    print(sftp.stat(f"{BOX}/pk").st_size)
    channel = client.get_transport().open_session()
    channel.exec_command("cat; echo end")
    channel.sendall(b"half")
    channel.shutdown_write()
    print(channel.makefile().read(), channel.recv_exit_status())
    channel = client.get_transport().open_session()
    try:
        channel.request_x11()
    except paramiko.SSHException:
        print("x11 refused")
    channel.close()
    client.close()
    for bad in {"username": "nobody-here"}, {"key_filename": None, "password": "x"}:
        stranger = paramiko.SSHClient()
        stranger.load_host_keys(known)
        arguments = {"username": user, "key_filename": key} | bad
        try:
            stranger.connect(host, port, allow_agent=False, look_for_keys=False, **arguments)
        except paramiko.SSHException as e:
            print(type(e).__name__)


asyncio.run(with_asyncssh())
with_paramiko()
sys.stdout.flush()
