"""What the cases are made of: a Weir, nginx backends, the kernel's end of the wire, packet filters.

Runs as the first process of a PID namespace: what it starts ends with it. Nothing here depends on
how fast the machine is: every wait has a limit that only a hang reaches.
"""
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WEIR = os.path.join(os.environ["WEIR_BUILD"], "apps/weir/weir")

KERNEL = "10.99.0.1"
WEIR_ADDRESS = "10.99.0.2"
VIP = "10.99.0.10"
BEHIND = "10.98.0.1"  # the kernel's address where a router stands between
IFACE = "weir0"
URL = "http://" + VIP
PATIENCE = 60.0  # seconds; only a hang takes that long

# Buffers that a stack keeps in hand for the next segments; given back at the end.
SPARE_BUFFERS = 64


class Wrong(Exception):
    """What the case expected is not so."""


def expect(condition, why):
    if not condition:
        raise Wrong(why() if callable(why) else why)


def expect_equal(what, got, wanted):
    expect(got == wanted, lambda: "%s: %r, wanted %r" % (what, got, wanted))


def wait_for(what, condition, limit=PATIENCE):
    """Until condition() is true; its value."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        expect(time.monotonic() < end, lambda: "%s: not within %d s" % (what, limit))
        time.sleep(0.02)


def run(*command, check=True, limit=PATIENCE):
    """The output of a command that ends."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=limit, check=False)
    out = done.stdout.decode(errors="replace")
    expect(not check or done.returncode == 0, lambda: "%s: exit code %d: %s" % (
        " ".join(command), done.returncode, (done.stderr.decode(errors="replace") or out).strip()))
    return out


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class Weir:
    """One weir process. `sets` are laid over the file `config` in config/, else over its command's."""

    def __init__(self, world, command="lb", sets=(), device="tap:" + IFACE, netns_of=None,
                 config=None):
        self.world = world
        self.out_path = os.path.join(world.dir, "weir.out")
        enter = ["nsenter", "--net", "--target", str(netns_of)] if netns_of else []
        args = [WEIR, command, "--config", os.path.join(ROOT, "config", (config or command) + ".toml"), "--json",
                "--set", 'port.device="%s"' % device, "--set", 'stats.interval="100ms"']
        core = min(os.sched_getaffinity(0))
        for s in (("eal.cores=[%d]" % core,) if core != 0 else ()) + tuple(sets):
            args += ["--set", s]
        with open(self.out_path, "wb") as out, open(world.path("weir.err"), "wb") as err:
            # The session is its own: a signal to the case is none to weir.
            self.process = subprocess.Popen(enter + args, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=err, start_new_session=True)
        self.ready = wait_for("weir gets ready", self._ready_line)
        self.baseline = None

    def buffers_at_rest(self, spare=SPARE_BUFFERS):
        """What of each pool may be in use when nothing moves: a port's receive queue may hold some,
        a stack keeps a few in hand while it runs."""
        idle = self.baseline["pools"]["rx"]["in_use"] if self.baseline else 0
        return {"rx": max(idle, 1), "payload": spare}

    def too_many(self, summary, allowed):
        return {name: p["in_use"] for name, p in summary["pools"].items()
                if p["in_use"] > allowed.get(name, 0)}

    def _lines(self, event):
        with open(self.out_path, encoding="utf-8") as f:
            lines = [line for line in f.read().split("\n")[:-1] if '"event":"%s"' % event in line]
        return [json.loads(line) for line in lines]

    def _ready_line(self):
        self.expect_alive()
        lines = self._lines("ready")
        return lines[0] if lines else None

    def expect_alive(self):
        expect(self.process.poll() is None, lambda: "weir ended by itself: exit code %d: %s" % (
            self.process.returncode, self.complaints()))

    def complaints(self):
        with open(self.world.path("weir.err"), encoding="utf-8", errors="replace") as f:
            return f.read().strip()

    def summary(self):
        """Everything that it counts, of this moment."""
        self.expect_alive()
        before = len(self._lines("summary"))
        self.process.send_signal(signal.SIGUSR1)

        def fresh():
            self.expect_alive()
            lines = self._lines("summary")
            return lines[-1] if len(lines) > before else None
        # Counters are live; gauges are published every 100 ms.
        return wait_for("weir prints a summary", fresh)

    def peak_in_use(self, pool):
        return max(s["pools"][pool]["in_use"] for s in self._lines("stats"))

    def counter(self, name):
        return self.summary()["counters"].get(name, 0)

    def rss_mib(self):
        with open("/proc/%d/status" % self.process.pid, encoding="utf-8") as f:
            for line in f:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) / 1024
        raise Wrong("no VmRSS")

    def wait_gauges(self, what, condition, limit=PATIENCE):
        """Until condition(summary); the summary."""
        last = {}

        def look():
            last["s"] = self.summary()
            return condition(last["s"])
        try:
            wait_for(what, look, limit)
        except Wrong as e:
            raise Wrong("%s: %s" % (e, json.dumps({k: last["s"][k] for k in (
                "gauges", "app", "pools")}))) from None
        return last["s"]

    def expect_at_rest(self):
        """No connection but TIME-WAIT, no session, every buffer back; the summary."""
        def rests(s):
            return (s["gauges"]["connections"] == 0 and s["gauges"]["half_open"] == 0 and
                    s["app"]["sessions"] == 0 and not self.too_many(s, self.buffers_at_rest()))
        return self.wait_gauges("everything comes to rest", rests)

    def stop(self, exit_code=0):
        """SIGTERM; the final summary."""
        self.expect_alive()
        self.process.send_signal(signal.SIGTERM)
        return self.wait_end(exit_code)

    def wait_end(self, exit_code=0):
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Wrong("SIGTERM: weir still runs after %d s" % PATIENCE) from None
        expect_equal("weir's exit code", self.process.returncode, exit_code)
        expect_equal("weir's stderr", self.complaints(), "")
        return self._lines("summary")[-1]


