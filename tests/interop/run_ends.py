"""A program that connects, and ends in a way of its own, for the case run-ends.

    run_ends.py HOW ADDRESS PORT     HOW: term, exit, return, exec; or that has no stack to connect with:
                                     unprivileged, taken
"""
import errno
import os
import signal
import socket
import subprocess
import sys
import time

MUCH = b"x" * 300_000


def main():
    how, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if how == "unprivileged":  # the TAP needs CAP_NET_ADMIN, which is gone by now
        os.setgid(65534)
        os.setuid(65534)
    if how == "taken":
        subprocess.run(["ip", "tuntap", "add", "dev", "weir0", "mode", "tap"], check=True)
    if how in ("unprivileged", "taken"):
        for _ in range(3):  # the reason is said once
            print(errno.errorcode.get(socket.socket().connect_ex((address, port))), flush=True)
        return 3
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
