"""Raw segments to `weir serve` on a TAP port and to the kernel's stack in a namespace, side by side:
what is sent, what may come back (an RFC's word), what the kernel answered and what Weir answered.

A case fails when Weir's answer is none of those that may be. What the kernel does is printed beside
it and judges nothing. `tests/interop/run raw-suite` prints the table, with --json as one object.
"""
import dataclasses
import json
import os
import random
import socket
import struct
import subprocess
import sys
import time
from typing import Callable

import raw
from cases import case
from harness import IFACE, Weir, expect, run, wait_for
from raw_peer import (ACK, CWR, ECE, EOL, FIN, HOST, NOP, PEER, PSH, RST, SACK_OK, SYN, URG, Peer,
                      HOST6, PEER6, System, cut, get, icmp, icmp6, ipv4, ipv6, mss, part, part6, sack,
                      scale, stamps, tcp, u32)

FAR = "raw1"       # the kernel's end of the veth pair, in a namespace of its own
NEAR = "raw0"

# An HTTP server on the kernel's sockets that answers as `weir serve` does.
SERVER = r"""
import socket, threading
def serve(c):
    text = b""
    with c:
        while True:
            while b"\r\n\r\n" not in text:
                block = c.recv(65536)
                if not block:
                    return
                text += block
            head, text = text.split(b"\r\n\r\n", 1)
            n = int(head.split(b" ")[1].split(b"/")[-1])
            c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % n + b"x" * n)
            if b"Connection: close" in head:
                return
def quietly(c):
    try:
        serve(c)
    except OSError:
        pass
s = socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True, backlog=512)
print("ready", flush=True)
while True:
    threading.Thread(target=quietly, args=(s.accept()[0],), daemon=True).start()
"""


@dataclasses.dataclass
class RawCase:
    name: str
    group: str
    what: str          # is sent
    may: tuple         # come back
    why: str           # who says so
    run: Callable


RAW = []


def sent(group, what, *may, why="RFC 9293 3.10.7"):
    def add(function):
        RAW.append(RawCase("%s-%02d" % (group, sum(c.group == group for c in RAW) + 1), group, what,
                           may, why, function))
        return function
    return add


def each(group, table, why="RFC 9293 3.10.7"):
    """Cases that differ in what they send alone: (what, function, may...)."""
    for what, function, *may in table:
        sent(group, what, *may, why=why)(function)


# -- Addresses that no segment may have ----------------------------------------------------------


def silence(system, src=PEER, dst=HOST, mac=None, **how):
    """A SYN of these addresses, and whether anything of TCP comes back to anybody."""
    p = Peer(system, src=src)
    segment = tcp(src, dst, p.sport, 80, 1, 0, SYN, options=mss(1460))
    system.settle()
    system.take(lambda s: True)
    system.send(ipv4(src, dst, 6, segment, **how), mac)
    system.settle()
    got = system.take(lambda s: s.protocol == 6 and p.sport in (s.dport, s.sport))
    return "nothing" if not got else "SYN-ACK" if got[0].flags & SYN else "RST"


def land(system):
    system.take(lambda s: True)
    system.send(ipv4(HOST, HOST, 6, tcp(HOST, HOST, 80, 80, 1, 0, SYN, options=mss(1460))))
    system.settle()
    got = system.take(lambda s: s.protocol == 6 and s.dport == 80)
    return ("nothing" if not got else "an answer") + ", " + fresh(system)


def fresh(system):
    """Whether a new connection is served."""
    p = Peer(system)
    return p.alive() if p.open(mss(1460)) else "dead"


sent("address", "LAND: a SYN from the host's own address and port", "nothing, alive",
     why="RFC 1122 3.2.1.3")(land)
for _what, _src in (("255.255.255.255", "255.255.255.255"), ("the network's broadcast", "10.99.0.255"),
                    ("a group, 224.0.0.5", "224.0.0.5"), ("0.0.0.0", "0.0.0.0"),
                    ("127.0.0.1", "127.0.0.1"), ("240.0.0.1", "240.0.0.1")):
    sent("address", "a SYN from " + _what, "nothing", why="RFC 9293 MUST-63")(
        lambda s, a=_src: silence(s, src=a))
sent("address", "a SYN in an Ethernet broadcast", "nothing", why="RFC 1122 3.3.6")(
    lambda s: silence(s, mac=b"\xff" * 6))
sent("address", "a SYN to the network's broadcast", "nothing", why="RFC 9293 MUST-57")(
    lambda s: silence(s, dst="10.99.0.255", mac=b"\xff" * 6))
sent("address", "a SYN to the group of all hosts", "nothing", why="RFC 9293 MUST-57")(
    lambda s: silence(s, dst="224.0.0.1", mac=bytes.fromhex("01005e000001")))
sent("address", "a SYN to another host's address", "nothing", why="RFC 1122 3.2.1.3")(
    lambda s: silence(s, dst="10.99.0.77"))

# -- IP and TCP headers --------------------------------------------------------------------------


def syn(system, port=80, ip=None, **how):
    p = Peer(system, port)
    how.setdefault("options", mss(1460))
    p.send(SYN, ip=ip or {}, **how)
    return p.saw()


each("ip", [
    ("a wrong header checksum", lambda s: syn(s, ip={"total": 0x1234}), "nothing"),
    ("IHL 4", lambda s: syn(s, ip={"first": 0x44}), "nothing"),
    ("IHL 15, beyond the packet", lambda s: syn(s, ip={"first": 0x4f}), "nothing"),
    ("version 6 in an IPv4 frame", lambda s: syn(s, ip={"first": 0x65}), "nothing"),
    ("Total Length beyond the frame", lambda s: syn(s, ip={"length": 400}), "nothing"),
    ("Total Length 19", lambda s: syn(s, ip={"length": 19}), "nothing"),
    ("Total Length that cuts TCP's header", lambda s: syn(s, ip={"length": 36}), "nothing"),
    ("TTL 1", lambda s: syn(s, ip={"ttl": 1}), "SYN-ACK"),
    ("TTL 0", lambda s: syn(s, ip={"ttl": 0}), "SYN-ACK"),
    ("options: NOP", lambda s: syn(s, ip={"options": NOP * 4}), "SYN-ACK"),
    ("options: record route", lambda s: syn(s, ip={"options": b"\x07\x07\x04\0\0\0\0"}), "SYN-ACK"),
    ("options: loose source route", lambda s: syn(s, ip={"options": b"\x83\x07\x04\x0a\x63\0\x05"}),
     "nothing", "ICMP 12/0"),
    ("options: strict source route", lambda s: syn(s, ip={"options": b"\x89\x07\x04\x0a\x63\0\x05"}),
     "nothing", "ICMP 12/0"),
    ("an option of length 0", lambda s: syn(s, ip={"options": b"\x44\0\0\0"}), "nothing",
     "ICMP 12/0"),
    ("an option longer than the header", lambda s: syn(s, ip={"options": b"\x44\x30\0\0"}),
     "nothing", "ICMP 12/0"),
    ("DSCP 46 and CE", lambda s: syn(s, ip={"tos": 0xbb}), "SYN-ACK"),
    ("the reserved flag", lambda s: syn(s, ip={"flags": 0x8000}), "SYN-ACK"),
], why="RFC 1122 3.2.1")


