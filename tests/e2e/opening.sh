#!/usr/bin/env bash
# A disc whose first connection takes long is shown while it waits, and is told of once that is
# over, with its cause, apart from the requests that stalled.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit ip python3
need_root

near=head-opening-$$
clean_more() { ip netns del "$near"; }
ip netns add "$near"
ip -n "$near" link set lo up
ip -n "$near" link add wire type veth peer other
ip -n "$near" link set wire up
ip -n "$near" link set other up
ip -n "$near" addr add fd00:d15c::1/64 dev wire nodad
headd_prefix=(ip netns exec "$near")
start_headd
headctl attach refused 'nbd://[::1]:10810/' >/dev/null
headctl attach unknown 'nbd://[fd00:d15c::2]/' >/dev/null
waits() { headctl stalls | grep -qE "^$1 +connecting"; }
await 10 "a disc without its tail to be shown as waiting" waits refused
await 10 "a disc without its neighbour to be shown as waiting" waits unknown
sleep 1.2
[[ $(headctl stalls --json | python3 -c 'import json, sys
print(json.load(sys.stdin)["openings_recorded"])') == 0 ]] || fail "it is told before it is over"

background tail ip netns exec "$near" nbdkit -f -i ::1 -p 10810 memory 1M
headctl attach refused 'nbd://[::1]:10810/' --wait >/dev/null
headctl detach unknown >/dev/null
gone() { ! headctl discs unknown; }
await 10 "the other disc to be gone" gone
headctl stalls --json >"$work/stalls.json"
headctl stalls | grep -qE ' refused +reconnect .* connected$' || fail "$(headctl stalls)"
python3 - "$work/stalls.json" <<'PYTHON'
import json, sys
answer = json.load(open(sys.argv[1]))
openings = {opening["disc"]: opening for opening in answer["openings"]}
assert answer["openings_recorded"] == 2 and answer["waiting"] == [], answer
assert answer["recorded"] == 0 and answer["stalls"] == [], answer
told = [(name, opening["cause"], opening.get("errno"))
        for name, opening in sorted(openings.items())]
assert told == [("refused", "reconnect", None), ("unknown", "neighbour", 108)], told
assert all(opening["seconds"] > 1 for opening in openings.values()), openings
PYTHON
headctl status --json | python3 -c 'import json, sys
status = json.load(sys.stdin)
assert sum(status["stalls"].values()) == 0, status["stalls"]
assert status["slow_openings"]["reconnect"] == 1, status["slow_openings"]
assert status["slow_opening_seconds"]["reconnect"] > 1, status["slow_opening_seconds"]'
[[ $(headctl doctor --json | grep -c stalled) == 0 ]] || fail "an opening is taken for a stall"
stop_headd
