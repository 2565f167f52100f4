"""IPv6 before the kernel's stack: neighbour discovery both ways, the tests of addresses, and every
program over it."""
import os
import signal
import socket

from cases import MIB, case, no_error, serve_pattern, try_connect
from harness import (IFACE, KERNEL, PATIENCE, WEIR_ADDRESS, Nginx, Weir, Wrong, curl, expect,
                     expect_equal, run, sha256_of, wait_for)
from load import Load as Clients
from load_cases import Load, expect_about, expect_no_errors

KERNEL6 = "2001:db8:99::1"
WEIR6 = "2001:db8:99::2"
VIP6 = "2001:db8:99::10"
ADDRESSES = 'port.addresses=["%s/24", "%s/64"]' % (WEIR_ADDRESS, WEIR6)


class Nginx6(Nginx):
    CONF = Nginx.CONF.replace("listen 0.0.0.0:%(port)d", "listen [::]:%(port)d ipv6only=off")


def start(world, command="serve", sets=()):
    """A Weir of both families on a TAP; the kernel is 2001:db8:99::1."""
    weir = world.start_weir(command, [ADDRESSES, *sets])
    run("ip", "-6", "addr", "add", KERNEL6 + "/64", "dev", IFACE, "nodad")
    return weir


def link_local(mac):
    """What Weir makes of its MAC address (RFC 4291 appendix A)."""
    o = [int(part, 16) for part in mac.split(":")]
    return "fe80::%x:%x:%x:%x" % ((o[0] ^ 2) << 8 | o[1], o[2] << 8 | 0xff, 0xfe00 | o[3],
                                  o[4] << 8 | o[5])


def wait_link_local():
    """The kernel's own link-local address is tested for a second or two before it is used."""
    def ready():
        text = run("ip", "-6", "addr", "show", "dev", IFACE, "scope", "link")
        return "inet6 fe80" in text and "tentative" not in text
    wait_for("the kernel's link-local address", ready)


def neighbour(address):
    return run("ip", "-6", "neigh", "show", address, "dev", IFACE)


def get_pattern(world, url, sizes):
    for n in sizes:
        out = world.path("body")
        expect_equal("%s/bytes/%d" % (url, n), curl("-g", "-o", out, "-w", "%{http_code}",
                                                    "%s/bytes/%d" % (url, n)), "200")
        with open(out, "rb") as f:
            expect(f.read() == serve_pattern(n), "%s/bytes/%d: not the pattern" % (url, n))


@case("IPv6: weir serve on [::] answers curl over both families, and many at once")
def ipv6_serve(world):
    weir = start(world, sets=['serve.listen=["[::]:80"]'])
    get_pattern(world, "http://[%s]" % WEIR6, (0, 1, 1440, 100_000, 3_000_000))
    get_pattern(world, "http://" + WEIR_ADDRESS, (0, 100_000))
    path = world.make_file("up", 2_000_000)
    code = curl("-g", "-T", path, "-o", "/dev/null", "-w", "%{http_code}", "http://[%s]/up" % WEIR6)
    expect(code in ("200", "201", "204"), "PUT: " + code)
    no_error(Clients(300, 30, address=WEIR6).run(), 300)
    expect(weir.ready["mac"] in neighbour(WEIR6), lambda: "the kernel's neighbour: " + neighbour(WEIR6))
    counters = weir.expect_at_rest()["counters"]
    expect_equal("malformed", counters.get("drop_nd_malformed", 0), 0)
    expect(counters["nd_adverts_out"] > 0 and counters["nd_solicits_out"] >= 2,
           "advertisements and solicitations are not counted")
    return "%d solicitations, %d advertisements" % (counters["nd_solicits_out"],
                                                    counters["nd_adverts_out"])


@case("IPv6: bindv6only keeps IPv4 off [::]")
def ipv6_only(world):
    start(world, sets=['serve.listen=["[::]:80"]', "tcp.bindv6only=true"])
    get_pattern(world, "http://[%s]" % WEIR6, (1000,))
    expect_equal("connect over IPv4", try_connect(80, WEIR_ADDRESS), "refused")
    return "refused over IPv4"


@case("IPv6: ping, small and large, to every address and to all nodes")
def ipv6_ping(world):
    weir = start(world, sets=['serve.listen=["[%s]:80"]' % VIP6])
    wait_link_local()
    local = link_local(weir.ready["mac"])
    for address in (WEIR6, VIP6, local + "%" + IFACE):
        for size in (0, 56, 57, 1452):
            text = run("ping", "-6", "-c", "5", "-i", "0.02", "-W", "20", "-s", str(size), address)
            expect(" 5 received" in text and "DUP" not in text and "wrong data" not in text,
                   lambda t=text, s=size: "size %d: %s" % (s, t.strip().splitlines()[-2:]))
    text = run("ping", "-6", "-c", "2", "-i", "0.2", "-W", "20", "ff02::1%" + IFACE, check=False)
    expect("from " + local in text, lambda: "nobody answers ff02::1: " + text)
    return "60 of 60, and ff02::1"


