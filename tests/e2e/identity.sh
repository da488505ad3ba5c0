#!/usr/bin/env bash
# A tail that comes back with another disc of the same size under the same name: with identity
# "first-block" its guests wait, an operator is told why, and either the right disc comes back or he
# accepts the other one. With identity "shape" nobody notices.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit qemu-io python3

for image in right wrong; do truncate -s 16M "$work/$image.img"; done
printf right | dd of="$work/right.img" conv=notrunc status=none
printf wrong | dd of="$work/wrong.img" conv=notrunc status=none
tail_up() { start_tail nbdkit -f -i ::1 -p PORT file "$work/$1.img"; }
member() {
  headctl discs "$1" --json |
    python3 -c "import json, sys; print(json.load(sys.stdin).get('$2', ''))"
}
is() { [[ $(member "$1" "$2") == "$3" ]]; }
io() { timeout "$1" qemu-io -f raw -c "$2" "nbd+unix:///?socket=$(disc_socket disc)"; }

tail_up right
start_headd
attach disc --identity first-block
attach trusting --identity shape
is disc identity first-block || fail "its identity is $(member disc identity)"
io 10 'write -P 17 64k 64k' >/dev/null || fail "a write"
sleep 1 # The first look at the block is under way at once.

stop tail KILL || true
tail_up wrong
await 10 "the other disc to be noticed" is disc state held
[[ $(member disc problem) == "the first block is not the one it was"* ]] ||
  fail "the problem is: $(member disc problem)"
grep -q 'the first block is not the one it was.*its requests are held' "$work/headd.log" ||
  fail "the log does not tell"
await 10 "the other disc not to be noticed" is trusting state ready
background waits qemu-io -f raw -c 'read -P 17 64k 64k' "nbd+unix:///?socket=$(disc_socket disc)"
sleep 0.5
alive waits || fail "a guest was answered: $(cat "$work/waits.log")"

stop tail KILL || true
tail_up right
finish waits || fail "a guest that waited: $(cat "$work/waits.log")"
grep -q '65536/65536' "$work/waits.log" || fail "a guest that waited: $(cat "$work/waits.log")"

# What a guest writes there is the disc's, once it is looked at anew, and also for the next headd.
io 10 'write -P 18 0 4k' >/dev/null || fail "a write of the first block"
sleep 7
headctl upgrade >/dev/null
pids[next]=$(sed -n 's/.* is to take over, as process \([0-9]*\)$/\1/p' "$work/headd.log")
finish headd || true
stop tail KILL || true
tail_up wrong
await 10 "the other disc to be noticed by the next headd" is disc state held
headctl resume disc >/dev/null
await 10 "the other disc to be accepted" is disc state ready
io 10 'read -P 0 64k 64k' >/dev/null || fail "a read of the disc that was accepted"
kill "${pids[next]}"
