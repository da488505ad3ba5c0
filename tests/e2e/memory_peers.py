#!/usr/bin/env python3
"""Peers that ask for more memory than they should get, for memory.sh; each prints one line of JSON.

    memory_peers.py tail PORT                 an NBD server: 64 MiB of zeroes for thousands of discs
    memory_peers.py deaf SECONDS SOCKET...    guests that ask and write on and on, and never read
    memory_peers.py writers SOCKET...         guests that write on and on until they have to wait;
                                              after a line on standard input they want their answers
    memory_peers.py api SECONDS SOCKET        clients of the API: large bodies that stop in the
                                              middle, long answers that nobody takes
    memory_peers.py nonsense SECONDS SOCKET   guests that break the protocol, one after the other"""
import json
import selectors
import socket
import struct
import sys
import time

OPTION, REPLY = b"IHAVEOPT", 0x3E889045565A9
SIZE, BLOCK = 64 << 20, 128 << 10
REQUEST = struct.Struct(">IHHQQI")
ANSWER = struct.Struct(">IIQ")
ZEROES = bytes(1 << 20)


def request(command, cookie, offset, length):
    return REQUEST.pack(0x25609513, 0, command, cookie, offset, length)


class Connection:
    """One disc's, to the tail."""

    def __init__(self, peer):
        self.peer, self.said, self.out = peer, bytearray(), bytearray()
        self.step, self.skip = self.hello, 0
        self.out += b"NBDMAGIC" + OPTION + struct.pack(">H", 3)

    def hello(self):
        if len(self.said) < 4:
            return False
        del self.said[:4]
        self.step = self.option
        return True

    def option(self):
        if len(self.said) < 16:
            return False
        _, option, length = struct.unpack_from(">8sII", self.said)
        if len(self.said) < 16 + length:
            return False
        del self.said[:16 + length]
        if option != 7:  # NBD_OPT_GO
            self.out += struct.pack(">QIII", REPLY, option, 0x80000001, 0)
            return True
        self.out += struct.pack(">QIIIHQH", REPLY, option, 3, 12, 0, SIZE, 1 | 4 | 8 | 32)
        self.out += struct.pack(">QIII", REPLY, option, 1, 0)
        self.step = self.request
        return True

    def request(self):
        if self.skip:
            gone = min(self.skip, len(self.said))
            del self.said[:gone]
            self.skip -= gone
        if self.skip or len(self.said) < REQUEST.size:
            return False
        _, _, command, cookie, _, length = REQUEST.unpack_from(self.said)
        del self.said[:REQUEST.size]
        self.out += ANSWER.pack(0x67446698, 0, cookie)
        if command == 0:
            self.out += bytes(length)
        elif command == 1:
            self.skip = length
        return True


def tail(port):
    listener = socket.create_server(("::1", int(port)), family=socket.AF_INET6, backlog=4096)
    listener.setblocking(False)
    select = selectors.EpollSelector()
    select.register(listener, selectors.EVENT_READ)

    def serve(key, events):
        connection = key.data
        if events & selectors.EVENT_READ:
            bytes_ = connection.peer.recv(256 << 10)
            if not bytes_:
                raise ConnectionError
            connection.said += bytes_
        while len(connection.out) < 4 << 20 and connection.step():
            pass
        if connection.out:
            del connection.out[:connection.peer.send(connection.out)]
        wanted = selectors.EVENT_READ if len(connection.out) < 1 << 20 else 0
        wanted |= selectors.EVENT_WRITE if connection.out else 0
        if wanted != key.events:
            select.modify(connection.peer, wanted, connection)

    def accept():
        for _ in range(256):
            peer, _ = listener.accept()
            peer.setblocking(False)
            select.register(peer, selectors.EVENT_READ | selectors.EVENT_WRITE, Connection(peer))

    while True:
        for key, events in select.select():
            try:
                accept() if key.data is None else serve(key, events)
            except BlockingIOError:
                pass
            except OSError:
                select.unregister(key.fileobj)
                key.fileobj.close()


