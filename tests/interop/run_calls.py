"""A program that makes the socket calls one by one and checks values, errno and readiness against what
Linux gives. The case run-calls starts it under `weir run`, and once on the kernel's own sockets: what
it expects must hold there too.

    run_calls.py PEER OWN FAR [OWN6 FAR6] [--only NAME]
                                 PEER: run_calls_peer.py's socket; OWN: this program's address;
                                 FAR: the peer's

Prints a line per check that failed, then `N passed, N failed`.
"""
import array
import contextlib
import ctypes
import errno
import faulthandler
import fcntl
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import tempfile
import termios
import threading
import time

LIBC = ctypes.CDLL(None, use_errno=True)
SIOCOUTQ = 0x5411
TCP_USER_TIMEOUT, TCP_ULP, SO_ZEROCOPY = 18, 31, 60
STATE = {"established": 1, "fin-wait-2": 5, "close-wait": 8, "listen": 10}
LIMIT = 20  # seconds for a check; only a hang takes that long
CHECKS = []


class Wrong(Exception):
    """A value is not what Linux gives."""


def check(function):
    CHECKS.append(function)
    return function


def same(what, got, wanted):
    if got != wanted:
        raise Wrong("%s: %r, wanted %r" % (what, got, wanted))


def errno_of(call, *arguments):
    try:
        call(*arguments)
    except OSError as e:
        return errno.errorcode.get(e.errno, e.errno)
    return "no error"


def within(what, condition, limit=5.0):
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise Wrong(what + ": never")
        time.sleep(0.005)


class Far:
    """The peer: a method of run_calls_peer.py by its name."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.lines = self.socket.makefile("rw")

    def ask(self, name, *arguments):
        self.lines.write(json.dumps([name, *arguments]) + "\n")
        self.lines.flush()
        answer = json.loads(self.lines.readline())
        if isinstance(answer, dict):
            raise Wrong("the peer's %s: %s" % (name, answer["error"]))
        return answer


class Place:
    """Who is where, and the usual ways to a connection."""

    def __init__(self, far, own, far_address):
        self.far, self.own, self.far_address = far, own, far_address
        self.family = socket.AF_INET6 if ":" in own else socket.AF_INET
        self.listener, self.port = far.ask("listen", far_address)

    def socket(self):
        return socket.socket(self.family)

    def to_peer(self):
        return (self.far_address, self.port)

    def connected(self):
        """A connection that this program opened, and the peer's number of it."""
        s = self.socket()
        s.connect(self.to_peer())
        return s, self.far.ask("accept", self.listener)[0]

    def listening(self, address=None, backlog=128):
        s = self.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((self.own if address is None else address, 0))
        s.listen(backlog)
        return s

    def accepted(self, listener=None):
        """A connection that the peer opened, and its number of it."""
        one = listener or self.listening()
        n = self.far.ask("connect", self.own, one.getsockname()[1])
        s, _ = one.accept()
        if listener is None:
            one.close()
        return s, n

    def end(self, n):
        return self.far.ask("end", n)


def events_of(s, wait=2_000, wanted=select.POLLIN | select.POLLOUT | select.POLLPRI):
    p = select.poll()
    p.register(s, wanted)
    got = p.poll(wait)
    return got[0][1] if got else 0


def error_of(s):
    return s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def state_of(s):
    return s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)[0]


def child(function):
    """Forks; the child's exit code is 0 when `function` returns."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            function()
            code = 0
        except BaseException as e:  # pylint: disable=broad-except
            os.write(2, ("in the child: %r\n" % e).encode())
        os._exit(code)
    return pid


REAPED = {}


def reaped(pid):
    got, status = os.waitpid(pid, os.WNOHANG)
    if got:
        REAPED[pid] = os.waitstatus_to_exitcode(status)
    return bool(got)


def child_is_well(pid):
    within("the child ends", lambda: reaped(pid))
    same("the child's exit code", REAPED.pop(pid), 0)


def full_listener(place):
    """A port of the peer's that answers no SYN: its queue is full."""
    n, port = place.far.ask("listen", place.far_address, 0)
    for _ in range(3):
        s = place.socket()
        s.setblocking(False)
        s.connect_ex((place.far_address, port))
        place.full = getattr(place, "full", []) + [s]
    time.sleep(0.1)
    return n, port


# -- connect ---------------------------------------------------------------------------------------


@check
def connect_nonblocking(place):
    s = place.socket()
    s.setblocking(False)
    same("connect", errno_of(s.connect, place.to_peer()), "EINPROGRESS")
    same("poll", events_of(s), select.POLLOUT)
    same("SO_ERROR", error_of(s), 0)
    n = place.far.ask("accept", place.listener)[0]
    s.send(b"hello")
    same("the peer's text", place.far.ask("recv", n, 5), "hello")
    s.connect_ex(place.to_peer())  # Linux: 0 once, then EISCONN
    same("connect again", errno_of(s.connect, place.to_peer()), "EISCONN")


