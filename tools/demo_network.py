"""The demo's network: a head and two tails, each a network namespace, joined by a switch.

    head ── switch ── tail 1   nbdkit, half of the discs' addresses
                  └── tail 2   nbdkit, the other half

The switch is a bridge in a namespace of its own, so that the machine's own network is not touched.
What is kernel-global, the limits of the neighbour table, is put back by default_limits.
"""
import contextlib
import os
import subprocess
import tempfile

PREFIX = "fd00:d15c:"
LIMITS = "/proc/sys/net/ipv6/neigh/default/gc_thresh"
DEFAULTS = (128, 512, 1024)
STATISTICS = "/proc/net/stat/ndisc_cache"


def run(*command, **options):
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False, **options)
    if done.returncode != 0:
        raise SystemExit(f"demo: {' '.join(command)} failed: {done.stdout.strip()}")
    return done.stdout


def limits():
    values = []
    for i in (1, 2, 3):
        with open(LIMITS + str(i), encoding="ascii") as file:
            values.append(int(file.read()))
    return tuple(values)


def set_limits(values):
    for i, value in enumerate(values, 1):
        with open(LIMITS + str(i), "w", encoding="ascii") as file:
            file.write(str(value))


def table_statistics():
    """The kernel's counters of its neighbour table, summed over the processors."""
    with open(STATISTICS, encoding="ascii") as file:
        names = file.readline().split()
        rows = [[int(word, 16) for word in line.split()] for line in file]
    total = {name: sum(row[i] for row in rows) for i, name in enumerate(names)}
    total["entries"] = rows[0][names.index("entries")]
    return total


@contextlib.contextmanager
def default_limits():
    """Gives the table the kernel's default limits, and at the end the ones it had."""
    if not os.path.exists(LIMITS + "3"):
        raise SystemExit("demo: the neighbour table's limits can only be set in the initial "
                         "network namespace: run this on the host, not in a container's network")
    before = limits()
    try:
        set_limits(DEFAULTS)
        yield
    finally:
        set_limits(before)


def address_of(disc):
    """The address of a disc; the low 24 bits differ, as they do where addresses are spread."""
    return f"{PREFIX}:1:{disc + 1:x}"


class Network:
    def __init__(self, discs, solicitations_per_second):
        self.discs = discs
        self.rate = solicitations_per_second
        self.folder = tempfile.mkdtemp(prefix="head-demo.")
        self.names = {role: f"headstart-{os.getpid()}-{role}"
                      for role in ("head", "switch", "tail1", "tail2")}
        self.macs = {"tail1": "02:00:00:00:01:01", "tail2": "02:00:00:00:01:02"}
        self.processes = []

    def tail_of(self, disc):
        return "tail1" if disc < (self.discs + 1) // 2 else "tail2"

    def inside(self, role, *command):
        return ["ip", "netns", "exec", self.names[role], *command]

    def start(self, role, *command):
        log = open(os.path.join(self.folder, f"{os.path.basename(command[0])}.log"), "ab")
        process = subprocess.Popen(self.inside(role, *command), stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log, start_new_session=True)
        self.processes.append(process)
        return process

    def stop(self, process):
        if process in self.processes:
            self.processes.remove(process)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def build(self):
        for name in self.names.values():
            run("ip", "netns", "add", name)
        run(*self.inside("switch", "ip", "link", "add", "br0", "type", "bridge"))
        run(*self.inside("switch", "ip", "link", "set", "br0", "up"))
        for role in ("head", "tail1", "tail2"):
            self.plug(role)
        run(*self.inside("head", "ip", "-6", "addr", "add", f"{PREFIX}:f/64", "dev", "eth0",
                         "nodad"))
        for tail in self.macs:
            self.add_addresses(tail)
            self.slow_discovery(tail)
            self.start(tail, "nbdkit", "-f", "-t", "1", "-i", "::", "-p", "10809", "memory", "1G")

    def plug(self, role):
        run(*self.inside("switch", "ip", "link", "add", role, "type", "veth", "peer", "name",
                         "eth0", "netns", self.names[role]))
        run(*self.inside("switch", "ip", "link", "set", role, "master", "br0", "up"))
        settings = ("accept_dad=0", "accept_ra=0", "autoconf=0")
        run(*self.inside(role, "sysctl", "-q",
                         *(f"net.ipv6.conf.eth0.{setting}" for setting in settings)))
        if role in self.macs:
            run(*self.inside(role, "ip", "link", "set", "eth0", "address", self.macs[role]))
        run(*self.inside(role, "ip", "link", "set", "lo", "up"))
        run(*self.inside(role, "ip", "link", "set", "eth0", "up"))

    def add_addresses(self, tail):
        batch = "".join(f"addr add {address_of(disc)}/64 dev eth0 nodad\n"
                        for disc in range(self.discs) if self.tail_of(disc) == tail)
        run(*self.inside(tail, "ip", "-6", "-batch", "-"), input=batch)

    def slow_discovery(self, tail):
        """A tail answers only so many neighbour solicitations, as a busy network does."""
        if not self.rate:
            return
        run(*self.inside(tail, "nft", f"""
            add table ip6 demo
            add chain ip6 demo input {{ type filter hook input priority 0; }}
            add rule ip6 demo input icmpv6 type nd-neighbor-solicit limit rate over \
{self.rate}/second burst {self.rate} packets drop"""))

    def namespace_file(self):
        """A file that stands for the initial network namespace, for headd's --table-netns."""
        path = os.path.join(self.folder, "initial-netns")
        open(path, "w", encoding="ascii").close()
        run("mount", "--bind", "/proc/self/ns/net", path)
        return path

    def remove(self):
        for process in list(self.processes):
            self.stop(process)
        path = os.path.join(self.folder, "initial-netns")
        if os.path.exists(path):
            subprocess.run(["umount", path], check=False, stderr=subprocess.DEVNULL)
        for name in self.names.values():
            if os.path.exists(f"/run/netns/{name}"):
                subprocess.run(["ip", "netns", "del", name], check=False)
        subprocess.run(["rm", "-rf", "--one-file-system", self.folder], check=False)
