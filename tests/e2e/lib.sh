# shellcheck shell=bash disable=SC2034
# What the scripts of this folder share. One script is one behaviour: it starts the real headd with
# its state and sockets in a folder of its own, real tails and real clients, and cleans up after
# itself. HEAD_BIN is the folder of headd and headctl.
set -Eeuo pipefail
trap 'printf "FAILED: %s:%s: status %s: %s\n" "${BASH_SOURCE[0]##*/}" "$LINENO" "$?" \
  "$BASH_COMMAND" >&2' ERR

: "${HEAD_BIN:?set HEAD_BIN to the folder of headd and headctl, as in build/release/bin}"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d /tmp/head-e2e.XXXXXX)
declare -A pids=()

fail() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}

skip() {
  printf 'SKIPPED: %s\n' "$*"
  exit 77
}

need() {
  local tool
  for tool in "$@"; do command -v "$tool" >/dev/null || skip "$tool is not installed"; done
}

need_root() { ((EUID == 0)) || skip "this needs root"; }

# background NAME COMMAND... starts a command; its output goes to $work/NAME.log.
background() {
  local name=$1
  shift
  "$@" >>"$work/$name.log" 2>&1 </dev/null &
  pids[$name]=$!
}

alive() { [[ -n ${pids[$1]:-} ]] && kill -0 "${pids[$1]}" 2>/dev/null; }

# stop NAME [SIGNAL] ends what background started and returns its status; what does not end within
# 20 seconds is killed, which is status 137.
stop() {
  local name=$1 pid=${pids[$1]:-} status=0 end=$((SECONDS + 20))
  [[ -n $pid ]] || return 0
  unset "pids[$name]"
  kill -s "${2:-TERM}" "$pid" 2>/dev/null || true
  while kill -0 "$pid" 2>/dev/null; do
    ((SECONDS < end)) || kill -9 "$pid" 2>/dev/null || true
    sleep 0.02
  done
  wait "$pid" 2>/dev/null || status=$?
  return $status
}

# finish NAME waits until what background started ends by itself, and returns its status.
finish() {
  local status=0
  wait "${pids[$1]}" || status=$?
  unset "pids[$1]"
  return $status
}

# await SECONDS WHAT COMMAND... repeats a command until it succeeds.
await() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || fail "waited in vain for $what"
    sleep 0.05
  done
}

# Those that a headd started to take over are no children of ours.
end_successors() {
  local pid
  [[ -e $work/headd.log ]] || return 0
  for pid in $(sed -n 's/.* is to take over, as process \([0-9]*\)$/\1/p' "$work/headd.log"); do
    [[ $(readlink "/proc/$pid/exe") != "$HEAD_BIN/headd"* ]] || kill -9 "$pid" 2>/dev/null || true
  done
}

# shellcheck disable=SC2317
clean_up() {
  local status=$? name
  trap - EXIT
  for name in "${!pids[@]}"; do
    kill "${pids[$name]}" 2>/dev/null || true
    for _ in {1..100}; do kill -0 "${pids[$name]}" 2>/dev/null && sleep 0.05 || break; done
    kill -9 "${pids[$name]}" 2>/dev/null || true
  done
  wait 2>/dev/null || true
  end_successors
  if declare -F clean_more >/dev/null; then clean_more || true; fi
  if grep -qsE 'Sanitizer|runtime error:|Assertion' "$work/headd.log"; then
    echo "FAILED: headd's log has a sanitizer's or an assertion's report" >&2
    status=1
  fi
  if ((status != 0 && status != 77)); then
    for name in "$work"/*.log; do
      printf '%s\n' "--- the end of ${name##*/}" >&2
      tail -n 40 "$name" >&2 || true
    done
  fi
  rm -rf "$work"
  exit $status
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# --- headd ---------------------------------------------------------------------------------------

headd_options=(--no-neigh)

start_headd() {
  [[ -x $HEAD_BIN/headd ]] || fail "there is no headd in $HEAD_BIN: build it"
  mkdir -p "$work/run"
  # Many run at once, and the port for metrics is one.
  [[ -e $work/head.toml ]] || printf '[metrics]\nlisten = "off"\n' >"$work/head.toml"
  background headd "${headd_prefix[@]}" "$HEAD_BIN/headd" --config "$work/head.toml" \
    --state-dir "$work/state" --run-dir "$work/run" "${headd_options[@]}" "$@"
  await 20 "headd's API" headctl status
}
headd_prefix=()

# A clean end: status 0 on SIGTERM.
stop_headd() { stop headd || fail "headd ended with status $? on SIGTERM"; }

headctl() { "${headd_prefix[@]}" "$HEAD_BIN/headctl" --api "$work/run/api.sock" "$@"; }

disc_socket() { printf '%s' "$work/run/discs/$1/nbd.sock"; }
disc_uri() { printf 'nbd+unix:///?socket=%s' "$(disc_socket "$1")"; }

