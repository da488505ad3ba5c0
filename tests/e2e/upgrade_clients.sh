#!/usr/bin/env bash
# Several clients that ask for upgrades, over and over, while others attach and detach discs: no
# change that was accepted is lost, changes do not starve, and nobody is told that a good request is
# none.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit python3

# headd's process changes: the last one is ended here.
clean_more() {
  local pid
  for pid in $(sed -n 's/.* is to take over, as process \([0-9]*\)$/\1/p' "$work/headd.log"); do
    [[ $(readlink "/proc/$pid/exe") == "$HEAD_BIN/headd"* ]] && kill -9 "$pid" 2>/dev/null
  done
}

start_tail nbdkit -f -t 1 -i ::1 -p PORT memory 16m
start_headd
python3 "$here/upgrade_clients.py" "$work/run/api.sock" "$work/state/discs.json" "$tail_uri" \
  "${SECONDS_LONG:-8}" || fail "see above"
