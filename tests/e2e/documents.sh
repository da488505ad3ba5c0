#!/usr/bin/env bash
# The commands in the documents work as they stand there: the session by hand of README, and what
# else README.md and API.md tell to type while headd runs. In namespaces of their own, where /run,
# /var/lib and all ports are free.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "$0")/lib.sh"
need nbdkit nbdinfo curl unshare python3
need_root

root=$(cd "$here/../.." && pwd)
python3 - "$root" "$HEAD_BIN" "$work" <<'EOF'
import re, sys
root, bin, work = sys.argv[1:]
commands = []  # Those that want a headd, as README's session begins one.
for document in ("README.md", "head/control/API.md"):
    text = re.sub(r"^```.*?^```$", "", open(f"{root}/{document}").read(), flags=re.M | re.S)
    for block in re.findall(r"(?:^    .+\n)+", text, re.M):
        lines = [line.strip() for line in block.splitlines()]
        if lines[0].startswith("{") or lines[0].startswith("tools/"):
            continue  # An example of JSON; the two commands, which run this very test.
        if lines[0].startswith("cmake "):
            assert lines[1] == "cd build/release/bin", f"{document} builds, and then: {lines[1]}"
            *session, end = lines[2:]
            assert end.startswith("./headctl detach"), f"{document}'s session ends with {end}"
        else:
            commands += lines
assert len(session) >= 5 and len(commands) >= 3, (session, commands)
with open(f"{work}/session.sh", "w") as script:
    # What begins in the background is given a moment, as somebody who types gives it.
    typed = [f"{line}\nsleep 0.5" if line.endswith("&") else line for line in session]
    script.write("\n".join(["set -exm", f"cd {bin}", f"export PATH={bin}:$PATH", *typed]))
    script.write("\n" + "\n".join(commands) + f"\n{end}\nwait\n")
print(*session, *commands, end, sep="\n")
EOF
unshare --mount --net --pid --fork --mount-proc bash -c '
  set -e
  mount -t tmpfs none /run
  mount -t tmpfs none /var/lib
  ip link set lo up
  exec timeout 60 bash "$1"' - "$work/session.sh" >"$work/session.log" 2>&1 ||
  fail "a command that the documents tell to type ended with status $?"
grep -q 'head_build_info' "$work/session.log" || fail "the metrics were not there"
