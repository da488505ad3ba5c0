#!/usr/bin/env bash
# A head whose kernel asks headd before it asks the network: a disc's entry is taken away a hundred
# times, a packet is sent at once, and it arrives although the tail's host hears no solicitation.
# Printed is how long the packets took, and how long one takes when headd is stopped and the kernel
# has to ask the network after all.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit python3 ip nft
need_root

make_networks

background tail ip netns exec "$tail_net" nbdkit -f -i fd00:77::2 memory 16M
await 10 "the tail" ip netns exec "$head_net" bash -c 'exec 3<>/dev/tcp/fd00:77::2/10809'
headd_prefix=(ip netns exec "$head_net") headd_options=()
printf '[metrics]\nlisten = "off"\n[neighbours]\nresponder = true\n' >"$work/head.toml"
start_headd
tail_uri='nbd://[fd00:77::2]/'
attach disc
[[ $(ip netns exec "$head_net" cat /proc/sys/net/ipv6/neigh/h0/app_solicit) == 1 ]] ||
  fail "the kernel does not ask headd"
answered() { headctl neigh --json | grep -Po '"answered": \K\d+'; }
before=$(answered)

# misses TIMES: in ms, the median and the longest of what a packet takes whose entry is gone.
misses() {  # An `ip` for each would take longer than what is measured.
  python3 - "$1" "/run/netns/$head_net" "/run/netns/$tail_net" <<'END'
import os, socket, statistics, struct, sys, time
times, head, tail = int(sys.argv[1]), *(os.open(name, os.O_RDONLY) for name in sys.argv[2:])
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def enter(net):
    if libc.setns(net, 0x40000000) != 0:  # CLONE_NEWNET
        sys.exit(f"setns: {os.strerror(ctypes.get_errno())}")
enter(tail)
there = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
there.bind(("fd00:77::2", 7777))
there.settimeout(10)
enter(head)
here = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
address = socket.inet_pton(socket.AF_INET6, "fd00:77::2")
gone = (struct.pack("=IHHII", 48, 29, 1, 1, 0) +  # RTM_DELNEIGH
        struct.pack("=BxxxiHBB", socket.AF_INET6, socket.if_nametoindex("h0"), 0, 0, 0) +
        struct.pack("=HH", 20, 1) + address)      # NDA_DST
took = []
for i in range(times):
    kernel.send(gone)
    begin = time.monotonic()
    here.sendto(struct.pack("=I", i), ("fd00:77::2", 7777))
    while there.recv(64) != struct.pack("=I", i):
        pass
    took.append((time.monotonic() - begin) * 1e3)
    time.sleep(0.01)
print(f"{statistics.median(took):.2f} ms, at most {max(took):.2f} ms")
END
}

ip netns exec "$tail_net" nft -f - <<<"table ip6 deaf {
  chain input { type filter hook input priority 0; icmpv6 type nd-neighbor-solicit drop; }
}"
printf 'headd answers:     %s\n' "$(misses 100)"
(($(answered) > before)) || fail "headd was not asked"
ip netns exec "$tail_net" nft delete table ip6 deaf
kill -STOP "${pids[headd]}"
printf 'headd is stopped:  %s\n' "$(misses 3)"
kill -CONT "${pids[headd]}"
stop_headd
