#!/usr/bin/env bash
# Every kind of fault is found to be the cause of the requests that wait because of it. (How often
# out of a hundred, head-bench causes says; here it must be more often than not.)
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit ip nft python3
need_root

"$HEAD_BIN/head-bench" --json causes --trials 5 >"$work/causes.json" 2>"$work/causes.log" ||
  fail "head-bench causes ended with status $?"
python3 - "$work/causes.json" <<'EOF'
import json, sys
rows = {row["cause"]: row for row in json.load(open(sys.argv[1]))["rows"]}
wanted = {"neighbour", "reconnect", "queue", "network", "tail", "head"}
assert set(rows) == wanted, f"the causes are {sorted(rows)}"
for cause, row in rows.items():
    assert row["right"] >= 3, f"{cause}: {row}"
EOF
