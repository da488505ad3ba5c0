#!/usr/bin/env bash
# headd remembers what a disc is: begun anew while the tail is away, by a kill or an upgrade, it
# answers guests' handshakes at once, and takes no tail for the disc that offers less. What can
# never be a disc fails at once, and a wait for a tail that does not come has an end.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit nbdinfo qemu-io python3

tail_of() { start_tail nbdkit -f -i ::1 -p PORT memory "$1"; }
state_of() { headctl discs "$1" --json | python3 -c 'import json, sys
print(json.load(sys.stdin)["state"])'; }
is() { [[ $(state_of "$1") == "$2" ]]; }
answers() {
  local before size
  before=$(date +%s%N)
  size=$(timeout 5 nbdinfo --size "$(disc_uri disc)") || fail "no handshake $1"
  [[ $size == 16777216 ]] || fail "it has $size bytes $1"
  nbdinfo --can flush "$(disc_uri disc)" || fail "no FLUSH $1"
  printf 'handshake %s: %s ms\n' "$1" $((($(date +%s%N) - before) / 1000000))
}

tail_of 16M
start_headd
attach disc
await 5 "its shape to be written down" grep -q '"shapes"' "$work/state/discs.json"
stop tail KILL || true
stop headd KILL || true
start_headd
answers "after a kill, the tail away"
headctl upgrade
answers "after an upgrade, the tail away"
background guest qemu-io -f raw -r -c 'read 0 4096' "$(disc_uri disc)"
tail_of 8M
await 20 "the smaller tail to be held" is disc held
stop headd KILL || true
stop guest || true
pid=$(sed -n 's/.* is to take over, as process \([0-9]*\)$/\1/p' "$work/headd.log")
kill -9 "$pid"
gone() { ! kill -0 "$pid" 2>/dev/null; }
await 10 "headd to be gone" gone
start_headd
await 20 "the smaller tail to be held by the next headd" is disc held
answers "of a disc that is held"
stop tail KILL || true
tail_of 16M
await 20 "the disc" is disc ready
qemu-io -f raw -r -c 'read 0 4096' "$(disc_uri disc)" | grep -q 'read 4096/4096' || fail "a read"
stop tail KILL || true

# Detached and attached again it is what the tail offers.
headctl detach disc >/dev/null
tail_of 8M
attach disc
[[ $(nbdinfo --size "$(disc_uri disc)") == 8388608 ]] || fail "the old shape after a detach"
stop tail KILL || true

refused() {
  local status=0
  timeout 20 "$HEAD_BIN/headctl" --api "$work/run/api.sock" attach "$@" --wait \
    >"$work/said" 2>&1 || status=$?
  cat "$work/said"
  return $status
}
for bytes in 0 511; do
  tail_of $bytes
  status=0
  refused "small$bytes" "$tail_uri" || status=$?
  [[ $status == 8 ]] || fail "attach --wait of $bytes bytes ended with status $status"
  grep -q "$bytes bytes, which cannot be a disc" "$work/said" || fail "it does not say why"
  is "small$bytes" failed || fail "small$bytes is $(state_of "small$bytes")"
  stop tail KILL || true
done
tail_of 1M
attach small511
stop tail KILL || true

status=0
refused lost 'nbd://[::1]:1/' --timeout 1 || status=$?
[[ $status == 13 ]] || fail "attach --wait of a tail that is away ended with status $status"
grep -q 'lost is not ready after 1 s: it waits for a first connection to its tail' "$work/said" ||
  fail "it does not say what it waits for"
stop_headd
