"""What is asked of a server, by whom, and what came of it: the same client for every server."""
import json
import os
import re

from lab import CLIENT_CORE, SERVER_CORE, Failed, Process
from machine import Meter
from servers import BODY, PORT, STREAM

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
PATIENCE = 30


class Wrk:
    """On the kernel's TCP. Its percentiles are of answers: from the request to the last octet."""
    name = "wrk"

    def __init__(self, path, connections, headers=()):
        self.path, self.connections, self.headers = path, connections, headers

    def missing(self, bench, server):  # why it cannot ask this server, or None
        return None

    def run(self, bench, server, seconds, start_meter):
        command = ["wrk", "-t1", "-c%d" % self.connections, "-d%ds" % seconds, "--latency",
                   "--timeout", "10s"]
        for header in self.headers:
            command += ["-H", header]
        command.append("http://%s:%d%s" % (server.address, PORT, self.path))
        meter = start_meter()
        client = Process(bench.lab.dir, "client", command, core=CLIENT_CORE)
        code = client.wait(seconds + PATIENCE)
        spent = meter.stop()
        client.end()
        if code != 0:
            raise Failed("wrk: " + client.complaint())
        return self.parse(client.text()), spent

    @staticmethod
    def parse(text):
        def number(pattern):
            found = re.search(pattern, text)
            return float(found[1]) if found else 0.0

        def percentile(p):
            found = re.search(r"^\s+%d%%\s+([\d.]+)(us|ms|s|m|h)\s*$" % p, text, re.M)
            return float(found[1]) * SECONDS[found[2]] if found else None
        octets = re.search(r"Transfer/sec:\s+([\d.]+)([KMG]?)B", text)
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)",
                           text)
        if not octets:
            raise Failed("wrk said nothing that can be read")
        return {
            "answers_per_second": number(r"Requests/sec:\s+([\d.]+)"),
            "octets_per_second": float(octets[1]) * UNITS[octets[2]],
            "p50": percentile(50), "p99": percentile(99),
            "errors": (sum(map(int, errors.groups())) if errors else 0) +
                      int(number(r"Non-2xx or 3xx responses: (\d+)")),
        }


class Load:
    """`weir load` on an AF_PACKET port of the client's end, beside the kernel that has it too.
    `latency`: whose percentiles, "connect" or "request"."""
    name = "weir load"

    def __init__(self, latency, flags):
        self.latency, self.flags = latency, flags

    def missing(self, bench, server):
        if not server.loads:
            return "no port for weir load"
        return bench.weir_lacks("load")

    def run(self, bench, server, seconds, start_meter):
        command = [bench.weir, "load", "--device", "af_packet:" + server.near, "--address",
                   bench.lab.load_address(server.address) + "/24", "--cores", str(CLIENT_CORE), "--target",
                   "%s:%d" % (server.address, PORT), "--expect-size", str(BODY), "--timeout", "10",
                   "--json", "--set", "tcp.ip_local_port_range=[1024,65535]", "--set",
                   "run.drain_timeout=1", "--set", 'stats.interval="60s"', "--duration", str(seconds),
                   *self.flags]
        client = Process(bench.lab.dir, "client", command)
        client.wait_line('{"event":"ready"')
        meter = start_meter()
        code = client.wait(seconds + PATIENCE)
        spent = meter.stop()
        client.end()
        if code not in (0, 1):
            raise Failed("weir load: " + client.complaint())
        return self.parse(client.text()), spent

    def parse(self, text):
        lines = [json.loads(line) for line in text.splitlines() if '"event":"summary"' in line]
        if not lines:
            raise Failed("weir load gave no summary")
        s = lines[-1]
        latency = s[self.latency + "_us"]
        return {
            "answers_per_second": s["answers_per_second"],
            "octets_per_second": s["bytes_in_per_second"],
            "p50": latency["p50"] / 1e6, "p99": latency["p99"] / 1e6,
            "errors": s["connect_errors"] + s["answer_errors"], "client_own_busy": s["busy"],
            "error_names": s["errors"],
        }


class Workload:
    def __init__(self, name, what, unit, per, client, memory=None):
        self.name, self.what, self.unit, self.per = name, what, unit, per
        self.client = client
        self.memory = memory  # what `weir bench` calls it, and with which flags


class HalfLoad(Load):
    """Half of the requests that this server answered in this round, evenly spaced: percentiles without
    a queue in front of it, and from when a request was due."""

    def __init__(self, of, connections):
        super().__init__("request", ("--connections", str(connections), "--requests", "0"))
        self.of = of

    def run(self, bench, server, seconds, start_meter):
        full = bench.rates.get((server.name, self.of))
        if not full:
            raise Failed("its full load was not measured")
        half = Load(self.latency, (*self.flags, "--rate", "%d" % max(1, full / 2)))
        return half.run(bench, server, seconds, start_meter)


OPEN = 256  # at once: enough that neither side waits for the other's sleep
FEW, MANY = 100, 1000
ONE = ("--concurrency", str(OPEN))


def kept(connections):
    return ("--connections", str(connections), "--requests", "0")