@check
def connect_twice_while_it_goes_on(place):
    _, port = full_listener(place)
    s = place.socket()
    s.setblocking(False)
    same("connect", errno_of(s.connect, (place.far_address, port)), "EINPROGRESS")
    same("connect again", errno_of(s.connect, (place.far_address, port)), "EALREADY")
    same("poll", events_of(s, 0), 0)
    same("getpeername", errno_of(s.getpeername), "ENOTCONN")
    same("own address", s.getsockname()[0], place.own)


@check
def connect_refused(place):
    n, port = place.far.ask("listen", place.far_address)
    place.far.ask("close", n)
    s = place.socket()
    same("connect", errno_of(s.connect, (place.far_address, port)), "ECONNREFUSED")


@check
def connect_refused_nonblocking(place):
    n, port = place.far.ask("listen", place.far_address)
    place.far.ask("close", n)
    s = place.socket()
    s.setblocking(False)
    same("connect", errno_of(s.connect, (place.far_address, port)), "EINPROGRESS")
    seen = events_of(s)
    same("POLLERR and POLLHUP", seen & (select.POLLERR | select.POLLHUP),
         select.POLLERR | select.POLLHUP)
    same("SO_ERROR", error_of(s), errno.ECONNREFUSED)
    same("SO_ERROR, then", error_of(s), 0)


@check
def connect_with_sndtimeo(place):
    _, port = full_listener(place)
    s = place.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 200_000))
    start = time.monotonic()
    same("connect", errno_of(s.connect, (place.far_address, port)), "EINPROGRESS")
    same("not before its time", time.monotonic() - start > 0.15, True)


@check
def connect_with_user_timeout(place):
    _, port = full_listener(place)
    s = place.socket()
    s.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, 800)
    same("connect", errno_of(s.connect, (place.far_address, port)), "ETIMEDOUT")


@check
def connect_unreachable_family(place):
    s = place.socket()
    other = ("10.99.0.1", 1) if place.family == socket.AF_INET6 else None
    if other:
        return
    address = struct.pack("=HH4s8x", socket.AF_UNIX, 1, b"\x0a\x63\x00\x01")
    same("connect to AF_UNIX", LIBC.connect(s.fileno(), address, len(address)), -1)
    same("errno", errno.errorcode[ctypes.get_errno()] in ("EAFNOSUPPORT", "EINVAL"), True)


# -- names ------------------------------------------------------------------------------------------


@check
def names_of_client(place):
    s = place.socket()
    same("unbound", s.getsockname()[1], 0)
    same("peer of an unconnected one", errno_of(s.getpeername), "ENOTCONN")
    s.bind((place.own, 0))
    bound = s.getsockname()
    same("bound to a port", bound[0] == place.own and bound[1] > 0, True)
    same("bind twice", errno_of(s.bind, (place.own, 0)), "EINVAL")
    s.connect(place.to_peer())
    n, address, port = place.far.ask("accept", place.listener)
    same("as the peer sees it", (address, port), bound[:2])
    same("connected", s.getsockname()[:2], bound[:2])
    same("its peer", s.getpeername()[:2], place.to_peer())
    place.far.ask("close", n)
    same("end", s.recv(1), b"")
    same("its peer, after the end", s.getpeername()[:2], place.to_peer())


@check
def names_of_server(place):
    listener = place.listening()
    same("peer of a listener", errno_of(listener.getpeername), "ENOTCONN")
    name = listener.getsockname()
    n = place.far.ask("connect", place.own, name[1])
    same("listener readable", events_of(listener) & select.POLLIN, select.POLLIN)
    s, peer = listener.accept()
    same("accepted", s.getsockname()[:2], name[:2])
    same("its peer", s.getpeername(), peer)
    same("the peer's address", peer[0], place.far_address)
    same("listener's name, after", listener.getsockname(), name)
    place.far.ask("close", n)


@check
def accept_flags(place):
    listener = place.listening()
    for flags, nonblocking, cloexec in ((0, 0, 0), (os.O_NONBLOCK, 1, 0), (os.O_CLOEXEC, 0, 1),
                                        (os.O_NONBLOCK | os.O_CLOEXEC, 1, 1)):
        place.far.ask("connect", place.own, listener.getsockname()[1])
        fd = LIBC.accept4(listener.fileno(), None, None, flags)
        same("O_NONBLOCK", bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK), bool(nonblocking))
        same("FD_CLOEXEC", fcntl.fcntl(fd, fcntl.F_GETFD), cloexec)
        os.close(fd)
    listener.setblocking(False)
    same("accept of nothing", errno_of(listener.accept), "EAGAIN")
    same("accept of no listener", errno_of(place.socket().accept), "EINVAL")
    connection, _ = place.connected()
    same("accept of a connection", errno_of(connection.accept), "EINVAL")
    same("accept4 with a flag that is none",
         LIBC.accept4(listener.fileno(), None, None, 0x40000000), -1)
    same("its errno", errno.errorcode[ctypes.get_errno()], "EINVAL")


