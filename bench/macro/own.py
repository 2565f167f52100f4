"""What Weir's own commands measure, on ports that are not the limit: `weir bench`, the counted
instructions, the benchmarks of single parts. Each answer is checked, or is no figure but a reason."""
import json
import os
import subprocess
import sys

import machine
from lab import CLIENT_CORE, SERVER_CORE, Failed, Process

PATIENCE = 60
CORES = "%d,%d" % (CLIENT_CORE, SERVER_CORE)


class Own:
    """A `weir bench` of each round. `needs`: a word that its --help must have."""

    def __init__(self, name, *arguments, needs=None, cores=True, timed=True):
        self.name, self.arguments, self.needs = name, list(arguments), needs
        self.cores, self.timed = cores, timed

    def command(self, seconds):
        out = ["weir", "bench", *self.arguments, "--repeat", "1"]
        if self.timed:
            out += ["--duration", "%g" % seconds]
        if self.cores:
            out += ["--cores", CORES]
        return out


AT_ONCE, KEPT = "128", "100"
ROUND = [
    Own("cps ring", "cps", "--port", "ring", "--concurrency", AT_ONCE),
    Own("cps memif", "cps", "--port", "memif", "--concurrency", AT_ONCE),
    Own("cps memif 1 KiB", "cps", "--port", "memif", "--concurrency", "256", "--body", "1024"),
    Own("cps memif 4096", "cps", "--port", "memif", "--concurrency", "4096"),
    Own("cps vhost", "cps", "--port", "vhost", "--concurrency", AT_ONCE),
    Own("cps stripped", "cps", "--port", "memif", "--concurrency", AT_ONCE, "--profile", "stripped",
        needs="--profile"),
    Own("rps ring", "rps", "--port", "ring", "--connections", KEPT),
    Own("rps memif", "rps", "--port", "memif", "--connections", KEPT),
    Own("rps memif 1 KiB", "rps", "--port", "memif", "--connections", KEPT, "--body", "1024"),
    Own("rps vhost", "rps", "--port", "vhost", "--connections", KEPT),
    Own("stream memif", "stream", "--port", "memif", "--connections", "1", "--bare"),
    Own("stream memif 16", "stream", "--port", "memif", "--connections", "16"),
    Own("latency ring", "latency", "--port", "ring"),
    Own("latency memif", "latency", "--port", "memif"),
    Own("latency vhost", "latency", "--port", "vhost"),
    Own("two cores", "cps", "--cores-each", "2", "--concurrency", AT_ONCE),
]
BODIES = (1, 100, 1_000, 10_000, 100_000, 1_000_000)
PAYLOAD = [Own("payload %d" % n, "rps", "--port", "memif", "--connections", KEPT, "--body", str(n))
           for n in BODIES]
OPEN = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
QUICK_OPEN = OPEN[:3]  # as many; all that they are for is to see that it works
COLD = [Own("cold %d" % n, "cold", "--connections", str(n)) for n in OPEN]
RESTING = {"idle": 10_000_000, "half_open": 1_000_000, "time_wait": 60_000_000}
TIME_WAIT, QUICK_TIME_WAIT = [], ["--rate", "100000", "--wait", "4", "--seconds", "3"]
QUICK_RESTING = {"idle": 100_000, "half_open": 100_000, "time_wait": 1_000_000}


def last_object(text):
    lines = [line for line in text.splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines else None


def run_own(bench, own, seconds, limit=PATIENCE):
    """The JSON of one run."""
    if own.needs and own.needs not in bench.help_of(own.arguments[0]):
        raise Failed("this weir has no %s" % own.needs)
    command = own.command(seconds)
    process = Process(bench.lab.dir, "own", [bench.weir, *command[1:], "--json"])
    code = process.wait(seconds + limit)
    process.end()
    said = last_object(process.text())
    if code != 0 or not said or not said.get("ok"):
        raise Failed("weir bench: %s" % (said and said.get("complaint") or process.complaint()))
    return said


def run_memory(bench, counts):
    """Octets each. A kind that there is no memory for is asked in tenths, and says so."""
    out = {}
    for kind, wanted in counts.items():
        for count in (wanted, wanted // 10):
            flags = [x for k in counts for x in ("--" + k.replace("_", "-"), str(count if k == kind else 0))]
            process = Process(bench.lab.dir, "memory", [bench.weir, "bench", "memory", "--json", *flags])
            code = process.wait(300)
            process.end()
            said = last_object(process.text())
            if code == 0 and said and said[kind]["count"] == count:
                out[kind] = dict(said[kind], wanted=wanted)
                break
        else:
            raise Failed("%d of %s cannot be made here: %s" % (count, kind, process.complaint()))
    return out


def run_time_wait(bench, arguments):
    """A steady rate of closes, 2MSL and beyond."""
    if "time-wait" not in machine.output(bench.weir, "bench", "--help"):
        raise Failed("this weir has no `weir bench time-wait`")
    process = Process(bench.lab.dir, "time_wait", [bench.weir, "bench", "time-wait", "--json", *arguments])
    code = process.wait(600)
    process.end()
    said = last_object(process.text())
    if code != 0 or not said or said["failed"]:
        raise Failed("weir bench time-wait: " + process.complaint())
    return said


def run_instructions(bench):
    script = os.path.join(bench.root, "scripts/instructions")
    done = subprocess.run([script, "--build", bench.build, "--json"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300,
                          check=False)
    start = done.stdout.find("{")
    if start < 0:
        raise Failed("scripts/instructions: %s" % (done.stderr.strip()[-200:] or done.returncode))
    said = json.loads(done.stdout[start:])
    with open(os.path.join(bench.root, "bench/baseline/instructions.json"), encoding="utf-8") as f:
        said["baseline"] = json.load(f)["figures"]
    return said


def run_micro(bench, programs):
    """Rows of bench/macro/micro.py."""
    path = os.path.join(bench.lab.dir, "micro.json")
    folder = os.path.join(bench.build, "bench/micro")
    programs = [n for n in programs if os.path.exists(os.path.join(folder, n))]
    if not programs:
        raise Failed("none of them is in %s" % folder)
    command = [sys.executable, "-B", os.path.join(bench.root, "bench/macro/micro.py"), "--build",
               folder, "--json", path]
    for name in programs:
        command += ["--only", name]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise Failed("micro: %s" % done.stdout.strip().splitlines()[-1:])
    with open(path, encoding="utf-8") as f:
        return json.load(f)
