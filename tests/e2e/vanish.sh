#!/usr/bin/env bash
# T15: a tail's host falls silent, without a goodbye, and is back with another Ethernet address, as
# when its address moves to another machine: a pause for the guest, no error and no wrong byte, and
# the neighbour table has the new address.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need fio nbdkit ip nft
need_root

make_networks

# An address that was good a moment ago is believed for half a minute; here, for two seconds.
ip netns exec "$head_net" sysctl -qw net.ipv6.neigh.h0.base_reachable_time_ms=2000

truncate -s 64M "$work/tail.img"
background tail ip netns exec "$tail_net" nbdkit -f -i fd00:77::2 file "$work/tail.img"
await 10 "the tail" ip netns exec "$head_net" bash -c 'exec 3<>/dev/tcp/fd00:77::2/10809'
headd_prefix=(ip netns exec "$head_net") headd_options=()
start_headd
tail_uri='nbd://[fd00:77::2]/'
attach disc

start_guest --bsrange=4k-64k --io_size=96m --iodepth=16 --verify_backlog=128 --randrepeat=0 \
  --rate=,20m
sleep 1 # Some of the guest's work; how much does not matter.
alive guest || fail "the guest ended early"
ip netns exec "$tail_net" nft -f - <<'EOT'
table inet gone {
  chain input { type filter hook input priority 0; policy drop; }
  chain output { type filter hook output priority 0; policy drop; }
}
EOT
moved=02:00:00:00:77:77
ip -n "$tail_net" link set t0 address "$moved"
sleep 2 # Longer than the kernel waits before it tries again.
alive guest || fail "the guest did not wait"
ip netns exec "$tail_net" nft delete table inet gone

finish guest || fail "the guest met an error (fio's status $?)"
ip -n "$head_net" -6 neigh show to fd00:77::2 | grep -qF "$moved" ||
  fail "the neighbour table has $(ip -n "$head_net" -6 neigh show to fd00:77::2)"
stop_headd
