#!/usr/bin/env bash
# Discs of every kind of tail carry data faithfully: what fio wrote through headd verifies, and the
# tail holds the same bytes. Usage: tail.sh KIND
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need fio nbdkit nbdcopy nbdinfo python3
kind=${1:?which tail}

image() { truncate -s 64M "$work/tail.img"; }

case $kind in
  nbdkit-memory) start_tail nbdkit -f -i ::1 -p PORT memory 64M ;;
  nbdkit-file)
    image
    start_tail nbdkit -f -i ::1 -p PORT file "$work/tail.img"
    ;;
  nbdkit-delay)
    start_tail nbdkit -f -i ::1 -p PORT --filter=delay memory 64M delay-read=2ms delay-write=3ms
    ;;
  nbdkit-blocksize-policy)
    start_tail nbdkit -f -i ::1 -p PORT --filter=blocksize-policy memory 64M \
      blocksize-minimum=4096 blocksize-preferred=65536 blocksize-maximum=262144 \
      blocksize-error-policy=error
    ;;
  nbdkit-no-zero-no-trim)
    start_tail nbdkit -f -i ::1 -p PORT --filter=nozero memory 64M zeromode=notrim
    ;;
  nbdkit-noparallel) start_tail nbdkit -f -i ::1 -p PORT --filter=noparallel memory 64M ;;
  qemu-nbd)
    need qemu-nbd
    image
    start_tail qemu-nbd -f raw -b ::1 -p PORT -t --shared=0 "$work/tail.img"
    ;;
  nbd-server)
    need nbd-server
    image
    start_nbd_server 'flush = true' 'trim = true'
    ;;
  oldstyle) start_tail nbdkit -f -o -i ::1 -p PORT memory 64M ;;
  *) fail "no such tail: $kind" ;;
esac

start_headd
attach disc
[[ $(nbdinfo --size "$(disc_uri disc)") == $((64 << 20)) ]] || fail "the size is not the tail's"

# Requests as small as a guest may make them, whatever the tail's minimum is.
verify "$(disc_uri disc)" --bsrange=512-64k --io_size=16m
verify "$(disc_uri disc)" --offset=32m
flushed() {
  fio --name=flush --ioengine=nbd --uri="$1" --rw=write --bs=4k --size=1m --fsync=8 \
    --output="$work/fio.log" 2>&1
}
# After an oldstyle handshake, nbdkit 1.42 refuses the FLUSH that it announced; to anybody.
if [[ $kind != oldstyle ]] || flushed "$tail_uri"; then
  flushed "$(disc_uri disc)" || fail "writes with flushes"
fi
same_data disc
headctl detach disc >/dev/null
[[ ! -e $(disc_socket disc) ]] || fail "the socket of a detached disc is still there"
stop_headd