@case("IPv6: HTTP over link-local addresses")
def ipv6_link_local(world):
    weir = start(world, sets=['serve.listen=["[::]:80"]'])
    wait_link_local()
    local = link_local(weir.ready["mac"])
    get_pattern(world, "http://[%s%%25%s]" % (local, IFACE), (1, 100_000))
    return local


@case("IPv6: a closed port refuses, UDP is unreachable, an unknown protocol too")
def ipv6_refusals(world):
    weir = start(world, sets=['serve.listen=["[%s]:80"]' % WEIR6])
    expect_equal("port 81", try_connect_6(81), "refused")
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
        s.settimeout(PATIENCE)
        s.connect((WEIR6, 5353))
        s.send(b"anybody there?")
        try:
            s.recv(100)
            raise Wrong("an answer came")
        except ConnectionRefusedError:
            pass
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, 253) as s:  # for experiments, RFC 3692
        s.sendto(b"x" * 32, (WEIR6, 0))
    wait_for("a parameter problem", lambda: weir.counter("icmp_param_problems_out") == 1)
    return "refused, ECONNREFUSED, parameter problem"


def try_connect_6(port):
    try:
        socket.create_connection((WEIR6, port), PATIENCE).close()
        return "connected"
    except ConnectionRefusedError:
        return "refused"


@case("IPv6: weir lb between IPv6 clients and IPv6 backends, and IPv4 clients of the same")
def ipv6_lb(world):
    world.others.append(Nginx6(world, "one", 8081).process)
    weir = start(world, "lb", [
        'listener=[{name="six", address="[%s]:80", pool="web"},'
        ' {name="four", address="10.99.0.10:80", pool="web"}]' % VIP6,
        'pool.web.backends=["[%s]:8081"]' % KERNEL6])
    path = world.make_file("down", 8 * MIB)
    for host in ("[%s]" % VIP6, "10.99.0.10"):
        expect_equal("GET / of " + host, curl("-g", "http://%s/" % host), "backend one\n")
        out = world.path("got")
        curl("-g", "-o", out, "http://%s/files/down" % host)
        expect_equal("SHA-256 from " + host, sha256_of(out), sha256_of(path))
        os.remove(out)
    no_error(Clients(300, 30, address=VIP6).run(), 300)
    weir.expect_at_rest()
    return "8 MiB over each"


@case("IPv6: weir load towards an IPv6 target")
def ipv6_load(world):
    world.others.append(Nginx6(world, "one", 8081).process)
    load = Load(world, "--address", WEIR6 + "/64", "--rate", "300", "--duration", "3",
                "--expect-size", "12", target="[%s]:8081" % KERNEL6)
    run("ip", "-6", "addr", "add", KERNEL6 + "/64", "dev", IFACE, "nodad")
    s = load.end()
    expect_no_errors(s)
    expect_about("connections", s["completed"], 900)
    return "%d connections" % s["completed"]


#= RFC4862 5.4.2-c type=test
@case("addresses that another host has: said in a line each, and not used")
def address_conflict(world):
    far = world._second_namespace()  # pylint: disable=protected-access
    world._veth(IFACE, KERNEL, far, "weir1", None)  # pylint: disable=protected-access
    run("ip", "addr", "add", WEIR_ADDRESS + "/24", "dev", IFACE)
    run("ip", "-6", "addr", "add", WEIR6 + "/64", "dev", IFACE, "nodad")
    run("ip", "-6", "addr", "add", KERNEL6 + "/64", "dev", IFACE, "nodad")
    sets = [ADDRESSES, 'serve.listen=["[::]:80", "[%s]:81", "10.99.0.9:81"]' % VIP6,
            "port.arp_probes=3", "port.dad_transmits=1"]
    weir = world.weir = Weir(world, "serve", sets, device="af_packet:weir1", netns_of=far.pid)
    mac = run("ip", "-br", "link", "show", IFACE).split()[2]
    said = weir.complaints().splitlines()
    for address in (WEIR_ADDRESS, WEIR6):
        line = "weir: af_packet:weir1: %s: is the address of %s; not used" % (address, mac)
        expect(any(s.startswith(line) for s in said), lambda l=line: "no line '%s' in %s" % (l, said))
    expect_equal("lines", len(said), 2)
    # The addresses that are free serve on.
    for host in ("[%s]:81" % VIP6, "10.99.0.9:81"):
        expect_equal("GET of " + host, curl("-g", "-o", "/dev/null", "-w", "%{http_code}",
                                            "http://%s/" % host), "200")
    weir.process.send_signal(signal.SIGTERM)
    expect_equal("exit code", weir.process.wait(PATIENCE), 0)
    return "2 of 2"
