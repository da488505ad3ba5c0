#!/usr/bin/env bash
# A tail that is killed and comes back, again and again, is a pause for its guests: they meet no
# error and no wrong byte, and headd says how often it connected again.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit nbdcopy python3

truncate -s 64M "$work/tail.img"
tail_up() { start_tail nbdkit -f -i ::1 -p PORT file "$work/tail.img"; }
tail_up
# Nothing outlives a server that is killed: who rewrites what was under way need not wait for long.
printf '[metrics]\nlisten = "off"\n[discs]\nquarantine_ms = 1000\n' >"$work/head.toml"
start_headd
attach disc

start_guests disc --largest 64KiB --seconds 60
for _ in {1..5}; do
  sleep 0.7 # Some of the guests' work; how much does not matter.
  stop tail KILL || true
  sleep 0.3 # The disc finds nobody there.
  tail_up
done
reconnects=$(headctl discs --json | python3 -c 'import json, sys
discs = json.load(sys.stdin)
discs = discs.get("discs", discs) if isinstance(discs, dict) else discs
print(discs[0]["reconnects"])')
((reconnects >= 2)) || fail "headd says it connected again $reconnects times"

finish_guests now
same_data disc
stop_headd
