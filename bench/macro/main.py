"""scripts/bench without --micro: see there. This half runs inside namespaces of its own."""
import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import budgets
import machine
import own
import page
import pictures
import report
from clients import WORKLOADS, in_memory, measure, probe
from lab import Failed, Lab
from servers import Echo, Weir, make_servers
from wires import LossyWire, PingWires, kernel_memory

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MEMORY = "memory"
SECTIONS = ("own", "latency", "loss", "growth", "resting", "instructions", "micro")
LOSSES, QUICK_LOSSES = (0, 0.1, 0.5, 1, 2, 5), (0, 1)
GIB, QUICK_LOSS = 1 << 30, 32 << 20
LOSS_BUDGET = 1        # percent: the one whose transfer is of 1 GiB
LOSS_GROWTH = 64 << 20
QUICK_MICRO = ("bench_wheel",)
MICRO = ("bench_wire", "bench_hash", "bench_rte_hash", "bench_wheel", "bench_rte_timer", "bench_stack")
QUICK_SERVERS = ("epoll", "af_packet", "loopback")
QUIET = 0.5  # load average; above it the figures may be others' too


class Bench:
    def __init__(self, root, build, args, directory):
        self.root, self.build, self.args = root, build, args
        self.cycles_per_second = machine.cycles_per_second()
        self.lab = Lab(directory)
        self.servers = make_servers(self)
        self.commands = re.findall(r"^  (\w+)  ", machine.output(
            os.path.join(build, "apps/weir/weir"), "--help"), re.M)
        self.weir = os.path.join(build, "apps/weir/weir")
        self.results = {}   # server, workload -> a result or None for each round
        self.memory = {}    # workload -> a result or None for each round
        self.probes = {}    # server, flood -> a result or None for each round
        self.failures = {}  # what could not be measured -> why
        self.rates = {}     # server, workload -> of the round under way
        self.own = {}       # of `weir bench` -> its command, and an answer or None for each round
        self.single = {}    # what is measured once -> its command and its answer
        self.latency = {}   # place -> a result or None for each round
        self.loss = []
        self.helps = {}
        self.ping_wires = self.lossy_wire = None

    def wanted(self, kind, name):
        only = self.args.only
        names = {"server": [s.name for s in self.servers] + [MEMORY],
                 "workload": [w.name for w in WORKLOADS]}
        asked = [n for n in only if n in names[kind]]
        return not asked or name in asked

    def check_names(self):
        known = [s.name for s in self.servers] + [MEMORY] + [w.name for w in WORKLOADS] + list(SECTIONS)
        wrong = [n for n in self.args.only if n not in known]
        if wrong:
            raise Failed("--only %s: no such server, workload or section; there are %s" % (
                wrong[0], ", ".join(known)))

    def run(self):
        self.check_names()
        servers = [s for s in self.servers if self.wanted("server", s.name) or s.name == "epoll"]
        if self.args.only and all(n in SECTIONS for n in self.args.only):
            servers = []
        elif self.args.quick and not self.args.only:
            servers = [s for s in servers if s.name in QUICK_SERVERS]
        for number in range(self.args.rounds):
            say("round %d of %d" % (number + 1, self.args.rounds))
            for server in servers:
                self.one_server(server)
                if isinstance(server, Weir) and server.name not in self.failures:
                    self.one_probe(server)
            if servers and self.wanted("server", MEMORY):
                self.one_memory()
            self.round_of_own(number)
        self.once()

    def section(self, name):
        return not self.args.only or name in self.args.only

    def help_of(self, mode):
        if mode not in self.helps:
            self.helps[mode] = machine.output(self.weir, "bench", mode, "--help")
        return self.helps[mode]

    def attempt(self, what, measure):
        """What it gives, or None and a reason in the report."""
        try:
            return measure()
        except (Failed, OSError, ValueError, subprocess.TimeoutExpired) as e:
            self.fail(what, e)
            return None

    def round_of_own(self, number):
        seconds = min(self.args.seconds, 1)
        if self.section("own"):
            for o in own.ROUND:
                entry = self.own.setdefault(o.name, {"command": o.command(seconds), "rounds": []})
                gone = o.name in self.failures
                said = None if gone else self.attempt(o.name, lambda o=o: own.run_own(self, o, seconds))
                entry["rounds"].append(said)
                if said:
                    say("  %-28s %s" % (o.name, own_word(said)))
        if self.section("latency"):
            self.ping_wires = self.ping_wires or PingWires(self)
            for place in PingWires.names:
                r = self.attempt("latency, " + place, lambda p=place: self.ping_wires.once(p, seconds))
                self.latency.setdefault(place, []).append(r)
                if r:
                    say("  %-28s p50 %.1f µs" % ("latency, " + place, r["tcp"]["p50"] / 1e3))
        if self.section("loss"):
            self.lossy_wire = self.lossy_wire or LossyWire(self)
            for percent in QUICK_LOSSES if self.args.quick else LOSSES:
                octets = QUICK_LOSS if self.args.quick else LOSS_GROWTH
                if percent == LOSS_BUDGET and not self.args.quick:
                    octets = GIB
                    if number >= 3:  # seconds each: three rounds are a median
                        continue
                r = self.attempt("%g %% loss" % percent, lambda p=percent, n=octets: self.lossy_wire.once(p, n))
                if r:
                    self.loss.append(r)
                    say("  %-28s kernel %.2f s, Weir %.2f s" % (
                        "%g %% loss" % percent, r["kernel"], r["weir"]))

    def one(self, name, command, measure):
        result = self.attempt(name, measure)
        self.single[name] = {"command": command, "result": result}
        if result is not None:
            say("  %-28s measured" % name)

    def once(self):
        """What takes too long for every round, or is a count."""
        quick, seconds = self.args.quick, min(self.args.seconds, 1)
        if self.section("growth"):
            most = max(own.QUICK_OPEN if quick else own.OPEN)
            for o in own.PAYLOAD + [c for c in own.COLD if int(c.arguments[2]) <= most]:
                self.one(o.name, o.command(seconds),
                         lambda o=o: own.run_own(self, o, seconds, limit=300))
        if self.section("resting"):
            counts = own.QUICK_RESTING if quick else own.RESTING
            self.one("memory", ["weir", "bench", "memory"], lambda: own.run_memory(self, counts))
            self.one("kernel memory", None, kernel_memory)
            arguments = own.QUICK_TIME_WAIT if quick else own.TIME_WAIT
            self.one("time-wait", ["weir", "bench", "time-wait", *arguments],
                     lambda: own.run_time_wait(self, arguments))
        if self.section("instructions"):
            self.one("instructions", ["scripts/instructions"], lambda: own.run_instructions(self))
        if self.section("micro"):
            self.one("micro", ["scripts/bench", "--micro"], lambda: own.run_micro(
                self, QUICK_MICRO if quick else MICRO))

    def weir_lacks(self, command):
        """Why `weir COMMAND` cannot be used, or None."""
        return None if command in self.commands else "weir has no command '%s'" % command

    def one_memory(self):
        for w in WORKLOADS:
            if w.memory is None or not self.wanted("workload", w.name):
                continue
            row = None
            try:
                lacks = self.weir_lacks("bench")
                if lacks:
                    raise Failed(lacks)
                row = in_memory(self, w, self.args.seconds)
                say("  %-10s %-16s %10.0f %s" % (MEMORY, w.name, row["rate"], w.unit))
            except Failed as e:
                self.fail("%s, %s" % (MEMORY, w.name), e)
            self.memory.setdefault(w.name, []).append(row)

    def fail(self, what, why):
        if what not in self.failures:
            say("  %-10s cannot be measured: %s" % (what, why))
        self.failures[what] = str(why)

    def one_server(self, server):
        workloads = [w for w in WORKLOADS if self.wanted("workload", w.name) and
                     not w.client.missing(self, server)]
        rows = {w.name: None for w in workloads}
        if server.name not in self.failures:
            try:
                server.start()
                for w in workloads:
                    rows[w.name] = self.one_figure(server, w)
            except Failed as e:
                self.fail(server.name, e)
            finally:
                server.stop()
        for name, row in rows.items():
            self.results.setdefault((server.name, name), []).append(row)

    def one_figure(self, server, workload):
        try:
            r = measure(self, server, workload, self.args.seconds)
        except Failed as e:
            self.fail("%s, %s" % (server.name, workload.name), e)
            return None
        say("  %-10s %-16s %10.0f %s" % (server.name, workload.name, r["rate"], workload.unit))
        self.rates[server.name, workload.name] = r["rate"]
        return r

    def one_probe(self, server):
        for flood, size in ((False, 64), (True, 1400)):
            echo = Echo(self, server, flood)
            row = None
            try:
                echo.start()
                row = probe(self, echo, size, 1)
                say("  %-10s %-16s %10.0f frames/s of %d octets" % (
                    server.name, "port alone", row["frames_per_second"], size))
            except Failed as e:
                self.fail(echo.name, e)
            finally:
                echo.stop()
            self.probes.setdefault((server.name, flood), []).append(row)


