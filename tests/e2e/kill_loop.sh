#!/usr/bin/env bash
# kill_loop.sh [KILLS [DISCS]]: headd is killed at random moments under verified load. Guests that
# connect again see no error and no wrong byte. Then: how long until so many discs serve again.
# The tail carries out at once what it gets: a second is safe here, QUARANTINE_MS else.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit python3
kills=${1:-10}
discs=${2:-1000}

# A thread for each connection: by default there would be 16.
start_tail nbdkit -f -t 1 -p PORT memory 256m
printf '[metrics]\nlisten = "off"\n[discs]\nquarantine_ms = %s\n' "${QUARANTINE_MS:-1000}" \
  >"$work/head.toml"
start_headd
for disc in a b; do attach $disc; done
background guest-a python3 "$here/guest.py" "$(disc_socket a)" --reconnect
background guest-b python3 "$here/guest.py" "$(disc_socket b)" --reconnect --from 1000

again() {
  background headd "$HEAD_BIN/headd" --config "$work/head.toml" --state-dir "$work/state" \
    --run-dir "$work/run" "${headd_options[@]}"
}
for ((i = 0; i < kills; ++i)); do
  sleep "$(python3 -c 'import random; print(random.uniform(0.05, 0.6))')"
  stop headd KILL || true
  again
done
await 20 "headd's API" headctl status
sleep 0.5
for disc in a b; do
  alive "guest-$disc" || fail "the guest of disc $disc: $(tail -n 1 "$work/guest-$disc.log")"
  kill "${pids[guest-$disc]}"
  finish "guest-$disc" || fail "the guest of disc $disc: $(tail -n 1 "$work/guest-$disc.log")"
  printf 'disc %s, %s kills: %s\n' $disc "$kills" "$(tail -n 1 "$work/guest-$disc.log")"
done

# How soon all discs are there again.
for ((i = 0; i < discs; ++i)); do printf 'd%04d %s\n' $i "$tail_uri"; done >"$work/list"
headctl import "$work/list" --wait >/dev/null
stop headd KILL || true
cat >"$work/answers.py" <<'END'
import os, socket, struct, sys, time
began, run, count = time.monotonic(), sys.argv[1], int(sys.argv[2])
waiting = [f"{run}/discs/d{i:04d}/nbd.sock" for i in range(count)]
while waiting and time.monotonic() - began < 60:
    later = []
    for path in waiting:
        try:
            guest = socket.socket(socket.AF_UNIX)
            guest.settimeout(5)
            guest.connect(path)
            guest.sendall(struct.pack(">IQII", 3, 0x49484156454F5054, 1, 0)
                          + struct.pack(">IHHQQI", 0x25609513, 0, 0, 7, 0, 4096))
            size = 18 + 10 + 16 + 4096
            while size:
                part = guest.recv(size)
                if not part:
                    raise ConnectionResetError
                size -= len(part)
        except OSError:
            later.append(path)
        guest.close()
    waiting = later
print(f"{time.monotonic() - began:.2f}" if not waiting else "never")
END
again
took=$(python3 "$work/answers.py" "$work/run" "$discs")
printf '%s discs answer again %s s after headd was started again\n' "$discs" "$took"
[[ $took != never ]] || fail "not all discs came back within 60 s"
stop_headd
