"""A Weir stack by ctypes, and IP packets: built to be put in, read when they come out."""
import ctypes
import dataclasses
import ipaddress
import os
import struct

from language import Wrong

NEVER = 2**64 - 1
TCP_FLAGS = "FSRP.UEW"
ICMP4 = {"unreachable": (3, {"net_unreachable": 0, "host_unreachable": 1, "protocol_unreachable": 2,
                             "port_unreachable": 3, "frag_needed": 4, "source_route_failed": 5,
                             "net_unknown": 6, "host_unknown": 7, "source_host_isolated": 8,
                             "net_prohibited": 9, "host_prohibited": 10, "net_unreachable_for_tos": 11,
                             "host_unreachable_for_tos": 12, "packet_filtered": 13}),
         "source_quench": (4, {}), "redirect": (5, {}),
         "time_exceeded": (11, {"exceeded_in_transit": 0, "reassembly_exceeded": 1}),
         "parameter_problem": (12, {})}
ICMP6 = {"unreachable": (1, {"no_route": 0, "admin_prohibited": 1, "address_unreachable": 3, "port_unreachable": 4,
                             "net_unreachable": 0, "host_unreachable": 3, "packet_filtered": 1}),
         "packet_too_big": (2, {}), "time_exceeded": (3, {"exceeded_in_transit": 0}), "parameter_problem": (4, {})}


class Setting(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("value", ctypes.c_char_p)]


class Config(ctypes.Structure):
    _fields_ = [("api_version", ctypes.c_uint32), ("link", ctypes.c_uint32), ("mtu", ctypes.c_uint32),
                ("mac", ctypes.c_uint8 * 6), ("reserved", ctypes.c_uint8 * 2), ("seed", ctypes.c_uint64),
                ("now", ctypes.c_uint64), ("addresses", ctypes.POINTER(ctypes.c_char_p)),
                ("address_count", ctypes.c_size_t), ("gateway", ctypes.c_char_p), ("gateway6", ctypes.c_char_p),
                ("max_connections", ctypes.c_uint32), ("max_sockets", ctypes.c_uint32),
                ("first_descriptor", ctypes.c_uint32), ("max_packet_buffers", ctypes.c_uint32),
                ("raise_sigpipe", ctypes.c_uint32), ("dad_transmits", ctypes.c_uint32),
                ("settings", ctypes.POINTER(Setting)), ("setting_count", ctypes.c_size_t)]


class Refused(Exception):
    """A setting that the stack does not take, in its words."""


class Host:
    """One stack. call() is any weir_ function by its name behind "weir_": (result, errno)."""

    def __init__(self, library, addresses, mtu, settings):
        self.lib = ctypes.CDLL(library, use_errno=True)
        for name in ("create", "next_deadline", "now"):
            getattr(self.lib, "weir_stack_" + name).restype = ctypes.c_uint64
        config = Config()
        self.lib.weir_config_init(ctypes.byref(config))
        texts = [a.encode() for a in addresses]
        config.addresses, config.address_count = (ctypes.c_char_p * len(texts))(*texts), len(texts)
        config.mtu, config.first_descriptor, config.seed, config.now = mtu, 1000, 1, 1_000_000
        pairs = [Setting(n.encode(), v.encode()) for n, v in settings]
        config.settings, config.setting_count = (Setting * len(pairs))(*pairs), len(pairs)
        error = ctypes.create_string_buffer(300)
        self.stack = ctypes.c_void_p(self.lib.weir_stack_create(ctypes.byref(config), error, ctypes.c_size_t(300)))
        if not self.stack.value:
            raise Refused(error.value.decode())
        self.start = 1_000_000
        self.buffer = ctypes.create_string_buffer(65_600)

    def close(self):
        self.lib.weir_stack_destroy(self.stack)

    def set(self, name, value):
        error = ctypes.create_string_buffer(300)
        if self.lib.weir_stack_set(self.stack, name.encode(), value.encode(), error, ctypes.c_size_t(300)) != 0:
            raise Refused(error.value.decode() or name)

    def call(self, name, *args, wide=False):
        function = getattr(self.lib, "weir_" + name)
        function.restype = ctypes.c_ssize_t if wide else ctypes.c_int
        ctypes.set_errno(0)
        result = function(self.stack, *args)
        return result, ctypes.get_errno() if result < 0 else 0

    def now(self):
        return self.lib.weir_stack_now(self.stack) - self.start

    def next_deadline(self):
        then = self.lib.weir_stack_next_deadline(self.stack)
        return NEVER if then == NEVER else then - self.start

    def advance(self, now):
        if self.lib.weir_stack_advance(self.stack, ctypes.c_uint64(now + self.start)) != 0:
            raise Wrong("time went back")

    def input(self, packet):
        now = ctypes.c_uint64(self.now() + self.start)
        if self.lib.weir_stack_input(self.stack, packet, ctypes.c_size_t(len(packet)), now) != 0:
            raise Wrong("the stack has no room for a packet")

    def output(self):
        """The packets that came out: (when, octets)."""
        length, when, out = ctypes.c_size_t(), ctypes.c_uint64(), []
        while self.lib.weir_stack_output(self.stack, self.buffer, ctypes.c_size_t(len(self.buffer)),
                                         ctypes.byref(length), ctypes.byref(when)) == 1:
            out.append((when.value - self.start, self.buffer.raw[:length.value]))
        return out


