#!/usr/bin/env bash
# A tail's COUNT discs are at another tail, and nobody says so: their addresses go there while WHO
#
#   ended   its server had ended 1.5 s before, and connections were refused until then
#   dead    the tail is cut off at the same moment
#
# and the discs are idle: no guest asks anything. Each is found there and usable again.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
who=${1:?ended or dead} count=${2:?how many discs}
need nbdkit ip unshare python3
need_root
in_own_network "$who" "$count"
headd_options=()
make_switched_tails
truncate -s 4M "$work/tail.img"
for i in 1 2; do start_switched_tail $i "$work/tail.img"; done
addresses() {
  local n
  for n in $(seq "$count"); do
    printf 'addr %s fd00:3::1:%x/64 dev t%s %s\n' "$1" "$n" "$2" "$3"
  done
}
addresses add 1 nodad | ip -n tail1 -batch -
printf '[metrics]\nlisten = "off"\n' >"$work/head.toml"
start_headd
for n in $(seq "$count"); do
  headctl attach "disc$n" "nbd://[fd00:3::1:$(printf %x "$n")]:10809/" --lladdr $mac1 \
    --wait >/dev/null
done

case $who in
  ended)
    stop tail1 KILL || true
    sleep 1.5
    addresses del 1 '' | ip -n tail1 -batch -
    ;;
  dead) ip -n tail1 link set t1 down ;;
esac
addresses add 2 nodad | ip -n tail2 -batch -
moved=$(date +%s.%N)
usable() {
  headctl neigh --json | python3 -c '
import json, sys
there = [e for e in json.load(sys.stdin)["entries"] if e["lladdr"] == sys.argv[1]]
sys.exit(len(there) != int(sys.argv[2]))' $mac2 "$count" &&
    headctl discs --json | python3 -c '
import json, sys
sys.exit(any(d["state"] != "ready" or d["reconnects"] < 1 for d in json.load(sys.stdin)["discs"]))'
}
await 60 "the discs" usable
python3 -c 'import sys, time
print("%s discs usable %.0f ms after they had moved" %
      (sys.argv[2], (time.time() - float(sys.argv[1])) * 1e3))' "$moved" "$count"
stop_headd
for i in 1 2; do stop tail$i KILL || true; done
