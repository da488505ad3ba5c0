#!/usr/bin/env bash
# A disc's tail changes while guests overwrite it and check it: its address goes from one tail to
# another behind a switch, and HOW the head learns of it is
#
#   operator   `headctl move` says so
#   override   the new tail announces itself, as ndisc_notify=1 makes Linux do
#   plain      it announces itself without the override flag
#   silent     nobody says anything
#   ended      nobody does, and the old tail's server had ended a while before
#
# The guests meet a pause, no error and no wrong byte. With a second argument, "routes", headd is in
# that mode, where the tails' link-local addresses are those that kernels give themselves.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
how=${1:?operator, override, plain, silent or ended} mode=${2:-neighbours}
need nbdkit ip unshare python3
need_root
in_own_network "$how" "$mode"
headd_options=()
address=fd00:3::7
make_switched_tails
truncate -s 64M "$work/tail.img"
for i in 1 2; do start_switched_tail $i "$work/tail.img"; done
ip -n tail1 addr add $address/64 dev t1 nodad
# The servers answer within milliseconds, or never: nothing of theirs outlives a connection long.
cat >"$work/head.toml" <<EOT
metrics.listen = "off"
discs.quarantine_ms = 1000
neighbours.mode = "$mode"
EOT
start_headd
headctl attach disc "nbd://[$address]:10809/" --lladdr $mac1 --wait >/dev/null
start_guests disc --largest 64KiB --seconds 8
sleep 1.5

if [[ $how == ended ]]; then
  stop tail1 KILL || true
  sleep 1.5
fi
ip -n tail1 addr del $address/64 dev t1
ip -n tail2 addr add $address/64 dev t2 nodad
case $how in
  operator)
    date +%s.%N >"$work/told"
    headctl move disc --lladdr $mac2 >"$work/move"
    ;;
  silent | ended) date +%s.%N >"$work/told" ;;
  override | plain) announce 2 $address "$how" 1 >"$work/told" ;;
esac

finish_guests
there() {
  headctl neigh --json | python3 -c '
import json, sys
answer = json.load(sys.stdin)
known = answer["routes"] if sys.argv[2] == "routes" else answer["entries"]
print(*[" ".join((e["lladdr"], e["source"])) for e in known if e["address"] == sys.argv[1]])' \
    $address "$mode"
}
# A disc that was in doubt is led by a route again once it has answered itself.
if [[ $mode == routes ]]; then await 5 "a route" grep -q "$mac2" <(there); fi
there=$(there)
case $how in
  operator) [[ $there == "$mac2 operator" ]] ;;
  *) [[ $there == "$mac2 wire" ]] ;;
esac || fail "the entry is $there"
headctl stalls disc --json --limit 1000 | python3 -c '
import json, sys
told = float(open(sys.argv[1]).read())
stalls = json.load(sys.stdin)["stalls"]
causes = {s["cause"] for s in stalls}
longest = max(stalls, key=lambda s: s["seconds"], default=None)
if longest: # None where the pause was shorter than the stall threshold.
    print("the longest request took %.0f ms, until %.0f ms after the head could know, cause: %s" %
          (longest["seconds"] * 1e3, (longest["ended"] - told) * 1e3, longest["cause"]))
# The entry pointed to the wrong host, whatever else there was. Who rewrites what was under way
# waits for the quarantine after that.
if sys.argv[2] == "silent":
    sys.exit("neighbour" not in causes or "reconnect" in causes)' "$work/told" "$how" ||
  fail "the stalls are not said to be of the neighbour entry"
[[ $(headctl discs disc --json | python3 -c 'import json, sys
print(json.load(sys.stdin)["reconnects"])') -ge 1 ]] || fail "it never connected again"
stop_headd
for i in 1 2; do stop tail$i KILL || true; done