@sent("ip", "IP in IP, a SYN within", "nothing", "ICMP 3/2", why="CVE-2020-11896")
def ip_in_ip(system):
    p = Peer(system)
    inner = ipv4(PEER, HOST, 6, p.segment(SYN))
    system.send(ipv4(PEER, HOST, 4, inner))
    return p.saw()


@sent("ip", "an unknown protocol", "nothing", "ICMP 3/2", why="RFC 1122 3.2.2.1")
def unknown_protocol(system):
    p = Peer(system)
    system.send(ipv4(PEER, HOST, 253, b"x" * 40))
    return p.saw()


@sent("ip", "octets behind Total Length, with a request", "alive", why="RFC 791 3.1")
def trailer(system):
    p = Peer(system)
    p.open(mss(1460))
    system.send(ipv4(PEER, HOST, 6, p.segment(PSH | ACK, get(10))) + b"GARBAGE" * 9)
    p.snd = u32(p.snd + len(get(10)))
    return "alive" if p.body(10, 5) and p.alive() == "alive" else "dead"


each("header", [
    ("a wrong checksum", lambda s: syn(s, total=0x1234), "nothing"),
    ("checksum 0", lambda s: syn(s, total=0), "nothing"),
    ("data offset 4", lambda s: syn(s, offset=4), "nothing"),
    ("data offset 0", lambda s: syn(s, offset=0), "nothing"),
    ("data offset 15, beyond the segment", lambda s: syn(s, offset=15), "nothing"),
    ("reserved bits 1110", lambda s: syn(s, reserved=14), "SYN-ACK"),
    ("reserved bit 1 (once NS)", lambda s: syn(s, reserved=1), "SYN-ACK"),
], why="RFC 9293 3.1")

# -- A listener ----------------------------------------------------------------------------------


def stray(flags, data=b"", port=80, **how):
    def send(system):
        p = Peer(system, port)
        p.rcv = 0x11223344
        p.send(flags, data, **how)
        return p.saw()
    return send


each("listen", [
    ("SYN", stray(SYN), "SYN-ACK"),
    ("SYN FIN", stray(SYN | FIN), "nothing", "SYN-ACK"),
    ("SYN RST", stray(SYN | RST), "nothing"),
    ("SYN ACK", stray(SYN | ACK), "RST"),
    ("ACK", stray(ACK), "RST"),
    ("ACK with a request", stray(ACK | PSH, get()), "RST"),
    ("FIN", stray(FIN), "nothing"),
    ("FIN ACK", stray(FIN | ACK), "RST"),
    ("no flags", stray(0), "nothing"),
    ("no flags, 1400 octets", stray(0, b"x" * 1400), "nothing"),
    ("FIN PSH URG", stray(FIN | PSH | URG), "nothing"),
    ("RST", stray(RST), "nothing"),
    ("RST ACK", stray(RST | ACK), "nothing"),
    ("all flags", stray(0xff), "nothing"),
    ("SYN URG, pointer 1", stray(SYN | URG, urgent=1), "SYN-ACK"),
    ("SYN ECE CWR", stray(SYN | ECE | CWR), "SYN-ACK"),
    ("SYN PSH", stray(SYN | PSH), "SYN-ACK"),
    ("SYN of window 0", stray(SYN, win=0), "SYN-ACK"),
])


@sent("listen", "a SYN with 100 octets of text", "SYN-ACK of the SYN", "SYN-ACK of the text")
def syn_with_text(system):
    p = Peer(system)
    p.send(SYN, b"x" * 100)
    got = [s for s in p.take() if s.protocol == 6 and s.flags & SYN]
    if not got:
        return "nothing"
    return {1: "SYN-ACK of the SYN", 101: "SYN-ACK of the text"}.get(
        u32(got[0].ack - p.iss), "SYN-ACK?")


@sent("listen", "a SYN from port 0", "SYN-ACK", "nothing", "RST-ACK", why="RFC 6335 6")
def syn_port_0(system):
    p = Peer(system)
    p.sport = 0
    p.send(SYN)
    return p.saw()


@sent("listen", "1400 octets with PSH ACK: octets out", "at most as many", why="Bock 2021")
def amplify(system):
    p = Peer(system)
    p.rcv = 77
    p.send(PSH | ACK, b"GET / HTTP/1.1\r\nHost: blocked.example\r\n\r\n" + b"x" * 1300)
    out = sum(len(s.packet) for s in p.take())
    return "at most as many" if out <= 1400 else "%d octets" % out


each("closed", [
    ("SYN", stray(SYN, port=81), "RST-ACK"),
    ("SYN with 50 octets", stray(SYN, b"x" * 50, port=81), "RST-ACK"),
    ("SYN FIN", stray(SYN | FIN, port=81), "RST-ACK"),
    ("SYN ACK", stray(SYN | ACK, port=81), "RST"),
    ("ACK", stray(ACK, port=81), "RST"),
    ("ACK with 50 octets", stray(ACK, b"x" * 50, port=81), "RST"),
    ("FIN", stray(FIN, port=81), "RST-ACK"),
    ("FIN ACK", stray(FIN | ACK, port=81), "RST"),
    ("no flags", stray(0, port=81), "RST-ACK"),
    ("no flags, 9 octets", stray(0, b"x" * 9, port=81), "RST-ACK"),
    ("FIN PSH URG", stray(FIN | PSH | URG, port=81), "RST-ACK"),
    ("RST", stray(RST, port=81), "nothing"),
    ("RST ACK", stray(RST | ACK, port=81), "nothing"),
    ("SYN to port 0", stray(SYN, port=0), "RST-ACK", "nothing"),
], why="RFC 9293 3.10.7.1")

# -- Options of a SYN ----------------------------------------------------------------------------


def opened(options, largest=None, octets=3000, win=65535):
    """A handshake with these options and a request; `largest`: that no segment may exceed."""
    def send(system):
        p = Peer(system)
        p.win = win
        if p.open(options) is None:
            return "nothing"
        p.request(octets)
        if not p.body(octets):
            return "dead"
        if largest is not None and max(p.sizes) > largest:
            return "segments of %d" % max(p.sizes)
        return "alive"
    return send


