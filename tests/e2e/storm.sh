#!/usr/bin/env bash
# A tail of COUNT discs that nobody uses dies: what is sent because of it, counted at a port of the
# switch that has nothing to do with it. The tail's own port is gone, so that the switch sends
# everywhere what is for it. Once the head knows that the tail is dead, all its discs together cost
# at most 20 packets a second, connections included; and when it is back, each is usable again.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
count=${1:?how many discs}
need nbdkit ip unshare python3
need_root
in_own_network "$count"
headd_options=()
make_switched_tails
ip netns add other
ip link add name o0 netns other type veth peer name p-o netns switch
ip -n switch link set p-o master sw0 up
ip netns exec other sysctl -qw net.ipv6.conf.o0.disable_ipv6=1
ip -n other link set o0 up
for n in $(seq "$count"); do printf 'addr add fd00:3::1:%x/64 dev t1 nodad\n' "$n"; done |
  ip -n tail1 -batch -
background tail1 ip netns exec tail1 nbdkit -f -t 1 -p 10809 memory 1M
printf '[metrics]\nlisten = "off"\n' >"$work/head.toml"
start_headd
python3 -c '
import json, sys
print(json.dumps({"version": 1, "discs": [
    {"name": "disc%d" % n, "uri": "nbd://[fd00:3::1:%x]:10809/" % n, "lladdr": sys.argv[2]}
    for n in range(1, int(sys.argv[1]) + 1)]}))' "$count" $mac1 >"$work/discs"
headctl import "$work/discs" >/dev/null
in_state() {
  [[ $(headctl discs --json | python3 -c '
import json, sys
print(sum(d["state"] == sys.argv[1] for d in json.load(sys.stdin)["discs"]))' "$1") == "$count" ]]
}
await 60 "the discs" in_state ready

cat >"$work/counter.py" <<'EOF'
import socket, sys, time
port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD))
port.bind(("o0", 0x86DD))
port.settimeout(0.1)
kinds, end = {}, time.time() + float(sys.argv[1])
while time.time() < end:
    try:
        packet = port.recv(2048)
    except TimeoutError:
        continue
    if packet[20] == 58 and packet[54] in (133, 134, 143):
        continue  # Of routers and of groups: nobody's tail.
    kind = {6: "TCP"}.get(packet[20], "other")
    if packet[20] == 58:
        kind = {135: "solicitations", 136: "advertisements"}.get(packet[54], "other ICMPv6")
    kinds[kind] = kinds.get(kind, 0) + 1
each = ", ".join("%s %.1f" % (kind, n / float(sys.argv[1])) for kind, n in sorted(kinds.items()))
print("%.1f packets a second at an uninvolved port (%s)" % (
    sum(kinds.values()) / float(sys.argv[1]), each))
sys.exit(sum(kinds.values()) > 20 * float(sys.argv[1]))
EOF
ip -n switch link set p-t1 down
await 60 "the loss of all connections" in_state reconnecting
sleep 1
ip netns exec other python3 "$work/counter.py" 20 || fail "it is a storm"
[[ $(headctl neigh) == *PERMANENT* ]] || fail "the kernel is left to ask"
ip -n switch link set p-t1 up
await 60 "the discs, again" in_state ready
[[ $(headctl neigh) != *PERMANENT* ]] ||
  await 5 "the kernel to mind its entries again" eval '[[ $(headctl neigh) != *PERMANENT* ]]'
stop_headd
stop tail1 KILL || true
