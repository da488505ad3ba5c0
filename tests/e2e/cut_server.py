#!/usr/bin/env python3
"""NBD servers that end each of their first sessions at the next byte of what they would have sent.

usage: cut_server.py HOW DIALECT FOLDER FIRST-LAST...

DIALECT is what the server speaks: simple (newstyle with GO and simple replies), structured (with
chunks and block status), export_name (it does not know GO, and pads as old servers do) or oldstyle.
For each range there is a server on a port of its own. Its k-th session is closed (HOW fin) or
reset (HOW rst) after FIRST + k bytes, headers and payloads alike; after the session that was cut
at LAST it behaves. Data survives sessions, and a write counts only when all of it arrived. The
cuts that happened are the lines of FOLDER/FIRST-LAST.cuts; when all servers listen, FOLDER/ports
has a line "FIRST-LAST PORT" for each.
"""
import os
import socket
import struct
import sys
import threading

SIZE = 1 << 20
OPTION_REPLY = 0x3E889045565A9
CONTEXT = 7  # The number of base:allocation here.
FLAGS = 1 | 4 | 8  # HAS_FLAGS, SEND_FLUSH, SEND_FUA


class Cut(Exception):
    pass


class Session:
    def __init__(self, connection, budget, data, dialect):
        self.connection, self.budget, self.data = connection, budget, data
        self.dialect, self.structured = dialect, False

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
        """Returns when transmission begins."""
        if self.dialect == "oldstyle":
            self.send(b"NBDMAGIC" + struct.pack(">QQI", 0x420281861253, SIZE, FLAGS) + bytes(124))
            return
        pads = self.dialect == "export_name"
        self.send(b"NBDMAGICIHAVEOPT" + struct.pack(">H", 1 if pads else 3))
        self.receive(4)
        while True:
            _, option, length = struct.unpack(">8sII", self.receive(16))
            self.receive(length)
            if option == 1:  # NBD_OPT_EXPORT_NAME
                self.send(struct.pack(">QH", SIZE, FLAGS) + bytes(124))
                return
            if option == 7 and not pads:  # NBD_OPT_GO
                self.reply(option, 3, struct.pack(">HQH", 0, SIZE, FLAGS))
                self.reply(option, 1)
                return
            if option == 2:  # NBD_OPT_ABORT
                self.reply(option, 1)
                raise EOFError
            if option == 8 and self.dialect == "structured":  # NBD_OPT_STRUCTURED_REPLY
                self.structured = True
                self.reply(option, 1)
            elif option == 10 and self.structured:  # NBD_OPT_SET_META_CONTEXT
                self.reply(option, 4, struct.pack(">I", CONTEXT) + b"base:allocation")
                self.reply(option, 1)
            else:
                self.reply(option, (1 << 31) + 1)  # NBD_REP_ERR_UNSUP

    def transmit(self):
        assert self.structured == (self.dialect == "structured"), "not what was to be tested"
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
            if self.structured:
                self.answer_in_chunks(command, cookie, offset, length)
                continue
            self.send(struct.pack(">IIQ", 0x67446698, 0, cookie))
            if command == 0:
                self.send(bytes(self.data[offset:offset + length]))

    def chunk(self, kind, cookie, payload=b"", done=False):
        self.send(struct.pack(">IHHQI", 0x668E33EF, done, kind, cookie, len(payload)) + payload)

    def answer_in_chunks(self, command, cookie, offset, length):
        """A read as two chunks of data or, where there are only zeroes, one hole."""
        if command == 7:  # NBD_CMD_BLOCK_STATUS
            self.chunk(5, cookie, struct.pack(">III", CONTEXT, length, 0), done=True)
            return
        data = bytes(self.data[offset:offset + length])
        if command == 0 and not any(data):
            self.chunk(2, cookie, struct.pack(">QI", offset, length))
        elif command == 0:
            half = length // 2
            self.chunk(1, cookie, struct.pack(">Q", offset) + data[:half])
            self.chunk(1, cookie, struct.pack(">Q", offset + half) + data[half:])
        self.chunk(0, cookie, done=True)


def serve(listener, first, last, reset, dialect, log):
    data = bytearray(SIZE)
    cut = first
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = Session(connection, cut if cut <= last else None, data, dialect)
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


def main():
    reset, dialect, folder, ranges = sys.argv[1] == "rst", sys.argv[2], sys.argv[3], sys.argv[4:]
    ports = ""
    for name in ranges:
        first, last = map(int, name.split("-"))
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
        ports += f"{name} {listener.getsockname()[1]}\n"
        log = os.path.join(folder, name + ".cuts")
        threading.Thread(target=serve, args=(listener, first, last, reset, dialect, log)).start()
    with open(os.path.join(folder, "ports.new"), "w", encoding="ascii") as file:
        file.write(ports)
    os.rename(os.path.join(folder, "ports.new"), os.path.join(folder, "ports"))


if __name__ == "__main__":
    main()