# attach NAME [OPTION]... attaches the tail at $tail_uri.
attach() {
  local name=$1
  shift
  headctl attach "$name" "$tail_uri" --wait "$@" >/dev/null
}

# stay DISC: a guest that connects, asks nothing, and stays.
stay() {
  local before
  before=$(guests_of "$1")
  background "stays-$1" python3 -c '
import socket, struct, sys, time
guest = socket.socket(socket.AF_UNIX)
guest.connect(sys.argv[1])
guest.recv(18, socket.MSG_WAITALL)
guest.sendall(struct.pack(">IQII", 3, 0x49484156454F5054, 1, 0))
guest.recv(10, socket.MSG_WAITALL)
time.sleep(600)' "$(disc_socket "$1")"
  one_more() { (($(guests_of "$1") > $2)); }
  await 10 "a guest that stays" one_more "$1" "$before"
}
guests_of() {
  headctl discs "$1" --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["guests"])'
}

# --- tails ---------------------------------------------------------------------------------------

free_port() {
  python3 -c 'import socket
s = socket.socket(socket.AF_INET6); s.bind(("::1", 0)); print(s.getsockname()[1])'
}

listening() { (exec 3<>"/dev/tcp/::1/$1") 2>/dev/null; }

# start_tail COMMAND... where PORT stands for a port; sets tail_port and tail_uri. Started again, it
# gets the same port.
tail_port=
start_tail() {
  [[ -n $tail_port ]] || tail_port=$(free_port)
  tail_uri="nbd://[::1]:$tail_port/${tail_export:-}"
  background tail "${@//PORT/$tail_port}"
  await 10 "the tail" listening "$tail_port"
}

# start_nbd_server SETTING... serves $work/tail.img as "disc", and sets tail_uri. It is a daemon, as
# it serves only one client otherwise.
start_nbd_server() {
  tail_port=$(free_port)
  printf '%s\n' '[generic]' 'allowlist = true' "port = $tail_port" 'listenaddr = ::1' \
    '[disc]' "exportname = $work/tail.img" "$@" >"$work/nbd-server.conf"
  clean_more() { kill "$(cat "$work/nbd-server.pid")"; }
  nbd-server -C "$work/nbd-server.conf" -p "$work/nbd-server.pid"
  tail_uri="nbd://[::1]:$tail_port/disc"
  await 10 "nbd-server" listening "$tail_port"
}

# --- networks ----------------------------------------------------------------------------------

# A head and a tail with a link between them: head_net with h0, fd00:77::1, and tail_net with t0,
# fd00:77::2. They go when the script ends.
make_networks() {
  head_net=head-e2e-$$-head tail_net=head-e2e-$$-tail
  clean_more() {
    ip netns del "$head_net" 2>/dev/null || true
    ip netns del "$tail_net" 2>/dev/null || true
  }
  ip netns add "$head_net" 2>/dev/null || skip "network namespaces are not to be had here"
  ip netns add "$tail_net"
  ip link add h0 netns "$head_net" type veth peer name t0 netns "$tail_net"
  ip -n "$head_net" link set lo up
  ip -n "$tail_net" link set lo up
  ip -n "$head_net" address add fd00:77::1/64 dev h0 nodad
  ip -n "$tail_net" address add fd00:77::2/64 dev t0 nodad
  ip -n "$head_net" link set h0 up
  ip -n "$tail_net" link set t0 up
}

# in_own_network ARGUMENT...: the script again, with these, where it is not yet in a network and
# among mounts of its own.
in_own_network() {
  [[ -z ${HEAD_E2E_INSIDE:-} ]] || return 0
  rm -rf "$work"
  trap - EXIT
  HEAD_E2E_INSIDE=1 exec unshare --net --mount "$0" "$@"
}

# make_switch ADDRESS: a head behind a switch, for a script that has unshared its network and its
# mounts: h0 with that address here, sw0 in the namespace "switch"; "tail1" and "tail2" connect
# themselves.
make_switch() {
  local name
  mount -t tmpfs tmpfs /run # So that the names of namespaces are the script's own.
  ip link set lo up
  for name in switch tail1 tail2; do ip netns add $name; done
  ip -n switch link add sw0 type bridge
  ip -n switch link set sw0 up
  ip link add h0 type veth peer name p-h0 netns switch
  ip -n switch link set p-h0 master sw0 up
  sysctl -qw net.ipv6.conf.h0.accept_dad=0
  ip link set h0 up
  ip addr add "$1" dev h0 nodad
}

