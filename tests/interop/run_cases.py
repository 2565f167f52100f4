"""`weir run`: programs from Debian that nobody rebuilt, with the kernel as their peer over a TAP."""
import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

from cases import MIB, case, rate, wrk
from harness import (IFACE, KERNEL, PATIENCE, ROOT, WEIR, WEIR_ADDRESS, expect, expect_equal, run,
                     sha256_of, wait_for)

HERE = os.path.dirname(os.path.abspath(__file__))
KERNEL6, WEIR6 = "fd99::1", "fd99::2"
PYTHON = sys.executable
END_PATIENCE = 30.0


class Wire:
    """Gives the kernel's end of the TAP its addresses whenever a stack makes one."""

    def __init__(self, addresses=(KERNEL + "/24",)):
        self.addresses = addresses
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        done = None
        while True:
            time.sleep(0.01)
            try:
                index = socket.if_nametoindex(IFACE)
            except OSError:
                continue
            if index == done:
                continue
            ok = True
            for a in self.addresses:
                ok &= subprocess.run(["ip", "addr", "replace", a, "dev", IFACE,
                                      *(["nodad"] if ":" in a else [])],
                                     stderr=subprocess.DEVNULL, check=False).returncode == 0
            ok &= subprocess.run(["ip", "link", "set", IFACE, "up"], stderr=subprocess.DEVNULL,
                                 check=False).returncode == 0
            done = index if ok else None


class Program:
    """A program under `weir run`; what it wrote, how it ended, and the lines of its stacks."""
    count = 0

    def __init__(self, world, *words, sets=(), stdin=subprocess.DEVNULL, before=None):
        Program.count += 1
        self.world, self.words = world, words
        name = "%d-%s" % (Program.count, os.path.basename(words[0]))
        self.summary_path = world.path(name + ".summary")
        self.out_path, self.err_path = world.path(name + ".out"), world.path(name + ".err")
        args = [WEIR, "run", "--config", os.path.join(ROOT, "config/run.toml"),
                "--summary", self.summary_path]
        for s in ("port.dad_transmits=0", *sets):
            args += ["--set", s]
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.process = subprocess.Popen([*args, "--", *words], stdin=stdin, stdout=out,
                                            stderr=err, start_new_session=True, preexec_fn=before)
        world.others.append(self.process)

    def text(self, path):
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def out(self):
        return self.text(self.out_path)

    def err(self):
        return self.text(self.err_path)

    def alive(self):
        expect(self.process.poll() is None, lambda: "%s ended by itself: exit code %s: %s" % (
            self.words[0], self.process.returncode, self.err().strip()))

    def listens(self, port, address=WEIR_ADDRESS, limit=END_PATIENCE):
        """Until a connection to it opens."""
        def opens():
            self.alive()
            try:
                socket.create_connection((address, port), 0.5).close()
                return True
            except OSError:
                return False
        wait_for("%s listens" % self.words[0], opens, limit)
        return self

    def ends(self, code=0, limit=PATIENCE):
        """Until it has; its exit code is its own."""
        try:
            got = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            expect(False, "%s still runs after %d s" % (" ".join(self.words), limit))
        expect(got == code, lambda: "%s: exit code %d, wanted %d: %s" % (
            self.words[0], got, code, (self.err().strip() or self.out().strip())[-400:]))
        return self

    def stop(self, code=0, number=signal.SIGTERM):
        self.alive()
        self.process.send_signal(number)
        return self.ends(code, END_PATIENCE)

    def stacks(self):
        """What the stacks of its processes summed up when they ended."""
        if not os.path.exists(self.summary_path):
            return []
        return [json.loads(line) for line in self.text(self.summary_path).splitlines()]

    def connections(self, least=1):
        """How many were Weir's: no fewer than the case knows of, or they were the kernel's."""
        total = sum(s["connections"] for s in self.stacks())
        expect(total >= least, lambda: "%s: %d connections were Weir's, not %d" % (
            self.words[0], total, least))
        return total