each("option", [
    ("MSS 0", opened(mss(0), 536), "alive"),
    ("MSS 1", opened(mss(1), 536), "alive"),
    ("MSS 8", opened(mss(8), 536), "alive"),
    ("MSS 48", opened(mss(48), 88), "alive"),
    ("MSS 100", opened(mss(100), 100), "alive"),
    ("MSS 65535", opened(mss(65535), 1460), "alive"),
    ("no MSS: 536", opened(b"", 536), "alive"),
    ("MSS twice", opened(mss(700) + mss(600), 700), "alive"),
    ("MSS of length 3", opened(b"\2\3\5\1", 536), "alive"),
    ("MSS of length 6", opened(b"\2\6\5\1\1\1", 536), "alive"),
    ("window scale 14", opened(mss(1460) + scale(14)), "alive"),
    ("window scale 15: as 14", opened(mss(1460) + scale(15)), "alive"),
    ("window scale 255", opened(mss(1460) + scale(255)), "alive"),
    ("window scale of length 4", opened(mss(1460) + b"\3\4\1\1"), "alive"),
    ("an option of length 0", opened(mss(1460) + b"\x05\0"), "alive", "nothing"),
    ("an option of length 1", opened(mss(1460) + b"\xfe\1"), "alive", "nothing"),
    ("an option longer than the header", opened(mss(1460) + b"\xfe\x28"), "alive", "nothing"),
    ("an unknown option", opened(mss(1460) + b"\xfd\6abcd"), "alive"),
    ("40 NOPs", opened(NOP * 40, 536), "alive"),
    ("end of options, then garbage", opened(mss(900) + EOL + b"\xff\0\x08", 900), "alive"),
    ("SACK permitted of length 3", opened(mss(1460) + b"\4\3\0"), "alive"),
    ("a SACK block in a SYN", opened(mss(1460) + SACK_OK + sack(1, 2)), "alive"),
    ("timestamps of length 9", opened(mss(1460) + b"\x08\x09" + b"\0" * 7), "alive"),
    ("an MD5 signature", opened(mss(1460) + b"\x13\x12" + b"m" * 16), "alive", "nothing"),
    ("fast open, a cookie of 4 octets", opened(mss(1460) + b"\x22\6abcd"), "alive"),
], why="RFC 9293 3.2")


@sent("option", "timestamps: echoed in the SYN-ACK", "echoed", why="RFC 7323 3.2")
def stamp_echo(system):
    p = Peer(system)
    got = p.open(mss(1460) + stamps(0xfedcba98))
    stamp = got.option(8) if got else None
    return "echoed" if stamp and stamp[4:] == b"\xfe\xdc\xba\x98" else "not echoed"


@sent("option", "window scale not offered: not answered", "absent", why="RFC 7323 2.2")
def no_scale(system):
    got = Peer(system).open(mss(1460))
    return "absent" if got and got.option(3) is None and got.option(4) is None else "there"


# -- Half-open -----------------------------------------------------------------------------------


def half_open(system, options=mss(1460)):
    p = Peer(system)
    p.send(SYN, options=options)
    p.snd = u32(p.iss + 1)
    p.take()
    return p


def then(start, flags, data=b"", after=None, **how):
    """`start`, one segment with seq and ack relative to what is right, and what came; `after` it."""
    def send(system):
        p = start(system)
        if p is None:
            return "no handshake"
        at = dict(how)
        at["seq"] = u32(p.snd + at.pop("seq", 0))
        if flags & ACK:
            at["ack"] = u32(p.rcv + at.pop("ack", 0))
        p.send(flags, data, **at)
        words = [p.saw()]
        if after:
            words.append(after(p))
        return ", ".join(words)
    return send


def completes(p):
    p.send(ACK)
    p.take()
    return p.alive()


def gone(p):
    """Whether the system has forgotten it: an ACK then draws a RST."""
    p.send(ACK)
    return "closed" if p.saw() == "RST" else "open"


each("syn-rcvd", [
    ("the SYN again", then(half_open, SYN, seq=-1, options=mss(1460), after=completes),
     "SYN-ACK, alive", "ACK, alive"),
    ("RST, exact", then(half_open, RST, after=gone), "nothing, closed"),
    ("RST, one too high", then(half_open, RST, seq=1, after=completes), "ACK, alive",
     "nothing, alive", "SYN-ACK, alive"),
    ("an ACK of a wrong number", then(half_open, ACK, ack=1, after=completes), "RST, alive"),
    ("an ACK of an old number", then(half_open, ACK, ack=-1, after=completes), "RST, alive"),
    ("another SYN, far away", then(half_open, SYN, seq=100_000, options=mss(1460), after=completes),
     "ACK, alive", "nothing, alive", "SYN-ACK, alive"),
    ("FIN ACK as the third segment", then(half_open, FIN | ACK), "FIN?", "ACK?", "ACK?, FIN?"),
    ("text below the window", then(half_open, PSH | ACK, b"x" * 9, seq=-100, after=completes),
     "ACK, alive", "SYN-ACK, alive", "nothing, alive"),
])


@sent("syn-rcvd", "the SYN again: the same initial number", "the same")
def same_isn(system):
    p = half_open(system)
    first = p.rcv
    p.send(SYN, seq=p.iss, options=mss(1460))
    got = [s for s in p.take() if s.protocol == 6]
    return "the same" if got and p.rcv == first else "another"


@sent("syn-rcvd", "a request as the third segment", "alive")
def third_with_text(system):
    return half_open(system).alive()


# -- Established ---------------------------------------------------------------------------------


def established(system, options=mss(1460)):
    p = Peer(system)
    return p if p.open(options) else None


def served(system):
    """One that has had an answer, so that there are octets to acknowledge again."""
    p = established(system)
    return p if p and p.alive() == "alive" else None


def alive(p):
    return p.alive()


HALF = 1 << 31
EVIL = b"GET /bytes/7777 HTTP/1.1\r\nHost: t\r\n\r\n"

each("established", [
    ("RST, exact", then(served, RST, after=gone), "nothing, closed"),
    ("RST ACK, exact", then(served, RST | ACK, after=gone), "nothing, closed"),
    ("RST, one too high", then(served, RST, seq=1, after=alive), "ACK, alive"),
    ("RST, 1000 into the window", then(served, RST, seq=1000, after=alive), "ACK, alive"),
    ("RST, one too low", then(served, RST, seq=-1, after=alive), "nothing, alive"),
    ("RST, half the space away", then(served, RST, seq=HALF, after=alive), "nothing, alive"),
    ("SYN, exact", then(served, SYN, after=alive), "ACK, alive"),
    ("SYN in the window", then(served, SYN, seq=500, after=alive), "ACK, alive"),
    ("SYN out of the window", then(served, SYN, seq=HALF, after=alive), "ACK, alive"),
    ("SYN ACK, exact", then(served, SYN | ACK, after=alive), "ACK, alive"),
    ("SYN RST, exact", then(served, SYN | RST, after=gone), "nothing, closed", "nothing, open"),
    ("SYN FIN", then(served, SYN | FIN, after=alive), "ACK, alive"),
    ("text, an ACK of what was never sent", then(served, PSH | ACK, EVIL, ack=1000, after=alive),
     "ACK, alive"),
    ("text, an ACK half the space back", then(served, PSH | ACK, EVIL, ack=-HALF + 9, after=alive),
     "ACK, alive"),
    ("text, an ACK older than any window", then(served, PSH | ACK, EVIL, ack=-(1 << 20), after=alive),
     "ACK, alive"),
    ("text without ACK", then(served, PSH, EVIL, after=alive), "nothing, alive"),
    ("no flags, text", then(served, 0, EVIL, after=alive), "nothing, alive"),
    ("text half the space away", then(served, PSH | ACK, EVIL, seq=HALF, after=alive), "ACK, alive"),
    ("text beyond the window", then(served, PSH | ACK, EVIL, seq=1 << 24, after=alive),
     "ACK, alive"),
    ("text that came before", then(served, PSH | ACK, EVIL, seq=-len(EVIL), after=alive),
     "ACK, alive"),
    ("keepalive probe of no octet", then(served, ACK, seq=-1, after=alive), "ACK, alive"),
    ("keepalive probe of one octet", then(served, ACK, b"z", seq=-1, after=alive), "ACK, alive"),
    ("FIN half the space away", then(served, FIN | ACK, seq=HALF, after=alive), "ACK, alive"),
    ("FIN without ACK", then(served, FIN, after=alive), "nothing, alive"),
    ("ECE and CWR, never agreed on", then(served, ACK | ECE | CWR, after=alive), "nothing, alive"),
    ("reserved bits", then(served, ACK, reserved=15, after=alive), "nothing, alive"),
    ("URG without text, pointer 0", then(served, ACK | URG, after=alive), "nothing, alive"),
    ("URG without text, pointer 65535", then(served, ACK | URG, urgent=65535, after=alive),
     "nothing, alive"),
    ("a checksum that is wrong", then(served, PSH | ACK, EVIL, total=0x1111, after=alive),
     "nothing, alive"),
    ("an unknown option", then(served, ACK, options=b"\xfd\4ab", after=alive), "nothing, alive"),
    ("an option of length 0", then(served, ACK, options=b"\x08\0\0\0", after=alive),
     "nothing, alive"),
    ("timestamps never agreed on", then(served, ACK, options=NOP + NOP + stamps(5, 6), after=alive),
     "nothing, alive"),
], why="RFC 5961, RFC 9293 3.10.7.4")


