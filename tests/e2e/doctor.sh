#!/usr/bin/env bash
# headctl doctor: nothing is found on a healthy head; of a head that was made ill, each illness is,
# with its exit status; with headd and without, also without root. In a namespace of its own.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need ip unshare setpriv nbdkit sysctl
need_root
in_own_network
mount -t sysfs none /sys 2>/dev/null || true
mount -t tmpfs tmpfs /run # So that the names of namespaces are the script's own.

# A tail behind e1, with the discs' addresses.
mac=52:54:00:00:00:21
ip netns add tail
ip link set lo up
ip link add e0 type veth peer name e1 address $mac netns tail
ip link set e0 addrgenmode none
ip -n tail link set e1 addrgenmode none
ip link set e0 up
ip -n tail link set lo up
ip -n tail link set e1 up
ip address add fd00::1/64 dev e0 nodad
for address in fd00::21 fd00::22; do ip -n tail address add $address/64 dev e1 nodad; done
background tail ip netns exec tail nbdkit -f -p 10809 memory 1M
await 10 "the tail" ip netns exec tail python3 -c '
import socket; socket.create_connection(("::1", 10809))'

# ids prints "ID SUBJECT" of each finding, sorted; the exit status must be what they come
# down to. What the rest of this machine's one neighbour table may give cause for is left out, and
# what remains decides the status of ids.
ids() {
  local status=0
  headctl doctor --json >"$work/doctor.json" || status=$?
  python3 - "$work/doctor.json" "$status" <<'END'
import json, sys
answer = json.load(open(sys.argv[1]))
graver = lambda all: max([{"warning": 1, "stall": 2}[one["severity"]] for one in all], default=0)
assert int(sys.argv[2]) == graver(answer["findings"]), (sys.argv[2], answer)
assert answer["verdict"] == ("well", "warnings", "can-stall")[int(sys.argv[2])], answer
others = ("collections", "overflows", "other-tenants", "room", "limits", "limits-not-writable")
mine = [one for one in answer["findings"] if one["id"] not in others]
for one in mine:
    assert one["sentence"] and one["evidence"] and one["fix"], one
print(*sorted((one["id"] + " " + one.get("subject", "")).strip() for one in mine), sep="\n")
sys.exit(graver(mine))
END
}
# finds STATUS ID... fails unless these and no others are found.
finds() {
  local wanted=$1 status=0 found
  shift
  found=$(ids) || status=$?
  [[ $found == "$(printf '%s\n' "$@" | sort)" ]] || fail "wanted $*; found $found"
  ((status == wanted)) || fail "status $status and not $wanted with $found"
}

# --- without headd, and without root -------------------------------------------------------------
nobody() {
  setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all --inh-caps -all "$@"
}
chmod 755 "$work"
install -m 755 "$HEAD_BIN/headctl" "$work/headctl"
headctl() { nobody "$work/headctl" --api "$work/run/api.sock" "$@"; }
# What the rest of the machine has in the table is not this test's.
[[ $(ids || true) == *no-daemon* ]] || fail "that no headd runs is not found"
ip neigh add fd00::9 dev e0 lladdr 52:54:00:00:00:09 nud stale extern_learn protocol 72
found=$(ids || true)
for id in "mcast-resolicit e0" "timers e0" no-daemon; do
  grep -qxF "$id" <<<"$found" || fail "$id is not found: $found"
done
status=0
headctl doctor --kernel --discs 5000000 --json >"$work/many.json" || status=$?
((status == 2)) || fail "a table too small for 5,000,000 discs is exit status $status"
grep -q '"id": "limits"' "$work/many.json" || fail "no limits: $(<"$work/many.json")"
grep -q 'gc_thresh3=' "$work/many.json" || fail "no fix: $(<"$work/many.json")"
ip neigh del fd00::9 dev e0
headctl() { "$HEAD_BIN/headctl" --api "$work/run/api.sock" "$@"; }

# --- a healthy head ------------------------------------------------------------------------------
headd_options=()
start_headd
finds 0
grep -q '"chosen": true' "$work/doctor.json" || fail "no strategy is chosen"
headctl attach web1 "nbd://[fd00::21]/a" --lladdr $mac --wait >/dev/null
held() { [[ $(headctl status) == *"$1 held"* ]]; }
await 10 "the entry" held 1
finds 0
[[ $(headctl doctor) == *"Nothing found that stalls this head"* ]] ||
  [[ $(headctl doctor) == *WARNING* ]] || fail "a healthy head: $(headctl doctor)"
