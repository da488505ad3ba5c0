#!/usr/bin/env bash
# durability.sh writeback|writethrough|replay: a tail that keeps what is not flushed in a file of
# its own, which is gone when it is killed. What was flushed is there in every mode; what was only
# acknowledged is there in two of them.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit qemu-io fio python3
mode=${1:?which durability}

truncate -s 64M "$work/tail.img"
tail_up() {
  start_tail nbdkit -f -i ::1 -p PORT --filter=cache file "$work/tail.img" cache=writeback
}
tail_up
# A disc whose part is half full is flushed, and what is not flushed here is 10 MiB.
printf '[metrics]\nlisten = "off"\n[discs]\nreplay_memory_mib = 128\n' >"$work/head.toml"
start_headd
attach disc --durability "$mode"
[[ $(headctl discs disc --json | python3 -c 'import json, sys
print(json.load(sys.stdin)["durability"])') == "$mode" ]] || fail "headd does not say $mode"

stay disc  # When the last guest goes, what is kept is flushed.

# writes BYTE OFFSET LENGTH: a guest that writes, and never flushes (qemu-io does, when it ends).
writes() {
  fio --name=guest --ioengine=nbd --uri="$(disc_uri disc)" --rw=write --bs=64k --iodepth=8 \
    --buffer_pattern="$1" --offset="$2" --size="$3" --output="$work/fio.log" ||
    fail "the guest met an error"
}
# is BYTE OFFSET LENGTH: through headd, every byte is that.
is() {
  qemu-io -f raw -r -c "read -P $1 $2 $3" "$(disc_uri disc)" >"$work/read.log" 2>&1 &&
    ! grep -q failed "$work/read.log"
}
file_is() {
  qemu-io -f raw -r -U -c "read -P $1 $2 $3" "$work/tail.img" >"$work/read.log" 2>&1 &&
    ! grep -q failed "$work/read.log"
}

writes 0x11 0 8M
qemu-io -f raw -t writeback -c "write -P 0x12 60M 64k" -c flush "$(disc_uri disc)" >/dev/null
file_is 0x11 0 8M || fail "a FLUSH of a guest did not reach the tail's file"

writes 0x22 8M 8M
writes 0x33 1M 1M
writes 0x34 1500k 64k
writes 0x00 3M 1M
if [[ $mode != writethrough ]] && file_is 0x22 8M 8M; then
  fail "the tail does not lose anything: there is nothing to test"
fi
stop tail KILL || true
tail_up

is 0x11 0 1M || fail "$mode lost what had been flushed"
is 0x12 60M 64k || fail "$mode lost what had been flushed"
if [[ $mode == writeback ]]; then
  is 0 8M 8M || fail "the tail did not lose what was not flushed: there is nothing to test"
  is 0x11 1M 1M || fail "what had been flushed is neither there nor overwritten"
else
  is 0x22 8M 8M || fail "$mode lost an acknowledged write"
  is 0x33 1M 476k || fail "$mode lost an acknowledged write over another"
  is 0x34 1500k 64k || fail "$mode lost the order of acknowledged writes"
  is 0 3M 1M || fail "$mode lost acknowledged zeroes"
fi

# What was written again is flushed before long, with no guest to ask for it, and not kept any more.
if [[ $mode == replay ]]; then
  nothing_kept() {
    headctl discs disc --json | python3 -c 'import json, sys
sys.exit(json.load(sys.stdin)["unflushed"] != 0)'
  }
  await 15 "the disc's own FLUSH" nothing_kept
  file_is 0x22 8M 8M || fail "the disc's own FLUSH did not reach the tail's file"
fi
stop_headd