def own_word(said):
    """The figure of a line of progress."""
    if said["mode"] == "latency":
        return "p50 %.2f times the bare frame's" % said["ratio"]["p50"]
    if said["mode"] == "cores":
        return "%.2f times one" % said["scale_in_cycles"]
    if said["mode"] == "stream":
        return "%10.0f MB/s" % (said["rate"] * 1024 / 1e6)
    return "%10.0f %ss/s" % (said["rate"], said["unit"])


def say(text):
    print(text, flush=True)


def on_signal(number, _):
    for s in SIGNALS:
        signal.signal(s, signal.SIG_IGN)  # once is enough: what follows is the cleaning up
    raise KeyboardInterrupt(signal.Signals(number).name)


def as_json(bench, facts, tables, took):
    data = {
        "facts": facts, "command": bench.args.command, "took_seconds": took,
        "own": bench.own, "single": bench.single, "latency": bench.latency, "loss": bench.loss,
        "seconds": bench.args.seconds, "rounds": bench.args.rounds,
        "servers": {s.name: s.what for s in bench.servers},
        "results": [{"server": s, "workload": w, "rounds": rows}
                    for (s, w), rows in bench.results.items()],
        "port_alone": [{"server": s, "flood": f, "rounds": rows}
                       for (s, f), rows in bench.probes.items()],
        "memory": bench.memory,
        "failures": bench.failures,
        "rows": tables,
    }
    data["budgets"] = [r.as_dict() for r in budgets.rows(data)]
    data["ratios"] = budgets.ratios(data)
    return data


