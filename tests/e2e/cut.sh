#!/usr/bin/env bash
# H1 T10: the tail ends the connection after every single byte of its handshake, of a header and of
# its payload (as qemu-iotests 083 does): the guest waits and sees correct data, never an error.
# Usage: cut.sh fin|rst simple|structured|export_name|oldstyle
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need python3 qemu-io
how=${1:?fin or rst} dialect=${2:?what cut_server.py speaks}

# How many bytes the tail sends in its handshake, and in how many the first replies have been: with
# and without data and, in chunks, a hole and a block status too.
guest_reads=()
case $dialect in
  simple) handshake=110 end=700 ;;
  structured) handshake=150 end=900 guest_reads=(-c 'read -P 0 64k 512' -c map) ;;
  export_name) handshake=192 end=300 ;;
  oldstyle) handshake=152 end=260 ;;
  *) fail "there is no dialect $dialect" ;;
esac
# Many discs share the cuts, because a disc retries ever more slowly.
ranges=()
add_ranges() {
  local first=$1 last=$2 size=$3
  for (( ; first <= last; first += size)); do
    ranges+=("$first-$((first + size - 1 < last ? first + size - 1 : last))")
  done
}
add_ranges 1 "$handshake" 5
add_ranges "$((handshake + 1))" "$end" 20
background tails python3 "$here/cut_server.py" "$how" "$dialect" "$work" "${ranges[@]}"
await 10 "the tails" test -e "$work/ports"

# Many connections in a row end on the same request here, and none of them is to blame.
printf '[metrics]\nlisten = "off"\n[tcp]\npoison_attempts = 0\n' >"$work/head.toml"
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
    text=$(qemu-io -f raw -t none "${guest_reads[@]}" -c 'write -P 0x21 0 512' \
      -c 'read -P 0x21 0 512' -c 'write -P 0x22 0 4k' \
      -c 'read -P 0x22 512 512' -c 'flush' "$uri" 2>&1) ||
      fail "$range: the guest met an error: $text"
    ! grep -qiE 'fail|error' <<<"$text" || fail "$range: the guest saw: $text"
    [[ $finished != 1 ]] || return 0
  done
}
for range in "${ranges[@]}"; do
  background "guest-$range" guest "$range"
done
for range in "${ranges[@]}"; do
  finish "guest-$range" || fail "$(cat "$work/guest-$range.log")"
done
cat "$work"/*.cuts | sort -n | cmp - <(seq 1 "$end") || fail "cuts were left out"
stop_headd
