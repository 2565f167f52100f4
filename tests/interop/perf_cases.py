"""That the benchmarks measure what they say; nothing here looks at how fast anything is."""
import json
import os
import re
import subprocess

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