def urgent(pointer, early=0):
    def send(system):
        p = established(system)
        text = get(10)
        p.send(PSH | ACK | URG, text, urgent=pointer)
        p.snd = u32(p.snd + len(text))
        return "alive" if p.body(10, 5) and p.alive() == "alive" else "dead"
    return send


for _pointer in (0, 1, len(get(10)), 65535):
    sent("urgent", "a request with URG, pointer %d" % _pointer, "alive", "dead",
         why="RFC 6093; the kernel takes one octet out of line")(urgent(_pointer))


@sent("urgent", "out of order, URG in both, then the hole filled", "alive", "dead",
      why="CVE-2019-12260")
def urgent_order(system):
    p = established(system)
    text = get(10)
    p.send(PSH | ACK | URG, text[9:], seq=u32(p.snd + 9), urgent=3)
    p.take()
    p.send(PSH | ACK | URG, text[:9], urgent=200)
    p.snd = u32(p.snd + len(text))
    return "alive" if p.body(10, 5) else "dead"


# -- Text ----------------------------------------------------------------------------------------


def pieces(order):
    """A request in octets of one, in this order."""
    def send(system):
        p = established(system, mss(1460) + SACK_OK)
        text = get(10)
        places = list(range(len(text)))
        order(places)
        for at in places:
            p.send(ACK, text[at:at + 1], seq=u32(p.snd + at))
        p.snd = u32(p.snd + len(text))
        return "alive" if p.body(10, 5) else "dead"
    return send


each("text", [
    ("a request, octet by octet", pieces(lambda x: None), "alive"),
    ("the same from the back", pieces(lambda x: x.reverse()), "alive"),
    ("the same in disorder", pieces(random.Random(7).shuffle), "alive"),
])


def two(first, second, want=10):
    """Two segments, each (start, text); then what is missing. Whose octets count?"""
    def send(system):
        p = established(system)
        for at, text in (first, second):
            p.send(PSH | ACK, text, seq=u32(p.snd + at))
        text = get(want)
        p.snd = u32(p.snd + len(text))
        p.send(ACK)
        return "alive" if p.body(want, 5) else "dead"
    return send


A, B = get(10), get(99)
each("text", [
    ("half old, half new", two((0, A[:20]), (10, A[10:])), "alive"),
    ("out of order, then the hole", two((20, A[20:]), (0, A[:20])), "alive"),
    ("the hole's filler reaches over what is held", two((20, A[20:]), (0, A)), "alive"),
    ("other octets for what was acknowledged", two((0, A), (0, B)), "alive"),
], why="RFC 9293 3.10.7.4")


@sent("text", "a segment out of order: the ACK tells of it at once", "ACK?, SACK", why="RFC 2018 4")
def sack_told(system):
    p = established(system, mss(1460) + SACK_OK)
    p.send(ACK, b"x" * 10, seq=u32(p.snd + 100))
    got = [s for s in p.take() if s.protocol == 6]
    want = struct.pack("!II", u32(p.snd + 100), u32(p.snd + 110))
    p.send(RST)
    return "ACK?, SACK" if got and got[-1].option(5) == want else "no SACK"


def storm(count, place, length=1):
    """Segments of rubbish out of order; another connection must be served, this one must live."""
    def send(system):
        p = established(system, mss(1460) + SACK_OK)
        for i in range(count):
            p.send(ACK, b"r" * length, seq=u32(p.snd + 1000 + place(i)))
            if i % 64 == 63:
                p.take()
        p.take()
        other = fresh(system)
        p.send(RST)
        return other
    return send


each("text", [
    ("1000 holes of one octet", storm(1000, lambda i: 2 * i), "alive"),
    ("1000 holes from the back", storm(1000, lambda i: 2000 - 2 * i), "alive"),
    ("1000 overlaps of 700 octets", storm(1000, lambda i: i * 37 % 5000, 700), "alive"),
], why="CVE-2018-5390")

# -- FIN -----------------------------------------------------------------------------------------


@sent("fin", "FIN: acknowledged, and a FIN in return", "ACK, FIN", "FIN")
def fin(system):
    p = served(system)
    p.push(b"", FIN | ACK)
    system.wait(lambda s: p.mine(s) and s.flags & FIN, 5)
    return p.saw()


@sent("fin", "the FIN again", "ACK", "ACK, FIN", "FIN")
def fin_again(system):
    p = served(system)
    p.push(b"", FIN | ACK)
    system.wait(lambda s: p.mine(s) and s.flags & FIN, 5)
    p.take()
    p.send(FIN | ACK, seq=u32(p.snd - 1), ack=u32(p.rcv - 1))
    return p.saw()


@sent("fin", "a request with FIN: answered, then FIN", "answered, FIN")
def fin_with_text(system):
    p = established(system)
    p.push(get(10), PSH | FIN | ACK)
    good = p.body(10, 5)
    system.wait(lambda s: p.mine(s) and s.flags & FIN, 2)
    p.take()
    p.send(ACK)
    return ("answered" if good else "not answered") + (", FIN" if p.fin_seen else "")


@sent("fin", "FIN before its text", "answered")
def fin_early(system):
    p = established(system)
    text = get(10)
    p.send(FIN | ACK, seq=u32(p.snd + len(text)))
    p.take()
    p.push(text)
    p.snd = u32(p.snd + 1)
    return "answered" if p.body(10, 5) else "not answered"


