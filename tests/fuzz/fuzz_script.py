#!/usr/bin/env python3
"""scripts/fuzz in a tree of its own, with a target that only plays a fuzzer: what is said of runs and
findings, and that a corpus is written anew whole or not at all."""
import hashlib
import os
import shutil
import subprocess
import tempfile
import unittest

SCRIPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts")
LIB = """
build() { printf 'built %s\n' "$*" >>"$ROOT/built"; }
configure() { :; }
"""
# What libFuzzer does of what the script asks of it. `bad` in its corpus is a finding.
TARGET = """#!/bin/bash
merge='' prefix='' dirs=()
for a in "$@"; do
  case $a in
    -set_cover_merge=1) merge=1 ;;
    -artifact_prefix=*) prefix=${a#*=} ;;
    -*) ;;
    *) dirs+=("$a") ;;
  esac
done
[[ -f ${dirs[0]} ]] && { echo "ran $(basename "${dirs[0]}")"; exit; }
if [[ -n $merge ]]; then
  [[ -e ${dirs[1]}/fails ]] && exit 77
  for f in "${dirs[1]}"/* "${dirs[2]}"/*; do
    [[ $(basename "$f") == keep* ]] && cp "$f" "${dirs[0]}/$(sha1sum <"$f" | cut -c1-40)"
  done
  exit 0
fi
if [[ -e ${dirs[1]}/bad ]]; then cp "${dirs[1]}/bad" "${prefix}crash-1"; echo 'it broke'; exit 77; fi
echo 'stat::number_of_executed_units: 42'
echo 'stat::new_units_added: 3'
"""


class FuzzScript(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name
        for path in ("scripts", "tests/fuzz/corpus/one", "tests/fuzz/corpus/two",
                     "build/fuzz/tests/fuzz", "build/fuzz-corpus/one", "bin"):
            os.makedirs(os.path.join(self.root, path))
        shutil.copy(os.path.join(SCRIPTS, "fuzz"), os.path.join(self.root, "scripts", "fuzz"))
        with open(os.path.join(SCRIPTS, "lib.sh"), encoding="utf-8") as file:
            self.write("scripts/lib.sh", file.read() + LIB)
        self.write("scripts/setup", "#!/bin/sh\n", True)
        self.write("bin/ninja", "#!/bin/sh\ncase \"$*\" in *two*) exit 1;; esac\n", True)
        for name in ("one", "two"):
            self.write("tests/fuzz/%s_fuzz.cc" % name, "")
        self.write("build/fuzz/tests/fuzz/one_fuzz", TARGET, True)

    def write(self, path, text, program=False):
        path = os.path.join(self.root, path)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755 if program else 0o644)

    def corpus(self):
        return sorted(os.listdir(os.path.join(self.root, "tests/fuzz/corpus/one")))

    def fuzz(self, *options):
        env = dict(os.environ, PATH=os.path.join(self.root, "bin") + ":" + os.environ["PATH"])
        run = subprocess.run([os.path.join(self.root, "scripts", "fuzz"), *options], env=env, text=True,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, timeout=60, check=False)
        return run.stdout, run.returncode

    def test_says_what_ran(self):
        self.assertEqual(self.fuzz("--list"), ("one\ntwo\n", 0))
        output, code = self.fuzz()
        self.assertIn(" ok  fuzz/one: 42 runs, 3 new inputs", output)
        self.assertIn("skip two: a library that it needs is missing", output)
        self.assertEqual(output.splitlines()[-1], "1 passed, 0 failed")
        self.assertEqual(code, 0)

    def test_builds_only_what_is_named(self):
        self.fuzz("one")
        with open(os.path.join(self.root, "built"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "built fuzz tests/fuzz/one_fuzz\n")
        output, code = self.fuzz("two")
        self.assertIn("has no target 'two': a library", output)
        self.assertEqual(code, 1)

    def test_a_finding_fails_and_can_be_replayed(self):
        self.write("tests/fuzz/corpus/one/bad", "x")
        output, code = self.fuzz("one")
        self.assertIn("| it broke", output)
        self.assertEqual(code, 1)
        replay = "build/fuzz-findings/one/crash-1"
        self.assertIn("replay: scripts/fuzz one --input " + replay, output)
        self.assertEqual(self.fuzz("one", "--input", os.path.join(self.root, replay)),
                         ("ran crash-1\n", 0))

    def test_minimise_writes_the_corpus_anew(self):
        for path in ("tests/fuzz/corpus/one/keep-by-its-name", "tests/fuzz/corpus/one/drop",
                     "build/fuzz-corpus/one/keep"):
            self.write(path, path)
        output, code = self.fuzz("one", "--minimise")
        self.assertEqual((output.splitlines()[-1], code), ("2 inputs in tests/fuzz/corpus/one", 0))
        found = hashlib.sha1(b"build/fuzz-corpus/one/keep").hexdigest()[:12]
        self.assertEqual(self.corpus(), sorted([found, "keep-by-its-name"]))

    def test_minimise_that_fails_leaves_it_alone(self):
        for name in ("fails", "keep"):
            self.write("tests/fuzz/corpus/one/" + name, name)
        output, code = self.fuzz("one", "--minimise")
        self.assertIn("tests/fuzz/corpus/one is as it was", output)
        self.assertEqual((self.corpus(), code), (["fails", "keep"], 1))

    def test_minimise_that_keeps_nothing_does_too(self):
        self.write("tests/fuzz/corpus/one/drop", "x")
        output, code = self.fuzz("one", "--minimise")
        self.assertIn("no input reaches anything", output)
        self.assertEqual((self.corpus(), code), (["drop"], 1))

    def test_one_target_at_a_time(self):
        output, code = self.fuzz("--minimise")
        self.assertIn("name the one target that is meant", output)
        self.assertEqual(code, 1)


if __name__ == "__main__":
    unittest.main()
