#!/usr/bin/env bash
# A disc that is held asks its tail nothing and goes on where it was; one whose grace time is over,
# or that is failed, gives its guests EIO and serves them again without a restart. Orders outlive
# headd.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit qemu-io python3

truncate -s 16M "$work/tail.img"
tail_up() { start_tail nbdkit -f -i ::1 -p PORT file "$work/tail.img"; }
tail_up
start_headd
attach disc

member() {
  headctl discs disc --json |
    python3 -c "import json, sys; print(json.load(sys.stdin).get('$1', ''))"
}
is() { [[ $(member "$1") == "$2" ]]; }
io() { timeout "$1" qemu-io -f raw -c "$2" "nbd+unix:///?socket=$(disc_socket disc)"; }

io 10 'write -P 17 0 64k' >/dev/null || fail "a write"

headctl hold disc >/dev/null
await 5 "the disc to be held" is state held
background held qemu-io -f raw -c 'read -P 17 0 64k' "nbd+unix:///?socket=$(disc_socket disc)"
sleep 0.5
alive held || fail "a held disc answered"
is waits_for '`headctl resume`' || fail "it is said to wait for $(member waits_for)"
stop_headd
start_headd
await 10 "the order to be remembered" is state held
headctl resume disc >/dev/null
finish held || true # Its connection went with the headd before.
io 10 'read -P 17 0 64k' | grep -q '65536/65536' || fail "a read after the hold"

headctl fail disc >/dev/null
if out=$(io 10 'read 0 64k' 2>&1); then fail "a failed disc gave: $out"; fi
[[ $out == *"Input/output error"* ]] || fail "no EIO but: $out"
headctl resume disc >/dev/null
await 5 "the disc to go on" is state ready
io 10 'read -P 17 0 64k' >/dev/null || fail "a read after fail and resume"

headctl detach disc >/dev/null
attach disc --grace 1
stop tail KILL || true
if out=$(io 20 'read 0 64k' 2>&1); then fail "a disc without a tail gave: $out"; fi
[[ $out == *"Input/output error"* ]] || fail "no EIO but: $out"
is state failing || fail "it is $(member state)"
headctl discs | grep -q 'a connection to its tail' || fail "$(headctl discs)"
tail_up
await 10 "the disc to come back by itself" is state ready
io 10 'read -P 17 0 64k' >/dev/null || fail "a read after the grace time"
stop_headd
