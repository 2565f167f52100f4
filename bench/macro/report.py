"""Rounds to medians, ratios within a round, and what was the limit; then the tables."""
import statistics

from clients import WORKLOADS

BASE = "epoll"
BEGIN = "<!-- scripts/bench: begin -->"
END = "<!-- scripts/bench: end -->"
NEAR = 0.9        # a core that is busier than this has no time left
PORT_WORK = 0.5   # of Weir's time in the kernel, where it has nothing to do but the port's system calls
PORT_USED = 0.8   # of the frames a second that the port alone carries


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def spread(values):
    """Half of the way from the lowest to the highest, as a share of the median."""
    values = [v for v in values if v is not None]
    if len(values) < 2 or not statistics.median(values):
        return None
    return (max(values) - min(values)) / 2 / statistics.median(values)


def reach(values):
    return [min(values), max(values)] if values else None


def of(rows, key):
    return [r[key] if r else None for r in rows]


def rows_of(bench):
    """One dict for each server and workload, in order."""
    out = []
    for workload in WORKLOADS:
        base = bench.results.get((BASE, workload.name), [])
        for server in bench.servers:
            rounds = bench.results.get((server.name, workload.name))
            if rounds is None or not (bench.wanted("server", server.name) or server.name == BASE):
                continue
            out.append(row(bench, server, workload, rounds, base))
    return out


def row(bench, server, workload, rounds, base):
    def ratios(key):
        return [a[key] / b[key] for a, b in zip(rounds, base) if a and b and b[key]]
    busy = [r["busy"] if r else (None, None) for r in rounds]
    r = {
        "workload": workload.name, "unit": workload.unit, "server": server.name,
        "what": server.what, "link": server.link,
        "rate": median(of(rounds, "rate")), "spread": spread(of(rounds, "rate")),
        "ratio": median(ratios("rate")), "ratio_range": reach(ratios("rate")),
        "p50": median(of(rounds, "p50")), "p99": median(of(rounds, "p99")),
        "server_cycles": median(of(rounds, "server_cycles")),
        "process_cycles": median(of(rounds, "process_cycles")),
        "machine_cycles": median(of(rounds, "machine_cycles")),
        "cycles_ratio": median(ratios("server_cycles")),
        "cycles_ratio_range": reach(ratios("server_cycles")),
        "packets": median(of(rounds, "packets")),
        "packets_per_second": median(of(rounds, "packets_per_second")),
        "client_busy": median([b[0] for b in busy]), "server_busy": median([b[1] for b in busy]),
        "own_busy": median(of(rounds, "own_busy")),
        "in_kernel": median(of(rounds, "in_kernel")),
        "other_work": median(of(rounds, "other_work")),
        "errors": sum(x["errors"] for x in rounds if x),
        "port_use": None,
    }
    flood = workload.per == "KiB"
    alone = median(of(bench.probes.get((server.name, flood), []), "frames_per_second"))
    if alone and r["packets_per_second"]:
        r["port_use"] = r["packets_per_second"] / alone
    r["limit"] = limit_of(r)
    return r


def limit_of(r):
    """What had nothing left, by measurement."""
    if r["rate"] is None:
        return None
    out = []
    if r["port_use"] is not None and r["port_use"] >= PORT_USED:
        out.append("port")
    # A core that polls is never idle: what Weir says of itself tells.
    if (r["server_busy"] if r["own_busy"] is None else r["own_busy"]) >= NEAR:
        by_port = r["own_busy"] is not None and r["in_kernel"] >= PORT_WORK
        out.append("server core, by the port" if by_port else "server core")
    if r["client_busy"] >= NEAR:
        out.append("client core")
    return " and ".join(out) or "waiting"


def number(value, digits=0):
    return "-" if value is None else "{:,.{}f}".format(value, digits)


def time(value):
    if value is None:
        return "-"
    return "%.2f ms" % (value * 1e3) if value < 1 else "%.2f s" % value


def share(value):
    return "-" if value is None else "%.0f %%" % (value * 100)


def ratio(value, between=None):
    if value is None:
        return "-"
    if not between or between[0] == between[1]:
        return "%.2f" % value
    return "%.2f (%.2f to %.2f)" % (value, *between)


def core_share(r):
    own = "" if r["own_busy"] is None else " (%s)" % share(r["own_busy"])
    return share(r["server_busy"]) + own


def table(head, lines):
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head)] +
                     ["| " + " | ".join(line) + " |" for line in lines])


def workload_table(workload, rows):
    per = workload.per
    stream = per == "KiB"
    head = ["server", "over", workload.unit, "±", "ratio", "p50", "p99", "cycles/" + per,
            "ratio", "in kernel", "frames/" + per, "port share", "server core", "client core", "limit"]
    lines = []
    for r in rows:
        lines.append([r["what"], r["link"], number(r["rate"]), share(r["spread"]), ratio(r["ratio"], r["ratio_range"]),
                      time(r["p50"]), time(r["p99"]), number(r["server_cycles"]),
                      ratio(r["cycles_ratio"], r["cycles_ratio_range"]), share(r["in_kernel"]),
                      number(r["packets"], 2 if stream else 1),
                      share(r["port_use"]), core_share(r), share(r["client_busy"]),
                      r["limit"] or "not measured"])
    if stream:  # how long 64 MiB take says no more than the rate
        head, lines = head[:5] + head[7:], [line[:5] + line[7:] for line in lines]
    return table(head, lines)