@check
def ports(place):
    one = place.listening()
    port = one.getsockname()[1]
    same("listener readable", events_of(one, 0), 0)
    two = place.socket()

    def both():
        two.bind((place.own, port))
        two.listen()
    same("bind and listen of a port in use", errno_of(both), "EADDRINUSE")
    one.close()
    three = place.socket()
    three.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    three.bind((place.own, port))
    three.listen()
    place.far.ask("connect", place.own, port)
    three.accept()[0].close()
    three.close()
    four = place.socket()
    four.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    same("bound again", errno_of(four.bind, (place.own, port)), "no error")
    same("an address that is nobody's", errno_of(place.socket().bind, (
        "192.0.2.7" if place.family == socket.AF_INET else "2001:db8::7", 0)), "EADDRNOTAVAIL")


@check
def listen_of_connected(place):
    s, _ = place.connected()
    same("listen", errno_of(s.listen), "EINVAL")
    same("bind", errno_of(s.bind, (place.own, 0)), "EINVAL")
    same("connect", errno_of(s.connect, place.to_peer()), "EISCONN")
    listener = place.listening()
    events_of(listener, 0)
    same("connect of a listener", errno_of(listener.connect, place.to_peer()), "EISCONN")
    same("listen again", errno_of(listener.listen, 5), "no error")


# -- ends -------------------------------------------------------------------------------------------


@check
def close_is_fin(place):
    for s, n in (place.connected(), place.accepted()):
        s.send(b"last words")
        s.close()
        same("the peer sees", place.end(n), ["closed", 10])


@check
def linger_zero_is_reset(place):
    for s, n in (place.connected(), place.accepted()):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
        same("the peer sees", place.end(n)[0], "reset")


@check
def unread_text_is_reset(place):
    s, n = place.connected()
    place.far.ask("send", n, "nobody reads this")
    events_of(s, wanted=select.POLLIN)
    s.close()
    same("the peer sees", place.end(n)[0], "reset")


@check
def reset_by_peer(place):
    s, n = place.accepted()
    place.far.ask("reset", n)
    seen = events_of(s, wanted=select.POLLIN)
    within("POLLERR and POLLHUP", lambda: events_of(s, 0) & (select.POLLERR | select.POLLHUP) == (
        select.POLLERR | select.POLLHUP))
    same("poll: POLLIN", seen & select.POLLIN, select.POLLIN)
    same("recv", errno_of(s.recv, 1), "ECONNRESET")
    same("recv, then", s.recv(1), b"")
    same("send, then", errno_of(s.send, b"x"), "EPIPE")


@check
def reset_by_peer_as_error(place):
    s, n = place.connected()
    place.far.ask("reset", n)
    within("POLLERR", lambda: events_of(s, 0) & select.POLLERR)
    same("SO_ERROR", error_of(s), errno.ECONNRESET)
    same("SO_ERROR, then", error_of(s), 0)


@check
def reset_wakes_reader_and_writer(place):
    s, n = place.connected()
    seen = []
    reader = threading.Thread(target=lambda: seen.append(errno_of(s.recv, 1)))
    reader.start()
    time.sleep(0.05)
    place.far.ask("reset", n)
    reader.join(5)
    same("recv", seen, ["ECONNRESET"])


@check
def write_to_who_is_gone(place):
    s, n = place.connected()
    place.far.ask("close", n)
    same("end", s.recv(1), b"")

    def writes():
        for _ in range(100):
            s.send(b"x")
            time.sleep(0.01)
    same("send", errno_of(writes) in ("EPIPE", "ECONNRESET"), True)


@check
def half_close(place):
    for s, n in (place.connected(), place.accepted()):
        s.shutdown(socket.SHUT_WR)
        same("the peer sees", place.end(n), ["closed", 0])
        same("send", errno_of(s.send, b"x"), "EPIPE")
        within("FIN-WAIT-2", lambda s=s: state_of(s) == STATE["fin-wait-2"])
        place.far.ask("send", n, "still here")
        same("its text", s.recv(10, socket.MSG_WAITALL), b"still here")
        place.far.ask("close", n)
        same("its end", s.recv(1), b"")


