"""Cases of listeners that read HTTP: config/http.toml with config/rules.toml before three nginx."""
import os
import re
import socket
import subprocess
import time

from cases import MIB, case
from harness import (IFACE, KERNEL, PATIENCE, URL, VIP, NGINX_CONF, Nginx, Server, connect, curl,
                     ended, expect, expect_equal, read_all, run, sha256_of, wait_for)

PATHS = (["/a/%02d" % i for i in range(1, 8)] + ["/b/%02d" % i for i in range(8, 15)] +
         ["/c/%02d" % i for i in range(15, 21)])
HOSTS = ["a.example", "b.example", "c.example"]
# No body rule holds anything back unless a case wants it; connections to backends go soon.
SETS = ['lb.idle_backend_timeout="1s"', 'lb.rules_cache="off"']

ECHO = 'location / { default_type text/plain; add_header X-Backend %(name)s always; return 200 ' \
       '"backend %(name)s $request_uri $host tag=$http_weir_tag via=$http_x_forwarded_for\\n"; }'


class EchoNginx(Nginx):
    """Answers its own name, the target and the host that it saw."""
    CONF = re.sub(r"location = / \{.*?\n", lambda _: ECHO + "\n", NGINX_CONF)


def backend_for(path, host):
    """The naive reading of config/rules.toml."""
    if path in PATHS:
        return path[1]
    return host[0] if host in HOSTS else "a"


def start(world, pools="abc", sets=(), mtu=None):
    for name in pools:
        server = EchoNginx(world, name, 8081 + "abc".index(name))
        world.others.append(server.process)
    weir = world.start_weir(config="http", sets=[*SETS, *sets])
    if mtu:
        run("ip", "route", "replace", "10.99.0.0/24", "dev", IFACE, "src", KERNEL, "mtu", "lock",
            str(mtu))
    return weir


