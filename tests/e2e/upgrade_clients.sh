#!/usr/bin/env bash
# Several clients that ask for upgrades, over and over, while others attach and detach discs: no
# change that was accepted is lost, changes do not starve, and nobody is told that a good request is
# none.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit python3

start_tail nbdkit -f -t 1 -i ::1 -p PORT memory 16m
start_headd
python3 "$here/upgrade_clients.py" "$work/run/api.sock" "$work/state/discs.json" "$tail_uri" \
  "${SECONDS_LONG:-8}" || fail "see above"
