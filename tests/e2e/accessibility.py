#!/usr/bin/env python3
"""What a screen reader is told of a page: chromium's accessibility tree, asked for over the
DevTools protocol (Accessibility.getFullAXTree), held to a few rules.
Usage: accessibility.py PAGE FOLDER READY, READY being an expression of JavaScript that is
true once the page has its data."""
import json
import os
import subprocess
import sys
import time

CONTROLS = {"button", "combobox", "searchbox", "textbox", "link", "checkbox", "DisclosureTriangle",
            "listbox", "slider", "radio", "switch", "tab", "menuitem"}
NAMED = CONTROLS | {"table", "image", "img", "meter", "region", "columnheader", "RootWebArea"}
SECONDS = 30
# And that stays so, whatever the page hides again when it asks the head the next time.
SHOW_ALL = """(() => {
  const show = () => {
    document.querySelectorAll("details:not([open])").forEach((one) => { one.open = true; });
    document.querySelectorAll("[hidden]").forEach((one) => { one.hidden = false; });
  };
  new MutationObserver(show).observe(
    document.body, {subtree: true, childList: true, attributeFilter: ["hidden", "open"]});
  show();
})()"""


class Browser:
    """Chromium, spoken to through two pipes: it reads from 3 and writes to 4, NUL between."""

    def __init__(self, folder):
        from_us, self.to_browser = os.pipe()
        self.from_browser, to_us = os.pipe()
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu",
                   "--disable-dev-shm-usage", f"--user-data-dir={folder}/accessibility",
                   "--force-renderer-accessibility", "--remote-debugging-pipe", "about:blank"]

        def place_pipes():
            read, write = os.dup(from_us), os.dup(to_us)
            os.dup2(read, 3)
            os.dup2(write, 4)

        with open(f"{folder}/accessibility.out", "wb") as log:
            self.process = subprocess.Popen(  # pylint: disable=consider-using-with
                command, preexec_fn=place_pipes, pass_fds=(3, 4), stdout=log, stderr=log,
                env={**os.environ, "HOME": folder})
        os.close(from_us)
        os.close(to_us)
        self.number, self.heard, self.session = 0, b"", None

    def ask(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.next_message()
            if answer.get("id") == self.number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def next_message(self):
        while b"\0" not in self.heard:
            piece = os.read(self.from_browser, 1 << 20)
            assert piece, "chromium has gone"
            self.heard += piece
        message, self.heard = self.heard.split(b"\0", 1)
        return json.loads(message)

    def evaluate(self, expression):
        return self.ask("Runtime.evaluate", expression=expression,
                        returnByValue=True)["result"].get("value")


def tree_of(browser, page, ready):
    target = browser.ask("Target.createTarget", url=page)["targetId"]
    browser.session = browser.ask("Target.attachToTarget", targetId=target,
                                  flatten=True)["sessionId"]
    browser.ask("Accessibility.enable")
    end = time.monotonic() + SECONDS
    while not browser.evaluate(ready):
        assert time.monotonic() < end, f"the page is not ready after {SECONDS} s: {ready}"
        time.sleep(0.1)
    browser.evaluate(SHOW_ALL)
    nodes = browser.ask("Accessibility.getFullAXTree")["nodes"]
    return [node for node in nodes if not node["ignored"]]


def value(node, key):
    return node.get(key, {}).get("value")


def properties(node):
    return {one["name"]: one["value"].get("value") for one in node.get("properties", [])}


def inside(node, nodes):
    """What it begins with, to know it by."""
    by_id = {one["nodeId"]: one for one in nodes}
    names, left = [], [node]
    while left and len(names) < 5:
        one = left.pop(0)
        names += [value(one, "name")] if value(one, "name") else []
        left = [by_id[child] for child in one.get("childIds", []) if child in by_id] + left
    return names


def offences(nodes):
    """What is wrong, a sentence each."""
    level = 0
    for node in nodes:
        role, name = value(node, "role"), (value(node, "name") or "").strip()
        is_property = properties(node)
        if role in NAMED and not name:
            yield f"a {role} has no name: {properties(node)}, with {inside(node, nodes)}"
        if is_property.get("focusable") and role in (None, "generic", "none"):
            yield f"what can have the focus has no role: {inside(node, nodes)}"
        if role == "heading":
            if is_property["level"] > level + 1:
                yield f"the heading \"{name}\" is of level {is_property['level']} after {level}"
            level = is_property["level"]
        if role == "meter" and value(node, "value") is None:
            yield f"the meter \"{name}\" has no value"


def main():
    page, folder, ready = sys.argv[1:]
    browser = Browser(folder)
    try:
        nodes = tree_of(browser, page, ready)
    finally:
        browser.process.terminate()
        browser.process.wait(SECONDS)
    found = list(offences(nodes))
    count = {}
    for node in nodes:
        count[value(node, "role")] = count.get(value(node, "role"), 0) + 1
    live = [node for node in nodes if properties(node).get("live") == "polite"]
    if not live:
        found.append("there is no live region: nobody is told that the head cannot be reached")
    for role, least in (("table", 5), ("main", 1), ("heading", 6), ("combobox", 2),
                        ("searchbox", 1), ("button", 11), ("meter", 1), ("status", 1)):
        if count.get(role, 0) < least:
            found.append(f"{count.get(role, 0)} of {role}, and {least} or more should be seen")
    if found:
        sys.exit("\n".join(found) + f"\nThe roles are {count}")


main()
