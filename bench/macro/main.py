"""scripts/bench without --micro: see there. This half runs inside namespaces of its own."""
import argparse
import json
import os
import re
import signal
import sys
import tempfile
import time

import machine
import report
from clients import WORKLOADS, in_memory, measure, probe
from lab import Failed, Lab
from servers import Echo, Weir, make_servers

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MEMORY = "memory"
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

    def wanted(self, kind, name):
        only = self.args.only
        names = {"server": [s.name for s in self.servers] + [MEMORY],
                 "workload": [w.name for w in WORKLOADS]}
        asked = [n for n in only if n in names[kind]]
        return not asked or name in asked

    def check_names(self):
        known = [s.name for s in self.servers] + [MEMORY] + [w.name for w in WORKLOADS]
        wrong = [n for n in self.args.only if n not in known]
        if wrong:
            raise Failed("--only %s: no such server or workload; there are %s" % (
                wrong[0], ", ".join(known)))

    def run(self):
        self.check_names()
        servers = [s for s in self.servers if self.wanted("server", s.name) or s.name == "epoll"]
        for number in range(self.args.rounds):
            say("round %d of %d" % (number + 1, self.args.rounds))
            for server in servers:
                self.one_server(server)
                if isinstance(server, Weir) and server.name not in self.failures:
                    self.one_probe(server)
            if self.wanted("server", MEMORY):
                self.one_memory()

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


def say(text):
    print(text, flush=True)


def on_signal(number, _):
    for s in SIGNALS:
        signal.signal(s, signal.SIG_IGN)  # once is enough: what follows is the cleaning up
    raise KeyboardInterrupt(signal.Signals(number).name)


def as_json(bench, facts, tables):
    return {
        "facts": facts,
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
    p.add_argument("--compare")
    p.add_argument("--command", default="scripts/bench")
    args = p.parse_args()
    args.rounds = args.rounds or (2 if args.quick else 5)
    args.seconds = args.seconds or (1 if args.quick else 2)
    return args


def main():
    args = parse_arguments()
    for s in SIGNALS:
        signal.signal(s, on_signal)
    facts = machine.facts(args.root)
    start = time.monotonic()
    before = None
    if args.compare:
        try:
            with open(args.compare, encoding="utf-8") as f:
                before = json.load(f)["rows"]
        except (OSError, ValueError, KeyError) as e:
            print("bench: --compare %s: not what --json writes: %s" % (args.compare, e),
                  file=sys.stderr)
            return 2
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
    text = report.markdown(bench, facts, rows)
    say("")
    say(text)
    say("took %d s" % (time.monotonic() - start))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump(as_json(bench, facts, rows), f, indent=1)
    if args.write:
        report.write_between_markers(args.write, text)
        say("written to " + os.path.relpath(args.write, args.root))
    if before:
        say("compared with %s: %s" % (args.compare, "\n".join(report.compare(before, rows))))
    return 0 if any(r["rate"] for r in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
