#!/usr/bin/env bash
# headctl top in a real terminal: tmux of 80x24 and of 200x50, keys, and a change of size.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit tmux
start_tail nbdkit -f -i ::1 -p PORT memory 16M
start_headd
attach web1 --grade gold
headctl attach lost 'nbd://[::1]:1/' >/dev/null

terminal() { tmux -S "$work/tmux" "$@"; }
clean_more() { terminal kill-server 2>/dev/null; }
screen() { terminal capture-pane -p -t "$1"; }
shows() { screen "$1" | grep -qE -- "$2"; }
press() { terminal send-keys -t "$1" "$2"; }
widest() { screen "$1" | python3 -X utf8 -c 'import sys; print(max(map(len, sys.stdin)) - 1)'; }

top_in() {
  local name=$1 columns=$2 lines=$3
  LC_ALL=C.UTF-8 terminal -f /dev/null -u new-session -d -s "$name" -x "$columns" -y "$lines" \
    "$HEAD_BIN/headctl --api $work/run/api.sock top --seconds 0.2; echo ended \$?; sleep 600"
  await 20 "top in a terminal of ${columns}x$lines" shows "$name" '^web1 .*ready'
}

top_in small 80 24
shows small 'room for [0-9]+' || fail "80 columns have no head-room: $(screen small)"
shows small 'STATE .*REQ/Sv.*P99' || fail "80 columns lack headings: $(screen small)"
! shows small PROBLEM || fail "80 columns have too many headings"
(($(widest small) <= 80)) || fail "a line is wider than 80 columns"
press small /
press small w
press small e
await 20 "the filter to be shown" shows small '^filter: we_'
press small Enter
await 20 "the other disc to be hidden" eval '! shows small "^lost "'
press small Escape
await 20 "the other disc to be shown again" shows small '^lost '
press small s
await 20 "another order" shows small 'P99v|BYTESv|BYTES/Sv|STALL/Sv|1-2 of 2'
press small t
await 20 "tails" shows small '^TAIL .*DISCS'
shows small '^::1 ' || fail "the tail is not shown: $(screen small)"
press small t

terminal resize-window -t small -x 200 -y 50
await 20 "the larger screen" shows small 'PROBLEM'
await 20 "the last line at the bottom" eval 'screen small | sed -n 50p | grep -q "q quit"'
terminal resize-window -t small -x 40 -y 10
await 20 "the smaller screen" eval 'screen small | sed -n 10p | grep -q "of 2"'
(($(widest small) <= 40)) || fail "a line is wider than 40 columns"
press small q
await 20 "the end" shows small '^ended 0'

top_in large 200 50
shows large 'CAUSE.*FLIGHT.*GRADE.*TAIL.*PROBLEM' ||
  fail "200 columns are not used: $(screen large)"
shows large '^web1 .* gold ' || fail "the grade is not shown: $(screen large)"
press large /
for letter in o l d; do press large "$letter"; done
await 20 "the disc of another grade to be hidden" eval '! shows large "^lost "'
shows large '^web1 ' || fail "the grade is not looked for: $(screen large)"
press large Enter
press large Escape
await 20 "the other disc to be shown again" shows large '^lost '
stop_headd
await 20 "that headd has gone" shows large 'cannot reach headd'
press large q
await 20 "the end" shows large '^ended 0'

"$HEAD_BIN/headctl" --api "$work/run/api.sock" top </dev/null >"$work/none" 2>&1 &&
  fail "top ran without a terminal"
grep -q 'needs a terminal' "$work/none" || fail "it did not say why: $(<"$work/none")"