[[ $(headctl status) == *"entries written"* ]] || fail "status has no strategy"

# --- a second headd would take its entries for leftovers -----------------------------------------
status=0
timeout 20 "$HEAD_BIN/headd" --config "$work/head.toml" --run-dir "$work/second-run" \
  --state-dir "$work/second-state" >"$work/second" 2>&1 || status=$?
((status == 1)) || fail "a second headd ended with status $status: $(<"$work/second")"
grep -q "another headd (process ${pids[headd]}) keeps the neighbour table" "$work/second" ||
  fail "a second headd says: $(<"$work/second")"

# --- made ill, one by one ------------------------------------------------------------------------
headctl attach twin "nbd://[fd00::21]/a" --lladdr $mac --wait >/dev/null
finds 1 "same-export twin and web1"
headctl detach twin

# headd puts its settings back every ten seconds: these are found before.
sysctl -qw net.ipv6.neigh.e0.mcast_resolicit=0
grep -qx 'mcast-resolicit e0' <<<"$(ids || true)" || fail "mcast_resolicit 0 is not found"
sysctl -qw net.ipv6.neigh.e0.mcast_resolicit=3
sysctl -qw net.ipv6.neigh.e0.retrans_time_ms=1000
[[ $(ids || true) == *"timers e0"* ]] || fail "slow timers are not found"
sysctl -qw net.ipv6.neigh.e0.retrans_time_ms=100
sysctl -qw net.ipv6.conf.e0.ndisc_evict_nocarrier=1
[[ $(ids || true) == *"evict-nocarrier e0"* ]] || fail "ndisc_evict_nocarrier is not found"
sysctl -qw net.ipv6.conf.e0.ndisc_evict_nocarrier=0
before=$(sysctl -n net.ipv6.route.max_size)
sysctl -qw net.ipv6.route.max_size=100
finds 1 route-max-size
sysctl -qw net.ipv6.route.max_size="$before"

ip -6 route add fd00::21/128 dev e0 mtu 1280
finds 1 "mtu e0"
grep -q 'path MTU of 1280' "$work/doctor.json" || fail "$(<"$work/doctor.json")"
ip -6 route del fd00::21/128 dev e0
finds 0

# --- no way, and no connection -------------------------------------------------------------------
# is_found ID: among others.
is_found() { grep -qx "$1" <<<"$(ids || true)"; }
# loses ID COMMAND: what the command takes away is found, and missed while it is; `finds 0` comes
# after what gives it back.
loses() {
  "${@:2}"
  await 10 "$1" is_found "$1"
  finds 2 "$1"
  [[ $(headctl status) == *"0 held, 1 not ready, 1 of these without a way"* ]] ||
    fail "$1: $(headctl status)"
  [[ $(headctl discs) == *"no way leads to its tail"* ]] || fail "$1: $(headctl discs)"
}
back() {
  await 20 "$1 to be over" eval '[[ -z $(ids || true) ]]'
  finds 0
}
loses no-route ip -6 address del fd00::1/64 dev e0
ip address add fd00::1/64 dev e0 nodad
back no-route
loses ipv6-off sysctl -qw net.ipv6.conf.e0.disable_ipv6=1
sysctl -qw net.ipv6.conf.e0.disable_ipv6=0
ip address add fd00::1/64 dev e0 nodad
back ipv6-off
stop tail KILL || true
await 10 "the connection's end" is_found unconnected
finds 2 unconnected
grep -q 'disc web1 is reconnecting: ' "$work/doctor.json" || fail "$(<"$work/doctor.json")"
background tail ip netns exec tail nbdkit -f -p 10809 memory 1M
back unconnected

# --- what is refused is not stored ---------------------------------------------------------------
# refuses SENTENCE COMMAND...: status 3 and that sentence, and no disc more.
refuses() {
  local status=0
  headctl "${@:2}" >/dev/null 2>"$work/refused" || status=$?
  ((status == 3)) || fail "$* gives status $status: $(<"$work/refused")"
  grep -q "$1" "$work/refused" || fail "$*: $(<"$work/refused")"
  [[ $(headctl status) == *" 1 of at most"* ]] || fail "$* is stored: $(headctl status)"
}
own=$(</sys/class/net/e0/address)
refuses 'an address of this host' attach no "nbd://[fd00::1]/a" --lladdr $mac
refuses 'the link-layer address of e0' attach no "nbd://[fd00::21]/a" --lladdr "$own"
refuses 'link-layer address of this host' move web1 --lladdr "$own"
refuses 'not the address of one host' attach no "nbd://[ff02::1]/a"

