"""Who answers: each kind has start(), which leaves a server ready at `address`, and stop()."""
import json
import os

import lab
from lab import SERVER_CORE, Failed, Process, run, wait_for

BODY = 1024
STREAM = 64 << 20
PORT = 80

NGINX = """
daemon off; master_process off; worker_rlimit_nofile 20000;
pid %(dir)s/nginx.pid; error_log %(dir)s/nginx.error;
events { worker_connections 8192; multi_accept on; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600; sendfile on;
  default_type application/octet-stream; etag off; add_header Connection keep-alive;
  client_body_temp_path %(dir)s/b; proxy_temp_path %(dir)s/p; fastcgi_temp_path %(dir)s/f;
  uwsgi_temp_path %(dir)s/u; scgi_temp_path %(dir)s/s;
  server {
    listen %(address)s:%(port)d backlog=4096 reuseport;
    location = / { return 200 "%(body)s"; }
    location /bytes/ { alias %(dir)s/files/; }
  }
}
"""


class Server:
    def __init__(self, bench, name, what, link, address, near, loads=True):
        self.loads = loads  # whether a `weir load` can be at the client's end
        self.lab, self.build, self.root = bench.lab, bench.build, bench.root
        self.name, self.what, self.link, self.address, self.near = name, what, link, address, near
        self.process = None

    def stop(self):
        if self.process:
            self.process.end()
            self.process = None

    def packets(self):
        return lab.Lab.packets(self.near)

    def pids(self):
        return [self.process.pid]

    def own_busy(self):  # seconds that it says it was busy, if it knows
        return None


class Epoll(Server):
    at = True  # in the server's namespace

    def start(self):
        self.process = Process(self.lab.dir, "epoll_server", [
            os.path.join(self.build, "bench/macro/epoll_server"), "%s:%d" % (self.address, PORT)],
            at=self.lab.there if self.at else (), core=SERVER_CORE)
        self.process.wait_line("ready")


class Loopback(Epoll):
    """Both ends on the kernel, on its own loopback: no port, segments of 64 KiB."""
    at = False


class Nginx(Server):
    def start(self):
        files = os.path.join(self.lab.dir, "files")
        os.makedirs(files, exist_ok=True)
        path = os.path.join(files, str(STREAM))
        if not os.path.exists(path):
            with open(path, "wb") as f:
                f.write(os.urandom(1 << 20) * (STREAM >> 20))
        conf = os.path.join(self.lab.dir, "nginx.conf")
        with open(conf, "w", encoding="utf-8") as f:
            f.write("user root;" + NGINX % {"dir": self.lab.dir, "address": self.address,
                                            "port": PORT, "body": "x" * BODY})
        self.process = Process(self.lab.dir, "nginx", [
            "nginx", "-p", self.lab.dir, "-c", conf, "-e", os.path.join(self.lab.dir, "nginx.error")],
            at=self.lab.there, core=SERVER_CORE)
        wait_for("nginx answers", lambda: self._answers())

    def _answers(self):
        if self.process.child.poll() is not None:
            raise Failed("nginx ended: " + self.process.complaint())
        return "200" in run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "2",
                            "http://%s:%d/" % (self.address, PORT), check=False)


class Weir(Server):
    """`weir serve` on a port of DPDK's; a TAP has its kernel end in the client's namespace."""

    def __init__(self, bench, name, what, link, address, near, device, gateway, tap=False):
        super().__init__(bench, name, what, link, address, near)
        self.device, self.gateway, self.tap = device, gateway, tap

    def start(self):
        sets = ['port.device="%s"' % self.device, 'port.addresses=["%s/24"]' % self.address,
                'port.gateway="%s"' % self.gateway, "eal.cores=[%d]" % SERVER_CORE,
                'serve.listen=["%s:%d"]' % (self.address, PORT), "serve.body_size=%d" % BODY,
                "run.drain_timeout=1", 'stats.interval="100ms"']
        command = [os.path.join(self.build, "apps/weir/weir"), "serve", "--config",
                   os.path.join(self.root, "config/serve.toml"), "--json"]
        for s in sets:
            command += ["--set", s]
        self.process = Process(self.lab.dir, self.name, command,
                               at=() if self.tap else self.lab.there)
        self.process.wait_line('{"event":"ready"')
        if self.tap:
            self.lab.near_tap(self.near, self.gateway)
        run("ping", "-c", "1", "-W", "10", self.address)  # ARP, both ways

    def own_busy(self):
        lines = [line for line in self.process.text().split("\n")[:-1] if '"event":"stats"' in line]
        stats = [json.loads(line) for line in lines]
        if not stats or "busy" not in stats[-1]:
            return 0.0 if not stats else None
        return sum(s["busy"] * s["seconds"] for s in stats)


class Echo(Server):
    """The port alone: what arrives goes back. Its `address` is nobody's: a neighbour by decree."""

    def __init__(self, bench, weir, flood):
        super().__init__(bench, weir.name + ("-flood" if flood else "-echo"), "port alone", weir.link,
                         weir.address, weir.near)
        self.weir, self.flood = weir, flood

    def start(self):
        self.process = Process(self.lab.dir, self.name, [
            os.path.join(self.build, "bench/macro/port_echo"), self.weir.device, str(SERVER_CORE),
            *(["--flood"] if self.flood else [])],
            at=() if self.weir.tap else self.lab.there)
        mac = self.process.wait_line("ready").split()[1]
        if self.weir.tap:
            self.lab.near_tap(self.near, self.weir.gateway)
        run("ip", "neigh", "replace", self.address, "lladdr", mac, "nud", "permanent", "dev", self.near)

    def stop(self):
        run("ip", "neigh", "del", self.address, "dev", self.near, check=False)
        super().stop()


def make_servers(bench):
    """Every kind, in the order in which a round takes them. Pairs are made here: of each, .1 is the
    kernel at the client's end, .2 the server; the rest is for `weir load` beside .1."""
    wire = bench.lab
    near, _ = wire.veth("kern", "10.78.1.1", "10.78.1.2")
    servers = [
        Epoll(bench, "epoll", "Linux, epoll server", "veth", "10.78.1.2", near),
        Nginx(bench, "nginx", "Linux, nginx", "veth", "10.78.1.2", near),
    ]
    for net, name, link in ((2, "af_packet", "afp"), (3, "af_xdp", "xdp")):
        at = "10.78.%d." % net
        near, far = wire.veth(link, at + "1")
        wire.kernel_drops(wire.there, far)
        servers.append(Weir(bench, name, "Weir, " + name, "veth", at + "2", near,
                            "%s:%s" % (name, far), at + "1"))
    servers.append(Weir(bench, "tap", "Weir, TAP", "TAP", "10.78.4.2", "benchtap", "tap:benchtap",
                        "10.78.4.1", tap=True))
    servers.append(Loopback(bench, "loopback", "Linux, epoll server", "loopback", "127.0.0.1", "lo",
                            loads=False))
    return servers
