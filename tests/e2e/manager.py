#!/usr/bin/env python3
"""A stand-in for what systemd does for headd: it starts a command with $NOTIFY_SOCKET and $FDSTORE,
keeps the descriptors that are put into its store, and gives them to the next start.

    manager.py SOCKET ROOM COMMAND...

SIGHUP: a restart (SIGTERM, wait, start again). SIGTERM: a stop. It prints a line for what it is
told and does: "told READY=1", "stored 3 g", "removed 3 g", "started PID", "ended STATUS"."""
import array
import os
import select
import signal
import socket
import subprocess
import sys


def say(*words):
    """A whole line at once: headd writes to the same file."""
    os.write(1, (" ".join(str(word) for word in words) + "\n").encode())


class Manager:
    def __init__(self, path, room, command):
        self.room, self.command, self.path = room, command, path
        self.store = []  # (name, descriptor)
        self.asked = []
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.notify.bind(path)
        for number in (signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, lambda which, _: self.asked.append(which))

    def start(self):
        environment = dict(os.environ, NOTIFY_SOCKET=self.path, FDSTORE=str(self.room))
        given = list(self.store)
        if given:
            environment["LISTEN_FDS"] = str(len(given))
            environment["LISTEN_FDNAMES"] = ":".join(name for name, _ in given)

        def place():
            first = 3
            high = [os.dup2(fd, 500 + i) for i, (_, fd) in enumerate(given)]
            for i, fd in enumerate(high):
                os.dup2(fd, first + i)
                os.close(fd)

        if given:  # The process's own id is known only in it.
            command = ["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh"] + self.command
        else:
            command = self.command
        self.child = subprocess.Popen(command, env=environment, close_fds=False,
                                      preexec_fn=place if given else None)
        say("started", self.child.pid)

    def hear(self):
        message, control, *_ = self.notify.recvmsg(4096, socket.CMSG_SPACE(4 * 253))
        came = array.array("i")
        for level, kind, data in control:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                came.frombytes(data)
        said = dict(line.partition("=")[::2] for line in message.decode().splitlines())
        name = said.get("FDNAME", "stored")
        if said.get("FDSTORE") == "1":
            for fd in came:
                if len(self.store) < self.room:
                    os.set_inheritable(fd, False)
                    self.store.append((name, fd))
                else:
                    os.close(fd)
            say("stored", len(came), name)
        elif said.get("FDSTOREREMOVE") == "1":
            gone = [fd for other, fd in self.store if other == name]
            self.store = [(other, fd) for other, fd in self.store if other != name]
            for fd in gone:
                os.close(fd)
            say("removed", len(gone), name)
        else:
            for fd in came:  # A barrier: it ends when the descriptor is closed.
                os.close(fd)
            if "BARRIER" not in said:
                say("told", message.decode().replace("\n", " "))

    def serve(self, until):
        while not until():
            if select.select([self.notify], [], [], 0.02)[0]:
                self.hear()

    def end(self):
        self.child.send_signal(signal.SIGTERM)
        self.serve(lambda: self.child.poll() is not None)
        while select.select([self.notify], [], [], 0)[0]:
            self.hear()
        say("ended", self.child.returncode)
        return self.child.returncode

    def run(self):
        self.start()
        while True:
            self.serve(lambda: self.asked or self.child.poll() is not None)
            if not self.asked:
                return self.child.returncode or 1
            status = self.end()
            if self.asked.pop(0) == signal.SIGTERM:
                return status
            self.start()


if __name__ == "__main__":
    sys.exit(Manager(sys.argv[1], int(sys.argv[2]), sys.argv[3:]).run())
