#!/usr/bin/env bash
# A tail is emptied by one command: all its discs move to another tail, which has their addresses
# and their data, while guests ask all of them. No guest meets an error, and every entry names the
# new tail. (The old one hears no more: it is not where its addresses are.) Usage: evacuate.sh DISCS
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
discs=${1:?how many discs}
need nbdkit ip unshare python3
need_root
[[ -x $HEAD_BIN/head-bench ]] || skip "there is no head-bench in $HEAD_BIN"
in_own_network "$discs"
headd_options=()

make_switch fd00:4::1/64
python3 - "$discs" "$work" <<'END'
import sys
discs, work = int(sys.argv[1]), sys.argv[2]
address = lambda i: f"fd00:4::1:{i:x}"
with open(f"{work}/discs", "w") as file:
    for i in range(discs):
        print(f"d{i} nbd://[{address(i)}]/ lladdr=02:00:00:00:04:01", file=file)
with open(f"{work}/moves", "w") as file:
    for i in range(discs):
        print(f"d{i} to=tail2", file=file)
for tail in (1, 2):
    with open(f"{work}/addresses{tail}", "w") as file:
        for i in range(discs):
            print(f"address add {address(i)}/64 dev t{tail} nodad", file=file)
END
truncate -s 64M "$work/tail.img"
for i in 1 2; do
  ip link add t$i address 02:00:00:00:04:0$i netns tail$i type veth peer name p-t$i netns switch
  ip -n switch link set p-t$i master sw0 up
  ip -n tail$i link set lo up
  ip -n tail$i link set t$i up
  ip -n tail$i -6 -batch "$work/addresses$i"
  background tail$i ip netns exec tail$i nbdkit -f -t 1 -p 10809 file "$work/tail.img"
done
connected() { ip netns exec "$1" ss -Htn state established sport = :10809 | wc -l; }
all_with() { (($(connected "$1") == discs)); }

cat >"$work/head.toml" <<'END'
[metrics]
listen = "off"
[tails]
tail2 = "02:00:00:00:04:02"
END
start_headd
headctl import "$work/discs" --wait >/dev/null
[[ $(connected tail1) == "$discs" ]] || fail "$(connected tail1) discs are with the first tail"
background load "$HEAD_BIN/head-bench" load --seconds 10 --rate 500 --json "$work/run/discs"
sleep 4
headctl import --moves "$work/moves" | tee "$work/answer"
grep -q "^$discs discs moved in [0-9.]* [mu]*s$" "$work/answer" || fail "it says otherwise"
await 10 "all discs with the second tail" all_with tail2
finish load || fail "the guests' load ended with status $?"
python3 - "$work/load.log" <<'END' || fail "a guest met an error: $(<"$work/load.log")"
import json, sys
load = json.load(open(sys.argv[1]))
print("of %d requests the longest took %.0f ms" % (load["requests"], load["max_ms"]))
sys.exit(load["errors"] != 0 or load["requests"] == 0)
END
old=$(headctl neigh --json --lladdr 02:00:00:00:04:01 | python3 -c '
import json, sys
print(sum(1 for entry in json.load(sys.stdin)["entries"] if entry.get("discs")))')
((old == 0)) || fail "$old entries still name the first tail"
stop_headd
