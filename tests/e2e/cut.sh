#!/usr/bin/env bash
# The tail ends the connection after every single byte of its handshake, of a reply's header and of
# its payload (as qemu-iotests 083 does): the guest waits and sees correct data, never an error.
# Usage: cut.sh fin|rst
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need python3 qemu-io
how=${1:?fin or rst}

# The handshake is some 90 bytes of the tail's; then come replies of 16 bytes, with and without 512
# bytes of data. Many discs share the cuts, because a disc retries ever more slowly.
ranges=()
for ((first = 1; first <= 110; first += 5)); do ranges+=("$first-$((first + 4))"); done
for ((first = 111; first <= 700; first += 20)); do
  ranges+=("$first-$((first + 19 < 700 ? first + 19 : 700))")
done
background tails python3 "$here/cut_server.py" "$how" "$work" "${ranges[@]}"
await 10 "the tails" test -e "$work/ports"

start_headd
while read -r range port; do
  headctl attach "cut-$range" "nbd://[::1]:$port/" >/dev/null
done <"$work/ports"

# One guest a disc: it goes on until all its cuts have happened, and once more.
guest() {
  local range=$1 last=${1#*-} uri text
  uri=$(disc_uri "cut-$range")
  for ((;;)); do
    local finished
    finished=$(grep -cx "$last" "$work/$range.cuts" 2>/dev/null || true)
    text=$(qemu-io -f raw -t none -c 'write -P 0x21 0 512' -c 'read -P 0x21 0 512' \
      -c 'write -P 0x22 0 4k' -c 'read -P 0x22 512 512' -c 'flush' "$uri" 2>&1) ||
      fail "$range: the guest met an error: $text"
    ! grep -qiE 'fail|error' <<<"$text" || fail "$range: the guest saw: $text"
    [[ $finished != 1 ]] || return 0
  done
}
for range in "${ranges[@]}"; do
  background "guest-$range" guest "$range"
done
for range in "${ranges[@]}"; do
  status=0
  wait "${pids[guest-$range]}" || status=$?
  unset "pids[guest-$range]"
  ((status == 0)) || fail "$(cat "$work/guest-$range.log")"
done
cat "$work"/*.cuts | sort -n | cmp - <(seq 1 700) || fail "cuts were left out"
stop_headd
