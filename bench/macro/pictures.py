"""The pictures of docs/performance.md, as SVG, from what scripts/bench wrote as JSON."""
import math
import os
from xml.sax.saxutils import escape

import budgets

FONT = "font-family='DejaVu Sans, Verdana, Arial, sans-serif'"
# Okabe and Ito: told apart by everybody, and in print.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW, GREY = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#f0e442", "#555555")
STAGES = {"rx": SKY, "parse": BLUE, "lookup": GREY, "tcp": ORANGE, "timers": YELLOW,
          "application": GREEN, "tx": PURPLE}
WIDTH, LEFT, RIGHT, BAR = 900, 230, 110, 26


def short(v):
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(v) >= unit:
            return ("%.3g" % (v / unit)) + name
    return "%.3g" % v


def text(x, y, what, size=13, anchor="start", fill="black", weight="normal"):
    return "<text x='%.1f' y='%.1f' font-size='%d' text-anchor='%s' fill='%s' font-weight='%s'>%s</text>" % (
        x, y, size, anchor, fill, weight, escape(str(what)))


def rect(x, y, w, h, fill):
    return "<rect x='%.1f' y='%.1f' width='%.1f' height='%.1f' fill='%s'/>" % (x, y, max(w, 0.5), h, fill)


def line(x1, y1, x2, y2, stroke, width=1.0, dash=""):
    return "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='%s' stroke-width='%g'%s/>" % (
        x1, y1, x2, y2, stroke, width, " stroke-dasharray='%s'" % dash if dash else "")


def svg(height, parts, foot):
    parts = parts + [text(LEFT, height - 12, foot, 11, fill=GREY)]
    return "\n".join(["<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' viewBox='0 0 %d %d' %s>"
                      % (WIDTH, height, WIDTH, height, FONT),
                      "<rect width='100%' height='100%' fill='white'/>"] + parts + ["</svg>"]) + "\n"


def foot(data):
    f = data["facts"]
    return "%s; commit %s, %s" % (f["processor"], f["commit"], f["date"])


def bars(y, title, rows, budget=None):
    """Bars from 1 on a logarithmic axis: (name, value, colour). Returns parts and where they end."""
    rows = [r for r in rows if r[1]]
    parts = [text(LEFT, y, title, 15, weight="bold")]
    if not rows:
        return parts + [text(LEFT, y + 22, "not measured", fill=GREY)], y + 40
    low = 10 ** math.floor(math.log10(min(r[1] for r in rows)) - 0.3)
    high = 10 ** math.ceil(math.log10(max([r[1] for r in rows] + [budget or 0])))
    at = lambda v: LEFT + (WIDTH - LEFT - RIGHT) * math.log10(v / low) / math.log10(high / low)  # noqa: E731
    top, end = y + 12, y + 12 + BAR * len(rows)
    mark = low
    while mark <= high * 1.01:
        parts += [line(at(mark), top, at(mark), end, "#dddddd"),
                  text(at(mark), end + 15, short(mark), 11, "middle", GREY)]
        mark *= 10
    for i, (name, value, colour) in enumerate(rows):
        parts += [rect(LEFT, top + i * BAR + 4, at(value) - LEFT, BAR - 8, colour),
                  text(LEFT - 8, top + i * BAR + 18, name, 12, "end"),
                  text(at(value) + 6, top + i * BAR + 18, short(value), 12)]
    if budget:
        parts += [line(at(budget), top, at(budget), end, RED, 1.5, "5 4"),
                  text(at(budget), top - 2, "budget", 11, "middle", RED)]
    return parts, end + 46


