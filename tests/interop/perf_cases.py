"""That the benchmarks measure what they say; nothing here looks at how fast anything is."""
import json
import os
import re
import subprocess
import sys
import xml.dom.minidom

from cases import case
from harness import (KERNEL, ROOT, WEIR_ADDRESS, Wrong, connect, expect, expect_equal, read_all,
                     wait_for)

BUILD = os.environ["WEIR_BUILD"]
PORT = 8090

# What two servers are asked, each on a connection of its own; the last request ends it.
GET = b"GET %s HTTP/1.1\r\nHost: bench\r\n%s\r\n"
CLOSE = b"Connection: close\r\n"
ASKED = {
    "one answer": GET % (b"/", CLOSE),
    "no octet": GET % (b"/bytes/0", CLOSE),
    "one octet": GET % (b"/bytes/1", CLOSE),
    "beyond the pattern's end": GET % (b"/bytes/3000001", CLOSE),
    "HEAD": b"HEAD /bytes/77 HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n",
    "pipelined": GET % (b"/bytes/10", b"") + GET % (b"/", b"X-Some: thing\r\n") +
                 GET % (b"/bytes/100000", b"") + GET % (b"/bytes/5", CLOSE),
    "close in capitals": GET % (b"/bytes/2", b"CONNECTION:   CLOSE\r\n"),
    "HTTP/1.0": b"GET /bytes/20 HTTP/1.0\r\n\r\n",
    "HTTP/1.0 kept alive": b"GET /bytes/20 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
                           b"GET / HTTP/1.0\r\n\r\n",
}


def ask(address, port, text):
    s = connect(address, port)
    with s:
        s.sendall(text)
        return read_all(s)


def without_server(answers):
    return re.sub(rb"\r\nServer: \w{4}\r\n", b"\r\nServer: \r\n", answers)


@case("the epoll server of the benchmarks answers as weir serve does")
def epoll_server_answers(world):
    program = os.path.join(BUILD, "bench/macro/epoll_server")
    expect(os.path.exists(program), "no %s: build it first" % program)
    world.start_weir("serve")
    path = world.path("epoll.out")
    with open(path, "wb") as out:
        world.others.append(subprocess.Popen([program, "%s:%d" % (KERNEL, PORT)], stdout=out,
                                             stdin=subprocess.DEVNULL))
    wait_for("epoll_server listens", lambda: os.path.getsize(path) > 0)
    octets = 0
    for what, text in ASKED.items():
        theirs = ask(KERNEL, PORT, text)
        ours = ask(WEIR_ADDRESS, 80, text)
        expect(b"\r\nServer: " in ours, "%s: no answer" % what)
        if without_server(theirs) != without_server(ours):
            raise Wrong("%s: weir says %r ..., epoll_server %r ..." % (
                what, ours[:160], theirs[:160]))
        octets += len(ours)
    # In pieces, as a network may bring it.
    s = connect(KERNEL, PORT)
    with s:
        for at in range(len(ASKED["pipelined"])):
            s.sendall(ASKED["pipelined"][at:at + 1])
        expect_equal("answers to single octets", read_all(s), ask(KERNEL, PORT, ASKED["pipelined"]))
    return "%d connections, %d octets alike" % (len(ASKED), octets)


def results(rate, cycles):
    """What scripts/bench --json writes, of one round of one command."""
    side = {"cycles_per_unit": dict.fromkeys(
        ("rx", "parse", "lookup", "tcp", "timers", "application", "tx"), cycles / 7), "busy_cycles": 9,
            "interrupted_cycles": 0, "span_cycles": 10, "packets_in_per_connection": 3,
            "packets_out_per_connection": 3}
    side["cycles_per_unit"]["total"] = cycles
    said = {"rate": rate, "server": side, "client": side, "closed_by": "server", "time_wait_seconds": 60}
    return {"facts": {"processor": "P", "commit": "C", "date": "D"}, "command": "scripts/bench",
            "took_seconds": 60, "seconds": 1, "rounds": 1, "servers": {"epoll": "Linux"},
            "results": [{"server": "epoll", "workload": "connections",
                         "rounds": [{"rate": 20000.0, "errors": 0}]}],
            "port_alone": [], "memory": {}, "failures": {"x": "a reason"}, "rows": [],
            "own": {name: {"command": ["weir", "bench", "cps"], "rounds": [said]}
                    for name in ("cps memif", "cps memif 1 KiB")},
            "single": {}, "latency": {}, "loss": [
                {"percent": 1, "octets": 1 << 30, "kernel": 4.0, "weir": 5.0}]}


def read_only(*args):
    """scripts/bench without a run, as the page and the comparison are."""
    return subprocess.run([os.path.join(ROOT, "scripts/bench"), *args], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30, check=False,
                          text=True)