NGINX_CONF = """
daemon off; master_process off; worker_rlimit_nofile 20000;
pid %(dir)s/nginx.pid; error_log %(dir)s/error.log;
events { worker_connections 8192; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600; lingering_timeout 5s;
  client_max_body_size 0; client_body_temp_path %(dir)s/body;
  proxy_temp_path %(dir)s/proxy; fastcgi_temp_path %(dir)s/fastcgi;
  uwsgi_temp_path %(dir)s/uwsgi; scgi_temp_path %(dir)s/scgi;
  server {
    listen 0.0.0.0:%(port)d backlog=4096;
    location = / { default_type text/plain; return 200 "backend %(name)s\\n"; }
    location /files/ { alias %(files)s/; dav_methods PUT; }
    location /slow/ { alias %(files)s/; limit_rate 500k; }
  }
}
"""


class Nginx:
    CONF = NGINX_CONF

    def __init__(self, world, name, port):
        self.world, self.name, self.port = world, name, port
        self.dir = world.path("nginx-" + name)
        os.makedirs(self.dir, exist_ok=True)
        self.process = None
        self.start()

    def start(self):
        conf = os.path.join(self.dir, "nginx.conf")
        with open(conf, "w", encoding="utf-8") as f:
            f.write("user root;" + self.CONF % {"dir": self.dir, "port": self.port,
                                                 "name": self.name, "files": self.world.files})
        with open(os.path.join(self.dir, "out"), "ab") as out:
            self.process = subprocess.Popen(
                ["nginx", "-p", self.dir, "-c", conf, "-e", os.path.join(self.dir, "error.log")],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out)

        def answers():
            expect(self.process.poll() is None, "nginx %s ended by itself" % self.name)
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return True
            except OSError:
                return False
        wait_for("nginx %s answers" % self.name, answers)

    def kill(self):
        self.process.kill()
        self.process.wait()


class Server:
    """A TCP server of the kernel's: `serve(connection)` on a thread of its own for each client."""

    def __init__(self, port, serve):
        self.serve = serve
        self.socket = socket.create_server(("0.0.0.0", port), backlog=512)
        self.results = []
        self.changed = threading.Condition()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            connection, _ = self.socket.accept()
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection):
        connection.settimeout(PATIENCE)
        with connection:
            try:
                result = self.serve(connection)
            except OSError as e:
                result = e
        with self.changed:
            self.results.append(result)
            self.changed.notify_all()

    def wait_results(self, n):
        with self.changed:
            expect(self.changed.wait_for(lambda: len(self.results) >= n, PATIENCE),
                   lambda: "the server saw %d of %d connections end" % (len(self.results), n))
            return self.results[:n]


