#!/usr/bin/env bash
# two_heads.sh detach|resume|grace|known|accepted|held
#
# A guest writes through a head that is then cut off, and goes on through another one. Back at its
# tail, the first head writes nothing again of what it keeps until an operator says so: it was
# without a guest, or beyond grace. And one that keeps nothing notices that somebody else has
# written; whoever accepts that has not said that what is kept is to be written over it, nor has who
# detaches a disc that was held meanwhile.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit qemu-io python3 ip nft
need_root

make_networks

truncate -s 16M "$work/tail.img"
tail_up() {
  background tail ip netns exec "$tail_net" nbdkit -f -t 1 -i fd00:77::2 file "$work/tail.img"
  await 10 "the tail" ip netns exec "$tail_net" bash -c 'exec 3<>/dev/tcp/fd00:77::2/10809'
}
tail_uri='nbd://[fd00:77::2]/'
# Through another head, whichever it is.
elsewhere() {
  timeout 20 ip netns exec "$tail_net" qemu-io -f raw "$@" "$tail_uri" >"$work/elsewhere.log" ||
    fail "elsewhere: $*: $(cat "$work/elsewhere.log")"
  ! grep -q 'Pattern verification failed' "$work/elsewhere.log"
}
member() {
  headctl discs disc --json |
    python3 -c "import json, sys; print(json.load(sys.stdin).get('$1', ''))"
}
is() { [[ $(member "$1") == "$2" ]]; }
# A guest that writes 64 KiB of one byte, with a FLUSH or without, or with one and again, and stays.
cat >"$work/guest.py" <<'END'
import socket, struct, sys, time
path, byte, how = sys.argv[1], sys.argv[2].encode(), sys.argv[3]
guest = socket.socket(socket.AF_UNIX)
guest.connect(path)
def hear(size):
    while size:
        size -= len(guest.recv(size))
guest.sendall(struct.pack(">IQII", 3, 0x49484156454F5054, 1, 0))
hear(18 + 10)
def write(offset):
    guest.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 1, 7, offset, 65536) + byte * 65536)
    hear(16)
write(0)
if how != "not":
    guest.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 3, 8, 0, 0))
    hear(16)
if how == "again":
    write(131072)
print("written", flush=True)
time.sleep(600)
END
guest_writes() {
  background guest python3 "$work/guest.py" "$(disc_socket disc)" "$1" "$2"
  await 10 "the guest's write" grep -q written "$work/guest.log"
}
cut_off() {
  ip netns exec "$tail_net" nft -f - <<'EOT'
table inet gone {
  chain input { type filter hook input priority 0; policy accept; iifname t0 drop; }
  chain output { type filter hook output priority 0; policy accept; oifname t0 drop; }
}
EOT
}
link_back() { ip netns exec "$tail_net" nft delete table inet gone; }

how=$1
tail_up
headd_prefix=(ip netns exec "$head_net") headd_options=()
start_headd
grace=()
[[ $how != grace ]] || grace=(--grace 2)
attach disc "${grace[@]}"
case $how in
  known) guest_writes A flush ;;
  accepted) guest_writes A again ;;
  *) guest_writes A not ;;
esac
[[ $how != held ]] || headctl hold disc >/dev/null
cut_off
[[ $how == grace || $how == known || $how == held ]] || stop guest KILL || true
# Its connections end with it, so that the head must connect anew.
stop tail KILL || true
tail_up
elsewhere -c 'write -P 0x42 0 256k' -c flush
# The head asks for a FLUSH after five seconds, and grace counts from then.
if [[ $how == grace ]]; then sleep 9; else sleep 3; fi
link_back

if [[ $how == held ]]; then
  connected() { (($(member connected) == 1)); }
  await 30 "the connection" connected
  stop guest KILL || true
  headctl detach disc >/dev/null
  elsewhere -c 'read -P 0x42 0 256k' || fail "detach has written what was kept"
  exit 0
fi
case $how in
  known | accepted)
    await 30 "what somebody else has written to be noticed" is state held
    [[ $(member problem) == "the tail does not have what was written last, at offset 0:"* ]] ||
      fail "the problem is: $(member problem)"
    ;;
esac
case $how in
  grace) kept="failing" ;;&
  detach | resume | accepted) kept="held" ;;&
  known) ;;
  *)
    [[ $how != accepted ]] || headctl resume disc >/dev/null 2>&1 || true
    told() {
      [[ $(member state) == "$kept" ]] &&
        [[ $(member problem) == *"bytes are kept that may be older"* ]]
    }
    await 30 "what is kept not to be written again" told
    ;;
esac
sleep 2
elsewhere -c 'read -P 0x42 0 256k' || fail "the first head has written over what is newer"
# Nor does a guest that comes back too early change that.
background early timeout 20 qemu-io -f raw -c 'read 0 4k' "$(disc_uri disc)"
sleep 1
elsewhere -c 'read -P 0x42 0 256k' || fail "a guest's coming has made it write"

# Nor does an order that comes and goes.
if [[ $how == grace ]]; then
  headctl hold disc >/dev/null
  headctl resume disc >/dev/null 2>&1 || true
  sleep 2
  elsewhere -c 'read -P 0x42 0 256k' || fail "hold and resume have made it write"
fi

if [[ $how == detach || $how == accepted ]]; then
  headctl detach disc
  elsewhere -c 'read -P 0x42 0 256k' || fail "detach has written what was kept"
  grep -q 'detached without a last FLUSH' "$work/headd.log" || fail "the log does not tell"
else
  headctl resume disc >/dev/null
  await 10 "the disc" is state ready
  pattern=0x41
  [[ $how != known ]] || pattern=0x42
  elsewhere -c "read -P $pattern 0 64k" || fail "after resume the disc is not what it should be"
fi
