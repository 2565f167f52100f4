"""ECN (RFC 3168) against the kernel's, a router that marks between them."""
import cases
from cases import case, download, upload
from harness import expect, expect_equal

# Every 20th packet that may be marked.
MARK = "ip ecn ect0 numgen random mod 20 == 0 ip ecn set ce"


def kernel_ecn(value):
    with open("/proc/sys/net/ipv4/tcp_ecn", "w", encoding="ascii") as f:
        f.write(str(value))


def kernel_counter(name):
    """Of /proc/net/netstat: IpExt.InCEPkts, TcpExt.TCPDeliveredCE."""
    group, key = name.split(".")
    with open("/proc/net/netstat", encoding="ascii") as f:
        rows = [line.split() for line in f if line.startswith(group + ":")]
    return int(dict(zip(rows[0], rows[1]))[key])


def begin(world, ecn, kernel):
    kernel_ecn(kernel)
    world.start_both_nginx()
    return world.start_weir_behind_router(sets=["tcp.ecn=%d" % ecn])


#= RFC3168 6.1.1-a type=test
#= RFC3168 6.1.2-a type=test
#= RFC3168 6.1.3-a type=test
@case("5 MB (100 MB) each way, both ask for ECN, a router marks every 20th packet of either")
def ecn_marked(world):
    weir = begin(world, 1, 1)
    world.filter("from " + MARK, "to " + MARK)
    size = 100_000_000 if world.full else 5_000_000
    down, up = download(world, size), upload(world, size)
    marks, echoes = kernel_counter("IpExt.InCEPkts"), kernel_counter("TcpExt.TCPDeliveredCE")
    counters = weir.expect_at_rest()["counters"]
    expect(counters.get("ecn_opens", 0) >= 4, "ECN was not agreed on all legs: %r" % counters)
    expect(counters.get("in_ce_pkts", 0) > 0 and marks > 0, "the router marks nothing")
    expect(counters.get("ecn_cuts", 0) > 0, "Weir's windows were not cut")
    expect(echoes > 0, "the kernel heard of no mark")
    return "down %s, up %s; Weir: %d marks in, %d cuts, %d retransmissions; kernel: %d marks in, %d told" % (
        down, up, counters["in_ce_pkts"], counters["ecn_cuts"], counters.get("retrans_segs", 0), marks, echoes)


#= RFC3168 6.1.1-b type=test
@case("the kernel asks, Weir accepts by default and does not ask")
def ecn_accepted(world):
    weir = begin(world, 2, 1)
    world.filter("from " + MARK)
    download(world, 5_000_000)
    counters = weir.expect_at_rest()["counters"]
    expect(counters.get("ecn_cuts", 0) > 0, "Weir's window was not cut")
    expect(counters.get("in_ce_pkts", 0) == 0, "marks came though only the other way is marked")
    return "%d connections, %d cuts" % (counters["ecn_opens"], counters["ecn_cuts"])


#= RFC3168 6.1.1-d type=test
@case("Weir asks, the kernel declines; nothing is marked")
def ecn_declined(world):
    weir = begin(world, 1, 0)
    world.filter("from " + MARK, "to " + MARK)
    saw = download(world, 5_000_000)
    counters = weir.expect_at_rest()["counters"]
    expect_equal("opened with ECN", counters.get("ecn_opens", 0), 0)
    expect_equal("marks", (counters.get("in_ce_pkts", 0), kernel_counter("IpExt.InCEPkts")), (0, 0))
    return saw


#= RFC3168 6.1.1.1-a type=test
@case("a router swallows every SYN that asks for ECN: the second one does not")
def ecn_fallback(world):
    weir = begin(world, 1, 1)
    world.filter("from tcp flags & (syn|ecn|cwr) == (syn|ecn|cwr) drop")
    saw = download(world, 1_000_000)
    counters = weir.expect_at_rest()["counters"]
    expect(counters.get("ecn_fallbacks", 0) > 0, "no SYN was resent without")
    return saw


@case("every CE bit set on the way, whoever sent it: transfers end all the same")
def ecn_mangled(world):
    weir = begin(world, 1, 1)
    world.filter("from ip ecn set ce", "to ip ecn set ce")
    size = 200_000
    down, up = download(world, size), upload(world, size)
    counters = weir.expect_at_rest()["counters"]
    return "down %s, up %s, %d cuts" % (down, up, counters.get("ecn_cuts", 0))


assert cases.CASES
