#!/usr/bin/env bash
# `systemctl restart headd`, with a stand-in for systemd: guests' sockets wait in its file
# descriptor store, and guests see a pause, no error and no wrong byte.
#
#   fd_store.sh [few]   few: a store without room for every socket that guests connect to
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit python3
room=1000 kept=6 # Listeners, guests, and connections to the tail.
[[ ${1:-} != few ]] || room=4 kept=3

clean_more() {
  local pid
  for pid in $(sed -n 's/^started //p' "$work/manager.log"); do
    kill -9 "$pid" 2>/dev/null || true
  done
}

start_tail nbdkit -f -p PORT memory 256m
mkdir "$work/run"
printf '[metrics]\nlisten = "off"\n' >"$work/head.toml"
background manager python3 "$here/manager.py" "$work/notify" $room "$HEAD_BIN/headd" \
  --config "$work/head.toml" --state-dir "$work/state" --run-dir "$work/run" --no-neigh
await 20 "headd's API" headctl status
for disc in a b; do attach $disc; done
background guest-a python3 "$here/guest.py" "$(disc_socket a)"
background guest-b python3 "$here/guest.py" "$(disc_socket b)" --from 1000
all_connected() { [[ $(headctl discs --json | grep -c '"guests": 1') == 2 ]]; }
await 20 "both guests" all_connected

for ((i = 1; i <= 5; ++i)); do
  kill -HUP "${pids[manager]}"
  restarted() { (($(grep -c '^told READY=1' "$work/manager.log") == i + 1)); }
  await 20 "headd to be back" restarted
  grep -q "goes on with 2 guests" "$work/manager.log" || fail "headd did not find its guests"
  sleep 0.3
done
(($(grep -c "removed $kept g" "$work/manager.log") == 5)) ||
  fail "the store was not emptied: $(grep -E 'stored|removed' "$work/manager.log")"

# Taken over, then stopped: an ordinary end.
for disc in a b; do
  kill "${pids[guest-$disc]}"
  finish "guest-$disc" || fail "the guest of disc $disc: $(tail -n 1 "$work/guest-$disc.log")"
  printf 'disc %s: %s\n' $disc "$(tail -n 1 "$work/guest-$disc.log")"
done
stop manager || fail "headd ended with status $?"
