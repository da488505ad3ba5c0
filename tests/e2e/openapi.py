#!/usr/bin/env python3
"""Holds a running headd to its OpenAPI document: openapi.py SPEC API.md SOCKET CONFIG TAIL_URI.

Every operation is asked, every answer must be described, and no answer may hold a member that is
not. CONFIG is headd's head.toml, which may be overwritten."""
import concurrent.futures
import http.client
import json
import os
import re
import signal
import socket
import sys
import time

import jsonschema
import yaml

spec_file, page_file, socket_path, config_file, tail_uri = sys.argv[1:]
spec = yaml.safe_load(open(spec_file))
page = open(page_file).read()
asked = set()


def resolve(node):
    while "$ref" in node:
        at = spec
        for part in node["$ref"].removeprefix("#/").split("/"):
            at = at[part]
        node = at
    return node


def close(node):
    """Objects whose members are described have no others."""
    if isinstance(node, list):
        return [close(one) for one in node]
    if not isinstance(node, dict):
        return node
    node = {key: close(value) for key, value in node.items()}
    if "properties" in node and "type" in node:
        node.setdefault("additionalProperties", False)
    return node


closed = {"components": close(spec["components"])}


def operation_of(method, path):
    for template, item in spec["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            return template, item.get(method.lower())
    return None, None


def ask(method, path, body=None, headers=None, described=True):
    connection = http.client.HTTPConnection("head")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(socket_path)
    text = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, body=text, headers=headers or {})
    answer = connection.getresponse()
    data = answer.read()
    kind = answer.getheader("Content-Type").split(";")[0]
    where = f"{method} {path}: {answer.status} {data[:300]!r}"
    if described:
        template, operation = operation_of(method, path.split("?")[0])
        assert operation, f"{where}: it is not in the document"
        asked.add((method, template, str(answer.status)))
        response = operation["responses"].get(str(answer.status))
        assert response, f"{where}: this status is not in the document"
        content = resolve(response)["content"]
        assert kind in content, f"{where}: {kind} is not in the document"
        schema = close(content[kind]["schema"]) | closed
    else:
        schema = {"$ref": "#/components/schemas/Problem"} | closed
        assert kind == "application/problem+json", where
    if kind.startswith("text/"):
        return answer.status, data.decode()
    value = json.loads(data)
    try:
        jsonschema.Draft202012Validator(schema).validate(value)
    except jsonschema.ValidationError as error:
        raise SystemExit(f"{where}: {error.message}, at {list(error.absolute_path)}")
    return answer.status, value


def expect(status, *call, **more):
    got, value = ask(*call, **more)
    assert got == status, f"{call}: {got} and not {status}: {value}"
    return value


disc = {"uri": tail_uri}
expect(200, "GET", "/v1/status")
expect(200, "GET", "/v1/discs")
expect(200, "PUT", "/v1/discs/a?wait=20", disc)
nowhere = {"uri": "nbd://[::1]:9/"}
expect(202, "PUT", "/v1/discs/b", nowhere)
expect(400, "PUT", "/v1/discs/a", b"{")
expect(409, "PUT", "/v1/discs/a", {"uri": tail_uri, "read_only": True})
expect(411, "PUT", "/v1/discs/a", b"2\r\n{}\r\n0\r\n\r\n",
       headers={"Transfer-Encoding": "chunked"})
expect(413, "PUT", "/v1/discs/a", b" " * (1 << 20))
expect(415, "PUT", "/v1/discs/a", b"{}", headers={"Content-Encoding": "gzip"})
expect(422, "PUT", "/v1/discs/c", {"uri": "nbds://[::1]/"})
expect(200, "GET", "/v1/discs/a")
assert expect(200, "PATCH", "/v1/discs/a", {"order": "hold", "grace_s": 9})["order"] == "hold"
assert expect(200, "PATCH", "/v1/discs/a", {"order": "serve"})["grace_s"] == 9
expect(400, "PATCH", "/v1/discs/a", b"{")
expect(404, "PATCH", "/v1/discs/none", {"order": "hold"})
expect(411, "PATCH", "/v1/discs/a", b"2\r\n{}\r\n0\r\n\r\n",
       headers={"Transfer-Encoding": "chunked"})
