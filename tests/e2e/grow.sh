#!/usr/bin/env bash
# A disc that grows: `headctl look`, a reload and attaching it again find that out while it is
# served; what a connected guest goes on believing is said, after an upgrade too. A size that is not
# a multiple of 512. And a disc that has shrunk, which `headctl resume` is refused with the reason.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit nbdinfo python3

truncate -s 64M "$work/disc"
start_tail nbdkit -f -i ::1 -p PORT file "$work/disc"
start_headd
attach web
background guest python3 "$here/guest.py" "$(disc_socket web)"
has() { headctl discs web --json | tr -d ' \n' | grep -qF "$1"; }
await 20 "the guest" has '"guest_sizes":[67108864]'
reconnects() { headctl discs web --json | sed -n 's/.*"reconnects": \([0-9]*\).*/\1/p'; }

before=$(reconnects)
headctl look web >/dev/null
headctl reload >/dev/null
sleep 0.5
after=$(reconnects)
[[ $after == "$before" ]] || fail "a look at an unchanged disc makes it reconnect: $before, $after"

grown=67108864
for how in "look web" reload "attach web $tail_uri"; do
  grown=$((grown + (1 << 20)))
  truncate -s $grown "$work/disc"
  # shellcheck disable=SC2086
  headctl $how >/dev/null
  await 10 "the new size after headctl $how" has "\"size\":$grown,"
  [[ $(nbdinfo --size "$(disc_uri web)") == "$grown" ]] || fail "a new guest is told another size"
  has '"guest_sizes":[67108864]' || fail "it does not say what the guest believes after $how"
done
grep -q "has $grown bytes, but 1 connected guest was told 67108864" "$work/headd.log" ||
  fail "the log does not say what the guest believes"
headctl discs web | grep -q 'size in use *64 MiB by one guest' || fail "$(headctl discs web)"

headctl upgrade >/dev/null
await 10 "the guest's size after an upgrade" has '"guest_sizes":[67108864]'
has "\"size\":$grown," || fail "the size is another one after an upgrade"

truncate -s $((grown + 100)) "$work/disc"
headctl look web >/dev/null
out_of_reach() { headctl discs web | grep -q '^problem .*its last 100 cannot be reached'; }
await 10 "which bytes are out of reach" out_of_reach

truncate -s 32M "$work/disc"
headctl look web >/dev/null
await 10 "the objection" has '"last_problem":"thetailnowoffersasmallerdiscthanbefore"'

stop tail || true
start_tail nbdkit -f -i ::1 -p PORT file "$work/disc"
await 20 "the disc to be held" has '"state":"held"'
status=0
said=$(headctl resume web 2>&1) || status=$?
[[ $status == 12 && $said == *"smaller disc"* ]] ||
  fail "resume of a disc that has shrunk has status $status: $said"
truncate -s $((grown + 100)) "$work/disc"
headctl resume web >/dev/null
await 10 "the disc to go on" has '"state":"ready"'

kill "${pids[guest]}"
finish guest || fail "the guest: $(tail -n 1 "$work/guest.log")"
