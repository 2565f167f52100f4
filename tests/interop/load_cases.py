"""`weir load` before nginx on the kernel's stack. Rates are compared with what was asked in counts
over the whole run, with room for a machine that stands still now and then: no latency is looked at."""
import csv
import json
import os
import signal
import socket
import subprocess

from cases import case
from harness import (IFACE, KERNEL, PATIENCE, ROOT, WEIR, WEIR_ADDRESS, Server, expect,
                     expect_equal, run, wait_for)

LATENCY = {"count", "p50", "p90", "p99", "p999", "max"}
RATES = {"seconds", "opened_per_second", "completed_per_second", "requests_per_second",
         "answers_per_second", "bytes_in_per_second", "bytes_out_per_second", "busy", "open",
         "connecting", "connect_errors", "answer_errors", "errors", "retrans", "drops",
         "connect_us", "first_byte_us", "request_us", "event", "uptime", "profile", "loop",
         "latency_from"}
TOTALS = {"opened", "connected", "completed", "server_closed", "requests", "answers", "bytes_in",
          "bytes_out"}


class Load:
    """A running `weir load` on a TAP whose other end is the kernel's."""

    def __init__(self, world, *flags, target=KERNEL + ":8081"):
        self.world = world
        self.out, self.err = world.path("load.out"), world.path("load.err")
        core = str(min(os.sched_getaffinity(0)))
        args = [WEIR, "load", "--device", "tap:" + IFACE, "--address", WEIR_ADDRESS + "/24",
                "--cores", core, "--target", target, "--json", *flags]
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                            start_new_session=True)
        world.others.append(self.process)
        wait_for("the interface of weir load", self._interface)
        run("ip", "addr", "add", KERNEL + "/24", "dev", IFACE)
        run("ip", "link", "set", IFACE, "up")

    def _interface(self):
        expect(self.process.poll() is None, lambda: "weir load ended: " + self.complaints())
        return IFACE in run("ip", "-br", "link", "show", IFACE, check=False)

    def complaints(self):
        with open(self.err, encoding="utf-8") as f:
            return f.read().strip()

    def lines(self, event):
        with open(self.out, encoding="utf-8") as f:
            found = [json.loads(line) for line in f.read().split("\n")[:-1]]
        return [line for line in found if line["event"] == event]

    def end(self, exit_code=0):
        """Waits for it; its summary. None: whatever its exit code."""
        self.process.wait(PATIENCE)
        expect_equal("stderr", self.complaints(), "")
        summary = self.lines("summary")[-1]
        expect(exit_code in (None, self.process.returncode), lambda: "exit code %d, wanted %s: %s" % (
            self.process.returncode, exit_code, json.dumps(summary["errors"])))
        expect_equal("keys of the summary", set(summary), RATES | TOTALS)
        for line in [summary] + self.lines("stats"):
            expect(RATES <= set(line), lambda: "keys missing: %s" % (RATES - set(line)))
            for name in ("connect_us", "first_byte_us", "request_us"):
                expect_equal("keys of " + name, set(line[name]), LATENCY)
            expect(0 <= line["busy"] <= 1, "busy is no share")
        return summary

    def stop(self, exit_code=0):
        self.process.send_signal(signal.SIGTERM)
        return self.end(exit_code)


def expect_no_errors(summary):
    expect_equal("errors", summary["errors"], {})
    expect_equal("connect errors", summary["connect_errors"], 0)
    expect_equal("answer errors", summary["answer_errors"], 0)


def expect_about(what, got, wanted, part=0.25):
    expect(abs(got - wanted) <= part * wanted, lambda: "%s: %s, wanted about %s" % (
        what, got, wanted))


@case("weir load: 500 connections a second for 4 s, each answered")
def load_rate(world):
    world.start_nginx()
    s = Load(world, "--rate", "500", "--duration", "4", "--expect-size", "12").end()
    expect_no_errors(s)
    # What came due while the machine stood still was made up for: the count holds.
    expect_about("connections", s["completed"], 2000)
    expect_equal("answers", s["answers"], s["opened"])
    expect_about("a second", s["answers_per_second"], 500)
    return "%d connections, %.0f a second" % (s["completed"], s["answers_per_second"])


@case("weir load: 1,000 connections held, each asked now and then")
def load_hold(world):
    world.start_nginx()
    load = Load(world, "--hold", "1000", "--rate", "2000", "--interval", "500ms")
    established = "ss -Htn state established '( sport = :8081 )' | wc -l"
    wait_for("the kernel has 1,000", lambda: int(run("sh", "-c", established)) == 1000)
    wait_for("all are open in its lines", lambda: [
        line for line in load.lines("stats") if line["open"] == 1000])
    s = load.stop()
    expect_no_errors(s)
    expect_equal("opened", s["opened"], 1000)
    expect_equal("completed", s["completed"], 1000)
    wait_for("the kernel has none", lambda: int(run("sh", "-c", established)) == 0)
    return "%d requests meanwhile" % s["answers"]


