#!/usr/bin/env bash
# A new headd that ends, or hangs, after it was given the guests and before it serves: the old one
# takes the discs back, and guests that connect again lose nothing.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit python3

start_tail nbdkit -f -p PORT memory 256m
start_headd
attach disc
background guest python3 "$here/guest.py" "$(disc_socket disc)" --reconnect
connected() { headctl discs disc --json | grep -q '"guests": 1'; }
await 20 "the guest" connected

cat >"$work/dies" <<'END'
#!/usr/bin/env python3
import socket, sys, time
hangs = False
channel = socket.socket(fileno=3)
def hear():
    return channel.recvmsg(4096, 8192)[0].split(b" ")[0]
assert hear() == b"begin"
channel.send(b"ready ")
while hear() != b"all":
    pass
channel.send(b"taken ")
assert hear() == b"go"
if hangs:
    time.sleep(60)
sys.exit(5)
END
sed "s/^hangs = False/hangs = True/" "$work/dies" >"$work/hangs"
chmod 755 "$work/dies" "$work/hangs"
for how in dies hangs; do
  status=0
  said=$(headctl upgrade --binary "$work/$how" 2>&1) || status=$?
  [[ $status == 10 && $said == *"1 guests have to connect again"* ]] ||
    fail "$how: status $status, \"$said\""
  await 10 "the guest to connect again" connected
  sleep 0.3
done
# One that says no before it takes over leaves the sockets where they are.
printf '[api]\noperator_group = "no-such-group"\n' >>"$work/head.toml"
for _ in 1 2 3; do
  status=0
  said=$(headctl upgrade 2>&1) || status=$?
  [[ $status == 10 && $said == *"there is no group"* ]] || fail "status $status, \"$said\""
  sleep 0.5
  [[ -S $(disc_socket disc) ]] || fail "the disc's socket is gone"
done
sed -i '/no-such-group/d; /^\[api\]$/d' "$work/head.toml"
headctl upgrade
sleep 0.3
kill "${pids[guest]}"
finish guest || fail "the guest: $(tail -n 1 "$work/guest.log")"
printf 'guest: %s\n' "$(tail -n 1 "$work/guest.log")"
