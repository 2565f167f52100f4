"""The cases. Each is given a World; it returns what it saw in a few words, or raises Wrong."""
import ctypes
import dataclasses
import math
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time
from typing import Callable

import raw
from harness import (IFACE, KERNEL, PATIENCE, URL, VIP, WEIR_ADDRESS, Server, Wrong, connect, curl,
                     ended, expect, expect_equal, read_all, run, sha256_of, wait_for)
from load import Load

MIB = 1 << 20


@dataclasses.dataclass
class Case:
    run: Callable
    what: str
    full_only: bool
    limit: int       # seconds, which only a hang reaches
    full_limit: int
    waits: bool      # mostly for time to pass: others may run beside it


CASES = {}


def case(what, full_only=False, limit=150, full_limit=1800, waits=False):
    def add(function):
        name = function.__name__.replace("_", "-")
        CASES[name] = Case(function, what, full_only, limit, full_limit, waits)
        return function
    return add


def time_limit(name, full):
    return CASES[name].full_limit if full else CASES[name].limit


def rate(octets, seconds):
    return "%.1f MB/s" % (octets / 1e6 / max(seconds, 1e-9))


def download(world, size):
    """A file through weir from nginx, compared by its SHA-256; how fast."""
    path = world.make_file("down", size)
    wanted = sha256_of(path)
    start = time.monotonic()
    pipe = subprocess.Popen(["curl", "-sS", "--max-time", "1500", URL + "/files/down"],
                            stdout=subprocess.PIPE)
    got = subprocess.run(["sha256sum"], stdin=pipe.stdout, stdout=subprocess.PIPE, check=True)
    pipe.stdout.close()
    took = time.monotonic() - start
    expect_equal("curl's exit code", pipe.wait(), 0)
    expect_equal("SHA-256", got.stdout.split()[0].decode(), wanted)
    return rate(size, took)


def upload(world, size):
    path = world.path("up")
    os.rename(world.make_file("up.tmp", size), path)
    start = time.monotonic()
    code = curl("-T", path, "-H", "Expect:", "-o", "/dev/null", "-w", "%{http_code}",
                URL + "/files/arrived", limit=1500)
    took = time.monotonic() - start
    expect_equal("answer to PUT", code, "201")
    arrived = os.path.join(world.files, "arrived")
    expect_equal("SHA-256", sha256_of(arrived), sha256_of(path))
    os.remove(path)
    return rate(size, took)


# -- Bytes through the balancer ----------------------------------------------------------------


@case("a file through the balancer, 64 MiB (1 GiB)")
def download_file(world):
    world.start_both_nginx()
    weir = world.start_weir()
    saw = download(world, 1024 * MIB if world.full else 64 * MIB)
    counters = weir.expect_at_rest()["counters"]
    bad = {n: v for n, v in counters.items()
           if n.startswith("drop_") and n not in ("drop_not_for_us", "drop_tx_full", "drop_other_protocol",
                                                  "drop_duplicate")}
    expect_equal("drops", bad, {})
    return saw


@case("the same the other way, by PUT")
def upload_file(world):
    world.start_both_nginx()
    weir = world.start_weir()
    saw = upload(world, 1024 * MIB if world.full else 64 * MIB)
    weir.expect_at_rest()
    return saw


LOSS = ("from numgen random mod 100 < 5 drop", "to numgen random mod 100 < 5 drop")


def lossy(world, weir, transfer, size):
    world.filter(*LOSS)
    saw = transfer(world, size)
    world.no_filter()
    counters = weir.expect_at_rest()["counters"]
    expect(counters.get("retrans_segs", 0) > 0, "nothing was retransmitted: the filter is idle")
    return "%s, %d retransmissions, %d timeouts, %d out of order" % (
        saw, counters["retrans_segs"], counters.get("rto_timeouts", 0),
        counters.get("ofo_queued", 0))


@case("5 MB (100 MB) down, 5 % of the packets lost each way in a router")
def loss_download(world):
    world.start_both_nginx()
    weir = world.start_weir_behind_router()
    return lossy(world, weir, download, 100_000_000 if world.full else 5_000_000)


@case("5 MB (100 MB) up, 5 % of the packets lost each way in a router")
def loss_upload(world):
    world.start_both_nginx()
    weir = world.start_weir_behind_router()
    saw = lossy(world, weir, upload, 100_000_000 if world.full else 5_000_000)
    expect(weir.counter("ofo_queued") > 0, "nothing came out of order: the filter is idle")
    return saw


@case("2 MB (100 MB) down, 5 % dropped each way where the TAP meets the kernel")
def loss_at_tap(world):
    world.start_both_nginx()
    weir = world.start_weir()
    return lossy(world, weir, download, 100_000_000 if world.full else 2_000_000)


