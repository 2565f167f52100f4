"""The runs of the guest and what is checked in each; see ./run --help."""
import argparse
import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
# pylint: disable=wrong-import-position
import guest
import raw
from harness import (IFACE, KERNEL, WEIR, WEIR_ADDRESS, Wrong, connect, curl, expect,
                     expect_equal, read_all, run, sha256_of, wait_for)

SIZE = 10 * (1 << 20)
CONNECTIONS = 1_000
URL = "http://" + WEIR_ADDRESS
# Drops that a slow machine may bring: the device's ring holds 256 frames, and what is answered late is
# sent twice.
OVERLOAD = ("tx_full", "no_buffer", "time_wait", "duplicate", "out_of_window",
            "old_ack")
OUT = os.path.join(os.environ["WEIR_BUILD"], "vm")


def serve_pattern(n):
    """apps/weir/serve.h: octet i of a body is pattern(i mod 1048573)."""
    period = bytes((i * 31 + (i >> 8) * 17 + (i >> 16) * 7) & 255 for i in range(min(n, 1_048_573)))
    return (period * (n // max(len(period), 1) + 1))[:n]


class Report:
    """Counts the checks of all runs."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, name, function):
        """One check; True when it holds."""
        start = time.monotonic()
        try:
            saw = function()
        except (Wrong, OSError, subprocess.SubprocessError) as e:
            self.failed += 1
            print("FAIL %s: %s" % (name, e), flush=True)
            return False
        self.passed += 1
        print("ok   %s (%s%.1f s)" % (name, saw + ", " if saw else "", time.monotonic() - start),
              flush=True)
        return True


@contextlib.contextmanager
def running(report, name, initramfs, mode, net, **more):
    """A guest for the time of a run. Its console's end is shown when a check failed."""
    directory = os.path.join(OUT, name)
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    failed = report.failed
    vm = guest.Guest(directory, initramfs, mode, net, **more)
    try:
        yield vm
    finally:
        vm.kill()
        if report.failed > failed:
            for line in vm.console_tail() + vm.lines()[-1:]:
                print("     | " + line[:400])
            print("     | all of it: " + directory, flush=True)


# -- Machines that are not fit ---------------------------------------------------------------------

# What weir says in the guest, in one line with exit code 2, before and while the NIC is made ready.
REFUSALS = {
    "kernels_driver": r"port\.device = 0000:00:02\.0: bound to the kernel's virtio-pci: "
                      r"modprobe uio_pci_generic && dpdk-devbind\.py --bind=uio_pci_generic "
                      r"0000:00:02\.0",
    "no_such_device": r"port\.device = 0000:00:1f\.0: no such PCI device: lspci -D shows",
    "not_a_nic": r"port\.device = 0000:00:01\.0: not a network device: lspci -D",
    "no_driver": r"bound to no driver: modprobe uio_pci_generic && dpdk-devbind\.py",
    "no_hugepages": r"hugepages: none is free, memory_mb is 64: reserve some "
                    r"\(sysctl -w vm\.nr_hugepages=32\)$",
    "hugepages_off": r"hugepages: off, but 0000:00:02\.0 is behind a uio driver, which needs them: "
                     r"sysctl -w vm\.nr_hugepages=32, and set hugepages = true",
    "few_hugepages": r"hugepages: 62 MB are free, memory_mb is 64: reserve some "
                     r"\(sysctl -w vm\.nr_hugepages=32\)",
    "no_package": r"no driver of DPDK took the device: is its driver's package installed",
    "no_device_node": r"no driver of DPDK took the device: EAL: .*/dev/uio0",
}


def refusals(report, initramfs):
    """weir refuses a machine that is not fit, with the cure"""
    with running(report, "refusals", initramfs, "refusals", ["-netdev", "user,id=net"]) as vm:
        if not report.check("refusals: the guest boots and ends", vm.wait_off):
            return
        said = {}
        for line in vm.words("refusal"):
            name, code, count, text = (line.split(" ", 3) + [""])[:4]
            said[name] = (code, count, text)

        def refused(name, pattern):
            expect(name in said, "the guest did not come to it")
            code, count, text = said[name]
            expect_equal("exit code and lines of %r" % text, (code, count), ("2", "1"))
            expect(re.search(pattern, text), "weir said: " + text)

        def accepted():
            expect_equal("exit code once all is fit", said.get("accepted", ("none",))[0], "0")
        for name, pattern in REFUSALS.items():
            report.check("refusals: " + name, lambda n=name, p=pattern: refused(n, p))
        report.check("refusals: and takes it when it is", accepted)


# -- Over a TAP ------------------------------------------------------------------------------------


TAP = ["-netdev", "tap,id=net,ifname=%s,script=no,downscript=no" % IFACE]


def bring_up_tap(vm):
    """The kernel's end. Without IPv6, so that nothing is sent that no check asked for."""
    def there():
        vm.expect_alive()
        return IFACE in (name for _, name in socket.if_nameindex())
    wait_for("QEMU makes the TAP", there)
    with open("/proc/sys/net/ipv6/conf/%s/disable_ipv6" % IFACE, "w", encoding="ascii") as f:
        f.write("1")
    run("ip", "addr", "add", KERNEL + "/24", "dev", IFACE)
    run("ip", "link", "set", IFACE, "up")


def download(directory):
    path = os.path.join(directory, "down")
    start = time.monotonic()
    curl("-o", path, URL + "/bytes/%d" % SIZE)
    took = time.monotonic() - start
    got = sha256_of(path)
    os.unlink(path)
    expect_equal("SHA-256", got, hashlib.sha256(serve_pattern(SIZE)).hexdigest())
    return "%.0f MB/s" % (SIZE / 1e6 / took)


def upload(directory):
    path = os.path.join(directory, "up")
    content = os.urandom(SIZE)
    with open(path, "wb") as f:
        f.write(content)
    start = time.monotonic()
    answer = curl("-T", path, URL + "/sha256")
    took = time.monotonic() - start
    os.unlink(path)
    expect_equal("the answer", answer, "received %d sha256 %s\n" % (
        SIZE, hashlib.sha256(content).hexdigest()))
    return "%.0f MB/s" % (SIZE / 1e6 / took)


def many_connections(vm):
    """All open at once, one request on each, none left."""
    wanted = serve_pattern(1024)
    request = b"GET / HTTP/1.1\r\nHost: vm\r\nConnection: close\r\n\r\n"
    clients = [connect(WEIR_ADDRESS) for _ in range(CONNECTIONS)]
    vm.wait_stats("the guest's line tells %d open" % CONNECTIONS,
                  lambda s: s["gauges"]["established"] == CONNECTIONS)
    for client in clients:
        client.sendall(request)
    for number, client in enumerate(clients):
        with client:
            head, _, body = read_all(client).partition(b"\r\n\r\n")
        expect(head.startswith(b"HTTP/1.1 200 ") and body == wanted,
               "connection %d: %r, %d octets" % (number, head[:40], len(body)))
    vm.wait_stats("the guest's line tells none open", lambda s: s["gauges"]["connections"] == 0)
    return "%d open at once" % CONNECTIONS


def partial_checksums():
    """What the kernel sends holds the pseudo-header's sum alone, and is taken all the same."""
    wire = raw.Wire(IFACE)
    connect(WEIR_ADDRESS).close()
    for _ in range(100):
        seen = wire.receive(10)
        expect(seen, "no SYN of the kernel's was captured")
        frame, from_weir = seen
        if from_weir or not raw.is_syn(frame):
            continue
        expect(raw.tcp_sum(frame) != 0, "the kernel computed the checksum: nothing was tried here")
        return "as the kernel left them undone"
    raise Wrong("no SYN of the kernel's among 100 frames")


def wrong_checksum(vm, mac):
    """A SYN with a wrong checksum is dropped by its name; one with a right one is answered."""
    wire = raw.Wire(IFACE)
    before = vm.summary()["counters"].get("drop_tcp_checksum", 0)
    wire.send_syn(raw.mac(mac), KERNEL, 1_111, WEIR_ADDRESS, 80, spoil=True)
    wire.send_syn(raw.mac(mac), KERNEL, 2_222, WEIR_ADDRESS, 80)
    for _ in range(100):
        seen = wire.receive(10)
        expect(seen, "no SYN-ACK came")
        answer = raw.parse_syn_ack(seen[0]) if seen[1] else None
        if answer:
            break
    expect_equal("the port that is answered", answer and answer[0], 2_222)
    dropped = vm.summary()["counters"].get("drop_tcp_checksum", 0) - before
    expect_equal("drop_tcp_checksum", dropped, 1)


def plausible_lines(vm):
    """The lines of the time until now, beside the counters at this moment."""
    wait_for("the guest prints four lines", lambda: len(vm.events("stats")) >= 4)
    summary = vm.summary()
    stats = [s for s in vm.events("stats") if s["uptime"] <= summary["uptime"]]
    for s in stats:
        expect(0.5 <= s["seconds"], "two lines within %.3f s" % s["seconds"])
    for a, b in zip(stats, stats[1:]):
        gap = b["uptime"] - a["uptime"] - b["seconds"]
        expect(abs(gap) < 0.01, "the line at %.3f s leaves out %.3f s" % (b["uptime"], gap))
    opened = sum(s["conns_per_second"] * s["seconds"] for s in stats)
    expect(abs(opened - summary["app"]["sessions_total"]) < 1.5 and opened >= CONNECTIONS,
           "%.1f connections in the lines, %d counted" % (opened, summary["app"]["sessions_total"]))
    for way, octets in (("rx_mbit", "body_bytes_in"), ("tx_mbit", "body_bytes_out")):
        moved = sum(s[way] * s["seconds"] for s in stats) * 1e6 / 8
        least = summary["app"][octets]
        expect(least >= SIZE and least <= moved <= 1.2 * least,
               "%s: %.0f octets in the lines, %s is %d" % (way, moved, octets, least))
    drops = {}
    for s in stats:
        for name, n in s["drops"].items():
            drops[name] = drops.get(name, 0) + n
    for name in OVERLOAD:
        drops.pop(name, None)
    expect_equal("drops of all lines", drops, {"tcp_checksum": 1})
    return "%d lines" % len(stats)


def drain(vm, directory):
    """SIGTERM while a download runs: it ends whole, a new one is refused, weir's exit code is 0."""
    path = os.path.join(directory, "last")
    slow = subprocess.Popen(["curl", "-sS", "--max-time", "60", "--limit-rate", "2M", "-o", path,
                             URL + "/bytes/%d" % SIZE])
    try:
        wait_for("a download is under way",
                 lambda: os.path.exists(path) and os.path.getsize(path) > 0)
        vm.command("term")

        def refused():
            expect(slow.poll() is None, "the download was over before weir refused a new one")
            try:
                connect(WEIR_ADDRESS).close()
                return False
            except ConnectionRefusedError:
                return True
        wait_for("new connections are refused", refused)
        expect_equal("curl's exit code", slow.wait(60), 0)
    finally:
        slow.kill()
        slow.wait()
    got = sha256_of(path)
    os.unlink(path)
    expect_equal("SHA-256", got, hashlib.sha256(serve_pattern(SIZE)).hexdigest())
    vm.wait_off()
    expect_equal("weir's exit code", vm.words("exit"), ["0"])
    last = vm.events("summary")[-1]
    expect_equal("sessions, aborted", (last["app"]["sessions"], last["app"]["aborted"]), (0, 0))


def tap(report, initramfs):
    """weir serve in the guest, the host's kernel its client over a TAP"""
    with running(report, "tap", initramfs, "serve", TAP) as vm:
        directory = os.path.dirname(vm.console_path)
        ready = {}

        def boots():
            bring_up_tap(vm)
            ready.update(vm.wait_ready())
            expect_equal("the device", ready["device"], "0000:00:02.0")
        if not report.check("tap: weir is ready in the guest", boots):
            return
        if not report.check("tap: 10 MB down, SHA-256", lambda: download(directory)):
            return  # the others would wait for nothing
        report.check("tap: 10 MB up, SHA-256", lambda: upload(directory))
        report.check("tap: partial checksums", partial_checksums)
        report.check("tap: a wrong checksum", lambda: wrong_checksum(vm, ready["mac"]))
        report.check("tap: many connections", lambda: many_connections(vm))
        report.check("tap: the guest's statistics", lambda: plausible_lines(vm))
        report.check("tap: SIGTERM, power off", lambda: drain(vm, directory))


def on_both_cores(vm, directory):
    """Connections on either core, some of whose frames come in on the other's queue."""
    path = os.path.join(directory, "many")
    with open(path, "w", encoding="ascii") as f:
        for i in range(200):
            f.write('url = "%s/bytes/20000"\noutput = "%s.%d"\n' % (URL, path, i))
    run("curl", "-sS", "--max-time", "60", "--parallel", "--parallel-max", "50",
        "--parallel-immediate", "--header", "Connection: close", "--config", path)
    wanted = serve_pattern(20_000)
    for i in range(200):
        with open("%s.%d" % (path, i), "rb") as f:
            expect(f.read() == wanted, "download %d is not the pattern" % i)
        os.unlink("%s.%d" % (path, i))
    summary = vm.summary()
    expect_equal("requests", summary["app"]["requests"], 200)
    handed = summary["counters"].get("handed_over", 0)
    expect(handed > 0, "no frame came in on the other core's queue: nothing was tried here")
    return "%d connections, %d frames handed over" % (summary["app"]["sessions_total"], handed)


def two_cores(report, initramfs):
    """The same on two cores, with two pairs of virtio queues"""
    net = [TAP[0], TAP[1] + ",queues=2"]
    with running(report, "two-cores", initramfs, "serve", net, nic=",mq=on,vectors=6",
                 cores=2) as vm:
        def boots():
            bring_up_tap(vm)
            vm.wait_ready()
        if not report.check("two-cores: weir is ready in the guest", boots):
            return
        directory = os.path.dirname(vm.console_path)
        report.check("two-cores: 200 downloads", lambda: on_both_cores(vm, directory))
        report.check("two-cores: 10 MB up, SHA-256", lambda: upload(directory))
        report.check("two-cores: SIGTERM, power off", lambda: drain(vm, directory))


class Load:
    """`weir load` on the host, on a vhost-user port: what the guest's NIC is joined to."""

    def __init__(self, directory, name, *flags):
        self.socket = os.path.join(directory, "vhost")
        self.out_path = os.path.join(directory, name)
        self.cpu = min(os.sched_getaffinity(0))
        with open(self.out_path, "wb") as out:
            self.process = subprocess.Popen(
                [WEIR, "load", "--device", "vhost:" + self.socket, "--address", KERNEL + "/24",
                 "--target", WEIR_ADDRESS + ":80", "--cores", str(self.cpu), "--json",
                 "--expect-pattern", *flags],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)

    def wait_end(self, connections, octets):
        """Exit code 0: each answer was 200 and the pattern, octet for octet."""
        try:
            code = self.process.wait(120)
        except subprocess.TimeoutExpired:
            raise Wrong("weir load still runs after 120 s") from None
        finally:
            self.kill()
        with open(self.out_path, encoding="utf-8") as f:
            last = (f.read().strip().splitlines() or ["nothing"])[-1]
        expect(code == 0, "weir load's exit code is %d: %s" % (code, last[:400]))
        summary = json.loads(last)
        expect_equal("completed, errors", (summary["completed"], summary["errors"]),
                     (connections, {}))
        expect(summary["bytes_in"] >= octets, "%d octets came" % summary["bytes_in"])
        return "%d octets" % summary["bytes_in"]

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def vhost_user(report, initramfs):
    """weir serve in the guest, weir load on the host its client over vhost-user"""
    directory = tempfile.mkdtemp(prefix="weir-vm-")  # a socket's path is 107 characters at most
    size = ("--path", "/bytes/%d" % SIZE, "--expect-size", str(SIZE), "--connections-total", "1")
    load = Load(directory, "first", *size)
    net = ["-chardev", "socket,id=vhost,path=%s,reconnect=1" % load.socket,
           "-netdev", "vhost-user,id=net,chardev=vhost"]
    try:
        wait_for("weir load makes its socket",
                 lambda: os.path.exists(load.socket) or load.process.poll() is not None)
        # With the kernel's driver the link would be up, and weir load begin, before weir has the NIC;
        # and QEMU 7.2 without KVM does not survive that driver's MSI-X beside vhost.
        with running(report, "vhost-user", initramfs, "serve", net,
                     words="kernels_driver=no") as vm:
            vm.pin(max(os.sched_getaffinity(0)))  # the two that poll apart

            def boots():
                vm.wait_ready()
            if not report.check("vhost-user: weir is ready in the guest", boots):
                return
            if not report.check("vhost-user: 10 MB, octet for octet",
                                lambda: load.wait_end(1, SIZE)):
                return
            # Another process takes the device over, while the guest runs on.
            load = Load(directory, "second", "--connections-total", str(CONNECTIONS),
                        "--expect-size", "1024", "--concurrency", "100")
            report.check("vhost-user: many connections, from a second process",
                         lambda: load.wait_end(CONNECTIONS, CONNECTIONS * 1024))

            def counted():
                line = vm.wait_stats("no session is left", lambda s: s["app"]["sessions"] == 0)
                expect_equal("sessions in the guest's line", line["app"]["sessions_total"],
                             1 + CONNECTIONS)

            def off():
                vm.command("term")
                vm.wait_off()
                expect_equal("weir's exit code", vm.words("exit"), ["0"])
            report.check("vhost-user: the guest's statistics", counted)
            report.check("vhost-user: SIGTERM, power off", off)
    except Wrong as e:
        report.check("vhost-user", lambda why=e: expect(False, str(why)))
    finally:
        load.kill()
        shutil.rmtree(directory)


def shell(initramfs):
    """A guest for somebody at its console."""
    print("In the guest: docs/operations/vm.md, \"By hand\", then\n"
          "weir serve --config /etc/serve.toml; poweroff -f ends it. Beside it, on the host:\n"
          "nsenter --net --target \"$(pidof qemu-system-x86_64)\" curl %s/bytes/10\n" % URL,
          flush=True)
    vm = guest.Guest(OUT, initramfs, "shell", TAP, shell=True)
    bring_up_tap(vm)
    return vm.process.wait()


RUNS = {"refusals": refusals, "tap": tap, "two-cores": two_cores, "vhost-user": vhost_user}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="RUN")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--shell", action="store_true")
    parser.add_argument("--fetch", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.list:
        for name, function in RUNS.items():
            print("%-12s %s" % (name, function.__doc__))
        return 0
    unknown = [n for n in args.names if n not in RUNS]
    if unknown:
        print("unknown run %s (try --list)" % ", ".join(unknown), file=sys.stderr)
        return 2
    if args.fetch:
        try:
            guest.fetch_kernel()
            return 0
        except Wrong as e:
            print(e)
            return 1
    run("ip", "link", "set", "lo", "up")
    os.makedirs(OUT, exist_ok=True)
    initramfs = guest.make_initramfs(OUT)
    if args.shell:
        return shell(initramfs)
    report = Report()
    for name in args.names or RUNS:
        RUNS[name](report, initramfs)
    os.unlink(initramfs)
    print("%d passed, %d failed" % (report.passed, report.failed))
    return 0 if report.passed and not report.failed else 1


if __name__ == "__main__":
    sys.exit(main())
