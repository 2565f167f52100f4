"""scripts/bench --micro: runs the programs of bench/micro and makes one table of them."""
import argparse
import json
import os
import re
import subprocess
import sys
import time

PROGRAMS = ["bench_wire", "bench_isn", "bench_hash", "bench_table", "bench_rte_hash", "bench_wheel",
            "bench_rte_timer",            "bench_stack", "bench_match"]
REPETITIONS = 5
MIN_TIME = 0.05  # seconds of each repetition
LIMIT = 600      # seconds of one program, which only a hang reaches
LARGE = "/10000000"
# Whose cycles are put beside whose.
BASES = {"rte_find": "weir_find", "rte_timer": "weir_wheel", "rte_jhash": "weir_sip13",
         "rte_hash_crc": "weir_sip13"}


def run_program(path, pattern):
    done = subprocess.run([
        path, "--benchmark_format=json", "--benchmark_repetitions=%d" % REPETITIONS,
        "--benchmark_min_time=%g" % MIN_TIME, "--benchmark_report_aggregates_only=true",
        "--benchmark_enable_random_interleaving=true", "--benchmark_filter=" + pattern],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        timeout=LIMIT, check=False)
    start = done.stdout.find("{")
    if done.returncode != 0 or start < 0:
        if "Failed to match any benchmarks" in done.stdout + done.stderr:
            return []
        raise RuntimeError("%s: exit code %d: %s" % (
            os.path.basename(path), done.returncode, done.stderr.strip().splitlines()[-1:]))
    return json.loads(done.stdout[start:])["benchmarks"]


def names_in_order(path):
    """As they stand in the program: they run in random order."""
    done = subprocess.run([path, "--benchmark_list_tests=true"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=60,
                          check=True)
    return [name_of(line.strip()) for line in done.stdout.splitlines() if line.strip()]


def digest(program, entries):
    """A row for each benchmark by name: its median, and how far its repetitions lie apart."""
    rows = {}
    for e in entries:
        name = name_of(e["run_name"])
        if e.get("error_occurred"):
            raise RuntimeError("%s %s: %s" % (program, name, e.get("error_message")))
        if name not in rows:
            rows[name] = {"program": program, "name": name}
        if e.get("aggregate_name") == "median":
            rows[name].update(cycles=e.get("cycles"), octets=e.get("bytes_per_second"), acks=e.get("acks"),
                              budget=e.get("label"))
        elif e.get("aggregate_name") == "cv":
            rows[name]["cv"] = e.get("cycles")
    return rows


def name_of(run_name):
    return re.sub(r"/manual_time|/iterations:\d+", "", run_name)


def line(row, width):
    extra = ""
    if row.get("octets"):
        extra = "%.2f GB/s" % (row["octets"] / 1e9)
    if row.get("acks") is not None:
        extra = "%.2f ACKs a segment" % row["acks"]
    if row.get("beside"):
        extra = "%.2f times %s" % row["beside"]
    if row.get("budget"):
        extra += ("; " if extra else "") + row["budget"]
    return "%-*s %10.1f %10.1f %9.2f %6.0f %%  %s" % (
        width, row["name"], row["cycles"], row["ns"], 1e3 / row["ns"], 100 * (row["cv"] or 0),
        extra)


def complete(rows, hz):
    by_name = {r["name"]: r for r in rows}
    for r in rows:
        r["ns"] = r["cycles"] / hz * 1e9
        for theirs, ours in BASES.items():
            base = by_name.get(r["name"].replace(theirs, ours))
            if r["name"].startswith(theirs) and base:
                r["beside"] = (r["cycles"] / base["cycles"], base["name"])


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", required=True)
    p.add_argument("--large", action="store_true")
    p.add_argument("--json")
    p.add_argument("--only", action="append", default=[])
    p.add_argument("--quick", action="store_true", help="nothing: it is quick")
    args = p.parse_args()
    start = time.monotonic()
    programs = [n for n in PROGRAMS if os.path.exists(os.path.join(args.build, n))]
    unknown = [n for n in args.only if n not in programs]
    if unknown or not programs:
        print("bench: --only %s: there are %s" % (unknown, ", ".join(programs) or "none: build first"),
              file=sys.stderr)
        return 2
    import machine  # pylint: disable=import-outside-toplevel
    rows = []
    for name in args.only or programs:
        path = os.path.join(args.build, name)
        measured = {}
        for pattern in ["-" + LARGE] + ([LARGE] if args.large else []):
            measured.update(digest(name, run_program(path, pattern)))
        got = [measured[n] for n in names_in_order(path) if n in measured]
        complete(got, machine.cycles_per_second())
        if got:
            width = max(len(r["name"]) for r in got) + 1
            print("%-*s %10s %10s %9s %8s" % (width, name, "cycles", "ns", "M items/s", "spread"))
            print("\n".join("  " + line(r, width - 2) for r in got) + "\n", flush=True)
            rows += got
    print("medians of %d repetitions; took %d s" % (REPETITIONS, time.monotonic() - start))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump(rows, f, indent=1)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, subprocess.TimeoutExpired) as e:
        print("bench: %s" % e, file=sys.stderr)
        sys.exit(1)
