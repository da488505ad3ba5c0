#!/usr/bin/env bash
# Route mode with a fleet: a route for each disc over its tail's link-local address, and an entry
# for each tail alone. The tails take the discs' addresses without answering for them (AnyIP), so
# that nothing but the routes leads there. Usage: routes.sh DISCS
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
discs=${1:?how many discs}
need nbdkit ip unshare python3
need_root
[[ -x $HEAD_BIN/head-bench ]] || skip "there is no head-bench in $HEAD_BIN"
in_own_network "$discs"
headd_options=()
mac1=02:00:00:00:04:01 mac2=02:00:00:00:04:02
hop1=fe80::ff:fe00:401 hop2=fe80::ff:fe00:402

make_switch fd00:4::1/64
python3 - "$discs" "$work" <<'END'
import sys
discs, work = int(sys.argv[1]), sys.argv[2]
with open(f"{work}/discs", "w") as file:
    for i in range(discs):
        print(f"d{i} nbd://[fd00:4::1:{i:x}]/ lladdr=02:00:00:00:04:01", file=file)
with open(f"{work}/moves", "w") as file:
    for i in range(discs):
        print(f"d{i} to=tail2", file=file)
END
truncate -s 64M "$work/tail.img"
for i in 1 2; do
  ip link add t$i address 02:00:00:00:04:0$i netns tail$i type veth peer name p-t$i netns switch
  ip -n switch link set p-t$i master sw0 up
  ip netns exec tail$i sysctl -qw net.ipv6.conf.t$i.accept_dad=0
  ip -n tail$i link set lo up
  ip -n tail$i link set t$i up
  ip -n tail$i -6 route add fd00:4::/64 dev t$i
  ip -n tail$i -6 route add local fd00:4::1:0/112 dev lo
  background tail$i ip netns exec tail$i nbdkit -f -t 1 -p 10809 file "$work/tail.img"
done
connected() { ip netns exec "$1" ss -Htn state established sport = :10809 | wc -l; }
all_with() { (($(connected "$1") == discs)); }
routes() { ip -6 route show proto 72 | grep -c "${1:-via}" || true; }
led() { (($(routes "$1") == $2)); }
entries() { ip -6 neigh show proto 72 | grep -c "^fd00:4" || true; }
entered() { (($(entries) == $1)); }
all_ready() { headctl status --json | python3 -c '
import json, sys
sys.exit(json.load(sys.stdin)["by_state"].get("ready", 0) != int(sys.argv[1]))' "$discs"; }
leased_no_more() { ! ip -6 route get fd00:4::1:9 | grep -q via; }

configure() { # configure MODE
  cat >"$work/head.toml" <<END
[metrics]
listen = "off"
[neighbours]
mode = "$1"
lease_s = 10
[tails]
tail2 = "$mac2"
END
}
configure routes
start_headd
headctl import "$work/discs" --wait >/dev/null
all_with tail1 || fail "$(connected tail1) discs are with the first tail"
# They are neighbours until that tail, of which nobody knew, has answered.
await 10 "a route of each disc over the first tail" led $hop1 "$discs"
await 10 "no entry of a disc" entered 0
headctl neigh >"$work/neigh"
grep -qE "^fd00:4::1:0 +h0 +$hop1 +$mac1 +held +[0-9]+s +d0" "$work/neigh" ||
  fail "neigh shows no next hop and lease"
grep -q "^routes: $discs discs' addresses led over tails, 0 tails do not answer" "$work/neigh" ||
  fail "neigh does not sum up"
headctl doctor >"$work/doctor" || (($? == 1)) || fail "the doctor: $(<"$work/doctor")"

background load "$HEAD_BIN/head-bench" load --seconds 8 --rate 500 --json "$work/run/discs"
sleep 3
headctl move d0 --to tail2 >/dev/null
# It is a neighbour until that tail, of which nobody knew, has answered.
await 5 "the moved disc's route over the other tail" led $hop2 1
headctl import --moves "$work/moves" | tee "$work/answer"
grep -q "^$discs discs moved in [0-9.]* [mu]*s$" "$work/answer" || fail "it says otherwise"
led $hop2 "$discs" || fail "$(routes $hop2) routes lead over the second tail"
await 10 "all discs with the second tail" all_with tail2
finish load || fail "the guests' load ended with status $?"
python3 - "$work/load.log" <<'END' || fail "a guest met an error: $(<"$work/load.log")"
import json, sys
load = json.load(open(sys.argv[1]))
print("of %d requests the longest took %.0f ms" % (load["requests"], load["max_ms"]))
sys.exit(load["errors"] != 0 or load["requests"] == 0)
END

# A disc is announced where it is told to be no longer, and answers there: the wire is right.
ip -n tail1 addr add fd00:4::1:7/64 dev t1 nodad
ip netns exec tail1 python3 - fd00:4::1:7 <<'END'
import socket, sys
target = socket.inet_pton(socket.AF_INET6, sys.argv[1])
packet = bytes([136, 0, 0, 0, 0, 0, 0, 0]) + target + bytes.fromhex("0201020000000401")
raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
raw.sendto(packet, ("ff02::1", 0, 0, socket.if_nametoindex("t1")))
END
await 5 "the announced disc's route" led $hop1 1
headctl neigh --conflicts | grep -qE "^fd00:4::1:7 .*$mac1 .*the wire .*$mac2" ||
  fail "the conflict is not told of"
# What the load has written there proves the disc, as both tails have one file. Where it has written
# nothing yet that is known to be stable, an operator says that it is there. Either outlives this
# headd.
held() { headctl discs d7 --json | grep -q '"state": *"held"'; }
written_down() { grep -q proven_lladdr "$work/state/discs.json"; }
held_or_proven() { held || written_down; }
await 10 "the announced disc to be held, or proven" held_or_proven
written_down || headctl resume d7 >/dev/null
await 10 "where it is to be written down" written_down

# Killed and started again, nothing is lost meanwhile.
stop headd KILL || true
led via "$discs" || fail "$(routes) routes are left by a headd that was killed"
start_headd
await 10 "all discs ready again" all_ready
if ! led via "$discs" || ! led $hop1 1; then
  fail "of $(routes) routes $(routes $hop1) lead over the first tail"
fi

# From one mode to the other and back.
stop_headd
configure neighbours
start_headd
await 10 "entries in the place of routes" led via 0
entered "$discs" || fail "$(entries) discs have entries"
await 10 "all discs ready with entries" all_ready
stop_headd
configure routes
start_headd
await 10 "routes in the place of entries" led via "$discs"
await 10 "no entries of discs" entered 0
await 10 "all discs ready with routes" all_ready

# Nobody renews the leases of a headd that is dead: discs are on the link again.
stop headd KILL || true
await 15 "the end of the leases" leased_no_more
start_headd
await 10 "routes after the leases' end" led via "$discs"

python3 -c 'print(*("d%d" % i for i in range(int('"$discs"'))))' | xargs -n 100 -- \
  "$HEAD_BIN/headctl" --api "$work/run/api.sock" detach >/dev/null
await 10 "no routes" led via 0
entered 0 || fail "$(entries) entries are left"
stop_headd
