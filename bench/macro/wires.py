"""What needs a wire of its own: one message to and fro beside the bare port and beside the kernel's
server, and a transfer with loss, whose receiver is the kernel or Weir."""
import json
import os
import subprocess
import time

from lab import CLIENT_CORE, SERVER_CORE, Failed, Lab, Process, run

PATIENCE = 30
MESSAGE = 64           # octets; in TCP with timestamps a frame of 130
DATAGRAM = 88          # of UDP in a frame of as many
WEIR, ASKER = "198.18.0.1", "198.18.0.2"  # of `weir bench latency --role server`, and of who asks it
WEIR_PORT, KERNEL_PORT = 8000, 7777


def tcp_ping(bench, address, seconds, *flags):
    client = Process(bench.lab.dir, "ping", [
        os.path.join(bench.build, "bench/macro/tcp_ping"), address, str(max(1, int(seconds))), *flags],
        core=CLIENT_CORE)
    code = client.wait(seconds + PATIENCE)
    client.end()
    if code != 0:
        raise Failed("tcp_ping: " + client.complaint())
    return json.loads(client.text())


class PingWires:
    """One veth for both DPDK drivers and the kernel's own pair; a TAP is made by who opens it."""
    names = ("kernel", "af_packet", "tap")

    def __init__(self, bench):
        self.bench, self.lab = bench, bench.lab
        self.near, self.far = self.lab.veth("png", ASKER)
        self.lab.kernel_drops(self.lab.there, self.far)
        self.lab.veth("krn", "10.78.8.1", "10.78.8.2")

    def once(self, name, seconds):
        """{"tcp": percentiles, "bare": the same of a bare loop, or None}"""
        if name == "kernel":
            return {"tcp": self._kernel(seconds), "bare": None}
        device = "af_packet:" + self.far if name == "af_packet" else "tap:pngtap"
        iface, at = (self.near, self.lab.there) if name == "af_packet" else ("pngtap", ())
        return {"bare": self._bare(device, iface, at, seconds),
                "tcp": self._weir(device, iface, at, seconds)}

    def _kernel(self, seconds):
        server = Process(self.lab.dir, "pong", [
            os.path.join(self.bench.build, "bench/macro/tcp_ping"), "--serve",
            "10.78.8.2:%d" % KERNEL_PORT], at=self.lab.there, core=SERVER_CORE)
        try:
            server.wait_line("ready")
            return tcp_ping(self.bench, "10.78.8.2:%d" % KERNEL_PORT, seconds, "--size", str(MESSAGE))
        finally:
            server.end()

    @staticmethod
    def _route(iface):
        """Both interfaces are on the network of Weir's address; it is behind this one."""
        run("ip", "route", "replace", WEIR + "/32", "dev", iface, "src", ASKER)

    def _bare(self, device, iface, at, seconds):
        server = Process(self.lab.dir, "pong", [
            os.path.join(self.bench.build, "bench/macro/port_echo"), device, str(SERVER_CORE), "--poll"],
            at=at)
        try:
            mac = server.wait_line("ready").split()[1]
            if not at:
                self.lab.near_tap(iface, ASKER)
            self._route(iface)
            run("ip", "neigh", "replace", WEIR, "lladdr", mac, "nud", "permanent", "dev", iface)
            return tcp_ping(self.bench, WEIR + ":9", seconds, "--udp", "--size", str(DATAGRAM))
        finally:
            run("ip", "neigh", "del", WEIR, "dev", iface, check=False)
            server.end()

    def _weir(self, device, iface, at, seconds):
        server = Process(self.lab.dir, "pong", [
            self.bench.weir, "bench", "latency", "--role", "server", "--port", device, "--cores",
            str(SERVER_CORE)], at=at)
        try:
            server.wait_line("weir: bench: serving")
            if not at:
                self.lab.near_tap(iface, ASKER)
            self._route(iface)
            run("ping", "-c", "1", "-W", "10", WEIR)  # ARP, both ways
            return tcp_ping(self.bench, "%s:%d" % (WEIR, WEIR_PORT), seconds, "--size", str(MESSAGE))
        finally:
            server.end()


