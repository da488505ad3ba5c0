#!/usr/bin/env bash
# The tail closes the connection after every single byte of its handshake, of a reply's header and of
# its payload (as qemu-iotests 083 does): the guest waits and sees correct data, never an error.
# Usage: cut.sh fin|rst
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need python3 qemu-io
how=${1:?fin or rst}

# The tail sends 18 + 20 * 2 + 32 + 20 bytes of handshake at most before it serves; 260 cuts go well
# into the replies that follow. A disc retries at once, then ever more slowly: the pauses are
# configured short, because 260 of them are awaited here.
last=260
printf '[reconnect]\nmaximum_delay_ms = 10\n' >"$work/head.toml"
start_tail python3 "$here/cut_server.py" PORT 1 $last "$how" "$work/cuts"
start_headd
headctl attach disc "$tail_uri" >/dev/null

# A guest that writes and reads all the while, so that cuts fall into its requests.
guest() {
  qemu-io -f raw -t none -c 'write -P 0x21 0 4k' -c 'write -P 0x22 4k 4k' -c 'read -P 0x21 0 4k' \
    -c 'read -P 0x22 4k 4k' -c 'flush' "$(disc_uri disc)" 2>&1
}
all_cut() { [[ -e $work/cuts ]] && (($(wc -l <"$work/cuts") == last)); }
end=$((SECONDS + 100))
until all_cut; do
  ((SECONDS < end)) || fail "only $(wc -l <"$work/cuts") of $last cuts happened"
  text=$(guest) || fail "the guest met an error: $text"
  ! grep -qiE 'fail|error' <<<"$text" || fail "the guest saw: $text"
done
text=$(guest)
! grep -qiE 'fail|error' <<<"$text" || fail "the guest saw: $text"
seq 1 $last | cmp - "$work/cuts" || fail "cuts were left out"
stop_headd
