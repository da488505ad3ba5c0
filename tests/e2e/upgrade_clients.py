#!/usr/bin/env python3
"""Clients of one headd, all at once: some ask for upgrades, the others attach discs and detach
them. In the end each disc must be as its client was told last, in headd and in discs.json.

    upgrade_clients.py SOCKET DISCS_JSON TAIL_URI SECONDS
"""
import collections
import http.client
import json
import socket
import sys
import threading
import time

UPGRADERS, CHANGERS = 3, 4
PATH, DISCS_JSON, TAIL, SECONDS = *sys.argv[1:4], float(sys.argv[4])
END = time.monotonic() + SECONDS
told = collections.Counter()  # How many answers there were of each status, by method.
expected = {}  # By name: whether it is attached. A change without an answer leaves its name out.
wrong = []


class Connection(http.client.HTTPConnection):
    def __init__(self):
        super().__init__("head", timeout=60)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(PATH)


def ask(method, path, body=None):
    """The status and the answer; 0 where the connection ended without one."""
    connection = Connection()
    try:
        text = json.dumps(body) if body is not None else None
        connection.request(method, path, text)
        answer = connection.getresponse()
        status, said = answer.status, json.loads(answer.read())
    except (OSError, http.client.HTTPException) as error:
        status, said = 0, {"detail": repr(error)}
    finally:
        connection.close()
    told[f"{method} {status}"] += 1
    if status == 400:
        wrong.append(f"{method} {path} was answered with 400: {said.get('detail')}")
    return status, said


def upgrade():
    while time.monotonic() < END:
        status, said = ask("POST", "/v1/upgrade", {})
        if status not in (0, 200, 409, 503):
            wrong.append(f"an upgrade was answered with {status}: {said.get('detail')}")
        if status != 200:
            time.sleep(0.02)


def change(number):
    for i in range(1_000_000):
        if time.monotonic() > END:
            return
        name = f"d{number}-{i % 8}"
        attached = not expected.get(name, False)
        if attached:
            status, _ = ask("PUT", f"/v1/discs/{name}", {"uri": TAIL})
        else:
            status, _ = ask("DELETE", f"/v1/discs/{name}?wait=5")
        if status in (200, 202):
            expected[name] = attached
        elif status == 0:
            settle(name)
        else:
            time.sleep(0.02)


def settle(name):
    """After a change that was not answered: detached, and known again."""
    while time.monotonic() < END:
        status, _ = ask("DELETE", f"/v1/discs/{name}?wait=5")
        if status in (200, 404):
            expected[name] = False
            return
        time.sleep(0.02)
    expected.pop(name, None)


threads = [threading.Thread(target=upgrade) for _ in range(UPGRADERS)]
threads += [threading.Thread(target=change, args=(i,)) for i in range(CHANGERS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()

# The headd that was upgraded last may still be there, which has let go of all its discs.
for _ in range(100):
    _, answer = ask("GET", "/v1/discs")
    there = {disc["name"] for disc in answer["discs"] if disc["state"] != "detaching"}
    if len(there) == len(answer["discs"]):
        break
    time.sleep(0.05)
with open(DISCS_JSON, encoding="utf-8") as file:
    stored = {disc["name"] for disc in json.load(file)["discs"]}
for name, attached in sorted(expected.items()):
    for where, names in (("headd", there), ("discs.json", stored)):
        if attached != (name in names):
            lost = "was attached and is not in" if attached else "was detached and is in"
            wrong.append(f"{name} {lost} {where}")
print(", ".join(f"{what}: {count}" for what, count in sorted(told.items())))
changes = sum(told[what] for what in ("PUT 200", "PUT 202", "DELETE 200", "DELETE 202"))
print(f"{told['POST 200']} upgrades, {changes} changes")
if told["POST 200"] < 3:
    wrong.append(f"there were {told['POST 200']} upgrades in {SECONDS:.0f} s")
if changes < 2 * SECONDS:
    wrong.append(f"there were {changes} changes in {SECONDS:.0f} s: they starve")
for sentence, times in collections.Counter(wrong).most_common(20):
    print(f"{sentence} ({times} times)", file=sys.stderr)
sys.exit(1 if wrong else 0)
