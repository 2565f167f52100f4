"""What is asked of a server, by whom, and what came of it: the same client for every server."""
import json
import os
import re

from lab import CLIENT_CORE, SERVER_CORE, Failed, Process
from machine import Meter
from servers import PORT, STREAM

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class Workload:
    def __init__(self, name, what, unit, per, path, connections, headers=()):
        self.name, self.what, self.unit, self.per = name, what, unit, per
        self.path, self.connections, self.headers = path, connections, headers


WORKLOADS = [
    Workload("connections", "connect, one request, 1 KiB answer, close; 64 at a time",
             "connections/s", "connection", "/", 64, ("Connection: close",)),
    Workload("requests", "one request after the other, 1 KiB answers, 64 connections",
             "requests/s", "request", "/", 64),
    Workload("stream", "64 MiB answers, 4 connections", "MB/s", "KiB", "/bytes/%d" % STREAM, 4),
]


def wrk_command(workload, address, seconds):
    command = ["wrk", "-t1", "-c%d" % workload.connections, "-d%ds" % seconds, "--latency",
               "--timeout", "10s"]
    for header in workload.headers:
        command += ["-H", header]
    return command + ["http://%s:%d%s" % (address, PORT, workload.path)]


def parse_wrk(text):
    """Answers and octets a second, percentiles in seconds, errors."""
    def number(pattern):
        found = re.search(pattern, text)
        return float(found[1]) if found else 0.0

    def percentile(p):
        found = re.search(r"^\s+%d%%\s+([\d.]+)(us|ms|s|m|h)\s*$" % p, text, re.M)
        return float(found[1]) * SECONDS[found[2]] if found else None
    transfer = re.search(r"Transfer/sec:\s+([\d.]+)([KMG]?)B", text)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    if not transfer:
        raise Failed("wrk said nothing that can be read")
    return {
        "answers_per_second": number(r"Requests/sec:\s+([\d.]+)"),
        "octets_per_second": float(transfer[1]) * UNITS[transfer[2]],
        "p50": percentile(50), "p99": percentile(99),
        "errors": sum(map(int, errors.groups())) if errors else 0,
        "bad_answers": int(number(r"Non-2xx or 3xx responses: (\d+)")),
    }


def measure(bench, server, workload, seconds):
    """One run of one workload: what the client saw and whose time it took."""
    meter = Meter((CLIENT_CORE, SERVER_CORE), server.pids(), server.packets)
    client = Process(bench.lab.dir, "client", wrk_command(workload, server.address, seconds),
                     core=CLIENT_CORE)
    code = client.wait(seconds + 30)
    spent = meter.stop()
    client.end()
    if code != 0:
        raise Failed("wrk: " + client.complaint())
    result = parse_wrk(client.text())
    result.update(spent)
    if workload.unit == "MB/s":
        result["rate"] = result["octets_per_second"] / 1e6
        per_second = result["octets_per_second"] / 1024
    else:
        result["rate"] = per_second = result["answers_per_second"]
    if per_second <= 0:
        raise Failed("nothing was answered")
    done = per_second * spent["wall"]
    hz = bench.cycles_per_second
    result["server_cycles"] = spent["busy_seconds"][1] * hz / done
    result["process_cycles"] = spent["process_seconds"] * hz / done
    result["machine_cycles"] = sum(spent["busy_seconds"]) * hz / done
    result["packets"] = spent["packets_per_second"] / per_second
    return result


def probe(bench, echo, size, seconds):
    """Frames a second, both ways together, that the port carries without a stack."""
    meter = Meter((CLIENT_CORE, SERVER_CORE), echo.pids(), echo.packets)
    client = Process(bench.lab.dir, "probe", [
        os.path.join(bench.build, "bench/macro/udp_ping"), "%s:9" % echo.address, str(seconds),
        "--size", str(size)], core=CLIENT_CORE)
    code = client.wait(seconds + 30)
    spent = meter.stop()
    client.end()
    if code != 0:
        raise Failed("udp_ping: " + client.complaint())
    said = json.loads(client.text())
    frames = 2 * said["answers_per_second"]
    return {"frames_per_second": frames, "lost": said["lost"], "busy": spent["busy"],
            "server_cycles": spent["busy_seconds"][1] * bench.cycles_per_second /
                             max(1.0, frames * spent["wall"])}
