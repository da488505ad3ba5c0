#!/usr/bin/env bash
# A tail's honest errors reach the guest as they are (EIO, ENOSPC), and only while it has them.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit qemu-io

start_tail nbdkit -f -i ::1 -p PORT --filter=error memory 16M \
  error-pread=EIO error-pread-rate=100% error-pread-file="$work/reads-fail" \
  error-pwrite=ENOSPC error-pwrite-rate=100% error-pwrite-file="$work/writes-fail"
start_headd
attach disc

guest() { qemu-io -f raw -t none -c "$1" "$(disc_uri disc)" 2>&1; }
expect() { [[ $2 == *"$1"* ]] || fail "expected '$1', got: $2"; }

expect "wrote 65536/65536" "$(guest 'write -P 0x11 0 64k')"
touch "$work/reads-fail"
expect "Input/output error" "$(guest 'read 0 64k' || true)"
rm "$work/reads-fail"
touch "$work/writes-fail"
expect "No space left on device" "$(guest 'write -P 0x22 0 64k' || true)"
rm "$work/writes-fail"
answer=$(guest 'read -P 0x11 0 64k')
expect "read 65536/65536" "$answer"
[[ $answer != *"verification failed"* ]] || fail "a write that failed changed data: $answer"
stop_headd
