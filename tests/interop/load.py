"""Many connections of one request each, from one thread."""
import dataclasses
import select
import socket
import time
from typing import Optional

from harness import PATIENCE, VIP, Wrong


@dataclasses.dataclass
class Outcome:
    begun: float  # monotonic
    ended: float = 0.0
    error: Optional[str] = None
    body: bytes = b""


class Load:
    """Keeps `at_once` connections open until `total` are done, or until stop() is called. Each asks
    for `path` with Connection: close and reads to the end."""

    def __init__(self, total, at_once, path="/", keep_bodies=True, address=VIP):
        self.total, self.at_once, self.keep_bodies = total, at_once, keep_bodies
        self.address = (address, 80)
        self.request = ("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (
            path, "[%s]" % address if ":" in address else address)).encode()
        self.outcomes = []
        self.begun = 0
        self.stopping = False
        self.poll = select.epoll()
        self.open = {}

    def stop(self):
        self.stopping = True

    def octets_so_far(self):
        """Of each answer that is under way, its head included."""
        return [len(data) for _, _, data, _ in self.open.values()]

    def _begin(self):
        family = socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
        s = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.begun += 1
        outcome = Outcome(time.monotonic())
        try:
            s.connect(self.address)
        except BlockingIOError:
            pass
        except OSError as e:
            return self._done(s, outcome, str(e))
        self.open[s.fileno()] = [s, outcome, bytearray(), False]
        self.poll.register(s, select.EPOLLOUT)
        return None

    def _done(self, s, outcome, error, data=b""):
        outcome.ended = time.monotonic()
        outcome.error = error
        if error is None:
            head, split, body = bytes(data).partition(b"\r\n\r\n")
            length = [h for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:")]
            if not split or not head.startswith(b"HTTP/1.1 200 "):
                outcome.error = "answered %r" % head[:40]
            elif not length or int(length[0].split(b":")[1]) != len(body):
                outcome.error = "cut short after %d octets" % len(body)
            elif self.keep_bodies:
                outcome.body = body
        self.open.pop(s.fileno(), None)
        s.close()
        self.outcomes.append(outcome)

    def _on_event(self, fd):
        s, outcome, data, sent = self.open[fd]
        try:
            if not sent:
                error = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    raise OSError(error, "connect: errno %d" % error)
                s.send(self.request)
                self.open[fd][3] = True
                self.poll.modify(fd, select.EPOLLIN)
                return
            block = s.recv(1 << 18)
            if block:
                data += block
                return
        except BlockingIOError:
            return
        except OSError as e:
            self._done(s, outcome, str(e))
            return
        self._done(s, outcome, None, data)

    def run(self, each=None):
        """The outcomes. `each(self)` is called now and then; what it waits for, everything does."""
        moved = time.monotonic()
        while self.open or (self.begun < self.total and not self.stopping):
            while (len(self.open) < self.at_once and self.begun < self.total and
                   not self.stopping):
                self._begin()
            events = self.poll.poll(0.05)
            for fd, _ in events:
                if fd in self.open:
                    self._on_event(fd)
            if events:
                moved = time.monotonic()
            elif time.monotonic() - moved > PATIENCE:
                raise Wrong("%d connections hang; %d are done" % (len(self.open),
                                                                  len(self.outcomes)))
            if each:
                each(self)
        return self.outcomes
