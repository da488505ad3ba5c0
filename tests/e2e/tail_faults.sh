#!/usr/bin/env bash
# What a guest sees of a tail's troubles, each for SECONDS (2): an answer that comes late, no error
# and no wrong byte. Printed is for how long the longest request waited beyond the trouble, that is,
# after the tail was well again. Usage: tail_faults.sh [SECONDS]
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit python3 ip nft
need_root
seconds=${1:-2}

make_networks
with_address() {
  ip -n "$tail_net" link set t0 up
  ip -n "$tail_net" address replace fd00:77::2/64 dev t0 nodad
}

truncate -s 64M "$work/tail.img"
answers() { ip netns exec "$head_net" bash -c 'exec 3<>/dev/tcp/fd00:77::2/10809'; }
tail_up() {
  background tail ip netns exec "$tail_net" nbdkit -f -i fd00:77::2 file "$work/tail.img"
  await 10 "the tail" answers
}
# Without the shell's word of it.
gone() { { stop "$1" KILL || true; } 2>/dev/null; }
# A server in the tail's place, which does the LINE of Python with each connection it gets.
bad_tail() {
  gone tail
  background bad ip netns exec "$tail_net" python3 -c "
import os, socket, time
server, kept = socket.create_server(('fd00:77::2', 10809), family=socket.AF_INET6), []
while True:
    one = server.accept()[0]
    $1"
}
well_again() {
  gone bad
  tail_up
}

tail_up
headd_prefix=(ip netns exec "$head_net") headd_options=()
# nbdkit's file plugin writes itself, and a process that is killed closes its sockets last.
printf '[metrics]\nlisten = "off"\n[discs]\ntail_closes_last = true\n' >"$work/head.toml"
start_headd
tail_uri='nbd://[fd00:77::2]/'
attach disc
background guest python3 "$here/guest.py" "$(disc_socket disc)"
connected() { headctl discs --json | grep -q '"guests": 1'; }
await 20 "the guest" connected

# The guest's next line, and out of it `requests` and `longest`, in ms.
tell() {
  local lines
  lines=$(wc -l <"$work/guest.log")
  alive guest || fail "the guest met an error: $(tail -n 1 "$work/guest.log")"
  kill -USR1 "${pids[guest]}"
  await 10 "the guest's word" bash -c "((\$(wc -l <'$work/guest.log') > $lines))"
  read -r requests longest < <(tail -n 1 "$work/guest.log" | python3 -c 'import json, sys
told = json.load(sys.stdin)
print(told["requests"], int(told["longest_ms"]))')
}
now_ms() { date +%s%3N; }

# trouble WORDS BEGIN END: functions of this script, or commands.
trouble() {
  local begun ended most=0 asked
  tell
  begun=$(now_ms)
  eval "$2"
  sleep "$seconds"
  tell
  most=$longest
  eval "$3"
  ended=$(now_ms)
  tell
  asked=$requests
  for ((i = 0; i < 300 && requests < asked + 200; ++i)); do
    ((longest <= most)) || most=$longest
    sleep 0.1
    tell
  done
  ((requests >= asked + 200)) || fail "$1: the guest is not served"
  ((longest <= most)) || most=$longest
  # What goes on through the trouble waited for a part of it, or for nothing.
  local beyond=$((most - (ended - begun)))
  printf '%-44s %5d ms, and %5d ms beyond it\n' "$1" $((ended - begun)) $((beyond > 0 ? beyond : 0))
  sleep 0.5
}

trouble "killed, and started again" 'gone tail' tail_up
# shellcheck disable=SC2016
trouble "hung; its TCP answers" 'kill -STOP "${pids[tail]}"' 'kill -CONT "${pids[tail]}"'
# shellcheck disable=SC2016
trouble "cut off: packets dropped" 'ip netns exec "$tail_net" nft -f - <<<"table inet gone {
  chain input { type filter hook input priority 0; policy drop; }
  chain output { type filter hook output priority 0; policy drop; }
}"' 'ip netns exec "$tail_net" nft delete table inet gone'
# shellcheck disable=SC2016
trouble "its link is down" 'ip -n "$tail_net" link set t0 down' with_address
trouble "accepts connections, and never greets" 'bad_tail "kept.append(one)"' well_again
trouble "talks nonsense" 'bad_tail "one.sendall(os.urandom(64)); one.close()"' well_again
trouble "resets every connection" 'bad_tail "one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, \
bytes([1, 0, 0, 0, 0, 0, 0, 0])); one.close()"' well_again

stop guest || fail "the guest met an error: $(tail -n 1 "$work/guest.log")"
stop_headd