@check
def half_close_by_peer(place):
    for s, n in (place.connected(), place.accepted()):
        place.far.ask("send", n, "abc")
        place.far.ask("shutdown", n)
        same("poll", events_of(s, wanted=select.POLLIN | select.POLLRDHUP) & select.POLLIN,
             select.POLLIN)
        within("POLLRDHUP", lambda s=s: events_of(s, 0, select.POLLRDHUP) & select.POLLRDHUP)
        same("its text", s.recv(10), b"abc")
        same("its end", s.recv(10), b"")
        same("its end, again", s.recv(10), b"")
        same("state", state_of(s), STATE["close-wait"])
        same("no POLLHUP", events_of(s, 0), select.POLLIN | select.POLLOUT)
        s.send(b"answer")
        same("the answer", place.far.ask("recv", n, 6), "answer")
        s.close()
        same("the end", place.end(n), ["closed", 0])


@check
def shut_rd(place):
    s, n = place.connected()
    s.shutdown(socket.SHUT_RD)
    same("recv", s.recv(10), b"")
    s.send(b"one way")
    same("the peer's text", place.far.ask("recv", n, 7), "one way")
    place.far.ask("send", n, "unheard")
    s.close()
    same("the peer sees an end", place.end(n)[0] in ("reset", "closed"), True)


@check
def shut_both(place):
    s, n = place.accepted()
    s.shutdown(socket.SHUT_RDWR)
    same("the peer sees", place.end(n), ["closed", 0])
    same("recv", s.recv(1), b"")
    same("send", errno_of(s.send, b"x"), "EPIPE")
    same("shutdown of an unconnected one", errno_of(place.socket().shutdown, socket.SHUT_WR),
         "ENOTCONN")


@check
def shutdown_of_listener_wakes(place):
    listener = place.listening()
    seen = []
    waiting = threading.Thread(target=lambda: seen.append(errno_of(listener.accept)))
    waiting.start()
    time.sleep(0.1)
    listener.shutdown(socket.SHUT_RD)
    waiting.join(5)
    same("accept", seen, ["EINVAL"])


# -- descriptors ------------------------------------------------------------------------------------


@check
def duplicates(place):
    s, n = place.connected()
    two = socket.socket(fileno=os.dup(s.fileno()))
    s.close()
    two.send(b"by the second")
    same("the peer's text", place.far.ask("recv", n, 13), "by the second")
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(two.fileno(), null)
    two.close()
    os.write(null, b"by the third")
    same("the peer's text", place.far.ask("recv", n, 12), "by the third")
    same("its peer", socket.socket(fileno=os.dup(null)).getpeername()[:2], place.to_peer())
    os.close(null)
    same("the end", place.end(n), ["closed", 0])


@check
def close_on_exec(place):
    s = place.socket()
    same("at first", s.get_inheritable(), False)
    s.connect(place.to_peer())
    same("connected", s.get_inheritable(), False)
    t = place.socket()
    t.set_inheritable(True)
    t.connect(place.to_peer())
    same("inheritable", t.get_inheritable(), True)
    one = place.listening()
    one.set_inheritable(True)
    events_of(one, 0)
    same("a listener", one.get_inheritable(), True)


@check
def fork_after_listen(place):
    listener = place.listening()

    def serve():
        s, _ = listener.accept()
        s.sendall(s.recv(4))
    pids = [child(serve) for _ in range(3)]
    events_of(listener, 0)
    for _ in pids:
        n = place.far.ask("connect", place.own, listener.getsockname()[1])
        place.far.ask("send", n, "ping")
        same("the answer", place.far.ask("recv", n, 4), "ping")
        same("the end", place.end(n), ["closed", 0])
    for pid in pids:
        child_is_well(pid)


@check
def fork_after_accept(place):
    s, n = place.accepted()

    def serve():
        same("its peer", s.getpeername()[0], place.far_address)
        s.sendall(s.recv(4))
    pid = child(serve)
    s.close()
    place.far.ask("send", n, "ping")
    same("the answer", place.far.ask("recv", n, 4), "ping")
    same("the end", place.end(n), ["closed", 0])
    child_is_well(pid)


@check
def child_connects(place):
    def go():
        s = place.socket()
        s.connect(place.to_peer())
        s.sendall(b"from the child")
        same("own address", s.getsockname()[0], place.own)
    pid = child(go)
    n = place.far.ask("accept", place.listener)[0]
    same("the child's text", place.end(n), ["closed", 14])
    child_is_well(pid)


@check
def descriptor_sent(place):
    s, n = place.connected()
    left, right = socket.socketpair()

    def go():
        _, fds, _, _ = socket.recv_fds(right, 1, 1)
        t = socket.socket(fileno=fds[0])
        same("its peer", t.getpeername()[:2], place.to_peer())
        t.sendall(b"by mail")
    pid = child(go)
    socket.send_fds(left, [b"x"], [s.fileno()])
    s.close()
    same("the text", place.end(n), ["closed", 7])
    child_is_well(pid)