@sent("fin", "text behind the FIN", "answered")
def text_behind_fin(system):
    p = established(system)
    p.push(get(10), PSH | FIN | ACK)
    p.send(PSH | ACK, EVIL)
    return "answered" if p.body(10, 5) else "not answered"


@sent("fin", "half-close: 100 kB after our FIN", "all of it")
def half_close(system):
    p = established(system)
    p.push(get(100_000), PSH | FIN | ACK)
    return "all of it" if p.body(100_000) else "less"


# -- TIME-WAIT -----------------------------------------------------------------------------------


def time_wait(system, options=mss(1460)):
    """The system has closed first."""
    p = established(system, options)
    p.request(10, close=True)
    p.body(10, 5)
    system.wait(lambda s: p.mine(s) and s.flags & FIN, 5)
    p.take()
    p.push(b"", FIN | ACK)
    p.take()
    return p


def fin_resent(p):
    p.send(FIN | ACK, seq=u32(p.snd - 1))
    return p.saw()


each("time-wait", [
    ("the FIN again", then(time_wait, FIN | ACK, seq=-1), "ACK"),
    ("RST, exact, then the FIN again", then(time_wait, RST, after=fin_resent), "nothing, ACK"),
    ("a newer SYN", then(time_wait, SYN, seq=100_000, options=mss(1460)), "SYN-ACK?"),
    ("an older SYN", then(time_wait, SYN, seq=-100_000, options=mss(1460)), "ACK"),
    ("old text", then(time_wait, PSH | ACK, b"x" * 9, seq=-500), "ACK"),
    ("an ACK of the future", then(time_wait, ACK, ack=5000), "ACK", "nothing"),
], why="RFC 9293 3.10.7.4, RFC 1337, RFC 6191")

# -- Windows -------------------------------------------------------------------------------------


@sent("window", "window 0 before an answer: a probe comes", "a probe, alive", why="RFC 9293 3.8.6.1")
def zero_window(system):
    p = served(system)
    p.win = 0
    p.request(20_000)
    p.take()
    probed = system.wait(lambda s: p.mine(s) and (s.data or s.seq != p.rcv), 8)
    p.take()
    p.win = 65535
    p.send(ACK)
    whole = p.body(20_000)
    return ("a probe" if probed else "no probe") + (", alive" if whole else ", dead")


@sent("window", "window 0: no more than one octet is sent", "nothing", "ACK", why="RFC 9293 3.8.6.1")
def nothing_into_zero(system):
    p = served(system)
    p.win = 0
    p.request(20_000)
    return p.saw()


@sent("window", "the window shrinks below what is under way", "alive", why="RFC 9293 SHLD-14")
def shrink(system):
    p = established(system)
    p.request(60_000)
    system.settle()
    p.win = 100
    p.send(ACK)
    p.win = 65535
    p.send(ACK)
    return "alive" if p.body(60_000) else "dead"


@sent("window", "window 1: every octet comes", "alive", why="RFC 9293 3.8.6.2")
def tiny_window(system):
    p = established(system)
    p.win = 200
    p.request(1_000)
    return "alive" if p.body(1_000) else "dead"


# -- ACKs and SACKs ------------------------------------------------------------------------------


def blocks(*make):
    """SACK blocks from SND.UNA and SND.NXT of the system, while it has text under way."""
    def send(system):
        p = established(system, mss(1460) + SACK_OK)
        p.request(20_000)
        system.wait(lambda s: p.mine(s) and s.data, 5)
        una = p.rcv
        for b in make:
            p.send(ACK, options=NOP + NOP + sack(*[u32(una + e) for e in b]))
        return "alive" if p.body(20_000) else "dead"
    return send


each("sack", [
    ("a block below SND.UNA", blocks((-5000, -4000)), "alive"),
    ("a block beyond SND.NXT", blocks((1 << 20, (1 << 20) + 9)), "alive"),
    ("a block turned round", blocks((3000, 2000)), "alive"),
    ("a block of no octets", blocks((2000, 2000)), "alive"),
    ("a block of half the space", blocks((1, HALF)), "alive"),
    ("everything SACKed, nothing acknowledged", blocks((1, 14_600)), "alive"),
    ("100 blocks of one octet", blocks(*[(100 + 2 * i, 101 + 2 * i) for i in range(100)]), "alive"),
    ("four blocks that overlap", blocks((10, 500, 20, 600, 5, 30, 400, 450)), "alive"),
    ("D-SACK of everything", blocks((-400, -200, -500, -100)), "alive"),
], why="RFC 2018 5, CVE-2019-11477")


@sent("ack", "three duplicate ACKs: resent at once", "data?", why="RFC 5681 3.2")
def three_duplicates(system):
    p = established(system)
    p.request(20_000)
    system.wait(lambda s: p.mine(s) and s.data, 5)
    system.settle()
    una = p.rcv
    p.take()
    p.rcv = una  # as if the first had been lost
    first = len(p.sizes)
    for _ in range(4):
        p.send(ACK, ack=una)
    again = [s for s in p.take() if s.protocol == 6 and s.data and s.seq == una]
    return "data?" if again and first else "nothing"


@sent("ack", "100 ACKs for one segment's text", "alive", why="RFC 3465")
def split_acks(system):
    p = established(system)
    p.request(60_000)
    system.wait(lambda s: p.mine(s) and s.data, 5)
    una = p.rcv
    for i in range(100):
        p.send(ACK, ack=u32(una + 14 * i))
    return "alive" if p.body(60_000) else "dead"


# -- Timestamps ----------------------------------------------------------------------------------


def stamped(system):
    p = Peer(system)
    if p.open(mss(1460) + stamps(10_000)) is None:
        return None
    p.stamped = 10_001
    return p if p.alive() == "alive" else None


def with_stamp(value, echo=0):
    return NOP + NOP + stamps(value, echo)


def without(p):
    p.stamped = None
    p.send(ACK, options=b"")
    return "closed" if "RST" in p.saw() else "open"


each("paws", [
    ("text with an old timestamp", then(stamped, PSH | ACK, EVIL, options=with_stamp(9_000),
                                        after=alive), "ACK, alive"),
    ("text with a timestamp half the space back",
     then(stamped, PSH | ACK, EVIL, options=with_stamp(10_001 - HALF + 5), after=alive),
     "ACK, alive"),
    ("text without timestamps", then(stamped, PSH | ACK, EVIL, options=b"", after=alive),
     "nothing, alive", "ACK, alive"),
    ("RST, exact, without timestamps", then(stamped, RST, options=b"", after=gone),
     "nothing, closed"),
    ("RST, exact, with an old timestamp", then(stamped, RST, options=with_stamp(9_000), after=gone),
     "nothing, closed"),
    ("an ACK that echoes the future", then(stamped, ACK, options=with_stamp(10_001, 0xffffff00),
                                           after=alive), "nothing, alive"),
], why="RFC 7323 5")

# -- ICMP ----------------------------------------------------------------------------------------