class LossyWire:
    """Client and server with a bridge between them, that loses what the server sends."""
    server, kernel, weir = "10.78.9.2", "10.78.9.1", "10.78.9.3"

    def __init__(self, bench):
        self.bench, self.lab = bench, bench.lab
        self.middle = Process(self.lab.dir, "bridge", ["unshare", "--net", "sh", "-c",
                                                       "echo ready && exec sleep infinity"])
        self.middle.wait_line("ready")
        self.at = ("nsenter", "--net", "--target", str(self.middle.pid))
        self._pair("lossc", "mid0", (), self.kernel)
        self._pair("losss", "mid1", self.lab.there, self.server)
        run(*self.at, "ip", "link", "add", "br0", "type", "bridge")
        for name in ("mid0", "mid1"):
            run(*self.at, "ip", "link", "set", name, "master", "br0", "up")
        run(*self.at, "ip", "link", "set", "br0", "up")
        self.lab.kernel_drops((), "lossc", self.lab.others_than(self.kernel))

    def _pair(self, end, mid, at, address):
        run("ip", "link", "add", end, "type", "veth", "peer", "name", mid)
        run("ip", "link", "set", mid, "netns", str(self.middle.pid))
        if at:
            run("ip", "link", "set", end, "netns", str(self.lab.far.pid))
        for where, iface in ((at, end), (self.at, mid)):
            run(*where, "ethtool", "-K", iface, "tx", "off", "rx", "off", "sg", "off", "tso", "off",
                "gso", "off", "gro", "off", check=False)
        run(*at, "ip", "addr", "add", address + "/24", "dev", end)
        run(*at, "ip", "link", "set", end, "up")
        Lab.steer(at, end, SERVER_CORE if at else CLIENT_CORE)

    def lose(self, percent):
        rules = ["add table netdev loss", "delete table netdev loss"]
        if percent:
            rules += ["add table netdev loss",
                      "add chain netdev loss c { type filter hook ingress device mid1 priority 0; }",
                      "add rule netdev loss c numgen random mod 1000 < %d drop" % round(percent * 10)]
        run(*self.at, "nft", "\n".join(rules))

    def once(self, percent, octets):
        """Seconds that each receiver took: from the first full frame at its interface to the last."""
        self.lose(percent)
        server = Process(self.lab.dir, "lossy", [
            os.path.join(self.bench.build, "bench/macro/epoll_server"), self.server + ":80"],
            at=self.lab.there, core=SERVER_CORE)
        try:
            server.wait_line("ready")
            return {"percent": percent, "octets": octets, "kernel": self._kernel(octets),
                    "weir": self._weir(octets)}
        finally:
            server.end()

    @staticmethod
    def _received():
        with open("/sys/class/net/lossc/statistics/rx_bytes", encoding="utf-8") as f:
            return int(f.read())

    def _watch(self, client, octets):
        """Programs begin and end differently; what their interface receives is the transfer."""
        full, limit = 1000, time.monotonic() + PATIENCE + 120
        start = seen = self._received()
        first = last = None
        while client.child.poll() is None and time.monotonic() < limit:
            time.sleep(0.001)
            now = self._received()
            if now - seen >= full:
                last = time.monotonic()
                first = first or last
            seen = now
        code = client.wait(1)
        client.end()
        if code != 0:
            raise Failed("%s: exit code %d: %s" % (client.name, code, client.complaint()))
        if seen - start < octets or last == first:
            raise Failed("%s: received %d octets" % (client.name, seen - start))
        return last - first

    def _kernel(self, octets):
        client = Process(self.lab.dir, "curl", [
            "curl", "-s", "-o", "/dev/null", "-w", "%{size_download}",
            "http://%s/bytes/%d" % (self.server, octets)], core=CLIENT_CORE)
        took = self._watch(client, octets)
        if int(client.text()) != octets:
            raise Failed("curl: %s octets" % client.text())
        return took

    def _weir(self, octets):
        return self._watch(Process(self.lab.dir, "receiver", [
            self.bench.weir, "load", "--device", "af_packet:lossc", "--address",
            self.lab.load_address(self.server) + "/24", "--cores", str(CLIENT_CORE), "--target",
            self.server + ":80", "--path", "/bytes/%d" % octets, "--expect-size", str(octets),
            "--connections-total", "1", "--concurrency", "1", "--timeout", "120", "--json", "--set",
            'stats.interval="60s"']), octets)


def kernel_memory(count=10_000):
    """Octets that an idle connection of the kernel's takes, one end: half of what a pair takes. As many
    as this process may have descriptors for."""
    code = ("import resource,socket,sys,time\n"
            "hard=resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
            "n=min(%d,(hard-100)//2)\n"
            "resource.setrlimit(resource.RLIMIT_NOFILE,(hard,hard))\n"
            "free=lambda:int(next(l for l in open('/proc/meminfo') if l.startswith('MemAvail')).split()[1])\n"
            "l=socket.socket();l.bind(('127.0.0.1',0));l.listen(4096)\n"
            "time.sleep(0.3);before=free();held=[]\n"
            "for _ in range(n):\n"
            "  c=socket.socket();c.connect(l.getsockname());held+=[c,l.accept()[0]]\n"
            "time.sleep(0.3);print(n,(before-free())*1024/(2*n))\n" % count)
    done = subprocess.run(["python3", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise Failed("python3: " + (done.stderr.strip().splitlines() or ["?"])[-1])
    made, octets = done.stdout.split()
    return {"count": int(made), "octets_each": float(octets)}
