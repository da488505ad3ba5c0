#!/usr/bin/env bash
# T15: a tail's host falls silent, without a goodbye, and is back with another Ethernet address, as
# when its address moves to another machine: a pause for its guests, no error and no wrong byte, and
# the neighbour table has the new address.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit ip nft
need_root

make_networks

# An address that was good a moment ago is believed for half a minute; here, for two seconds.
ip netns exec "$head_net" sysctl -qw net.ipv6.neigh.h0.base_reachable_time_ms=2000

truncate -s 64M "$work/tail.img"
background tail ip netns exec "$tail_net" nbdkit -f -i fd00:77::2 file "$work/tail.img"
await 10 "the tail" ip netns exec "$head_net" bash -c 'exec 3<>/dev/tcp/fd00:77::2/10809'
headd_prefix=(ip netns exec "$head_net") headd_options=()
# The server answers within milliseconds, or never: nothing of it outlives its connection for long.
printf '[metrics]\nlisten = "off"\n[discs]\nquarantine_ms = 1000\n' >"$work/head.toml"
start_headd
tail_uri='nbd://[fd00:77::2]/'
attach disc

start_guests disc --largest 64KiB --seconds 60
sleep 1 # Some of the guests' work; how much does not matter.
alive guests || fail "the guests ended early"
ip netns exec "$tail_net" nft -f - <<'EOT'
table inet gone {
  chain input { type filter hook input priority 0; policy drop; }
  chain output { type filter hook output priority 0; policy drop; }
}
EOT
moved=02:00:00:00:77:77
ip -n "$tail_net" link set t0 address "$moved"
sleep 2 # Longer than the kernel waits before it tries again.
alive guests || fail "the guests did not wait"
ip netns exec "$tail_net" nft delete table inet gone

finish_guests now
ip -n "$head_net" -6 neigh show to fd00:77::2 | grep -qF "$moved" ||
  fail "the neighbour table has $(ip -n "$head_net" -6 neigh show to fd00:77::2)"
stop_headd
