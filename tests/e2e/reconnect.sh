#!/usr/bin/env bash
# A tail that is killed and comes back, again and again, is a pause for the guest: fio --verify
# meets no error and no wrong byte, and headd says how often it connected again.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need fio nbdkit nbdcopy python3

truncate -s 64M "$work/tail.img"
tail_up() { start_tail nbdkit -f -i ::1 -p PORT file "$work/tail.img"; }
tail_up
start_headd
attach disc

start_guest --bsrange=4k-64k --io_size=256m --iodepth=16 --verify_backlog=128 --randrepeat=0 \
  --rate=,40m
for _ in {1..5}; do
  sleep 0.7 # Some of the guest's work; how much does not matter.
  alive guest || break
  stop tail KILL || true
  sleep 0.3 # The disc finds nobody there.
  tail_up
done
reconnects=$(headctl discs --json | python3 -c 'import json, sys
discs = json.load(sys.stdin)
discs = discs.get("discs", discs) if isinstance(discs, dict) else discs
print(discs[0]["reconnects"])')
((reconnects >= 2)) || fail "headd says it connected again $reconnects times"

finish guest || fail "the guest met an error (fio's status $?)"
same_data disc
stop_headd
