#!/usr/bin/env bash
# A tail whose writes belong to the connection that they came over (nbd-server with copyonwrite),
# and that connection breaks: nobody is shown what is there instead, the disc is held and says why.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbd-server qemu-io python3

truncate -s 16M "$work/tail.img"
start_nbd_server 'copyonwrite = true'

member() {
  headctl discs "$1" --json |
    python3 -c "import json, sys; print(json.load(sys.stdin).get('$2', ''))"
}
is() { [[ $(member "$1" "$2") == "$3" ]]; }
io() { timeout "$1" qemu-io -f raw -c "$2" "$(disc_uri disc)"; }
start_headd
attach disc
attach trusting --identity shape
for name in disc trusting; do
  timeout 10 qemu-io -f raw -c 'write -P 17 64k 64k' "$(disc_uri $name)" >/dev/null ||
    fail "a write to $name"
done
# The server has a process for each connection.
for pid in $(pgrep -P "$(cat "$work/nbd-server.pid")"); do kill -9 "$pid"; done

await 10 "what is not there to be noticed" is disc state held
[[ $(member disc problem) == "the tail does not have what was written last, at offset 65536:"* ]] ||
  fail "the problem is: $(member disc problem)"
await 10 "a disc that is known by its shape" is trusting state ready
background waits qemu-io -f raw -c 'read -P 17 64k 64k' "$(disc_uri disc)"
sleep 1
alive waits || fail "a guest was answered: $(cat "$work/waits.log")"
headctl resume disc >/dev/null
await 10 "the disc to be accepted" is disc state ready
finish waits || true
grep -q 'Pattern verification failed' "$work/waits.log" ||
  fail "it was not the server that forgot: $(cat "$work/waits.log")"
stop_headd
