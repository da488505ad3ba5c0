#!/usr/bin/env bash
# `headctl upgrade` while a tail is away: it takes no longer because of that, and what was
# acknowledged and not flushed goes along, and is written again when the tail is back without it.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit fio qemu-io python3

truncate -s 16M "$work/tail.img"
tail_up() {
  start_tail nbdkit -f -i ::1 -p PORT --filter=cache file "$work/tail.img" cache=writeback
}
tail_up
start_headd
attach disc --durability replay
stay disc  # When the last guest goes, what is kept is flushed.
fio --name=guest --ioengine=nbd --uri="$(disc_uri disc)" --rw=write --bs=64k --size=4M \
  --buffer_pattern=0x22 --output="$work/fio.log" || fail "the guest met an error"
stop tail KILL || true
kept() { headctl discs disc --json | python3 -c 'import json, sys
print(json.load(sys.stdin)["unflushed"])'; }
[[ $(kept) != 0 ]] || fail "nothing is kept: there is nothing to test"
! qemu-io -f raw -r -U -c 'read -P 0x22 0 4M' "$work/tail.img" | grep -q '4194304/4194304' ||
  [[ $(qemu-io -f raw -r -U -c 'read -P 0x22 0 4M' "$work/tail.img") == *failed* ]] ||
  skip "the disc was flushed before its tail was killed: this machine is too slow for this test"

# Twice: who takes over and has not met the tail yet passes on what it was given.
for i in 1 2; do
  before=$(date +%s%N)
  headctl upgrade || fail "upgrade $i"
  took=$((($(date +%s%N) - before) / 1000000))
  printf 'upgrade %s took %s ms\n' $i $took
  ((took < 4000)) || fail "the upgrade waited for the tail: $took ms"
done

tail_up
ready() { headctl discs disc --json | grep -q '"ready"'; }
await 20 "the disc" ready
said=$(qemu-io -f raw -r -c 'read -P 0x22 0 4M' "$(disc_uri disc)")
[[ $said == *4194304/4194304* && $said != *failed* ]] || fail "an acknowledged write is lost: $said"
