#!/usr/bin/env bash
# The status page in a real browser: it runs under its own Content-Security-Policy, shows what the
# API says, and is drawn in light and dark, wide and narrow.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need chromium nbdkit fio python3

metrics_port=$(free_port)
page=http://localhost:$metrics_port/
printf '[metrics]\nlisten = "[::1]:%s"\n' "$metrics_port" >"$work/head.toml"
start_tail nbdkit -f -i ::1 -p PORT --filter=delay memory 64M rdelay=30ms
start_headd
attach disc --grade gold-1
background load fio --name=load --ioengine=nbd --uri="$(disc_uri disc)" --rw=randread --bs=4k \
  --size=64m --iodepth=4 --time_based --runtime=120 --output="$work/fio.log"
stalled() { headctl stalls | grep -q tail; }
await 20 "a stall" stalled

# browse NAME SCHEME SIZE OPTION... where the scheme is 0 for dark, 1 for light.
browse() {
  local name=$1 scheme=$2 size=$3
  shift 3
  HOME=$work timeout 60 chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage \
    --hide-scrollbars --user-data-dir="$work/browser" --enable-logging=stderr \
    --blink-settings=preferredColorScheme="$scheme" --window-size="$size" \
    --virtual-time-budget=12000 "$@" "$page" >"$work/$name.out" 2>"$work/$name.log" ||
    fail "chromium ended with status $?"
  ! grep -E 'CONSOLE|Content Security Policy|Uncaught' "$work/$name.log" ||
    fail "the browser complains of the page"
}

# The browser's time runs as fast as the page lets it: between two of its questions may be no
# request at all, on a busy machine there may be one question only. So it may look several times.
expected=(
  'id="live"[^>]*>Live<'
  'id="t-ready">1 of 1<'
  '<button title="Show its latency">disc</button>'
  '<td class="ready">ready</td><td>gold-1</td>'
  'aria-label="Heat map of latency. In the last interval: [0-9]+ requests, median [0-9.]+ ms'
  '<td>[0-9:]+</td><td>disc</td><td>read</td><td>tail<'
  'role="meter"[^>]*aria-valuetext="[0-9]+ of [0-9]+ entries"'
)
for attempt in {1..5}; do
  browse dom 1 1280,1700 --dump-dom
  missing=
  for pattern in "${expected[@]}"; do
    grep -qE "$pattern" "$work/dom.out" || missing=$pattern
  done
  [[ -n $missing ]] || break
  ((attempt < 5)) || fail "the page does not show $missing"
done

# What a screen reader is told: of what is looked at, and of what is operated.
timeout 120 python3 "$here/accessibility.py" "$page" "$work" \
  '!!document.querySelector("#disc-rows button") && !!document.querySelector("#stalls td")' ||
  fail "the page is not accessible"

# Drawn at all, and otherwise in the dark.
for size in 1280,1700 400,2600; do
  for scheme in 0 1; do
    browse "shot-$size-$scheme" "$scheme" "$size" --screenshot="$work/$size-$scheme.png"
  done
  python3 - "$work/$size-0.png" "$work/$size-1.png" <<'PYTHON' || fail "the pictures at $size"
import struct, sys, zlib

def corner(path):
    """The first pixel's red, and how many different bytes the picture has."""
    data, at, pixels = open(path, "rb").read(), 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IDAT":
            pixels += data[at + 8:at + 8 + size]
        at += 12 + size
    raw = zlib.decompress(pixels)
    return raw[1], len(set(raw))

(dark, dark_bytes), (light, light_bytes) = map(corner, sys.argv[1:])
assert dark < 64 and light > 192, (dark, light)
assert min(dark_bytes, light_bytes) > 100, "an empty picture"
PYTHON
done
stop load || true
stop_headd