def rates(data):
    parts, y = [text(LEFT, 32, "Weir beside the Linux kernel", 20, weight="bold"),
                text(LEFT, 50, "logarithmic; full TCP on both sides, one core a side", 12, fill=GREY)], 84
    for workload, mode, title, budget in (
            ("connections", "cps", "Connections a second", 1e6),
            ("requests", "rps", "Requests a second, 100 connections", 3.5e6)):
        rows = [(r["what"] + ", " + r["link"] if r["server"] in ("epoll", "nginx") else r["what"], r["rate"],
                 GREY if r["what"].startswith("Linux") else SKY)
                for r in data["rows"] if r["workload"] == workload]
        rows += [("Weir, " + port, budgets.own_median(data, "%s %s" % (mode, port), "rate"), BLUE)
                 for port in ("ring", "vhost", "memif")]
        if mode == "cps":
            rows.append(("Weir, memif, STRIPPED", budgets.own_median(data, "cps stripped", "rate"), RED))
        more, y = bars(y, title, rows, budget)
        parts += more
    return svg(y + 20, parts, foot(data))


def cycles(data):
    """Stacked, linear: the server's side by stage, with the budget."""
    parts, y = [text(LEFT, 32, "Where the server's cycles go, over memif", 20, weight="bold")], 76
    x = LEFT
    for name, colour in STAGES.items():
        parts += [rect(x, 44, 12, 12, colour), text(x + 16, 55, name, 12)]
        x += 34 + 7.2 * len(name)
    for name, title, budget in (("cps memif", "a connection", 2_400), ("rps memif", "a request", 700)):
        stages = [(s, budgets.own_median(data, name, "server", "cycles_per_unit", s)) for s in STAGES]
        total = sum(v or 0 for _, v in stages)
        scale = (WIDTH - LEFT - RIGHT) / max(total, budget * 1.15)
        at = LEFT
        for stage, v in stages:
            if v:
                parts.append(rect(at, y + 6, v * scale, 40, STAGES[stage]))
                if v * scale > 46:
                    parts.append(text(at + v * scale / 2, y + 31, "%.0f" % v, 12, "middle"))
                at += v * scale
        parts += [text(LEFT - 8, y + 31, title, 14, "end"),
                  text(at + 6, y + 31, "%.0f" % total if total else "not measured", 13, weight="bold"),
                  line(LEFT + budget * scale, y, LEFT + budget * scale, y + 52, RED, 1.5, "5 4"),
                  text(LEFT + budget * scale, y + 66, "budget %d" % budget, 11, "middle", RED)]
        y += 96
    return svg(y + 14, parts, foot(data))


def steps(high, about=4):
    """Round numbers from 0 to at least `high`."""
    raw = max(high, 1e-9) / about
    size = 10 ** math.floor(math.log10(raw))
    size *= next(m for m in (1, 2, 2.5, 5, 10) if m * size >= raw * 0.999)
    return [i * size for i in range(int(math.ceil(high / size - 1e-9)) + 1)]


def panel(y, title, axis, series, below, log_x=True, log_y=False, limit=None):
    """Lines over an axis: series of (name, colour, [(x, y)])."""
    parts = [text(LEFT - 130, y, title, 15, weight="bold")]
    left, right, top, bottom = LEFT - 130, WIDTH - 150, y + 14, y + 180
    points = [p for _, _, row in series for p in row]
    if not points:
        return parts + [text(left, y + 24, "not measured", fill=GREY)], y + 50
    xs = sorted({p[0] for p in points})
    values = [p[1] for p in points if p[1] > 0] + ([limit] if limit else [])
    if log_y:
        a_y, b_y = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        marks = [10.0 ** i for i in range(a_y, max(b_y, a_y + 1) + 1)]
    else:
        marks = steps(max(values) * 1.05)
    if log_x:
        a, b = math.log10(xs[0]), math.log10(max(xs[-1], xs[0] * 10))
        at = lambda v: left + (right - left) * (math.log10(v) - a) / (b - a)  # noqa: E731
    else:
        at = lambda v: left + (right - left) * v / max(xs[-1], 1e-9)  # noqa: E731
    if log_y:
        up = lambda v: bottom - (bottom - top) * math.log10(max(v, marks[0]) / marks[0]) / math.log10(  # noqa: E731
            marks[-1] / marks[0])
    else:
        up = lambda v: bottom - (bottom - top) * v / marks[-1]  # noqa: E731
    for v in marks:
        parts += [line(left, up(v), right, up(v), "#dddddd"),
                  text(left - 8, up(v) + 4, short(v), 11, "end", GREY)]
    for v in xs:
        parts += [line(at(v), top, at(v), bottom, "#eeeeee"),
                  text(at(v), bottom + 16, short(v), 11, "middle", GREY)]
    parts += [text((left + right) / 2, bottom + 34, below, 12, "middle"),
              text(right + 12, top - 4, axis, 11, fill=GREY)]
    if limit:
        parts += [line(left, up(limit), right, up(limit), RED, 1.5, "5 4"),
                  text(left + 6, up(limit) - 4, "budget %g" % limit, 11, fill=RED)]
    for i, (name, colour, row) in enumerate(series):
        if not row:
            continue
        parts.append("<polyline points='%s' stroke='%s' stroke-width='2' fill='none'/>" % (
            " ".join("%.1f,%.1f" % (at(px), up(py)) for px, py in row), colour))
        parts += ["<circle cx='%.1f' cy='%.1f' r='3.5' fill='%s'/>" % (at(px), up(py), colour)
                  for px, py in row]
        parts += [line(right + 12, top + 18 + 18 * i, right + 30, top + 18 + 18 * i, colour, 3),
                  text(right + 36, top + 22 + 18 * i, name, 12)]
    return parts, bottom + 74


