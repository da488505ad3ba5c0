#!/usr/bin/env bash
# Another host of the segment claims a disc's address, again and again, and serves an export of the
# same size there, while the disc's own tail lives and guests overwrite it and check it. HOW it
# claims it is "override", as a host does that has taken an address over, or "plain". The disc was
# told with a generation: no byte of its guests goes to the thief, and both are shown. With a second
# argument, "routes", headd is in that mode.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
how=${1:?override or plain} mode=${2:-neighbours}
need nbdkit ip unshare python3
need_root
in_own_network "$how" "$mode"
headd_options=()
address=fd00:3::7

make_switched_tails
start_blank_tails
for i in 1 2; do ip -n tail$i addr add $address/64 dev t$i nodad; done
printf '[metrics]\nlisten = "off"\n[neighbours]\nmode = "%s"\n' "$mode" >"$work/head.toml"
start_headd
headctl attach disc "nbd://[$address]:10809/" --lladdr $mac1 --generation 1 --wait >/dev/null
start_guests disc --largest 64KiB --seconds 60
sleep 1
announce 2 $address "$how" 300 >/dev/null
finish_guests now

[[ $(headctl discs disc --json | python3 -c 'import json, sys
print(json.load(sys.stdin)["state"])') == ready ]] || fail "the disc is not ready"
cmp "$work/tail2.img" <(head -c 64M /dev/zero) || fail "something was written to the thief"
both() { headctl neigh --conflicts | grep "$mac1" | grep -q "$mac2"; }
[[ $mode == routes ]] || both || fail "the conflict is not shown: $(headctl neigh --conflicts)"
doctor=$(headctl doctor || true)
[[ $mode == routes || $doctor == *"disc is at $mac1, and $mac2 claims its address"* ]] ||
  fail "the doctor does not find it: $doctor"
stop_headd
# Nothing of it outlives a restart.
start_headd
there() { headctl neigh | grep -q "$mac1"; }
await 5 "the entry" there
stop_headd
for i in 1 2; do stop tail$i KILL || true; done
