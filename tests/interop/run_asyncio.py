"""asyncio as a server and as a client, for the case run-python.

    run_asyncio.py serve ADDRESS PORT        echoes until SIGTERM
    run_asyncio.py ask ADDRESS PORT KIND     40 echoes at once, every other over the kernel's loopback;
                                             KIND of selector: epoll, poll or select
"""
import asyncio
import selectors
import signal
import sys


async def echo(reader, writer):
    while block := await reader.read(1 << 16):
        writer.write(block)
        await writer.drain()
    writer.close()


async def serve(address, port):
    server = await asyncio.start_server(echo, address, port, backlog=256)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with server:
        await ended.wait()


async def one(address, port, size):
    reader, writer = await asyncio.open_connection(address, port)
    text = bytes([size % 251]) * size
    writer.write(text)
    writer.write_eof()
    got = await reader.read()
    writer.close()
    return got == text


async def ask(address, port):
    return sum(await asyncio.gather(*(
        one(address if i % 2 else "127.0.0.1", port, i * 10_000) for i in range(40))))


def main():
    what, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if what == "serve":
        asyncio.run(serve(address, port))
        return 0
    kinds = {"epoll": selectors.EpollSelector, "poll": selectors.PollSelector,
             "select": selectors.SelectSelector}
    loop = asyncio.SelectorEventLoop(kinds[sys.argv[4]]())
    good = loop.run_until_complete(asyncio.wait_for(ask(address, port), 30))
    loop.close()
    print("%d echoes, half of them Weir's" % good)
    return 0


if __name__ == "__main__":
    sys.exit(main())
