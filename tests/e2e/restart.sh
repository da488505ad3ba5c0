#!/usr/bin/env bash
# Attached discs come back with headd, after an orderly end and after SIGKILL, and detached ones
# do not.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit nbdinfo qemu-io

start_tail nbdkit -f -i ::1 -p PORT memory 16M
start_headd
for name in one two gone; do attach "$name"; done
attach fixed --read-only
headctl detach gone >/dev/null
qemu-io -f raw -c 'write -P 0x5a 0 1M' "$(disc_uri one)" >/dev/null

back() {
  local name
  for name in one two fixed; do
    await 10 "$name after $1" nbdinfo --size "$(disc_uri "$name")"
  done
  [[ ! -e $(disc_socket gone) ]] || fail "a detached disc came back after $1"
  qemu-io -f raw -r -c 'read -P 0x5a 0 1M' "$(disc_uri two)" | grep -q 'read 1048576/1048576' ||
    fail "the data is not there after $1"
  nbdinfo "$(disc_uri fixed)" | grep -q 'is_read_only: true' || fail "not read-only after $1"
}
back "attaching"
stop_headd
start_headd
back "an orderly end"
# Of a process that is killed, its rings end last, and with them its sockets: some are still there
# when the next one begins.
for kill in 1 2 3 4 5; do
  stop headd KILL || true
  start_headd
  back "SIGKILL $kill"
done
stop_headd
