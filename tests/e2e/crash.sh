#!/usr/bin/env bash
# A headd that crashes leaves a report with the stack of every thread, which the next one explains,
# mentions once and hands out.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit python3

start_tail nbdkit -f -i ::1 -p PORT memory 16M
start_headd
attach disc

kill -s SEGV "${pids[headd]}"
status=0
finish headd || status=$?
((status == 139)) || fail "headd ended with status $status, and not by SIGSEGV"
[[ $(ls "$work/state/crashes") == crash-*.raw ]] || fail "there is no report"

start_headd
reports() { headctl report "$work/report.tar.gz" --force >/dev/null; }
mentions() { grep -c 'signal SIGSEGV from process' "$work/headd.log" || true; }
explained() { [[ $(ls "$work/state/crashes") =~ ^crash-[0-9]+\.txt$ && $(mentions) != 0 ]]; }
await 60 "the report to be explained" explained
report=$(cat "$work/state/crashes/"crash-*.txt)
for wanted in 'signal SIGSEGV from process' 'head::control::LoopThread' ' data:' 'main.cpp:' \
  'build id ' 'last lines of the log:' 'serving '; do
  [[ $report == *"$wanted"* ]] || fail "the report does not have '$wanted': $report"
done
(($(grep -c '^thread ' <<<"$report") >= 4)) || fail "threads are missing: $report"
! grep -q 'does not answer' <<<"$report" || fail "a thread did not answer: $report"
(($(mentions) == 1)) || fail "it is mentioned $(mentions) times"
reports
tar -xOf "$work/report.tar.gz" --wildcards '*headd/crashes.json' >"$work/crashes.json"
grep -q LoopThread "$work/crashes.json" ||
  fail "the report for others does not have it"
stop_headd
start_headd
sleep 1
(($(mentions) == 1)) || fail "it is mentioned again"
stop_headd
