#!/usr/bin/env bash
# Both ends of a storage network send packets of 9,000 bytes, and a switch between them carries
# 1,500: small requests are answered, large ones hang, and only the doctor says why. Once the ends
# send what the network carries, what hung goes on without an error.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit ip unshare python3 qemu-io setpriv
need_root
in_own_network
headd_options=()
address=fd00:3::7

make_switched_tails
truncate -s 64M "$work/tail1.img"
# Whole segments, as an interface puts them on a wire.
ip link set h0 mtu 9000 gso_max_segs 1
ip -n tail1 link set t1 mtu 9000 gso_max_segs 1
start_switched_tail 1 "$work/tail1.img"
ip -n tail1 addr add $address/64 dev t1 nodad
start_headd
headctl attach disc "nbd://[$address]:10809/" --lladdr $mac1 --wait >/dev/null

found() {
  headctl doctor --json >"$work/doctor.json" || true
  python3 - "$work/doctor.json" <<'END'
import json, sys
found = [one for one in json.load(open(sys.argv[1]))["findings"] if one["id"] == "large-packets"]
print(*(one["evidence"] for one in found))
assert all(one["severity"] == "stall" for one in found), found
END
}

small() { qemu-io -f raw "$(disc_uri disc)" -c "write -P 0x17 0 1k" >"$work/small.log"; }
small || fail "a small request is not answered: $(<"$work/small.log")"
background large qemu-io -f raw "$(disc_uri disc)" -c "write -P 0x18 1M 64k" \
  -c "read -P 0x18 1M 64k"
sleep 1
alive large || fail "a large request was answered: this network carries it"
wanted="$mac1, disc disc: 1280 bytes are answered, 9000 are not"
[[ $(found) == "$wanted" ]] || fail "found is: $(found); and not: $wanted"

ip link set h0 mtu 1500
ip -n tail1 link set t1 mtu 1500
finish large || fail "the guest met an error: $(<"$work/large.log")"
! grep -q failed "$work/large.log" || fail "the guest read something else: $(<"$work/large.log")"
[[ $(found) == "" ]] || fail "it is still found: $(found)"

# Who does not answer echoes at all is not accused.
ip link set h0 mtu 9000
ip -n tail1 link set t1 mtu 9000
headctl detach disc >/dev/null
headctl attach disc "nbd://[$address]:10809/" --lladdr $mac1 --wait >/dev/null
[[ $(found) == "$wanted" ]] || fail "found is: $(found); and not: $wanted"
ip netns exec tail1 sysctl -qw net.ipv6.icmp.echo_ignore_all=1
[[ $(found) == "" ]] || fail "a silent host is accused: $(found)"
stop_headd

# Who may not try says so.
headd_prefix+=(setpriv --bounding-set -net_raw --inh-caps -net_raw)
start_headd
headctl attach disc "nbd://[$address]:10809/" --lladdr $mac1 --wait >/dev/null
doctor=$(headctl doctor --json || true)
grep -B3 packets-not-tried <<<"$doctor" | grep -q 'ICMPv6 echoes' ||
  fail "nothing says that it is not tried: $doctor"
stop_headd
stop tail1 KILL || true