def growth(data):
    parts, y = [text(LEFT - 130, 32, "Growth", 20, weight="bold")], 66
    cold = sorted(budgets.colds(data).items())
    more, y = panel(y, "Cycles of a message over all open connections, beside a hundred", "times the hot case", [
        ("server", BLUE, [(n, c["cold"]["server_ratio"]) for n, c in cold]),
        ("client", ORANGE, [(n, c["cold"]["client_ratio"]) for n, c in cold])], "connections open", limit=2.5)
    parts += more
    load = sorted((r["body"], r["rate"] * r["body"] / 1e6) for r in (
        budgets.single(data, n) for n in data["single"] if n.startswith("payload ")) if r)
    more, y = panel(y, "Text over memif by the size of an answer", "MB/s", [("Weir", BLUE, load)],
                    "octets of an answer", log_y=True)
    parts += more
    lost = budgets.losses(data).items()
    more, y = panel(y, "Received with loss", "MB/s", [
        ("kernel", GREY, [(p, o / k / 1e6) for p, (o, k, _) in lost]),
        ("Weir", BLUE, [(p, o / w / 1e6) for p, (o, _, w) in lost])], "% of frames lost", log_x=False)
    return svg(y, parts + more, foot(data))


def latency(data):
    parts, y = [text(LEFT, 32, "One message of 64 octets, to and fro", 20, weight="bold")], 70
    for point, key in (("p50", "p50"), ("p99.9", "p999")):
        rows = []
        for port in ("ring", "memif", "vhost"):
            rows += [("%s, bare frame" % port,
                      budgets.own_median(data, "latency " + port, "bare_ns", key), GREY),
                     ("%s, TCP" % port, budgets.own_median(data, "latency " + port, "tcp_ns", key), BLUE)]
        rows.append(("veth, kernel to kernel", budgets.ping(data, "kernel", "tcp", key), ORANGE))
        for place in ("af_packet", "tap"):
            rows += [("%s, bare frame" % place, budgets.ping(data, place, "bare", key), GREY),
                     ("%s, kernel to Weir" % place, budgets.ping(data, place, "tcp", key), BLUE)]
        more, y = bars(y, point + ", nanoseconds", rows)
        parts += more
    return svg(y + 20, parts, foot(data))


DRAWN = {"rates": rates, "cycles": cycles, "growth": growth, "latency": latency}


def draw(data, directory):
    """Writes every picture; their paths."""
    os.makedirs(directory, exist_ok=True)
    out = []
    for name, make in DRAWN.items():
        path = os.path.join(directory, name + ".svg")
        with open(path, "w", encoding="utf-8") as f:
            f.write(make(data))
        out.append(path)
    return out
