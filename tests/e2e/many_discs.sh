#!/usr/bin/env bash
# T16: the main job, many discs, each at its own address, on a kernel whose neighbour table is too
# small for them. Without the keeper requests stall; with it none does for the lack of a neighbour,
# the kernel's table never overflows, and its limits are put back.
# Usage: many_discs.sh DISCS SECONDS
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit ip nft python3
need_root
[[ -w /proc/sys/net/ipv6/neigh/default/gc_thresh3 ]] ||
  skip "the neighbour table's limits can be set in the initial network namespace only"

limits() { cat /proc/sys/net/ipv6/neigh/default/gc_thresh{1,2,3}; }
before=$(limits)
HEAD_BIN=$HEAD_BIN timeout 200 "$here/../../tools/demo" --discs "$1" --seconds "$2" --json \
  >"$work/result.json" 2>"$work/demo.log" </dev/null || fail "the demo failed"
[[ $(limits) == "$before" ]] || fail "the limits are not what they were: $before, now $(limits)"
! ip netns list | grep -q headstart- || fail "the demo left a network namespace"

python3 - "$work/result.json" "$1" <<'EOT'
import json, sys

result, discs = json.load(open(sys.argv[1])), int(sys.argv[2])
without, kept = result["without"], result["with"]
problems = []


def check(holds, sentence):
    if not holds:
        problems.append(sentence)


check(without["limits"] == [128, 512, 1024], f"without: limits {without['limits']}")
check(without["discs_opened"] < discs, "without the keeper every disc connected: proves nothing")
check(without["table"]["table_fulls"] > 0, "without the keeper the table never overflowed")
check(kept["discs_opened"] == discs, f"with: {kept['discs_opened']} of {discs} discs opened")
check(kept["by_cause"]["neighbour"] == 0, f"with: stalls by cause {kept['by_cause']}")
check(kept["table"]["table_fulls"] == 0, f"with: the table overflowed {kept['table']}")
check(kept["limits"][2] > without["limits"][2], f"with: limits {kept['limits']}")
check(kept["errors"] == 0 and without["errors"] == 0, "a guest met an error")
check(kept["max_ms"] < 1000, f"with: a request took {kept['max_ms']} ms")
check(kept["requests"] > 0 and kept["still_waiting"] <= 100, f"with: {kept}")
for problem in problems:
    print("FAILED:", problem, file=sys.stderr)
sys.exit(bool(problems))
EOT
