#!/usr/bin/env python3
"""Manual pages and completions agree with --help and with the configuration's schema, and the
programs that read them find nothing wrong. HEAD_BIN is the folder of the programs."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BIN = os.environ.get("HEAD_BIN", os.path.join(ROOT, "build/release/bin"))
PAGES = {"headctl": "headctl.8", "headd": "headd.8", "head-bench": "head-bench.1"}


def run(*command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=60, **more)


def helps(*path):
    """(path, text) of every --help there is, found by asking and not by tools/pages.py."""
    done = run(os.path.join(BIN, path[0]), *path[1:], "--help")
    assert done.returncode == 0, done.stderr
    yield path, done.stdout
    listed = re.search(r"\nSubcommands:\n((?:  .*\n)+)", done.stdout)
    for name in re.findall(r"^  (\S+)", listed.group(1), re.M) if listed else ():
        yield from helps(*path, name)


def options_of(text):
    listed = re.search(r"\nOptions:\n((?:  .*\n)+)", text).group(1)
    return [name for line in re.findall(r"^  (-\S+)", listed, re.M)
            for name in re.findall(r"--[a-z][\w-]*", line)]


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.out = cls.folder.name
        done = run(sys.executable, os.path.join(ROOT, "tools/pages.py"), BIN,
                   os.path.join(ROOT, "head/control/head.toml.example"), "1.2.3", cls.out)
        assert done.returncode == 0, done.stderr

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def text(self, name):
        with open(os.path.join(self.out, name), encoding="utf-8") as file:
            return file.read()

    def section(self, page, path):
        """What a page says of one command."""
        if len(path) == 1:
            return page.split(".SH COMMANDS")[0]
        found = re.search(rf"^\.SS {re.escape(' '.join(path))} \\?\[(.*?)^\.S[SH] ", page,
                          re.M | re.S)
        self.assertTrue(found, f"the page has nothing on {' '.join(path)}")
        return found.group(1)

    def test_pages_say_what_help_says(self):
        for program, name in PAGES.items():
            page = self.text(name).replace("\\-", "-")
            for path, text in helps(program):
                with self.subTest(path=path):
                    said = self.section(page, path)
                    options = options_of(text)
                    self.assertIn("--help", options)
                    for option in options:
                        if len(path) == 1 or option != "--help":
                            self.assertIn(f"\\fB{option}\\fR", said)
                    if len(path) > 1:
                        self.assertIn(text.splitlines()[0], said)
            statuses = re.findall(r"^  (\d)  (.*)$", text, re.M)
            self.assertTrue(statuses)
            for number, meaning in statuses:
                self.assertIn(f"\n.TP\n{number}\n{meaning}\n", page)

    def test_the_configuration_has_every_key_with_its_rule(self):
        with open(os.path.join(ROOT, "head/control/config_keys.cpp"), encoding="utf-8") as file:
            source = file.read()
        rules = {name: eval_text(text) for name, text in re.findall(
            r'string_view (\w+_rule) =\s*((?:"(?:\\.|[^"\\])*"\s*)+);', source)}
        keys = re.findall(r'KeyEntry\{\s*\{"([\w.]+)",\s*(\w+_rule|"(?:\\.|[^"\\])*")\}', source)
        self.assertEqual(len(keys), source.count("KeyEntry{{\"") + source.count("KeyEntry{\n"))
        page = self.text("head.toml.5").replace("\\-", "-")
        for name, rule in keys:
            section, key = name.split(".")
            with self.subTest(key=name):
                chapter = page.split(f".SH [{section}]\n")[1].split(".SH ")[0]
                rule = rules[rule] if rule.endswith("_rule") else eval_text(rule)
                said = re.search(rf"^\\fB{key}\\fR\n(.*)$", chapter, re.M)
                self.assertTrue(said, f"{name} is not in head.toml(5)")
                self.assertIn(f"Must be: {rule}.", said.group(1))

    def test_no_page_names_a_path_of_this_machine(self):
        names = [name for name in os.listdir(self.out) if name != "home"]
        self.assertGreater(len(names), 10)
        for name in names:
            self.assertNotIn(os.path.realpath(BIN), self.text(name))
            self.assertNotIn(ROOT, self.text(name))

    def test_pages_have_no_warnings(self):
        if not shutil.which("groff"):
            self.skipTest("groff is not installed")
        for name in list(PAGES.values()) + ["head.toml.5"]:
            done = run("groff", "-man", "-Tutf8", "-ww", os.path.join(self.out, name))
            self.assertEqual((done.returncode, done.stderr), (0, ""), name)
            if shutil.which("man"):
                done = run("man", "--warnings", "-l", os.path.join(self.out, name),
                           env={**os.environ, "MANPAGER": "cat", "LC_ALL": "C.UTF-8"})
                self.assertEqual((done.returncode, done.stderr), (0, ""), name)
                self.assertIn("SEE ALSO", re.sub(r".\x08|\x1b\[[0-9;]*m", "", done.stdout))

    def test_shells_can_read_their_completions(self):
        for shell, pattern in (("bash", "{}.bash"), ("zsh", "_{}"), ("fish", "{}.fish")):
            for program in PAGES:
                with self.subTest(shell=shell, program=program):
                    if not shutil.which(shell):
                        self.skipTest(f"{shell} is not installed")
                    done = run(shell, "-n", os.path.join(self.out, pattern.format(program)))
                    self.assertEqual((done.returncode, done.stderr), (0, ""))

    def bash_completes(self, program, *words):
        script = (f"source {self.out}/{program}.bash; COMP_WORDS=(\"$@\"); "
                  f"COMP_CWORD=$(($# - 1)); _{program.replace('-', '_')}; "
                  "printf '%s\\n' \"${COMPREPLY[@]}\"")
        done = run("bash", "-c", script, "bash", program, *words)
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_bash_completes_every_command_and_option(self):
        for program in PAGES:
            for path, text in helps(program):
                with self.subTest(path=path):
                    self.assertEqual(sorted(self.bash_completes(*path, "--")),
                                     sorted(options_of(text)))
        self.assertEqual(self.bash_completes("headctl", "att"), ["attach"])
        self.assertEqual(self.bash_completes("headctl", "--json", "neigh", "w"), ["watch"])
        self.assertEqual(self.bash_completes("headctl", "neigh", "--sort", "us"), ["used"])

    def test_fish_completes_commands_and_choices(self):
        if not shutil.which("fish"):
            self.skipTest("fish is not installed")

        def completes(line):
            done = run("fish", "--no-config", "-c",
                       f"source {self.out}/headctl.fish; complete -C '{line}'",
                       env={**os.environ, "HOME": os.path.join(self.out, "home")})
            self.assertEqual(done.returncode, 0, done.stderr)
            return [line.split("\t")[0] for line in done.stdout.splitlines()]
        self.assertEqual(completes("headctl att"), ["attach"])
        self.assertIn("watch", completes("headctl neigh w"))
        self.assertIn("--heatmap", completes("headctl latency --h"))
        self.assertEqual(completes("headctl neigh --sort us"), ["used"])

    def test_zsh_completes_commands_and_choices(self):
        if not shutil.which("zsh"):
            self.skipTest("zsh is not installed")

        def completes(*words):
            script = ("_describe() { print -l -- ${(P)2} }; compadd() { print -l -- $@ }; "
                      "_files() { print files }; words=($@); CURRENT=$#; "
                      f"complete_it() {{ source {self.out}/_headctl }}; complete_it")
            done = run("zsh", "-f", "-c", script, "zsh", "headctl", *words)
            self.assertEqual(done.stderr, "")
            return done.stdout.splitlines()
        self.assertIn("attach:Attaches a disc", completes("a"))
        self.assertTrue(any(one.startswith("watch:") for one in completes("neigh", "w")))
        self.assertIn("used", completes("neigh", "--sort", "u"))
        self.assertEqual(completes("latency", "--svg", ""), ["files"])


def eval_text(literals):
    return "".join(re.sub(r"\\(.)", r"\1", text[1:-1])
                   for text in re.findall(r'"(?:\\.|[^"\\])*"', literals))


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=1))
