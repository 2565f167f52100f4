"""The kernel's end of what run_calls.py asks: listeners and connections, held by number, told what to do
in lines of JSON over a UNIX socket. Never under `weir run`.

    run_calls_peer.py SOCKET
"""
import contextlib
import json
import socket
import struct
import sys
import threading
import time

PATIENCE = 20
IP_FREEBIND, IPV6_FREEBIND = 15, 78  # <linux/in.h>, <linux/in6.h>


class Peer:
    """Every method that a line may name: ["method", arguments...] -> its answer."""

    def __init__(self):
        self.held = {}

    def keep(self, s):
        s.settimeout(PATIENCE)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        self.held[s.fileno()] = s
        return s.fileno()

    def listen(self, address, backlog=128):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        s = socket.socket(family)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # The address comes with the TAP, which comes with the first connection.
        if family == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        else:
            s.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        s.bind((address, 0))
        s.listen(backlog)
        return [self.keep(s), s.getsockname()[1]]

    def accept(self, n):
        s, peer = self.held[n].accept()
        return [self.keep(s), peer[0], peer[1]]

    def connect(self, address, port):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        s = socket.socket(family)
        s.settimeout(PATIENCE)
        s.connect((address, port))
        return self.keep(s)

    def connect_many(self, address, port, count):
        """Each sends its number."""
        out = []
        for i in range(count):
            out.append(self.connect(address, port))
            self.held[out[-1]].sendall(struct.pack("!I", i))
        return out

    def connect_later(self, address, port, seconds):
        """A connection in a while, that sends one octet and is forgotten."""
        def later():
            time.sleep(seconds)
            s = socket.create_connection((address, port), PATIENCE)
            s.sendall(b"x")
            time.sleep(PATIENCE)
        threading.Thread(target=later, daemon=True).start()

    def send(self, n, text):
        self.held[n].sendall(text.encode())

    def send_much(self, n, octets):
        self.held[n].sendall(b"m" * octets)

    def send_later(self, n, text, seconds):
        threading.Timer(seconds, lambda: self.held[n].sendall(text.encode())).start()

    def recv(self, n, octets):
        out = b""
        while len(out) < octets:
            block = self.held[n].recv(octets - len(out))
            if not block:
                break
            out += block
        return out.decode()

    def end(self, n):
        """How the other side ended it, and how many octets came before."""
        octets = 0
        try:
            while block := self.held[n].recv(1 << 16):
                octets += len(block)
        except ConnectionResetError:
            return ["reset", octets]
        except TimeoutError:
            return ["still open", octets]
        return ["closed", octets]

    def echo(self, n):
        """Sends back what comes until it ends; on a thread."""
        def loop():
            s = self.held[n]
            with contextlib.suppress(OSError):
                while block := s.recv(1 << 16):
                    s.sendall(block)
                s.shutdown(socket.SHUT_WR)
        threading.Thread(target=loop, daemon=True).start()

    def shutdown(self, n):
        self.held[n].shutdown(socket.SHUT_WR)

    def reset(self, n):
        self.held[n].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close(n)

    def close(self, n):
        self.held.pop(n).close()

    def close_all(self):
        for n in list(self.held):
            self.close(n)


def main():
    peer = Peer()
    door = socket.socket(socket.AF_UNIX)
    door.bind(sys.argv[1])
    door.listen()
    while True:
        asked, _ = door.accept()
        with asked, asked.makefile("rw") as lines:
            for line in lines:
                name, *arguments = json.loads(line)
                try:
                    answer = getattr(peer, name)(*arguments)
                except OSError as e:
                    answer = {"error": str(e)}
                lines.write(json.dumps(answer) + "\n")
                lines.flush()
        peer.close_all()


if __name__ == "__main__":
    main()
