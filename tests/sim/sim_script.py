#!/usr/bin/env python3
"""scripts/sim with a program that only plays the simulation: what it says of seeds that pass, fail,
die or hang, and that an interruption ends it at once, with what was run and nothing left behind."""
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SIM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts", "sim")
PROGRAM = f"""#!{sys.executable}
import os, sys, time
first, last = int(os.environ["WEIR_SIM_FIRST"]), int(os.environ["WEIR_SIM_SEEDS"])
of = lambda name: [int(s) for s in os.environ.get(name, "").split()]
for seed in range(first, last + 1):
    if seed in of("FAKE_HANGS"):
        with open(os.environ["FAKE_PIDS"], "a") as pids:
            pids.write("%d\\n" % os.getpid())
        time.sleep(60)
    if seed in of("FAKE_DIES"):
        os._exit(3)
    if seed in of("FAKE_FAILS"):
        print("an octet is wrong\\n  replay: WEIR_SIM_SEED=%d program" % seed)
        sys.exit(1)
"""


class SimScript(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        program = os.path.join(self.folder.name, "tests", "sim", "sim_transfer")
        os.makedirs(os.path.dirname(program))
        with open(program, "w", encoding="utf-8") as file:
            file.write(PROGRAM)
        os.chmod(program, 0o755)
        self.pids = os.path.join(self.folder.name, "pids")

    def start(self, *options, **fake):
        env = dict(os.environ, FAKE_PIDS=self.pids, **{k: str(v) for k, v in fake.items()})
        return subprocess.Popen([SIM, "--build", self.folder.name, "--jobs", "2", *options], env=env,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, start_new_session=True)

    def finish(self, run):
        try:
            return run.communicate(timeout=30)[0], run.returncode
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)

    def hung(self, wanted):
        """The processes that hang, once there are so many."""
        for _ in range(1_000):
            if os.path.exists(self.pids):
                with open(self.pids, encoding="utf-8") as file:
                    pids = file.read().split()
                if len(pids) >= wanted:
                    return [int(pid) for pid in pids]
            time.sleep(0.02)
        return self.fail("the program was not started")

    def gone(self, pid):
        for _ in range(250):
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return True
            time.sleep(0.02)
        return False

    def test_counts_what_passed(self):
        output, code = self.finish(self.start("--seeds", "4100"))
        self.assertEqual(output.splitlines()[-1], "4100 passed, 0 failed")
        self.assertEqual(code, 0)

    def test_goes_on_behind_a_seed_that_fails(self):
        output, code = self.finish(self.start("--seeds", "50", FAKE_FAILS="7 9"))
        self.assertIn("FAIL seed 7\n    | an octet is wrong", output)
        self.assertIn("replay: WEIR_SIM_SEED=9 WEIR_SIM_VERBOSE=1", output)
        self.assertEqual(output.splitlines()[-2:], ["seeds that failed: 7 9", "48 passed, 2 failed"])
        self.assertEqual(code, 1)

    def test_finds_the_seed_that_ends_without_a_word(self):
        output, code = self.finish(self.start("--start", "3", "--seeds", "12", FAKE_DIES="5"))
        self.assertIn("FAIL seed 5\n    | exit code 3", output)
        self.assertEqual(output.splitlines()[-1], "9 passed, 1 failed")
        self.assertEqual(code, 1)

    def test_finds_the_seed_that_hangs(self):
        output, code = self.finish(self.start("--seeds", "2", "--limit", "1", FAKE_HANGS="2"))
        self.assertIn("FAIL seed 2\n    | ran out of time", output)
        self.assertEqual(output.splitlines()[-1], "1 passed, 1 failed")
        self.assertEqual(code, 1)

    def interrupted(self, how):
        """Of three pieces one passes and two hang, one of them behind a failure."""
        run = self.start("--seeds", "6000", FAKE_FAILS="2001", FAKE_HANGS="2002 4001")
        pids = self.hung(2)
        how(run)
        output, code = self.finish(run)
        self.assertEqual(code, 130)
        self.assertIn("FAIL seed 2001", output)
        self.assertEqual(output.count("FAIL"), 1, output)
        lines = output.splitlines()
        self.assertEqual(lines[-4], "interrupted; to go on from here: --start 2001")
        self.assertEqual(lines[-2:], ["seeds that failed: 2001", "2000 passed, 1 failed, 4000 not run"])
        for pid in pids:
            self.assertTrue(self.gone(pid), "a program was left behind")

    def test_an_interruption_ends_it_with_what_was_run(self):
        self.interrupted(lambda run: os.kill(run.pid, signal.SIGINT))

    def test_so_does_one_of_the_terminal_which_all_its_processes_get(self):
        self.interrupted(lambda run: os.killpg(run.pid, signal.SIGINT))

    def test_so_does_sigterm(self):
        self.interrupted(lambda run: os.kill(run.pid, signal.SIGTERM))

    def test_a_second_one_changes_nothing(self):
        def twice(run):
            for _ in range(3):
                os.killpg(run.pid, signal.SIGINT)
        self.interrupted(twice)


if __name__ == "__main__":
    unittest.main()