def error(kind, code, rest=0, seq=0, flags="served", length=28):
    """An ICMP error that quotes the system's segment `seq` octets from SND.UNA."""
    def send(system):
        p = served(system)
        packet = ipv4(HOST, PEER, 6, struct.pack("!HHII", 80, p.sport, u32(p.rcv + seq), p.snd) +
                      b"\x50\x10\xff\xff\0\0\0\0")
        system.send(ipv4(PEER, HOST, 1, icmp(kind, code, rest, packet[:length])))
        return p.saw() + ", " + p.alive()
    return send


each("icmp", [
    ("source quench", error(4, 0), "nothing, alive"),
    ("port unreachable", error(3, 3), "nothing, alive"),
    ("protocol unreachable", error(3, 2), "nothing, alive"),
    ("host unreachable", error(3, 1), "nothing, alive"),
    ("port unreachable about what was never sent", error(3, 3, seq=1 << 20), "nothing, alive"),
    ("too big, MTU 0", error(3, 4, 0), "nothing, alive"),
    ("too big, MTU 68", error(3, 4, 68), "nothing, alive"),
    ("too big, MTU 68, about what was never sent", error(3, 4, 68, seq=HALF), "nothing, alive"),
    ("time exceeded", error(11, 0), "nothing, alive"),
    ("parameter problem", error(12, 0), "nothing, alive"),
    ("redirect", error(5, 1, 0x0a630032), "nothing, alive"),
    ("an error that quotes 4 octets", error(3, 3, length=24), "nothing, alive"),
    ("an error that quotes half a header", error(3, 3, length=10), "nothing, alive"),
], why="RFC 5927")


def message(kind, code=0, body=b"", dst=HOST, mac=None, total=None, protocol=1, octets=None):
    def send(system):
        p = Peer(system)
        system.take(lambda s: True)
        text = octets if octets is not None else icmp(kind, code, 0x00420001, body)
        if total is not None:
            text = text[:2] + total + text[4:]
        system.send(ipv4(PEER, dst, protocol, text), mac)
        system.settle()
        got = system.take(lambda s: s.protocol == 1 and s.dst == PEER)
        del p
        return ", ".join("ICMP %d/%d" % (s.body[0], s.body[1]) for s in got) or "nothing"
    return send


UDP = struct.pack("!HHHH", 4000, 4001, 12, 0) + b"text"
each("icmp", [
    ("echo", message(8, body=b"hello"), "ICMP 0/0"),
    ("echo of 1472 octets", message(8, body=b"h" * 1472), "ICMP 0/0"),
    ("echo with a wrong checksum", message(8, total=b"\x12\x34"), "nothing"),
    ("echo to the network's broadcast", message(8, dst="10.99.0.255", mac=b"\xff" * 6), "nothing",
     "ICMP 0/0"),
    ("an echo reply nobody asked for", message(0), "nothing"),
    ("timestamp request", message(13, body=b"\0" * 12), "nothing", "ICMP 14/0"),
    ("address mask request", message(17, body=b"\0" * 4), "nothing"),
    ("an unknown type", message(200), "nothing"),
    ("4 octets of ICMP", message(8, octets=b"\x08\0\0\0"), "nothing"),
    ("UDP to a closed port", message(0, octets=UDP, protocol=17), "ICMP 3/3"),
    ("UDP to the network's broadcast",
     message(0, octets=UDP, protocol=17, dst="10.99.0.255", mac=b"\xff" * 6), "nothing"),
    ("4 octets of UDP", message(0, octets=UDP[:4], protocol=17), "nothing"),
], why="RFC 1122 3.2.2")

# -- Fragments -----------------------------------------------------------------------------------


def in_parts(order=lambda parts: parts, ends=(8, 16), wait=0, request=True):
    """A handshake and a request, every packet in parts."""
    def send(system):
        p = Peer(system)

        def all_of(segment):
            for piece in order(cut(ipv4(PEER, HOST, 6, segment, flags=0), *ends)):
                system.send(piece)
        all_of(p.segment(SYN, options=mss(1460)))
        p.snd = u32(p.iss + 1)
        word = p.saw()
        if word != "SYN-ACK":
            return word
        all_of(p.segment(PSH | ACK, get(10)))
        p.snd = u32(p.snd + len(get(10)))
        return "alive" if p.body(10, 5) else "dead"
    return send


def parts_of_syn(make, ident=None):
    """The parts that `make` says of a SYN's octets, then whether the system lives."""
    def send(system):
        p = Peer(system)
        payload = p.segment(SYN, options=mss(1460))
        packet = ipv4(PEER, HOST, 6, payload, flags=0)
        mark = random.randrange(1, 65536) if ident is None else ident
        for piece in make(packet, payload, mark):
            system.send(piece)
        return p.saw() + ", " + fresh(system)
    return send


def with_tos(packet, tos):
    head = packet[:1] + bytes([tos]) + packet[2:10] + b"\0\0" + packet[12:20]
    return head[:10] + struct.pack("!H", raw.checksum(head)) + head[12:] + packet[20:]


each("fragment", [
    ("a SYN and a request in parts of 8 octets", in_parts(), "alive"),
    ("the last part first", in_parts(lambda x: x[::-1]), "alive"),
    ("every part twice", in_parts(lambda x: x[:-1] + x[:-1] + x[-1:]), "alive"),
    ("an overlap that changes the ports", parts_of_syn(lambda k, t, i: [
        part(k, t, 0, 8, True, i), part(k, b"\0\1" + t[2:], 0, 8, True, i),
        part(k, t, 8, len(t), False, i)]), "nothing, alive"),
    ("teardrop: a part within another", parts_of_syn(lambda k, t, i: [
        part(k, t, 0, 16, True, i), part(k, t, 8, 12, False, i)]), "nothing, alive"),
    ("a last part that overlaps", parts_of_syn(lambda k, t, i: [
        part(k, t, 0, 16, True, i), part(k, t, 8, len(t), False, i)]), "nothing, alive"),
    ("ends that disagree", parts_of_syn(lambda k, t, i: [
        part(k, t, 16, 20, False, i), part(k, t, 16, len(t), False, i),
        part(k, t, 0, 16, True, i)]), "nothing, alive"),
    ("a part beyond 65535 octets", parts_of_syn(lambda k, t, i: [
        part(k, t, 0, 16, True, i),
        ipv4(PEER, HOST, 6, b"x" * 800, ident=i, flags=8189)]), "nothing, alive"),
    ("a part of no octets", parts_of_syn(lambda k, t, i: [
        part(k, t, 0, 0, True, i), part(k, t, 0, 0, False, i)]), "nothing, alive"),
    ("more to follow, 12 octets", parts_of_syn(lambda k, t, i: [
        part(k, t, 0, 12, True, i), part(k, t, 12, len(t), False, i)]), "nothing, alive"),
    ("no first part", parts_of_syn(lambda k, t, i: [part(k, t, 8, len(t), False, i)]),
     "nothing, alive"),
    ("no last part", parts_of_syn(lambda k, t, i: [part(k, t, 0, 16, True, i)]), "nothing, alive"),
    ("parts of two identifications", parts_of_syn(lambda k, t, i: [
        part(k, t, 0, 16, True, i), part(k, t, 16, len(t), False, i ^ 1)]), "nothing, alive"),
    ("ECT in both: whole", parts_of_syn(lambda k, t, i: [
        with_tos(part(k, t, 0, 16, True, i), 2), with_tos(part(k, t, 16, len(t), False, i), 3)]),
     "SYN-ACK, alive"),
    ("CE beside Not-ECT", parts_of_syn(lambda k, t, i: [
        part(k, t, 0, 16, True, i), with_tos(part(k, t, 16, len(t), False, i), 3)]),
     "nothing, alive"),
    ("2000 first parts from everywhere", parts_of_syn(lambda k, t, i: [
        ipv4("11.%d.%d.9" % (n >> 8, n & 255), HOST, 17, b"f" * 1400, ident=n, flags=0x2000)
        for n in range(2000)]), "nothing, alive"),
], why="RFC 791 3.2, RFC 1122 3.3.2, RFC 3168 5.3")


