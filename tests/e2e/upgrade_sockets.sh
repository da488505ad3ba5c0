#!/usr/bin/env bash
# The connection to a tail goes along when headd is upgraded: the tail sees one session, before,
# while and after, also where an upgrade fails in the middle. A tail whose writes belong to a
# session (nbd-server with copyonwrite) has all that was written, and one that serves a single
# client at a time has no second one to turn away.
# Usage: upgrade_sockets.sh nbd-server|qemu-nbd|nbdkit|one-client|store
# shellcheck source=tests/e2e/lib.sh
if [[ -z ${HEAD_E2E_INSIDE:-} ]] && ((EUID == 0)); then
  # So that the kernel counts this tail's connections and no others.
  HEAD_E2E_INSIDE=1 exec unshare --net "$0" "$@"
fi
source "$(dirname "$0")/lib.sh"
need_root
need ip qemu-io python3
kind=${1:?a kind of tail}
ip link set lo up

truncate -s 64M "$work/tail.img"
case $kind in
  nbd-server)
    need nbd-server
    start_nbd_server 'copyonwrite = true'
    ;;
  qemu-nbd)
    need qemu-nbd
    start_tail qemu-nbd -f raw -b ::1 -p PORT -t --shared=0 "$work/tail.img"
    ;;
  nbdkit | store)
    need nbdkit
    start_tail nbdkit -f -i ::1 -p PORT file "$work/tail.img"
    ;;
  one-client)
    need nbdkit
    start_tail nbdkit -f -i ::1 -p PORT --filter=limit memory 64M limit=1
    ;;
  *) fail "no such tail: $kind" ;;
esac

# How many connections the servers of this namespace have accepted.
accepted() {
  awk '/^Tcp:/ && !names { names = split($0, name) }
       /^Tcp:/ { for (i = 1; i <= names; ++i) if (name[i] == "PassiveOpens") opens = $i }
       END { print opens }' /proc/net/snmp
}
before=$(accepted)
one_session() {
  local now=$(($(accepted) - before))
  ((now == 1)) || fail "$1: the tail has seen $now sessions"
}

# Writes a block of a value of its own behind the others, and reads all of them again.
written=0
write_and_read() {
  local i commands=(-c "write -P $((written + 1)) ${written}M 64k")
  ((++written))
  for ((i = 0; i < written; ++i)); do commands+=(-c "read -P $((i + 1)) ${i}M 64k"); done
  qemu-io -t writeback -f raw "${commands[@]}" "$(disc_uri disc)" >"$work/qemu-io.log" 2>&1 ||
    fail "$1: $(cat "$work/qemu-io.log")"
  ! grep -q 'verification failed' "$work/qemu-io.log" || fail "$1: $(cat "$work/qemu-io.log")"
}

if [[ $kind == store ]]; then
  # A service manager keeps the descriptors while headd is restarted.
  clean_more() {
    local pid
    for pid in $(sed -n 's/^started //p' "$work/manager.log"); do
      kill -9 "$pid" 2>/dev/null || true
    done
  }
  mkdir -p "$work/run"
  printf '[metrics]\nlisten = "off"\n' >"$work/head.toml"
  background manager python3 "$here/manager.py" "$work/notify" 64 "$HEAD_BIN/headd" --config \
    "$work/head.toml" --state-dir "$work/state" --run-dir "$work/run" "${headd_options[@]}"
  await 20 "headd's API" headctl status
else
  start_headd
fi
attach disc
stay disc
write_and_read "at the beginning"
one_session "at the beginning"

if [[ $kind == store ]]; then
  for restart in 1 2 3; do
    kill -HUP "${pids[manager]}"
    restarted() { (($(grep -c '^told READY=1' "$work/manager.log") == restart + 1)); }
    await 20 "headd to be back" restarted
    write_and_read "after restart $restart"
    one_session "after restart $restart"
  done
  exit 0
fi

for upgrade in 1 2 3; do
  headctl upgrade >/dev/null
  write_and_read "after upgrade $upgrade"
  one_session "after upgrade $upgrade"
done

# Takes all that there is, and ends before it says that it has it.
cat >"$work/wrong-end" <<'END'
#!/usr/bin/env python3
import socket, sys
channel = socket.socket(fileno=3)
def hear():
    return channel.recvmsg(4096, 8192)[0].split(b" ")[0]
assert hear() == b"begin"
channel.send(b"ready ")
while hear() != b"all":
    pass
sys.exit(5)
END
chmod 755 "$work/wrong-end"
status=0
headctl upgrade --binary "$work/wrong-end" >/dev/null 2>&1 || status=$?
((status == 10)) || fail "an upgrade to what does not serve: status $status"
write_and_read "after an upgrade in vain"
one_session "after an upgrade in vain"
headctl upgrade >/dev/null
write_and_read "after the last upgrade"
one_session "after the last upgrade"
[[ $(headctl discs disc --json | grep -c '"reconnects": 0') == 1 ]] ||
  fail "a reconnect was counted: $(headctl discs disc --json)"
