#!/usr/bin/env bash
# Memory has a ceiling that holds whatever happens. headd runs in a control group that has little
# more than its ceiling ([memory] in head.toml), with thousands of discs, and is asked for more by
# each flood in turn: guests that never read, a tail that stops with full pipes, all discs
# reconnecting at once, clients of the API, nonsense for the log. Each time nobody is killed for
# memory, the process stays below its ceiling, whoever asks too much has to wait, and a
# well-behaved guest beside them gets its answers. Usage: memory.sh [DISCS]
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit python3
need_root

discs=${1:-3000}
mib=$((1 << 20))
# What the defaults come to with one data thread and so many discs, nearly.
ceiling=$((330 + discs / 50))
# The buffers of the guests here, which the kernel counts to the group, and the cache of the log.
beside=$((96 + discs / 100))

if [[ -w /sys/fs/cgroup/memory/memory.limit_in_bytes ]]; then
  group=/sys/fs/cgroup/memory/headstart-${work##*.}
  limit_file=memory.limit_in_bytes peak_file=memory.max_usage_in_bytes
elif grep -qsw memory /sys/fs/cgroup/cgroup.subtree_control; then
  group=/sys/fs/cgroup/headstart-${work##*.}
  limit_file=memory.max peak_file=memory.peak
else
  skip "no control group for memory can be made here"
fi
mkdir "$group" || skip "no control group for memory can be made here"
clean_more() { rmdir "$group"; }
echo $(((ceiling + beside) * mib)) >"$group/$limit_file" || skip "its memory cannot be limited"
[[ ! -e $group/memory.swap.max ]] || echo 0 >"$group/memory.swap.max"
killed() { cat "$group"/memory.oom_control "$group"/memory.events 2>/dev/null |
  sed -n 's/^oom_kill //p'; }
[[ -n $(killed) ]] || skip "this kernel does not tell who was killed for memory"

printf '[metrics]\nlisten = "off"\n[data]\nthreads = 1\n[memory]\nceiling_mib = %d\n' \
  "$ceiling" >"$work/head.toml"
# shellcheck disable=SC2016
headd_prefix=(bash -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group")
headctl() { "$HEAD_BIN/headctl" --api "$work/run/api.sock" "$@"; }
peer=$here/memory_peers.py

tail_many() { background many python3 "$peer" tail "$many_port"; }
many_port=$(free_port)
tail_many
start_tail nbdkit -f -i ::1 -p PORT memory 64M
# shellcheck disable=SC2119
start_headd
attach good
background guest python3 "$here/guest.py" "$(disc_socket good)" --seconds 3600
await 10 "the many tail" listening "$many_port"
for ((i = 0; i < discs; i++)); do echo "d$i nbd://[::1]:$many_port/"; done >"$work/list"
headctl import "$work/list" --wait >/dev/null || fail "not all discs could be attached"

ready() { [[ $(headctl status) == *" $((discs + 1)) ready"* ]]; }
sockets() { for ((i = $1; i < $2; i++)); do disc_socket "d$i"; printf '\n'; done; }
answers() { wc -l <"$work/guest.log"; }
# The good guest tells how it fares; what it does then is what it did during the flood.
requests=0
check() {
  local what=$1 resident peak lines
  resident=$(sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/${pids[headd]}/status")
  peak=$(cat "$group/$peak_file" 2>/dev/null || echo 0)
  [[ $(killed) == 0 ]] || fail "$what: somebody was killed for memory"
  alive headd || fail "$what: headd is gone"
  ((resident < ceiling * 1024)) || fail "$what: headd had $((resident / 1024)) MiB"
  lines=$(answers)
  kill -USR1 "${pids[guest]}"
  told() { (($(answers) > lines)); }
  await 20 "the good guest, after $what" told
  local now
  now=$(tail -n 1 "$work/guest.log" | grep -oP '"requests": \K[0-9]+')
  ((now > requests)) || fail "$what: the good guest got no answer"
  printf '%s: at most %d MiB, the group %d; the good guest: %s\n' "$what" $((resident / 1024)) \
    $((peak / mib)) "$(tail -n 1 "$work/guest.log")"
  requests=$now
  echo 5 >"/proc/${pids[headd]}/clear_refs" || true  # VmHWM begins anew.
}
check "idle discs"

mapfile -t paths < <(sockets 0 1000)
heard=$(python3 "$peer" deaf 5 "${paths[@]}") || fail "the guests that never read"
[[ $heard == *'"readers": 500,'*'"readers_that_wait": 500'* ]] ||
  fail "guests that never read need not wait: $heard"
check "1,000 guests that never read"

await 60 "all discs" ready
kill -STOP "${pids[many]}"
mapfile -t paths < <(sockets 0 300)
mkfifo "$work/go"
# shellcheck disable=SC2016
background writers bash -c 'go=$1; shift; exec python3 "$@" <"$go"' - "$work/go" "$peer" writers \
  "${paths[@]}"
exec {go}>"$work/go"
waiting() { grep -q waiting "$work/writers.log"; }
await 40 "writers to a tail that has stopped to have to wait" waiting
check "a tail that stopped, 300 writers"
kill -CONT "${pids[many]}"
echo >&"$go"
finish writers || fail "writes to a tail that had stopped were not all answered"

await 60 "all discs" ready
lines=$(wc -l <"$work/headd.log")
stop many KILL || true
tail_many
await 60 "all discs to have reconnected" ready
check "$discs discs reconnecting at once"

background api python3 "$peer" api 8 "$work/run/api.sock"
timeout 60 "$HEAD_BIN/headctl" --api "$work/run/api.sock" status >/dev/null ||
  fail "the API does not answer while it is flooded"
finish api || fail "the API's flood"
timeout 60 "$HEAD_BIN/headctl" --api "$work/run/api.sock" discs --json >/dev/null ||
  fail "the API does not answer after it was flooded"
check "clients of the API"

said=$(python3 "$peer" nonsense 3 "$(disc_socket d0)") || fail "the guests that talk nonsense"
[[ $said =~ [0-9]{3} ]] || fail "there were hardly any guests that talk nonsense: $said"
check "nonsense"
lines=$(($(wc -l <"$work/headd.log") - lines))
((lines < 300)) || fail "$lines lines in the log"

# What goes beyond the ceiling is refused, and harms nobody.
for ((i = 0; i < 20000; i++)); do echo "more$i nbd://[::1]:1/"; done >"$work/list"
status=0
said=$(headctl import "$work/list" 2>&1 >/dev/null) || status=$?
[[ $status == 7 && $said == *"memory.ceiling_mib allows"*"raise it to"* ]] ||
  fail "more discs than there is memory for: status $status, $said"
check "more discs than there is memory for"
kill "${pids[guest]}"
finish guest || fail "the good guest met an error"
stop_headd
