"""`weir bench`: each mode over each port. Counts, not figures: a figure is no test."""
import json
import os
import signal
import subprocess

from cases import case
from harness import PATIENCE, WEIR, Wrong, expect, expect_equal, wait_for

STAGES = {"rx", "parse", "lookup", "tcp", "timers", "application", "tx"}
SIDE = {"connections", "requests", "errors", "cycles_per_unit", "cycles_per_connection",
        "packets_in_per_connection", "packets_out_per_connection", "octets_in_per_connection",
        "octets_out_per_connection", "octets_held_per_connection", "record_octets",
        "buffer_octets", "peak_connections", "time_wait", "time_wait_octets", "busy_cycles",
        "idle_cycles", "counters", "iterations", "interrupted_iterations", "interrupted_cycles",
        "span_cycles", "frames_per_iteration", "text_octets"}
WHOLE = {"event", "mode", "port", "cpu", "tsc_hz", "cores", "time_wait_seconds", "closed_by",
         "profile", "rounds", "body", "unit", "rate", "rates", "buffers_left", "ok"}
# mode, its arguments, connections of a round, requests of a round
MODES = [("cps", ["--connections", "3000"], 3000, 3000),
         ("rps", ["--connections", "20", "--requests", "100"], 20, 2000),
         ("stream", ["--connections", "3", "--requests", "2", "--size", "1000003"], 3, 6)]


def environment(world):
    scratch = world.path("scratch")
    os.makedirs(scratch, exist_ok=True)
    return scratch, dict(os.environ, TMPDIR=scratch)


def expect_nothing_left(scratch):
    expect_equal("what is left in TMPDIR", os.listdir(scratch), [])
    wait_for("no weir is left", lambda: not weirs())


