"""Raw frames at the kernel's end of the wire: ARP, TCP segments, a capture."""
import fcntl
import socket
import struct

from harness import IFACE

ETH_P_ALL = 3
SIOCGIFHWADDR = 0x8927


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def mac(text):
    return bytes(int(part, 16) for part in text.split(":"))


class Wire:
    """Sends and sees whole frames."""

    def __init__(self, interface=IFACE):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        self.socket.bind((interface, ETH_P_ALL))
        request = fcntl.ioctl(self.socket, SIOCGIFHWADDR,
                              struct.pack("256s", interface.encode()))
        self.mac = request[18:24]

    def send(self, frame):
        self.socket.send(frame)

    def receive(self, seconds):
        """The next frame and whether it comes from Weir, or None."""
        self.socket.settimeout(seconds)
        try:
            frame, address = self.socket.recvfrom(65536)
            return frame, address[2] != socket.PACKET_OUTGOING
        except TimeoutError:
            return None

    def arp_request(self, sender, target):
        self.send(b"\xff" * 6 + self.mac + struct.pack(
            "!HHHBBH6s4s6s4s", 0x0806, 1, 0x0800, 6, 4, 1, self.mac, socket.inet_aton(sender),
            b"\0" * 6, socket.inet_aton(target)))

    def send_syn(self, weir_mac, source, source_port, target, port, seq=1, spoil=False):
        """`spoil`: with a checksum that is wrong."""
        options = struct.pack("!BBH", 2, 4, 1460)
        tcp = struct.pack("!HHIIBBHHH", source_port, port, seq, 0, (5 + len(options) // 4) << 4, 2,
                          65535, 0, 0) + options
        addresses = socket.inet_aton(source) + socket.inet_aton(target)
        total = checksum(addresses + struct.pack("!HH", 6, len(tcp)) + tcp) ^ (0x55aa * spoil)
        tcp = tcp[:16] + struct.pack("!H", total) + tcp[18:]
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0) + addresses
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        self.send(weir_mac + self.mac + b"\x08\x00" + ip + tcp)


def parse_arp_reply(frame):
    """(sender's MAC, sender's address) or None."""
    if len(frame) < 42 or frame[12:14] != b"\x08\x06" or frame[20:22] != b"\x00\x02":
        return None
    return frame[22:28], socket.inet_ntoa(frame[28:32])


def is_syn(frame):
    return (len(frame) >= 54 and frame[12:14] == b"\x08\x00" and frame[23] == 6 and
            frame[14 + (frame[14] & 15) * 4 + 13] & 0x12 == 2)


def tcp_sum(frame):
    """0 for a TCP segment whose checksum is right. Pre: IPv4, no Ethernet padding."""
    tcp = frame[14 + (frame[14] & 15) * 4:14 + struct.unpack("!H", frame[16:18])[0]]
    return checksum(frame[26:34] + struct.pack("!HH", 6, len(tcp)) + tcp)


def parse_syn_ack(frame):
    """(port it goes to, sequence number) or None."""
    if len(frame) < 54 or frame[12:14] != b"\x08\x00" or frame[23] != 6:
        return None
    tcp = 14 + (frame[14] & 15) * 4
    if frame[tcp + 13] & 0x12 != 0x12:
        return None
    return struct.unpack("!H", frame[tcp + 2:tcp + 4])[0], struct.unpack(
        "!I", frame[tcp + 4:tcp + 8])[0]