@check
def exec_with_a_connection(place):
    s, n = place.accepted()

    def go():
        os.dup2(s.fileno(), 0)
        os.dup2(s.fileno(), 1)
        os.closerange(3, 1_000)
        os.execv("/bin/cat", ["cat"])
    pid = child(go)
    s.close()
    place.far.ask("send", n, "through cat")
    same("the answer", place.far.ask("recv", n, 11), "through cat")
    place.far.ask("shutdown", n)
    same("the end", place.end(n), ["closed", 0])
    child_is_well(pid)


@check
def descriptors_all_closed(place):
    """What the program closes is none of the stack thread's."""
    def go():
        LIBC.syscall(436, 3, 0x7fffffff, 0)  # close_range, behind everybody's back
        s = place.socket()
        s.connect(place.to_peer())
        s.sendall(b"still")
    pid = child(go)
    n = place.far.ask("accept", place.listener)[0]
    same("the child's text", place.end(n), ["closed", 5])
    child_is_well(pid)


@check
def no_descriptor_left(place):
    """EMFILE, and the connection waits for a better time."""
    listener = place.listening()
    events_of(listener, 0)
    n = place.far.ask("connect", place.own, listener.getsockname()[1])
    events_of(listener)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    filling = []
    try:
        with contextlib.suppress(OSError):
            while len(filling) < 5_000:
                filling.append(os.open("/dev/null", os.O_RDONLY))
        same("accept", errno_of(listener.accept), "EMFILE")
        same("socket", errno_of(place.socket), "EMFILE")
    finally:
        for fd in filling:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    s, _ = listener.accept()
    s.send(b"late")
    same("the text", place.far.ask("recv", n, 4), "late")


# -- text -------------------------------------------------------------------------------------------


@check
def threads_on_one_socket(place):
    s, n = place.connected()
    place.far.ask("echo", n)
    text = os.urandom(1 << 20)

    def write():
        s.sendall(text)
        s.shutdown(socket.SHUT_WR)
    writer = threading.Thread(target=write)
    writer.start()
    got = bytearray()
    while block := s.recv(1 << 16):
        got += block
    writer.join(5)
    same("the echo", bytes(got) == text, True)


@check
def interrupted(place):
    s, _ = place.connected()
    listener = place.listening()
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    try:
        room = ctypes.create_string_buffer(1)
        for what, call in (("recv", lambda: LIBC.recv(s.fileno(), room, 1, 0)),
                           ("accept", lambda: LIBC.accept(listener.fileno(), None, None))):
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            same(what, call(), -1)
            same(what + "'s errno", errno.errorcode[ctypes.get_errno()], "EINTR")
    finally:
        signal.signal(signal.SIGALRM, before)


@check
def receive_times_out(place):
    s, n = place.connected()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 100_000))
    start = time.monotonic()
    same("recv", errno_of(s.recv, 1), "EAGAIN")
    same("not before its time", time.monotonic() - start > 0.08, True)
    same("the option", struct.unpack("ll", s.getsockopt(
        socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16))[1] > 90_000, True)
    listener = place.listening()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 100_000))
    same("accept", errno_of(listener.accept), "EAGAIN")
    place.far.ask("close", n)


@check
def send_times_out(place):
    s, _ = place.connected()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 100_000))

    def fill():
        for _ in range(4_000):
            s.send(b"x" * 65_536)
    same("send to who does not read", errno_of(fill), "EAGAIN")
    same("poll", events_of(s, 0), 0)


@check
def ways_to_receive(place):
    s, n = place.accepted()
    place.far.ask("send", n, "abcdef")
    same("MSG_PEEK", s.recv(3, socket.MSG_PEEK), b"abc")
    same("again", s.recv(3), b"abc")
    same("nothing with MSG_DONTWAIT", (s.recv(3), errno_of(
        s.recv, 1, socket.MSG_DONTWAIT)), (b"def", "EAGAIN"))
    place.far.ask("send_later", n, "456", 0.1)
    place.far.ask("send", n, "123")
    same("MSG_WAITALL", s.recv(6, socket.MSG_WAITALL), b"123456")
    place.far.ask("send", n, "gather")
    one, two = bytearray(2), bytearray(4)
    within("all there", lambda: len(s.recv(9, socket.MSG_PEEK)) == 6)
    same("recvmsg", s.recvmsg_into([one, two])[0], 6)
    same("its parts", (bytes(one), bytes(two)), (b"ga", b"ther"))
    s.sendmsg([b"sca", b"tter"])
    same("sendmsg", place.far.ask("recv", n, 7), "scatter")


