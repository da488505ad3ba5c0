#!/usr/bin/env python3
"""tools/demo leaves the limits of the neighbour table as it found them, however it ends, and
refuses a wrong command line before it does anything. Changing limits takes the initial network
namespace and root; the limits are the whole kernel's, so these tests put back what they found, and
take turns with others that change them."""
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import unittest

TOOLS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tools")
sys.dont_write_bytecode = True
sys.path.insert(0, TOOLS)
import demo_network  # noqa: E402

UNUSUAL = (131, 517, 4099)
# A demo of nothing: its limits, and then what the test says.
CHILD = f"""
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, {TOOLS!r})
import os, signal
import demo, demo_network
demo.on_signals(demo.interrupted)
with demo_network.default_limits():
    print(*demo_network.limits(), flush=True)
    """


@contextlib.contextmanager
def unusual_limits():
    with open("/run/lock/headstart-neighbour-limits", "a", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = demo_network.limits()
        try:
            demo_network.set_limits(UNUSUAL)
            yield
        finally:
            demo_network.set_limits(before)


@unittest.skipUnless(os.access(demo_network.LIMITS + "3", os.W_OK) and os.geteuid() == 0,
                     "the limits can be set in the initial network namespace only, as root")
class Limits(unittest.TestCase):
    def end_with(self, statement, status, send=None):
        with unusual_limits():
            child = subprocess.Popen([sys.executable, "-c", CHILD + statement], text=True,
                                     stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            self.assertEqual(child.stdout.readline().split(),
                             [str(limit) for limit in demo_network.DEFAULTS])
            if send:
                child.send_signal(send)
            self.assertEqual(child.wait(20), status)
            child.stdout.close()
            self.assertEqual(demo_network.limits(), UNUSUAL)

    def test_restored_at_the_end(self):
        self.end_with("pass", 0)

    def test_restored_when_something_fails(self):
        self.end_with("raise RuntimeError('for the test')", 1)

    def test_restored_when_somebody_ends_it(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(signal=number):
                self.end_with("signal.pause()", 128 + number, send=number)

    def test_restored_when_they_were_raised_meanwhile(self):
        self.end_with("demo_network.set_limits((2000, 4000, 8000))", 0)


class CommandLine(unittest.TestCase):
    def test_refused_with_one_sentence(self):
        for words in (["--frob"], ["--discs", "x"], ["--discs", "0"], ["--rate", "1.5"],
                      ["--seconds", "nan"], ["--solicitations", "-1"], ["--rate"]):
            with self.subTest(words=words):
                done = subprocess.run([os.path.join(TOOLS, "demo"), *words], text=True,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertEqual(done.stdout, "")
                self.assertTrue(done.stderr.startswith("tools/demo: "), done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)


if __name__ == "__main__":
    RESULT = unittest.main(verbosity=1, exit=False).result
    sys.exit(1 if not RESULT.wasSuccessful() else 77 if RESULT.skipped else 0)