def weirs():
    """Process ids of the weirs of this PID namespace."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink("/proc/%s/exe" % pid) == os.path.realpath(WEIR):
                found.append(int(pid))
        except OSError:
            pass
    return found


def bench(world, *args):
    """What `weir bench ... --json` says."""
    scratch, env = environment(world)
    done = subprocess.run([WEIR, "bench", *args, "--json"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=2 * PATIENCE,
                          env=env, check=False, text=True)
    expect(done.returncode == 0, lambda: "bench %s: exit code %d: %s" % (
        " ".join(args), done.returncode, done.stderr.strip()))
    expect_equal("stderr", done.stderr, "")
    expect_nothing_left(scratch)
    return json.loads(done.stdout)


def check_cycles(name, side, count):
    cycles = side["cycles_per_unit"]
    expect_equal(name + ": stages", set(cycles), STAGES | {"total"})
    total = sum(cycles[s] for s in STAGES)
    expect(abs(total - cycles["total"]) < 0.01, "%s: stages sum up to %f, the total is %f" % (
        name, total, cycles["total"]))
    expect(all(cycles[s] > 0 for s in STAGES), "%s: a stage took no time: %r" % (name, cycles))
    # Interrupted iterations count as the mean of the others.
    whole = side["cycles_per_connection"]["total"] * side["connections"]
    wanted = side["busy_cycles"] * (1 + side["interrupted_iterations"] / side["iterations"])
    expect(abs(whole - wanted) <= side["connections"], name + ": busy cycles")
    expect(side["counters"]["in_segs"] >= 2 * count, "%s: %r" % (name, side["counters"]))


def check(out, mode, connections, requests):
    expect_equal("keys", WHOLE - set(out), set())
    expect_equal("ok", out["ok"], True)
    expect_equal("mode", out["mode"], mode)
    expect_equal("buffers that did not come back", out["buffers_left"], 0)
    expect_equal("TIME-WAIT, seconds", out["time_wait_seconds"], 60)
    for name in ("client", "server"):
        side = out[name]
        expect_equal(name + ": keys", SIDE - set(side), set())
        expect_equal(name + ": connections", side["connections"], connections)
        expect_equal(name + ": requests", side["requests"], requests)
        expect_equal(name + ": errors", side["errors"], 0)
        check_cycles(name, side, connections)
    client, server = out["client"], out["server"]
    expect_equal("text sent", server["text_octets"], requests * out["body"])
    expect(client["text_octets"] > server["text_octets"], "the client read less than was sent")
    # Whoever closes first has a record for each connection, for the full time.
    closer, other = (server, client) if out["closed_by"] == "server" else (client, server)
    expect_equal("TIME-WAIT at the " + out["closed_by"], closer["time_wait"], connections)
    expect_equal("TIME-WAIT at the other side", other["time_wait"], 0)


def modes(world, port):
    for mode, args, connections, requests in MODES:
        out = bench(world, mode, *args, "--port", port, "--repeat", "2")
        expect_equal("rounds", out["rounds"], 2)
        expect_equal("rates", len(out["rates"]), 2)
        check(out, mode, connections, requests)
    return "cps, rps, stream"


@case("weir bench in one process, over rings: exact counts, stages that sum up")
def bench_ring(world):
    modes(world, "ring")
    out = bench(world, "cps", "--connections", "2000", "--repeat", "1", "--profile", "stripped")
    expect_equal("profile", out["profile"], "stripped")
    expect_equal("TIME-WAIT", [out[s]["time_wait"] for s in ("client", "server")], [0, 0])
    expect_equal("RSTs", out["client"]["counters"]["out_rsts"], 2000)
    out = bench(world, "cps", "--connections", "2000", "--repeat", "1", "--close", "client",
                "--body", "3000")
    check(out, "cps", 2000, 2000)
    out = bench(world, "cps", "--connections", "500", "--repeat", "1", "--no-stages")
    expect_equal("without stages", set(out["server"]["cycles_per_unit"]), {"total"})
    out = bench(world, "rps", "--connections", "5", "--duration", "0.3", "--repeat", "1")
    expect_equal("connections of a timed round", out["client"]["connections"], 5)
    expect(out["rate"] > 0, "no rate")
    return "cps, rps, stream, by number and by time"


@case("weir bench in two processes, over memif")
def bench_memif(world):
    return modes(world, "memif")


@case("weir bench in two processes, over vhost-user and virtio-user")
def bench_vhost(world):
    return modes(world, "vhost")


@case("weir bench latency: TCP beside a bare frame, on each port")
def bench_latency(world):
    for port in ("ring", "memif", "vhost"):
        out = bench(world, "latency", "--port", port, "--size", "100", "--duration", "0.2",
                    "--repeat", "2")
        expect_equal("ok, rounds, frame", (out["ok"], out["rounds"], out["frame_octets"]),
                     (True, 2, 166))
        for kind in ("bare_ns", "tcp_ns"):
            p = out[kind]
            expect(0 < p["p50"] <= p["p99"] <= p["p999"], "%s, %s: %r" % (port, kind, p))
        expect(out["count"] > 0, "%s: %r messages" % (port, out["count"]))
    return "ring, memif, vhost"


@case("weir bench cold: every connection is asked, beside few")
def bench_cold(world):
    for port in ("ring", "memif"):
        out = bench(world, "cold", "--port", port, "--connections", "3000", "--beside", "20",
                    "--window", "8", "--duration", "0.3", "--repeat", "1")
        expect_equal("ok", out["ok"], True)
        expect(out["opening_rate"] > 0, "no rate of opening")
        for phase, count in (("hot", 20), ("cold", 3000), ("again", 20)):
            expect_equal(phase + ": connections", out[phase]["connections"], count)
            expect(out[phase]["server_cycles"] > 0 and out[phase]["rate"] > 0, str(out[phase]))
        expect_equal("the hot case beside itself", out["hot"]["server_ratio"], 1)
    return "ring, memif"


@case("weir bench stream --bare: what the port alone carries")
def bench_bare(world):
    out = bench(world, "stream", "--bare", "--port", "memif", "--connections", "1", "--size",
                "100003", "--duration", "0.3", "--repeat", "2")
    expect_equal("rounds", len(out["bare_octets_per_second"]), 2)
    expect(min(out["bare_octets_per_second"]) > 0 and out["ratio_to_bare"] > 0, str(out))
    expect("bare_octets_per_second" not in bench(
        world, "stream", "--duration", "0.2", "--repeat", "1", "--size", "1000"), "bare unasked")
    return "%.2f" % out["ratio_to_bare"]


@case("weir bench cps --cores-each: two pairs alone and at once")
def bench_cores(world):
    if len(os.sched_getaffinity(0)) < 2:
        return "one CPU: nothing to do"
    out = bench(world, "cps", "--cores-each", "2", "--duration", "0.3", "--repeat", "1")
    for name in ("alone_rate", "together_rate", "alone_cycles", "together_cycles"):
        expect_equal(name, len(out[name]), 2)
        expect(min(out[name]) > 0, "%s: %r" % (name, out[name]))
    cycles = 2 * sum(out["alone_cycles"]) / sum(out["together_cycles"])
    expect(abs(out["scale_in_cycles"] - cycles) < 0.01, str(out))
    return "%.2f" % out["scale_in_cycles"]


def start(world, *args):
    _, env = environment(world)
    return subprocess.Popen([WEIR, "bench", *args], stdin=subprocess.DEVNULL, env=env,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@case("weir bench, each side started by hand")
def bench_roles(world):
    for kind in ("memif", "vhost"):
        path = world.path(kind + ".sock")
        server = start(world, "cps", "--role", "server", "--port", kind + ":" + path,
                       "--connections", "1500", "--json")
        wait_for("the socket", lambda at=path: os.path.exists(at))
        client = start(world, "cps", "--role", "client", "--port", kind + ":" + path,
                       "--connections", "1500", "--repeat", "1", "--json")
        for name, process in (("client", client), ("server", server)):
            out, err = process.communicate(timeout=PATIENCE)
            expect(process.returncode == 0, "%s %s: %s" % (kind, name, err))
            figures = json.loads(out)
            expect_equal("sides", {"client", "server"} & set(figures), {name})
            expect_equal(name + ": connections", figures[name]["connections"], 1500)
            check_cycles(name, figures[name], 1500)
        if os.path.exists(path):
            os.unlink(path)
    return "memif, vhost"


@case("weir bench ended from outside leaves nothing behind")
def bench_ends(world):
    scratch, _ = environment(world)
    for port, sides in (("ring", 1), ("memif", 2), ("vhost", 2)):
        process = start(world, "cps", "--port", port, "--duration", "600")
        wait_for("all sides run", lambda n=sides: len(weirs()) == n)
        wait_for("its threads", lambda p=process: len(os.listdir("/proc/%d/task" % p.pid)) > 2)
        process.send_signal(signal.SIGTERM)
        try:
            _, err = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise Wrong("%s: SIGTERM: still running" % port) from None
        expect_equal(port + ": exit code", process.returncode, 1)
        expect("signal" in err, port + ": " + err)
        expect_nothing_left(scratch)
    # The other half ends with the one that started it, even if that had no time to say so.
    process = start(world, "cps", "--port", "memif", "--duration", "600")
    wait_for("both sides run", lambda: len(weirs()) == 2)
    process.kill()
    process.communicate(timeout=PATIENCE)
    wait_for("no weir is left", lambda: not weirs())
    return "by SIGTERM, by SIGKILL"
