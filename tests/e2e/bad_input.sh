#!/usr/bin/env bash
# What cannot be done is said in one sentence that names the thing, with a status of its own kind,
# and changes nothing.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit prlimit

start_tail nbdkit -f -i ::1 -p PORT memory 16M
start_headd
attach taken

# refused STATUS WORD... -- COMMAND...: fails with that status and one line that has these words.
refused() {
  local wanted=$1 status=0 text word words=()
  shift
  while [[ $1 != -- ]]; do
    words+=("$1")
    shift
  done
  shift
  text=$("$@" 2>&1 >/dev/null) || status=$?
  ((status == wanted)) || fail "$* ended with $status, not $wanted: $text"
  [[ -n $text ]] || fail "$* said nothing"
  (($(wc -l <<<"$text") == 1)) || fail "$* said more than one line: $text"
  ! grep -qiE 'internal error|exception|terminate|std::' <<<"$text" || fail "$* said: $text"
  for word in "${words[@]}"; do
    grep -qF -- "$word" <<<"$text" || fail "$* does not mention $word: $text"
  done
}

usage=2 invalid=3 missing=4 conflict=5 unreachable=6 head=7
refused $invalid ../up -- headctl attach ../up "$tail_uri"
refused $invalid nbds -- headctl attach d nbds://[::1]/
refused $invalid 127.0.0.1 -- headctl attach d nbd://127.0.0.1/
refused $invalid 99999 -- headctl attach d 'nbd://[::1]:99999/'
refused $invalid lladdr -- headctl attach d "$tail_uri" --lladdr 01:00:5e:00:00:01
refused $conflict taken -- headctl attach taken 'nbd://[::1]:1/other'
refused $missing nobody -- headctl detach nobody
refused $unreachable "$work/nowhere.sock" -- \
  "$HEAD_BIN/headctl" --api "$work/nowhere.sock" discs
printf 'good %s\nbad nbd://nowhere/\n' "$tail_uri" >"$work/list"
refused $invalid "$work/list" 2 -- headctl import "$work/list"
refused $invalid "$work/no-list" -- headctl import "$work/no-list"
refused $usage "headctl --help" -- headctl frobnicate
refused $usage "--frobnicate" -- headctl discs --frobnicate

# Nobody takes the directories of a headd that runs.
refused 1 "$work/run " "is running" --run-dir -- timeout 10 "$HEAD_BIN/headd" \
  --config "$work/head.toml" --state-dir "$work/state2" --run-dir "$work/run" --no-neigh
refused 1 "$work/state " "is running" --state-dir -- timeout 10 "$HEAD_BIN/headd" \
  --config "$work/head.toml" --state-dir "$work/state" --run-dir "$work/run2" --no-neigh

# A file that may not grow is an error like others (setrlimit(2), RLIMIT_FSIZE), and no end.
prlimit --pid "${pids[headd]}" --fsize=10:
refused $head discs.json -- headctl attach d "$tail_uri"
prlimit --pid "${pids[headd]}" --fsize=unlimited:

names=$(headctl discs --json | grep -o '"name": *"[^"]*"' | sort)
[[ $names =~ ^\"name\":\ *\"taken\"$ ]] || fail "a refused command left something: $names"

# The configuration: line and key.
configured() {
  printf '%s\n' "$@" >"$work/bad.toml"
  timeout 10 "$HEAD_BIN/headd" --config "$work/bad.toml" --state-dir "$work/state2" \
    --run-dir "$work/run2" --no-neigh
}
refused $invalid bad.toml surprise 2 -- configured '# nothing' 'surprise = 1'
refused $invalid bad.toml 1 -- configured 'threads = ['
refused $invalid /nowhere/head.toml -- timeout 10 "$HEAD_BIN/headd" --config /nowhere/head.toml
stop_headd