def get(path, host="h", extra=""):
    return ("GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (path, host, extra)).encode()


def read_response(f, head=False):
    """(status, head, body) of the next response on a binary file, or None at its end."""
    line = f.readline()
    if not line:
        return None
    status, lines = int(line.split()[1]), [line]
    while (line := f.readline()) != b"\r\n":
        expect(line.endswith(b"\r\n"), lambda: "half a head: %r" % lines)
        lines.append(line)
    text = b"".join(lines).decode("latin-1")
    if head or status < 200 or status in (204, 304):
        return status, text, b""
    length = re.search(r"(?im)^content-length: *(\d+)", text)
    if length:
        return status, text, f.read(int(length[1]))
    if "chunked" not in text:
        return status, text, f.read()
    body = b""
    while size := int(f.readline().split(b";")[0], 16):
        body += f.read(size)
        f.readline()
    while f.readline() != b"\r\n":
        pass
    return status, text, body


def exchange(text, n=None, address=VIP):
    """Sends `text` on one connection; the first n responses, or all until it is closed."""
    with connect(address) as s, s.makefile("rb") as f:
        s.sendall(text)
        out = []
        while n is None or len(out) < n:
            response = read_response(f)
            if response is None:
                break
            out.append(response)
        return out


def statuses(responses):
    return [r[0] for r in responses]


def check_routes(responses, wanted):
    for (status, _, body), (path, host) in zip(responses, wanted, strict=True):
        expect_equal("status of %s" % path, status, 200)
        words = body.decode().split()
        expect_equal("route of %s %s" % (path, host), words[1:4],
                     [backend_for(path, host), path, host])


# -- Routing -----------------------------------------------------------------------------------


def all_routes(world):
    wanted = [(p, "h") for p in PATHS] + [("/%d?q=1" % i, h) for i, h in enumerate(HOSTS)] + [
        ("/", "h")]
    # curl, one connection, one request after the other.
    args = []
    for path, host in wanted:
        args += ["--next"] * bool(args) + ["-sS", "-H", "Host: " + host, URL + path]
    lines = curl(*args).splitlines()
    check_routes([(200, "", line.encode()) for line in lines], wanted)
    # Pipelined, twice over, in one write.
    check_routes(exchange(b"".join(get(p, h) for p, h in wanted * 2), len(wanted) * 2), wanted * 2)
    expect_equal("deny", statuses(exchange(get("/admin/x") + get("/a/01", extra="User-Agent: BadBot/1\r\n")
                                           + get("/a/01"), 3)), [403, 403, 200])
    tagged = exchange(get("/b/08", extra="Cookie: x=1; beta=1\r\nWeir-Tag: forged\r\n"), 1)[0][2]
    expect(b"tag=beta via=" + KERNEL.encode() in tagged, lambda: "tagged: %r" % tagged)
    return len(wanted) * 3 + 3


@case("three hosts and twenty paths, kept alive and pipelined, to three nginx; deny and tag")
def http_routes(world):
    weir = start(world)
    n = all_routes(world)
    app = weir.expect_at_rest()["app"]
    expect_equal("denied", app["http_denied"], 2)
    expect(app["http_backend_reused"] > app["http_backend_fresh"], "connections were not reused")
    return "%d requests on %d connections to backends" % (n, app["http_backend_fresh"])


@case("the same in segments of at most 88 octets")
def http_routes_mss_88(world):
    weir = start(world, mtu=128, sets=["port.mtu=576"])
    before = weir.counter("in_segs")
    n = all_routes(world)
    weir.expect_at_rest()
    segments = weir.counter("in_segs") - before
    expect(segments > 2 * n, "%d segments for %d requests: they were not small" % (segments, n))
    return "%d requests in %d segments" % (n, segments)


LUA = """
local paths, hosts, n, threads = {%s}, {%s}, 0, {}
checked, wrong = 0, 0
function setup(thread) table.insert(threads, thread) end
function request()
  n = n + 1
  local path, host = paths[n %% #paths + 1], hosts[n %% #hosts + 1]
  return wrk.format("GET", path, {Host = host})
end
function response(status, headers, body)
  checked = checked + 1
  local name, path, host = body:match("^backend (%%S+) (%%S+) (%%S+)")
  local wanted = path and (path:match("^/([abc])/%%d%%d$") or host:sub(1, 1))
  if status ~= 200 or name == nil or name ~= wanted then wrong = wrong + 1 end
end
function done()
  for _, t in ipairs(threads) do print("checked", t:get("checked"), "wrong", t:get("wrong")) end
end
"""


@case("wrk, 64 connections, every answer from the right pool, 3 s (100,000 requests)")
def http_wrk(world):
    weir = start(world)
    script = world.path("route.lua")
    with open(script, "w", encoding="utf-8") as f:
        f.write(LUA % (", ".join('"%s"' % p for p in PATHS + ["/x", "/y?z"]),
                       ", ".join('"%s"' % h for h in HOSTS)))
    checked, began = 0, time.monotonic()
    while checked < (100_000 if world.full else 1):
        text = run("wrk", "-t", "1", "-c", "64", "-d", "%ds" % (10 if world.full else 3),
                   "--timeout", "30s", "-s", script, URL + "/", limit=200)
        expect("Socket errors" not in text and "Non-2xx" not in text, text)
        found = re.search(r"checked\s+(\d+)\s+wrong\s+(\d+)", text)
        expect_equal("wrong answers", int(found[2]), 0)
        checked += int(found[1])
        expect(checked > 0, "no request was answered")
    rate = checked / (time.monotonic() - began)
    app = weir.expect_at_rest()["app"]
    for name in ("http_answers_502", "http_answers_503", "http_cut", "no_backend"):
        expect_equal(name, app[name], 0)
    return "%d requests, %d a second, none wrong" % (checked, rate)


@case("rules and reuse on two cores, which share no connection")
def http_two_cores(world):
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        return "not done: there is one core"
    weir = start(world, sets=["eal.cores=%s" % cores])
    for _ in range(4):
        n = all_routes(world)
    weir.expect_at_rest()
    return "%d requests" % (4 * n)


# -- Bodies ------------------------------------------------------------------------------------


@case("8 MiB up and down, length-framed and chunked, with and without 100-continue, SHA-equal")
def http_bodies(world):
    weir = start(world, "a")
    path = world.path("up")
    os.rename(world.make_file("up.tmp", 8 * MIB), path)
    wanted = sha256_of(path)
    arrived = os.path.join(world.files, "arrived")
    for fields in (["Expect:"], ["Expect: 100-continue"], ["Expect:", "Transfer-Encoding: chunked"],
                   ["Expect: 100-continue", "Transfer-Encoding: chunked"]):
        if os.path.exists(arrived):
            os.remove(arrived)
        headers = [x for field in fields for x in ("-H", field)]
        code = curl("-T", path, *headers, "-o", "/dev/null", "-w", "%{http_code}",
                    URL + "/files/arrived")
        expect_equal("PUT, %s" % fields, code, "201")
        expect_equal("SHA-256 up, %s" % fields, sha256_of(arrived), wanted)
        for option in ("--http1.1", "--http1.0"):
            back = world.path("back")
            curl(option, "-o", back, URL + "/files/arrived")
            expect_equal("SHA-256 down, %s" % option, sha256_of(back), wanted)
    expect_equal("a file that is not there", curl("-o", "/dev/null", "-w", "%{http_code}",
                                                  URL + "/files/none"), "404")
    app = weir.expect_at_rest()["app"]
    expect_equal("held for the rule on bodies", app["http_held"], 4)
    return "%d MiB each way" % (app["bytes_to_backend"] // MIB)


@case("a chunked response of 4 MB with trailers, to HTTP/1.1 and to HTTP/1.0")
def http_chunked_response(world):
    body = os.urandom(4_000_000)

    def serve(connection):
        f = connection.makefile("rb")
        while f.readline().strip():
            while f.readline() != b"\r\n":
                pass
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for at in range(0, len(body), 50_000):
                piece = body[at:at + 50_000]
                connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            connection.sendall(b"0\r\nX-Sum: 1\r\n\r\n")
    Server(8081, serve)
    weir = start(world, "")
    for option in ("--http1.1", "--http1.0"):
        back = world.path("back")
        curl(option, "-o", back, URL + "/x", "-o", "/dev/null", URL + "/y")
        with open(back, "rb") as f:
            expect(f.read() == body, "%s: the body is another" % option)
    weir.expect_at_rest()
    return "as it was sent"


@case("an upgrade becomes a tunnel, 2 MB echoed")
def http_upgrade(world):
    def serve(connection):
        f = connection.makefile("rb")
        head = b""
        while (line := f.readline()) not in (b"\r\n", b""):
            head += line.lower()
        if b"upgrade: websocket" not in head:
            connection.sendall(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n")
            return
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                           b"Upgrade: websocket\r\n\r\n")
        while block := f.read1(65536):
            connection.sendall(block)
    Server(8081, serve)
    weir = start(world, "")
    data = os.urandom(2_000_000)
    with connect() as s, s.makefile("rb") as f:
        s.sendall(get("/ws", extra="Connection: Upgrade\r\nUpgrade: websocket\r\n"))
        expect_equal("status", read_response(f)[0], 101)
        got = b""
        for at in range(0, len(data), 100_000):
            s.sendall(data[at:at + 100_000])
            got += f.read(100_000)
        expect(got == data, "the echo is another")
        s.shutdown(socket.SHUT_WR)
        expect_equal("behind the half-close", f.read(), b"")
    expect_equal("h2c is not asked of a backend", statuses(exchange(
        get("/ws", extra="Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n"),
        1)), [400])
    app = weir.expect_at_rest()["app"]
    expect_equal("upgrades", app["http_upgrades"], 1)
    return "%d octets" % len(data)


# -- Answers of its own ------------------------------------------------------------------------


@case("400 for every smuggling form, and no backend hears of it")
def http_smuggling(world):
    heard = []

    def serve(connection):
        while block := connection.recv(65536):
            heard.append(block)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    Server(8081, serve)
    weir = start(world, "")
    te, cl = b"Transfer-Encoding: chunked\r\n", b"Content-Length: 4\r\n"
    forms = [cl + te, te + cl, cl + cl, cl + b"Content-Length: 5\r\n", b"Content-Length: +4\r\n",
             b"Content-Length: 4, 4\r\n", b"Content-Length: 0x4\r\n", b"Content-Length : 4\r\n",
             b"Transfer-Encoding : chunked\r\n", b"Transfer-Encoding: xchunked\r\n",
             b"Transfer-Encoding: chunked, identity\r\n", te + te, b"Transfer-Encoding:\x0bchunked\r\n",
             b"X: y\r\n " + te, b"X: y\n" + te, b"X: y\r" + te, b"X\0: y\r\n", b"X: \0\r\n",
             b"Host: other\r\n", b" " + te, b"\x0c" + te]
    for form in forms:
        text = b"POST / HTTP/1.1\r\nHost: h\r\n" + form + b"\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"
        expect_equal("%r" % form, statuses(exchange(text)), [400])
    for text in (b"GET / HTTP/1.1\nHost: h\n\n", b"GET / HTTP/1.1\r\n\r\n", b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
                 b"GET http://other/ HTTP/1.1\r\nHost: h\r\n\r\n"):
        expect_equal("%r" % text, statuses(exchange(text)), [400])
    expect_equal("what the backend heard", heard, [])
    for chunk in (b"4 \r\nabcd\r\n", b"0x4\r\nabcd\r\n", b"4\nabcd\r\n", b"4\r\nabcd\n", b"4\r\nabcdef\r\n",
                  b"0\r\nContent-Length: 3\r\n\r\n", b"fffffffffffffffff\r\n"):
        text = b"POST / HTTP/1.1\r\nHost: h\r\n" + te + b"\r\n" + chunk + b"GET /smuggled HTTP/1.1\r\n\r\n"
        expect_equal("%r" % chunk, statuses(exchange(text)), [400])
    expect_equal("what the backend heard", heard, [])
    expect_equal("an ordinary one", statuses(exchange(get("/"), 1)), [200])
    app = weir.expect_at_rest()["app"]
    expect(app["http_answers_400"] >= len(forms) + 4, "400s are not counted")
    return "%d forms" % (len(forms) + 11)


@case("404, 408, 413, 431, 501, 502, 503, 504, 505")
def http_own_errors(world):
    def serve(connection):
        f = connection.makefile("rb")
        path = f.readline().split()[1]
        while f.readline() not in (b"\r\n", b""):
            pass
        if path == b"/b/08":
            return "closed"  # not a word
        if path == b"/b/09":
            connection.sendall(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n")
        connection.recv(1)
        return "waited"
    Server(8082, serve)
    weir = start(world, "a", sets=['lb.response_timeout="500ms"', 'lb.request_timeout="500ms"'])
    expect_equal("404", statuses(exchange(get("/nothing") + get("/files/none"), 2)), [200, 404])
    expect_equal("408", statuses(exchange(b"GET / HTTP/1.1\r\nHo")), [408])
    expect_equal("413", statuses(exchange(
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n")), [413])
    expect_equal("431", statuses(exchange(get("/", extra="X: %s\r\n" % ("x" * 20_000)))), [431])
    expect_equal("501", statuses(exchange(b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n")), [501])
    expect_equal("505", statuses(exchange(b"GET / HTTP/2.0\r\nHost: h\r\n\r\n")), [505])
    expect_equal("502", statuses(exchange(get("/b/08") + get("/b/09"), 2)), [502, 502])
    expect_equal("503", statuses(exchange(get("/c/15"), 1)), [503])
    expect_equal("504", statuses(exchange(get("/b/10"), 1)), [504])
    app = weir.expect_at_rest()["app"]
    for status, n in ((408, 1), (413, 1), (431, 1), (501, 1), (502, 2), (503, 1), (504, 1),
                      (505, 1)):
        expect_equal("answers of %d" % status, app["http_answers_%d" % status], n)
    return "each is counted"


@case("a kept-alive client sees a restarted nginx as nothing; SIGTERM finishes what is under way")
def http_drain(world):
    weir = start(world, "a", sets=['lb.idle_backend_timeout="60s"'])
    with connect() as s, s.makefile("rb") as f:
        s.sendall(get("/1"))
        expect_equal("first", read_response(f)[0], 200)
        world.others[-1].kill()
        world.others[-1].wait()
        world.others.append(EchoNginx(world, "a", 8081).process)
        s.sendall(get("/2"))
        expect_equal("behind the restart", read_response(f)[0], 200)
        s.sendall(b"PUT /files/late HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc")
        wait_for("the request is under way", lambda: weir.summary()["app"]["http_requests"] == 3)
        idle = connect()
        idle.sendall(get("/3"))
        wait_for("the idle client is answered", lambda: idle.recv(4096))
        weir.process.terminate()
        wait_for("the idle client is let go", lambda: ended(idle) == "closed", PATIENCE)
        s.sendall(b"def")
        status, head, _ = read_response(f)
        expect_equal("under SIGTERM", status, 201)
        expect("Connection: close" in head, head)
        expect_equal("behind it", f.read(), b"")
    idle.close()
    expect_equal("exit", weir.wait_end()["app"]["sessions"], 0)
    return "as it should be"
