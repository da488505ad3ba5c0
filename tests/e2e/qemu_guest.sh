#!/usr/bin/env bash
# A virtual machine uses a disc: QEMU, with Debian's kernel and busybox for a guest, writes, reads
# back and compares, while the tail is killed and comes back once.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need qemu-system-x86_64 nbdkit busybox cpio apt-get dpkg-deb flock

# The guest's whole userland. It says PASSED on its console when what it read is what it wrote.
initramfs() {
  mkdir -p "$work/root"/{bin,dev,proc,sys,tmp}
  cp "$(command -v busybox)" "$work/root/bin/busybox"
  cat >"$work/root/init" <<'EOT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
disc=/dev/nvme0n1
i=0
while [ ! -b $disc ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done
echo "GUEST: disc of $(blockdev --getsize64 $disc) bytes"
dd if=/dev/urandom of=/tmp/data bs=1M count=16 2>/dev/null
dd if=/tmp/data of=$disc bs=64k conv=fsync && echo "GUEST: wrote"
sleep 2
echo 3 >/proc/sys/vm/drop_caches
dd if=$disc of=/tmp/back bs=64k count=256
cmp /tmp/data /tmp/back && echo "GUEST: $(sha256sum </tmp/data)" && echo "GUEST: PASSED"
sync
poweroff -f
EOT
  chmod +x "$work/root/init"
  (cd "$work/root" && find . | cpio -o -H newc --quiet) >"$work/initramfs"
}

get_debian_kernel
initramfs
truncate -s 64M "$work/tail.img"
tail_up() { start_tail nbdkit -f -i ::1 -p PORT file "$work/tail.img"; }
tail_up
start_headd
attach disc

background guest qemu-system-x86_64 -accel tcg -cpu max,-cx16 -m 512 -nographic -no-reboot \
  -kernel "$debian_kernel/vmlinuz" -initrd "$work/initramfs" \
  -append "console=ttyS0 quiet panic=-1 rdinit=/init" \
  -blockdev "driver=nbd,node-name=d0,server.type=unix,server.path=$(disc_socket disc)" \
  -device nvme,drive=d0,serial=headstart -nic none
console() { grep -qa "GUEST: $1" "$work/guest.log"; }
await 90 "the guest's writes" console wrote
stop tail KILL || true
tail_up
await 60 "the guest's verdict" console PASSED
sum=$(head -c 16M "$work/tail.img" | sha256sum | cut -d ' ' -f 1)
console "$sum" || fail "the tail holds something else than the guest wrote"
await 20 "the guest's end" bash -c "! kill -0 ${pids[guest]}"
stop_headd