@sent("fragment", "an echo of 3000 octets", "ICMP 0/0", "nothing",
      why="RFC 1122 3.2.2.6; Weir sends no fragments")
def large_echo(system):
    packet = ipv4(PEER, HOST, 1, icmp(8, 0, 0x00420002, b"e" * 3000), flags=0)
    for piece in cut(packet, 1480, 2960):
        system.send(piece)
    system.settle()
    got = system.take(lambda s: s.protocol == 1 and s.body[:2] == b"\0\0" or
                      struct.unpack("!H", s.packet[6:8])[0] & 0x3fff)
    return "ICMP 0/0" if got else "nothing"


# -- IPv6 ----------------------------------------------------------------------------------------


def served6(system):
    """As served, over IPv6."""
    p = Peer(system, src=PEER6)
    return p if p.open(mss(1440)) and p.alive() == "alive" else None


def syn6(first=6, headers=b"", src=PEER6, dst=HOST6, mac=None, length=None, port=80, **how):
    """A SYN behind these extension headers, the first of type `first`, and what came back."""
    def send(system):
        p = Peer(system, port, src=PEER6)
        p.last = (p.snd, 0, 1)
        how.setdefault("options", mss(1440))
        segment = tcp(src, dst, p.sport, port, p.snd, 0, SYN, **how)
        system.settle()
        system.take(lambda s: True)
        system.send(ipv6(src, dst, first, headers + segment, length), mac, 0x86dd)
        if src == PEER6:
            return p.saw()
        system.settle()
        got = system.take(lambda s: s.protocol == 6 and p.sport in (s.dport, s.sport))
        return "an answer" if got else "nothing"
    return send


def option6(kind):
    """A header of options with one unknown option."""
    return bytes([6, 0, kind, 4, 0, 0, 0, 0])


def packet6(following, payload, hops=64, dst=HOST6, mac=None, after=False):
    def send(system):
        p = Peer(system, src=PEER6)
        p.last = (p.snd, 0, 1)
        system.settle()
        system.take(lambda s: True)
        for piece in payload if isinstance(payload, list) else [payload]:
            system.send(ipv6(PEER6, dst, following, piece, hops=hops), mac, 0x86dd)
        word = p.saw()
        return word + (", " + fresh(system) if after else "")
    return send


def parts6(make):
    """A request of a connection in the parts that `make` says; is it answered?"""
    def send(system):
        p = Peer(system, src=PEER6)
        if p.open(mss(1440)) is None:
            return "no handshake"
        segment = p.segment(PSH | ACK, get(10))
        for piece in make(segment, random.getrandbits(32)):
            system.send(ipv6(PEER6, HOST6, 44, piece), kind=0x86dd)
        if not make.__doc__:
            p.snd = u32(p.snd + len(get(10)))
            return "answered" if p.body(10, 5) else "not answered"
        return p.saw() + ", " + p.alive()
    return send


def overlapping(segment, ident):
    """To be dropped."""
    return [part6(6, segment, 0, 40, 1, ident), part6(6, segment, 32, len(segment), 0, ident)]


def overlapping_then_whole(segment, ident):
    """To be dropped: RFC 5722 wants what comes later dropped too."""
    return [part6(6, segment, 0, 40, 1, ident), part6(6, b"Z" * 40, 0, 40, 1, ident),
            part6(6, segment, 0, 40, 1, ident), part6(6, segment, 40, len(segment), 0, ident)]


def solicitation(hops=255, atomic=False, code=0):
    """Whether an advertisement comes for such a question."""
    def send(system):
        target = socket.inet_pton(socket.AF_INET6, HOST6)
        body = target + b"\1\1" + system.wire.mac
        message = icmp6(PEER6, HOST6, 135, code, 0, body)
        following = 58
        if atomic:
            following, message = 44, part6(58, message, 0, len(message), 0, 5)
        system.settle()
        system.take(lambda s: True)
        system.send(ipv6(PEER6, HOST6, following, message, hops=hops), kind=0x86dd)
        system.settle()
        got = system.take(lambda s: s.protocol == 58 and s.body[0] == 136)
        return "an advertisement" if got else "nothing"
    return send


ECHO6 = icmp6(PEER6, HOST6, 128, 0, 0x00420001, b"hello")


def route6(kind, left):
    return bytes([6, 2, kind, left]) + b"\0" * 20


