#!/usr/bin/env python3
"""The house rules that a compiler does not check: who may include whom, sizes, leftovers.

A rule is a function of the tree (path -> text) that yields one sentence per offence, saying what
to do instead. Every rule is shown by LintRules below to be able to fail.
"""
import ast
import os
import re
import shutil
import subprocess
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tools"))
from mutant_files import Problem, mutated, parse  # noqa: E402 (it is found by the line above)

SEAMS = ("iouring/io.hpp", "iouring/completion.hpp", "iouring/timer.hpp", "iouring/unique_fd.hpp")
DATA = ("head/nbd/", "head/limit/", "head/stats/", "head/base/") + SEAMS
# A room, and what it may include besides itself. The longest matching name decides.
ARROWS = {
    "iouring/": (),
    "netlink/": (),
    "head/base/": ("iouring/unique_fd.hpp",),
    "head/nbd/": ("head/base/",) + SEAMS,
    "head/limit/": ("head/base/", "iouring/timer.hpp"),
    "head/stats/": ("head/base/", "iouring/timer.hpp"),
    "head/disc/": DATA,
    "head/export/": DATA + ("iouring/socket.hpp",),
    "head/vhost/": DATA,
    "head/neigh/": ("netlink/", "head/stats/", "head/base/", "iouring/unique_fd.hpp"),
    "head/catalogue/": ("head/nbd/durability.hpp", "head/nbd/export_info.hpp",
                        "head/nbd/uri.hpp", "head/disc/identity.hpp",
                        "head/disc/standing.hpp",
                        "netlink/neighbour.hpp", "netlink/format.hpp", "head/base/",
                        "iouring/unique_fd.hpp"),
    "head/control/": ("head/", "netlink/", "iouring/socket.hpp") + SEAMS,
    "head/main.cpp": ("head/", "netlink/", "iouring/"),
    "tools/headctl/": ("netlink/", "head/neigh/sizing.hpp", "head/neigh/examine.hpp",
                       "tools/command_line.hpp"),
    "tools/": ("head/", "netlink/", "iouring/", "tests/check/"),
    "tests/check/": ("tests/seeds.hpp",),  # Only for how many.
    "tests/": ("head/", "netlink/", "iouring/", "tools/"),
}
NO_STD_FUNCTION = ("iouring/", "head/nbd/", "head/disc/", "head/export/")
HEAVY = re.compile(r"<(nlohmann/json\.hpp|httplib\.h|toml\+\+/|spdlog/)")
COMMAND_LINES = "tools/command_line.hpp"
LEFTOVER = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
SOMEONES_PATH = re.compile(r"(?<![\w.])/(wo" r"rk|ho" r"me|Us" r"ers)/\w")
SOURCE_BYTES, TEST_BYTES, COLUMNS, FUNCTION_LINES = 15 * 1024, 25 * 1024, 100, 70


def is_cpp(path):
    return path.endswith((".cpp", ".hpp"))


def is_script(path, text):
    return path.endswith((".py", ".sh")) or text.startswith("#!")


def is_source(path, text):
    return is_cpp(path) or is_script(path, text)


def includes(text):
    for number, line in enumerate(text.splitlines(), 1):
        found = re.match(r'\s*#\s*include\s*(["<][^">]+[">])', line)
        if found:
            yield number, found.group(1)


def room_of(path):
    return max((room for room in ARROWS if path.startswith(room)), key=len, default=None)


def arrows(tree):
    for path, text in tree.items():
        room = room_of(path) if is_cpp(path) else None
        if room is None:
            continue
        for number, name in includes(text):
            target = name[1:-1]
            ours = name[0] == '"' and room_of(target)
            if ours and not target.startswith((room,) + ARROWS[room]):
                yield (f"{path}:{number} includes {target}: {room} may include only itself and "
                       f"{', '.join(ARROWS[room]) or 'nothing of ours'}; pass a value or move it.")


def kernel_libraries(tree):
    homes = {"<liburing": "iouring/", "<netlink/": "netlink/"}
    for path, text in tree.items():
        for number, name in includes(text) if is_cpp(path) else ():
            for prefix, home in homes.items():
                if name.startswith(prefix) and not path.startswith((home, "tests/")):
                    yield f"{path}:{number} includes {name}: only {home} may; use what it offers."


