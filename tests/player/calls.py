"""The system calls of a script, made on a Host: what they are given, what they return, what they fill in."""
import ctypes
import errno
import fcntl
import ipaddress
import os
import select
import socket
import struct

from language import ELLIPSIS, STAR, Name, Wrong

EXTRA = {"NULL": None, "EPOLL_CTL_ADD": 1, "EPOLL_CTL_DEL": 2, "EPOLL_CTL_MOD": 3,
         "TCP_INQ": 36, "TCP_CM_INQ": 36, "SIOCINQ": 0x541B, "FIONREAD": 0x541B, "SIOCOUTQ": 0x5411,
         "TIOCOUTQ": 0x5411, "SIOCOUTQNSD": 0x894B, "FIONBIO": 0x5421, "TCP_CC_INFO": 26, "SOL_TCP": 6, "SOL_IP": 0,
         "SOL_IPV6": 41, "IP_MTU_DISCOVER": 10, "IP_PMTUDISC_DO": 2, "IP_PMTUDISC_DONT": 0, "IP_PMTUDISC_WANT": 1,
         "IP_PMTUDISC_PROBE": 3, "IP_MTU": 14, "IP_FREEBIND": 15,
         "IP_BIND_ADDRESS_NO_PORT": 24, "IP_LOCAL_PORT_RANGE": 51,
         "IP_RECVERR": 11, "IPV6_RECVERR": 25, "IPV6_MTU": 24, "TCP_TX_DELAY": 37,
         "TCP_TIMESTAMP": 24, "TCP_SAVE_SYN": 27, "TCP_MAXSEG": 2, "TCP_IS_MPTCP": 43, "SO_MAX_PACING_RATE": 47,
         "TCP_RTO_MAX_MS": 44, "TCP_RTO_MIN_US": 45, "TCP_DELACK_MAX_US": 46}
INFO = [("B", "state ca_state retransmits probes backoff options wscale rate_flags"),
        ("I", "rto ato snd_mss rcv_mss unacked sacked lost retrans fackets last_data_sent last_ack_sent last_data_recv "
              "last_ack_recv pmtu rcv_ssthresh rtt rttvar snd_ssthresh snd_cwnd advmss reordering rcv_rtt rcv_space "
              "total_retrans"),
        ("Q", "pacing_rate max_pacing_rate bytes_acked bytes_received"),
        ("I", "segs_out segs_in notsent_bytes min_rtt data_segs_in data_segs_out"),
        ("Q", "delivery_rate busy_time rwnd_limited sndbuf_limited"), ("I", "delivered delivered_ce"),
        ("Q", "bytes_sent bytes_retrans"), ("I", "dsack_dups reord_seen rcv_ooopack snd_wnd rcv_wnd rehash"),
        ("H", "total_rto total_rto_recoveries"), ("I", "total_rto_time")]
MEMINFO = ("RMEM_ALLOC RCVBUF WMEM_ALLOC SNDBUF FWD_ALLOC WMEM_QUEUED OPTMEM BACKLOG DROPS").split()
INFO_NAMES = {"TCP_CA_Open": 0, "TCP_CA_Disorder": 1, "TCP_CA_CWR": 2, "TCP_CA_Recovery": 3, "TCP_CA_Loss": 4,
              "TCPI_OPT_TIMESTAMPS": 1, "TCPI_OPT_SACK": 2, "TCPI_OPT_WSCALE": 4, "TCPI_OPT_ECN": 8,
              "TCPI_OPT_ECN_SEEN": 16, "TCPI_OPT_SYN_DATA": 32}
SO_MEMINFO = 55
WAITING = {"accept", "accept4", "connect", "epoll_wait", "poll", "read", "readv", "recv", "recvfrom", "recvmsg", "send",
           "sendfile", "sendmsg", "sendto", "splice", "write", "writev"}
LIMITS = {"read": socket.SO_RCVTIMEO, "accept": socket.SO_RCVTIMEO, "write": socket.SO_SNDTIMEO}
RING = {"SO_LINGER": "ii", "SO_RCVTIMEO": "qq", "SO_SNDTIMEO": "qq"}