class Guest:
    """Says requests without end, and counts those that it has said whole."""

    def __init__(self, path, command, length):
        self.command, self.length = command, length
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(path)
        self.socket.recv(18, socket.MSG_WAITALL)
        self.socket.sendall(struct.pack(">I8sII", 3, OPTION, 1, 0))
        assert len(self.socket.recv(10, socket.MSG_WAITALL)) == 10, "a guest was turned away"
        self.socket.setblocking(False)
        self.said = self.waits_since = 0
        self.rest = memoryview(b"")

    def say(self):
        """Until it has to wait."""
        for _ in range(64):
            if not self.rest:
                offset = self.said * self.length % SIZE
                text = request(self.command, self.said, offset, self.length)
                self.rest = memoryview(text + (ZEROES[:self.length] if self.command else b""))
                self.said += 1
            try:
                self.rest = self.rest[self.socket.send(self.rest):]
                self.waits_since = 0
            except BlockingIOError:
                self.waits_since = self.waits_since or time.monotonic()
                return
            except OSError:  # Hung up on: as good as silent.
                self.waits_since = self.waits_since or 1
                return


def deaf(seconds, *paths):
    readers = [Guest(path, 0, 1 << 20) for path in paths[::2]]
    writers = [Guest(path, 1, BLOCK) for path in paths[1::2]]
    until = time.monotonic() + float(seconds)
    while time.monotonic() < until:
        for guest in readers + writers:
            guest.say()
        time.sleep(0.01)
    print(json.dumps({"readers": len(readers), "writers": len(writers),
                      "readers_that_wait": sum(1 for one in readers if one.waits_since)}))


def writers(*paths):
    guests = [Guest(path, 1, BLOCK) for path in paths]
    until = time.monotonic() + 30
    while not all(one.waits_since and time.monotonic() - one.waits_since > 1 for one in guests):
        assert time.monotonic() < until, "guests write on and on, and nobody takes it"
        for guest in guests:
            guest.say()
        time.sleep(0.02)
    print(json.dumps({"waiting": len(guests), "said": sum(one.said for one in guests)}), flush=True)
    sys.stdin.readline()
    until = time.monotonic() + 60
    left = {guest: guest.said for guest in guests}
    while left:
        assert time.monotonic() < until, f"{sum(left.values())} writes were not answered"
        for guest in list(left):
            try:
                if guest.rest:
                    guest.rest = guest.rest[guest.socket.send(guest.rest):]
            except BlockingIOError:
                pass
            try:
                while left[guest]:
                    answer = guest.socket.recv(ANSWER.size, socket.MSG_WAITALL)
                    assert len(answer) == ANSWER.size and answer[4:8] == bytes(4), "no good answer"
                    left[guest] -= 1
                del left[guest]
            except BlockingIOError:
                pass
        time.sleep(0.005)
    print(json.dumps({"answered": sum(one.said for one in guests)}))


def api(seconds, path):
    end = b" HTTP/1.1\r\nHost: h\r\n"
    asked = [b"POST /v1/import" + end + b"Content-Length: 4000000\r\n\r\n" + ZEROES,
             b"GET /v1/discs" + end + b"\r\n", b"GET /metrics" + end + b"\r\n",
             b"GET /v1/neighbours" + end + b"\r\n", b"GET /v1/stalls HTTP/1.1\r\n" * 500]
    open_, count = [], 0
    until = time.monotonic() + float(seconds)
    while time.monotonic() < until:
        # Some forty at a time, each for a second or so; none of them reads.
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(0.05)
        try:
            client.connect(path)
            client.sendall(asked[count % len(asked)])
        except OSError:
            pass
        count += 1
        open_.append(client)
        if len(open_) > 40:
            open_.pop(0).close()
        time.sleep(0.02)
    print(json.dumps({"clients": count}))


def nonsense(seconds, path):
    count, until = 0, time.monotonic() + float(seconds)
    while time.monotonic() < until:
        with socket.socket(socket.AF_UNIX) as guest:
            guest.settimeout(5)
            guest.connect(path)
            try:
                guest.sendall(bytes([count % 256]) * 4096)
                while guest.recv(4096):
                    pass
            except OSError:
                pass
        count += 1
    print(json.dumps({"guests": count}))


if __name__ == "__main__":
    modes = {one.__name__: one for one in (tail, deaf, writers, api, nonsense)}
    modes[sys.argv[1]](*sys.argv[2:])
