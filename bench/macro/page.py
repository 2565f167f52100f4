"""The page from the results: every table as Markdown. Reads what main.py wrote, and nothing else."""
import types

import budgets
import report
from report import number, table

PICTURES = [("rates", "Rates beside the kernel's"), ("cycles", "Where the server's cycles go"),
            ("growth", "What more connections, larger answers and loss cost"),
            ("latency", "One message to and fro")]


def view(data):
    """The results as report.py knows them."""
    servers = [types.SimpleNamespace(name=n, what=w) for n, w in data["servers"].items()]
    return types.SimpleNamespace(
        servers=servers, failures=data["failures"], memory=data["memory"],
        results={(r["server"], r["workload"]): r["rounds"] for r in data["results"]},
        probes={(r["server"], r["flood"]): r["rounds"] for r in data["port_alone"]},
        args=types.SimpleNamespace(command=data["command"], rounds=data["rounds"],
                                   seconds=data["seconds"]))


def figure(value, unit=""):
    if value is None:
        return "-"
    text = number(value, 2 if value < 100 and value != int(value) else 0)
    return text + (" " + unit if unit else "")


def partial(data):
    return " --only " in data["command"]


def budget_table(data):
    """All of them, of a part of the run those that were measured; None where there are none."""
    shown = [b for b in data["budgets"] if b["value"] is not None or not partial(data)]
    if not shown:
        return None
    lines = [[str(b["number"]), b["what"] + (" (%s)" % b["note"] if b["note"] else ""),
              ("≥ " if b["least"] else "≤ ") + figure(b["limit"], b["unit"]),
              figure(b["value"], b["unit"]), b["verdict"]] for b in shown]
    return table(["#", "what", "budget", "measured", ""], lines)


def own_line(data, name):
    m = lambda *path: budgets.own_median(data, name, *path)  # noqa: E731
    if m("rate") is None:
        return None
    stream = name.startswith("stream")
    scale = 1024 / 1e6 if stream else 1
    rates = [r["rate"] * scale for r in budgets.own(data, name)]
    busy = {side: budgets.median([100 * (r[side]["busy_cycles"] + r[side]["interrupted_cycles"]) /
                                  r[side]["span_cycles"] for r in budgets.own(data, name)
                                  if r[side]["span_cycles"]]) for side in ("server", "client")}
    frames = [m("server", "packets_%s_per_connection" % way) for way in ("in", "out")]
    kept = not name.startswith("cps")
    return [name, number(m("rate") * scale), report.share(report.spread(rates)),
            number(m("server", "cycles_per_unit", "total")), number(m("client", "cycles_per_unit", "total")),
            "-" if kept else "%.2f in, %.2f out" % tuple(frames),
            "%.0f %%" % busy["server"], "%.0f %%" % busy["client"]]


def own_tables(data):
    out = []
    for prefix, unit, per in (("cps", "connections/s", "connection"), ("rps", "requests/s", "request"),
                              ("stream", "MB/s", "KiB")):
        lines = [own_line(data, n) for n in data["own"] if n.startswith(prefix)]
        lines = [line for line in lines if line]
        if lines:
            out.append(table(["`weir bench`", unit, "±", "cycles/%s, server" % per, "client",
                              "frames/connection", "server busy", "client busy"], lines))
    stages = ("rx", "parse", "lookup", "tcp", "timers", "application", "tx", "total")
    lines = []
    for name in ("cps memif", "rps memif", "stream memif"):
        row = [budgets.own_median(data, name, "server", "cycles_per_unit", s) for s in stages]
        if row[-1] is not None:
            lines.append([name] + [number(v) for v in row])
    if lines:
        out.append(table(["server's cycles"] + list(stages), lines))
    return out


