#!/usr/bin/env bash
# A disc's neighbour entry goes away, and who asks for it is not answered for 300 ms, five times:
#
#   off     the keeper is off: requests wait, and headd says how often and for how long;
#   traced  the same, and it agrees within a tenth with what bpftrace sees in the kernel;
#   on      the keeper is on: nobody waits, and headd says so.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
how=${1:?off, traced or on}
need qemu-io nbdkit ip nft unshare python3 curl
[[ $how != traced ]] || need bpftrace
need_root
in_own_network "$how"
address=fd00:6::7 mac=02:00:00:00:06:01 head_mac=02:00:00:00:06:00
rounds=5

# The names of namespaces and of the device are this script's own.
mount -t tmpfs tmpfs /run
device=hs$$
ip link set lo up
ip netns add tail
ip link add $device address $head_mac type veth peer name t0 address $mac netns tail
ip link set $device up
ip -n tail link set lo up
ip -n tail link set t0 up
ip addr add fd00:6::1/64 dev $device nodad
ip -n tail addr add $address/64 dev t0 nodad
# What the tail sends must not tell the head where it is.
ip -n tail neigh add fd00:6::1 lladdr $head_mac dev t0 nud permanent
echo 100 >/proc/sys/net/ipv6/neigh/$device/retrans_time_ms
echo 50 >/proc/sys/net/ipv6/neigh/$device/mcast_solicit
background tail ip netns exec tail nbdkit -f -p 10809 memory 64M
await 10 "the tail" ip netns exec tail python3 -c '
import socket; socket.create_connection(("::1", 10809))'

if [[ $how == traced ]]; then
  mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing ||
    skip "there is no tracefs"
  background bpf bpftrace "$here/../bpf/neighbour_waits.bt"
  for ((i = 0; i < 300; ++i)); do
    alive bpf || break
    grep -q Attaching "$work/bpf.log" && break
    sleep 0.1
  done
  sleep 1
  alive bpf && grep -q Attaching "$work/bpf.log" || skip "bpftrace does not work here"
fi

[[ $how == on ]] && headd_options=()
start_headd
headctl attach disc "nbd://[$address]:10809/" --lladdr $mac --wait >/dev/null

entry() { ip -6 neigh show "$address" dev $device; }
good() { entry | grep -qE 'REACHABLE|STALE|DELAY|PROBE|PERMANENT'; }
incomplete() { entry | grep -q INCOMPLETE; }
deaf() { ip netns exec tail nft -f - <<<"table ip6 deaf { chain in {
  type filter hook input priority 0; icmpv6 type nd-neighbor-solicit drop; }; }"; }
hearing() { ip netns exec tail nft delete table ip6 deaf; }

for ((i = 0; i < rounds; ++i)); do
  sleep 1.2
  deaf
  ip -6 neigh flush dev $device >/dev/null 2>&1
  [[ $how == on ]] && await 10 "the keeper" good
  background guest qemu-io -f raw -r "$(disc_uri disc)" -c 'read 0 4k'
  [[ $how == on ]] || await 10 "a request to wait" incomplete
  sleep 0.3
  hearing
  finish guest || fail "the guest met an error"
done

headctl status --json >"$work/status.json"
curl -sS --unix-socket "$work/run/api.sock" 'http://head/metrics?disc=disc' >"$work/metrics"
if [[ $how == traced ]]; then
  sleep 1
  stop bpf INT || true
fi
python3 - "$how" $rounds "$work" $device $address <<'END'
import json, os, re, sys
how, rounds, work, device, address = sys.argv[1:]
status = json.load(open(f"{work}/status.json"))
waits, seconds = status["neighbour_stalls"], status["neighbour_stall_seconds"]
metrics = dict(line.rsplit(" ", 1) for line in open(f"{work}/metrics") if line[0] != "#")
told = f"{waits} waits, {seconds} s; stalls {status['stalls']}"
assert int(metrics["head_neighbour_stalls_total"]) == waits, metrics
for series in ('head_neighbour_stall_seconds_total',
               'head_disc_neighbour_stall_seconds_total{disc="disc"}'):
    assert abs(float(metrics[series]) - seconds) < 1e-6, (series, metrics[series], told)
if how == "on":
    assert waits == 0 and seconds == 0, told
else:
    assert waits == int(rounds), told
    assert 0.25 * waits < seconds < 3 * waits, told
if how == "traced":
    seen = [int(line.split()[2]) / 1e6 for line in open(f"{work}/bpf.log")
            if line.startswith(f"{device} {address} ")]
    told += f"; the kernel: {len(seen)} waits, {sum(seen)} s"
    # The connection that began it all waited as well, before there was a request.
    seen = seen[-int(rounds):]
    assert len(seen) == waits and abs(sum(seen) - seconds) < 0.1 * sum(seen), told
print(told)
END
stop_headd
