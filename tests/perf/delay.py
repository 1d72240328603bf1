"""Forwards TCP connections on loopback with a round trip of so many milliseconds: delay.py LISTEN_PORT PORT MILLISECONDS"""

import asyncio
import socket
import sys


async def main(listen, port, one_way):
    async def carry(reader, writer):
        """Each piece leaves `one_way` seconds after it came, in order, however many are on their way."""
        loop, on_the_way = asyncio.get_running_loop(), asyncio.Queue(maxsize=4096)

        async def deliver():
            while True:
                due, piece = await on_the_way.get()
                await asyncio.sleep(max(0, due - loop.time()))
                if not piece:
                    writer.write_eof()
                    return
                writer.write(piece)
                await writer.drain()

        delivery = asyncio.create_task(deliver())
        try:
            while piece := await reader.read(1 << 16):
                await on_the_way.put((loop.time() + one_way, piece))
            await on_the_way.put((loop.time() + one_way, b""))
            await delivery
        except OSError:
            delivery.cancel()

    async def serve(reader, writer):
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        for end in (writer, there_writer):
            end.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.gather(carry(reader, there_writer), carry(there_reader, writer))
        writer.close()
        there_writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", listen)
    await server.serve_forever()


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 2000))
