#!/usr/bin/env bash
# ghost.sh parallel|serial|killed|detached: a write that a tail's worker is stuck with for six
# seconds, while other connections go on; `parallel`, and other requests of the same one; `killed`,
# and headd is killed meanwhile and started again; `detached`, and its guest ends, the disc is
# detached, headd is upgraded, and the disc is attached again at once. A guest writes something else
# to the same place, which is answered and flushed; what the worker does in the end must not undo
# that.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit qemu-io nbdinfo python3
filters=()
how=${1:?parallel, serial, killed or detached}
[[ $how != serial ]] || filters=(--filter=noparallel)

truncate -s 1M "$work/tail.img"
cat >"$work/tail.sh" <<'END'
#!/usr/bin/env bash
case "$1" in
  thread_model) echo parallel ;;
  get_size) echo 1048576 ;;
  can_write | can_flush | can_multi_conn) exit 0 ;;
  flush) exit 0 ;;
  pread) dd if="$image" bs=1 skip="$4" count="$3" status=none ;;
  pwrite)
    cat >"$image.$$"
    if rmdir "$image.stuck" 2>/dev/null; then sleep 6; fi
    dd if="$image.$$" of="$image" bs=64k oflag=seek_bytes seek="$4" conv=notrunc status=none
    rm "$image.$$"
    ;;
  *) exit 2 ;;
esac
END
chmod +x "$work/tail.sh"
export image=$work/tail.img
mkdir "$image.stuck"
start_tail nbdkit -t 4 -f -i ::1 -p PORT "${filters[@]}" sh "$work/tail.sh" \
  ${filters[0]:+serialize=requests}
printf '[metrics]\nlisten = "off"\n[discs]\nquarantine_ms = 8000\n' >"$work/head.toml"
start_headd
attach disc

begun=$(date +%s.%N)
since() { python3 -c "import time; print(f'{time.time() - $begun:.1f}')"; }
write_first() {
  qemu-io -f raw -t none -c "write -P 0xa1 4096 4096" "$(disc_uri disc)" >/dev/null
}
stuck() { [[ ! -d $image.stuck ]]; }
if [[ $how == killed ]]; then
  write_first 2>/dev/null &
  await 10 "a worker to be stuck" stuck
  stop headd KILL || true
  wait $! && fail "the first write outlived headd"
  start_headd
  await 10 "the disc" nbdinfo "$(disc_uri disc)"
fi
if [[ $how == detached ]]; then
  background first qemu-io -f raw -t none -c "write -P 0xa1 4096 4096" "$(disc_uri disc)"
  await 10 "a worker to be stuck" stuck
  stop first KILL || true
  headctl detach disc >/dev/null
  headctl upgrade
  attach disc
else
  # Where it is asked again it passes what it left behind, which writes the same.
  write_first || fail "the first write failed"
  printf 'the write that was stuck is answered after %s s\n' "$(since)"
fi
qemu-io -f raw -t none -c "write -P 0xb2 4096 4096" -c flush "$(disc_uri disc)" >/dev/null ||
  fail "the second write failed"
printf 'what overlaps it is written and flushed after %s s\n' "$(since)"
[[ ! -d $image.stuck ]] || fail "no worker was stuck"
# The worker ends after six.
python3 -c "import time; time.sleep(max(0, 10 - (time.time() - $begun)))"
qemu-io -f raw -r -c "read -P 0xb2 4096 4096" "$(disc_uri disc)" >"$work/read.log" 2>&1 || true
grep -q failed "$work/read.log" && fail "the write of a stuck worker came back over a newer one"
printf 'passed: ghost\n'
