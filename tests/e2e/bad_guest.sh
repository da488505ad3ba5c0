#!/usr/bin/env bash
# A client that talks nonsense, or nothing at all, loses its own connection and nothing else:
# another guest's verified I/O goes on, without a wait of seconds, and headd is there afterwards.
# One that asks and asks and never reads is hung up on within a minute or so, and what it held is
# free again.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit fio python3 nbdinfo

start_tail nbdkit -f -i ::1 -p PORT memory 64M
start_headd
attach disc
background guest fio --name=guest --ioengine=nbd --uri="$(disc_uri disc)" --rw=randwrite \
  --size=64m --verify=crc32c --verify_fatal=1 --output="$work/fio.log" --bs=16k --iodepth=8 \
  --rate=,16m --max_latency=5s

cat >"$work/deaf.py" <<'EOT'
import select, socket, struct, sys, time

s = socket.socket(socket.AF_UNIX)
s.settimeout(10)
s.connect(sys.argv[1])
s.recv(18, socket.MSG_WAITALL)
s.sendall(struct.pack(">I8sII", 3, b"IHAVEOPT", 1, 0))
assert len(s.recv(10, socket.MSG_WAITALL)) == 10, "a well-behaved client was refused"
began = time.monotonic()
s.sendall(b"".join(struct.pack(">IHHQQI", 0x25609513, 0, 0, cookie, 0, 1 << 20)
                   for cookie in range(200)))
poll = select.poll()
poll.register(s, 0)
assert poll.poll(120000), "nobody hung up"
assert time.monotonic() - began > 25, "it was hung up on too soon"
EOT
background deaf python3 "$work/deaf.py" "$(disc_socket disc)"

python3 - "$(disc_socket disc)" <<'EOT'
import random, socket, struct, sys

GREETING, OPTION = 18, b"IHAVEOPT"


def session(what):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(sys.argv[1])
        what(s)


def opened(s):
    s.recv(GREETING, socket.MSG_WAITALL)
    s.send(struct.pack(">I8sII", 3, OPTION, 1, 0))
    assert len(s.recv(10, socket.MSG_WAITALL)) == 10, "a well-behaved client was refused"


def request(command, offset, length, magic=0x25609513):
    return struct.pack(">IHHQQI", magic, 0, command, 7, offset, length)


def dropped(s):
    """The server ends the session; it neither hangs nor answers on and on."""
    try:
        s.shutdown(socket.SHUT_WR)
        while s.recv(65536):
            pass
    except ConnectionError:
        pass


def silent(s):
    s.recv(GREETING, socket.MSG_WAITALL)


def garbage(s):
    try:
        s.send(random.Random(1).randbytes(100000))
    except ConnectionError:
        pass
    dropped(s)


def huge_option(s):
    s.recv(GREETING, socket.MSG_WAITALL)
    s.send(struct.pack(">I8sII", 3, OPTION, 7, 0xFFFFFFFF))
    dropped(s)


def wrong_magic(s):
    opened(s)
    s.send(request(0, 0, 512, magic=0x12345678))
    dropped(s)


def out_of_range(s):
    opened(s)
    s.send(request(0, 1 << 62, 4096))
    magic, error, cookie = struct.unpack(">IIQ", s.recv(16, socket.MSG_WAITALL))
    assert (magic, cookie) == (0x67446698, 7) and error != 0, "a read past the end was answered"


def half_a_write(s):
    opened(s)
    s.send(request(1, 0, 65536) + bytes(1000))


def stops_reading(s):
    opened(s)
    s.settimeout(1)
    try:
        for _ in range(10000):
            s.sendall(request(0, 0, 1 << 20))
    except TimeoutError:
        pass


for what in (silent, garbage, huge_option, wrong_magic, out_of_range, half_a_write, stops_reading):
    for _ in range(5 if what is not stops_reading else 1):
        session(what)
EOT

finish guest || fail "the well-behaved guest met an error (fio's status $?)"
finish deaf || fail "the guest that never reads was not ended as it should be"
# shellcheck disable=SC2317
idle() { headctl discs disc --json | grep -qE '"in_flight": *0\b'; }
await 5 "the disc to be idle" idle
nbdinfo --size "$(disc_uri disc)" >/dev/null || fail "headd serves no new guest"
stop_headd