@case("weir load: keep-alive, as fast as 16 connections go")
def load_keep_alive(world):
    world.start_nginx()
    s = Load(world, "--connections", "16", "--duration", "2").end()
    expect_no_errors(s)
    expect_equal("opened", s["opened"], 16)
    expect(s["answers"] > 160, "only %d answers" % s["answers"])
    expect_equal("answers", s["answers"], s["requests"])
    return "%d requests" % s["answers"]


@case("weir load: keep-alive requests at a rate")
def load_request_rate(world):
    world.start_nginx()
    s = Load(world, "--connections", "8", "--rate", "400", "--duration", "3").end()
    expect_no_errors(s)
    expect_about("requests", s["answers"], 1200)
    expect_equal("opened", s["opened"], 8)
    return "%d requests" % s["answers"]


@case("weir load: 5,000 connections of 3 requests, then it ends by itself")
def load_total(world):
    world.start_nginx()
    s = Load(world, "--connections-total", "5000", "--requests", "3", "--concurrency", "32",
             "--sources", "10.99.0.20-10.99.0.27").end()
    expect_no_errors(s)
    expect_equal("completed", s["completed"], 5000)
    expect_equal("answers", s["answers"], 15000)
    return "%.0f connections a second" % s["completed_per_second"]


@case("weir load finds a wrong status and a wrong size")
def load_wrong(world):
    world.start_nginx()
    s = Load(world, "--connections-total", "20", "--path", "/files/none").end(exit_code=1)
    expect_equal("errors", s["errors"], {"wrong_status": 20})
    s = Load(world, "--connections-total", "20", "--expect-size", "11").end(exit_code=1)
    expect_equal("errors", s["errors"], {"wrong_size": 20})
    s = Load(world, "--connections-total", "20", "--path", "/files/none", "--expect-status",
             "404").end()
    expect_equal("answers", s["answers"], 20)


@case("weir load says which connects failed, and which answers were cut short")
def load_failures(world):
    s = Load(world, "--connections-total", "10", target=KERNEL + ":8099").end(exit_code=1)
    expect_equal("errors", s["errors"], {"connect_refused": 10})

    def cut(connection):
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
    Server(8098, cut)
    s = Load(world, "--connections-total", "10", target=KERNEL + ":8098").end(exit_code=1)
    expect_equal("errors", s["errors"], {"cut_short": 10})


@case("weir load finds the highest rate, writes CSV, and scripts/plot draws it")
def load_find_rate(world):
    world.start_nginx()
    table, picture = world.path("load.csv"), world.path("load.svg")
    load = Load(world, "--connections", "4", "--find-rate", "--rate", "50", "--step-duration",
                "300ms", "--settle", "100ms", "--max-latency", "500ms", "--csv", table, "--duration",
                "25")
    s = load.end(exit_code=None)
    expect(s["answers"] > 20, "only %d answers" % s["answers"])
    expect_equal("profile, loop and latency", (s["profile"], s["loop"], s["latency_from"]),
                 ("conformant", "open", "due"))
    steps, found = load.lines("step"), load.lines("found")[-1]
    expect(steps and steps[0]["rate"] == 50, "no first step of 50 requests/s")
    expect_equal("steps", found["steps"], len(steps))
    expect(any(step["outcome"] == "passed" for step in steps), lambda: json.dumps(steps))
    expect_equal("the highest that passed", found["rate"],
                 max(step["rate"] for step in steps if step["outcome"] == "passed"))
    with open(table, newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    expect(rows and all(None not in row.values() for row in rows), "no rows, or short ones")
    answers, before = 0.0, 0.0
    for row in rows:
        answers += float(row["answers_per_s"]) * (float(row["time_s"]) - before)
        before = float(row["time_s"])
    expect_about("answers in the rows", answers, s["answers"], 0.02)
    expect_equal("errors in the rows", sum(int(row["errors"]) for row in rows), 0)
    run(os.path.join(ROOT, "scripts/plot"), table, "-o", picture)
    with open(picture, encoding="utf-8") as f:
        drawn = f.read()
    for text in ("Latency, from the due time", "asked for: requests", "no errors"):
        expect(text in drawn, "the picture does not say: " + text)
    return "%.0f requests a second passed, %d steps" % (found["rate"], len(steps))


@case("weir load: the stripped profile sends no options but MSS, and every figure says so")
def load_stripped(world):
    options = []

    def answer(connection):  # tcpi_options: timestamps 1, SACK 2, window scale 4
        options.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[5] & 7)
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        connection.recv(4096)  # until the RST
    Server(8097, answer)
    for profile, wanted in (("stripped", {0}), ("conformant", {7})):
        del options[:]
        load = Load(world, "--profile", profile, "--connections-total", "50", "--close", "rst",
                    "--stats", target=KERNEL + ":8097")
        s = load.end()
        expect_no_errors(s)
        for line in [s] + load.lines("stats") + load.lines("ready"):
            expect_equal("profile", line["profile"], profile)
        expect_equal("connections", s["completed"], 50)
        expect_equal("options of %s on the wire" % profile, set(options), wanted)


@case("weir load: paths by weight")
def load_mix(world):
    world.start_nginx()
    s = Load(world, "--connections-total", "400", "--path", "/ 3", "--path", "/files/none").end(
        exit_code=1)
    expect_about("wrong status", s["errors"]["wrong_status"], 100, 0.4)
