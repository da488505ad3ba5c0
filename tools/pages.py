#!/usr/bin/env python3
"""Writes the manual pages and the shells' completions from what the programs say of themselves:

    tools/pages.py BIN EXAMPLE VERSION OUT

Pages and completions of headctl, headd and head-bench come from their --help in the folder BIN,
head.toml(5) from head.toml.example; nothing is written down twice. OUT gets NAME.SECTION,
NAME.bash, _NAME and NAME.fish.
"""
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field

PROGRAMS = {"headctl": 8, "headd": 8, "head-bench": 1}
FILES = {
    "headctl": [("/run/head/api.sock", "The API's socket.")],
    "headd": [("/etc/head/head.toml", "The configuration, see head.toml(5)."),
              ("/run/head/api.sock", "The API's socket, for headctl(8)."),
              ("/run/head/discs/NAME/nbd.sock", "Where guests of the disc NAME connect."),
              ("/var/lib/head", "Which discs are attached.")],
    "head-bench": [],
}
SEE = {"headctl": "headd(8), head.toml(5), ip-neighbour(8)",
       "headd": "headctl(8), head.toml(5), ip-neighbour(8), tcp(7)",
       "head-bench": "headd(8), headctl(8)",
       "head.toml": "headd(8), headctl(8), tcp(7)"}


@dataclass
class Item:
    """An option, a positional or a subcommand, as a line of --help has it."""
    head: str           # "-h,--help", "--sort TEXT:{a,b}=a", "NAME TEXT REQUIRED"
    description: str

    @property
    def names(self):
        return [re.sub(r"\{.*", "", name) for name in self.head.split(" ")[0].split(",")]

    @property
    def value(self):
        return re.sub(r" ?Excludes: .*", "", " ".join(self.head.split(" ")[1:]))

    @property
    def excluded(self):
        return re.findall(r"Excludes: (.*)", self.head)

    @property
    def choices(self):
        found = re.search(r":\{([^}]*)\}", self.value)
        return found.group(1).split(",") if found else []


@dataclass
class Command:
    path: list
    description: str = ""
    usage: str = ""
    sections: dict = field(default_factory=dict)  # title: [Item], of the three below
    footers: list = field(default_factory=list)   # (title, [line])
    commands: list = field(default_factory=list)

    @property
    def options(self):
        return self.sections.get("Options", [])

    @property
    def positionals(self):
        return self.sections.get("Positionals", [])

    def everything(self):
        yield self
        for command in self.commands:
            yield from command.everything()


def items_of(lines):
    items = []
    for line in lines:
        line = re.sub(r",\s+--", ",--", line)
        begun = re.match(r"  (\S.*?)(?:\s{2,}(\S.*))?$", line)
        if begun:
            items.append(Item(begun.group(1), begun.group(2) or ""))
        elif items:
            items[-1].description = f"{items[-1].description} {line.strip()}".strip()
    return items


def read_help(folder, path):
    program = os.path.join(folder, path[0])
    text = subprocess.run([program, *path[1:], "--help"], check=True, stdout=subprocess.PIPE,
                          text=True, timeout=60).stdout
    text = text.replace(os.path.realpath(folder), "/usr/bin").replace(folder, "/usr/bin")
    # CLI11 2.3 and 2.5 differ: "Usage: " before the usage or nothing, OPTIONS in capitals.
    command = Command(path)
    usage = re.search(rf"^(?:Usage: )?({re.escape(' '.join(path))}\b.*)$", text, re.M)
    command.usage = usage.group(1)
    command.description = text[:usage.start()].strip().splitlines()[0]
    for block in re.split(r"\n\s*\n", text[usage.end():].strip("\n")):
        first, *rest = block.splitlines()
        title = first.rstrip(":").capitalize()
        if title in ("Options", "Positionals", "Subcommands"):
            command.sections[title] = items_of(rest)
        else:
            command.footers.append((first, rest))
    for item in command.sections.get("Subcommands", []):
        command.commands.append(read_help(folder, path + [item.names[0]]))
    return command


# --- roff ----------------------------------------------------------------------------------------

def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("µ", "\\(mc")
    return re.sub(r"^([.'])", r"\\&\1", text)


def heading(name, section, version, what):
    return [f'.TH {name.upper()} {section} "" "headstart {version}" "Headstart"',
            ".SH NAME", f"{roff(name)} \\- {roff(what)}"]


