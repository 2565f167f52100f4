"""What was asked of Weir beside what was measured: numbers out of the results, nothing else."""
import statistics

KERNEL = "epoll"
FEW = 100               # connections of the hot case
MOST = 10_000_000       # of the cold one that the budget is about


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def own(data, name):
    """The answers of a `weir bench`, one a round; [] where there are none."""
    return [r for r in data.get("own", {}).get(name, {}).get("rounds", []) if r]


def own_median(data, name, *path):
    def dig(r):
        for key in path:
            r = r.get(key) if isinstance(r, dict) else None
        return r
    return median([dig(r) for r in own(data, name)])


def kernel_rate(data, workload):
    return median([r["rate"] if r and not r["errors"] else None
                   for entry in data.get("results", [])
                   if (entry["server"], entry["workload"]) == (KERNEL, workload)
                   for r in entry["rounds"]])


def times_kernel(data, name, workload):
    """Rate beside the kernel's server over veth with answers of the same size, each round's by itself."""
    kernel = [r["rate"] if r and not r["errors"] else None for entry in data.get("results", [])
              if (entry["server"], entry["workload"]) == (KERNEL, workload) for r in entry["rounds"]]
    mine = data.get("own", {}).get(name, {}).get("rounds", [])
    return median([a["rate"] / b for a, b in zip(mine, kernel) if a and b])


def colds(data):
    """Open connections -> the answer of `weir bench cold`."""
    return {entry["result"]["connections"]: entry["result"]
            for name, entry in data.get("single", {}).items()
            if name.startswith("cold ") and entry.get("result")}


def ping(data, place, kind, point):
    return median([r[kind][point] if r and r[kind] else None
                   for r in data.get("latency", {}).get(place, [])])


def ping_ratio(data, place, point):
    return median([r["tcp"][point] / r["bare"][point] if r and r["bare"] else None
                   for r in data.get("latency", {}).get(place, [])])


def losses(data):
    """Percent -> (octets, seconds of the kernel, seconds of Weir), medians."""
    out = {}
    for r in data.get("loss", []):
        out.setdefault(r["percent"], []).append(r)
    return {p: (rows[0]["octets"], median([r["kernel"] for r in rows]),
                median([r["weir"] for r in rows])) for p, rows in sorted(out.items())}


def single(data, name):
    return data.get("single", {}).get(name, {}).get("result")


class Row:
    """One budget. `least`: the value must be at least the limit; else at most."""

    def __init__(self, number, what, value, limit, least=False, unit="", note=""):
        self.number, self.what, self.value, self.limit = number, what, value, limit
        self.least, self.unit, self.note = least, unit, note

    def verdict(self):
        if self.value is None:
            return "not measured"
        met = self.value >= self.limit if self.least else self.value <= self.limit
        return "met" if met else "not met"

    def as_dict(self):
        return {"number": self.number, "what": self.what, "value": self.value, "limit": self.limit,
                "least": self.least, "unit": self.unit, "note": self.note, "verdict": self.verdict()}


