#!/usr/bin/env bash
# headctl neigh, neigh limits and neigh watch without headd and without root: the kernel's own
# table in a namespace of the test's, with entries that ip makes and removes.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need ip unshare setpriv
need_root
if [[ -z ${HEAD_E2E_INSIDE:-} ]]; then
  rm -rf "$work"
  trap - EXIT
  HEAD_E2E_INSIDE=1 exec unshare --net "$0"
fi

nobody() {
  setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all --inh-caps -all "$@"
}
chmod 755 "$work"
install -m 755 "$HEAD_BIN/headctl" "$work/headctl"
headctl() { nobody "$work/headctl" --api "$work/nowhere.sock" "$@" 2>>"$work/headctl.log"; }

# has TEXT WORD... fails when a word is not in the text.
has() {
  local text=$1 word
  shift
  for word; do grep -qF -- "$word" <<<"$text" || fail "there is no $word in: $text"; done
}

ip link set lo up
ip link add e0 type veth peer name e1
ip link set e0 up
ip link set e1 up
ip neigh add fd00::1 dev e0 lladdr 52:54:00:00:00:01 nud stale
ip neigh add fd00::2 dev e0 lladdr 52:54:00:00:00:02 nud permanent
ip neigh add fd00::3 dev e0 lladdr 52:54:00:00:00:03 nud reachable extern_learn protocol 72

has "$(headctl neigh)" ADDRESS fd00::1 52:54:00:00:00:02 PERMANENT 'room for' 'forced collections'
has "$(headctl neigh --stale)" fd00::1
[[ $(headctl neigh --stale) != *fd00::2* ]] || fail "--stale lets others pass"
[[ $(headctl neigh --foreign | awk '/^fd00/ { print $1 }') == fd00::2 ]] || fail "--foreign"
[[ $(headctl neigh --lladdr 52:54:00:00:00:03 | awk '/^fd00/ { print $5 }') == ours ]] ||
  fail "the owner of fd00::3 is not ours"
has "$(headctl neigh --json --state permanent)" '"source": "kernel"' fd00::2 '"updated_s"'
sorted=$(headctl neigh --sort lladdr | awk '/^fd00/ { printf "%s ", $1 }')
[[ $sorted == "fd00::1 fd00::2 fd00::3 " ]] || fail "--sort lladdr gives $sorted"
! headctl neigh --disc web1 || fail "--disc without headd succeeded"
! headctl neigh --sort nothing || fail "--sort nothing succeeded"
has "$(headctl neigh limits)" gc_thresh1 gc_thresh3 '2 x 1 discs' overflows
has "$(headctl neigh limits --json --discs 5000)" '"discs": 5000' '"needed"' '"others"'

headctl neigh watch --json >"$work/json" &
pids[json]=$!
headctl neigh watch >"$work/lines" &
pids[lines]=$!
await 20 "both to watch" eval '(($(grep -c "watching" "$work/headctl.log") == 2))'
ip neigh change fd00::1 dev e0 lladdr 52:54:00:00:00:aa nud permanent
ip neigh del fd00::2 dev e0
ip neigh add fd00::4 dev e0 lladdr 52:54:00:00:00:04 nud permanent
for file in lines json; do
  await 20 "the changes in $file" eval "grep -q fd00::4 '$work/$file'"
done
lines=$(<"$work/lines")
has "$lines" 'STALE to PERMANENT, lladdr 52:54:00:00:00:01 to 52:54:00:00:00:aa' \
  'fd00::4 dev e0 lladdr 52:54:00:00:00:04 PERMANENT  new'
grep -q 'fd00::2 .*gone$' <<<"$lines" || fail "that fd00::2 has gone is not told of: $lines"
python3 - "$work/json" <<'END' || fail "the JSON lines are not as they should be: $(<"$work/json")"
import json, sys
told = {one["address"]: one for one in map(json.loads, open(sys.argv[1]))}
assert told["fd00::1"]["event"] == "changed" and told["fd00::1"]["state_before"] == "STALE"
assert told["fd00::4"]["event"] == "new" and told["fd00::4"]["time"].endswith("Z")
assert all(one["dev"] in ("e0", "e1", "lo") for one in told.values())
END
has "$(headctl neigh watch --seconds 1 --dev e1; echo ended)" ended

# With headd: its discs' entries among the others, whichever network namespace headctl is in.
ip addr add fd00::ff/64 dev e0 nodad
background headd "$HEAD_BIN/headd" --state-dir "$work/state" --run-dir "$work/run"
asked() { "$@" "$HEAD_BIN/headctl" --api "$work/run/api.sock" "${asking[@]}"; }
asking=(status)
await 20 "headd to answer" asked env
asking=(attach web1 'nbd://[fd00::9]/' --lladdr 52:54:00:00:00:09 --dev e0)
asked env >/dev/null
asking=(neigh)
web1='fd00::9 .*52:54:00:00:00:09  PERMANENT .* web1$'
kept() { asked env | grep -q "$web1"; }
await 20 "the disc's entry" kept
has "$(asked env)" fd00::1
# In another one, which has an entry of its own.
elsewhere() {
  unshare --net sh -ec '
    ip link add e0 type veth peer name e1
    ip link set e0 up
    ip neigh add fd00::77 dev e0 lladdr 52:54:00:00:00:77 nud permanent
    exec "$@"' - "$@"
}
for words in neigh 'neigh --dev e0'; do
  read -ra asking <<<"$words"
  seen=$(asked elsewhere)
  grep -q "$web1" <<<"$seen" || fail "headctl ${asking[*]} elsewhere: $seen"
  [[ $seen != *fd00::77* ]] || fail "an entry of another namespace is among headd's: $seen"
done
has "$(elsewhere "$HEAD_BIN/headctl" neigh --kernel)" fd00::77
asking=(neigh --json)
for where in env elsewhere; do
  asked $where | python3 -c '
import json, sys
[entry] = [one for one in json.load(sys.stdin)["entries"] if one["discs"] == ["web1"]]
assert entry["state"] == "PERMANENT" and entry["lladdr"] == "52:54:00:00:00:09", entry' ||
    fail "as JSON, asked by $where"
done
stop headd