@check
def files_and_pipes(place):
    s, n = place.connected()
    with tempfile.TemporaryFile() as f:
        f.write(b"f" * 100_000)
        f.flush()
        sent = 0
        while sent < 100_000:
            sent += os.sendfile(s.fileno(), f.fileno(), sent, 100_000 - sent)
    same("sendfile", place.far.ask("recv", n, 100_000), "f" * 100_000)
    out, into = os.pipe()
    os.write(into, b"from a pipe")
    same("splice to it", os.splice(out, s.fileno(), 11), 11)
    same("the peer's text", place.far.ask("recv", n, 11), "from a pipe")
    place.far.ask("send", n, "to a pipe")
    events_of(s, wanted=select.POLLIN)
    same("splice from it", os.splice(s.fileno(), into, 9), 9)
    same("the pipe's text", os.read(out, 20), b"to a pipe")
    os.close(out)
    os.close(into)


@check
def urgent_text_is_not_lost(place):
    s, n = place.connected()
    for text in (b"x", b"abc", b"d"):
        s.send(text, socket.MSG_OOB)
        s.send(b"yz")
    same("the peer's text", place.far.ask("recv", n, 11), "xyzabcyzdyz")
    s.close()
    same("the peer sees", place.end(n), ["closed", 0])


@check
def queues(place):
    def count(s, what):
        room = array.array("i", [-1])
        fcntl.ioctl(s.fileno(), what, room)
        return room[0]
    s, n = place.connected()
    same("FIONREAD", count(s, termios.FIONREAD), 0)
    place.far.ask("send", n, "12345")
    within("FIONREAD of 5", lambda: count(s, termios.FIONREAD) == 5)
    s.recv(5)
    s.send(b"x" * 1_000)
    within("SIOCOUTQ comes to 0", lambda: count(s, SIOCOUTQ) == 0)


# -- readiness --------------------------------------------------------------------------------------


@contextlib.contextmanager
def kernels_own():
    """Sockets and pipes of the kernel's, beside Weir's in the same set."""
    out, into = os.pipe()
    listener = socket.create_server(("127.0.0.1", 0))
    one = socket.create_connection(listener.getsockname())
    two, _ = listener.accept()
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 0))
    try:
        yield out, into, one, two, datagrams
    finally:
        os.close(out)
        os.close(into)
        for s in (listener, one, two, datagrams):
            s.close()


@check
def mixed_poll_and_select(place):
    s, n = place.connected()
    with kernels_own() as (out, into, one, two, datagrams):
        readers = [s, out, two, datagrams]
        same("select of nothing", select.select(readers, [], [], 0.05)[0], [])
        place.far.ask("send_later", n, "w", 0.05)
        same("select of Weir's", select.select(readers, [], [], 2)[0], [s])
        one.send(b"k")
        os.write(into, b"p")
        datagrams.sendto(b"d", datagrams.getsockname())
        same("select of all", select.select(readers, [], [], 2)[0], readers)
        p = select.poll()
        for r in readers:
            p.register(r, select.POLLIN)
        same("poll of all", len(p.poll(2_000)), 4)
        same("writable", select.select([], [s, into, one], [], 2)[1], [s, into, one])


@check
def epoll_level(place):
    s, n = place.accepted()
    with kernels_own() as (out, into, one, two, _), select.epoll() as e:
        for r in (s.fileno(), out, two.fileno()):
            e.register(r, select.EPOLLIN)
        same("nothing", e.poll(0.05), [])
        place.far.ask("send", n, "ab")
        same("Weir's", e.poll(2), [(s.fileno(), select.EPOLLIN)])
        s.recv(1)
        same("level", e.poll(2), [(s.fileno(), select.EPOLLIN)])
        s.recv(1)
        same("none left", e.poll(0), [])
        one.send(b"k")
        os.write(into, b"p")
        place.far.ask("send", n, "c")
        within("all three", lambda: len(e.poll(2)) == 3)
        e.modify(s.fileno(), select.EPOLLOUT)
        same("modified", dict(e.poll(2))[s.fileno()], select.EPOLLOUT)
        e.unregister(s.fileno())
        same("unregistered", s.fileno() in dict(e.poll(0)), False)


@check
def epoll_edge(place):
    s, n = place.connected()
    with select.epoll() as e:
        e.register(s, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET | select.EPOLLRDHUP)
        same("writable", e.poll(2), [(s.fileno(), select.EPOLLOUT)])
        same("told once", e.poll(0.05), [])
        place.far.ask("send", n, "ab")
        within("readable", lambda: dict(e.poll(0.1)).get(s.fileno(), 0) & select.EPOLLIN)
        same("told once", e.poll(0.05), [])
        place.far.ask("send", n, "cd")
        within("a new edge", lambda: dict(e.poll(0.1)).get(s.fileno(), 0) & select.EPOLLIN)
        s.setblocking(False)
        s.recv(10)
        with contextlib.suppress(BlockingIOError):
            for _ in range(4_000):
                s.send(b"x" * 65_536)
        e.poll(0)
        place.far.ask("echo", n)

        def room():
            with contextlib.suppress(BlockingIOError):
                while s.recv(1 << 20):
                    pass
            return dict(e.poll(0.1)).get(s.fileno(), 0) & select.EPOLLOUT
        within("an edge of room", room)