def heavy_headers(tree):
    for path, text in tree.items():
        for number, name in includes(text) if path.endswith(".hpp") else ():
            if HEAVY.match(name):
                yield f"{path}:{number} includes {name} in a header: include it in few .cpp files."


def command_lines(tree):
    for path, text in tree.items():
        for number, name in includes(text) if is_cpp(path) else ():
            costs = name == f'"{COMMAND_LINES}"' or name.startswith("<CLI/")
            if costs and path != COMMAND_LINES and os.path.basename(path) != "command_line.cpp":
                yield (f"{path}:{number} includes {name}, 20 s of compiling: only files named "
                       f"command_line.cpp do; take plain options from it.")


def header_names(tree):
    for path in tree:
        if path.endswith((".h", ".hh", ".hxx")):
            yield f"{path}: our headers end in .hpp (netlink/ and libnl's folder share a name)."


def headers(tree):
    for path, text in tree.items():
        if not path.endswith(".hpp"):
            continue
        if "#pragma once" not in text:
            yield f"{path}: add #pragma once."
        if not text.startswith("//"):
            yield f"{path}: begin with a comment that says what this is and what it guarantees."


def sizes(tree):
    for path, text in tree.items():
        limit = TEST_BYTES if path.startswith("tests/") else SOURCE_BYTES
        size = len(text.encode())
        if is_source(path, text) and size > limit:
            yield f"{path} has {size} bytes, {limit} are the limit: divide it by what it is about."