def rows(data):
    def server(name):
        return own_median(data, name, "server", "cycles_per_unit", "total")
    out = [
        Row(1, "connections/s, memif, 128 open", own_median(data, "cps memif", "rate"), 1e6, True),
        Row(1, "cycles a connection, server", server("cps memif"), 2_400),
        Row(1, "connections/s, times the kernel's", times_kernel(data, "cps memif 1 KiB", "connections"), 50,
            True, "×"),
        Row(2, "requests/s, memif, 100 connections", own_median(data, "rps memif", "rate"), 3.5e6, True),
        Row(2, "cycles a request, server", server("rps memif"), 700),
        Row(2, "requests/s, times the kernel's", times_kernel(data, "rps memif 1 KiB", "requests"), 25, True,
            "×"),
    ]
    cold = colds(data)
    most = max(cold, default=None)
    out.append(Row(3, "cold beside hot, cycles a request", cold[most]["cold"]["server_ratio"] if cold else
                   None, 2.5, unit="×", note="" if most in (None, MOST) else
                   "with %s open, not %s" % (format(most, ","), format(MOST, ","))))
    out.append(Row(4, "connections/s, stripped", own_median(data, "cps stripped", "rate"), 2e6, True))
    memory = single(data, "memory") or {}
    for kind, limit in (("idle", 256), ("half_open", 64), ("time_wait", 32)):
        m = memory.get(kind)
        out.append(Row(5, "octets, " + kind.replace("_", "-"), m and m["octets_each"], limit * 1.25, note="" if
                       not m or m["count"] == m.get("wanted") and m["count"] >= 1e6 else
                       "with %s of them" % format(m["count"], ",")))
    tw = single(data, "time-wait")
    less = tw and tw["records"] < 60e6 and "with %s records" % format(tw["records"], ",")
    out.append(Row(6, "closes/s kept up, full 2MSL, the stack's own cycles",
                   tw and tw["ticks_per_second"] / tw["turnover"]["total"], 1e6, True, note=less or ""))
    out.append(Row(6, "a connection, TIME-WAIT on beside off",
                   tw and tw["turnover"]["total"] / tw["off"]["total"], 1.15, unit="×", note=less or ""))
    out.append(Row(7, "two cores beside one, in cycles", own_median(data, "two cores", "scale_in_cycles"),
                   1.95, True, "×"))
    for point, key in (("p50", "p50"), ("p99.9", "p999")):
        out.append(Row(8, "to and fro, memif, %s beside bare" % point,
                       own_median(data, "latency memif", "ratio", key), 1.2, unit="×"))
        out.append(Row(8, "to and fro, TAP, %s beside bare" % point, ping_ratio(data, "tap", key), 1.2,
                       unit="×"))
        kernel, mine = ping(data, "kernel", "tcp", key), ping(data, "af_packet", "tcp", key)
        out.append(Row(8, "to and fro, af_packet, %s beside the kernel's" % point,
                       mine / kernel if mine and kernel else None, 1.0, unit="×"))
    out.append(Row(9, "one stream, memif, beside the bare port",
                   own_median(data, "stream memif", "ratio_to_bare"), 0.9, True, "×"))
    lossy = losses(data).get(1)
    out.append(Row(9, "receive with 1 % loss, time beside the kernel's",
                   lossy[2] / lossy[1] if lossy and lossy[1] else None, 1.0, unit="×", note="" if
                   not lossy or lossy[0] >= 1 << 30 else "of %d MiB, not 1 GiB" % (lossy[0] >> 20)))
    whole = " --only " not in data.get("command", "") and data.get("took_seconds")
    out.append(Row(10, "minutes that it took", data["took_seconds"] / 60 if whole else None, 20))
    return out


def ratios(data):
    """Every ratio of a run by name: what two runs must agree on."""
    out = {}
    for r in data.get("rows", []):
        if r["server"] == KERNEL:
            continue
        for what, key in (("rate", "ratio"), ("cycles", "cycles_ratio")):
            if r[key] is not None:
                out["%s, %s, %s" % (r["workload"], r["server"], what)] = r[key]
    for row in rows(data):
        if row.unit == "×" and row.value is not None:
            out["budget %d: %s" % (row.number, row.what)] = row.value
    for port in ("ring", "vhost"):
        for mode in ("cps", "rps"):
            a, b = (own_median(data, "%s %s" % (mode, p), "rate") for p in (port, "memif"))
            if a and b:
                out["%s, %s beside memif" % (mode, port)] = a / b
    for n, c in colds(data).items():
        out["cold beside hot, %s open" % format(n, ",")] = c["cold"]["server_ratio"]
    return out


def compare(before, now, limit=0.2):
    """Lines: the ratios that differ by more than `limit` of the larger."""
    a, b = ratios(before), ratios(now)
    both = [k for k in a if k in b]
    lines = []
    for k in both:
        larger = max(abs(a[k]), abs(b[k]))
        if larger and abs(a[k] - b[k]) / larger > limit:
            lines.append("  %s: %.2f and %.2f" % (k, a[k], b[k]))
    head = "%d of %d ratios agree within %.0f %%" % (len(both) - len(lines), len(both), 100 * limit)
    if not both:
        head = "the two have no ratio in common"
    return [head] + lines
