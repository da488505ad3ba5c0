#!/usr/bin/env python3
"""An NBD server that ends each of its first sessions at the next byte of what it would have sent.

usage: cut_server.py PORT FIRST LAST MODE LOG

Session k is closed (MODE fin) or reset (MODE rst) after FIRST + k bytes, headers and payloads
alike; after the session cut at LAST it behaves. Data survives sessions, and a write counts only
when all of it arrived. Each session's cut is a line of LOG.
"""
import socket
import struct
import sys

SIZE = 1 << 20
OPTION_REPLY = 0x3E889045565A9
FLAGS = 1 | 4 | 8  # HAS_FLAGS, SEND_FLUSH, SEND_FUA


class Cut(Exception):
    pass


class Session:
    def __init__(self, connection, budget, data):
        self.connection, self.budget, self.data = connection, budget, data

    def send(self, message):
        if self.budget is not None and len(message) >= self.budget:
            self.connection.sendall(message[:self.budget])
            raise Cut
        if self.budget is not None:
            self.budget -= len(message)
        self.connection.sendall(message)

    def receive(self, size):
        parts = b""
        while len(parts) < size:
            part = self.connection.recv(size - len(parts))
            if not part:
                raise EOFError
            parts += part
        return parts

    def reply(self, option, kind, payload=b""):
        self.send(struct.pack(">QIII", OPTION_REPLY, option, kind, len(payload)) + payload)

    def negotiate(self):
        """Newstyle with GO, without structured replies. Returns when transmission begins."""
        self.send(b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3))
        self.receive(4)
        while True:
            _, option, length = struct.unpack(">8sII", self.receive(16))
            self.receive(length)
            if option == 7:  # NBD_OPT_GO
                self.reply(option, 3, struct.pack(">HQH", 0, SIZE, FLAGS))
                self.reply(option, 1)
                return
            if option == 2:  # NBD_OPT_ABORT
                self.reply(option, 1)
                raise EOFError
            self.reply(option, (1 << 31) + 1)  # NBD_REP_ERR_UNSUP

    def transmit(self):
        while True:
            magic, _, command, cookie, offset, length = struct.unpack(
                ">IHHQQI", self.receive(28))
            assert magic == 0x25609513, "the client lost the thread"
            if command == 2:  # NBD_CMD_DISC
                return
            payload = self.receive(length) if command == 1 else b""
            if command in (0, 1):
                assert offset + length <= SIZE
            if command == 1:
                self.data[offset:offset + length] = payload
            self.send(struct.pack(">IIQ", 0x67446698, 0, cookie))
            if command == 0:
                self.send(bytes(self.data[offset:offset + length]))


def main():
    port, first, last = map(int, sys.argv[1:4])
    reset, log = sys.argv[4] == "rst", sys.argv[5]
    data = bytearray(SIZE)
    listener = socket.create_server(("::1", port), family=socket.AF_INET6)
    cut = first
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = Session(connection, cut if cut <= last else None, data)
        try:
            session.negotiate()
            session.transmit()
        except Cut:
            with open(log, "a", encoding="ascii") as file:
                print(cut, file=file)
            cut += 1
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except (EOFError, ConnectionError):
            pass
        connection.close()


if __name__ == "__main__":
    main()
