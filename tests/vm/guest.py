"""The guest: a Debian kernel, an initramfs of busybox and this build, and QEMU to run it.

The kernel is fetched once into build/vm-kernel; the initramfs is made anew each time, with what
`ldd` says that weir needs and the few drivers of DPDK that a virtio NIC needs.
"""
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys

from harness import ROOT, WEIR, Wrong, expect, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.path.join(ROOT, "build", "vm-kernel")
PACKAGE = "linux-image-cloud-amd64"
MODULES = ("virtio_pci", "virtio_net", "uio_pci_generic")
DRIVERS = ("bus_pci", "bus_vdev", "mempool_ring", "net_virtio")
BOOT = 120.0  # seconds until weir is ready; 3 to 22 are usual without KVM


def output(*command, cwd=None):
    done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, timeout=600)
    if done.returncode != 0:
        text = done.stderr.decode(errors="replace").strip().splitlines() or ["no word of why"]
        raise Wrong("%s: %s" % (command[0], text[-1]))
    return done.stdout.decode(errors="replace")


# -- The kernel ------------------------------------------------------------------------------------


def kernel_directory():
    """The unpacked package, or None."""
    found = glob.glob(os.path.join(CACHE, "*", "boot", "vmlinuz-*"))
    return os.path.dirname(os.path.dirname(found[0])) if found else None


def download_kernel(into):
    depends = output("apt-cache", "depends", "--important", PACKAGE)
    name = re.search(r"Depends: (linux-image-\S+)", depends)
    expect(name, "apt-cache knows no %s" % PACKAGE)
    output("apt-get", "-q", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=3", "download",
           name[1], cwd=into)
    return name[1]


def fetch_kernel():
    """Unpacks the package in the cache unless it is there. As a whole or not at all."""
    if kernel_directory():
        return
    work = os.path.join(CACHE, "unfinished.%d" % os.getpid())
    os.makedirs(work)
    try:
        print("fetching %s (26 MB)" % PACKAGE, file=sys.stderr)
        try:
            name = download_kernel(work)
        except Wrong:  # lists too old, or none
            output("apt-get", "-q", "-o", "Acquire::Retries=3", "update")
            name = download_kernel(work)
        package = glob.glob(os.path.join(work, "*.deb"))[0]
        output("dpkg-deb", "-x", package, os.path.join(work, "root"))
        os.rename(os.path.join(work, "root"), os.path.join(CACHE, name))
    except Wrong as e:
        raise Wrong("%s cannot be fetched: %s; tests/vm needs a package mirror once" % (
            PACKAGE, e)) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def kernel_image():
    return glob.glob(os.path.join(kernel_directory(), "boot", "vmlinuz-*"))[0]


def modules_in_order():
    """Files to insmod, one after the other, for MODULES."""
    files = {os.path.basename(f)[:-3].replace("-", "_"): f for f in glob.glob(
        os.path.join(kernel_directory(), "lib/modules/*/kernel/**/*.ko"), recursive=True)}
    order = []

    def add(name):
        name = name.replace("-", "_")
        expect(name in files, "the kernel's package has no module %s" % name)
        if files[name] in order:
            return
        for needed in output("modinfo", "-F", "depends", files[name]).strip().split(","):
            if needed:
                add(needed)
        order.append(files[name])
    for module in MODULES:
        add(module)
    return order


# -- The initramfs ---------------------------------------------------------------------------------


def libraries_of(program):
    """Each library's path as the loader finds it, the loader's own among them."""
    paths = re.findall(r"(?:=> |^\t)(/\S+) \(0x", output("ldd", program), re.MULTILINE)
    expect(paths, "ldd names no library of %s" % program)
    return set(paths)


def driver_directory():
    """Where Debian's EAL looks for drivers: .../dpdk/pmds-23.0."""
    found = glob.glob("/usr/lib/*/dpdk/pmds-*")
    expect(found, "no /usr/lib/*/dpdk/pmds-*: run scripts/setup")
    return found[0]


def put(root, path, source, mode=0o755):
    target = os.path.join(root, path.lstrip("/"))
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copyfile(source, target)  # a link's target, not the link
    os.chmod(target, mode)


def put_weir(root):
    """weir, its libraries, and the drivers: each of those once, as the loader would take a second
    copy of a library that is linked too for another library."""
    target = os.path.join(root, "bin", "weir")
    output("strip", "-o", target, WEIR)
    directory = driver_directory()
    needed = libraries_of(WEIR)
    for driver in DRIVERS:
        files = glob.glob(os.path.join(directory, "librte_%s.so.*.*" % driver))
        expect(files, "DPDK's driver %s is not installed: run scripts/setup" % driver)
        soname = os.path.basename(files[0]).rsplit(".", 1)[0]
        library = os.path.join(os.path.dirname(os.path.dirname(directory)), soname)
        put(root, library, files[0])
        link = os.path.join(root, files[0].lstrip("/"))
        os.makedirs(os.path.dirname(link), exist_ok=True)
        os.symlink(library, link)
        needed |= libraries_of(files[0])
    for library in needed:
        if library.startswith("/lib/"):
            library = "/usr" + library  # /lib is a link to it
        if not os.path.exists(os.path.join(root, library.lstrip("/"))):
            put(root, library, library)


