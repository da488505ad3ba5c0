#!/usr/bin/env bash
# headctl on a terminal and in a pipe: colour, blocks and progress only where they can be seen.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit nbdcopy python3
start_tail nbdkit -f -i ::1 -p PORT memory 16M
start_headd
attach web1
nbdcopy "$(disc_uri web1)" null:

# on_terminal COMMAND... runs it on a terminal of 80 columns and gives what was written there.
on_terminal() {
  timeout 60 python3 - "$@" <<'END'
import fcntl, os, pty, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    os.execvp(sys.argv[1], sys.argv[1:])
while True:
    try:
        piece = os.read(fd, 4096)
    except OSError:
        break
    if not piece:
        break
    sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
END
}
ctl=("$HEAD_BIN/headctl" --api "$work/run/api.sock")
colour=$'\033['
utf8=(env -u NO_COLOR TERM=xterm-256color LC_ALL=C.UTF-8)

# check WHETHER WHAT TEXT: whether it has WHAT, yes or no.
check() {
  local found=no
  [[ $3 != *"$2"* ]] || found=yes
  [[ $found == "$1" ]] || fail "$(printf '%q, wanted %s, in: %q' "$2" "$1" "$3")"
}

for command in discs "latency web1 --histogram" "latency web1" neigh; do
  read -ra words <<<"$command"
  text=$(on_terminal "${utf8[@]}" "${ctl[@]}" "${words[@]}")
  check yes "$colour" "$text"
  check no "$colour" "$(on_terminal "${utf8[@]}" NO_COLOR=1 "${ctl[@]}" "${words[@]}")"
  check no "$colour" "$(on_terminal "${utf8[@]}" TERM=dumb "${ctl[@]}" "${words[@]}")"
  piped=$("${utf8[@]}" "${ctl[@]}" "${words[@]}")
  check no "$colour" "$piped"
  ! LC_ALL=C grep -q '[^ -~]' <<<"$piped" || fail "headctl $command is not ASCII: $piped"
done

check yes █ "$(on_terminal "${utf8[@]}" "${ctl[@]}" latency web1 --histogram)"
ascii=$(on_terminal env LC_ALL=C TERM=xterm "${ctl[@]}" latency web1 --histogram)
check no █ "$ascii"
check yes '| ' "$ascii"
check yes '##' "$ascii"

progress=$(on_terminal "${utf8[@]}" "${ctl[@]}" latency web1 --heatmap --seconds 1)
check yes '0 of 1 s' "$progress"
check yes 'no requests' "$progress"
"${ctl[@]}" latency web1 --heatmap --seconds 1 --svg "$work/map.svg" >/dev/null 2>"$work/said"
[[ ! -s $work/said ]] || fail "progress was written into a file: $(<"$work/said")"
python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' "$work/map.svg" ||
  fail "the picture is not XML"
"${ctl[@]}" latency web1 --histogram --svg "$work/bars.svg" >/dev/null
python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' "$work/bars.svg" ||
  fail "the picture is not XML"

# A disc whose tail is not there is waited for, and shown to be.
on_terminal "${utf8[@]}" "${ctl[@]}" attach lost 'nbd://[::1]:1/' --wait >"$work/waiting" &
pids[waiting]=$!
await 20 "progress of a disc" grep -q 'lost is connecting' "$work/waiting"
grep -q '█.*░' "$work/waiting" || fail "there is no bar: $(cat -v "$work/waiting")"
headctl detach lost >/dev/null
finish waiting && fail "attach --wait of a disc that was detached succeeded"

# So is a list, and how many of several discs are detached.
printf 'one %s\ntwo %s\nlost nbd://[::1]:1/\n' "$tail_uri" "$tail_uri" >"$work/list"
on_terminal "${utf8[@]}" "${ctl[@]}" import "$work/list" --wait >"$work/importing" &
pids[importing]=$!
await 20 "progress of a list" grep -q '█.*░\] 3 discs, 2 ready' "$work/importing"
headctl detach lost >/dev/null
finish importing || fail "import --wait ended with status $?: $(cat -v "$work/importing")"
detaching=$(on_terminal "${utf8[@]}" "${ctl[@]}" detach one two web1)
check yes '░] 0 of 3 detached' "$detaching"
check yes '█' "$detaching"
check yes $'\r\033[Kweb1 is detached' "$detaching"
headctl discs --json | grep -q '"discs": \[\]' || fail "discs are left: $(headctl discs)"
stop_headd