def checksum(octets):
    if len(octets) % 2:
        octets += b"\0"
    total = sum(struct.unpack("!%dH" % (len(octets) // 2), octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip_packet(source, target, protocol, payload, ecn=0):
    """`payload`'s checksum is set, when `protocol` has one, at its known place."""
    a, b = ipaddress.ip_address(source), ipaddress.ip_address(target)
    if protocol in (6, 17, 58):
        pseudo = a.packed + b.packed + struct.pack("!IHBB", len(payload), 0, 0, protocol)
        if a.version == 4:
            pseudo = a.packed + b.packed + struct.pack("!BBH", 0, protocol, len(payload))
        at = {6: 16, 17: 6, 58: 2}[protocol]
        payload = payload[:at] + struct.pack("!H", checksum(pseudo + payload)) + payload[at + 2:]
    if a.version == 6:
        return struct.pack("!IHBB", 6 << 28 | ecn << 20, len(payload), protocol, 255) + a.packed + b.packed + payload
    head = struct.pack("!BBHHHBBH", 0x45, ecn, 20 + len(payload), 0, 0, 255, protocol, 0) + a.packed + b.packed
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def options_to_octets(options):
    out = b""
    for kind, *args in options:
        if kind in ("nop", "eol"):
            out += b"\x01" if kind == "nop" else b"\0"
        elif kind == "mss":
            out += struct.pack("!BBH", 2, 4, args[0])
        elif kind == "wscale":
            out += struct.pack("!BBB", 3, 3, args[0])
        elif kind == "sackOK":
            out += b"\x04\x02"
        elif kind == "sack":
            out += struct.pack("!BB", 5, 2 + 8 * len(args)) + b"".join(struct.pack("!II", *x) for x in args)
        elif kind == "TS":
            out += struct.pack("!BBII", 8, 10, *args)
    return out + b"\0" * (-len(out) % 4)


def octets_to_options(octets):
    out = []
    while octets:
        kind = octets[0]
        if kind in (0, 1):
            out.append(("eol",) if kind == 0 else ("nop",))
            octets = octets[1:]
            if kind == 0:
                break
            continue
        body, octets = octets[2:octets[1]], octets[max(octets[1], 2):]
        if kind == 2:
            out.append(("mss", struct.unpack("!H", body)[0]))
        elif kind == 3:
            out.append(("wscale", body[0]))
        elif kind == 4:
            out.append(("sackOK",))
        elif kind == 5:
            words = struct.unpack("!%dI" % (len(body) // 4), body)
            out.append(("sack",) + tuple(zip(words[::2], words[1::2])))
        elif kind == 8:
            out.append(("TS",) + struct.unpack("!II", body))
        else:
            out.append(("kind %d" % kind, body.hex()))
    return out


def tcp_segment(ports, seq, ack, flags, win, urg, options, length):
    bits = sum(1 << TCP_FLAGS.index(f) for f in flags if f != "-")
    raw = options_to_octets(options)
    return struct.pack("!HHIIBBHHH", *ports, seq % 2**32, ack % 2**32, (20 + len(raw)) // 4 << 4, bits, win, 0,
                       urg) + raw + b"\0" * length


@dataclasses.dataclass
class Segment:
    """What came out, with numbers as they were on the wire."""
    when: int
    source: str
    target: str
    protocol: int
    ecn: int
    ports: tuple = (0, 0)
    seq: int = 0
    ack: int = 0
    flags: str = ""
    win: int = 0
    urg: int = 0
    options: list = dataclasses.field(default_factory=list)
    length: int = 0
    octets: bytes = b""


def read_packet(when, octets):
    if octets[0] >> 4 == 4:
        size, protocol, ecn = (octets[0] & 15) * 4, octets[9], octets[1] & 3
        names = [str(ipaddress.ip_address(octets[i:i + 4])) for i in (12, 16)]
    else:
        size, protocol, ecn = 40, octets[6], octets[1] >> 4 & 3
        names = [str(ipaddress.ip_address(octets[i:i + 16])) for i in (8, 24)]
    s = Segment(when, *names, protocol, ecn, octets=octets)
    if protocol == 6:
        t = octets[size:]
        source, target, s.seq, s.ack, offset, bits, s.win, _, s.urg = struct.unpack("!HHIIBBHHH", t[:20])
        s.ports, offset = (source, target), (offset >> 4) * 4
        s.flags = "".join(f for i, f in enumerate(TCP_FLAGS) if bits & 1 << i)
        s.options, s.length = octets_to_options(t[20:offset]), len(t) - offset
    return s


def icmp_packet(source, target, kind, code, mtu, quoted):
    """`quoted`: the IP packet that the message is about."""
    v4 = ipaddress.ip_address(target).version == 4
    if not v4 and kind == "unreachable" and code in ("frag_needed", "packet_too_big"):
        kind, code = "packet_too_big", None
    table = ICMP4 if v4 else ICMP6
    if kind not in table:
        raise Wrong("ICMP of the kind %s" % kind)
    number, codes = table[kind]
    if code is not None and not code.isdigit() and code not in codes:
        raise Wrong("ICMP %s of the code %s" % (kind, code))
    code = int(code) if code is not None and code.isdigit() else codes.get(code, 0)
    if v4:
        body = struct.pack("!BBHHH", number, code, 0, 0, mtu) + quoted[:28]
        return ip_packet(source, target, 1, body[:2] + struct.pack("!H", checksum(body)) + body[4:])
    return ip_packet(source, target, 58, struct.pack("!BBHI", number, code, 0, mtu) + quoted[:48])


def default_library():
    build = os.environ.get("WEIR_BUILD", os.path.join(os.path.dirname(__file__), "../../build/release"))
    return os.path.abspath(os.path.join(build, "lib/socket/libweir.so.1"))
