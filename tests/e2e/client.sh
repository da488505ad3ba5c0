#!/usr/bin/env bash
# Clients that people have work with headd's sockets. Usage: client.sh CLIENT
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
client=${1:?which client}
need nbdkit nbdcopy python3

# A disc with data, holes and zeroes in it.
size=$((64 << 20))
python3 - "$work/tail.img" <<'EOT'
import random, sys
with open(sys.argv[1], "wb") as image:
    image.truncate(64 << 20)
    for offset in (0, 1 << 20, 20 << 20, (64 << 20) - 65536):
        image.seek(offset)
        image.write(random.Random(offset).randbytes(65536))
EOT
start_tail nbdkit -f -i ::1 -p PORT file "$work/tail.img"
start_headd
attach disc
uri=$(disc_uri disc)
socket=$(disc_socket disc)

nbdinfo_client() {
  need nbdinfo
  local text
  text=$(nbdinfo "$uri")
  grep -q "export-size: $size" <<<"$text" || fail "nbdinfo has another size: $text"
  grep -q "base:allocation" <<<"$text" || fail "nbdinfo sees no base:allocation: $text"
  nbdinfo --list "$uri" | grep -q 'export=' || fail "nbdinfo --list lists nothing"
  nbdinfo --can flush "$uri" || fail "no flush"
  nbdinfo --can trim "$uri" || fail "no trim"
  nbdinfo --can zero "$uri" || fail "no write zeroes"
  nbdinfo --can fua "$uri" || fail "no FUA"
  [[ $(nbdinfo --map --totals "$uri" | awk '/hole/ { print $1 }') -gt 0 ]] || fail "no holes"
}

nbdcopy_client() {
  nbdcopy "$uri" "$work/copy.img"
  cmp "$work/copy.img" "$work/tail.img" || fail "nbdcopy read something else"
  head -c $size /dev/urandom >"$work/new.img"
  nbdcopy --flush "$work/new.img" "$uri"
  cmp "$work/new.img" "$work/tail.img" || fail "nbdcopy wrote something else"
}

qemu_img_client() {
  need qemu-img
  local spec="nbd+unix:///?socket=$socket"
  qemu-img info "$spec" | grep -q "$size bytes" || fail "qemu-img info has another size"
  qemu-img map --output=json "$spec" >"$work/ours.json"
  qemu-img map --output=json "$tail_uri" >"$work/theirs.json"
  cmp "$work/ours.json" "$work/theirs.json" || fail "qemu-img map differs from the tail's"
  qemu-img convert -f raw -O raw "$spec" "$work/copy.img"
  qemu-img compare -f raw -F raw "$work/copy.img" "$spec" || fail "qemu-img compare"
  head -c $size /dev/urandom >"$work/new.img"
  qemu-img convert -n -f raw -O raw "$work/new.img" "$spec"
  cmp "$work/new.img" "$work/tail.img" || fail "qemu-img convert wrote something else"
}

qemu_io_client() {
  need qemu-io
  local text
  text=$(qemu-io -f raw -t none "$uri" -c 'write -P 1 4k 64k' -c 'write -f -P 2 1M 4k' \
    -c 'write -z 8k 4k' -c 'discard 2M 1M' -c 'flush' -c 'aio_write -P 3 3M 1M' -c 'aio_flush' \
    -c 'read -P 1 4k 4k' -c 'read -P 0 8k 4k' -c 'read -P 1 12k 56k' -c 'read -P 2 1M 4k' \
    -c 'read -P 3 3M 1M' -c 'write -P 4 1001 513' -c 'read -P 4 1001 513' 2>&1)
  ! grep -qiE 'fail|error' <<<"$text" || fail "qemu-io: $text"
}

fio_client() {
  need fio
  verify "$uri" --numjobs=2 --size=24m --offset_increment=32m --thread
  same_data disc
}

nbdfuse_client() {
  need nbdfuse fusermount3
  [[ -e /dev/fuse ]] || skip "there is no /dev/fuse"
  mkdir "$work/mount"
  clean_more() { fusermount3 -u "$work/mount" 2>/dev/null; }
  background nbdfuse nbdfuse "$work/mount" "$uri"
  await 10 "nbdfuse's file" test -e "$work/mount/nbd"
  cmp "$work/mount/nbd" "$work/tail.img" || fail "nbdfuse shows something else"
  head -c 1M /dev/urandom | dd of="$work/mount/nbd" bs=64k seek=32 conv=notrunc,fsync status=none
  cmp "$work/mount/nbd" "$work/tail.img" || fail "nbdfuse wrote something else"
  fusermount3 -u "$work/mount"
}

# Many at once, and one that leaves in the middle of its requests: the others do not notice.
many_clients() {
  need fio qemu-io
  local i jobs=()
  for i in {1..8}; do
    fio --name="c$i" --ioengine=nbd --uri="$uri" --rw=randread --bs=4k --iodepth=8 --size=$size \
      --time_based --runtime=3 --output="$work/fio$i.log" &
    jobs+=($!)
  done
  for i in {1..20}; do timeout -s KILL 0.1 nbdcopy "$uri" null: 2>/dev/null || true; done
  for i in "${jobs[@]}"; do wait "$i" || fail "a client met an error while others were killed"; done
  nbdinfo --size "$uri" >/dev/null || fail "no new client is served"
}

case $client in
  nbdinfo) nbdinfo_client ;;
  nbdcopy) nbdcopy_client ;;
  qemu-img) qemu_img_client ;;
  qemu-io) qemu_io_client ;;
  fio) fio_client ;;
  nbdfuse) nbdfuse_client ;;
  many) many_clients ;;
  *) fail "no such client: $client" ;;
esac
stop_headd
