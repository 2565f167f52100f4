#!/usr/bin/env python3
"""Installs a build into an empty prefix, and builds and runs a C99 program with what is there.

    tests/install/installed.py BUILD_DIR

Both ways: with the shared object, of which nothing but weir.h's functions may be seen, and without.
Exits 0, or prints what is wrong and exits 1.
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
MESON = "/usr/bin/meson" if os.path.exists("/usr/bin/meson") else "meson"


def run(*command, **env):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env=dict(os.environ, **env), text=True,
                          timeout=120, check=False)
    if done.returncode != 0:
        sys.exit("%s: exit code %d\n%s" % (" ".join(command), done.returncode, done.stdout))
    return done.stdout.strip()


def one(pattern):
    found = glob.glob(pattern, recursive=True)
    if len(found) != 1:
        sys.exit("%s: %d of them" % (pattern, len(found)))
    return found[0]


def declared(header):
    with open(header, encoding="utf-8") as f:
        text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    return set(re.findall(r"WEIR_API[^;(]*?\b(weir_\w+)\s*\(", text))


def check_symbols(shared, header):
    shown = {line.split()[-1].split("@")[0]
             for line in run("nm", "-D", "--defined-only", shared).splitlines()}
    strange = {s for s in shown if not s.startswith("weir_") and s != "WEIR_1"}
    if strange:
        sys.exit("%s shows %s" % (shared, ", ".join(sorted(strange)[:5])))
    missing = declared(header) - shown
    if missing:
        sys.exit("%s lacks %s" % (shared, ", ".join(sorted(missing))))


def main():
    build = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="weir-install.") as root:
        run(MESON, "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", root)
        pc = one(root + "/**/pkgconfig/weir.pc")
        header = one(root + "/**/weir/weir.h")
        one(root + "/**/libweir.a")
        shared = one(root + "/**/libweir.so")
        prefix = os.path.dirname(os.path.dirname(os.path.dirname(header)))
        config = ["pkg-config", "--define-variable=prefix=" + prefix]
        env = {"PKG_CONFIG_PATH": os.path.dirname(pc)}
        flags = run(*config, "--cflags", "weir", **env).split()
        source, strict = os.path.join(HERE, "echo.c"), ["-Wall", "-Wextra", "-Werror", "-pedantic"]
        check_symbols(shared, header)
        for name, options, libs in (
                ("shared", [], run(*config, "--libs", "weir", **env)),
                ("static", ["-static"], run(*config, "--static", "--libs", "weir", **env))):
            program = os.path.join(root, name)
            run("cc", "-std=c99", "-D_DEFAULT_SOURCE", *strict, *flags, source, "-o", program,
                *options, *libs.split())
            print("%s: %s" % (name, run(program, LD_LIBRARY_PATH=os.path.dirname(shared))))
        run("c++", "-std=c++20", *strict, *flags, "-x", "c++", "-fsyntax-only", header)


main()
