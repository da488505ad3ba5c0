#!/usr/bin/env python3
"""What can happen to the neighbour table of a head with many discs, and what its guests notice.

    neigh_faults.py EVENT [--discs N]     one event, checked
    neigh_faults.py all --discs 2000      every one, and a table of what was measured

A head and a tail behind a switch, each a network namespace; the tail answers 200 neighbour
solicitations a second. While guests ask all discs at random the event happens. After it every entry
is back: ours, usable, with the right link-layer address. No guest meets an error, and no request
waited for neighbour discovery: head_neighbour_stall_seconds_total is as it was, but for a
millisecond at most that a busy machine makes of sends that leave late. In the two events in which
nobody could have prevented it only those waited that had begun before the entries were back. Where
the way stays, no disc connects anew; where it goes, none does twice. Printed is that metric's
growth, for how long the longest request waited outside of the event, and when the entries were
back.

An event begins with its first command and ends with the last one: where addresses vanish with the
link, putting them back belongs to it.
"""
import argparse
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

BIN = os.environ.get("HEAD_BIN", "")
PREFIX = "fd00:fa:"
HEAD = f"{PREFIX}:f"
MAC = "02:00:00:00:fa:01"
LIMITS = "/proc/sys/net/ipv6/neigh/default/gc_thresh"
BACK_WITHIN = 15  # Seconds; a bound, not a measurement.
NOISE = 0.001      # Seconds; a send that leaves late for a reason of TCP's or of a busy processor.
# What nobody can prevent: the kernel itself drops every entry (ndisc_netdev_event(),
# NETDEV_CHANGEADDR), or somebody else does while headd is stopped. A request that leaves before its
# entry is back waits for just that.
UNPREVENTED = ("own-mac", "overflow")
# Where the way is gone for longer than a moment: who waits for an answer then connects anew.
WITHOUT_WAY = ("link-down-up", "carrier-loss", "recreate", "mtu-below-1280", "disable-ipv6",
               "overflow")
OURS = "72"       # NDA_PROTOCOL of headd's entries.


class Failed(Exception):
    pass


def run(*command, stdin=None, check=True, quiet=False):
    done = subprocess.run(command, input=stdin, text=True, stdout=subprocess.PIPE, check=False,
                          stderr=subprocess.DEVNULL if quiet else subprocess.STDOUT, timeout=120)
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(command)}: {done.stdout.strip()}")
    return done.stdout


def ip(*words, **options):
    return run("ip", *words, **options)


def batch(lines, *options, **more):
    """One process for many commands: what an operator's network service would do at once."""
    return run("ip", *options, "-batch", "-", stdin="".join(line + "\n" for line in lines), **more)


def wait_for(what, seconds, ready, how_it_is=lambda: "not ready"):
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise Failed(f"waited {seconds} s in vain for {what}: {how_it_is()}")
        time.sleep(0.02)


def address_of(disc):
    return f"{PREFIX}:1:{disc + 1:x}"