class IoVec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class MsgHdr(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint32), ("iov", ctypes.c_void_p),
                ("iovlen", ctypes.c_size_t), ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t),
                ("flags", ctypes.c_int)]


class Calls:
    """do_NAME(args) gives a function to be asked until it need not wait: (result, errno, what differs or None)."""

    def __init__(self, host, local, remote, ports):
        self.host, self.local, self.remote, self.ports = host, local, remote, ports
        self.v6 = ":" in local and not local.startswith("::ffff")
        self.fds, self.pipes, self.names = {}, {}, {}

    # -- values --

    def value(self, x):
        if isinstance(x, tuple):
            if x[0] == "call":
                return self.function(x[1], [self.value(a) for a in x[2]])
            a, b = self.value(x[1]), self.value(x[2])
            return {"|": lambda: a | b, "+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b,
                    "~": lambda: ~b}[x[0]]()
        if not isinstance(x, Name) or x in (ELLIPSIS, STAR):
            return x
        if x in self.names:
            return self.value(Name(self.names[x])) if isinstance(self.names[x], str) else self.names[x]
        if x in EXTRA:
            return EXTRA[x]
        for module in (socket, select, fcntl, os, errno):
            if isinstance(getattr(module, x, None), int):
                return int(getattr(module, x))
        raise Wrong("unknown symbol %s" % x)

    def function(self, name, args):
        if name in ("htons", "htonl", "ntohs", "ntohl"):
            return args[0]
        if name in ("inet_addr", "inet_pton"):
            return ipaddress.ip_address(args[-1].decode())
        raise Wrong("unknown function %s" % name)

    def number(self, x, otherwise=0):
        v = self.value(x)
        return otherwise if v in (ELLIPSIS, STAR) else v

    def fd(self, x):
        n = self.value(x)
        return self.fds.get(n, n)

    def text(self, x, count):
        """What is sent: zeroes, as all scripts' packets carry."""
        v = self.value(x)
        if v is None:
            return None
        given = v if isinstance(v, bytes) else b""
        return ctypes.create_string_buffer(given + b"\0" * max(count - len(given), 0), max(count, 1))

    def address(self, x, host, port, any_family=False):
        v = self.value(x)
        family = socket.AF_INET6 if self.v6 or any_family else socket.AF_INET
        if isinstance(v, dict):
            family = self.number(v.get("sa_family", v.get("sin_family")), family)
            if isinstance(family, int) and family == socket.AF_UNSPEC:
                return struct.pack("=H14x", 0)
            port = self.number(v.get("sin_port", v.get("sin6_port")), port)
            host = str(self.number(v.get("sin_addr", v.get("sin6_addr")), host))
            if host == "0":
                host = "0.0.0.0"
        raw = ipaddress.ip_address(host).packed
        if len(raw) == 16:
            return struct.pack("=H", socket.AF_INET6) + struct.pack("!HI", port, 0) + raw + b"\0" * 4
        return struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + raw + b"\0" * 8

    # -- sockets --

    def simple(self, name, *args, wide=False):
        return lambda: self.host.call(name, *args, wide=wide) + (None,)

    def do_socket(self, a):
        family = self.number(a[0], socket.AF_INET6 if self.v6 else socket.AF_INET)
        kind, protocol = self.value(a[1]), self.number(a[2])
        return self.simple("socket", family, kind, protocol)

    def do_bind(self, a):
        name = self.address(a[1], self.local, self.ports[0])
        return self.simple("bind", self.fd(a[0]), name, len(name))

    def do_connect(self, a):
        name = self.address(a[1], self.remote, self.ports[1])
        return self.simple("connect", self.fd(a[0]), name, len(name))

    def do_listen(self, a):
        return self.simple("listen", self.fd(a[0]), self.value(a[1]))

    def do_accept(self, a):
        return self.simple("accept4", self.fd(a[0]), None, None, self.number(a[3]) if len(a) > 3 else 0)

    do_accept4 = do_accept

    def do_close(self, a):
        pipe = self.pipes.pop(self.value(a[0]), None)
        if pipe is not None:
            if isinstance(pipe, int):
                os.close(pipe)
            return lambda: (0, 0, None)
        return self.simple("close", self.fd(a[0]))

    def do_shutdown(self, a):
        return self.simple("shutdown", self.fd(a[0]), self.value(a[1]))

    def do_fcntl(self, a):
        return self.simple("fcntl", self.fd(a[0]), self.value(a[1]), self.number(a[2]) if len(a) > 2 else 0)

    def do_ioctl(self, a):
        given = self.value(a[2]) if len(a) > 2 else ELLIPSIS
        expected = self.value(given[0]) if isinstance(given, list) else given
        out = ctypes.c_int(expected if isinstance(expected, int) else 0)
        request = self.value(a[1])

        def attempt():
            n, e = self.host.call("ioctl", self.fd(a[0]), ctypes.c_ulong(request), ctypes.byref(out))
            wrong = n == 0 and request != EXTRA["FIONBIO"] and isinstance(expected, int) and out.value != expected
            return n, e, "[%d]" % out.value if wrong else None
        return attempt

    def option_octets(self, name, value, size):
        value = self.value(value)
        if isinstance(value, list):
            value = self.value(value[0])
        if isinstance(value, dict):
            return struct.pack("=" + RING.get(str(name), "ii"), *[self.value(x) for x in value.values()])
        if isinstance(value, int):
            return (value % 2 ** (8 * size)).to_bytes(size, "little") if size > 0 else b""
        return value

    def do_setsockopt(self, a):
        size = self.number(a[4], 4)
        octets = self.option_octets(a[2], a[3], size)
        if isinstance(octets, bytes) and len(octets) < size:
            octets += b"\0" * (size - len(octets))
        return self.simple("setsockopt", self.fd(a[0]), self.value(a[1]), self.value(a[2]), octets,
                           ctypes.c_uint32(max(size, len(octets or b"")) if size >= 0 else 2**32 + size))

    def do_getsockopt(self, a):
        size = self.value(a[4])
        size = ctypes.c_uint32(self.number(size[0], 512) if isinstance(size, list) else 512)
        out = ctypes.create_string_buffer(max(size.value, 1))

        def attempt():
            n, e = self.host.call("getsockopt", self.fd(a[0]), self.value(a[1]), self.value(a[2]), out,
                                  ctypes.byref(size))
            if n != 0 or self.value(a[3]) in (ELLIPSIS, STAR) or a[2] == "TCP_INFO":
                return n, e, None
            got, expected = out.raw[:size.value], self.option_octets(a[2], a[3], size.value)
            if isinstance(self.value(a[3]), bytes):
                got = got.rstrip(b"\0")
            return n, e, None if got == expected else "[%s]" % (
                struct.unpack("=i", got)[0] if len(got) == 4 else got)
        return attempt

    def info(self, fd):
        """The tcpi_ fields of a socket; none when it has none."""
        out, size = ctypes.create_string_buffer(512), ctypes.c_uint32(512)
        n, _ = self.host.call("getsockopt", self.fds.get(fd, -1), 6, 11, out, ctypes.byref(size))
        fields = [("tcpi_" + f, kind) for kind, names in INFO for f in names.split()]
        values = struct.unpack_from("=" + "".join(kind for _, kind in fields), out.raw)
        found = dict(zip((f for f, _ in fields), values)) if n == 0 else {}
        if found:
            w, r = found.pop("tcpi_wscale"), found.pop("tcpi_rate_flags")
            found.update(tcpi_snd_wscale=w & 15, tcpi_rcv_wscale=w >> 4, tcpi_delivery_rate_app_limited=r & 1)
        size = ctypes.c_uint32(4 * len(MEMINFO))
        if self.host.call("getsockopt", self.fds.get(fd, -1), socket.SOL_SOCKET, SO_MEMINFO, out,
                          ctypes.byref(size))[0] == 0:
            found.update(("SK_MEMINFO_" + f, v) for f, v in zip(MEMINFO, struct.unpack_from("=9I", out.raw)))
        return {**INFO_NAMES, **found}

    # -- text --

    def receive(self, name, fd, count, tail=(), pointer=0):
        buffer = None if self.value(pointer) is None else ctypes.create_string_buffer(max(count, 1))
        return self.simple(name, fd, buffer, ctypes.c_size_t(count), *tail, wide=True)

    def do_read(self, a):
        count, pipe = self.value(a[2]), self.pipes.get(self.value(a[0]))
        if isinstance(pipe, list):
            return lambda: (self.drain(pipe, count), 0, None)
        return self.receive("read", self.fd(a[0]), count, pointer=a[1])

    def do_recv(self, a):
        return self.receive("recv", self.fd(a[0]), self.value(a[2]), (self.number(a[3]),), a[1])

    def do_recvfrom(self, a):
        return self.receive("recvfrom", self.fd(a[0]), self.value(a[2]), (self.number(a[3]), None, None), a[1])

    def do_write(self, a):
        count = self.value(a[2])
        if isinstance(self.pipes.get(self.value(a[0])), list):
            self.pipes[self.value(a[0])][0] += count
            return lambda: (count, 0, None)
        return self.sending(self.fd(a[0]), self.text(a[1], count), count, 0)

    def do_send(self, a):
        count = self.value(a[2])
        return self.sending(self.fd(a[0]), self.text(a[1], count), count, self.number(a[3]))

    def do_sendto(self, a):
        return self.do_send(a[:4])

    def sending(self, fd, text, count, flags):
        """A stream that took a part asks again for the rest: `attempt.done` tells what went so far."""
        def attempt():
            at = ctypes.c_void_p(ctypes.addressof(text) + attempt.done) if text is not None else None
            n, e = self.host.call("send", fd, at, ctypes.c_size_t(count - attempt.done), flags, wide=True)
            attempt.done += max(n, 0)
            return n if n < 0 else attempt.done, e, None
        attempt.done, attempt.count = 0, count
        return attempt

    def vector(self, x):
        pieces = [p if isinstance(p, dict) else {0: ELLIPSIS, 1: p} for p in self.value(x)]
        sizes = [self.value(list(p.values())[1]) for p in pieces]
        buffers = [self.text(list(p.values())[0], n) for p, n in zip(pieces, sizes)]
        return (IoVec * len(sizes))(*[IoVec(ctypes.cast(b, ctypes.c_void_p) if b else None, n)
                                      for b, n in zip(buffers, sizes)]), buffers, sum(sizes)

    def do_writev(self, a):
        vector, buffers, count = self.vector(a[1])
        if len(buffers) == 1:
            return self.sending(self.fd(a[0]), buffers[0], count, 0)
        return self.simple("writev", self.fd(a[0]), vector, len(vector), wide=True)

    def do_readv(self, a):
        vector, kept, _ = self.vector(a[1])
        call = self.simple("readv", self.fd(a[0]), vector, len(vector), wide=True)
        call.kept = kept
        return call

    def do_sendmsg(self, a):
        vector, buffers, count = self.vector(self.value(a[1]).get("msg_iov", []))
        if len(buffers) == 1:
            return self.sending(self.fd(a[0]), buffers[0], count, self.number(a[2]))
        m = MsgHdr(iov=ctypes.addressof(vector), iovlen=len(vector))
        call = self.simple("sendmsg", self.fd(a[0]), ctypes.byref(m), self.number(a[2]), wide=True)
        call.kept = vector, buffers, m
        return call

    def do_recvmsg(self, a):
        given = self.value(a[1])
        vector, buffers, _ = self.vector(given.get("msg_iov", []))
        control = ctypes.create_string_buffer(256)
        m = MsgHdr(iov=ctypes.addressof(vector), iovlen=len(vector), control=ctypes.addressof(control))

        def attempt():
            m.controllen = 256
            n, e = self.host.call("recvmsg", self.fd(a[0]), ctypes.byref(m), self.number(a[2]), wide=True)
            found, at = [], 0
            while n >= 0 and at + 16 <= m.controllen:
                size, level, kind = struct.unpack_from("=qii", control.raw, at)
                found.append((level, kind, int.from_bytes(control.raw[at + 16:at + size][:4], "little")))
                at += (size + 7) & ~7
            wanted = [(self.value(c["cmsg_level"]), self.value(c["cmsg_type"]), self.value(c["cmsg_data"]))
                      for c in given.get("msg_control", []) if isinstance(c, dict)]
            flags = self.number(given.get("msg_flags"), m.flags)
            wrong = n >= 0 and (wanted != found or flags != m.flags)
            return n, e, "control %s, flags %#x" % (found, m.flags) if wrong else None
        attempt.kept = vector, buffers, control
        return attempt

    # -- files and pipes: the player's own --

    def do_open(self, a):
        self.opened = os.open(self.value(a[0]), self.value(a[1]))
        return lambda: (self.opened, 0, None)

    def do_sendfile(self, a):
        offset = self.value(a[2])
        at = ctypes.c_int64(self.value(offset[0])) if isinstance(offset, list) else None
        return self.simple("sendfile", self.fd(a[0]), self.pipes.get(self.value(a[1]), -1),
                           ctypes.byref(at) if at is not None else None, ctypes.c_size_t(self.value(a[3])), wide=True)

    def do_pipe(self, a):
        ends = [self.value(x) for x in self.value(a[0])]
        self.pipes[ends[0]] = self.pipes[ends[1]] = [0]
        return lambda: (0, 0, None)

    @staticmethod
    def drain(pipe, count):
        n = min(pipe[0], count)
        pipe[0] -= n
        return n

    def do_splice(self, a):
        source, target, count = self.value(a[0]), self.value(a[2]), self.value(a[4])

        def attempt():
            if isinstance(self.pipes.get(source), list):
                pipe = self.pipes[source]
                n, e = self.host.call("send", self.fd(target), b"\0" * pipe[0], ctypes.c_size_t(min(pipe[0], count)),
                                      0, wide=True)
                self.drain(pipe, max(n, 0))
            else:
                n, e = self.host.call("recv", self.fd(source), ctypes.create_string_buffer(65536),
                                      ctypes.c_size_t(min(count, 65536)), 0, wide=True)
                self.pipes[target][0] += max(n, 0)
            return n, e, None
        return attempt

    # -- readiness --

    def do_poll(self, a):
        given = [self.value(x) for x in self.value(a[0])]
        entry = struct.Struct("=ihh")
        out = ctypes.create_string_buffer(b"".join(entry.pack(self.fd(x["fd"]), self.value(x["events"]), 0)
                                                   for x in given), entry.size * len(given))

        def attempt():
            n, e = self.host.call("poll", out, ctypes.c_ulong(len(given)))
            got = [x[2] for x in entry.iter_unpack(out.raw)]
            wanted = [self.number(x.get("revents"), g) for x, g in zip(given, got)]
            return n, e, "revents %s" % ["%#x" % g for g in got] if wanted != got else None
        attempt.timeout = self.number(a[2], -1)
        return attempt

    def do_epoll_create(self, a):
        return self.simple("epoll_create1", 0)

    do_epoll_create1 = do_epoll_create

    def do_epoll_ctl(self, a):
        event = self.value(a[3])
        event = struct.pack("=IQ", self.value(event["events"]), self.number(event.get("fd", event.get("ptr")))) \
            if isinstance(event, dict) else None
        return self.simple("epoll_ctl", self.fd(a[0]), self.value(a[1]), self.fd(a[2]), event)

    def do_epoll_wait(self, a):
        given = self.value(a[1])
        given = [self.value(x) for x in given] if isinstance(given, list) else [given]
        most = self.value(a[2])
        out = ctypes.create_string_buffer(12 * max(most, 1))

        def attempt():
            n, e = self.host.call("epoll_wait", self.fd(a[0]), out, most)
            got = list(struct.Struct("=IQ").iter_unpack(out.raw))[:max(n, 0)]
            wanted = [(self.number(x.get("events")), self.number(x.get("fd", x.get("ptr")))) for x in given
                      if isinstance(x, dict)][:len(got)]
            return n, e, "events %s" % ", ".join("%#x of %d" % g for g in got) if wanted != got else None
        attempt.timeout = self.number(a[3], -1)
        return attempt
