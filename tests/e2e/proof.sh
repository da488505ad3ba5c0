#!/usr/bin/env bash
# The host of a disc that was told with a generation dies, and another one has its address a moment
# later, of which only the wire speaks. CASE: "moved", and its tail has the disc: it is gone on with
# there, also by a headd that begins anew after a kill. "stolen": it has another disc of that size:
# nothing is asked of it, and guests wait until the right host is back. "blank": nobody has written
# the disc yet, so that nothing tells it from others: an operator says which host it is.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
case=${1:?moved, stolen or blank}
need nbdkit ip unshare python3 qemu-io cmp
need_root
in_own_network "$case"
headd_options=()
address=fd00:3::7

make_switched_tails
start_blank_tails
ip -n tail1 addr add $address/64 dev t1 nodad
start_headd
headctl attach disc "nbd://[$address]:10809/" --lladdr $mac1 --generation 1 --wait >/dev/null

disc() { headctl discs disc --json | python3 -c 'import json, sys
print(json.load(sys.stdin).get("'"$1"'", ""))'; }
reads=(-c "read -P 0x17 1M 4k" -c "write -P 0x18 2M 4k" -c flush)
is() { [[ $(disc state) == "$1" ]]; }
io() {
  qemu-io -f raw "$(disc_uri disc)" "$@" >"$work/io.log" && ! grep -q "failed" "$work/io.log"
}
# die: the host of tail 1 is gone without a word, and tail 2's has the address.
die() {
  ip -n tail1 link set t1 down
  ip -n tail2 addr add $address/64 dev t2 nodad
}

if [[ $case != blank ]]; then
  # One place is written once, and another one again and again.
  io -c "write -P 0x17 1M 4k" -c flush
  for i in {1..40}; do writes+=(-c "write -P $i $((8 + i % 4))k 1k" -c flush); done
  io "${writes[@]}"
fi
case $case in
moved)
  cp "$work/tail1.img" "$work/tail2.img"
  die
  background reads qemu-io -f raw "$(disc_uri disc)" "${reads[@]}"
  finish reads || fail "the guest met an error"
  is ready || fail "the disc is not ready"
  await 10 "the proof to be written down" \
    grep -q '"proven_lladdr":"'$mac2'"' "$work/state/discs.json"
  stop headd KILL || true
  start_headd
  await 20 "the disc" is ready
  io -c "read -P 0x18 2M 4k" || fail "the disc is not what it was: $(cat "$work/io.log")"
  ;;
stolen)
  cp "$work/tail2.img" "$work/thief.img"
  die
  background reads qemu-io -f raw "$(disc_uri disc)" "${reads[@]}"
  await 20 "the disc to be held" is held
  [[ $(disc problem) == *"headctl move"* ]] || fail "no way out is said: $(disc problem)"
  sleep 2
  alive reads || fail "the guest does not wait: $(cat "$work/reads.log")"
  ip -n tail2 addr del $address/64 dev t2
  ip -n tail1 link set t1 up
  ip -n tail1 addr replace $address/64 dev t1 nodad
  finish reads || fail "the guest met an error"
  grep -q "failed" "$work/reads.log" && fail "the guest read something else"
  is ready || fail "the disc is not ready"
  cmp "$work/tail2.img" "$work/thief.img" || fail "something was written to the thief"
  ;;
blank)
  die
  background writes qemu-io -f raw "$(disc_uri disc)" -c "write -P 0x18 2M 4k"
  await 20 "the disc to be held" is held
  alive writes || fail "the guest does not wait: $(cat "$work/writes.log")"
  headctl move disc --lladdr $mac2 >/dev/null
  finish writes || fail "the guest met an error"
  is ready || fail "the disc is not ready"
  [[ $(disc problem) == "" ]] || fail "it still says: $(disc problem)"
  ;;
esac
stop_headd
for i in 1 2; do stop tail$i KILL || true; done
