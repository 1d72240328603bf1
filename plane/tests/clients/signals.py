"""Signals on request: sshd(8) takes none from root, so these have nothing to be compared with."""
import asyncio, os, subprocess

import asyncssh

CONFIG = os.environ["CONFIG"]
text = subprocess.run(["ssh", "-G", "-F", CONFIG, "box"], capture_output=True, text=True).stdout
options = dict(line.split(None, 1) for line in text.splitlines() if " " in line)


async def main():
    async with asyncssh.connect(
        options["hostname"],
        int(options["port"]),
        username=options["user"],
        client_keys=[options["identityfile"]],
        known_hosts=options["userknownhostsfile"],
        config=None,
    ) as connection:
        for name in "TERM", "INT", "USR1", "USR2", "HUP", "ALRM":
            command = f"trap 'echo got; exit 3' {name}; echo ready; while :; do sleep 0.1; done"
            process = await connection.create_process(command)
            await process.stdout.readline()
            process.send_signal(name)
            print(name, (await process.stdout.read()).strip(), (await process.wait()).exit_status)
        process = await connection.create_process("echo ready; sleep 60")
        await process.stdout.readline()
        process.send_signal("KILL")
        print((await process.wait()).exit_signal[0])


asyncio.run(main())
