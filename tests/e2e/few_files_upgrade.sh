#!/usr/bin/env bash
# An upgrade of more sockets than there are file numbers: it is refused before anything is let go,
# and says how many it needs; guests notice nothing. With fewer discs it succeeds, and a guest can
# connect to every one.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit prlimit nbdinfo python3
discs=${DISCS:-260}

start_tail nbdkit -f -t 1 -i ::1 -p PORT memory 256M
headd_prefix=(prlimit --nofile=320:320)
start_headd
headd_prefix=()
for ((i = 0; i < discs; ++i)); do printf 'd%d %s\n' "$i" "$tail_uri"; done >"$work/list"
headctl import "$work/list" --wait >/dev/null || true
ready() { [[ $(headctl discs --json | grep -c '"state": "ready"') == "$discs" ]]; }
await 30 "all discs" ready

for i in 0 1 2 3 4 5 6 7; do
  background "guest-$i" python3 "$here/guest.py" "$(disc_socket "d$i")" --from $((i * 1000))
done
connected() { [[ $(headctl discs --json | grep -c '"guests": 1') == 8 ]]; }
await 20 "all guests" connected

status=0
said=$(headctl upgrade 2>&1) || status=$?
((status == 10)) || fail "an upgrade with too few descriptors has status $status: $said"
[[ $said == *"$discs discs and 8 guests"*"--nofile="* ]] || fail "it does not say what it needs"
for i in 0 1 2 3 4 5 6 7; do
  alive "guest-$i" || fail "the guest of d$i was disconnected by an upgrade that was refused"
done
connected || fail "not all guests are connected after an upgrade that was refused"

all_serve() {
  local i
  for ((i = 8; i < discs; ++i)); do
    nbdinfo --size "$(disc_uri "d$i")" >/dev/null || fail "no guest can connect to d$i"
  done
}
all_serve
# Fewer sockets do as well as more file numbers, which not everybody may give.
for ((i = 200; i < discs; ++i)); do headctl detach "d$i" >/dev/null; done
discs=200
headctl upgrade
connected || fail "not all guests are connected after an upgrade"
all_serve
for i in 0 1 2 3 4 5 6 7; do
  kill "${pids[guest-$i]}"
  finish "guest-$i" || fail "the guest of d$i: $(tail -n 1 "$work/guest-$i.log")"
done