def make_initramfs(work):
    """The archive's path."""
    root = os.path.join(work, "root")
    shutil.rmtree(root, ignore_errors=True)
    for directory in ("bin", "dev", "proc", "sys", "tmp", "run", "etc", "usr/lib", "modules"):
        os.makedirs(os.path.join(root, directory))
    os.symlink("usr/lib", os.path.join(root, "lib"))
    os.makedirs(os.path.join(root, "var"))
    os.symlink("../run", os.path.join(root, "var/run"))
    put(root, "bin/busybox", "/bin/busybox")
    put(root, "init", os.path.join(HERE, "init"))
    put(root, "etc/serve.toml", os.path.join(HERE, "serve.toml"), 0o644)
    modules = modules_in_order()
    for module in modules:
        put(root, "modules/" + os.path.basename(module), module, 0o644)
    with open(os.path.join(root, "modules/order"), "w", encoding="utf-8") as f:
        f.write("\n".join(os.path.basename(m)[:-3] for m in modules))
    put_weir(root)
    archive = os.path.join(work, "initramfs")
    os.chmod(root, 0o755)  # the guest's /: EAL wants drivers in a place that only root can change
    names = ["."] + sorted(os.path.relpath(os.path.join(at, name), root)
                           for at, folders, files in os.walk(root) for name in folders + files)
    with open(archive, "wb") as out:
        subprocess.run(["cpio", "--quiet", "--create", "--format=newc", "--owner=0:0"], cwd=root,
                       input="\n".join(names).encode(), stdout=out, check=True)
    shutil.rmtree(root)
    return archive


# -- QEMU ------------------------------------------------------------------------------------------


class Guest:
    """A running guest. `net` is QEMU's netdev, `nic` what is to be added to the virtio device,
    `words` what to the kernel's command line."""

    def __init__(self, directory, initramfs, mode, net, nic="", cores=1, words="", shell=False):
        self.console_path = os.path.join(directory, "console")
        self.lines_path = os.path.join(directory, "lines")
        open(self.lines_path, "wb").close()
        command = [
            "qemu-system-x86_64", "-cpu", "max", "-machine", "pc,accel=tcg,memory-backend=memory",
            "-object", "memory-backend-memfd,id=memory,size=256M,share=on", "-m", "256M",
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-kernel", kernel_image(), "-initrd", initramfs,
            "-smp", str(cores), "-append",
            "console=ttyS0 panic=-1 %s mode=%s cores=%d %s" % ("" if shell else "quiet", mode, cores,
                                                               words),
            "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
            "-serial", "file:" + self.lines_path,
            *net, "-device",
            "virtio-net-pci,netdev=net,addr=2,mac=52:54:00:99:00:02,romfile=" + nic]
        if shell:  # on the terminal, or what stdin and stdout are
            self.process = subprocess.Popen(command)
            return
        with open(self.console_path, "wb") as console:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=console,
                                            stderr=subprocess.STDOUT, start_new_session=True)

    def pin(self, cpu):
        """All of it to one CPU of the host's: a vCPU that polls beside a process that polls."""
        for task in os.listdir("/proc/%d/task" % self.process.pid):
            os.sched_setaffinity(int(task), {cpu})

    def lines(self):
        """The whole lines that came over the second serial port."""
        with open(self.lines_path, encoding="utf-8", errors="replace") as f:
            return [line.strip("\r\n") for line in f.read().split("\n")[:-1]]

    def events(self, event):
        """weir's JSON lines of one kind."""
        return [json.loads(line) for line in self.lines()
                if line.startswith("{") and '"event":"%s"' % event in line]

    def words(self, word):
        """What follows `word` in the lines of the guest's init."""
        return [line[len(word) + 1:] for line in self.lines() if line.startswith(word + " ")]

    def console_tail(self, count=15):
        with open(self.console_path, encoding="utf-8", errors="replace") as f:
            text = re.sub(r"\x1b[\[c][0-9;?]*[A-Za-z]?", "", f.read())
        return [line.rstrip() for line in text.splitlines() if line.strip()][-count:]

    def expect_alive(self):
        code = self.process.poll()
        expect(code is None, lambda: "the guest ended by itself (QEMU's exit code %d)" % code)

    def wait_ready(self):
        def ready():
            self.expect_alive()
            return self.events("ready")
        return wait_for("weir gets ready in the guest", ready, BOOT)[0]

    def wait_stats(self, what, condition, limit=60):
        """Until a line of statistics that came after this call fits; that line."""
        seen = len(self.events("stats"))

        def look():
            self.expect_alive()
            return next((s for s in self.events("stats")[seen:] if condition(s)), None)
        return wait_for(what, look, limit)

    def summary(self):
        before = len(self.events("summary"))
        self.command("usr1")

        def fresh():
            self.expect_alive()
            return self.events("summary")[before:]
        return wait_for("weir prints a summary", fresh)[0]

    def command(self, word):
        self.expect_alive()
        self.process.stdin.write(word.encode() + b"\n")
        self.process.stdin.flush()

    def wait_off(self, limit=BOOT):
        """Until the guest has powered itself off."""
        try:
            self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise Wrong("the guest does not power off within %d s" % limit) from None
        code = self.process.returncode
        expect(code == 0, lambda: "QEMU's exit code %d" % code)

    def kill(self):
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
