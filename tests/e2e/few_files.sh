#!/usr/bin/env bash
# More discs than there are file numbers: those that find none fail and say so; headd itself keeps
# enough to store, to answer and to detach, and opens others once there is room.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit prlimit nbdinfo

start_tail nbdkit -f -i ::1 -p PORT memory 16M
headd_prefix=(prlimit --nofile=400:400)
start_headd

# Nobody listens there, so that each disc needs little but the socket for its guests.
for i in {1..900}; do printf 'd%d nbd://[::1]:1/\n' "$i"; done >"$work/list"
headctl import "$work/list" >/dev/null
states() { headctl status | sed -n 's/^states *//p'; }
settled() { [[ $(states) == *failed* && $(states) != *resolving* ]]; }
await 30 "the discs that find no file number" settled
[[ $(headctl discs --json) == *LimitNOFILE* ]] ||
  fail "a disc without a socket does not say what to raise"
[[ $(grep -o '"name"' "$work/state/discs.json" | wc -l) == 900 ]] || fail "not all discs are stored"

for i in {1..900..6}; do headctl detach "d$i" >/dev/null || fail "d$i cannot be detached"; done
attach works
nbdinfo --size "$(disc_uri works)" >/dev/null || fail "a new disc does not work"
stop_headd
