"""A program that connects, and ends in a way of its own, for the case run-ends.

    run_ends.py HOW ADDRESS PORT     HOW: term, abort, exit, return, exec
"""
import os
import signal
import socket
import sys
import time

MUCH = b"x" * 300_000


def main():
    how, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    s = socket.create_connection((address, port))
    if how == "term":
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    if how == "exit":
        s.sendall(MUCH)
        os._exit(7)
    if how == "return":
        s.sendall(MUCH)
    if how == "exec":  # the stack ends with the process image: the connection must say so
        os.dup2(s.fileno(), 0)
        os.execv("/bin/cat", ["cat"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