each("ipv6", [
    ("SYN", syn6(), "SYN-ACK"),
    ("SYN to a closed port", syn6(port=81), "RST-ACK"),
    ("a wrong checksum", syn6(total=0x1234), "nothing"),
    ("a length beyond the frame", syn6(length=400), "nothing"),
    ("a SYN from a group", syn6(src="ff02::1"), "nothing"),
    ("a SYN from ::", syn6(src="::"), "nothing"),
    ("a SYN from ::1", syn6(src="::1"), "nothing"),
    ("a SYN from ::ffff:10.99.0.50", syn6(src="::ffff:10.99.0.50"), "nothing"),
    ("LAND", syn6(src=HOST6), "nothing"),
    ("a SYN to the group of all nodes",
     syn6(dst="ff02::1", mac=bytes.fromhex("333300000001")), "nothing"),
    ("hop-by-hop options: padding", syn6(0, bytes([6, 0, 1, 4, 0, 0, 0, 0])), "SYN-ACK"),
    ("destination options: padding", syn6(60, bytes([6, 0, 1, 4, 0, 0, 0, 0])), "SYN-ACK"),
    ("an unknown option 00", syn6(60, option6(0x1e)), "SYN-ACK"),
    ("an unknown option 01", syn6(60, option6(0x5e)), "nothing"),
    ("an unknown option 10", syn6(60, option6(0x9e)), "ICMP 4/2 at 42"),
    ("an unknown option 11", syn6(60, option6(0xde)), "ICMP 4/2 at 42"),
    ("hop-by-hop options second",
     syn6(60, bytes([0, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0])), "ICMP 4/1 at 40"),
    ("an option longer than its header", syn6(60, bytes([6, 0, 1, 9, 0, 0, 0, 0])), "nothing"),
    ("a header longer than the packet", syn6(60, bytes([6, 90, 1, 4, 0, 0, 0, 0])), "nothing",
     "ICMP 4/0 at 41"),
    ("routing type 0, one segment left", syn6(43, route6(0, 1)), "ICMP 4/0 at 42"),
    ("routing type 0, none left", syn6(43, route6(0, 0)), "SYN-ACK"),
    ("routing type 99, one segment left", syn6(43, route6(99, 1)), "ICMP 4/0 at 42"),
    ("nine destination headers",
     syn6(60, bytes([60, 0, 1, 4, 0, 0, 0, 0]) * 8 + bytes([6, 0, 1, 4, 0, 0, 0, 0])), "nothing",
     "SYN-ACK"),
    ("an atomic fragment", syn6(44, part6(6, b"", 0, 0, 0, 7)), "SYN-ACK"),
    ("no next header", packet6(59, b"x" * 20), "nothing"),
    ("an unknown next header", packet6(253, b"x" * 20), "ICMP 4/1 at 6"),
    ("echo", packet6(58, ECHO6), "ICMP 129/0"),
    ("echo in two parts",
     packet6(44, [part6(58, ECHO6, 0, 8, 1, 9), part6(58, ECHO6, 8, 13, 0, 9)]), "ICMP 129/0"),
    ("a request in parts", parts6(lambda t, i: [
        part6(6, t, 0, 40, 1, i), part6(6, t, 40, len(t), 0, i)]), "answered"),
    ("the last part first", parts6(lambda t, i: [
        part6(6, t, 40, len(t), 0, i), part6(6, t, 0, 40, 1, i)]), "answered"),
    ("parts that overlap", parts6(overlapping), "nothing, alive"),
    ("parts that overlap, then all of them", parts6(overlapping_then_whole), "nothing, alive"),
    ("a first part that cuts TCP's header",
     packet6(44, part6(6, b"\x11" * 16, 0, 16, 1, 11)), "ICMP 4/3 at 0", "nothing"),
    ("more to follow, 12 octets", packet6(44, part6(17, b"y" * 12, 0, 12, 1, 12)),
     "ICMP 4/0 at 4"),
    ("a part beyond 65535 octets",
     packet6(44, struct.pack("!BBHI", 17, 0, 0xfff8, 13) + b"z" * 16), "ICMP 4/0 at 42"),
    ("1000 first parts", packet6(44, [part6(17, b"f" * 1200, 0, 1200, 1, i) for i in range(1000)],
                                 after=True), "nothing, alive"),
    ("RST, exact", then(served6, RST, after=gone), "nothing, closed"),
    ("RST, one too high", then(served6, RST, seq=1, after=alive), "ACK, alive"),
    ("SYN, exact", then(served6, SYN, after=alive), "ACK, alive"),
    ("text, an ACK of what was never sent", then(served6, PSH | ACK, EVIL, ack=1000, after=alive),
     "ACK, alive"),
    ("a solicitation", solicitation(), "an advertisement"),
    ("a solicitation of hop limit 254", solicitation(254), "nothing"),
    ("a solicitation of code 1", solicitation(code=1), "nothing"),
    ("a solicitation in an atomic fragment", solicitation(atomic=True), "nothing"),
], why="RFC 8200, RFC 4443, RFC 4861")


# -- Running them --------------------------------------------------------------------------------


def one(c, system):
    try:
        system.take(lambda s: True)
        return c.run(system)
    except (AttributeError, TypeError, struct.error) as e:
        return "no handshake (%s)" % e


def kernel_host(world):
    """The kernel's stack at HOST, in a namespace of its own behind a veth pair."""
    far = world._second_namespace()  # pylint: disable=protected-access
    world._veth(NEAR, None, far, FAR, HOST)  # pylint: disable=protected-access
    there = ("nsenter", "--net", "--target", str(far.pid))
    run(*there, "ip", "link", "set", "lo", "up")
    run(*there, "ip", "addr", "add", HOST6 + "/64", "dev", FAR, "nodad")
    server = subprocess.Popen(["nsenter", "--net", "--target", str(far.pid), sys.executable, "-c",
                               SERVER], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    world.others.append(server)
    expect(server.stdout.readline() == b"ready\n", "the kernel's server did not start")
    return System("Linux " + os.uname().release.split("-")[0], raw.Wire(NEAR))


def weir_host(world):
    world.weir = Weir(world, "serve", [
        'port.addresses=["%s/24", "%s/64"]' % (HOST, HOST6),
        'serve.listen=["%s:80", "[%s]:80"]' % (HOST, HOST6)])
    run("ip", "link", "set", IFACE, "up")
    world.weir.baseline = world.weir.summary()
    return System("Weir", raw.Wire())


def table_of(rows, names):
    """The table in text: a line for each case."""
    heads = ("case", "sent", "may come back", *names, "")
    lines = [[r["case"], r["sent"], " | ".join(r["may"]), r["linux"], r["weir"],
              "ok" if r["ok"] else "FAIL"] for r in rows]
    widths = [max(len(x) for x in column) for column in zip(heads, *lines)]
    return "\n".join("  ".join(x.ljust(w) for x, w in zip(line, widths)).rstrip()
                     for line in (heads, *lines)) + "\n"


def raw_cases(world, wanted=None):
    systems = [kernel_host(world), weir_host(world)]
    for s in systems:
        expect(s.meet(), "%s answers no ARP" % s.name)
        # An address is of use once nobody else was found to have it (RFC 4862 5.4): a second.
        wait_for("%s has its IPv6 address" % s.name, lambda s=s: solicitation()(s) != "nothing")
    rows = []
    for c in RAW:
        if wanted and not c.name.startswith(wanted):
            continue
        answers = [one(c, s) for s in systems]
        world.weir.expect_alive()
        rows.append({"case": c.name, "sent": c.what, "may": list(c.may), "why": c.why,
                     "linux": answers[0], "weir": answers[1], "ok": answers[1] in c.may,
                     "linux_ok": answers[0] in c.may, "same": answers[0] == answers[1]})
    return rows, [s.name for s in systems]


@case("raw segments to weir serve and to the kernel's stack, side by side", limit=400, waits=True)
def raw_suite(world):
    start = time.monotonic()
    rows, names = raw_cases(world, os.environ.get("WEIR_RAW"))
    with open(world.report("json"), "w", encoding="utf-8") as f:
        json.dump({"systems": names, "cases": rows}, f, indent=1)
    with open(world.report("txt"), "w", encoding="utf-8") as f:
        f.write(table_of(rows, names))
    bad = [r for r in rows if not r["ok"]]
    expect(not bad, lambda: "%d of %d fall short: %s" % (len(bad), len(rows), "; ".join(
        "%s, %s: %s" % (r["case"], r["sent"], r["weir"]) for r in bad[:5])))
    return "%d cases, %d as the kernel, the kernel falls short in %d, %.0f s" % (
        len(rows), sum(r["same"] for r in rows), sum(not r["linux_ok"] for r in rows),
        time.monotonic() - start)