#= RFC1191 6.4-a type=test
@case("5 MB down over a path of 1,300 octets, of which a router tells")
def path_mtu(world):
    world.start_both_nginx()
    weir = world.start_weir_behind_router()
    world.narrow_path(1300)
    saw = download(world, 5_000_000)
    counters = weir.expect_at_rest()["counters"]
    expect(counters.get("pmtu_lowered", 0) > 0, "no ICMP message was acted on")
    expect_equal("paths taken for black holes", counters.get("mtu_black_holes", 0), 0)
    return "%s, %d connections lowered" % (saw, counters["pmtu_lowered"])


#= RFC4821 7.7 type=test
@case("5 MB down over a path that swallows what is longer than 1,300 octets, and all ICMP")
def black_hole(world):
    world.start_both_nginx()
    weir = world.start_weir_behind_router(["tcp.mtu_probing=1"])
    world.filter("from ip length > 1300 drop", "to ip protocol icmp drop")
    saw = download(world, 5_000_000)
    world.no_filter()
    counters = weir.expect_at_rest()["counters"]
    expect(counters.get("mtu_black_holes", 0) > 0, "no black hole was found: the filter is idle")
    expect(counters.get("mtup_success", 0) > 0, "no probe arrived: segments stayed at base_mss")
    expect_equal("ICMP errors acted on", counters.get("icmp_errors_in", 0), 0)
    return "%s, %d black holes, probes: %d arrived, %d lost" % (
        saw, counters["mtu_black_holes"], counters["mtup_success"], counters.get("mtup_fail", 0))


@case("a peer without timestamps, window scaling and SACK")
def plain_peer(world):
    for name in ("timestamps", "window_scaling", "sack"):
        with open("/proc/sys/net/ipv4/tcp_" + name, "w", encoding="utf-8") as f:
            f.write("0")
    world.start_both_nginx()
    weir = world.start_weir()
    saw = "%s, %s" % (download(world, 8 * MIB), upload(world, 8 * MIB))
    weir.expect_at_rest()
    return saw


# -- Many connections --------------------------------------------------------------------------


def wrk(connections, seconds, url=URL + "/"):
    """Requests a second; no error of any kind."""
    text = run("wrk", "-t", "1", "-c", str(connections), "-d", "%ds" % seconds, "--timeout", "30s",
               url, limit=seconds + 120)
    expect("Socket errors" not in text and "Non-2xx" not in text,
           lambda: "wrk: " + "; ".join(line.strip() for line in text.splitlines()
                                       if "errors" in line or "Non-2xx" in line))
    requests = int(re.search(r"(\d+) requests in", text).group(1))
    expect(requests > 0, "wrk: no request was answered")
    return "%d requests, %s a second" % (requests,
                                         re.search(r"Requests/sec:\s*(\d+)", text).group(1))


@case("wrk, 200 connections kept alive, 3 s (10 s)")
def wrk_keep_alive(world):
    world.start_both_nginx()
    weir = world.start_weir()
    saw = wrk(200, 10 if world.full else 3)
    weir.expect_at_rest()
    return saw


def no_error(outcomes, wanted):
    errors = [o.error for o in outcomes if o.error]
    expect(not errors, lambda: "%d of %d failed, at first: %s" % (len(errors), len(outcomes),
                                                                  errors[0]))
    expect_equal("connections", len(outcomes), wanted)


