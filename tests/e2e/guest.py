#!/usr/bin/env python3
"""A guest that believes nothing: it keeps several requests in flight on an NBD Unix socket, writes
blocks that say which they are and of which version, and compares every byte that it reads.

    guest.py SOCKET --seconds S [--reconnect] [--blocks N] [--depth N] [--from BLOCK]

With --reconnect a lost connection is made again, and what was unanswered is asked again; without,
it is an error. At the end (also on SIGTERM) all blocks are read once more. It prints JSON, then and
on SIGUSR1: requests, longest_ms (a request's, from the first time that it was asked, since the last
line), reconnects. Status 1: an error, or a wrong byte."""
import argparse
import json
import random
import signal
import socket
import struct
import sys
import time

BLOCK = 16 << 10


def content(block, version):
    return struct.pack(">QQ", block, version) * (BLOCK // 16) if version else bytes(BLOCK)


class Guest:
    def __init__(self, options):
        self.options = options
        self.versions = {}
        self.unanswered = {}  # Cookie: [command, block, version, asked at]
        self.cookie = 0
        self.requests = self.reconnects = 0
        self.longest = 0.0
        self.ending = False
        self.connection = None

    def connect(self, within):
        until = time.monotonic() + within
        while True:
            try:
                connection = socket.socket(socket.AF_UNIX)
                connection.settimeout(within)
                connection.connect(self.options.socket)
                self.connection = connection
                self.whole(18)
                connection.sendall(struct.pack(">I", 3))
                connection.sendall(struct.pack(">QII", 0x49484156454F5054, 1, 0))
                self.whole(10)
                return
            except OSError:
                connection.close()
                if not self.options.reconnect or time.monotonic() > until:
                    raise
                time.sleep(0.01)

    def whole(self, size):
        parts = []
        while size:
            part = self.connection.recv(size)
            if not part:
                raise ConnectionResetError("headd hung up")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def ask(self, cookie):
        command, block, version, _ = self.unanswered[cookie]
        place = (self.options.first + block) * BLOCK
        head = struct.pack(">IHHQQI", 0x25609513, 0, command, cookie, place, BLOCK)
        self.connection.sendall(head + (content(block, version) if command else b""))

    def begin(self, command, block):
        self.cookie += 1
        version = self.versions.get(block, 0) + command
        self.unanswered[self.cookie] = [command, block, version, time.monotonic()]
        self.ask(self.cookie)

    def answer(self):
        magic, error, cookie = struct.unpack(">IIQ", self.whole(16))
        if magic != 0x67446698 or cookie not in self.unanswered:
            raise SystemExit(f"not an answer to anything: {magic:#x} {cookie}")
        command, block, version, asked = self.unanswered[cookie]
        if error:
            raise SystemExit(f"error {error} for block {block}")
        if command == 0 and self.whole(BLOCK) != content(block, version):
            raise SystemExit(f"block {block} is not what was written as version {version}")
        del self.unanswered[cookie]
        self.versions[block] = version
        self.requests += 1
        self.longest = max(self.longest, time.monotonic() - asked)

    def again(self):
        if not self.options.reconnect:
            raise SystemExit("the connection was lost")
        self.reconnects += 1
        self.connection.close()
        self.connect(30)
        for cookie in list(self.unanswered):
            self.ask(cookie)

    def guarded(self, step):
        asked = False
        while True:
            try:
                return self.again() if asked else step()
            except OSError as error:
                if not self.options.reconnect:
                    raise SystemExit(f"the connection was lost: {error}")
                asked = True  # What step() was to ask is among the unanswered.

    def step(self):
        busy = {request[1] for request in self.unanswered.values()}
        while len(self.unanswered) < self.options.depth:
            block = random.randrange(self.options.blocks)
            if block not in busy:
                busy.add(block)
                self.begin(random.randrange(2), block)
        self.answer()

    def run(self):
        self.connect(30)
        until = time.monotonic() + self.options.seconds
        while not self.ending and time.monotonic() < until:
            self.guarded(self.step)
        while self.unanswered:
            self.guarded(self.answer)
        for block in range(self.options.blocks):
            self.guarded(lambda b=block: self.begin(0, b))
            while self.unanswered:
                self.guarded(self.answer)
        self.tell()

    def tell(self, *_):
        print(json.dumps({"requests": self.requests, "longest_ms": round(self.longest * 1000, 1),
                          "reconnects": self.reconnects}), flush=True)
        self.longest = 0.0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("socket")
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--reconnect", action="store_true")
    parser.add_argument("--blocks", type=int, default=256)
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--from", dest="first", type=int, default=0)
    guest = Guest(parser.parse_args())
    signal.signal(signal.SIGTERM, lambda *_: setattr(guest, "ending", True))
    signal.signal(signal.SIGUSR1, guest.tell)
    guest.run()


if __name__ == "__main__":
    sys.exit(main())
