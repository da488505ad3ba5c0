#!/usr/bin/env bash
# headd as its unit file runs it: no root, CAP_NET_ADMIN, CAP_NET_RAW and nothing else, watched by a
# service manager, told by SIGHUP to read its configuration again.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need ip setpriv systemd-analyze python3 cmake
need_root

# What the unit promises is what systemd understands.
build=$(cd "$HEAD_BIN/.." && pwd)
DESTDIR=$work/root cmake --install "$build" --prefix /usr >"$work/install.log"
unit=$work/root/usr/lib/systemd/system/headd.service
sed -i "s|/usr/sbin/headd|$work/root/usr/sbin/headd|" "$unit"
said=$(systemd-analyze verify --man=no "$unit" 2>&1 | grep -F headd.service || true)
[[ -z $said ]] || fail "systemd-analyze verify: $said"
exposure=$(systemd-analyze security --offline=yes --no-pager "$unit" 2>/dev/null | tail -n 1)
[[ $exposure == *' OK '* ]] || fail "systemd-analyze security: $exposure"
printf '%s\n' "$exposure"
# "net_admin,+net_raw", for setpriv.
capabilities=$(sed -n 's/^AmbientCapabilities=CAP_//p' "$unit" | tr '[:upper:]' '[:lower:]' |
  sed 's/ cap_/,+/g')
[[ $capabilities == net_admin,+net_raw ]] || fail "the unit asks for $capabilities"

# A head with a storage interface.
netns=service$$
clean_more() { ip netns del $netns; }
ip netns add $netns
ip -n $netns link set lo up
ip -n $netns link add s0 type veth peer name s1
ip -n $netns link set s0 up
ip -n $netns link set s1 up
ip -n $netns addr add fd00:5e::1/64 dev s0 nodad

cat >"$work/notified.py" <<'EOF'
import socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(sys.argv[1])
print("listening", flush=True)
while True:
    print(listener.recv(4096).decode().replace("\n", " "), flush=True)
EOF
background notified python3 "$work/notified.py" "$work/notify"
await 10 "the manager's socket" grep -q listening "$work/notified.log"
told() { grep -c "^$1" "$work/notified.log" || true; }

# Whoever it is that owns nothing.
chmod 755 "$work"
chmod 777 "$work/notify"
mkdir "$work/run" "$work/state" "$work/bin"
cp "$HEAD_BIN/headd" "$HEAD_BIN/headctl" "$work/bin"
chown nobody "$work/run" "$work/state"
printf '[stall]\nthreshold_ms = 20\n' >"$work/head.toml"
headd_options=()
HEAD_BIN=$work/bin
headd_prefix=(ip netns exec "$netns" env NOTIFY_SOCKET="$work/notify" WATCHDOG_USEC=1500000
  setpriv --reuid=nobody --regid=nogroup --clear-groups --no-new-privs
  "--inh-caps=-all,+$capabilities" "--ambient-caps=-all,+$capabilities"
  "--bounding-set=-all,+$capabilities")
# The kernel is probed with the capabilities of the unit as with root's: what it cannot is true.
rungs() {
  python3 -c 'import json, sys
for rung in json.load(sys.stdin)["strategies"]: print(rung["name"], rung["possible"])'
}
mkdir -p "$work/root-run" "$work/root-state"
background root ip netns exec "$netns" "$HEAD_BIN/headd" --config "$work/head.toml" \
  --run-dir "$work/root-run" --state-dir "$work/root-state"
of_root() { "$HEAD_BIN/headctl" --api "$work/root-run/api.sock" "$@"; }
await 20 "a headd of root's" of_root status
as_root=$(of_root neigh --json | rungs)
stop root

start_headd
start_was_told() { (($(told READY=1) == 1)); }
await 10 "the manager to be told that headd is ready" start_was_told

[[ $(headctl doctor --json) != *not-probed* ]] || fail "the kernel could not be probed"
as_shipped=$(headctl neigh --json | rungs)
[[ $as_shipped == "$as_root" ]] || fail "as shipped: $as_shipped; as root: $as_root"

headctl attach web1 'nbd://[fd00:5e::2]/' --lladdr 52:54:00:00:00:01
entry_is_there() { ip -n $netns -6 neigh show | grep -q '^fd00:5e::2 .*52:54:00:00:00:01'; }
await 10 "the disc's neighbour entry" entry_is_there

before=$(told WATCHDOG=1)
watchdog_is_fed() { (($(told WATCHDOG=1) >= before + 3)); }
await 10 "the watchdog to be fed" watchdog_is_fed

# The configuration is read again; a wrong one changes nothing.
printf '[stall]\nthreshold_ms = 50\n[data]\nthreads = 3\n' >"$work/head.toml"
kill -HUP "${pids[headd]}"
await 10 "the reload" grep -q 'changed now: stall.threshold_ms; at the next start: data.threads' \
  "$work/headd.log"
reload_was_told() { (($(told RELOADING=1) == 1 && $(told READY=1) == 2)); }
await 10 "the manager to be told" reload_was_told
[[ $(headctl reload --json | tr -d ' \n') == '{"applied":[],"at_next_start":["data.threads"]}' ]] ||
  fail "headctl reload says $(headctl reload --json)"
printf '[stall]\nthreshold = 50\n' >"$work/head.toml"
status=0
said=$(headctl reload 2>&1) || status=$?
((status == 3)) || fail "headctl reload ended with $status for a wrong configuration"
[[ $said == *'line 2'*'stall.threshold_ms?'*'nothing was changed'* ]] || fail "it says: $said"

stop_headd
end_was_told() { (($(told STOPPING=1) == 1)); }
await 10 "the manager to be told of the end" end_was_told