# A host behind e1 has the address already.
ip -n tail address add fd00::77/64 dev e1 nodad
# Where others fill the kernel's one table, the answer can be lost: then it is asked again.
duplicate() {
  ip address del fd00::77/64 dev e0 2>/dev/null || true
  ip address add fd00::77/64 dev e0
  for _ in {1..40}; do
    ! ip -6 address show dev e0 | grep -q dadfailed || return 0
    sleep 0.05
  done
  return 1
}
await 20 "duplicate address detection" duplicate
finds 2 "duplicate-address fd00::77/64"
ip address del fd00::77/64 dev e0
ip -n tail address del fd00::77/64 dev e1

headctl detach web1
ip neigh add fd00::22 dev e0 lladdr $mac nud permanent
headctl attach web2 "nbd://[fd00::22]/a" >/dev/null
await 10 "somebody's entry" eval '[[ $(ids) == *foreign-entries* ]]'
finds 1 foreign-entries
headctl detach web2
headctl attach web3 "nbd://[fd00::33]/a" >/dev/null
await 10 "web3, whom nobody has" eval '[[ $(ids) == *unready* ]]'
finds 2 unready
ip -n tail link set e1 down
await 10 "the carrier to go" eval '[[ $(ids) == *link-down* ]]'
ip -n tail link set e1 up
stop_headd
printf '[metrics]\nlisten = "off"\n[neighbours]\nprefixes = ["fd00:1::/32"]\n' >"$work/head.toml"
start_headd
await 10 "web3, which is outside now" is_found outside-prefixes
headctl detach web3
status=0
headctl attach web3 "nbd://[fd00::33]/a" 2>"$work/refused" || status=$?
((status == 3)) || fail "a disc outside the prefixes is status $status: $(<"$work/refused")"
grep -q 'in none of the storage prefixes' "$work/refused" || fail "$(<"$work/refused")"
stop_headd
printf '[metrics]\nlisten = "off"\n' >"$work/head.toml"


# --- rungs of the ladder, forced ------------------------------------------------------------------
for rung in validated learned plain; do
  rm -rf "$work/state"
  start_headd --neigh-strategy "$rung"
  headctl attach web1 "nbd://[fd00::21]/a" --lladdr $mac >/dev/null
  await 10 "the entry" held 1
  chosen=$(headctl neigh --json | python3 -c 'import json, sys
rungs = json.load(sys.stdin)["strategies"]
print(*[one["name"] for one in rungs if one["chosen"]], *[one["possible"] for one in rungs])')
  marks=$(ip -d -6 neigh show fd00::21 dev e0)
  if [[ $chosen == "$rung "* ]]; then
    exempt=no
    [[ $marks != *extern_learn* ]] || exempt=yes
    [[ $exempt == "$([[ $rung == plain ]] && echo no || echo yes)" ]] || fail "$rung: $marks"
    [[ $marks == *"proto 72"* ]] || fail "$rung: $marks"
  else
    [[ $rung == validated && $chosen == *" False "* ]] || fail "$rung was forced: $chosen"
    [[ $(ids || true) == *strategy* ]] || fail "that $rung cannot be is not found"
  fi
  headctl detach web1
  stop_headd
done

# --- without CAP_NET_ADMIN, and with the keeper off -----------------------------------------------
rm -rf "$work/state"
headd_prefix=(setpriv --bounding-set -net_admin --inh-caps -net_admin)
start_headd
[[ $(ids || true) == *not-permitted* ]] || fail "the missing capability is not found"
stop_headd
headd_prefix=()
start_headd --no-neigh
finds 1 keeper-off
headctl attach web1 "nbd://[fd00::21]/a" >/dev/null
status=0
headctl doctor >"$work/text" || status=$?
((status == 2)) || fail "with discs and no keeper: $status"
grep -q 'This head can stall' "$work/text" || fail "$(<"$work/text")"
stop_headd
