#!/usr/bin/env bash
# What was acknowledged and is kept in headd's memory only is flushed before another headd takes
# over, which knows nothing of it.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit python3

start_tail nbdkit -f -p PORT --filter=log memory 16m logfile="$work/asked"
start_headd
attach disc
# It writes, and then listens, connected, to nothing.
cat >"$work/writes.py" <<'END'
import socket, struct, sys
guest = socket.socket(socket.AF_UNIX)
guest.connect(sys.argv[1])
guest.sendall(struct.pack(">IQII", 3, 0x49484156454F5054, 1, 0)
              + struct.pack(">IHHQQI", 0x25609513, 0, 1, 7, 0, 4096) + b"x" * 4096)
size = 18 + 10 + 16
while size:
    size -= len(guest.recv(size))
print("written", flush=True)
guest.recv(1)
END
background guest python3 "$work/writes.py" "$(disc_socket disc)"
await 10 "the write" grep -q written "$work/guest.log"
# Whether the tail knows FLUSH was tried when the disc was opened.
flushes() { grep -c ' Flush ' "$work/asked" || true; }
(($(flushes) == 1)) || fail "it was flushed already: $(cat "$work/asked")"
headctl upgrade
(($(flushes) > 1)) || fail "it was not flushed: $(cat "$work/asked")"
alive guest || fail "the guest was hung up on"
