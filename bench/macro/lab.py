"""The wire: two network namespaces, a veth pair for each kind of server, and what runs on them.

Runs as the first process of a PID namespace with mounts of its own (scripts/bench makes it so): what
it starts ends with it, and the namespaces and interfaces with that, however it ends.
"""
import os
import signal
import subprocess
import time

CLIENT_CORE, SERVER_CORE = 0, 1
PATIENCE = 20.0


class Failed(Exception):
    """Something cannot be measured here; why in one line."""


def run(*command, limit=PATIENCE, check=True):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=limit, check=False)
    if check and done.returncode != 0:
        raise Failed("%s: %s" % (" ".join(command), done.stdout.strip() or done.returncode))
    return done.stdout


def wait_for(what, condition, limit=PATIENCE):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise Failed("%s: not within %d s" % (what, limit))


class Process:
    """A program on one core, in the namespace `at`; its output is kept in files."""

    started = []

    def __init__(self, directory, name, command, at=(), core=None):
        self.name = name
        self.out_path = os.path.join(directory, name + ".out")
        self.err_path = os.path.join(directory, name + ".err")
        pin = ["taskset", "-c", str(core)] if core is not None else []
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.child = subprocess.Popen([*at, *pin, *command], stdin=subprocess.DEVNULL, stdout=out,
                                          stderr=err)
        Process.started.append(self)

    @property
    def pid(self):
        return self.child.pid

    def text(self, path=None):
        with open(path or self.out_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait_line(self, prefix):
        def look():
            lines = [line for line in self.text().splitlines() if line.startswith(prefix)]
            if not lines and self.child.poll() is not None:
                raise Failed("%s ended: %s" % (self.name, self.complaint()))
            return lines[0] if lines else None
        return wait_for(self.name + " gets ready", look)

    def complaint(self):
        said = (self.text(self.err_path) or self.text()).strip().splitlines()
        return said[-1] if said else "exit code %s" % self.child.returncode

    def wait(self, limit):
        try:
            return self.child.wait(limit)
        except subprocess.TimeoutExpired:
            self.end(signal.SIGKILL)
            raise Failed("%s: still running after %d s" % (self.name, limit)) from None

    def end(self, how=signal.SIGTERM):
        if self.child.poll() is None:
            self.child.send_signal(how)
            try:
                self.child.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        if self in Process.started:
            Process.started.remove(self)


class Lab:
    """The client's namespace is the one we are in; the server's is a second one."""

    def __init__(self, directory):
        self.dir = directory
        if len(os.sched_getaffinity(0) & {CLIENT_CORE, SERVER_CORE}) < 2:
            raise Failed("needs cores %d and %d: one for the client, one for the server" % (
                CLIENT_CORE, SERVER_CORE))
        self.far = Process(directory, "namespace", [
            "unshare", "--net", "--mount", "sh", "-c",
            "mount -t sysfs sysfs /sys && ip link set lo up && echo ready && exec sleep infinity"])
        self.far.wait_line("ready")
        self.there = ("nsenter", "--net", "--mount", "--target", str(self.far.pid))
        run("mount", "-t", "sysfs", "sysfs", "/sys")
        run("ip", "link", "set", "lo", "up")
        for at in ((), self.there):
            self.sysctl(at, "net.ipv4.ip_local_port_range", "1024 65535")
            self.sysctl(at, "net.ipv4.tcp_max_syn_backlog", "4096")
            self.sysctl(at, "net.core.somaxconn", "4096")
            self.sysctl(at, "net.ipv4.tcp_max_tw_buckets", "262144")
        self.sysctl((), "net.ipv4.tcp_tw_reuse", "1")  # the client's ports must last
        self.used = {}  # network -> the last octet given out

    @staticmethod
    def sysctl(at, name, value):
        run(*at, "sh", "-c", "echo %s >/proc/sys/%s" % (value, name.replace(".", "/")), check=False)

    def veth(self, name, client_address, server_address=None):
        """A pair NAMEc and NAMEs without offloads; what either end receives is worked off on the core
        of that side (RPS), so that a core's time is its side's time."""
        near, far = name + "c", name + "s"
        run("ip", "link", "add", near, "type", "veth", "peer", "name", far)
        run("ip", "link", "set", far, "netns", str(self.far.pid))
        for at, iface, address, core in (((), near, client_address, CLIENT_CORE),
                                         (self.there, far, server_address, SERVER_CORE)):
            run(*at, "ethtool", "-K", iface, "tx", "off", "rx", "off", "sg", "off", "tso", "off", "gso",
                "off", "gro", "off", check=False)
            run(*at, "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/%s/disable_ipv6" % iface, check=False)
            run(*at, "ip", "link", "set", iface, "up")
            self.steer(at, iface, core)
            if address:
                run(*at, "ip", "addr", "add", address + "/24", "dev", iface)
        self.kernel_drops((), near, self.others_than(client_address))
        return near, far

    @staticmethod
    def others_than(address):
        """The addresses of its network for `weir load`, as a range: .1 is the kernel, .2 the server."""
        net = address.rsplit(".", 1)[0]
        return "%s.3-%s.254" % (net, net)

    def load_address(self, server_address):
        """One that was not used before: a restarted client has other secrets, so to a server that
        holds its old connections in TIME-WAIT its sequence numbers may look old (RFC 6191)."""
        net = server_address.rsplit(".", 1)[0]
        self.used[net] = self.used.get(net, 2) % 254 + 1
        return "%s.%d" % (net, max(3, self.used[net]))

    def near_tap(self, iface, address):
        """The kernel's end of a TAP that was just made."""
        run("ip", "addr", "add", address + "/24", "dev", iface)
        run("ip", "link", "set", iface, "up")
        self.steer((), iface, CLIENT_CORE)
        self.kernel_drops((), iface, self.others_than(address))

    @staticmethod
    def steer(at, iface, core):
        run(*at, "sh", "-c", "echo %x >/sys/class/net/%s/queues/rx-0/rps_cpus" % (1 << core, iface))

    @staticmethod
    def kernel_drops(at, iface, addresses=None):
        """The kernel drops what arrives there (for `addresses`), after packet sockets have their copy: it
        is not the kernel's, and must not cost it work."""
        chain = "netdev bench_%s c" % iface
        rules = ["add table netdev bench_" + iface, "delete table netdev bench_" + iface,
                 "add table netdev bench_" + iface,
                 "add chain %s { type filter hook ingress device %s priority 0; policy %s; }" % (
                     chain, iface, "accept" if addresses else "drop")]
        if addresses:
            rules.append("add rule %s ip daddr %s drop" % (chain, addresses))
        run(*at, "nft", "\n".join(rules))

    @staticmethod
    def packets(iface):
        """Frames both ways at the client's end, whoever serves."""
        total = 0
        for name in ("rx_packets", "tx_packets"):
            with open("/sys/class/net/%s/statistics/%s" % (iface, name), encoding="utf-8") as f:
                total += int(f.read())
        return total

    def end(self):
        for p in reversed(list(Process.started)):
            p.end(signal.SIGKILL if p is self.far else signal.SIGTERM)
