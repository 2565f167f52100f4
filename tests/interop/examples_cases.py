"""The echo servers of apps/examples, with the kernel as their client."""
import os
import socket
import struct
import subprocess
import threading

from cases import case
from harness import IFACE, KERNEL, PATIENCE, WEIR_ADDRESS, Wrong, connect, expect, read_all, run, wait_for

EXAMPLES = os.path.join(os.environ["WEIR_BUILD"], "apps/examples")
PORT = 7


def start(world, name, *args):
    """An example, ready; its device up, the kernel's address on it."""
    out_path = world.path(name + ".out")
    with open(out_path, "wb") as out, open(world.path("weir.err"), "wb") as err:
        process = subprocess.Popen([os.path.join(EXAMPLES, name), *args], stdin=subprocess.DEVNULL,
                                   stdout=out, stderr=err, start_new_session=True)
    world.others.append(process)

    def ready():
        expect(process.poll() is None, lambda: "%s ended by itself: exit code %d" % (
            name, process.returncode))
        with open(out_path, encoding="utf-8") as f:
            return "ready\n" in f.read()
    wait_for(name + " gets ready", ready)
    run("ip", "addr", "add", KERNEL + "/24", "dev", IFACE)
    run("ip", "link", "set", IFACE, "up")
    return process


def echo_once(size):
    """Sends that much and ends; what comes back must be the same."""
    text = os.urandom(size)
    s = connect(WEIR_ADDRESS, PORT)
    sender = threading.Thread(target=lambda: (s.sendall(text), s.shutdown(socket.SHUT_WR)))
    sender.start()
    back = read_all(s)
    sender.join(PATIENCE)
    s.close()
    expect(back == text, lambda: "%d octets sent, %d came back, or others" % (size, len(back)))


def several(size):
    wrong = []

    def one(n):
        try:
            echo_once(n)
        except (OSError, Wrong) as e:
            wrong.append("%d octets: %s" % (n, e))
    threads = [threading.Thread(target=one, args=(n,)) for n in (0, 1, 1_000, size, size, size)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(PATIENCE)
        expect(not t.is_alive(), "a client waits for ever")
    expect(not wrong, lambda: "; ".join(wrong))


def reset_one():
    """A client that breaks off with a RST harms nobody."""
    s = connect(WEIR_ADDRESS, PORT)
    s.sendall(b"x" * 1_000)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def slow_one():
    """A client that sends long before it reads: the windows fill both ways, and open again."""
    s = connect(WEIR_ADDRESS, PORT, receive_buffer=4_096)
    text = os.urandom(1 << 20)
    sender = threading.Thread(target=lambda: (s.sendall(text), s.shutdown(socket.SHUT_WR)))
    sender.start()
    sender.join(1)
    back = read_all(s)
    sender.join(PATIENCE)
    s.close()
    expect(back == text, "the slow client's text did not come back")


def serves(world, name, *args):
    process = start(world, name, *args)
    several(1 << 20)
    reset_one()
    slow_one()
    several(1 << 16)
    expect(process.poll() is None, name + " ended")
    return "14 clients"


@case("the example echo_poll: C, sockets and poll on a TUN device; 14 clients, one resets, one is slow")
def example_poll(world):
    return serves(world, "echo_poll", IFACE, WEIR_ADDRESS + "/24", str(PORT))


@case("the example echo_epoll: the same with epoll, edges only")
def example_epoll(world):
    return serves(world, "echo_epoll", IFACE, WEIR_ADDRESS + "/24", str(PORT))


@case("the example echo_native: native handlers on a TAP port")
def example_native(world):
    return serves(world, "echo_native", "tap:" + IFACE, WEIR_ADDRESS, "24", str(PORT))


def udp_round(s, size):
    """One datagram there and back."""
    text = os.urandom(size)
    s.send(text)
    back = s.recv(65_535)
    expect(back == text, lambda: "%d octets sent, %d came back, or others" % (size, len(back)))


@case("the example echo_udp: TCP and UDP on one port number; every size, fragments, a closed port, "
      "a client that goes")
def example_udp(world):
    process = start(world, "echo_udp", "tap:" + IFACE, WEIR_ADDRESS, "24", str(PORT))
    echo_once(1 << 16)
    sizes = (0, 1, 2, 3, 17, 18, 19, 255, 1_471, 1_472)
    for _ in range(5):  # each from a port of its own
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(PATIENCE)
            s.connect((WEIR_ADDRESS, PORT))
            for size in sizes:
                udp_round(s, size)
            for size in (1_473, 9_000, 60_000):  # the kernel cuts them, Weir puts them together
                s.send(os.urandom(size))
                expect(s.recv(100) == b"%d" % size, "a datagram in fragments did not arrive whole")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, 11, 1)  # SO_NO_CHECK: IPv4 datagrams without a checksum
        s.settimeout(PATIENCE)
        s.connect((WEIR_ADDRESS, PORT))
        udp_round(s, 100)
        s.send(b"and it goes")  # what comes back draws port unreachable
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(PATIENCE)
        s.connect((WEIR_ADDRESS, PORT + 1))
        s.send(b"anybody there?")
        try:
            s.recv(100)
            raise Wrong("a closed port answered")
        except ConnectionRefusedError:
            pass
    echo_once(1 << 16)
    expect(process.poll() is None, "echo_udp ended")
    return "%d datagrams" % (5 * (len(sizes) + 3) + 1)
