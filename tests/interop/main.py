"""Runs the cases one after the other, each in namespaces of its own; see ./run --help."""
import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import bench_cases  # pylint: disable=unused-import
import cases
import ecn_cases  # pylint: disable=unused-import
import examples_cases  # pylint: disable=unused-import
import harness
import ipv6_cases  # pylint: disable=unused-import
import load_cases  # pylint: disable=unused-import
import perf_cases  # pylint: disable=unused-import
import raw_suite  # pylint: disable=unused-import
import run_cases  # pylint: disable=unused-import  # their cases are among CASES

HERE = os.path.dirname(os.path.abspath(__file__))


def end_of(path, lines=6):
    try:
        with open(path, errors="replace", encoding="utf-8") as f:
            return [line.rstrip() for line in f.readlines()[-lines:]]
    except OSError:
        return []


def run_outside(name, args, keep):
    """One case, from the outside: a child in new namespaces. Its last line says what it saw."""
    work = tempfile.mkdtemp(prefix="weir-interop-")
    command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
               sys.executable, "-B", os.path.join(HERE, "main.py"), "--inside", work, name]
    if args.full:
        command.append("--full")
    start = time.monotonic()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, start_new_session=True)
    limit = cases.time_limit(name, args.full)
    try:
        text, _ = child.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        text, _ = child.communicate()
        text += b"\nstill running after %d s" % limit
    lines = text.decode(errors="replace").strip().splitlines() or ["no output"]
    ok = child.returncode == 0
    say = ["%-4s %s%s" % ("ok" if ok else "FAIL", name,
                          " (%s, %.1f s)" % (lines[-1], time.monotonic() - start) if ok
                          else ": " + lines[-1])]
    if args.names:
        say += report(work, args.json)
    if not ok:
        kept = os.path.join(keep, name)
        shutil.rmtree(kept, ignore_errors=True)
        shutil.move(work, kept)
        with open(os.path.join(kept, "case.out"), "wb") as f:
            f.write(text)
        say += ["     | " + line
                for line in lines[-12:-1] + end_of(os.path.join(kept, "weir.err"))]
        say.append("     | all of it: " + kept)
    shutil.rmtree(work, ignore_errors=True)
    print("\n".join(say), flush=True)
    return ok


def report(work, as_json):
    """The lines of the table that a case left, if it did."""
    try:
        with open(os.path.join(work, "report." + ("json" if as_json else "txt")),
                  encoding="utf-8") as f:
            return f.read().rstrip("\n").split("\n")
    except OSError:
        return []


def run_all(names, args, keep):
    """One after the other, but for those that mostly wait: these have a row of their own."""
    rows = [[n for n in names if cases.CASES[n].waits == waits] for waits in (True, False)]
    results = []

    def run_row(row):
        for name in row:
            results.append(run_outside(name, args, keep))
    beside = threading.Thread(target=run_row, args=(rows[0],))
    beside.start()
    run_row(rows[1])
    beside.join()
    return results


def run_inside(name, args):
    """The case itself; exit code 0 and what it saw, or 1 and why."""
    world = harness.World(args.inside, args.full)
    try:
        saw = cases.CASES[name].run(world)
        world.end()
        print(saw or "as it should be")
        return 0
    except harness.Wrong as e:
        where = [f for f in traceback.extract_tb(e.__traceback__) if f.filename.endswith("cases.py")]
        world.kill()
        print("%s%s" % (e, " [line %d]" % where[-1].lineno if where else ""))
    except Exception as e:  # pylint: disable=broad-except
        traceback.print_exc(file=sys.stdout)
        world.kill()
        print("%s: %s" % (type(e).__name__, e))
    return 1


def bad_input():
    """The refusals of the real binary: (passed, failed), its complaints passed on."""
    script = os.path.join(HERE, "bad_input")
    weir = os.path.join(os.environ["WEIR_BUILD"], "apps", "weir", "weir")
    done = subprocess.run([script, weir], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, text=True, timeout=300, check=False)
    lines = done.stdout.splitlines()
    last = re.fullmatch(r"(\d+) passed, (\d+) failed", lines[-1]) if lines else None
    print("\n".join(lines[:-1] if last else lines), end="\n" if lines[1:] else "")
    if not last:
        print("FAIL bad-input: no result")
        return 0, 1
    print("ok   bad-input: %s" % lines[-1] if last[2] == "0" else "FAIL bad-input", flush=True)
    return int(last[1]), int(last[2])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="CASE")
    parser.add_argument("--full", action="store_true", help="the sizes of a release")
    parser.add_argument("--json", action="store_true",
                        help="the table of raw-suite as a JSON object")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        return run_inside(args.names[0], args)
    if args.list:
        for name, case in cases.CASES.items():
            print("%-18s %s" % (name, case.what))
        return 0
    unknown = [n for n in args.names if n not in cases.CASES]
    if unknown:
        print("unknown case %s (try --list)" % ", ".join(unknown), file=sys.stderr)
        return 2
    keep = os.path.join(os.environ["WEIR_BUILD"], "interop")
    os.makedirs(keep, exist_ok=True)
    names = args.names or [n for n, c in cases.CASES.items() if args.full or not c.full_only]
    results = run_all(names, args, keep)
    passed, failed = sum(results), len(results) - sum(results)
    if not args.names:
        refused, taken = bad_input()
        passed, failed = passed + refused, failed + taken
    print("%d passed, %d failed" % (passed, failed))
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
