#!/usr/bin/env bash
# chaos.sh SECONDS SEED...: for each seed, faults at random for so long while guests check every
# sector they read. `head-bench chaos --seed N` repeats what the seed N did.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/../e2e/lib.sh"
need ip nft sysctl timeout
need_root
seconds=${1:?how many seconds}
shift
unshare --net --mount --pid --fork true 2>/dev/null || skip "there can be no namespaces here"

for seed in "$@"; do
  # In namespaces of its own, so that nothing outlives it whatever happens: no process, no network.
  TMPDIR=$work unshare --mount --pid --fork --kill-child --mount-proc bash -c \
    'mount -t tmpfs tmpfs /run && exec "$@"' chaos \
    timeout -k 20 $((seconds + 90)) "$HEAD_BIN/head-bench" chaos --seconds "$seconds" \
    --seed "$seed" >"$work/chaos.log" 2>&1 || fail "$(tail -n 100 "$work/chaos.log")"
  verdict=$(tail -n 1 "$work/chaos.log")
  [[ $verdict == "seed $seed: the history checks out: "* ]] || fail "the verdict is: $verdict"
  printf '%s\n' "$verdict"
done
