"""What the machine is, and whose time its cores spent: /proc read, nothing changed."""
import datetime
import os
import re
import resource
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def cycles_per_second():
    """The TSC's rate. BogoMIPS is twice its MHz on x86; elsewhere cycles are nanoseconds."""
    found = re.search(r"^bogomips\s*:\s*([\d.]+)", read("/proc/cpuinfo"), re.M)
    return float(found[1]) / 2 * 1e6 if found and os.uname().machine == "x86_64" else 1e9


def facts(root):
    """One line each: what a figure depends on."""
    cpuinfo = read("/proc/cpuinfo")
    model = re.search(r"^model name\s*:\s*(.+)", cpuinfo, re.M)
    virtual = "virtual machine" if re.search(r"^flags\s*:.*\bhypervisor\b", cpuinfo, re.M) else "metal"
    memory = int(re.search(r"MemTotal:\s+(\d+)", read("/proc/meminfo"))[1]) / 2**20
    dpdk = output("pkg-config", "--modversion", "libdpdk") or "unknown"
    commit = output("git", "-c", "safe.directory=" + root, "-C", root, "rev-parse", "--short=12",
                    "HEAD") or "unknown"
    changed = output("git", "-c", "safe.directory=" + root, "-C", root, "status", "--porcelain",
                     "--untracked-files=no", "--", "lib", "apps", "bench")
    return {
        "date": datetime.date.today().isoformat(),
        "commit": commit + (" with changes" if changed else ""),
        "processor": "%s, %d cores, %.0f MHz TSC, %s" % (
            model[1] if model else os.uname().machine, len(os.sched_getaffinity(0)),
            cycles_per_second() / 1e6, virtual),
        "memory": "%.0f GiB" % memory,
        "kernel": os.uname().release,
        "dpdk": dpdk,
        "load average at the start": read("/proc/loadavg").split()[0],
    }


def output(*command):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, timeout=20, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


IDLE, IOWAIT, IRQ, SOFTIRQ, STOLEN = 4, 5, 6, 7, 8  # columns of /proc/stat


def core_seconds(core, columns):
    """Seconds that a core spent so since it was started; "" means all cores together. Idle time is
    exact; the rest is sampled by the tick, and what never meets a tick is not seen there."""
    for line in read("/proc/stat").splitlines():
        parts = line.split()
        if parts[0] == "cpu%s" % core:
            return sum(int(parts[c]) for c in columns) / TICK
    raise RuntimeError("no cpu%s in /proc/stat" % core)


def children_seconds():
    """Of the children that have ended and were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def process_seconds(pid):
    """Seconds that all threads of a process were on a core, to the nanosecond."""
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        try:
            total += int(read("/proc/%d/task/%s/schedstat" % (pid, task)).split()[0])
        except (OSError, IndexError):
            continue
    return total / 1e9


def process_ticks(pid):
    """(in user mode, in the kernel) of all threads of a process."""
    fields = read("/proc/%d/stat" % pid).rpartition(")")[2].split()
    return int(fields[11]), int(fields[12])


class Meter:
    """What passed between two readings: the cores (client's, server's), one process, the frames of one interface, and what a
    server says of its own busy time in seconds, if it does."""

    def __init__(self, cores, pids, packets, own_busy=None):
        self.cores, self.pids, self.packets = cores, pids, packets
        self.own_busy = own_busy or (lambda: None)
        self.own_before = self.own_busy()
        self.before = self._read()

    def _read(self):
        return {
            "wall": time.monotonic(),
            "idle": [core_seconds(c, (IDLE, IOWAIT, STOLEN)) for c in self.cores],
            "softirq": core_seconds("", (SOFTIRQ,)), "stolen": core_seconds("", (STOLEN,)),
            "server_interrupts": core_seconds(self.cores[-1], (IRQ, SOFTIRQ)),
            "process": sum(process_seconds(p) for p in self.pids),
            "user": sum(process_ticks(p)[0] for p in self.pids),
            "system": sum(process_ticks(p)[1] for p in self.pids),
            "children": children_seconds(),
            "packets": self.packets(),
        }

    def stop(self):
        """To be called when the client has ended, so that its time is known."""
        own, now = self.own_busy(), self._read()
        d = {k: v - self.before[k] for k, v in now.items() if k != "idle"}
        wall = d["wall"]
        cores = [min(wall, max(0.0, wall - (after - before)))
                 for before, after in zip(self.before["idle"], now["idle"])]
        return {
            "wall": wall,
            "busy": [c / wall for c in cores],
            "busy_seconds": cores,
            "process_seconds": d["process"], "client_seconds": d["children"],
            "interrupts": d["softirq"],
            "in_kernel": d["system"] / max(1, d["user"] + d["system"]),
            "server_interrupts": d["server_interrupts"],
            "own_busy": None if own is None else min(1.0, (own - self.own_before) / wall),
            # At least: work in interrupts may be counted as a process's too.
            "other_work": max(0.0, sum(cores) - d["process"] - d["children"] - d["softirq"]) / wall,
            "stolen": d["stolen"] / wall,
            "packets_per_second": d["packets"] / wall,
        }