expect(413, "PATCH", "/v1/discs/a", b" " * (1 << 20))
expect(415, "PATCH", "/v1/discs/a", b"{}", headers={"Content-Encoding": "gzip"})
expect(422, "PATCH", "/v1/discs/a", {"order": "halt"})
expect(404, "GET", "/v1/discs/none")
listed = {"discs": [{"name": "d", "uri": tail_uri}]}
expect(200, "POST", "/v1/import?check=true", listed)
started = expect(202, "POST", "/v1/import", listed)
expect(400, "POST", "/v1/import", [])
expect(404, "POST", "/v1/import?part_of=1", listed)
expect(409, "POST", "/v1/import", {"discs": [{"name": "a", "uri": "nbd://[::1]:9/x"}]})
expect(422, "POST", "/v1/import", {"discs": [{"name": "?", "uri": tail_uri}]})
expect(200, "GET", f"/v1/imports/{started['id']}?wait=20")
expect(404, "GET", "/v1/imports/1")
expect(200, "GET", "/v1/neighbours")
expect(200, "GET", "/v1/neighbours/changes")
expect(400, "GET", "/v1/neighbours/changes?since=x")
assert expect(200, "GET", "/v1/doctor")["strategies"]
assert expect(200, "GET", "/v1/log")["lines"]
assert expect(200, "GET", "/v1/crashes")["crashes"] == []
assert "[metrics]" in expect(200, "GET", "/v1/config")["text"]
expect(200, "GET", "/v1/latency")
assert expect(200, "GET", "/v1/latency/a?histogram=true")["operations"]["read"]["buckets"]
expect(404, "GET", "/v1/latency/none")
assert expect(200, "GET", "/v1/stalls")["stalls"], "the tail is slow, and no request stalled"
expect(200, "GET", "/v1/stalls?disc=a&limit=1")
expect(400, "GET", "/v1/stalls?limit=x")
assert "<title>Headstart" in expect(200, "GET", "/")
assert "head_build_info" in expect(200, "GET", "/metrics?disc=a")
open(config_file, "a").write("[stall]\nthreshold_ms = 30\n")
expect(200, "POST", "/v1/moves", {"moves": []})
expect(400, "POST", "/v1/moves", {"discs": []})
expect(404, "POST", "/v1/moves", {"moves": [{"name": "nobody", "lladdr": "02:00:00:00:00:09"}]})
expect(422, "POST", "/v1/moves", {"moves": [{"name": "nobody"}]})
move = {"name": "b", "lladdr": "02:00:00:00:00:09", "generation": 7}
expect(200, "POST", "/v1/moves", {"moves": [move]})
expect(409, "POST", "/v1/moves", {"moves": [move | {"lladdr": "02:00:00:00:00:08"}]})
expect(200, "POST", "/v1/reload")
right = open(config_file).read()
open(config_file, "a").write("[stall]\n")
expect(422, "POST", "/v1/reload")
open(config_file, "w").write(right)
expect(400, "POST", "/v1/upgrade", {"program": "/bin/false"})
expect(502, "POST", "/v1/upgrade", {"binary": "/bin/false"})
# After the one that failed, it lets changes have their turn for a second, and others are refused.
with concurrent.futures.ThreadPoolExecutor(1) as pool:
    upgrade = pool.submit(expect, 200, "POST", "/v1/upgrade", {})
    time.sleep(0.3)
    expect(409, "POST", "/v1/upgrade", {})
    successor = upgrade.result()["pid"]
# The one before may hear it still, and says so.
for _ in range(100):
    got = ask("DELETE", "/v1/discs/a")[0]
    if got != 503:
        break
    time.sleep(0.05)
assert got in (200, 202), got
expect(200, "DELETE", "/v1/discs/b?wait=20")
expect(404, "DELETE", "/v1/discs/none")
expect(404, "GET", "/v1/nothing", described=False)
expect(405, "DELETE", "/v1/status", described=False)
expect(400, "GET", "/v1/status?wat=1", described=False)

# What the document promises was asked for, but for a head that is full, has no room on its disk or
# is being taken over, and a disc that is just being detached.
chance = {("patch", "409"), ("delete", "202")}
promised = {(method.upper(), path, status) for path, item in spec["paths"].items()
            for method, operation in item.items() if method != "parameters"
            for status in operation["responses"]
            if status not in ("503", "507") and (method, status) not in chance}
assert promised <= asked, f"never answered: {sorted(promised - asked)}"

# The page for people has the same operations, and the same types of problems.
told = {(method, re.sub(r"NAME|ID", "*", path.split("?")[0]))
        for method, path in re.findall(r"^\| `(GET|PUT|POST|PATCH|DELETE) (/\S*?)`", page, re.M)}
there = {(method, re.sub(r"\{\w+\}", "*", path)) for method, path, _ in promised}
assert told == there, f"API.md and the document differ: {sorted(told ^ there)}"
types = set(re.findall(r"urn:headstart:[a-z-]+", page))
known = set(spec["components"]["schemas"]["Problem"]["properties"]["type"]["enum"])
assert types == known, f"API.md and the document differ: {sorted(types ^ known)}"
os.kill(successor, signal.SIGTERM)
