#!/usr/bin/env bash
# `headctl upgrade` under verified load: guests see a pause, no error and no wrong byte. A headd
# that does not come up, at whatever step, leaves the guests with the old one.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit python3
times=${TIMES:-10}

start_tail nbdkit -f -p PORT memory 256m
start_headd
for disc in a b c; do attach $disc; done
port=$(free_port) # The checked guest has a disc of its own.
background tail-d nbdkit -f -p "$port" memory 64m
await 10 "the tail of d" listening "$port"
tail_uri="nbd://[::1]:$port/"
attach d
declare -A at=([a]=0 [b]=1000 [c]=2000)
for disc in a b c; do
  background "guest-$disc" python3 "$here/guest.py" "$(disc_socket $disc)" --from "${at[$disc]}"
done
start_guests d --guests 1 --largest 512KiB --seconds 230

all_connected() { [[ $(headctl discs --json | grep -c '"guests": 1') == 4 ]]; }
await 20 "all guests" all_connected

all_ready() { [[ $(headctl discs --json | grep -o '"ready"' | wc -l) == 4 ]]; }
pause_max=0
for ((i = 0; i < times; ++i)); do
  answer=$(headctl upgrade --json) || fail "upgrade $i: status $?"
  pause=$(python3 -c 'import json, sys
print(int(json.load(sys.stdin)["pause_seconds"] * 1000))' <<<"$answer")
  ((pause <= pause_max)) || pause_max=$pause
  await 10 "all discs" all_ready # What was under way on a connection has it made anew.
  sleep 0.3
done
[[ $answer == *'"guests": 4'* ]] || fail "the last upgrade passed on only: $answer"
printf 'longest pause by headd: %s ms in %s upgrades\n' "$pause_max" "$times"
((pause_max < 10000)) || fail "a pause of $pause_max ms" # A bound, not a measurement.
for disc in a b c; do kill -USR1 "${pids[guest-$disc]}"; done

# Who does not take over.
refuse() {
  local status=0
  said=$(headctl upgrade --binary "$1" 2>&1) || status=$?
  [[ $status == 10 ]] || fail "upgrade to $1: status $status, \"$said\""
  printf 'as it should: %s\n' "$said"
  headctl status >/dev/null
}
refuse /bin/false
refuse "$work/nothing"
cat >"$work/wrong-end" <<'END'
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
if hangs:
    time.sleep(60)
sys.exit(5)
END
sed "s/^hangs = False/hangs = True/" "$work/wrong-end" >"$work/silent-at-the-end"
printf '#!/bin/sh\nexec sleep 60\n' >"$work/silent"
printf '#!/bin/sh\nchmod o+w "$0"\n' >"$work/shared"
chmod 755 "$work/wrong-end" "$work/silent-at-the-end" "$work/silent"
chmod 757 "$work/shared"
refuse "$work/wrong-end"
refuse "$work/silent-at-the-end"
refuse "$work/silent"
refuse "$work/shared"
[[ $said == *"changed by others"* ]] || fail "$said"

# It begins with what is in the state directory, which must not have lost any of it.
mv "$work/state" "$work/elsewhere"
refuse "$HEAD_BIN/headd"
[[ $said == *"$work/state"* ]] || fail "$said"
mv "$work/elsewhere" "$work/state"
cp "$work/state/discs.json" "$work/discs.json"
sed -i "s/:$port/:1/" "$work/state/discs.json"
refuse "$HEAD_BIN/headd"
[[ $said == *"another tail for disc d"* ]] || fail "$said"
cp "$work/discs.json" "$work/state/discs.json"
headctl upgrade
rm "$work/state/discs.json"

# And it still can.
headctl upgrade
await 10 "all discs" all_ready
for disc in a b c; do
  kill "${pids[guest-$disc]}"
  finish "guest-$disc" || fail "the guest of disc $disc: $(tail -n 1 "$work/guest-$disc.log")"
  printf 'disc %s while upgraded: %s\n' $disc "$(head -n 1 "$work/guest-$disc.log")"
  printf 'disc %s while not:      %s\n' $disc "$(tail -n 1 "$work/guest-$disc.log")"
done
finish_guests now