WORKLOADS = [
    Workload("connections",
             "connect, one request, 1 KiB answer, the server closes; %d at a time, by `weir load`; "
             "p50 and p99 of connecting" % OPEN,
             "connections/s", "connection", Load("connect", ONE)),
    Workload("connections-wrk", "the same by `wrk`; p50 and p99 of the answer",
             "connections/s", "connection", Wrk("/", OPEN, ("Connection: close",)),
             memory=("cps", "--concurrency", str(OPEN), "--body", str(BODY))),
    Workload("requests",
             "one request after the other, 1 KiB answers, %d connections, by `weir load`; p50 and p99 "
             "of the answer" % FEW, "requests/s", "request", Load("request", kept(FEW))),
    Workload("requests-1000", "the same over %d connections" % MANY,
             "requests/s", "request", Load("request", kept(MANY))),
    Workload("half-load", "half as many requests a second as `requests` had in the same round, evenly "
             "spaced; p50 and p99 from when each was due", "requests/s", "request",
             HalfLoad("requests", FEW)),
    Workload("requests-wrk", "%d connections, by `wrk`" % OPEN, "requests/s", "request", Wrk("/", OPEN),
             memory=("rps", "--connections", str(OPEN), "--body", str(BODY))),
    Workload("stream", "64 MiB answers, one connection, by `wrk`", "MB/s", "KiB",
             Wrk("/bytes/%d" % STREAM, 1),
             memory=("stream", "--connections", "1", "--size", str(STREAM))),
    Workload("stream-16", "64 MiB answers, 16 connections, by `wrk`", "MB/s", "KiB",
             Wrk("/bytes/%d" % STREAM, 16)),
]


def per_unit(workload, result, spent, hz):
    """Adds what one connection, request or KiB took."""
    per_second = result["answers_per_second"]
    result["rate"] = per_second
    if workload.unit == "MB/s":
        result["rate"] = result["octets_per_second"] / 1e6
        per_second = result["octets_per_second"] / 1024
    if per_second <= 0:
        raise Failed("nothing was answered")
    done = per_second * spent["wall"]
    result.update(spent)
    # What the server's core was busy with is the server's, but for what others did there, and for a
    # loop that polls and finds nothing: so no more than the server's own time and that of the core's
    # interrupts. (Those that fell into the server's time are in both: an upper bound.)
    own = spent["process_seconds"]
    if spent["own_busy"] is not None:  # by the clock: what others took of its turns is in it
        own = min(own, spent["own_busy"] * spent["wall"])
    core = spent["busy_seconds"][1]
    result["core_cycles"] = core * hz / done
    result["server_cycles"] = min(core, own + spent["server_interrupts"]) * hz / done
    result["process_cycles"] = spent["process_seconds"] * hz / done
    known = spent["process_seconds"] + spent["client_seconds"] + spent["interrupts"]
    result["machine_cycles"] = min(sum(spent["busy_seconds"]), known) * hz / done
    result["packets"] = spent["packets_per_second"] / per_second
    return result


def measure(bench, server, workload, seconds):
    """One run of one workload: what the client saw and whose time it took."""
    def start_meter():
        return Meter((CLIENT_CORE, SERVER_CORE), server.pids(), server.packets, server.own_busy)
    result, spent = workload.client.run(bench, server, seconds, start_meter)
    if result["errors"]:  # no figure but a reason
        raise Failed("%d errors%s" % (result["errors"], ": %s" % ", ".join(
            "%s %s" % e for e in result["error_names"].items() if e[1]) if result.get("error_names") else ""))
    return per_unit(workload, result, spent, bench.cycles_per_second)


def probe(bench, echo, size, seconds):
    """Frames a second that the port carries without a stack: both ways together with an echo, from the
    server only with a flood."""
    meter = Meter((CLIENT_CORE, SERVER_CORE), echo.pids(), echo.packets)
    client = Process(bench.lab.dir, "probe", [
        os.path.join(bench.build, "bench/macro/udp_ping"), "%s:9" % echo.address, str(seconds),
        "--size", str(size), "--window", "1" if echo.flood else "256"], core=CLIENT_CORE)
    code = client.wait(seconds + PATIENCE)
    spent = meter.stop()
    client.end()
    if code != 0:
        raise Failed("udp_ping: " + client.complaint())
    said = json.loads(client.text())
    frames = spent["packets_per_second"] if echo.flood else 2 * said["answers_per_second"]
    return {"frames_per_second": frames, "lost": said["lost"], "busy": spent["busy"],
            "server_cycles": spent["busy_seconds"][1] * bench.cycles_per_second /
                             max(1.0, frames * spent["wall"])}


def in_memory(bench, workload, seconds):
    """`weir bench`: generator and endpoint in one process, joined in memory; a result like measure's,
    with what each side's own meter saw."""
    mode, *flags = workload.memory
    meter = Meter((CLIENT_CORE, SERVER_CORE), [], lambda: 0)
    process = Process(bench.lab.dir, "memory", [
        bench.weir, "bench", mode, *flags, "--json", "--repeat", "1", "--duration", str(seconds),
        "--cores", "%d,%d" % (CLIENT_CORE, SERVER_CORE)])
    code = process.wait(seconds + PATIENCE)
    spent = meter.stop()
    process.end()
    lines = [json.loads(line) for line in process.text().splitlines() if line.startswith("{")]
    if code != 0 or not lines or not lines[-1].get("ok"):
        raise Failed("weir bench: " + (lines and lines[-1].get("complaint") or process.complaint()))
    said = lines[-1]
    rate = said["rate"] * (1024 / 1e6 if workload.unit == "MB/s" else 1)
    sides = {k: said[k]["cycles_per_unit"] for k in ("client", "server")}
    return {"rate": rate, "client": sides["client"], "server": sides["server"],
            "packets": sum(said["server"]["packets_%s_per_connection" % way] for way in ("in", "out")),
            "other_work": spent["other_work"], "both": sum(s["total"] for s in sides.values())}
