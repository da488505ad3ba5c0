#!/usr/bin/env bash
# The guests that other tests trust: they are content with a disc that keeps what they write, and
# notice one byte that is not theirs, an error, a session that is lost, another size.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit python3

truncate -s 8M "$work/tail.img"
start_tail nbdkit -f -i ::1 -p PORT file "$work/tail.img"
start_headd
attach disc
size=(--bytes 8MiB)

start_guests disc "${size[@]}" --guests 4 --seconds 2
finish_guests

# Waits for a verdict that is bad, and has to be about "$1".
notices() {
  local status=0
  finish guests || status=$?
  [[ $status == 1 ]] || fail "the guests ended with status $status after $1"
  tail -n 1 "$work/guests.log" | grep -F "the history does not check out: " | grep -qE "$1" ||
    fail "the guests said $(tail -n 1 "$work/guests.log")"
}
blank() { fallocate --punch-hole --length 8M "$work/tail.img"; }

blank
start_guests disc "${size[@]}" --seconds 20
sleep 0.5
printf x | dd of="$work/tail.img" bs=1 seek=$((17 * 512 + 300)) conv=notrunc status=none
notices 'damaged: sector 17 '

# What everything was a while ago is no value any more.
blank
start_guests disc "${size[@]}" --seconds 20
sleep 0.5
blank
notices '(stale|damaged): sector '

blank
start_guests disc "${size[@]}" --seconds 20
sleep 0.5
headctl hold disc >/dev/null
headctl fail disc >/dev/null || true
notices 'error 5'
headctl resume disc >/dev/null || true

blank
start_guests disc "${size[@]}" --seconds 20
sleep 0.5
stop headd KILL || true
notices 'lost the session of a guest'
start_headd
await 5 "the disc" nbdinfo "$(disc_uri disc)"

# That is no surprise where it was said before.
blank
start_guests disc "${size[@]}" --seconds 20
sleep 0.5
kill -USR1 "${pids[guests]}"
sleep 0.1
stop headd KILL || true
start_headd
finish_guests now

start_guests disc --bytes 4MiB --seconds 20
notices 'another size'
stop_headd
