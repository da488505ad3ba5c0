#!/usr/bin/env bash
# headctl report: one archive with all that helps and no secret, listed before it is written, never
# over a file that is there; with headd and without. And headctl neigh watch --since.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need ip unshare tar nbdkit
need_root
if [[ -z ${HEAD_E2E_INSIDE:-} ]]; then
  rm -rf "$work"
  trap - EXIT
  HEAD_E2E_INSIDE=1 exec unshare --net "$0"
fi
ip link set lo up
ip link add e0 type veth peer name e1
ip link set e0 up
ip link set e1 up
ip address add fd00::1/64 dev e0 nodad

printf '[metrics]\nlisten = "off"\n# password = "very-secret-indeed"\n' >"$work/head.toml"
start_tail nbdkit -f -i ::1 -p PORT memory 16M
headd_options=()
start_headd
attach web1
headctl attach far "nbd://[fd00::21]/a" --lladdr 52:54:00:00:00:21 >/dev/null
held() { [[ $(headctl status) =~ 1\ held ]]; }
await 10 "the entry" held

# --list only lists.
headctl report --list >"$work/listed"
grep -q 'doctor.txt' "$work/listed" || fail "$(<"$work/listed")"
[[ -z $(find "$work" -name '*.tar.gz*') ]] || fail "--list wrote something"

began=$SECONDS
headctl report "$work/r.tar.gz" >"$work/listed" 2>"$work/said"
((SECONDS - began < 10)) || fail "it took $((SECONDS - began)) s"
[[ $(stat -c %a "$work/r.tar.gz") == 600 ]] || fail "others may read it"
mkdir "$work/r"
tar -xzf "$work/r.tar.gz" -C "$work/r"
cd "$work/r/headstart-report"
while read -r name; do
  grep -qF " $name " "$work/listed" || fail "$name was not listed: $(<"$work/listed")"
done < <(find . -type f -printf '%P\n')
[[ $(find . -type f | wc -l) == "$(grep -oE '^[0-9]+ files' "$work/listed" | cut -d ' ' -f 1)" ]] ||
  fail "not all that was listed is there"
for expected in headd/status.json:uptime_s headd/discs.json:web1 headd/head.toml:listen \
  headd/neighbours.json:52:54:00:00:00:21 headd/changes.json:written headd/latency.json:operations \
  headd/stalls.json:recorded headd/metrics.txt:head_build_info headd/log.txt:serving \
  doctor.json:findings kernel/neighbours.json:gc_thresh3 kernel/snmp6:Ip6OutNoRoutes \
  kernel/sysctl-ipv6:neigh/e0/mcast_resolicit kernel/version:Linux; do
  grep -qF -- "${expected#*:}" "${expected%%:*}" || fail "no ${expected#*:} in ${expected%%:*}"
done
! grep -rq very-secret-indeed . || fail "the password is in the report"
grep -q REMOVED headd/head.toml || fail "that something was removed is not said"
cd "$work"

status=0
headctl report "$work/r.tar.gz" >/dev/null 2>"$work/said" || status=$?
((status == 3)) || fail "a file was written over: $status"
grep -q -- --force "$work/said" || fail "$(<"$work/said")"
printf x >"$work/old"
headctl report "$work/old" --force >/dev/null 2>&1
tar -tzf "$work/old" >/dev/null || fail "--force left no archive"
status=0
headctl report "$work/nowhere/r" >/dev/null 2>&1 || status=$?
((status == 7)) || fail "a folder that is not there is status $status"
[[ -z $(find "$work" -name 'r.tar.gz.*' -o -name 'old.*') ]] || fail "something was left behind"

# A headd that hangs is asked once, and all else is in the report.
kill -STOP "${pids[headd]}"
began=$SECONDS
headctl report "$work/hung.tar.gz" >"$work/listed" 2>"$work/said" || true
kill -CONT "${pids[headd]}"
((SECONDS - began < 15)) || fail "a report on a headd that hangs took $((SECONDS - began)) s"
tar -xzOf "$work/hung.tar.gz" --wildcards '*headd/discs.json' | grep -q 'could not be had' ||
  fail "what a hanging headd did not say is not told of"
tar -xzOf "$work/hung.tar.gz" --wildcards '*kernel/neighbours.json' | grep -q gc_thresh3 ||
  fail "the kernel's part is missing where headd hangs"

# What headd remembers, with the disc; then what happens from then on.
ip -6 neigh del fd00::21 dev e0
written() {
  headctl neigh watch --since 1h --seconds 1 >"$work/past" 2>/dev/null
  (($(grep -c 'written by headd' "$work/past") >= 2))
}
await 10 "the entry to be back" written
headctl neigh watch --since 1h --seconds 1 --json --disc far >"$work/past" 2>/dev/null
python3 - "$work/past" <<'END' || fail "the past is $(<"$work/past")"
import json, sys
past = [json.loads(line) for line in open(sys.argv[1])]
# A connection attempt of that moment makes the kernel begin an entry of its own before headd.
events = [one["event"] for one in past if one["event"] not in ("changed", "new")]
gone = events.index("gone")
assert events[0] == "written" and events[gone + 1] == "written", past
assert events.count("gone") == 1, past
assert all(one["disc"] == "far" and one["time"].endswith("Z") for one in past), past
END
[[ -z $(headctl neigh watch --since 1h --seconds 1 --dev e1 2>/dev/null) ]] || fail "--dev e1"
status=0
headctl neigh watch --since tomorrow --seconds 1 >/dev/null 2>"$work/said" || status=$?
((status == 2)) || fail "--since tomorrow is status $status"
stop_headd

# Without headd it has what the kernel tells, and says what it could not have.
headctl report "$work/k.tar.gz" >/dev/null 2>&1
tar -xzOf "$work/k.tar.gz" headstart-report/headd/discs.json | grep -q 'cannot reach headd' ||
  fail "that headd was not there is not in the report"
tar -xzOf "$work/k.tar.gz" headstart-report/doctor.txt | grep -q no-daemon || fail "no finding"
status=0
headctl neigh watch --since 1h --seconds 1 >/dev/null 2>&1 || status=$?
((status == 6)) || fail "--since without headd is status $status"