def port_table(bench):
    lines = []
    for (name, flood), rounds in bench.probes.items():
        rounds = [r for r in rounds if r]
        what = next(s.what for s in bench.servers if s.name == name)
        lines.append([what, "1400 octets, from the server only" if flood else "64 octets, both ways",
                      number(median(of(rounds, "frames_per_second"))),
                      share(spread(of(rounds, "frames_per_second"))),
                      number(median(of(rounds, "server_cycles"))),
                      share(median([r["busy"][1] for r in rounds])),
                      share(median([r["busy"][0] for r in rounds]))])
    return table(["port", "UDP", "frames/s", "±", "cycles/frame", "server core", "client core"], lines)


def memory_table(bench, workload, rows):
    """The kernel over its loopback and Weir over a ring: both sides' cycles together."""
    lo = next((r for r in rows if r["workload"] == workload.name and r["server"] == "loopback"), None)
    mine = [r for r in bench.memory.get(workload.name, []) if r]
    theirs = bench.results.get(("loopback", workload.name), [])

    def quotient(ours, kernels):
        return median([a[ours] / b[kernels] for a, b in
                       zip(bench.memory.get(workload.name, []), theirs) if a and b])
    lines = []
    if lo and lo["rate"]:
        lines.append(["Linux, epoll server, by wrk", number(lo["rate"]), share(lo["spread"]), "1.00",
                      number(lo["machine_cycles"]), "1.00", "-", "-"])
    if mine:
        lines.append(["Weir, by `weir bench`", number(median(of(mine, "rate"))),
                      share(spread(of(mine, "rate"))), ratio(quotient("rate", "rate")),
                      number(median(of(mine, "both"))), ratio(quotient("both", "machine_cycles")),
                      number(median([m["server"]["total"] for m in mine])),
                      number(median([m["client"]["total"] for m in mine]))])
    per = "/" + workload.per
    return table(["both ends in one machine", workload.unit, "±", "ratio", "cycles%s, both sides" % per,
                  "ratio", "server's", "client's"], lines) if mine else None


def stage_table(bench):
    """Where the server's cycles go, from the first round that was measured."""
    stages, lines = [], []
    for workload in WORKLOADS:
        mine = [m for m in bench.memory.get(workload.name, []) if m]
        if mine:
            stages = [k for k in mine[0]["server"] if k != "total"]
            lines.append(["a " + workload.per] + [
                number(median([m["server"].get(k) for m in mine])) for k in stages])
    return table(["server's cycles for"] + stages, lines) if stages else None


def header(bench, facts, rows):
    out = ["%s: %s." % (k[0].upper() + k[1:], v) for k, v in facts.items()]
    other = median([r["other_work"] for r in rows])
    if other is not None:
        out.append("Other work on the machine meanwhile: at least %s of a core." % share(other))
    out.append("Command: `%s`: medians of %d rounds, %d s a figure; ± is half the way from the lowest "
               "round to the highest." % (bench.args.command, bench.args.rounds, bench.args.seconds))
    return "\n".join("- " + line for line in out)


def blocks(bench, rows):
    """Weir beside the kernel: text and tables, with an empty line between them."""
    out = []
    for workload in WORKLOADS:
        mine = [r for r in rows if r["workload"] == workload.name]
        if mine:
            out.append("**%s**: %s." % (workload.name.capitalize(), workload.what))
            out.append(workload_table(workload, mine))
    if bench.probes:
        out.append("**The port alone**, without a stack: an echo with 256 datagrams on their way, what "
                   "connections and requests are held against; and one datagram sent over and over, what "
                   "a stream is.")
        out.append(port_table(bench))
    memory = [t for t in (memory_table(bench, w, rows) for w in WORKLOADS) if t]
    if memory:
        out.append("**In memory**: no port. The kernel over its loopback, where it keeps segments of "
                   "64 KiB whole; Weir's generator and endpoint on a ring, frame by frame. Cycles: for "
                   "the kernel those of server, client and interrupts; for Weir those of the turns of "
                   "both loops that found work.")
        out += memory
        stages = stage_table(bench)
        if stages:
            out.append(stages)
    return out


def notes(bench, rows):
    lines = ["- %s, %s: the client counted %d errors." % (r["what"], r["workload"], r["errors"])
             for r in rows if r["errors"]]
    lines += ["- %s was not measured: %s." % (name, why.rstrip("."))
              for name, why in bench.failures.items()]
    return ["\n".join(lines)] if lines else []


def write_between_markers(path, text):
    with open(path, encoding="utf-8") as f:
        old = f.read()
    head, found, rest = old.partition(BEGIN)
    _, found_end, tail = rest.partition(END)
    if not found or not found_end:
        raise ValueError("%s: no '%s' ... '%s' in it" % (path, BEGIN, END))
    with open(path, "w", encoding="utf-8") as f:
        f.write(head + BEGIN + "\n\n" + text + "\n\n" + END + tail)