def growth_tables(data):
    out = []
    lines = [[number(n), number(c["opening_rate"]), number(c["cold"]["rate"]),
              number(c["hot"]["server_cycles"]), number(c["cold"]["server_cycles"]),
              "%.2f" % c["cold"]["server_ratio"], "%.2f" % c["again"]["server_ratio"]]
             for n, c in sorted(budgets.colds(data).items())]
    if lines:
        out.append("**Open connections**: messages of 64 octets over all of them in turn, beside the same "
                   "over %d (`weir bench cold`); cycles are the server's." % budgets.FEW)
        out.append(table(["open", "opened/s", "messages/s", "cycles, hot", "cycles, cold", "ratio",
                          "the hundred again"], lines))
    lines = []
    for name in data["single"]:
        r = budgets.single(data, name)
        if name.startswith("payload ") and r:
            lines.append([number(r["body"]), number(r["rate"]), number(r["rate"] * r["body"] / 1e6, 1),
                          number(r["server"]["cycles_per_unit"]["total"]),
                          number(r["client"]["cycles_per_unit"]["total"])])
    if lines:
        out.append("**Payload**: requests over 100 connections, memif.")
        out.append(table(["octets of an answer", "requests/s", "MB/s", "cycles/request, server", "client"],
                         lines))
    lines = [["%g %%" % p, "%d MiB" % (octets >> 20), number(octets / kernel / 1e6),
              number(octets / weir / 1e6), "%.2f" % (weir / kernel)]
             for p, (octets, kernel, weir) in budgets.losses(data).items()]
    if lines:
        out.append("**Loss**: one transfer from the kernel's epoll server through a bridge that drops at "
                   "random what it sends; received by the kernel (`curl`) or by Weir (`weir load`, "
                   "af_packet), from the first full frame at the interface to the last.")
        out.append(table(["lost", "octets", "kernel, MB/s", "Weir, MB/s", "Weir's time beside the kernel's"],
                         lines))
    both = budgets.own(data, "two cores")
    if both:
        value = lambda key: ", ".join(number(budgets.median([r[key][i] for r in both]))  # noqa: E731
                                      for i in range(both[0]["pairs"]))
        out.append("**Cores**: each with a server and its generator on a ring (`weir bench cps "
                   "--cores-each 2`); cycles of both sides.")
        out.append(table(["", "connections/s", "cycles/connection"], [
            ["each alone", value("alone_rate"), value("alone_cycles")],
            ["at once", value("together_rate"), value("together_cycles")],
            ["times one", "%.2f" % budgets.own_median(data, "two cores", "scale_in_rate"),
             "%.2f" % budgets.own_median(data, "two cores", "scale_in_cycles")]]))
    return out


def latency_table(data):
    lines = []

    def add(what, get):
        bare, tcp = ([get(kind, p) for p in ("p50", "p99", "p999")] for kind in ("bare", "tcp"))
        if tcp[0] is None:
            return
        show = lambda v: "-" if v is None else "%.2f" % (v / 1e3)  # noqa: E731
        ratio = ["-" if a is None or not b else "%.2f" % (a / b) for a, b in zip(tcp, bare)]
        lines.append([what] + [show(v) for v in bare] + [show(v) for v in tcp] + ratio)
    for port in ("ring", "memif", "vhost"):
        add("Weir to Weir, " + port, lambda kind, p, port=port: budgets.own_median(
            data, "latency " + port, kind + "_ns", p))
    for place, what in (("kernel", "kernel to kernel, veth"), ("af_packet", "kernel to Weir, af_packet"),
                        ("tap", "kernel to Weir, TAP")):
        add(what, lambda kind, p, place=place: budgets.ping(data, place, kind, p))
    return lines and table(["µs, 64 octets", "bare p50", "p99", "p99.9", "TCP p50", "p99", "p99.9",
                            "ratio p50", "p99", "p99.9"], lines)


