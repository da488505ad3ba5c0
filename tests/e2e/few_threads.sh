#!/usr/bin/env bash
# Fewer threads than headd needs: it says so in one sentence, with a status of its own, and ends, at
# whatever number; with enough it serves. A headd that is to take over does so before a guest is
# halted.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need setpriv prlimit nbdkit nbdinfo
need_root

# Root has as many as it likes. Nobody else has this number.
user=61234
chmod 755 "$work"
cp "$HEAD_BIN/headd" "$work/headd"
chmod 755 "$work/headd"
mkdir "$work/state" "$work/run"
chown $user "$work/state" "$work/run"
printf '[metrics]\nlisten = "[::1]:%d"\n[data]\nthreads = 2\n' "$(free_port)" >"$work/head.toml"
start_tail nbdkit -f -t 1 -i ::1 -p PORT memory 16M

start_with() {
  background headd prlimit --nproc="$1:$1" setpriv --reuid=$user --regid=$user --clear-groups \
    "$work/headd" --config "$work/head.toml" --state-dir "$work/state" --run-dir "$work/run" \
    --no-neigh
}
ended_or_serves() { ! alive headd || headctl status; }

served=
for threads in 2 3 5 8 10 12 15 18 21 24 27 30 40; do
  : >"$work/headd.log"
  start_with $threads
  await 10 "headd with $threads threads to serve or to end" ended_or_serves
  if alive headd; then
    served+=" $threads"
    attach "d$threads"
    stop_headd
    continue
  fi
  [[ -z $served ]] || fail "it served with$served threads, and does not with $threads"
  status=0
  finish headd || status=$?
  ((status == 4)) || fail "with $threads threads the exit status is $status, not 4"
  [[ $(grep -c 'headd:' "$work/headd.log") == 1 ]] || fail "it says more than one sentence"
  grep -q 'threads.*TasksMax' "$work/headd.log" || fail "it does not say what to raise"
done
printf 'it serves with%s threads\n' "$served"
[[ -n $served ]] || fail "it does not serve with 40 threads"

# Of 40 threads there are not enough for two headds.
headd_prefix=()
start_with 40
await 10 "headd's API" headctl status
attach web1
nbdinfo --size "$(disc_uri web1)" >/dev/null
status=0
said=$(headctl upgrade 2>&1) || status=$?
((status == 10)) || fail "an upgrade without threads has status $status: $said"
[[ $said == *threads* ]] || fail "an upgrade that lacks threads does not say so: $said"
nbdinfo --size "$(disc_uri web1)" >/dev/null || fail "the disc is not served any more"
for threads in $served; do headctl detach "d$threads" >/dev/null || fail "d$threads is lost"; done
stop_headd