# A head and two tails behind a switch, for a script that has unshared its network and mounts: h0
# with fd00:3::1 here, t1 and t2 with $mac1, $mac2, fd00:3::101 and fd00:3::102 in tail1 and tail2.
mac1=02:00:00:00:03:01 mac2=02:00:00:00:03:02
make_switched_tails() {
  local i
  make_switch fd00:3::1/64
  for i in 1 2; do
    ip link add name t$i address "$([[ $i == 1 ]] && echo $mac1 || echo $mac2)" netns tail$i \
      type veth peer name p-t$i netns switch
    ip -n switch link set p-t$i master sw0 up
    ip netns exec tail$i sysctl -qw net.ipv6.conf.t$i.accept_dad=0
    ip -n tail$i link set lo up
    ip -n tail$i link set t$i up
    ip -n tail$i addr add fd00:3::10$i/64 dev t$i nodad
  done
}

# start_switched_tail 1|2 IMAGE
start_switched_tail() {
  background "tail$1" ip netns exec "tail$1" nbdkit -f -p 10809 file "$2"
  await 10 "tail $1" ip netns exec "tail$1" python3 -c '
import socket; socket.create_connection(("::1", 10809))'
}

# Both of them, with the images $work/tail1.img and $work/tail2.img, which are blank.
start_blank_tails() {
  local i
  for i in 1 2; do
    truncate -s 64M "$work/tail$i.img"
    start_switched_tail $i "$work/tail$i.img"
  done
}

# announce 1|2 ADDRESS override|plain TIMES has that tail announce the address as its own (RFC 4861,
# section 7.2.6), and tells when it began.
announce() {
  local mac=$mac1
  [[ $1 == 1 ]] || mac=$mac2
  ip netns exec "tail$1" python3 - "t$1" "$2" "$3" "$4" "${mac//:/}" <<'END'
import socket, sys, time
dev, address, how, times, mac = sys.argv[1:]
target = socket.inet_pton(socket.AF_INET6, address)
override = 0x20 if how == "override" else 0
packet = bytes([136, 0, 0, 0, override, 0, 0, 0]) + target + bytes.fromhex("0201" + mac)
raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
print(time.time())
for _ in range(int(times)):
    raw.sendto(packet, ("ff02::1", 0, 0, socket.if_nametoindex(dev)))
    if int(times) > 1:
        time.sleep(0.01)
END
}

# --- data ----------------------------------------------------------------------------------------

# verify URI [FIO OPTION]... writes and verifies what it reads back.
verify() {
  local uri=$1
  shift
  fio --name=verify --ioengine=nbd --uri="$uri" --rw=randwrite --bsrange=4k-128k --bs_unaligned=0 \
    --size=32m --iodepth=16 --verify=crc32c --verify_fatal=1 --do_verify=1 --randrepeat=0 \
    --output="$work/fio.log" "$@" || fail "fio --verify $*"
}

# start_guests DISC [OPTION]... starts "guests" of a blank disc of 64 MiB, two of them: they
# overwrite it, also what is under way, trim, zero and flush it, and check what they are answered
# (by tests/check/). OPTION: see head-bench guests --help.
start_guests() {
  local disc=$1
  shift
  background guests "$HEAD_BIN/head-bench" guests "$(disc_socket "$disc")" "$@"
}

# finish_guests [now] waits for their verdict; with "now" they begin nothing more.
finish_guests() {
  [[ ${1:-} != now ]] || kill "${pids[guests]}"
  finish guests || fail "the guests: $(tail -n 2 "$work/guests.log")"
  grep -qx 'the history checks out' "$work/guests.log" || fail "the guests gave no verdict"
}

# The checksum of a whole disc, as a client of the NBD server at URI sees it.
checksum() { nbdcopy "$1" - | sha256sum | cut -d ' ' -f 1; }

# What headd and its tail say must be the same.
same_data() {
  local ours theirs
  ours=$(checksum "$(disc_uri "$1")")
  theirs=$(checksum "$tail_uri")
  [[ $ours == "$theirs" ]] || fail "$1 reads as $ours through headd, as $theirs at the tail"
}

# get_debian_kernel: Debian's own, unpacked, not installed; fetched once and kept in the build.
# $debian_kernel has vmlinuz, and those of its modules that tests need. Takes apt-get, dpkg-deb and
# flock.
get_debian_kernel() {
  local package
  debian_kernel=$PWD/debian-kernel
  exec {kernel_lock}>"$debian_kernel.lock"
  flock $kernel_lock
  if [[ ! -e $debian_kernel/vmlinuz ]]; then
    rm -rf "$debian_kernel"
    mkdir -p "$debian_kernel"
    package=$(apt-cache depends linux-image-cloud-amd64 |
      awk '$1 == "Depends:" && /linux-image-/ { print $2; exit }')
    [[ -n $package ]] || fail "apt knows no linux-image-cloud-amd64: run apt-get update"
    (cd "$debian_kernel" && apt-get download -qq "$package" 2>/dev/null &&
      dpkg-deb -x ./*.deb all &&
      find all -name veth.ko -exec mv {} . ';' && find all -name vrf.ko -exec mv {} . ';' &&
      mv all/boot/vmlinuz-* vmlinuz && rm -rf all ./*.deb) || fail "$package could not be fetched"
  fi
  exec {kernel_lock}>&-
}