def roff_items(items):
    lines = []
    for item in items:
        names = ", ".join(f"\\fB{roff(name)}\\fR" for name in item.names)
        value = re.sub(r":\{[^}]*\}|=\S*| REQUIRED|:\S+ in \[[^]]*\]", "", item.value)
        lines += [".TP", f"{names} \\fI{roff(value)}\\fR" if value else names,
                  roff(item.description) + "."]
        lines += [f"Not with {roff(other)}." for other in item.excluded]
        if item.choices:
            lines.append(f"One of {roff(', '.join(item.choices))}.")
        bounds = re.search(r" in \[(\S+) - (\S+)\]", item.value)
        if bounds:
            lines.append(f"From {bounds.group(1)} to {bounds.group(2)}.")
        default = re.search(r"=(\S+)$", item.value)
        if default:
            lines.append(f"Without it: {roff(default.group(1))}.")
    return lines


def roff_footer(title, rest, statuses):
    if title.startswith("Exit status"):
        return statuses
    return [".PP", roff(title), ".PP", ".nf", *map(roff, rest), ".fi"]


def man_page(program, command, version):
    what = command.description.rstrip(".")
    lines = heading(program, PROGRAMS[program], version, what[0].lower() + what[1:])
    lines += [".SH SYNOPSIS", f"\\fB{roff(program)}\\fR{roff(command.usage[len(program):])}",
              ".SH OPTIONS", *roff_items(command.options)]
    if command.commands:
        lines += [".SH COMMANDS", f"All of them have \\fB{roff('--help')}\\fR."]
    for one in list(command.everything())[1:]:
        lines += [f".SS {roff(one.usage)}", roff(one.description) + "."]
        known = {"-h", "--help"}
        lines += roff_items(one.positionals)
        lines += roff_items([item for item in one.options if not known & set(item.names)])
        for title, rest in one.footers:
            lines += roff_footer(title, rest, [])
    for title, rest in command.footers:
        statuses = [".SH EXIT STATUS"]
        for number, text in re.findall(r"^ +(\d)  (.*)$", "\n".join(rest), re.M):
            statuses += [".TP", number, roff(text)]
        lines += roff_footer(title, rest, statuses)
    if FILES[program]:
        lines.append(".SH FILES")
        for path, what in FILES[program]:
            lines += [".TP", f"\\fI{roff(path)}\\fR", roff(what)]
    return "\n".join(lines + see_also(program)) + "\n"


def see_also(name):
    return [".SH SEE ALSO", re.sub(r"([\w.\\-]+)\((\d)\)", r"\\fB\1\\fR(\2)", roff(SEE[name]))]


def toml_page(example, version):
    lines = heading("head.toml", 5, version, "the configuration of headd")
    lines += [".SH SYNOPSIS", "\\fI/etc/head/head.toml\\fR", ".SH DESCRIPTION"]
    comment = []
    for line in example.splitlines():
        section = re.match(r"\[(\w+)\]$", line)
        key = re.match(r"#?(\w+) = (.*)$", line)
        if section:
            lines.append(f".SH [{section.group(1)}]")
        elif key:
            default = "It has no default." if line.startswith("#") else f"Default: {key.group(2)}."
            lines += [".TP", f"\\fB{key.group(1)}\\fR", roff(" ".join(comment) + "."),
                      roff(default)]
            comment = []
        elif line.startswith("#"):
            comment.append(line[1:].strip())
        elif comment:
            lines.append(roff(" ".join(comment)))
            comment = []
    return "\n".join(lines + see_also("head.toml")) + "\n"


# --- completions ---------------------------------------------------------------------------------

DISCS = "headctl discs 2>/dev/null | awk 'NR > 1 { print $1 }'"
DEVICES = "ls /sys/class/net"


def words_after(command, option):
    """What may follow an option: words, a shell command that lists them, or None for anything."""
    if option.choices:
        return option.choices, None
    return [], {"--disc": DISCS, "--dev": DEVICES}.get(option.names[-1])


def wants_disc(command):
    return command.path[1:] != ["attach"] and any(
        item.names[0] == "NAME" for item in command.positionals)


def key_of(command):
    return " ".join(command.path[1:])


def with_values(command):
    return [option for option in command.options if option.value]


def words_of(command):
    names = [name for option in command.options for name in option.names if len(name) > 2]
    return [one.path[-1] for one in command.commands] + names


def walk(command, begin, inner, end):
    """A case statement, in bash or zsh, that finds which command the words are of."""
    lines = [begin, '    case "$at $word" in']
    for one in list(command.everything())[1:]:
        before = " ".join(one.path[1:-1])
        lines.append(f'      "{before} {one.path[-1]}") at="{key_of(one)}" ;;')
    return lines + ["    esac", end] + inner


