#!/usr/bin/env bash
# Without CAP_NET_ADMIN headd keeps no neighbour, but it serves its discs, and as long as that lasts
# it says which capability it lacks and what to do.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit setpriv ip
need_root

headd_options=()
headd_prefix=(setpriv --bounding-set -net_admin --inh-caps -net_admin)
start_tail nbdkit -f -i ::1 -p PORT memory 16M
start_headd
attach web1

says() {
  local text word
  text=$(headctl "$@")
  for word in CAP_NET_ADMIN AmbientCapabilities --no-neigh; do
    grep -qF -- "$word" <<<"$text" || fail "headctl $* does not mention $word: $text"
  done
}
says status
says neigh
says status --json
sleep 11  # It is looked at again every ten seconds.
says status
said=$(grep -c 'it lacks CAP_NET_ADMIN' "$work/headd.log")
((said == 1)) || fail "the log says it $said times"
[[ $(headctl discs web1 --json) == *'"ready"'* ]] || fail "the disc is not served"
stop_headd