class World:
    """What one case runs in. `full`: at the sizes of a release."""

    def __init__(self, directory, full):
        self.dir, self.full = directory, full
        self.files = self.path("files")
        os.makedirs(self.files)
        self.weir = None
        self.others = []
        self.router = None
        run("ip", "link", "set", "lo", "up")

    def path(self, name):
        return os.path.join(self.dir, name)

    def report(self, kind):
        """Where a case leaves a table (txt) and the same as JSON, which the runner prints."""
        return self.path("report." + kind)

    def start_weir(self, command="lb", sets=(), warm=True, config=None):
        """A Weir on a TAP whose other end is the kernel's, 10.99.0.1."""
        self.weir = Weir(self, command, sets, config=config)
        run("ip", "addr", "add", KERNEL + "/24", "dev", IFACE)
        run("ip", "link", "set", IFACE, "up")
        self._warm(warm)
        return self.weir

    def start_weir_on_veth(self, command="lb", sets=()):
        """A Weir on af_packet in a namespace of its own, at one end of a veth pair."""
        far = self._second_namespace()
        self._veth(IFACE, KERNEL, far, "weir1", None)
        self.weir = Weir(self, command, sets, device="af_packet:weir1", netns_of=far.pid)
        self._warm(True)
        return self.weir

    def start_weir_behind_router(self, sets=()):
        """As start_weir, with a router in a namespace of its own between the TAP and the peers: what
        it drops is lost, while a packet dropped where it is made is an error to the kernel's TCP,
        which then has not sent it."""
        self.router = self._second_namespace()
        there = self._at(self.router)
        self._veth("peer0", BEHIND, self.router, "peer1", "10.98.0.254")
        run("ip", "route", "add", "default", "via", "10.98.0.254")
        run(*there, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
        backends = 'pool.web.backends=["%s:8081", "%s:8082"]' % (BEHIND, BEHIND)
        self.weir = Weir(self, "lb", [backends, *sets], netns_of=self.router.pid)
        run(*there, "ip", "addr", "add", KERNEL + "/24", "dev", IFACE)
        run(*there, "ip", "link", "set", IFACE, "up")
        self._warm(True)
        return self.weir

    def narrow_path(self, mtu):
        """From here on the router forwards no more than `mtu` octets to the peers, and says so."""
        run(*self._at(self.router), "ip", "route", "replace", "10.98.0.0/24", "dev", "peer1",
            "mtu", str(mtu))

    def _second_namespace(self):
        process = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        self.others.append(process)
        ours = os.readlink("/proc/self/ns/net")
        wait_for("a second namespace", lambda: os.readlink(
            "/proc/%d/ns/net" % process.pid) != ours)
        return process

    @staticmethod
    def _at(namespace):
        return ("nsenter", "--net", "--target", str(namespace.pid)) if namespace else ()

    def _veth(self, near, near_address, namespace, far, far_address):
        """A pair without offloads: what crosses it are packets as they would be on a wire."""
        run("ip", "link", "add", near, "type", "veth", "peer", "name", far)
        run("ip", "link", "set", far, "netns", str(namespace.pid))
        for at, name, address in (((), near, near_address),
                                  (self._at(namespace), far, far_address)):
            run(*at, "ethtool", "-K", name, "tx", "off", "rx", "off", "sg", "off", "tso", "off",
                "gso", "off", "gro", "off")
            run(*at, "ip", "link", "set", name, "up")
            if address:
                run(*at, "ip", "addr", "add", address + "/24", "dev", name)

    def _warm(self, warm):
        # ARP both ways and, where there are backends, one session; what is in use then is the rest.
        if warm:
            run("ping", "-c", "1", "-W", "10", WEIR_ADDRESS)
        self.weir.baseline = self.weir.summary()

    def start_nginx(self, name="one", port=8081):
        server = Nginx(self, name, port)
        self.others.append(server.process)
        return server

    def start_both_nginx(self):
        return self.start_nginx("one", 8081), self.start_nginx("two", 8082)

    def make_file(self, name, size):
        path = os.path.join(self.files, name)
        with open(path, "wb") as f:
            left = size
            while left > 0:
                f.write(os.urandom(min(left, 1 << 22)))
                left -= min(left, 1 << 22)
        return path

    def end(self):
        """Every case ends so: SIGTERM, exit code 0, nothing on stderr."""
        if self.weir and self.weir.process.poll() is None:
            final = self.weir.stop()
            expect_equal("mbufs in use at the end",
                         self.weir.too_many(final, self.weir.buffers_at_rest(spare=0)), {})
        self.kill()

    def kill(self):
        for process in self.others + ([self.weir.process] if self.weir else []):
            if process.poll() is None:
                process.kill()
                process.wait()
        shutil.rmtree(self.files, ignore_errors=True)

    # -- The kernel's packet filter ------------------------------------------------------------

    def filter(self, *rules):
        """Lays rules over what there is: each 'from ...' (of packets from Weir) or 'to ...'."""
        hooks = ("forward", "forward") if self.router else ("input", "output")
        text = "add table ip weir\n"
        for way, hook, side in (("from", hooks[0], "iifname"), ("to", hooks[1], "oifname")):
            text += "add chain ip weir %s { type filter hook %s priority 0; }\n" % (way, hook)
            for rule in rules:
                direction, what = rule.split(" ", 1)
                if direction == way:
                    text += "add rule ip weir %s %s %s %s\n" % (way, side, IFACE, what)
        done = subprocess.run([*self._at(self.router), "nft", "-f", "-"], input=text.encode(),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        expect(done.returncode == 0, lambda: "nft: " + done.stdout.decode())

    def no_filter(self):
        run(*self._at(self.router), "nft", "delete", "table", "ip", "weir")


# -- Clients -----------------------------------------------------------------------------------


def curl(*args, limit=PATIENCE, check=True):
    return run("curl", "-sS", "--max-time", str(limit), *args, check=check, limit=limit + 10)


def connect(address=VIP, port=80, receive_buffer=None):
    s = socket.socket()
    s.settimeout(PATIENCE)
    if receive_buffer:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    s.connect((address, port))
    return s


def read_all(s):
    out = bytearray()
    while block := s.recv(1 << 16):
        out += block
    return bytes(out)


def ended(s):
    """How the peer ended it: 'closed', 'reset', 'timeout', or None while it is open."""
    s.settimeout(0)
    try:
        while True:
            if not s.recv(1 << 16):
                return "closed"
    except BlockingIOError:
        return None
    except ConnectionResetError:
        return "reset"
    except TimeoutError:
        return "timeout"