def values_case(command, say_words, say_command, files):
    lines = ['  case "$at $previous" in']
    for one in command.everything():
        for option in with_values(one):
            words, listing = words_after(one, option)
            if words:
                what = say_words(words)
            elif listing:
                what = say_command(listing)
            else:
                what = files
            for name in option.names:
                lines.append(f'    "{key_of(one)} {name}") {what}; return ;;')
    return lines + ["  esac"]


def bash(program, command):
    function = "_" + program.replace("-", "_")
    files, among = function + "_files", function + "_among"
    lines = [f"# Completions of {program} for bash.",
             files + "() { compopt -o default 2>/dev/null; COMPREPLY=(); }",
             among + '() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2"); }',
             f"{function}() {{",
             '  local at="" word current=${COMP_WORDS[COMP_CWORD]}',
             '  local previous=${COMP_WORDS[COMP_CWORD - 1]}']
    lines += walk(command, '  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do', [], "  done")
    lines += values_case(
        command, lambda words: f'{among} {shlex.quote(" ".join(words))} "$current"',
        lambda listing: f'{among} "$({listing})" "$current"', files)
    lines.append('  case "$at" in')
    for one in command.everything():
        words = " ".join(words_of(one))
        discs = f" $({DISCS})" if wants_disc(one) else ""
        lines.append(f'    "{key_of(one)}") {among} "{words}{discs}" "$current" ;;')
    lines += ["  esac", '  [[ ${#COMPREPLY[@]} != 0 || $current == -* ]] || ' + files, "}",
              f"complete -F {function} {program}"]
    return "\n".join(lines) + "\n"


def zsh(program, command):
    lines = [f"#compdef {program}", f"# Completions of {program} for zsh.",
             '  local at="" word current=${words[CURRENT]} previous=${words[CURRENT-1]}',
             "  local -a said"]
    lines += walk(command, "  for word in ${words[2,CURRENT-1]}; do", [], "  done")
    lines += values_case(command, lambda words: "compadd -- " + " ".join(map(shlex.quote, words)),
                         lambda listing: f"compadd -- $({listing})", "_files")
    lines.append('  case "$at" in')
    for one in command.everything():
        said = [(each.path[-1], each.description) for each in one.commands]
        said += [(name, option.description) for option in one.options for name in option.names]
        words = " ".join(shlex.quote(f"{name}:{what}") for name, what in said)
        discs = f"; compadd -- $({DISCS})" if wants_disc(one) else ""
        lines.append(f'    "{key_of(one)}") said=({words}){discs} ;;')
    lines += ["  esac", f"  _describe {program} said", "  [[ $current == -* ]] || _files"]
    return "\n".join(lines) + "\n"


def fish(program, command):
    at = "__" + program.replace("-", "_") + "_at"
    lines = [f"# Completions of {program} for fish.", f"function {at}",
             "  set -l at ''",
             "  for word in (commandline -opc)[2..]", '    switch "$at $word"']
    for one in list(command.everything())[1:]:
        before = " ".join(one.path[1:-1])
        lines += [f"      case '{before} {one.path[-1]}'", f"        set at '{key_of(one)}'"]
    lines += ["    end", "  end", '  test "$at" = "$argv[1]"', "end"]

    def quoted(text):
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

    for one in command.everything():
        where = f"complete -c {program} -n \"{at} '{key_of(one)}'\""
        for each in one.commands:
            lines.append(f"{where} -f -a {each.path[-1]} -d {quoted(each.description)}")
        for option in one.options:
            line = where + "".join(f" -s {name[1:]}" if len(name) == 2 else f" -l {name[2:]}"
                                   for name in option.names)
            words, listing = words_after(one, option)
            if words or listing:
                line += " -x -a " + quoted(f"({listing})" if listing else " ".join(words))
            elif option.value:
                line += " -r"
            lines.append(f"{line} -d {quoted(option.description)}")
        if wants_disc(one):
            lines.append(f"{where} -f -a {quoted(f'({DISCS})')}")
    return "\n".join(lines) + "\n"


def main(folder, example, version, out):
    os.makedirs(out, exist_ok=True)
    pages = {}
    for program, section in PROGRAMS.items():
        command = read_help(folder, [program])
        pages[f"{program}.{section}"] = man_page(program, command, version)
        pages[f"{program}.bash"] = bash(program, command)
        pages[f"_{program}"] = zsh(program, command)
        pages[f"{program}.fish"] = fish(program, command)
    with open(example, encoding="utf-8") as file:
        pages["head.toml.5"] = toml_page(file.read(), version)
    for name, text in pages.items():
        with open(os.path.join(out, name), "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
