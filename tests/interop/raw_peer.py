"""One end of TCP made by hand: segments, fragments and ICMP as a test wants them, and what came back
in words. Used against Weir and against the kernel alike (raw_suite.py)."""
import random
import socket
import struct
import time

import raw

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << i for i in range(8))
PEER = "10.99.0.50"      # what the segments come from: an address that no kernel here has
OTHER = "10.99.0.51"
HOST = "10.99.0.2"       # the system under test
PEER6, HOST6 = "fd00:99::50", "fd00:99::2"
PATIENCE = 20.0


def u32(n):
    return n & 0xffffffff


# -- Options -------------------------------------------------------------------------------------
NOP, EOL = b"\1", b"\0"
SACK_OK = b"\4\2"


def mss(n):
    return struct.pack("!BBH", 2, 4, n)


def scale(n):
    return struct.pack("!BBB", 3, 3, n)


def stamps(value, echo=0):
    return struct.pack("!BBII", 8, 10, u32(value), u32(echo))


def sack(*edges):
    return struct.pack("!BB%dI" % len(edges), 5, 2 + 4 * len(edges), *map(u32, edges))


# -- Packets -------------------------------------------------------------------------------------
def tcp(src, dst, sport, dport, seq, ack, flags, data=b"", win=65535, options=b"", urgent=0,
        reserved=0, offset=None, total=None):
    """A segment. `offset`: of the data, in words; `total`: the checksum, if not what is right."""
    options += b"\0" * (-len(options) % 4)
    words = 5 + len(options) // 4 if offset is None else offset
    head = struct.pack("!HHIIBBHHH", sport, dport, u32(seq), u32(ack), words << 4 | reserved, flags,
                       win, 0, urgent) + options
    segment = head + data
    if total is None:
        total = raw.checksum(pseudo(src, dst, 6, len(segment)) + segment)
    return segment[:16] + struct.pack("!H", total) + segment[18:]


def pseudo(src, dst, protocol, length):
    if ":" in src:
        return (socket.inet_pton(socket.AF_INET6, src) + socket.inet_pton(socket.AF_INET6, dst) +
                struct.pack("!IHBB", length, 0, 0, protocol))
    return socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack("!BBH", 0, protocol, length)


def ipv4(src, dst, protocol, payload, options=b"", tos=0, ident=0, flags=0x4000, ttl=64,
         length=None, first=None, total=None):
    """A packet. `length`, `first` (version and IHL) and `total` replace what is right."""
    options += b"\0" * (-len(options) % 4)
    ihl = 5 + len(options) // 4
    head = struct.pack("!BBHHHBBH", 0x40 | ihl if first is None else first, tos,
                       ihl * 4 + len(payload) if length is None else length, ident, flags, ttl,
                       protocol, 0) + socket.inet_aton(src) + socket.inet_aton(dst) + options
    if total is None:
        total = raw.checksum(head)
    return head[:10] + struct.pack("!H", total) + head[12:] + payload


def ipv6(src, dst, following, payload, length=None, hops=64, tos=0):
    return struct.pack("!IHBB", 6 << 28 | tos << 20, len(payload) if length is None else length,
                       following, hops) + socket.inet_pton(
        socket.AF_INET6, src) + socket.inet_pton(socket.AF_INET6, dst) + payload


def part6(following, payload, start, end, more, ident):
    """A Fragment header with octets `start` to `end` of `payload`."""
    return struct.pack("!BBHI", following, 0, start | more, ident) + payload[start:end]


def icmp6(src, dst, kind, code, rest=0, body=b""):
    head = struct.pack("!BBHI", kind, code, 0, rest)
    total = raw.checksum(pseudo(src, dst, 58, len(head + body)) + head + body)
    return head[:2] + struct.pack("!H", total) + head[4:] + body


def cut(packet, *ends, ident=None):
    """The IPv4 packet in parts of its payload that end at these places, the last at its end."""
    ident = random.randrange(1, 65536) if ident is None else ident
    payload, out, start = packet[20:], [], 0
    for end in [*ends, len(payload)]:
        out.append(part(packet, payload, start, end, end < len(payload), ident))
        start = end
    return out