@case("2,000 (50,000) connections of one request each; what is left of them afterwards")
def connections(world):
    world.start_both_nginx()
    weir = world.start_weir()
    total = 50_000 if world.full else 2_000
    before = weir.summary()["app"]["sessions_total"]
    start = time.monotonic()
    outcomes = Load(total, 64).run()
    took = time.monotonic() - start
    no_error(outcomes, total)
    by = [sum(o.body == b"backend %s\n" % n for o in outcomes) for n in (b"one", b"two")]
    expect_equal("answers by backend", by, [total // 2, total // 2])
    rest = weir.expect_at_rest()
    expect_equal("sessions", rest["app"]["sessions_total"] - before, total)
    expect(rest["gauges"]["time_wait"] > 0, "no connection is in TIME-WAIT")
    return "%d a second, %d in TIME-WAIT, %d of them reopened" % (
        total / took, rest["gauges"]["time_wait"], rest["counters"].get("time_wait_reused", 0))


@case("two cores behind one TAP")
def two_cores(world):
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        return "not done: there is one core"
    world.start_both_nginx()
    weir = world.start_weir(sets=["eal.cores=%s" % cores])
    no_error(Load(500, 32).run(), 500)
    saw = download(world, 16 * MIB)
    weir.expect_at_rest()
    return saw


# -- Backends ----------------------------------------------------------------------------------


@case("one of two backends is killed under load, then comes back", waits=True)
def backend_killed(world):
    one, _ = world.start_both_nginx()
    weir = world.start_weir(sets=["pool.web.put_aside_min=\"500ms\"",
                                  "pool.web.put_aside_max=\"1s\""])
    world.make_file("page", 300_000)
    killed_at = []

    def kill_in_time(load):
        # While most of a dozen answers are well under way, half of them from the one to be killed.
        halfway = sum(0 < n < 150_000 for n in load.octets_so_far())
        if len(load.outcomes) >= 40 and halfway >= 8 and not killed_at:
            one.kill()
            killed_at.append(time.monotonic())
        if killed_at and sum(o.begun > killed_at[0] for o in load.outcomes) >= 60:
            load.stop()
    outcomes = Load(10_000, 12, "/slow/page").run(kill_in_time)
    failed = [o for o in outcomes if o.error]
    late = [o.error for o in failed if o.begun > killed_at[0]]
    expect(not late, lambda: "%d requests failed that began after the kill: %s" % (len(late),
                                                                                   late[0]))
    expect(0 < len(failed) <= 12, "%d requests failed, 1 to 12 were in flight" % len(failed))
    # More of the other's than could have been under way at the kill.
    served = {Load(1, 1).run()[0].body for _ in range(20)}
    expect_equal("who answers", served, {b"backend two\n"})
    one.start()
    wait_for("the backend is back in the rotation",
             lambda: Load(1, 1).run()[0].body == b"backend one\n")
    app = weir.expect_at_rest()["app"]
    expect(app["web/%s:8081/failed" % KERNEL] > 0, "no failure of the backend was counted")
    return "%d in flight failed, %d after it did not" % (
        len(failed), sum(o.begun > killed_at[0] for o in outcomes))


@case("a backend that says nothing: the next is tried before the client sees anything")
def silent_backend(world):
    world.start_both_nginx()
    weir = world.start_weir(sets=["pool.web.connect_timeout=\"200ms\""])
    world.filter("from tcp dport 8081 drop")
    outcomes = Load(20, 1).run()
    no_error(outcomes, 20)
    expect_equal("who answers", {o.body for o in outcomes}, {b"backend two\n"})
    app = weir.expect_at_rest()["app"]
    expect(app["backend_retries"] > 0, "no second backend was tried")
    return "%d tried a second one" % app["backend_retries"]


@case("no backend at all: the client is told at once")
def no_backend(world):
    weir = world.start_weir()
    try:
        with connect() as s:
            expect_equal("what comes", s.recv(100), b"")
        how = "closed"
    except ConnectionResetError:
        how = "reset"
    app = weir.expect_at_rest()["app"]
    expect_equal("no_backend", app["no_backend"], 1)
    return how


# -- Peers that misbehave ----------------------------------------------------------------------


def flat(weir, rounds, what):
    """Does `what` a few times; resident memory after the first and after the last, in MiB."""
    what()
    first = weir.rss_mib()
    for _ in range(rounds - 1):
        what()
    last = weir.rss_mib()
    expect(last - first < 4, lambda: "resident memory grew from %.1f to %.1f MiB" % (first, last))
    return "memory %.0f MiB" % last


@case("half-open connections end by their timer")
def half_open(world):
    weir = world.start_weir(sets=["tcp.synack_retries=1", "tcp.rto_initial=200"])
    world.filter("from tcp dport 20000-29999 drop")
    wire = raw.Wire()
    weir_mac = raw.mac(weir.ready["mac"])
    counted = [0]

    def flood():
        for i in range(1000):
            wire.send_syn(weir_mac, KERNEL, 20000 + (counted[0] + i) % 10000, VIP, 80, seq=i)
            if i % 50 == 49:
                time.sleep(0.005)  # a TAP's queue holds 500 frames
        counted[0] += 1000
        weir.wait_gauges("half-open connections end", lambda s: (
            s["counters"].get("drop_synack_retries", 0) +
            s["counters"].get("drop_syn_queue_full", 0) == counted[0] and
            s["gauges"]["half_open"] == 0))
    saw = flat(weir, 3, flood)
    counters = weir.expect_at_rest()["counters"]
    expect_equal("half-open connections that ended by their timer",
                 counters.get("drop_synack_retries", 0), counted[0])
    expect(counters.get("retrans_segs", 0) > 0, "no SYN-ACK was sent again")
    return saw


@case("SYN cookies: a full SYN queue keeps nobody out")
def syn_flood(world):
    world.start_both_nginx()
    weir = world.start_weir(sets=["tcp.max_syn_backlog=64", "tcp.synack_retries=5"])
    world.filter("from tcp dport 20000-29999 drop")
    wire = raw.Wire()
    weir_mac = raw.mac(weir.ready["mac"])
    for i in range(200):  # these stay, half-open, for the seconds that their SYN-ACKs are resent
        wire.send_syn(weir_mac, KERNEL, 20000 + i, VIP, 80, seq=i)
    weir.wait_gauges("the SYN queue is full", lambda s: s["gauges"]["half_open"] == 64)
    no_error(Load(500, 16).run(), 500)
    weir.wait_gauges("the listener tells of its queues", lambda s: (
        s["queues"][0]["half_open"] == 64 and s["queues"][0]["accepted"] == 500 and
        s["queues"][0]["syn_overflows"] >= 500))
    counters = weir.summary()["counters"]
    came = counters.get("syncookies_recv", 0)
    expect(came >= 500, "%d connections came of a cookie, wanted 500" % came)
    return "%d cookies sent, %d came back" % (counters["syncookies_sent"], came)


@case("a client that vanishes in mid-transfer ends by retransmission timeouts", waits=True)
def client_vanishes(world):
    world.start_both_nginx()
    weir = world.start_weir(sets=["tcp.retries2=3", "tcp.rto_max=1000"])
    world.make_file("big", 32 * MIB)

    def vanish():
        clients = []
        for _ in range(10):
            s = connect()
            s.sendall(b"GET /files/big HTTP/1.1\r\nHost: x\r\n\r\n")
            s.recv(100_000)
            clients.append(s)
        ports = ",".join(str(s.getsockname()[1]) for s in clients)
        world.filter("from tcp dport { %s } drop" % ports, "to tcp sport { %s } drop" % ports)
        for s in clients:
            s.close()
        weir.expect_at_rest()
        world.no_filter()
    saw = flat(weir, 3, vanish)
    expect_equal("sessions ended by the client's silence", weir.summary()["app"]["client_resets"], 30)
    return "%s, at most %d mbufs" % (saw, weir.peak_in_use("rx"))


@case("a client that says nothing ends by the idle timer")
def client_idle(world):
    world.start_both_nginx()
    weir = world.start_weir(sets=["lb.idle_timeout=1"])
    clients = [connect() for _ in range(20)]
    for s in clients:
        wait_for("weir ends an idle client", lambda s=s: ended(s))
    rest = weir.expect_at_rest()
    expect_equal("idle_timeouts", rest["app"]["idle_timeouts"], 20)
    return "20 of 20"


@case("clients that never read end by the idle timer, in bounded memory", waits=True)
def client_never_reads(world):
    world.start_both_nginx()
    weir = world.start_weir(sets=["lb.idle_timeout=2"])
    world.make_file("big", 32 * MIB)
    clients_at_once = 20

    def stuck():
        clients = []
        for _ in range(clients_at_once):
            s = connect(receive_buffer=8192)
            s.sendall(b"GET /files/big HTTP/1.1\r\nHost: x\r\n\r\n")
            clients.append(s)
        weir.expect_at_rest()
        for s in clients:
            s.close()
    saw = flat(weir, 3, stuck)
    expect_equal("idle_timeouts", weir.summary()["app"]["idle_timeouts"], 3 * clients_at_once)
    # A receive buffer of the backend's leg and a send buffer of the client's, in full segments; a
    # half more for what is on its way.
    bound = clients_at_once * 2 * 262_144 // 1448 * 3 // 2
    peak = weir.peak_in_use("rx")
    expect(peak <= bound, "%d mbufs in use for %d clients, bound %d" % (peak, clients_at_once,
                                                                        bound))
    return "%s, at most %d mbufs of the bound's %d" % (saw, peak, bound)


@case("a client that reads slowly gets every octet")
def client_reads_slowly(world):
    world.start_both_nginx()
    weir = world.start_weir()
    path = world.make_file("page", 3_000_000)
    s = connect(receive_buffer=16384)
    s.sendall(b"GET /files/page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    got = bytearray()
    pauses = 0
    while block := s.recv(30_000):
        got += block
        # Long enough now and then that the window closes and is probed.
        if len(got) // 500_000 > pauses:
            pauses += 1
            time.sleep(0.5)
    with open(path, "rb") as f:
        expect(bytes(got).endswith(b"\r\n\r\n" + f.read()), "not what was sent")
    s.close()
    weir.expect_at_rest()
    return "%d zero-window probes" % weir.counter("persist_probes")


@case("more text under way than there are buffers: everybody is served in the end")
def short_of_buffers(world):
    world.start_both_nginx()
    weir = world.start_weir(sets=["limits.mbufs=4096"])
    world.make_file("page", 2 * MIB)
    # 60 sessions may hold 260 buffers and more each.
    no_error(Load(120, 60, "/files/page", keep_bodies=False).run(), 120)
    rest = weir.expect_at_rest()
    expect(rest["counters"].get("drop_no_buffer", 0) > 0, "there were buffers enough: no test")
    return "at most %d mbufs of 4096" % weir.peak_in_use("rx")


@case("clients that never read do not keep others out", waits=True)
def buffers_held(world):
    world.start_both_nginx()
    weir = world.start_weir(sets=["limits.mbufs=4096", "lb.idle_timeout=4"])
    world.make_file("big", 8 * MIB)
    stuck = []
    for _ in range(40):
        s = connect(receive_buffer=8192)
        s.sendall(b"GET /files/big HTTP/1.1\r\nHost: x\r\n\r\n")
        stuck.append(s)
    wait_for("buffers run short", lambda: weir.counter("drop_no_buffer") > 0)
    no_error(Load(20, 4).run(), 20)
    weir.expect_at_rest()
    return "at most %d mbufs of 4096" % weir.peak_in_use("rx")


# -- The end of weir itself ----------------------------------------------------------------------


def ends_within(s, seconds):
    """How the other side ends this connection: "RST", "FIN", or "nothing" in that time."""
    s.settimeout(seconds)
    try:
        while s.recv(1 << 20):
            pass
        return "FIN"
    except ConnectionResetError:
        return "RST"
    except socket.timeout:
        return "nothing"


def connections_of_all_kinds(world):
    """One that says nothing, one in the midst of a download, one that the client has closed."""
    idle, busy, half = (connect(WEIR_ADDRESS, receive_buffer=8192) for _ in range(3))
    busy.sendall(b"GET /bytes/500000000 HTTP/1.1\r\nHost: x\r\n\r\n")
    half.sendall(b"GET /bytes/500000000 HTTP/1.1\r\nHost: x\r\n\r\n")
    busy.recv(1000)
    half.recv(1000)
    half.shutdown(socket.SHUT_WR)
    wait_for("three sessions", lambda: world.weir.summary()["app"]["sessions"] == 3)
    return [idle, busy, half]


@case("a fatal signal: each connection is reset before weir is gone")
def fatal_signals(world):
    saw = []
    for name in ("SIGABRT", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGQUIT", "SIGUSR2"):
        weir = world.start_weir("serve")
        conns = connections_of_all_kinds(world)
        start = time.monotonic()
        weir.process.send_signal(getattr(signal, name))
        expect_equal(name, [ends_within(s, 3) for s in conns], ["RST"] * 3)
        weir.process.wait(10)
        expect_equal("exit status", weir.process.returncode, -int(getattr(signal, name)))
        saw.append("%s %.0f ms" % (name, (time.monotonic() - start) * 1e3))
        world.weir = None
    return ", ".join(saw)


@case("a fault of a worker's own thread: its connections are reset from the signal's handler")
def worker_faults(world):
    tgkill = 234  # x86-64
    weir = world.start_weir("serve")
    conns = connections_of_all_kinds(world)
    tasks = "/proc/%d/task" % weir.process.pid

    def name_of(tid):
        with open("%s/%s/comm" % (tasks, tid), encoding="utf-8") as f:
            return f.read().strip()
    names = {name_of(t): int(t) for t in os.listdir(tasks)}
    worker = next((t for name, t in names.items() if "worker" in name), 0)
    expect(worker, "no worker among " + repr(names))
    expect_equal("tgkill", ctypes.CDLL(None).syscall(tgkill, weir.process.pid, worker,
                                                     int(signal.SIGSEGV)), 0)
    expect_equal("SIGSEGV", [ends_within(s, 3) for s in conns], ["RST"] * 3)
    weir.process.wait(10)
    expect_equal("exit status", weir.process.returncode, -int(signal.SIGSEGV))
    world.weir = None


@case("SIGTERM twice, and a drain that runs out: each connection is reset before weir is gone")
def terminated(world):
    for sets, twice in ((["run.drain_timeout=60"], True), (["run.drain_timeout=1"], False)):
        weir = world.start_weir("serve", sets=sets)
        conns = connections_of_all_kinds(world)
        weir.process.send_signal(signal.SIGTERM)
        if twice:
            time.sleep(0.6)
            weir.process.send_signal(signal.SIGTERM)
        got = [ends_within(s, 4) for s in conns]
        expect(got[0] in ("FIN", "RST") and got[1:] == ["RST"] * 2, lambda g=got: repr(g))
        weir.process.wait(10)
        world.weir = None


@case("a program that never closes: its listener shows, with the age of the oldest")
def leaks_show(world):
    weir = world.start_weir("serve", sets=[
                                           "serve.idle_timeout=60"])
    half = connect(WEIR_ADDRESS, receive_buffer=8192)
    half.sendall(b"GET /bytes/500000000 HTTP/1.1\r\nHost: x\r\n\r\n")
    half.recv(1000)
    half.shutdown(socket.SHUT_WR)
    s = weir.wait_gauges("CLOSE-WAIT for a second",
                         lambda s: s["gauges"].get("oldest_close_wait", 0) > 1)
    expect_equal("close_wait", s["gauges"]["close_wait"], 1)
    listener = next(l for name, l in s["listeners"].items() if l["close_wait"] == 1)
    expect_equal("its peer", listener["oldest_peer"], "%s:%d" % half.getsockname())
    half.close()
    weir.wait_gauges("it is over", lambda s: s["gauges"]["close_wait"] == 0)


# -- How connections end -----------------------------------------------------------------------


@case("a half-close passes through, from either side")
def half_close(world):
    text = os.urandom(1_000_000)

    def replies_at_the_end(c):
        got = read_all(c)
        c.sendall(got[::-1])
        return got == text

    def speaks_first(c):
        c.sendall(b"that is all from me")
        c.shutdown(socket.SHUT_WR)
        return read_all(c) == text
    client_first = Server(8081, replies_at_the_end)
    server_first = Server(8082, speaks_first)
    weir = world.start_weir()
    with connect() as s:  # to 8081: the rotation begins there
        s.sendall(text)
        s.shutdown(socket.SHUT_WR)
        expect(read_all(s) == text[::-1], "the answer after the client's half-close is not whole")
    expect_equal("the server saw the text", client_first.wait_results(1), [True])
    with connect() as s:
        expect_equal("the server's text", read_all(s), b"that is all from me")
        s.sendall(text)
    expect_equal("the server saw the text after its half-close", server_first.wait_results(1),
                 [True])
    app = weir.expect_at_rest()["app"]
    expect_equal("resets", (app["client_resets"], app["backend_resets"]), (0, 0))
    return "both ways"


def abort(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


@case("a reset passes through, from either side")
def reset(world):
    def reads(c):
        c.sendall(b"hello")
        read_all(c)
        return "no reset"

    def resets(c):
        c.recv(5)
        abort(c)
        return "reset"
    reader = Server(8081, reads)
    Server(8082, resets)
    weir = world.start_weir()
    s = connect()
    expect_equal("greeting", s.recv(5), b"hello")
    abort(s)
    seen = reader.wait_results(1)[0]
    expect(isinstance(seen, ConnectionResetError),
           "the backend saw '%s' where the client reset" % seen)
    s = connect()
    s.sendall(b"hello")
    try:
        expect_equal("what the client saw where the backend reset", s.recv(100), "reset")
    except ConnectionResetError:
        pass
    app = weir.expect_at_rest()["app"]
    expect_equal("client_resets, backend_resets", (app["client_resets"], app["backend_resets"]),
                 (1, 1))
    return "both ways"


@case("SIGTERM: transfers under way finish, nobody else gets in, exit code 0")
def drain(world):
    world.start_both_nginx()
    weir = world.start_weir()
    world.make_file("page", 1_500_000)  # 3 s at its rate
    outcomes = []
    load = threading.Thread(target=lambda: outcomes.extend(Load(8, 8, "/slow/page").run()))
    load.start()
    weir.wait_gauges("eight sessions", lambda s: s["app"]["sessions"] == 8)
    weir.process.terminate()
    refused = wait_for("a new connection is refused", lambda: try_connect(80) == "refused")
    load.join()
    no_error(outcomes, 8)
    final = weir.wait_end()
    expect_equal("sessions at the end", final["app"]["sessions"], 0)
    expect_equal("aborted", final["app"]["aborted"], 0)
    return "8 finished" if refused else ""


@case("SIGTERM: what is left at drain_timeout is reset, exit code 0")
def drain_limit(world):
    world.start_both_nginx()
    weir = world.start_weir(sets=["lb.drain_timeout=1"])
    clients = [connect() for _ in range(5)]
    weir.wait_gauges("five sessions", lambda s: s["app"]["sessions"] == 5)
    final = weir.stop()
    expect_equal("aborted", final["app"]["aborted"], 5)
    expect_equal("how the clients saw it", [ended(s) for s in clients], ["reset"] * 5)
    return "5 reset"


# -- Below and beside TCP ----------------------------------------------------------------------


def try_connect(port, address=VIP):
    try:
        connect(address, port).close()
        return "connected"
    except ConnectionRefusedError:
        return "refused"
    except ConnectionResetError:  # the listener went while the handshake was under way
        return "reset"


def kernel_counter(group, name):
    with open("/proc/net/snmp", encoding="utf-8") as f:
        lines = [line.split() for line in f if line.startswith(group + ":")]
    return int(dict(zip(lines[0], lines[1]))[name])


@case("a port without a listener refuses at once")
def closed_port(world):
    world.start_weir()
    for port in (1, 81, 8080, 65535):
        for address in (VIP, WEIR_ADDRESS):
            expect_equal("connect to %s:%d" % (address, port), try_connect(port, address),
                         "refused")
    expect_equal("SYNs that were sent again", kernel_counter("Tcp", "RetransSegs"), 0)
    return "8 of 8"


@case("a UDP port answers port unreachable")
def udp_port(world):
    world.start_weir()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(PATIENCE)
        s.connect((WEIR_ADDRESS, 5353))
        s.send(b"anybody there?")
        try:
            s.recv(100)
            raise Wrong("an answer came")
        except ConnectionRefusedError:
            return "ECONNREFUSED"


@case("ping, small and large")
def ping(world):
    world.start_weir()
    for address in (WEIR_ADDRESS, VIP):
        for size in (0, 56, 57, 1472):
            text = run("ping", "-c", "5", "-i", "0.02", "-W", "20", "-s", str(size), address)
            expect(" 5 received" in text and "DUP" not in text and "wrong data" not in text,
                   lambda t=text, s=size: "size %d: %s" % (s, t.strip().splitlines()[-2:]))
    return "40 of 40"


@case("ARP is answered for Weir's addresses alone")
def arp(world):
    weir = world.start_weir()
    wire = raw.Wire()

    def answer(target):
        """Weir's answer; for an address that has none, the answer to a later question."""
        wire.arp_request(KERNEL, target)
        if target not in (WEIR_ADDRESS, VIP):
            wire.arp_request(KERNEL, WEIR_ADDRESS)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            seen = wire.receive(PATIENCE)
            reply = raw.parse_arp_reply(seen[0]) if seen and seen[1] else None
            if reply:
                return reply
        return None
    mac = raw.mac(weir.ready["mac"])
    for address in (WEIR_ADDRESS, VIP):
        expect_equal("the answer for " + address, answer(address), (mac, address))
    expect_equal("for another's", answer("10.99.0.77"), (mac, WEIR_ADDRESS))
    run("ip", "neigh", "flush", "dev", IFACE)
    run("ping", "-c", "1", "-W", "20", VIP)
    return "2 of 2"


# -- weir serve --------------------------------------------------------------------------------


def serve_pattern(n):
    """apps/weir/serve.h: octet i of a body is pattern(i mod 1048573)."""
    period = bytes((i * 31 + (i >> 8) * 17 + (i >> 16) * 7) & 255 for i in range(min(n, 1_048_573)))
    return (period * (n // max(len(period), 1) + 1))[:n]


@case("weir serve: keep-alive, HEAD, /bytes/N, PUT")
def serve(world):
    weir = world.start_weir("serve")
    url = "http://" + WEIR_ADDRESS
    codes = curl("-o", "/dev/null", "-w", "%{http_code}/%{num_connects}/%{size_download} ",
                 url + "/[1-3]")
    expect_equal("three requests", codes, "200/1/1024 200/0/1024 200/0/1024 ")
    expect_equal("HEAD", curl("-I", "-o", "/dev/null", "-w", "%{http_code} %{size_download}", url),
                 "200 0")
    for n in (0, 1, 1460, 100_000, 3_000_000):
        out = world.path("body")
        expect_equal("/bytes/%d" % n, curl("-o", out, "-w", "%{http_code}", url + "/bytes/%d" % n),
                     "200")
        with open(out, "rb") as f:
            expect(f.read() == serve_pattern(n), "/bytes/%d: not the pattern" % n)
    path = world.make_file("up", 3_000_000)
    code = curl("-T", path, "-o", "/dev/null", "-w", "%{http_code}", url + "/up")
    expect(code in ("200", "201", "204"), "PUT: " + code)
    no_error(Load(300, 30, address=WEIR_ADDRESS).run(), 300)
    app = weir.expect_at_rest()["app"]
    expect_equal("body_bytes_in", app["body_bytes_in"], 3_000_000)
    expect_equal("bad_requests", app["bad_requests"], 0)
    return "%d requests" % app["requests"]


@case("weir serve under wrk")
def serve_wrk(world):
    weir = world.start_weir("serve")
    saw = wrk(100, 10 if world.full else 2, "http://%s/" % WEIR_ADDRESS)
    weir.expect_at_rest()
    return saw


# -- veth --------------------------------------------------------------------------------------


@case("the same over af_packet and veth: files both ways, many connections, ping")
def veth(world):
    world.start_both_nginx()
    weir = world.start_weir_on_veth()
    saw = "%s down, %s up" % (download(world, 16 * MIB), upload(world, 16 * MIB))
    no_error(Load(500, 32).run(), 500)
    expect_equal("a closed port", try_connect(81), "refused")
    run("ping", "-c", "5", "-i", "0.02", "-W", "20", VIP)
    rest = weir.expect_at_rest()
    expect_equal("bad checksums", (rest["counters"].get("drop_tcp_checksum", 0),
                                   rest["counters"].get("drop_ip_checksum", 0)), (0, 0))
    return saw


@case("weir serve over af_packet and veth")
def veth_serve(world):
    weir = world.start_weir_on_veth("serve")
    url = "http://" + WEIR_ADDRESS
    expect_equal("three requests", curl("-o", "/dev/null", "-w", "%{http_code}/%{num_connects} ",
                                        url + "/[1-3]"), "200/1 200/0 200/0 ")
    out = world.path("body")
    curl("-o", out, url + "/bytes/3000000")
    with open(out, "rb") as f:
        expect(f.read() == serve_pattern(3_000_000), "/bytes/3000000: not the pattern")
    weir.expect_at_rest()
    return "3 MB"


# -- Initial sequence numbers (RFC 6528) -------------------------------------------------------


def sequence_index(isns, seconds):
    """nmap's SP of a handful of samples: 8 times the binary logarithm of the deviation of the rates
    at which they grow (nmap's osscan2.cc, TCP sequence)."""
    steps = [min((b - a) % 2**32, (a - b) % 2**32) for a, b in zip(isns, isns[1:])]
    divisor = math.gcd(*steps)
    if divisor == 0:
        return 0
    rates = [step / seconds / (divisor if divisor > 9 else 1) for step in steps]
    mean = sum(rates) / len(rates)
    deviation = math.sqrt(sum((r - mean) ** 2 for r in rates) / (len(rates) - 1))
    return round(8 * math.log2(deviation)) if deviation > 1 else 0


@case("300 initial sequence numbers: no constant step, every high octet")
def isn(world):
    world.start_nginx()
    world.start_nginx("two", 8082)
    world.start_weir()
    wire = raw.Wire()
    samples = []
    while len(samples) < 300:
        s = connect()
        port = s.getsockname()[1]
        end = time.monotonic() + PATIENCE
        while True:
            seen = wire.receive(PATIENCE)
            syn_ack = raw.parse_syn_ack(seen[0]) if seen and seen[1] else None
            if syn_ack and syn_ack[0] == port:
                samples.append(syn_ack[1])
                break
            expect(time.monotonic() < end, "no SYN-ACK was captured")
        s.close()
    steps = [(b - a) % 2**32 for a, b in zip(samples, samples[1:])]
    # By chance alone: 300 of 2^32 collide once in 10^5 runs; 256 high octets, of which 177 are met
    # in the mean, with a deviation of 6.
    expect(len(set(samples)) >= 299, "%d of 300 are distinct" % len(set(samples)))
    expect(len(set(steps)) >= 297, "%d of 299 steps are distinct" % len(set(steps)))
    expect_equal("greatest common divisor of the steps", math.gcd(*steps), 1)
    high = len({s >> 24 for s in samples})
    expect(high >= 140, "%d high octets of 256 were met" % high)
    expect(90 <= sum(s >> 31 for s in samples) <= 210, "the highest bit is not a fair coin")
    index = min(sequence_index(samples[i:i + 6], 0.1) for i in range(0, 300, 6))
    return "%d high octets, SP at least %d" % (high, index)


@case("nmap's TCP sequence prediction index is 240 at least", full_only=True)
def nmap(world):
    if not any(os.access(os.path.join(p, "nmap"), os.X_OK)
               for p in os.environ["PATH"].split(":")):
        return "not done: there is no nmap here"
    world.start_both_nginx()
    world.start_weir()
    text = run("nmap", "-O", "-v", "-n", "-p", "80,81", VIP, limit=600)
    found = re.search(r"TCP Sequence Prediction: Difficulty=(\d+)", text)
    expect(found, "nmap gives no index: " + text[-400:])
    expect(int(found.group(1)) >= 240, "index %s" % found.group(1))
    return "index %s" % found.group(1)


import http_cases  # pylint: disable=wrong-import-position,unused-import,cyclic-import  # adds its own