class Network:
    """The head is this process's own namespace; the names of the others are this mount
    namespace's."""

    dev = "h0"

    def __init__(self, discs):
        self.discs = discs
        self.folder = tempfile.mkdtemp(prefix="head-faults.")
        self.processes = []

    def build(self):
        for name in ("switch", "tail", "tenant"):
            ip("netns", "add", name)
        batch(["link add sw0 type bridge", "link set sw0 up"], "-n", "switch")
        self.plug()
        batch(self.up_again())
        ip("link", "set", "lo", "up")
        ip("link", "add", "name", "t0", "address", MAC, "netns", "tail", "type", "veth", "peer",
           "name", "p-t0", "netns", "switch")
        batch(["link set p-t0 master sw0 up"], "-n", "switch")
        batch(["link set lo up", "link set t0 up"] +
              [f"addr add {address_of(disc)}/64 dev t0 nodad" for disc in range(self.discs)], "-n",
              "tail")
        run("ip", "netns", "exec", "tail", "nft", """
            add table ip6 faults
            add chain ip6 faults input { type filter hook input priority 0; }
            add rule ip6 faults input icmpv6 type nd-neighbor-solicit limit rate over 200/second \
burst 200 packets drop""")
        self.start("nbdkit", "ip", "netns", "exec", "tail", "nbdkit", "-f", "-t", "1", "-i", "::",
                   "-p", "10809", "memory", "64M")

    def plug(self):
        """The head's interface, unplugged from nothing: as a driver would make it."""
        ip("link", "add", self.dev, "type", "veth", "peer", "name", "p-h0", "netns", "switch")
        batch(["link set p-h0 master sw0 up"], "-n", "switch")

    def up_again(self):
        """What the operator's network service does with the interface."""
        return [f"link set {self.dev} up", f"addr add {HEAD}/64 dev {self.dev} nodad"]

    def start(self, name, *command):
        with open(os.path.join(self.folder, name + ".log"), "ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def stop(self, process, how=signal.SIGTERM):
        self.processes.remove(process)
        process.send_signal(how)
        try:
            return process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def close(self):
        for process in list(reversed(self.processes)):
            self.stop(process)

    def entries(self):
        """Of the head's table, by address."""
        shown = json.loads(ip("-d", "-j", "-6", "neigh", "show", "nud", "all") or "[]")
        return {entry["dst"]: entry for entry in shown if entry["dst"].startswith(PREFIX)}

    @staticmethod
    def at_right_lladdr():
        """How many entries have the tail's link-layer address; quickly, to disturb nothing."""
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
            kernel.settimeout(10)
            kernel.send(struct.pack("=IHHII", 28, 30, 0x301, 1, 0) +  # RTM_GETNEIGH, a dump.
                        struct.pack("=BxxxiHBB", socket.AF_INET6, 0, 0, 0, 0))
            right, lladdr = 0, struct.pack("=HH", 10, 2) + bytes.fromhex(MAC.replace(":", ""))
            while True:
                part = kernel.recv(1 << 16)
                right += part.count(lladdr)
                if struct.unpack_from("=IH", part, len(part) - 20) == (20, 3):  # NLMSG_DONE
                    return right

    def wrong(self):
        """How many discs' entries are not as they should be, and one of them."""
        there = self.entries()
        found = []
        for disc in range(self.discs):
            entry = there.get(address_of(disc), {})
            usable = not {"FAILED", "INCOMPLETE", "PERMANENT"} & set(entry.get("state", []))
            right = (entry.get("lladdr") == MAC and entry.get("protocol") == OURS and usable and
                     "extern_learn" in entry and entry.get("dev") == self.dev)
            if not right:
                found.append((address_of(disc), entry))
        return len(found), found[:1]


class Headd:
    """Our headd with the discs, and the guests that ask them."""

    def __init__(self, network, options):
        self.network = network
        self.options = options
        self.run_dir = os.path.join(network.folder, "run")
        os.makedirs(self.run_dir)
        self.config = os.path.join(network.folder, "head.toml")
        with open(self.config, "w", encoding="ascii") as file:
            file.write('[metrics]\nlisten = "off"\n')

    def open(self):
        self.start()
        path = os.path.join(self.network.folder, "discs")
        with open(path, "w", encoding="ascii") as file:
            for disc in range(self.network.discs):
                file.write(f"disc{disc} nbd://[{address_of(disc)}]/ lladdr={MAC}\n")
        self.ctl("import", path)
        wait_for("the discs to open", 60, lambda: self.ready() == self.network.discs)

    def start(self):
        self.process = self.network.start(
            "headd", os.path.join(BIN, "headd"), "--config", self.config, "--state-dir",
            os.path.join(self.network.folder, "state"), "--run-dir", self.run_dir, *self.options)
        wait_for("headd's API", 20, lambda: not self.ctl("status", check=False).startswith(
            "headctl: "))

    def ctl(self, *words, **options):
        return run(os.path.join(BIN, "headctl"), "--api", os.path.join(self.run_dir, "api.sock"),
                   *words, **options)

    def ask(self, *words):
        return json.loads(self.ctl(*words, "--json"))

    def stall_seconds(self):
        """head_neighbour_stall_seconds_total, as Prometheus reads it."""
        with socket.socket(socket.AF_UNIX) as api:
            api.settimeout(20)
            api.connect(os.path.join(self.run_dir, "api.sock"))
            api.sendall(b"GET /metrics HTTP/1.1\r\nHost: head\r\nConnection: close\r\n\r\n")
            text = b""
            while part := api.recv(1 << 20):
                text += part
        found = re.search(rb"^head_neighbour_stall_seconds_total (\S+)$", text, re.MULTILINE)
        if not found:
            raise Failed(f"headd has no head_neighbour_stall_seconds_total: {text[:200]}")
        return float(found.group(1))

    def ready(self):
        return sum(disc["state"] == "ready" for disc in self.ask("discs")["discs"])

    def reconnects(self):
        """By disc."""
        return {disc["name"]: disc["reconnects"] for disc in self.ask("discs")["discs"]}

    def late_waits(self, since):
        """Requests that waited for neighbour discovery, and had begun after that (wall clock)."""
        told = self.ask("stalls", "--limit", "1000")["stalls"]
        if len(told) == 1000:
            raise Failed("there are more stalls than are told of")
        return [stall for stall in told
                if stall["cause"] == "neighbour" and stall["ended"] - stall["seconds"] > since]

    def load(self, rate):
        return subprocess.Popen(
            [os.path.join(BIN, "head-bench"), "load", os.path.join(self.run_dir, "discs"),
             "--rate", str(rate), "--seconds", "600", "--stall-ms", "5", "--json", "--reconnect"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


# --- Events --------------------------------------------------------------------------------------

PAUSE = 0.3  # How long what goes away stays away.
EVENTS = {}


def event(function):
    EVENTS[function.__name__.replace("_", "-")] = function
    return function


def some(world):
    """Every tenth disc's address."""
    return [address_of(disc) for disc in range(0, world.network.discs, 10)]


def conf(dev, key, value=None):
    path = f"/proc/sys/net/ipv6/conf/{dev}/{key}"
    if value is None:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    with open(path, "w", encoding="ascii") as file:
        return file.write(value)


@event
def link_down_up(world):
    ip("link", "set", world.network.dev, "down")
    time.sleep(PAUSE)
    batch(world.network.up_again())


@event
def carrier_loss(world):
    batch(["link set p-h0 down"], "-n", "switch")
    time.sleep(PAUSE)
    batch(["link set p-h0 up"], "-n", "switch")


@event
def own_mac(world):
    dev = world.network.dev
    before = json.loads(ip("-j", "link", "show", dev))[0]["address"]
    ip("link", "set", dev, "address", f"02:00:00:01:fa:{(int(before[-2:], 16) + 1) % 256:02x}")


@event
def rename(world):
    network = world.network
    other = "h9" if network.dev == "h0" else "h0"
    try:
        ip("link", "set", network.dev, "name", other)
        network.dev = other
    except Failed:  # Kernels before 6.2 want it down for that.
        batch([f"link set {network.dev} down", f"link set {network.dev} name {other}"])
        network.dev = other
        batch(network.up_again())


@event
def recreate(world):
    ip("link", "del", world.network.dev)
    time.sleep(PAUSE)
    world.network.plug()
    batch(world.network.up_again())


@event
def mtu_1400(world):
    ip("link", "set", world.network.dev, "mtu", "1400")
    time.sleep(PAUSE)
    ip("link", "set", world.network.dev, "mtu", "1500")


@event
def mtu_below_1280(world):
    ip("link", "set", world.network.dev, "mtu", "1200")
    time.sleep(PAUSE)
    batch([f"link set {world.network.dev} mtu 1500"] + world.network.up_again())


@event
def disable_ipv6(world):
    conf(world.network.dev, "disable_ipv6", "1")
    time.sleep(PAUSE)
    conf(world.network.dev, "disable_ipv6", "0")
    batch(world.network.up_again())


@event
def flush(_):
    # It counts on nobody putting them back, and gives up after ten rounds.
    ip("-6", "neigh", "flush", "all", check=False)


@event
def delete_some(world):
    batch([f"neigh del {address} dev {world.network.dev}" for address in some(world)])


@event
def replace_some(world):
    batch([f"neigh replace {address} dev {world.network.dev} lladdr 02:00:00:00:fa:99 nud stale"
           for address in some(world)])


@event
def tenant(world):
    """Somebody else's network namespace fills the table that all of them have together."""
    batch(["link add e0 type veth peer name e1", "link set e0 up", "link set e1 up"], "-n",
          "tenant")
    fulls = world.limits.overflows()
    fill = [f"neigh add fd00:fb::{i // 65536:x}:{i % 65536:x} dev e0 lladdr 02:00:00:00:fb:01 "
            "nud reachable" for i in range(1, world.limits.now()[2] + 200)]
    batch(fill, "-force", "-n", "tenant", check=False, quiet=True)
    if world.limits.overflows() == fulls:
        raise Failed("the table did not overflow")
    time.sleep(PAUSE)
    ip("-n", "tenant", "link", "del", "e0")


@event
def thresholds(world):
    """Somebody's `sysctl --system` puts the limits back to the kernel's defaults."""
    raised = world.limits.now()
    world.limits.set((128, 512, 1024))
    world.after.append(lambda: wait_for(
        "the limits to be raised again", 20,
        lambda: all(a >= b for a, b in zip(world.limits.now(), raised))))


@event
def overflow(world):
    """More changes than the kernel has room to tell of, with entries lost among them."""
    lost = world.headd.ask("neigh")["counters"]["notifications_lost"]
    world.after.append(lambda: wait_for(
        "the loss to be counted", 10,
        lambda: world.headd.ask("neigh")["counters"]["notifications_lost"] > lost))
    dev = world.network.dev
    quarrel = [f"neigh replace fd00:fb::1 dev {dev} lladdr 02:00:00:00:fb:{i % 2:02x} "
               "nud permanent" for i in range(220_000)]
    world.headd.process.send_signal(signal.SIGSTOP)
    begin = time.monotonic()
    try:
        batch(quarrel)
        ip("-6", "neigh", "flush", "all", check=False)
        ip("neigh", "del", "fd00:fb::1", "dev", dev)
    finally:
        world.headd.process.send_signal(signal.SIGCONT)
    return begin


@event
def kill(world):
    """headd dies and comes back; meanwhile the entries serve, and an orphan and a failed entry of
    ours are left that nobody wants. Until the discs are open there is nobody to ask."""
    network, dev = world.network, world.network.dev
    begin = time.monotonic()
    network.stop(world.headd.process, signal.SIGKILL)
    left = [f"{PREFIX}:2:1", f"{PREFIX}:2:2"]
    batch([f"neigh add {left[0]} dev {dev} lladdr {MAC} nud stale extern_learn protocol {OURS}",
           f"neigh add {left[1]} dev {dev} nud failed extern_learn protocol {OURS}"])
    count, first = network.wrong()
    if count:
        raise Failed(f"{count} entries do not outlive headd, as {first}")
    world.headd.start()
    wait_for("the discs to open again", 60, lambda: world.headd.ask(
        "status")["by_state"].get("ready") == network.discs)
    world.after.append(lambda: wait_for("the leftovers to be removed", 60, lambda: not any(
        address in network.entries() for address in left)))
    return begin


# --- The measurement -----------------------------------------------------------------------------


class Limits:
    """The limits of the kernel's one table, which only the initial network namespace has."""

    def __init__(self, namespace):
        self.namespace = namespace
        self.before = self.now() if namespace else None

    def inside(self, command):
        return run("nsenter", "--net=" + self.namespace, "sh", "-c", command)

    def now(self):
        return tuple(map(int, self.inside(f"cat {LIMITS}1 {LIMITS}2 {LIMITS}3").split()))

    def set(self, values):
        self.inside(" && ".join(f"echo {v} >{LIMITS}{i}" for i, v in enumerate(values, 1)))

    def overflows(self):
        rows = [line.split() for line in
                self.inside("cat /proc/net/stat/ndisc_cache").splitlines()]
        at = rows[0].index("table_fulls")
        return sum(int(row[at], 16) for row in rows[1:])

    def restore(self):
        if self.before:
            self.set(self.before)


class World:
    def __init__(self, discs, namespace, options):
        self.limits = Limits(namespace)
        self.after = []
        self.headd = None
        self.network = Network(discs)
        self.options = [*options, "--table-netns", namespace] if namespace else options

    def open(self):
        self.network.build()
        self.settings = self.settings_now()
        self.headd = Headd(self.network, self.options)
        self.headd.open()

    def settings_now(self):
        dev = self.network.dev
        values = {key: conf(dev, key) for key in ("ndisc_evict_nocarrier",)}
        for key in ("delay_first_probe_time", "retrans_time_ms", "ucast_solicit",
                    "mcast_resolicit"):
            with open(f"/proc/sys/net/ipv6/neigh/{dev}/{key}", encoding="ascii") as file:
                values[key] = file.read().strip()
        return values

    def close(self):
        try:
            if self.headd and self.headd.process in self.network.processes:
                self.network.stop(self.headd.process)
            self.network.close()
        finally:
            self.limits.restore()


def beyond(slow, begin, end):
    """For how many seconds the longest request waited outside of the event."""
    return max((answered - asked - max(0., min(answered, end) - max(asked, begin))
                for asked, answered in slow if answered > begin), default=0.)


def measure(world, name, rate):
    network = world.network
    wait_for("the entries before " + name, BACK_WITHIN, lambda: network.wrong()[0] == 0)
    stalled = 0 if name == "kill" else world.headd.stall_seconds()  # A new headd counts anew.
    before = {} if name == "kill" else world.headd.reconnects()
    load = world.headd.load(rate)
    try:
        time.sleep(2)
        began = time.monotonic()
        began = EVENTS[name](world) or began
        ended = time.monotonic()
        limit = ended + BACK_WITHIN
        while network.at_right_lladdr() < network.discs and time.monotonic() < limit:
            time.sleep(0.005)
        back, back_at = time.monotonic(), time.time()
        time.sleep(1)
        wait_for("the entries", BACK_WITHIN, lambda: network.wrong()[0] == 0,
                 lambda: f"{network.wrong()}")
        time.sleep(1)
        settings = world.settings_now()
        stalled = world.headd.stall_seconds() - stalled
    finally:
        load.terminate()
        told = load.communicate(timeout=30)[0]
    told = json.loads(told)
    for check in world.after:
        check()
    world.after.clear()
    if told["errors"] or told["not_taken"] or told["discs_opened"] != network.discs:
        raise Failed(f"{name}: guests met errors: {dict(told, slow=None, up_to_ms=None)}")
    if settings["ndisc_evict_nocarrier"] != "0" or int(settings["mcast_resolicit"]) < 3:
        raise Failed(f"{name}: the interface's settings are {settings}")
    if name in UNPREVENTED:
        if late := world.headd.late_waits(back_at):
            raise Failed(f"{name}: requests waited although the entries were back: {late[:3]}")
    elif stalled > NOISE:
        raise Failed(f"{name}: requests waited {stalled} s for neighbour discovery: "
                     f"{json.dumps(world.headd.ask('stalls'))[:2000]}")
    wait_for("all discs", BACK_WITHIN, lambda: world.headd.ready() == network.discs)
    anew = {disc: count - before.get(disc, 0)
            for disc, count in world.headd.reconnects().items() if count > before.get(disc, 0)}
    if anew and (name not in WITHOUT_WAY or max(anew.values()) > 1):
        raise Failed(f"{name}: {len(anew)} discs connected anew: {dict(list(anew.items())[:3])}")
    return {"event": name, "event_ms": (ended - began) * 1e3,
            "longest_beyond_ms": beyond(told["slow"], began, ended) * 1e3,
            "entries_back_ms": (back - ended) * 1e3,
            "head_neighbour_stall_seconds_total": stalled, "requests": told["requests"],
            "waiting": told["still_waiting"]}


def show(row, as_json):
    if as_json:
        return print(json.dumps(row), flush=True)
    back = f"{row['entries_back_ms']:.0f} ms"
    print(f"{row['event']:16} {row['event_ms']:6.0f} ms {row['longest_beyond_ms']:24.0f} ms "
          f"{back:>20} {row['head_neighbour_stall_seconds_total']:8.3f} s", flush=True)


def inside(options):
    names = list(EVENTS) if options.event == "all" else [options.event]
    world = World(options.discs, options.namespace, options.headd or [])
    try:
        world.open()
        if not options.json:
            print(f"{'event':16} {'took':>9} {'longest request beyond it':>27} "
                  f"{'entries back after':>20} {'stalled':>10}", flush=True)
        for name in names:
            show(measure(world, name, options.rate), options.json)
        status = world.network.stop(world.headd.process)
        if status != 0:
            raise Failed(f"headd ended with status {status} on SIGTERM")
        # Where validated entries stay, asking by multicast again stays too.
        now = dict(world.settings_now(), mcast_resolicit=world.settings["mcast_resolicit"])
        if now != world.settings:
            raise Failed(f"the interface's settings were {world.settings}, and are {now}")
    except Failed as failed:
        print(f"FAILED: {failed}", file=sys.stderr)
        sys.stderr.write(run("tail", "-n", "30", os.path.join(world.network.folder, "headd.log"),
                             check=False))
        return 1
    finally:
        world.close()
        run("rm", "-rf", "--one-file-system", world.network.folder)
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("event", choices=[*EVENTS, "all"])
    parser.add_argument("--discs", type=int, default=200, metavar="N", help="default 200")
    parser.add_argument("--rate", type=int, default=300, metavar="N",
                        help="requests a second (default 300)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--headd", action="append", metavar="OPTION", help="for headd")
    parser.add_argument("--namespace", help=argparse.SUPPRESS)  # The initial one's file.
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        run("mount", "-t", "tmpfs", "tmpfs", "/run")
        if options.namespace:
            open("/run/initial", "w", encoding="ascii").close()
            run("mount", "--bind", options.namespace, "/run/initial")
            options.namespace = "/run/initial"
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        return inside(options)
    # Few discs fit into the table as it is; the limits are everybody's.
    needs_limits = options.event in ("all", "tenant", "thresholds") or options.discs > 300
    if os.geteuid() != 0 or (needs_limits and not os.path.exists(LIMITS + "3")):
        print("SKIPPED: this needs root, and for the table's limits the initial network namespace")
        return 77
    command = ["unshare", "--net", "--mount", sys.executable, *sys.argv, "--inside"]
    if needs_limits:
        initial = os.open("/proc/self/ns/net", os.O_RDONLY)
        os.set_inheritable(initial, True)
        command += ["--namespace", f"/proc/{os.getpid()}/fd/{initial}"]
    os.execvp(command[0], command)


if __name__ == "__main__":
    sys.exit(main())