@check
def epoll_oneshot(place):
    s, n = place.connected()
    with select.epoll() as e:
        e.register(s, select.EPOLLIN | select.EPOLLONESHOT)
        place.far.ask("send", n, "a")
        same("once", e.poll(2), [(s.fileno(), select.EPOLLIN)])
        same("disarmed", e.poll(0.05), [])
        e.modify(s, select.EPOLLIN | select.EPOLLONESHOT)
        same("armed again", e.poll(2), [(s.fileno(), select.EPOLLIN)])


@check
def epoll_before_connect(place):
    with select.epoll() as e:
        s = place.socket()
        s.setblocking(False)
        e.register(s, select.EPOLLOUT | select.EPOLLIN | select.EPOLLET)
        e.poll(0)
        s.connect_ex(place.to_peer())
        within("writable", lambda: dict(e.poll(0.1)).get(s.fileno(), 0) & select.EPOLLOUT)
        n = place.far.ask("accept", place.listener)[0]
        place.far.ask("send", n, "x")
        within("readable", lambda: dict(e.poll(0.1)).get(s.fileno(), 0) & select.EPOLLIN)
        e.unregister(s)
        same("not there twice", errno_of(e.unregister, s), "ENOENT")


@check
def epoll_of_listener(place):
    listener = place.listening()
    listener.setblocking(False)
    with select.epoll() as e:
        e.register(listener, select.EPOLLIN | select.EPOLLET)
        same("nothing", e.poll(0.05), [])
        for _ in range(3):
            place.far.ask("connect", place.own, listener.getsockname()[1])
        same("an edge", e.poll(2), [(listener.fileno(), select.EPOLLIN)])
        taken = []

        def all_three():
            with contextlib.suppress(BlockingIOError):
                while True:
                    taken.append(listener.accept()[0])
            return len(taken) == 3
        within("three connections", all_three)


@check
def wildcard_has_the_kernels_too(place):
    any_address = "::" if place.family == socket.AF_INET6 else "0.0.0.0"
    listener = place.listening(any_address)
    port = listener.getsockname()[1]
    same("nothing", events_of(listener, 0), 0)
    near = socket.create_connection(("127.0.0.1" if place.family == socket.AF_INET else "::1", port))
    s, peer = listener.accept()
    same("the kernel's", peer[:2], near.getsockname()[:2])
    same("its name", s.getsockname()[:2], near.getpeername()[:2])
    near.send(b"hi")
    same("its text", s.recv(2), b"hi")
    n = place.far.ask("connect", place.own, port)
    t, peer = listener.accept()
    same("the peer's", (peer[0], t.getsockname()[0]), (place.far_address, place.own))
    place.far.ask("close", n)
    near.close()


# -- options ----------------------------------------------------------------------------------------


@check
def what_it_is(place):
    def all_of(s):
        return [s.getsockopt(socket.SOL_SOCKET, o) for o in (
            socket.SO_TYPE, socket.SO_DOMAIN, socket.SO_PROTOCOL, socket.SO_ACCEPTCONN)]
    wanted = [socket.SOCK_STREAM, place.family, socket.IPPROTO_TCP]
    same("unconnected", all_of(place.socket()), wanted + [0])
    listener = place.listening()
    same("listening", all_of(listener), wanted + [1])
    events_of(listener, 0)
    same("listening, later", all_of(listener), wanted + [1])
    for s, _ in (place.connected(), place.accepted()):
        same("connected", all_of(s), wanted + [0])


@check
def tcp_info(place):
    s, n = place.connected()
    same("state", state_of(s), STATE["established"])
    s.send(b"x" * 10_000)
    place.far.ask("recv", n, 10_000)
    info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    rtt, = struct.unpack_from("I", info, 68)
    same("a round trip", 0 < rtt < 5_000_000, True)
    mss, = struct.unpack_from("I", info, 16)
    same("the MSS", mss > 500, True)
    listener = place.listening()
    events_of(listener, 0)
    same("a listener", state_of(listener), STATE["listen"])


