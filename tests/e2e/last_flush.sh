#!/usr/bin/env bash
# What a tail has acknowledged and not flushed is flushed before a disc is detached, and before
# headd ends; a tail that does not answer holds up neither.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit python3

start_tail nbdkit -f -p PORT --filter=log memory 16m logfile="$work/asked"
start_headd
cat >"$work/writes.py" <<'END'
import socket, struct, sys
guest = socket.socket(socket.AF_UNIX)
guest.connect(sys.argv[1])
guest.sendall(struct.pack(">IQII", 3, 0x49484156454F5054, 1, 0)
              + struct.pack(">IHHQQI", 0x25609513, 0, 1, 7, 0, 4096) + b"x" * 4096)
size = 18 + 10 + 16
while size:
    size -= len(guest.recv(size))
END
write() { timeout 20 python3 "$work/writes.py" "$(disc_socket disc)" || fail "it cannot write"; }
forget() { : >"$work/asked"; }
flushes() { grep -c ' Flush ' "$work/asked" || true; }

for mode in writeback replay writethrough; do
  attach disc --durability $mode
  forget
  write
  if [[ $mode == replay ]]; then
    flushed() { (($(flushes) == 1)); }
    await 10 "the FLUSH after the last guest" flushed
  else
    forget
  fi
  headctl detach disc
  expected=1
  [[ $mode != writethrough ]] || expected=0
  (($(flushes) == expected)) || fail "$mode: not $expected flushes: $(cat "$work/asked")"
done

# Whatever an operator wants of the guests' requests.
for order in hold fail; do
  attach disc --durability writeback
  write
  headctl $order disc
  forget
  headctl detach disc
  (($(flushes) == 1)) || fail "$order: not flushed when it was detached: $(cat "$work/asked")"
done

attach disc --durability writeback
write
forget
stop_headd
(($(flushes) == 1)) || fail "not flushed when headd ended: $(cat "$work/asked")"

start_headd
ready() { headctl discs disc --json | grep -q '"ready"'; }
await 20 "the disc" ready
kill -STOP "${pids[tail]}"
began=$EPOCHSECONDS
headctl detach disc
((EPOCHSECONDS - began < 8)) || fail "the detach took $((EPOCHSECONDS - began)) s"
grep -q "disc disc: detached without a last FLUSH" "$work/headd.log" || fail "nothing is told"
kill -CONT "${pids[tail]}"