@case("scripts/bench: budgets, pictures and the comparison of two runs, from their JSON")
def bench_pages(world):
    sys.path.insert(0, os.path.join(ROOT, "bench/macro"))
    sys.dont_write_bytecode = True
    import budgets  # pylint: disable=import-outside-toplevel,import-error
    import page  # pylint: disable=import-outside-toplevel,import-error
    paths = []
    for name, rate, cycles in (("a", 1.2e6, 2000.0), ("b", 0.9e6, 2500.0)):
        data = results(rate, cycles)
        data["budgets"] = [r.as_dict() for r in budgets.rows(data)]
        paths.append(world.path(name + ".json"))
        with open(paths[-1], "w", encoding="utf-8") as f:
            json.dump(data, f)
        verdicts = {b["what"]: b["verdict"] for b in data["budgets"]}
        good = "met" if name == "a" else "not met"
        expect_equal("rate", verdicts["connections/s, memif, 128 open"], good)
        expect_equal("cycles", verdicts["cycles a connection, server"], good)
        expect_equal("beside the kernel", verdicts["connections/s, times the kernel's"],
                     "met" if name == "a" else "not met")  # 60 and 45 times
        expect_equal("loss", verdicts["receive with 1 % loss, time beside the kernel's"], "not met")
        expect_equal("stripped", verdicts["connections/s, stripped"], "not measured")
        text = page.markdown(data)
        for part in ("| 1 | connections/s, memif, 128 open | ≥ 1,000,000 |", "x was not measured: a reason.",
                     "1024 MiB", "`weir bench cps`"):
            expect(part in text, "no %r in the page:\n%s" % (part, text))
    done = read_only("--compare", *paths)
    expect_equal("exit code", (done.returncode, done.stderr), (0, ""))
    expect("1 of 2 ratios agree within 20 %" in done.stdout and "60.00 and 45.00" in done.stdout,
           done.stdout)
    expect("2 of 2" in read_only("--compare", paths[0], paths[0]).stdout, "a run differs from itself")
    with open(paths[1], "w", encoding="utf-8") as f:
        f.write("{}")
    expect_equal("of a file of another kind", read_only("--compare", *paths).returncode, 2)
    done = subprocess.run([os.path.join(ROOT, "scripts/plot"), paths[0], "-o", world.path("drawn")],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30, check=False)
    expect_equal("scripts/plot", (done.returncode, done.stderr), (0, b""))
    drawn = sorted(os.listdir(world.path("drawn")))
    expect_equal("pictures", drawn, ["cycles.svg", "growth.svg", "latency.svg", "rates.svg"])
    for name in drawn:
        xml.dom.minidom.parse(os.path.join(world.path("drawn"), name))
    return "%d pictures" % len(drawn)


@case("scripts/bench, one short round: a table that can be read")
def bench_smoke(world):
    path = world.path("bench.json")
    done = subprocess.run(
        [os.path.join(ROOT, "scripts/bench"), "--quick", "--rounds", "1", "--only", "af_packet",
         "--only", "connections-wrk", "--json", path],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
        env=dict(os.environ, WEIR_SKIP_SETUP="1"), check=False)
    text = done.stdout.decode(errors="replace")
    expect_equal("scripts/bench's exit code", (done.returncode, text[-500:] if done.returncode else ""),
                 (0, ""))
    lines = [[cell.strip() for cell in line.strip("|").split("|")]
             for line in text.splitlines() if line.startswith("|")]
    heads = [at for at, cells in enumerate(lines) if set(cells[0]) == {"-"}]
    expect_equal("tables", len(heads), 2)
    head, rows = lines[heads[0] - 1], lines[heads[0] + 1:heads[1] - 1]
    expect_equal("servers", [r[0] for r in rows], ["Linux, epoll server", "Weir, af_packet"])
    for r in rows:
        row = dict(zip(head, r))
        expect_equal("columns of " + r[0], len(r), len(head))
        expect(float(row["connections/s"].replace(",", "")) > 0, "no rate: %s" % row)
        expect(float(row["cycles/connection"].replace(",", "")) > 0, "no cycles: %s" % row)
        expect(row["limit"] not in ("", "not measured"), "no limit: %s" % row)
    with open(path, encoding="utf-8") as f:
        result = json.load(f)
    expect_equal("failures", result["failures"], {})
    expect_equal("servers", {r["server"] for r in result["results"]}, {"epoll", "af_packet"})
    for r in result["results"]:
        expect_equal("errors of " + r["server"], r["rounds"][0]["errors"], 0)
    return "%d servers, ports alone: %d figures" % (len(rows), len(result["port_alone"]))
