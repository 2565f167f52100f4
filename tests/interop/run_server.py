"""A server of processes that all accept on one listener, for the case run-attack.

    run_server.py ADDRESS PORT CHILDREN [DESCRIPTORS]     each connection is sent back its first octets;
                                                          DESCRIPTORS: the limit of each process
"""
import contextlib
import os
import resource
import select
import signal
import socket
import sys


def serve(listener):
    """Holds what it has accepted; a connection for which there is no descriptor waits."""
    held = {}
    while True:
        watched = [*held, listener] if len(held) < 40 or len(sys.argv) < 5 else list(held)
        for s in select.select(watched, [], [])[0]:
            with contextlib.suppress(OSError):
                if s is listener:
                    connection, _ = listener.accept()
                    held[connection] = True
                    continue
                text = b""
                with contextlib.suppress(OSError):
                    text = s.recv(1_000)
                    s.sendall(text)
                if not text:
                    del held[s]
                    s.close()


def main():
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((sys.argv[1], int(sys.argv[2])))
    listener.listen(1_024)
    listener.setblocking(False)
    if len(sys.argv) > 4:
        limit = int(sys.argv[4])
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    select.select([listener], [], [], 0)  # the stack is this process's, and its children use it
    children = []
    for _ in range(int(sys.argv[3])):
        pid = os.fork()
        if pid == 0:
            serve(listener)
        children.append(pid)
    print(*children, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if not children:
        serve(listener)
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(main())