@check
def options(place):
    before = place.socket()
    before.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    before.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    before.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 77)
    before.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 900)
    before.connect(place.to_peer())
    n = place.far.ask("accept", place.listener)[0]

    def of(level, name):
        return before.getsockopt(level, name)
    same("TCP_NODELAY", of(socket.IPPROTO_TCP, socket.TCP_NODELAY), 1)
    same("SO_KEEPALIVE", of(socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1)
    same("TCP_KEEPIDLE", of(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), 77)
    same("TCP_MAXSEG", 800 <= of(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= 900, True)
    before.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
    same("TCP_CONGESTION", before.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)[:4],
         b"reno")
    same("an algorithm that is none", errno_of(
        before.setsockopt, socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"wishful"), "ENOENT")
    before.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    before.send(b"half ")
    before.send(b"of it")
    before.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
    same("corked text", place.far.ask("recv", n, 10), "half of it")
    before.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 50_000)
    same("SO_SNDBUF", of(socket.SOL_SOCKET, socket.SO_SNDBUF), 100_000)
    same("an option that is none", errno_of(before.setsockopt, socket.IPPROTO_TCP, 250, 1),
         "ENOPROTOOPT")
    same("SO_REUSEADDR", of(socket.SOL_SOCKET, socket.SO_REUSEADDR), 0)


def under_weir():
    return "WEIR_RUN" in os.environ


@check
def what_is_not_covered_says_so(place):
    """The errors of docs/run.md's table; on the kernel's sockets there is nothing to see."""
    if not under_weir():
        return
    same("io_uring_setup", LIBC.syscall(425, 1, 0), -1)
    same("its errno", errno.errorcode[ctypes.get_errno()], "EPERM")
    s = place.socket()
    same("MSG_FASTOPEN", errno_of(s.sendto, b"x", socket.MSG_FASTOPEN, place.to_peer()),
         "ENOTSUP")
    s.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
    same("connect with SO_ZEROCOPY", errno_of(s.connect, place.to_peer()), "ENOPROTOOPT")
    t = place.socket()
    t.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    same("connect with SO_BINDTODEVICE", errno_of(t.connect, place.to_peer()), "EINVAL")
    u, _ = place.connected()
    same("TCP_ULP", errno_of(u.setsockopt, socket.IPPROTO_TCP, TCP_ULP, b"tls\0"), "ENOPROTOOPT")
    same("recv of MSG_OOB", errno_of(u.recv, 1, socket.MSG_OOB), "EINVAL")
    v = socket.socket(place.family, socket.SOCK_DGRAM)
    v.bind(("::" if place.family == socket.AF_INET6 else "0.0.0.0", 0))
    same("UDP, of the kernel's", v.getsockname()[1] > 0, True)


@check
def many_at_once(place):
    """1,000 connections, half of them each way."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8_192), hard))
    listener = place.listening(backlog=1_024)
    events_of(listener, 0)
    numbers = place.far.ask("connect_many", place.own, listener.getsockname()[1], 500)
    taken = [listener.accept()[0] for _ in numbers]
    same("all of them", sorted(struct.unpack("!I", s.recv(4))[0] for s in taken),
         list(range(500)))
    made = [place.connected() for _ in range(500)]
    for s, _ in made:
        s.send(b"hello")
    for _, n in made:
        same("text", place.far.ask("recv", n, 5), "hello")
    for s in taken + [s for s, _ in made]:
        s.close()
    same("the first's end", place.end(numbers[0]), ["closed", 0])
    same("the last's end", place.end(made[-1][1]), ["closed", 0])
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@check
def mapped_addresses(place):
    if place.family == socket.AF_INET6:
        return
    s = socket.socket(socket.AF_INET6)
    s.connect(("::ffff:" + place.far_address, place.port))
    n = place.far.ask("accept", place.listener)[0]
    same("own address", s.getsockname()[0], "::ffff:" + place.own)
    same("its peer", s.getpeername()[:2], ("::ffff:" + place.far_address, place.port))
    s.send(b"mapped")
    same("text", place.far.ask("recv", n, 6), "mapped")
    listener = socket.socket(socket.AF_INET6)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind(("::", 0))
    listener.listen()
    same("nothing yet", events_of(listener, 0), 0)
    place.far.ask("connect", place.own, listener.getsockname()[1])
    same("a mapped peer", listener.accept()[1][0], "::ffff:" + place.far_address)


def main():
    words = sys.argv[1:]
    only = None
    if "--only" in words:
        at = words.index("--only")
        only = words[at + 1]
        del words[at:at + 2]
    far = Far(words[0])
    passed = failed = 0
    for own, far_address in zip(words[1::2], words[2::2]):
        for function in CHECKS:
            if only not in (None, function.__name__):
                continue
            faulthandler.dump_traceback_later(LIMIT, exit=True)
            try:
                function(Place(far, own, far_address))
                passed += 1
            except Exception as e:  # pylint: disable=broad-except
                failed += 1
                print("FAILED %s over %s: %s%s" % (
                    function.__name__, "IPv6" if ":" in own else "IPv4",
                    "" if isinstance(e, Wrong) else type(e).__name__ + ": ", e), flush=True)
    print("%d passed, %d failed" % (passed, failed), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