def read_results(path):
    with open(path, encoding="utf-8") as f:
        data = json.load(f)
    for key in ("rows", "results", "own", "single", "budgets"):
        if key not in data:
            raise ValueError("no '%s' in it" % key)
    return data


def write_page(data, path):
    """The document between its markers, and the pictures beside it."""
    directory = os.path.splitext(path)[0]
    drawn = [(os.path.splitext(os.path.basename(p))[0], p) for p in pictures.draw(data, directory)]
    titles = dict(page.PICTURES)
    report.write_between_markers(path, page.markdown(data, [
        (name, titles[name], os.path.relpath(p, os.path.dirname(path))) for name, p in drawn]))
    return [path] + [p for _, p in drawn]


def compare_files(a, b):
    for line in budgets.compare(read_results(a), read_results(b)):
        say(line)


def without_a_run(args):
    """--page and --compare of two files. None: there is something to be measured."""
    try:
        if args.page:
            for path in write_page(read_results(args.page), os.path.join(args.root, "docs/performance.md")):
                say(os.path.relpath(path, args.root))
            return 0
        if args.compare and len(args.compare) == 2:
            compare_files(*args.compare)
            return 0
        for path in args.compare or []:
            read_results(path)
    except (OSError, ValueError, KeyError, TypeError) as e:
        print("bench: %s: not what --json writes: %s" % (
            args.page or " ".join(args.compare), e), file=sys.stderr)
        return 2
    return None


def parse_arguments():
    p = argparse.ArgumentParser()
    p.add_argument("--root", required=True)
    p.add_argument("--build", required=True)
    p.add_argument("--quick", action="store_true")
    p.add_argument("--rounds", type=int)
    p.add_argument("--seconds", type=int)
    p.add_argument("--only", action="append", default=[])
    p.add_argument("--json")
    p.add_argument("--write")
    p.add_argument("--compare", nargs="+")
    p.add_argument("--page")
    p.add_argument("--command", default="scripts/bench")
    args = p.parse_args()
    args.rounds = args.rounds or (1 if args.quick else 3)
    args.seconds = args.seconds or (1 if args.quick else 2)
    return args


def main():
    args = parse_arguments()
    code = without_a_run(args)
    if code is not None:
        return code
    for s in SIGNALS:
        signal.signal(s, on_signal)
    facts = machine.facts(args.root)
    start = time.monotonic()
    if os.getloadavg()[0] > QUIET:
        say("the machine is not quiet (load average %.2f): figures will be lower and less sure" %
            os.getloadavg()[0])
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as directory:
        bench = None
        try:
            bench = Bench(args.root, args.build, args, directory)
            bench.run()
        except Failed as e:
            print("bench: %s" % e, file=sys.stderr)
            return 1
        except KeyboardInterrupt as e:
            print("bench: %s: ended; nothing is left behind" % (e or "SIGINT"), file=sys.stderr)
            return 130
        finally:
            if bench:
                bench.lab.end()
    rows = report.rows_of(bench)
    took = time.monotonic() - start
    data = as_json(bench, facts, rows, took)
    say("")
    say(page.markdown(data))
    say("took %d s" % took)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump(data, f, indent=1)
    if args.write:
        for path in write_page(data, args.write):
            say("written to " + os.path.relpath(path, args.root))
    if args.compare:
        say("compared with %s:" % args.compare[0])
        say("\n".join(budgets.compare(read_results(args.compare[0]), data)))
    measured = any(r["rate"] for r in rows) or bench.single or bench.latency or bench.loss or any(
        any(entry["rounds"]) for entry in bench.own.values())
    return 0 if measured else 1


if __name__ == "__main__":
    sys.exit(main())