def columns(tree):
    for path, text in tree.items():
        if not (is_source(path, text) or path.endswith("CMakeLists.txt")):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if len(line) > COLUMNS:
                yield f"{path}:{number} has {len(line)} columns: break the line at {COLUMNS}."


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def without_text(text):
    """C++ with comments, literals and preprocessor lines blanked out, line numbers kept."""
    text = re.sub(r'R"(\w*)\((?:.|\n)*?\)\1"', blank, text)
    text = re.sub(r'//[^\n]*|/\*(?:.|\n)*?\*/|"(?:\\.|[^"\\\n])*"'
                  r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'", blank, text)
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", blank, text, flags=re.M)


def opens_function(head):
    if "(" not in head or re.match(r"\s*(namespace|class|struct|enum|union|extern)\b", head):
        return False
    return not re.search(r"=\s*$", head) and not head.lstrip().startswith("TEST_CASE")


def cpp_functions(text):
    """(first line, lines) of each function that is not inside another; relies on clang-format."""
    text = without_text(text)
    head, stack, begun = "", [], None
    line = head_line = 1
    for at, char in enumerate(text):
        if char == "\n":
            line += 1
        if char == "{":
            if begun is None and re.match(r"[\w>]", text[at - 1] if at else " "):
                stack.append("initializer")
            elif begun is None and "initializer" not in stack and opens_function(head):
                begun = (head_line, len(stack))
                stack.append("function")
            else:
                stack.append("scope")
        elif char == "}":
            kind = stack.pop() if stack else "scope"
            if begun and kind == "function" and len(stack) == begun[1]:
                yield begun[0], line - begun[0] + 1
                begun = None
            if kind == "initializer":
                continue
        if "initializer" in stack:
            continue
        if char in "{};":
            head = ""
        else:
            if not head.strip():
                head_line = line
            head += char


def script_functions(path, text):
    if path.endswith(".py") or text.startswith("#!/usr/bin/env python3"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                yield node.lineno, node.end_lineno - node.lineno + 1
        return
    begun = None
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r"[\w.:-]+\(\) \{$", line):
            begun = number
        elif line == "}" and begun:
            yield begun, number - begun + 1
            begun = None


def function_lengths(tree):
    for path, text in tree.items():
        found = ()
        if is_cpp(path):
            found = cpp_functions(text)
        elif is_script(path, text):
            found = script_functions(path, text)
        for first, lines in found:
            if lines > FUNCTION_LINES:
                yield (f"{path}:{first} begins a function of {lines} lines, {FUNCTION_LINES} are "
                       f"the limit: give its parts names.")


def std_function(tree):
    for path, text in tree.items():
        if path.startswith(NO_STD_FUNCTION) and is_cpp(path):
            for number, line in enumerate(without_text(text).splitlines(), 1):
                if "std::function" in line:
                    yield f"{path}:{number} has a std::function on the data path: embed an Op<>."


def leftovers(tree):
    for path, text in tree.items():
        for number, line in enumerate(text.splitlines(), 1):
            if LEFTOVER.search(line):
                yield f"{path}:{number} has a leftover: do it, or say in prose why not."
            if SOMEONES_PATH.search(line):
                yield f"{path}:{number} names a path of somebody's machine: make it relative."


def unnamed_sources(tree):
    lists = {os.path.dirname(path): text for path, text in tree.items()
             if path.endswith("CMakeLists.txt")}
    for path in tree:
        folder, name = os.path.split(path)
        wanted = name
        if folder == "tests/e2e" and name.endswith(".sh") and name != "lib.sh":
            wanted = name[:-3]
        elif folder == "tests/fuzz" and name.endswith("_fuzz.cpp"):
            wanted = name[:-len("_fuzz.cpp")]
        elif not name.endswith(".cpp"):
            continue
        while True:
            if re.search(rf"(?<![\w-]){re.escape(wanted)}(?![\w-])", lists.get(folder, "")):
                break
            if not folder:
                yield f"{path}: no CMakeLists.txt names it, so nobody builds or runs it; add it."
                break
            folder, last = os.path.split(folder)
            wanted = f"{last}/{wanted}"


def hazards(tree):
    """The table of hazards and the tests that bear their numbers name each other."""
    table = tree.get("tests/HAZARDS.md", "")
    named = {(number, "tests/" + file) for number, files in
             re.findall(r"^\| ([HT]\d+) \|.*\|([^|\n]*)\|$", table, re.M)
             for file in re.findall(r"`([^`]+)`", files)}
    bear = set()
    for path, text in tree.items():
        if not path.startswith("tests/"):
            continue
        begins = r'"' if path.endswith("_test.cpp") else r"\A#!.*\n# "
        if path.endswith(("_test.cpp", ".sh")):
            for numbers in re.findall(begins + r"((?:[HT]\d+[: ]+)+)", text):
                bear |= {(number, path) for number in re.findall(r"[HT]\d+", numbers)}
    for letter, last in (("H", 13), ("T", 17)):
        for number in range(1, last + 1):
            if not any(one == f"{letter}{number}" for one, _ in named):
                yield f"tests/HAZARDS.md has no test for {letter}{number}: write one."
    for number, path in sorted(named - bear):
        yield f"tests/HAZARDS.md says that {path} tests {number}: begin that test's name with it."
    for number, path in sorted(bear - named):
        yield f"{path} has a test of {number}: name it in tests/HAZARDS.md."


def mutants(tree):
    """Planted bugs apply to the tree as it is, each to the room that its name begins with."""
    kinds = re.findall(r'\{"([a-z-]+)",', tree.get("tests/sim/world/profiles.cpp", ""))
    for path, text in tree.items():
        name = os.path.basename(path)
        if not path.startswith("tests/mutants/") or not name.endswith(".mutant"):
            continue
        try:
            mutant = parse(name, text)
            changed = mutated(mutant, tree.get)
        except Problem as problem:
            yield f"{problem}: adapt the mutant, see tools/mutants --help."
            continue
        if mutant.world != "any" and mutant.world not in kinds:
            yield f"{path} is of no kind of world; see head-world profiles."
        room = name.partition("-")[0]
        for other in changed:
            if not other.startswith(f"head/{room}/"):
                yield f"{path} changes {other}: begin the mutant's name with the room of that file."


RULES = (arrows, kernel_libraries, heavy_headers, command_lines, header_names, headers, sizes,
         columns, function_lengths, std_function, leftovers, unnamed_sources, hazards,
         mutants)


def read_tree():
    command = ["git", "-C", ROOT, "-c", "safe.directory=*", "ls-files", "-co",
               "--exclude-standard", "-z"]
    paths = [os.fsdecode(path) for path in subprocess.check_output(command).split(b"\0") if path]
    tree = {}
    for path in paths:
        full = os.path.join(ROOT, path)
        if "/corpus/" in path or not os.path.isfile(full):
            continue
        with open(full, encoding="utf-8") as file:
            tree[path] = file.read()
    return tree


class TheTree(unittest.TestCase):
    maxDiff = None

    def test_obeys_the_rules(self):
        tree = read_tree()
        self.assertIn("CMakeLists.txt", tree, "no tree was read, so nothing was checked")
        for rule in RULES:
            with self.subTest(rule=rule.__name__):
                offences = list(rule(tree))
                self.assertFalse(offences, "\n" + "\n".join(offences))

    def test_is_formatted(self):
        tool = shutil.which("clang-format-14") or shutil.which("clang-format")
        version = tool and subprocess.check_output([tool, "--version"], text=True)
        if not version or "version 14." not in version:
            self.skipTest("clang-format 14, whose judgement counts, is not installed")
        files = [os.path.join(ROOT, path) for path in read_tree() if is_cpp(path)]
        done = subprocess.run([tool, "--dry-run", "-Werror"] + files, stderr=subprocess.PIPE,
                              text=True, cwd=ROOT)
        bad = sorted(set(re.findall(r"^(\S+?):\d+:\d+: error", done.stderr, re.M)))
        self.assertFalse(bad, f"run: {os.path.basename(tool)} -i " + " ".join(
            os.path.relpath(path, ROOT) for path in bad))
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_scripts_are_sound(self):
        tool = shutil.which("shellcheck")
        if not tool:
            self.skipTest("shellcheck is not installed")
        files = [os.path.join(ROOT, path) for path, text in read_tree().items()
                 if re.match(r"#!.*\b(ba)?sh\b|# shellcheck shell=", text)]
        done = subprocess.run([tool, "-x", "-S", "warning"] + files, stdout=subprocess.PIPE,
                              text=True, cwd=ROOT)
        self.assertEqual(done.returncode, 0, "\n" + done.stdout)


def function_of(lines):
    return "namespace n {\nint f(int a) {\n" + "  ++a;\n" * (lines - 2) + "}\n}\n"


class LintRules(unittest.TestCase):
    """Each rule fails on what it forbids, and is silent on the closest thing that is allowed."""

    def check(self, rule, bad, good):
        self.assertTrue(list(rule(bad)), f"{rule.__name__} let it pass")
        self.assertEqual(list(rule(good)), [])

    def test_arrows(self):
        ring = '#include "iouring/ring.hpp"\n'
        self.check(arrows, {"head/disc/a.cpp": ring}, {"head/main.cpp": ring})
        export = '#include "head/export/server.hpp"\n'
        self.check(arrows, {"head/disc/a.cpp": export}, {"head/control/a.cpp": export})
        base = '#include "head/base/result.hpp"\n'
        self.check(arrows, {"iouring/a.cpp": base}, {"head/nbd/a.cpp": base})
        self.check(arrows, {"netlink/a.hpp": base}, {"head/neigh/a.hpp": base})
        self.check(arrows, {"tools/headctl/a.cpp": base}, {"tools/bench/a.cpp": base})

    def test_kernel_libraries(self):
        self.check(kernel_libraries, {"head/disc/a.cpp": "#include <liburing.h>\n"},
                   {"iouring/ring.cpp": "#include <liburing.h>\n"})
        self.check(kernel_libraries, {"iouring/a.cpp": "#include <netlink/netlink.h>\n"},
                   {"netlink/a.cpp": "#include <netlink/netlink.h>\n"})

    def test_heavy_headers(self):
        json = "#include <nlohmann/json.hpp>\n"
        self.check(heavy_headers, {"head/control/a.hpp": json}, {"head/control/a.cpp": json})

    def test_command_lines(self):
        cli = "#include <CLI/CLI.hpp>\n"
        self.check(command_lines, {"tools/headctl/discs.cpp": cli},
                   {"tools/headctl/command_line.cpp": cli, COMMAND_LINES: cli})
        ours = f'#include "{COMMAND_LINES}"\n'
        self.check(command_lines, {"tools/bench/command_line.hpp": ours},
                   {"tools/bench/command_line.cpp": ours})

    def test_headers(self):
        self.check(header_names, {"netlink/a.h": ""}, {"netlink/a.hpp": ""})
        self.check(headers, {"a.hpp": "// What it is.\n"}, {"a.hpp": "// It.\n#pragma once\n"})
        self.check(headers, {"a.hpp": "#pragma once\n"}, {"a.cpp": "int a;\n"})

    def test_sizes(self):
        text = "int a;\n" * 2500
        self.check(sizes, {"head/disc/a.cpp": text}, {"tests/a_test.cpp": text})
        self.check(columns, {"a.sh": "x" * 101}, {"a.sh": "x" * 100, "README.md": "x" * 200})

    def test_function_lengths(self):
        for wrap in ("{}", "class A {{\n  A() : a_{{1}}, b_{{2}} {{}}\n}};\n{}",
                     "const char* brace = \"{{\";  // {{\n{}", "int t[] = {{1, 2}};\n{}"):
            self.check(function_lengths, {"a.cpp": wrap.format(function_of(71))},
                       {"a.cpp": wrap.format(function_of(70))})
        long_constructor = "A::A(int b)\n    : b_{b}, c_{2} {\n" + "  ++b_;\n" * 70 + "}\n"
        self.check(function_lengths, {"a.cpp": long_constructor}, {"a.cpp": "A::A() {}\n"})
        self.check(function_lengths, {"a.py": "def f():\n" + "    x = 1\n" * 70},
                   {"a.py": "def f():\n" + "    x = 1\n" * 69})
        self.check(function_lengths, {"a.sh": "f() {\n" + "  :\n" * 69 + "}\n"},
                   {"a.sh": "f() {\n" + "  :\n" * 68 + "}\n"})

    def test_std_function(self):
        use = "std::function<void()> f;\n"
        self.check(std_function, {"head/nbd/a.hpp": use},
                   {"head/control/a.hpp": use, "head/nbd/a.hpp": "// no std::function\n"})

    def test_leftovers(self):
        self.check(leftovers, {"a.cpp": "// TO" "DO: later\n"}, {"a.cpp": "// To do it later\n"})
        self.check(leftovers, {"a.md": "see /wo" "rk/x"}, {"a.md": "see net/wo" "rk/x"})

    def test_unnamed_sources(self):
        for path, name in (("head/disc/a.cpp", "a.cpp"), ("tests/fuzz/uri_fuzz.cpp", "uri"),
                           ("tests/e2e/cut.sh", "cut")):
            lists = os.path.dirname(path) + "/CMakeLists.txt"
            self.check(unnamed_sources, {path: "", lists: "add(b)"},
                       {path: "", lists: f"add(\n  {name}\n)"})

    def test_hazards(self):
        numbers = [f"H{n}" for n in range(1, 14)] + [f"T{n}" for n in range(1, 18)]
        table = "".join(f"| {n} | lies | `a_test.cpp` |\n" for n in numbers)
        test = "".join(f'TEST_CASE("{n}: it lies") {{}}\n' for n in numbers)
        good = {"tests/HAZARDS.md": table, "tests/a_test.cpp": test}
        self.check(hazards, {**good, "tests/a_test.cpp": test.replace("T9:", "")}, good)
        self.check(hazards, {**good, "tests/HAZARDS.md": table.replace("| T9 |", "| - |")}, good)
        self.check(hazards, {**good, "tests/e2e/b.sh": "#!/bin/sh\n# T9: it lies.\n"},
                   {**good, "tests/e2e/b.sh": "#!/bin/sh\n# It lies, as T9 does.\n"})

    def test_mutants(self):
        path, source = "tests/mutants/disc-lost.mutant", "head/disc/a.cpp"
        text = f"breaks: A guest waits for ever.\nfile: {source}\n---\n  answer();\n+++\n"
        good = {path: text, source: "void f() {\n  answer();\n}\n"}
        self.check(mutants, {**good, source: "void f() {\n  answer(0);\n}\n"}, good)
        self.check(mutants, {**good, source: "  answer();\n  answer();\n"}, good)
        self.check(mutants, {**good, path: text.replace("breaks: A", "breaks: a")}, good)
        kinds = {**good, "tests/sim/world/profiles.cpp": '    {"silent", "it waits", &silent},\n'}
        self.check(mutants, {**kinds, path: text.replace("file:", "world: loud\nfile:")},
                   {**kinds, path: text.replace("file:", "world: silent\nfile:")})
        self.check(mutants, {**good, path: text.replace("+++", "++")}, good)
        self.check(mutants, {path: text}, good)
        self.check(mutants, {"tests/mutants/nbd-lost.mutant": text, source: good[source]}, good)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=1))
