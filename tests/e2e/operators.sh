#!/usr/bin/env bash
# With an operator group, whoever may connect to the API reads, and its members change things.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit setpriv
need_root

printf '[metrics]\nlisten = "off"\n[api]\nsocket_mode = "0666"\noperator_group = "disk"\n' \
  >"$work/head.toml"
start_tail nbdkit -f -i ::1 -p PORT memory 16M
start_headd
chmod 755 "$work" "$work/run"
cp "$HEAD_BIN/headctl" "$work/headctl"

# as GROUPS ARGUMENT...: headctl as a user that owns nothing, in those groups.
as() {
  local groups=$1
  shift
  setpriv --reuid=nobody --regid=nogroup --groups="$groups" \
    "$work/headctl" --api "$work/run/api.sock" "$@" 2>"$work/said"
}
disk=$(getent group disk | cut -d : -f 3)
nogroup=$(getent group nogroup | cut -d : -f 3)

as "$nogroup" discs >/dev/null || fail "nobody may not even read: $(<"$work/said")"
for change in "attach disc $tail_uri" 'detach disc' 'hold disc' reload; do
  read -ra words <<<"$change"
  status=0
  as "$nogroup" "${words[@]}" >/dev/null || status=$?
  ((status == 9)) || fail "headctl $change by nobody: status $status"
  grep -q 'api.operator_group' "$work/said" || fail "headctl $change said: $(<"$work/said")"
done
[[ -z $(headctl discs --json | grep '"name"') ]] || fail "nobody attached a disc"
as "$disk" attach disc "$tail_uri" --wait >/dev/null || fail "an operator: $(<"$work/said")"
as "$nogroup,$disk" hold disc >/dev/null || fail "an operator: $(<"$work/said")"
headctl detach disc >/dev/null || fail "root"
stop_headd

sed -i 's/"disk"/"no-such-group"/' "$work/head.toml"
status=0
"$HEAD_BIN/headd" --config "$work/head.toml" --state-dir "$work/state" --run-dir "$work/run" \
  --no-neigh 2>"$work/said" || status=$?
((status != 0)) || fail "headd began with a group that is not there"
grep -q 'api.operator_group: there is no group "no-such-group"' "$work/said" ||
  fail "headd said: $(<"$work/said")"