def part(packet, payload, start, end, more, ident):
    """Octets `start` to `end` of `payload` under the header of `packet`."""
    head = packet[:2] + struct.pack("!HHH", 20 + end - start, ident, more << 13 | start // 8)
    head += packet[8:10] + b"\0\0" + packet[12:20]
    return head[:10] + struct.pack("!H", raw.checksum(head)) + head[12:] + payload[start:end]


def icmp(kind, code, rest=0, body=b""):
    head = struct.pack("!BBHI", kind, code, 0, rest)
    return head[:2] + struct.pack("!H", raw.checksum(head + body)) + head[4:] + body


class Segment:
    """What came back, parsed."""

    def __init__(self, packet):
        self.packet = packet
        if packet[0] >> 4 == 6:  # no system sends extension headers here
            self.src = socket.inet_ntop(socket.AF_INET6, packet[8:24])
            self.dst = socket.inet_ntop(socket.AF_INET6, packet[24:40])
            self.protocol = packet[6]
            body = packet[40:40 + struct.unpack("!H", packet[4:6])[0]]
        else:
            ihl = (packet[0] & 15) * 4
            self.src = socket.inet_ntoa(packet[12:16])
            self.dst = socket.inet_ntoa(packet[16:20])
            self.protocol = packet[9]
            body = packet[ihl:struct.unpack("!H", packet[2:4])[0]]
        self.body = body
        if self.protocol != 6:
            return
        (self.sport, self.dport, self.seq, self.ack, words, self.flags, self.win, _,
         self.urgent) = struct.unpack("!HHIIBBHHH", body[:20])
        self.options = body[20:(words >> 4) * 4]
        self.data = body[(words >> 4) * 4:]
        self.length = len(self.data) + bool(self.flags & SYN) + bool(self.flags & FIN)

    def option(self, kind):
        """The body of an option, or None."""
        at = 0
        while at < len(self.options):
            this = self.options[at]
            if this == 0:
                return None
            if this == 1:
                at += 1
                continue
            length = self.options[at + 1]
            if this == kind:
                return self.options[at + 2:at + length]
            at += length
        return None


class System:
    """A system under test at the other end of a wire, at HOST, with an HTTP server on port 80."""

    def __init__(self, name, wire):
        self.name, self.wire = name, wire
        self.mac = None
        self.port = random.randrange(20000, 30000)
        self.pings = 0
        self.seen = []  # IPv4 packets that came and nobody took

    def meet(self):
        """Learns its MAC address, by ARP for ever so long."""
        end = time.monotonic() + PATIENCE
        while self.mac is None and time.monotonic() < end:
            self.wire.arp_request(PEER, HOST)
            self._pump(lambda: self.mac is not None, 0.5)
        return self.mac is not None

    def send(self, packet, to=None, kind=0x0800):
        self.wire.send((to or self.mac) + self.wire.mac + struct.pack("!H", kind) + packet)

    def _pump(self, done, seconds):
        """Takes what comes, answers ARP, until done() or the time is over."""
        end = time.monotonic() + seconds
        while not done():
            left = end - time.monotonic()
            if left <= 0:
                return False
            got = self.wire.receive(left)
            if got and got[1]:
                self._take(got[0])
        return True

    def _take(self, frame):
        kind = struct.unpack("!H", frame[12:14])[0]
        if kind == 0x0806 and frame[20:22] == b"\0\1":
            target = socket.inet_ntoa(frame[38:42])
            if target in (PEER, OTHER):
                self.wire.send(frame[6:12] + self.wire.mac + struct.pack(
                    "!HHHBBH6s4s6s4s", 0x0806, 1, 0x0800, 6, 4, 2, self.wire.mac, frame[38:42],
                    frame[22:28], frame[28:32]))
        elif kind == 0x0806 and frame[20:22] == b"\0\2" and frame[28:32] == socket.inet_aton(HOST):
            self.mac = frame[22:28]
        elif kind == 0x0800:
            self.seen.append(Segment(frame[14:]))
        elif kind == 0x86dd and frame[20] == 58 and frame[54] == 135:
            if frame[62:78] == socket.inet_pton(socket.AF_INET6, PEER6):
                self._advertise(socket.inet_ntop(socket.AF_INET6, frame[22:38]), frame[6:12])
        elif kind == 0x86dd and frame[20] in (6, 58):
            self.seen.append(Segment(frame[14:]))

    def _advertise(self, asker, mac):
        target = socket.inet_pton(socket.AF_INET6, PEER6)
        self.send(ipv6(PEER6, asker, 58, icmp6(
            PEER6, asker, 136, 0, 0x60000000, target + b"\2\1" + self.wire.mac), hops=255), mac,
                  0x86dd)

    def settle(self):
        """Until an echo comes back: by then all that was sent before has had its answer."""
        self.pings += 1
        mark = struct.pack("!IQ", self.pings, random.getrandbits(64))

        def back():
            for s in self.seen:
                if s.protocol == 1 and s.body[:2] == b"\0\0" and s.body[8:] == mark:
                    self.seen.remove(s)
                    return True
            return False
        for _ in range(int(2 * PATIENCE)):  # an echo may be withheld by a rate limit
            self.send(ipv4(PEER, HOST, 1, icmp(8, 0, 0x57450000, mark)))
            if self._pump(back, 0.5):
                return True
        return False

    def take(self, wanted):
        """The packets that came and are wanted, all taken out."""
        out = [s for s in self.seen if wanted(s)]
        self.seen = [s for s in self.seen if not wanted(s)]
        return out

    def wait(self, wanted, seconds=PATIENCE):
        """Until such a packet has come."""
        return self._pump(lambda: any(wanted(s) for s in self.seen), seconds)


class Peer:
    """One connection's end, or that of no connection. Counts what a right peer would."""

    def __init__(self, system, port=80, src=PEER):
        self.system, self.dport, self.src = system, port, src
        self.host = HOST6 if ":" in src else HOST
        system.port += 1
        self.sport = system.port
        self.iss = self.snd = random.getrandbits(32)
        self.rcv = 0
        self.stamped = None  # the value of our timestamps, once asked for
        self.echo = 0
        self.win = 65535
        self.text = b""
        self.sizes = []
        self.fin_seen = False
        self.last = (0, 0, 0)

    def segment(self, flags, data=b"", seq=None, ack=None, options=None, win=None, **how):
        if options is None:
            options = b"" if self.stamped is None else NOP + NOP + stamps(self.stamped, self.echo)
        if ack is None:
            ack = self.rcv if flags & ACK else 0
        self.last = (self.snd if seq is None else seq, ack,
                     len(data) + bool(flags & SYN) + bool(flags & FIN))
        return tcp(self.src, self.host, self.sport, self.dport, self.last[0], ack, flags, data,
                   self.win if win is None else win, options, **how)

    def send(self, flags, data=b"", **how):
        """One segment, sent and not counted."""
        ip = how.pop("ip", {})
        segment = self.segment(flags, data, **how)
        if ":" in self.src:
            self.system.send(ipv6(self.src, HOST6, 6, segment, **ip), kind=0x86dd)
        else:
            self.system.send(ipv4(self.src, HOST, 6, segment, **ip))

    def push(self, data, flags=PSH | ACK, **how):
        """Text, sent and counted."""
        self.send(flags, data, **how)
        self.snd = u32(self.snd + len(data) + bool(flags & (SYN | FIN)))

    def mine(self, s):
        if s.protocol == 6:
            return s.dst == self.src and s.dport == self.sport and s.sport == self.dport
        if s.protocol == 58:
            return s.dst == self.src and s.body[0] not in (133, 134, 135, 136, 143)
        return s.protocol == 1 and s.body[0] != 0

    def take(self):
        """What came for this end, in order; text and numbers are counted."""
        self.system.settle()
        out = self.system.take(self.mine)
        for s in out:
            if s.protocol == 6 and not s.flags & RST:
                self._count(s)
        return out

    def _count(self, s):
        stamp = s.option(8)
        if stamp and self.stamped is not None:
            self.echo = struct.unpack("!I", stamp[:4])[0]
        if s.flags & SYN:
            self.rcv = u32(s.seq + 1)
            return
        new = u32(s.seq + len(s.data) - self.rcv)
        if s.data and 0 < new < 1 << 30 and u32(self.rcv - s.seq) < 1 << 30:
            self.text += s.data[-new:]
            self.rcv = u32(self.rcv + new)
            self.sizes.append(len(s.data))
        if s.flags & FIN and u32(s.seq + len(s.data)) == self.rcv:
            self.rcv = u32(self.rcv + 1)
            self.fin_seen = True

    def saw(self):
        """What came back for what was sent last, in words."""
        words = []
        for s in self.take():
            word = self.word(s)
            if not words or words[-1] != word:
                words.append(word)
        return ", ".join(words) or "nothing"

    def word(self, s):
        """A segment in a word; '?' behind a number that RFC 9293 has otherwise."""
        if s.protocol == 1:
            return "ICMP %d/%d" % (s.body[0], s.body[1])
        if s.protocol == 58:
            where = " at %d" % struct.unpack("!I", s.body[4:8]) if s.body[0] == 4 else ""
            return "ICMP %d/%d%s" % (s.body[0], s.body[1], where)
        seq, ack, length = self.last
        if s.flags & RST:
            if s.flags & ACK:
                return "RST-ACK" + ("" if s.seq == 0 and s.ack == u32(seq + length) else "?")
            return "RST" + ("" if s.seq == u32(ack) else "?")
        if s.flags & SYN:
            return "SYN-ACK" + ("" if s.ack == u32(self.iss + 1) else "?")
        right = "" if s.ack == self.snd else "?"
        if s.flags & FIN:
            return "FIN" + right
        return ("data" if s.data else "ACK") + right

    def open(self, options=b"", **how):
        """The handshake; the SYN-ACK. None if there was none."""
        self.send(SYN, options=options, **how)
        self.snd = u32(self.iss + 1)
        answers = [s for s in self.take() if s.protocol == 6 and s.flags & (SYN | ACK) == SYN | ACK]
        if not answers:
            return None
        self.send(ACK)
        return answers[0]

    def request(self, octets=10, close=False):
        self.push(get(octets, close))

    def body(self, octets=10, limit=PATIENCE):
        """Reads and acknowledges until an answer with such a body is whole. True if it was."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            before = self.rcv
            self.take()
            head = self.text.find(b"\r\n\r\n")
            whole = head >= 0 and len(self.text) >= head + 4 + octets
            if self.rcv != before:
                self.send(ACK)
            if whole:
                good = self.text.startswith(b"HTTP/1.1 200")
                self.text = self.text[head + 4 + octets:]
                return good
            if self.rcv == before:
                self.system.wait(self.mine, 0.5)
        return False

    def alive(self, octets=10):
        """Whether the connection still answers a request."""
        self.request(octets)
        return "alive" if self.body(octets, 5.0) else "dead"


def get(octets=10, close=False):
    return b"GET /bytes/%d HTTP/1.1\r\nHost: t\r\n%s\r\n" % (
        octets, b"Connection: close\r\n" if close else b"")