def memory_lines(data):
    memory = budgets.single(data, "memory") or {}
    lines = [[kind.replace("_", "-"), number(m["count"]), number(m["octets"] / 2**20) + " MiB",
              "%.1f" % m["octets_each"], str(m["budget"])] for kind, m in memory.items()]
    kernel = budgets.single(data, "kernel memory")
    if kernel:
        lines.append(["idle, the kernel's", number(kernel["count"]), "-", number(kernel["octets_each"]), "-"])
    return lines and table(["connections at rest", "count", "in all", "octets each", "budget"], lines)


def time_wait_table(data):
    """What a connection costs where so many records stand as 2MSL allows."""
    tw = budgets.single(data, "time-wait")
    if not tw:
        return []
    phases = (("off", "no record"), ("first", "first second"), ("standing", "before any expires"),
              ("turnover", "as many expire as enter"))
    return ["**TIME-WAIT**: %s connections closed in each second of the stack's, 2MSL %d s, %s records; the "
            "stack's own cycles a connection, no port (`weir bench time-wait`)." % (
                number(tw["rate"]), tw["wait_seconds"], number(tw["records"])),
            table([""] + [what for _, what in phases] + ["octets a record"],
                  [["cycles"] + [number(tw[name]["total"]) for name, _ in phases] +
                   ["%.1f" % tw["octets_each"]]])]


def counted_table(data):
    said = budgets.single(data, "instructions")
    if not said:
        return None
    lines = []
    for name, n in said["figures"].items():
        base = said["baseline"].get(name)
        lines.append([name, number(n), number(base) if base else "-", "%.3f" % (n / base) if base else "-"])
    return table(["instructions, server's side", "now", "baseline", "ratio"], lines)


def micro_table(data):
    rows = budgets.single(data, "micro")
    if not rows:
        return None
    return table(["part", "cycles", "ns", "beside"], [
        ["%s %s" % (r["program"], r["name"]), number(r["cycles"], 1), number(r["ns"], 1),
         "%.2f × %s" % tuple(r["beside"]) if r.get("beside") else ""] for r in rows])


def sections(data):
    """(heading, blocks) in order; those without blocks are left out."""
    shown = report.blocks(view(data), data["rows"])
    latency, memory = latency_table(data), memory_lines(data)
    out = [
        ("Budgets", [t for t in [budget_table(data)] if t]),
        ("Beside the kernel", shown),
        ("Ports that are not the limit", own_tables(data)),
        ("Latency", [latency] if latency else []),
        ("Growth", growth_tables(data)),
        ("Memory", ([memory] if memory else []) + time_wait_table(data)),
        ("Instructions", [t for t in [counted_table(data)] if t]),
        ("Single parts", [t for t in [micro_table(data)] if t]),
    ]
    return [(h, b) for h, b in out if b]


def commands(data):
    lines = ["- %s: `%s`" % (name, " ".join(entry["command"]))
             for kind in ("own", "single") for name, entry in data[kind].items() if entry.get("command")]
    return ["<details><summary>Commands</summary>\n\n" + "\n".join(lines) + "\n\n</details>"] if lines else []


def on_the_wire(data):
    first = next((r for n in data["own"] for r in budgets.own(data, n) if n.startswith("cps")), None)
    if not first:
        return []
    return ["- On the wire: IPv4, timestamps, window scaling and SACK permitted in every handshake, "
            "checksums in software; closed first by the %s, TIME-WAIT %d s with a record for each; the "
            "kernel's client reuses ports in TIME-WAIT (`tcp_tw_reuse=1`)." % (
                first["closed_by"], first["time_wait_seconds"])]


def markdown(data, pictures=()):
    out = [report.header(view(data), data["facts"], data["rows"])] + on_the_wire(data)
    for heading, blocks in sections(data):
        out += ["## " + heading] + blocks
        for name, what, path in pictures:
            if (heading, name) in (("Beside the kernel", "rates"), ("Growth", "growth"),
                                   ("Ports that are not the limit", "cycles"), ("Latency", "latency")):
                out.append("![%s](%s)" % (what, path))
    return "\n\n".join(out + report.notes(view(data), data["rows"]) + commands(data))