def threads_of(function, count):
    wrong = []

    def one(i):
        try:
            function(i)
        except Exception as e:  # pylint: disable=broad-except
            wrong.append("%s: %s" % (type(e).__name__, e))
    threads = [threading.Thread(target=one, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(PATIENCE)
        expect(not t.is_alive(), "a client waits for ever")
    expect(not wrong, lambda: wrong[0])


# -- Clients and servers ---------------------------------------------------------------------------


@case("weir run: curl gets and puts 100 MB (1 GiB) from nginx; its exit codes are its own")
def run_curl(world):
    Wire()
    world.start_nginx()
    size = 1024 * MIB if world.full else 100_000_000
    path = world.make_file("down", size)
    url = "http://%s:8081/files/" % KERNEL
    got = world.path("got")
    start = time.monotonic()
    down = Program(world, "curl", "-sS", "-o", got, url + "down").ends(limit=1_500)
    took = time.monotonic() - start
    expect_equal("SHA-256", sha256_of(got), sha256_of(path))
    expect_equal("connections of Weir's", down.connections(), 1)
    up_start = time.monotonic()
    up = Program(world, "curl", "-sS", "-T", got, "-H", "Expect:", "-o", "/dev/null",
                 url + "arrived").ends(limit=1_500)
    up_took = time.monotonic() - up_start
    expect_equal("SHA-256", sha256_of(os.path.join(world.files, "arrived")), sha256_of(path))
    expect_equal("connections of Weir's", up.connections(), 1)
    os.remove(got)
    Program(world, "curl", "-sS", "http://%s:9/" % KERNEL).ends(7).connections()  # refused
    Program(world, "curl", "-sSf", "-o", "/dev/null", url + "none").ends(22).connections()
    aside = Program(world, "curl", "-sS", "-o", "/dev/null", "http://127.0.0.1:8081/").ends()
    expect_equal("stacks, where only the kernel was asked", aside.stacks(), [])
    return "down %s, up %s" % (rate(size, took), rate(size, up_took))


def iperf3_moved(text):
    end = json.loads(text)["end"]
    return min(end[k]["bytes"] for k in ("sum_sent", "sum_received"))


@case("weir run: iperf3 as server and as client, both ways, -P 4, --bidir")
def run_iperf3(world):
    Wire()
    seconds = "5" if world.full else "1"
    ways = ((), ("-R",), ("-P", "4"), ("-P", "4", "-R"), ("--bidir",))
    server = Program(world, "iperf3", "-s", "-p", "5201").listens(5201)
    moved = 0
    for way in ways:
        text = run("iperf3", "-c", WEIR_ADDRESS, "-t", seconds, "-J", *way, limit=60)
        moved += iperf3_moved(text)
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(END_PATIENCE)
    server.connections(2 * len(ways))
    expect(moved > MIB, "hardly anything was sent")
    kernel = subprocess.Popen(["iperf3", "-s", "-p", "5202"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL)
    world.others.append(kernel)
    wait_for("iperf3 listens", lambda: ":5202" in run("ss", "-Htln"))
    for way in ways:
        client = Program(world, "iperf3", "-c", KERNEL, "-p", "5202", "-t", seconds, "-J", *way)
        moved += iperf3_moved(client.ends(limit=60).out())
        client.connections(5 if "4" in way else 2)
    return "%d MB" % (moved // 1_000_000)


NGINX = """
user root; worker_processes %(workers)d; pid %(dir)s/pid; error_log %(dir)s/error.log;
daemon off; events { worker_connections 2000; }
http { access_log off; keepalive_requests 1000000;
  client_body_temp_path %(dir)s/b; proxy_temp_path %(dir)s/p; fastcgi_temp_path %(dir)s/f;
  uwsgi_temp_path %(dir)s/u; scgi_temp_path %(dir)s/s;
  server { listen 8080 reuseport backlog=1024; location / { return 200 "by nginx\\n"; } } }
"""


def start_nginx(world, workers):
    directory = world.path("run-nginx-%d" % workers)
    os.makedirs(directory, exist_ok=True)
    conf = os.path.join(directory, "nginx.conf")
    with open(conf, "w", encoding="utf-8") as f:
        f.write(NGINX % {"workers": workers, "dir": directory})
    return Program(world, "nginx", "-p", directory, "-c", conf, "-e",
                   os.path.join(directory, "error.log")).listens(8080)


@case("weir run: nginx with 1 and 2 workers under wrk, kept alive and closed; reload, stop")
def run_nginx(world):
    Wire()
    url = "http://%s:8080/" % WEIR_ADDRESS
    seconds = 10 if world.full else 1
    saw = []
    for workers in (1, 2):
        server = start_nginx(world, workers)
        saw.append(wrk(32, seconds, url))
        text = run("wrk", "-t", "1", "-c", "32", "-d", "%ds" % seconds, "--timeout", "30s",
                   "-H", "Connection: close", url, limit=60)
        expect("Socket errors" not in text and "Non-2xx" not in text,
               lambda text=text: "wrk, closing: " + text)
        server.process.send_signal(signal.SIGHUP)
        wait_for("the old workers end", lambda server=server, workers=workers: len(
            server.stacks()) >= workers)
        server.listens(8080)
        wrk(8, 1, url)
        server.stop(number=signal.SIGQUIT)
        per_process = [s["connections"] for s in server.stacks()]
        expect_equal("stacks: one for each worker, before and after the reload",
                     len(per_process), 2 * workers)
        expect(min(per_process[:workers]) > 0, lambda per_process=per_process:
               "a worker took no connection: %r" % per_process)
    return "; ".join(saw)


@case("weir run: redis-server under redis-benchmark, and a SAVE in a child")
def run_redis(world):
    Wire()
    server = Program(world, "redis-server", "--port", "6379", "--bind", WEIR_ADDRESS, "--dir",
                     world.dir, "--protected-mode", "no", "--daemonize", "no", "--save", "")
    server.listens(6379)
    cli = ("redis-cli", "-h", WEIR_ADDRESS)
    count = "200000" if world.full else "10000"
    text = run("redis-benchmark", "-h", WEIR_ADDRESS, "-c", "50", "-n", count, "-t",
               "set,get,lpush", "-q", limit=300)
    expect_equal("tests of redis-benchmark", text.count("requests per second"), 3)
    run("redis-benchmark", "-h", WEIR_ADDRESS, "-c", "8", "-n", count, "-P", "16", "-d", "3000",
        "-t", "set", "-q", limit=300)
    expect("started" in run(*cli, "BGSAVE"), "no child was made")
    wait_for("the child saves", lambda: "rdb_bgsave_in_progress:0" in run(
        *cli, "INFO", "persistence"))
    expect("rdb_last_bgsave_status:ok" in run(*cli, "INFO", "persistence"), "BGSAVE failed")
    expect_equal("after the child's end", run(*cli, "PING").strip(), "PONG")
    run(*cli, "SHUTDOWN", "NOSAVE", check=False)
    server.ends()
    server.connections(50 * 3)
    expect_equal("stacks: the child has none", len(server.stacks()), 1)
    return re.sub(r"\s+", " ", text.replace("\r", "\n").strip().splitlines()[-1])


# -- Python ----------------------------------------------------------------------------------------


def echo_of_asyncio(port):
    async def one(i):
        reader, writer = await asyncio.open_connection(WEIR_ADDRESS, port)
        text = bytes([i]) * (i * 10_000 + 1)
        writer.write(text)
        writer.write_eof()
        got = await reader.read()
        writer.close()
        await writer.wait_closed()
        expect(got == text, "the echo differs")

    async def all_of_them():
        await asyncio.gather(*(one(i) for i in range(40)))
    asyncio.run(asyncio.wait_for(all_of_them(), PATIENCE))


@case("weir run: python3's http.server; asyncio as server and client, one loop for both kinds")
def run_python(world):
    Wire()
    wanted = sha256_of(world.make_file("page", 3_000_000))
    server = Program(world, PYTHON, "-m", "http.server", "8000", "--bind", WEIR_ADDRESS,
                     "--directory", world.files).listens(8000)

    def get(i):
        got = world.path("page-%d" % i)
        run("curl", "-sS", "-o", got, "http://%s:8000/page" % WEIR_ADDRESS)
        expect_equal("SHA-256", sha256_of(got), wanted)
        os.remove(got)
    threads_of(get, 8)
    server.stop(-signal.SIGTERM)
    server.connections(8)

    script = os.path.join(HERE, "run_asyncio.py")
    echo = Program(world, PYTHON, "-B", script, "serve", "0.0.0.0", "8001").listens(8001)
    echo_of_asyncio(8001)
    socket.create_connection(("127.0.0.1", 8001), PATIENCE).close()  # the same listener
    echo.stop(0)
    echo.connections(40)

    kernel = subprocess.Popen([PYTHON, "-B", script, "serve", "0.0.0.0", "8002"],
                              stdin=subprocess.DEVNULL)
    world.others.append(kernel)
    wait_for("the kernel's asyncio listens", lambda: ":8002" in run("ss", "-Htln"))
    for kind in ("epoll", "poll", "select"):
        client = Program(world, PYTHON, "-B", script, "ask", KERNEL, "8002", kind)
        client.ends(limit=30)
        expect_equal("asyncio on " + kind, client.out().strip(), "40 echoes, half of them Weir's")
        expect_equal("connections of Weir's", client.connections(), 20)
    return "8 files, 40 echoes, 3 x 40 echoes"


# -- socat, ssh, haproxy ---------------------------------------------------------------------------


def through(text, *command, limit=PATIENCE):
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=limit, check=False)
    expect(done.returncode == 0, lambda: "%s: exit code %d: %s" % (
        command[0], done.returncode, done.stderr.decode(errors="replace")))
    return done.stdout


@case("weir run: socat as a server that forks, and as a client, both ways")
def run_socat(world):
    Wire()
    text = os.urandom(2_000_000)
    server = Program(world, "socat", "TCP-LISTEN:7000,fork,reuseaddr,bind=" + WEIR_ADDRESS,
                     "EXEC:cat").listens(7000)
    threads_of(lambda _: expect_equal("the echo", through(
        text, "socat", "-t", "30", "-", "TCP:%s:7000" % WEIR_ADDRESS) == text, True), 6)
    server.stop(143)
    server.connections(6)
    sink = world.path("sink")
    kernel = subprocess.Popen(["socat", "-u", "TCP-LISTEN:7001,bind=0.0.0.0", "CREATE:" + sink],
                              stdin=subprocess.DEVNULL)
    world.others.append(kernel)
    wait_for("socat listens", lambda: ":7001" in run("ss", "-Htln"))
    path = world.path("source")
    with open(path, "wb") as f:
        f.write(text)
    client = Program(world, "socat", "-u", "OPEN:" + path, "TCP:%s:7001" % KERNEL).ends()
    expect_equal("socat's exit code", kernel.wait(PATIENCE), 0)
    expect_equal("SHA-256", sha256_of(sink), sha256_of(path))
    expect_equal("connections of Weir's", client.connections(), 1)
    return "6 echoes of 2 MB, 2 MB one way"


SSHD = """
ListenAddress %(address)s:%(port)d
HostKey %(dir)s/host
PidFile none
AuthorizedKeysFile %(dir)s/user.pub
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
Subsystem sftp internal-sftp
"""


@case("weir run: sshd with the programs that it starts, ssh and scp of 3 MB (50 MB)")
def run_ssh(world):
    Wire()
    os.makedirs("/run/sshd", exist_ok=True)
    for key in ("host", "user"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", world.path(key))

    def configuration(address, port):
        path = world.path("sshd-%d" % port)
        with open(path, "w", encoding="utf-8") as f:
            f.write(SSHD % {"address": address, "port": port, "dir": world.dir})
        return path
    options = ("-F", "none", "-i", world.path("user"), "-o", "StrictHostKeyChecking=no", "-o",
               "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes")
    path = world.make_file("file", 50_000_000 if world.full else 3_000_000)
    wanted = sha256_of(path)
    sshd = run("sh", "-c", "command -v sshd || echo /usr/sbin/sshd").strip()
    server = Program(world, sshd, "-D", "-e", "-f", configuration(WEIR_ADDRESS, 2222)).listens(2222)
    to = "root@" + WEIR_ADDRESS
    expect_equal("a command's output", run("ssh", *options, "-p", "2222", to, "echo", "hello"),
                 "hello\n")
    done = subprocess.run(["ssh", *options, "-p", "2222", to, "exit 9"], stdin=subprocess.DEVNULL,
                          timeout=PATIENCE, check=False)
    expect_equal("a command's exit code", done.returncode, 9)
    run("scp", *options, "-P", "2222", path, to + ":" + world.path("there"))
    expect_equal("SHA-256", sha256_of(world.path("there")), wanted)
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(END_PATIENCE)
    server.connections(3)
    kernel = subprocess.Popen([sshd, "-D", "-e", "-f", configuration("127.0.0.1", 2223)],
                              stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    world.others.append(kernel)
    wait_for("the kernel's sshd listens", lambda: ":2223" in run("ss", "-Htln"))
    subprocess.Popen(["socat", "TCP-LISTEN:2224,fork,reuseaddr", "TCP:127.0.0.1:2223"],
                     stdin=subprocess.DEVNULL)
    wait_for("socat listens", lambda: ":2224" in run("ss", "-Htln"))
    client = Program(world, "ssh", *options, "-p", "2224", "root@" + KERNEL, "echo back; exit 5")
    expect_equal("its output", client.ends(5).out(), "back\n")
    expect_equal("connections of Weir's", client.connections(), 1)
    copy = Program(world, "scp", *options, "-P", "2224", "root@%s:%s" % (KERNEL, path),
                   world.path("back")).ends()
    expect_equal("SHA-256", sha256_of(world.path("back")), wanted)
    copy.connections()
    return "3 sessions in, 2 out"


HAPROXY = """
global
  nbthread 2
  stats socket %(dir)s/haproxy.sock
defaults
  mode http
  timeout connect 10s
  timeout client 30s
  timeout server 30s
frontend in
  bind %(address)s:8090
  default_backend out
backend out
  server one %(kernel)s:8081
"""


@case("weir run: haproxy in front of the kernel's nginx, Weir on both of its sides")
def run_haproxy(world):
    Wire()
    world.start_nginx()
    wanted = sha256_of(world.make_file("page", 5_000_000))
    path = world.path("haproxy.cfg")
    with open(path, "w", encoding="utf-8") as f:
        f.write(HAPROXY % {"dir": world.dir, "address": WEIR_ADDRESS, "kernel": KERNEL})
    server = Program(world, "haproxy", "-db", "-f", path).listens(8090)
    url = "http://%s:8090/" % WEIR_ADDRESS
    saw = wrk(32, 10 if world.full else 1, url)
    text = run("wrk", "-t", "1", "-c", "16", "-d", "1s", "--timeout", "30s", "-H",
               "Connection: close", url, limit=60)
    expect("Socket errors" not in text and "Non-2xx" not in text, lambda: "wrk, closing: " + text)
    got = world.path("got")
    run("curl", "-sS", "-o", got, url + "files/page")
    expect_equal("SHA-256", sha256_of(got), wanted)
    server.process.send_signal(signal.SIGUSR1)  # ends when its connections have
    server.ends()
    counters = server.stacks()[0]["counters"]
    expect(counters["active_opens"] > 0 and counters["passive_opens"] > 32,
           lambda: "a side was the kernel's: %r" % counters)
    return saw


# -- Call by call, and attacks ---------------------------------------------------------------------


class Asked:
    """run_calls.py and its peer."""

    def __init__(self, world):
        self.world = world
        self.door = world.path("door")
        peer = subprocess.Popen([PYTHON, "-B", os.path.join(HERE, "run_calls_peer.py"), self.door],
                                stdin=subprocess.DEVNULL)
        world.others.append(peer)
        wait_for("the peer is there", lambda: os.path.exists(self.door))
        self.words = [PYTHON, "-B", os.path.join(HERE, "run_calls.py"), self.door]

    def weirs(self, *more):
        both = "port.addresses=[\"%s/24\", \"%s/64\"]" % (WEIR_ADDRESS, WEIR6)
        return Program(self.world, *self.words, *more, sets=(both,))

    def kernels(self, *more):
        """The same on the kernel's sockets, in a namespace of its own."""
        far = self.world._second_namespace()  # pylint: disable=protected-access
        at = ("nsenter", "--net", "--target", str(far.pid))
        run("ip", "link", "add", "near0", "type", "veth", "peer", "name", "far0")
        run("ip", "link", "set", "far0", "netns", str(far.pid))
        for where, name, v4, v6 in (((), "near0", KERNEL, KERNEL6),
                                    (at, "far0", WEIR_ADDRESS, WEIR6)):
            run(*where, "ip", "link", "set", "lo", "up")
            run(*where, "ip", "addr", "add", v4 + "/24", "dev", name)
            run(*where, "ip", "addr", "add", v6 + "/64", "dev", name, "nodad")
            run(*where, "ip", "link", "set", name, "up")
        text = run(*at, *self.words, *more, check=False, limit=120)
        run("ip", "link", "del", "near0")
        far.kill()
        far.wait()
        return text


@case("weir run: the socket calls one by one, IPv4 and IPv6, beside the kernel's", limit=240)
def run_calls(world):
    asked = Asked(world)
    places = (WEIR_ADDRESS, KERNEL, WEIR6, KERNEL6)
    text = asked.kernels(*places).strip()
    expect(text.endswith(" 0 failed"), lambda: "on the kernel's own sockets: " + text)
    Wire((KERNEL + "/24", KERNEL6 + "/64"))
    program = asked.weirs(*places)
    program.process.wait(PATIENCE)
    got = program.out().strip()
    expect(got == text and program.process.returncode == 0, lambda: "%s %s, the kernel: %s" % (
        got, program.err().strip()[-600:], text))
    program.connections(2_000)
    return text


@case("weir run: how programs end: a signal, _exit with text unsent, exec; the peer is told")
def run_ends(world):
    Wire()
    listener = socket.create_server(("0.0.0.0", 7100))
    listener.settimeout(PATIENCE)
    sizes = {"term": (-signal.SIGTERM, 0), "exit": (7, 300_000), "return": (0, 300_000)}
    for how, (code, octets) in sizes.items():
        program = Program(world, PYTHON, "-B", os.path.join(HERE, "run_ends.py"), how, KERNEL,
                          "7100")
        connection, _ = listener.accept()
        connection.settimeout(PATIENCE)
        got = 0
        try:
            while block := connection.recv(1 << 16):
                got += len(block)
        except ConnectionResetError:
            expect_equal("text before a reset", octets, 0)
        expect_equal("octets of a program that ends by " + how, got, octets)
        program.ends(code)
        program.connections()
    program = Program(world, PYTHON, "-B", os.path.join(HERE, "run_ends.py"), "exec", KERNEL, "7100")
    program.process.wait(END_PATIENCE)
    expect(program.process.returncode != 0, "exec: what was a connection is silent")
    return "4 ways"


@case("weir run: no rights, a device that is taken: one plain line, ENETDOWN, no hang")
def run_no_stack(world):
    for how, says in (("unprivileged", "net_tap"), ("taken", "weir0")):
        program = Program(world, PYTHON, "-B", os.path.join(HERE, "run_ends.py"), how, KERNEL, "1")
        program.ends(3)
        expect_equal("connect, " + how, program.out().split(), ["ENETDOWN"] * 3)
        expect(program.err().startswith("weir run: ") and program.err().count("\n") == 1 and
               says in program.err(), lambda program=program: "stderr: " + program.err())
        expect_equal("stacks", program.stacks(), [])
    return "2 ways"


def ask_once(port, limit=PATIENCE):
    with socket.create_connection((WEIR_ADDRESS, port), limit) as s:
        s.sendall(b"ask")
        return s.recv(3) == b"ask"


@case("weir run: 30 processes on a listener, half of them killed; 64 descriptors; 1,000 connections")
def run_attack(world):
    Wire()
    script = os.path.join(HERE, "run_server.py")
    server = Program(world, PYTHON, "-B", script, WEIR_ADDRESS, "7200", "30").listens(7200)
    children = [int(pid) for pid in server.out().split()]
    held = [socket.create_connection((WEIR_ADDRESS, 7200), PATIENCE) for _ in range(300)]
    for s in held:
        s.sendall(b"x")
    for s in held:
        expect_equal("an answer", s.recv(1), b"x")
    for pid in children[:15]:
        os.kill(pid, signal.SIGKILL)
    # Those of the killed end; the others go on, and so does the listener.
    told = 0
    for s in held:
        s.settimeout(0.2)
        try:
            s.sendall(b"y")
            told += s.recv(1) != b"y"
        except ConnectionError:
            told += 1
        s.close()
    expect(0 < told < 300, lambda: "%d of 300 connections ended" % told)
    threads_of(lambda _: expect(ask_once(7200), "no answer"), 50)
    for pid in children[15:]:
        os.kill(pid, signal.SIGKILL)
    server.stop(0)
    server.connections(350)

    few = Program(world, PYTHON, "-B", script, WEIR_ADDRESS, "7201", "0", "64").listens(7201)
    for _ in range(3):
        held = [socket.create_connection((WEIR_ADDRESS, 7201), PATIENCE) for _ in range(120)]
        for s in held:
            s.close()
    expect(ask_once(7201), "no answer after the rush")
    few.stop(0)

    nginx = start_nginx(world, 2)
    load = subprocess.Popen(["wrk", "-t", "1", "-c", "1000", "-d", "3s", "--timeout", "30s",
                             "http://%s:8080/" % WEIR_ADDRESS], stdout=subprocess.PIPE)
    time.sleep(1)
    workers = run("pgrep", "-P", str(nginx.process.pid)).split()
    os.kill(int(workers[0]), signal.SIGKILL)
    out, _ = load.communicate(timeout=PATIENCE)
    expect(int(re.search(rb"(\d+) requests in", out).group(1)) > 1_000, "nearly no request")
    wrk(16, 1, "http://%s:8080/" % WEIR_ADDRESS)
    nginx.stop(number=signal.SIGTERM)
    return "%d of 300 ended with their processes" % told
