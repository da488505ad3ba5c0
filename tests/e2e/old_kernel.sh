#!/usr/bin/env bash
# headd on the kernel of Debian 12, in a virtual machine: how entries are written there, and what is
# said when the interface that leads to a disc is put into a VRF.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need qemu-system-x86_64 busybox cpio apt-get dpkg-deb flock ip strip ldd

root=$work/root
mkdir -p "$root"/{bin,programs,dev,proc,sys,tmp,run}
install_program() {
  local library
  cp "$(readlink -f "$1")" "$root/programs/${1##*/}"
  strip "$root/programs/${1##*/}"
  for library in $(ldd "$1" | grep -o '/[^ ]*'); do
    mkdir -p "$root${library%/*}"
    [[ -e $root$library ]] || cp "$library" "$root$library"
  done
}
get_debian_kernel
cp "$debian_kernel"/{veth,vrf}.ko "$root"
for program in "$HEAD_BIN/headd" "$HEAD_BIN/headctl" "$(command -v ip)"; do
  install_program "$program"
done
cp "$(command -v busybox)" "$root/bin/busybox"
cat >"$root/init" <<'END'
#!/bin/busybox sh
/bin/busybox --install /bin
export PATH=/programs:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
# Busybox has an ip of its own, which its shell prefers.
insmod /veth.ko
insmod /vrf.ko
/programs/ip link set lo up
/programs/ip link add e0 type veth peer name e1
/programs/ip link set e0 up
/programs/ip link set e1 up
/programs/ip address add fd00::1/64 dev e0 nodad
headd --run-dir /run/head --state-dir /tmp/state >/tmp/log 2>&1 &
ctl() { headctl --api /run/head/api.sock "$@"; }
# until TEXT COMMAND...: for at most 20 s.
until_says() {
  text=$1 i=0
  shift
  while ! "$@" 2>&1 | grep -q "$text"; do
    i=$((i + 1))
    if [ $i -gt 100 ]; then
      echo "GUEST: FAILED: no '$text' in $*:"
      { "$@"; cat /tmp/log; } 2>&1 | sed 's/^/GUEST: /'
      poweroff -f
    fi
    sleep 0.2
  done
  echo "GUEST: $text"
}
until_says 'uptime_s' ctl status --json
ctl attach web1 'nbd://[fd00::21]/a' --lladdr 52:54:00:00:00:21
ctl attach web2 'nbd://[fd00::22]/a' --lladdr 52:54:00:00:00:22 --dev e0
until_says '2 held' ctl status
until_says 'entries written *learned; besides: validated (this kernel cannot)' ctl status
until_says 'fd00::21 dev e0 lladdr 52:54:00:00:00:21 extern_learn' /programs/ip -d -6 neigh show
/programs/ip link add blue type vrf table 10
/programs/ip link set blue up
/programs/ip link set e0 master blue
/programs/ip address add fd00::1/64 dev e0 nodad 2>/dev/null
until_says 'e0 is in the VRF blue' ctl doctor
ctl doctor >/dev/null
echo "GUEST: the doctor's status is $?"
until_says '1 held, 1 not ready, 1 of these without a way' ctl status
/programs/ip link set e0 nomaster
/programs/ip address add fd00::1/64 dev e0 nodad 2>/dev/null
until_says '2 held, 0 not ready' ctl status
echo "GUEST: PASSED"
poweroff -f
END
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet) >"$work/initramfs"

background guest qemu-system-x86_64 -accel tcg -cpu max,-cx16 -m 1024 -nographic -no-reboot \
  -kernel "$debian_kernel/vmlinuz" -initrd "$work/initramfs" \
  -append "console=ttyS0 quiet panic=-1 rdinit=/init" -nic none
ended() { grep -qaE 'GUEST: (PASSED|FAILED)' "$work/guest.log"; }
await 180 "the guest's verdict" ended
grep -a GUEST: "$work/guest.log"
grep -qa 'GUEST: PASSED' "$work/guest.log" || fail "it did not pass"
grep -qa "GUEST: the doctor's status is 2" "$work/guest.log" || fail "the doctor finds nothing"
await 20 "the guest's end" bash -c "! kill -0 ${pids[guest]}"
