#!/usr/bin/env python3
"""The main job of Headstart, shown: tools/demo runs this when everything is built."""
import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time

from demo_network import (DEFAULTS, Network, address_of, default_limits, limits, run,
                          table_statistics)

BIN = os.environ.get("HEAD_BIN", "")


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def number(kind, least, most):
    """What argparse makes of an option's text: a number in that range."""
    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is no number from {least} to {most}")
        return value
    return parse


def arguments():
    parser = Parser(
        prog="tools/demo", description="Two thousand discs, each at an IPv6 address of its own, on "
        "a kernel whose neighbour table holds 1,024: first without headd's keeper, then with it. "
        "Leaves the machine as it found it.")
    parser.add_argument("--discs", type=number(int, 1, 20000), default=2000, metavar="N",
                        help="how many (default 2000)")
    parser.add_argument("--seconds", type=number(float, 0.1, 3600), default=40, metavar="N",
                        help="of requests, each time (default 40)")
    parser.add_argument("--rate", type=number(int, 1, 100000), default=400, metavar="N",
                        help="requests per second, all discs (default 400)")
    parser.add_argument("--solicitations", type=number(int, 0, 100000), default=200,
                        metavar="N", help="neighbour solicitations a second that a tail answers; "
                        "0: all (default 200)")
    parser.add_argument("--json", action="store_true", help="the measurements as JSON")
    parser.add_argument("--wait", action="store_true",
                        help="wait for Enter at the end, for a look around (default on a terminal)")
    parser.add_argument("--only-parse", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def say(text=""):
    print(text, file=sys.stderr if OPTIONS.json else sys.stdout, flush=True)


class Headd:
    """One headd in the head's namespace, and what is asked of it."""

    def __init__(self, network, name, *options):
        self.network = network
        self.run_dir = os.path.join(network.folder, name)
        self.api = os.path.join(self.run_dir, "api.sock")
        os.makedirs(self.run_dir)
        config = os.path.join(network.folder, "head.toml")
        with open(config, "w", encoding="ascii") as file:
            file.write('[metrics]\nlisten = "off"\n')
        self.process = network.start(
            "head", os.path.join(BIN, "headd"), "--config", config, "--state-dir",
            os.path.join(network.folder, name + "-state"), "--run-dir", self.run_dir, *options)
        wait_for("headd", 20, lambda: self.try_ctl("status") is not None)

    def try_ctl(self, *command):
        """What headctl says; None when it fails."""
        done = subprocess.run(
            self.network.inside("head", os.path.join(BIN, "headctl"), "--api", self.api, *command),
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        return done.stdout if done.returncode == 0 else None

    def ctl(self, *command):
        return run(*self.network.inside("head", os.path.join(BIN, "headctl"), "--api", self.api,
                                        *command))

    def ask(self, *command):
        return json.loads(self.ctl(*command, "--json"))

    def stop(self):
        self.network.stop(self.process)


def wait_for(what, seconds, ready):
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise SystemExit(f"demo: waited {seconds} s in vain for {what}")
        time.sleep(0.05)


def connected(headd):
    return sum(disc["state"] == "ready" for disc in headd.ask("discs")["discs"])


def attach_all(network, headd, patience):
    """Imports the discs, and gives them time to connect. Returns how many did, and the time."""
    path = os.path.join(network.folder, "discs")
    with open(path, "w", encoding="ascii") as file:
        for disc in range(network.discs):
            mac = network.macs[network.tail_of(disc)]
            file.write(f"disc{disc} nbd://[{address_of(disc)}]/ lladdr={mac} dev=eth0\n")
    begin = time.monotonic()
    headd.ctl("import", path)
    ready = 0
    while ready < network.discs and time.monotonic() - begin < patience:
        time.sleep(0.25)
        ready = connected(headd)
    return ready, time.monotonic() - begin


def measure(network, name, *options):
    """Runs headd with these options and load on all discs; returns what was measured."""
    before = table_statistics()
    headd = Headd(network, name, *options)
    ready, took = attach_all(network, headd, 20)
    say(f"  {ready} of {network.discs} discs connected after {took:.1f} s; "
        f"{OPTIONS.rate} requests/s over all of them for {OPTIONS.seconds:g} s …")
    load = json.loads(run(*network.inside(
        "head", os.path.join(BIN, "head-bench"), "load", os.path.join(headd.run_dir, "discs"),
        "--rate", str(OPTIONS.rate), "--seconds", str(OPTIONS.seconds), "--json")))
    after = table_statistics()
    load["connected_at_start"] = ready
    load["attach_seconds"] = took
    load["by_cause"] = headd.ask("status")["stalls"]
    load["discs_waiting"] = headd.ask("stalls")["waiting_total"]
    load["neighbour_missing"] = headd.ask("neigh")["counters"]["looks_bad"]
    load["table"] = {key: after[key] - before[key] for key in ("table_fulls", "forced_gc_runs")}
    load["table"]["entries"] = after["entries"]
    load["limits"] = limits()
    return headd, load


def milliseconds(value):
    return f"{value / 1000:.2f} s" if value >= 1000 else f"{value:.2f} ms"


def print_distributions(without, with_keeper):
    say(f"\n{'a 4 KiB request took':>24}   {'without the keeper':>20}   {'with it':>20}")
    for key, label in (("p50_ms", "p50"), ("p99_ms", "p99"), ("p999_ms", "p99.9"),
                       ("max_ms", "longest")):
        say(f"{label:>24}   {milliseconds(without[key]):>20}   "
            f"{milliseconds(with_keeper[key]):>20}")
    previous = (0, 0)
    rows = list(zip(without["up_to_ms"], with_keeper["up_to_ms"]))
    for (limit, a), (_, b) in rows:
        label = f"{limit:g} ms" if limit < 1000 else f"{limit / 1000:g} s"
        say(f"{'to ' + label:>24}   {share(a - previous[0], without):>20}   "
            f"{share(b - previous[1], with_keeper):>20}")
        previous = (a, b)
    totals = [load["answered"] + load["still_waiting"] for load in (without, with_keeper)]
    say(f"{'more':>24}   {share(totals[0] - previous[0], without):>20}   "
        f"{share(totals[1] - previous[1], with_keeper):>20}")


def share(count, load):
    total = max(1, load["answered"] + load["still_waiting"])
    return f"{count} ({100 * count / total:5.2f} %)" if count else "-"


def print_counts(without, with_keeper):
    say()
    rows = [("discs that guests could open", "discs_opened"), ("requests", "requests"),
            ("stalls (over 20 ms)", "stalls"), ("waiting still at the end", "still_waiting"),
            ("errors", "errors")]
    for label, key in rows:
        say(f"{label:>42}   {without[key]:>12}   {with_keeper[key]:>12}")
    for cause in with_keeper["by_cause"]:
        say(f"{'headd: answered or open late, ' + cause:>42}   {without['by_cause'][cause]:>12}   "
            f"{with_keeper['by_cause'][cause]:>12}")
    say(f"{'headd: discs that wait still at the end':>42}   {without['discs_waiting']:>12}   "
        f"{with_keeper['discs_waiting']:>12}")
    say(f"{'headd: looks that found no neighbour':>42}   {without['neighbour_missing']:>12}   "
        f"{with_keeper['neighbour_missing']:>12}")
    for label, key in (("kernel: table was full", "table_fulls"),
                       ("kernel: forced collections", "forced_gc_runs"),
                       ("kernel: entries at the end", "entries")):
        say(f"{label:>42}   {without['table'][key]:>12}   {with_keeper['table'][key]:>12}")
    for load, label in ((without, "without"), (with_keeper, "with")):
        say(f"{'kernel: limits, ' + label:>42}   {'/'.join(map(str, load['limits']))}")


def look_around(network, headd):
    """Shows where to look next; waits on a terminal."""
    say("\nThe neighbour table, as headctl neigh shows it:")
    for line in headd.ctl("neigh").splitlines()[:12]:
        say("  " + line)
    wait = OPTIONS.wait or sys.stdin.isatty()
    say("\nWhile this waits, look around from another shell:" if wait else
        "\nWhere to look next (with --wait, the demo waits for it at the end):")
    prefix = f"ip netns exec {network.names['head']} {os.path.relpath(BIN)}/headctl"
    for command in ("status", "stalls", "latency", "discs", "neigh", "top"):
        say(f"  {prefix} --api {headd.api} {command}")
    if not wait:
        return
    say("Enter ends the demo.")
    with contextlib.suppress(EOFError):
        input()


def demo(network):
    say(f"A head and two tails, {network.discs} discs with an address each on nbdkit; the kernel's "
        f"neighbour table at its defaults, {'/'.join(map(str, DEFAULTS))}.")
    if network.rate:
        say(f"Each tail answers at most {network.rate} neighbour solicitations per second "
            "(nftables): discovery costs something, as on a real network.")
    network.build()
    say("\n1. headd without its keeper (--no-neigh): the kernel finds neighbours by itself.")
    headd, without = measure(network, "without", "--no-neigh")
    headd.stop()
    run(*network.inside("head", "ip", "-6", "neigh", "flush", "dev", "eth0"))
    say("\n2. headd with its keeper: it sizes the table and fills it before the first request.")
    headd, with_keeper = measure(network, "with", "--table-netns", network.namespace_file())
    if OPTIONS.json:
        print(json.dumps({"without": without, "with": with_keeper}, indent=2))
    print_distributions(without, with_keeper)
    print_counts(without, with_keeper)
    look_around(network, headd)
    headd.stop()


def on_signals(action):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, action)


def interrupted(number, _):
    """The first signal ends the demo; no further one may interrupt the cleaning up."""
    on_signals(signal.SIG_IGN)
    sys.exit(128 + number)


def main():
    if os.geteuid() != 0:
        raise SystemExit("demo: it makes network namespaces: run it as root")
    on_signals(interrupted)
    begin = time.monotonic()
    network = Network(OPTIONS.discs, OPTIONS.solicitations)
    with default_limits():
        try:
            try:
                demo(network)
            finally:
                on_signals(signal.SIG_IGN)
        finally:
            network.remove()
    restored = "/".join(map(str, limits()))
    say(f"\nAll is as it was, the limits of the neighbour table too ({restored}). "
        f"Took {time.monotonic() - begin:.0f} s.")


if __name__ == "__main__":
    OPTIONS = arguments()
    if not OPTIONS.only_parse:
        main()
