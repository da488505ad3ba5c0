"""Mutants as files: what a planted bug breaks, and which lines it replaces; see tools/mutants."""
import re
from collections import namedtuple

SENTENCE = re.compile(r"[A-Z].*[^.]\.")

WORLD = re.compile(r"world: (\S+)\n")

Mutant = namedtuple("Mutant", "name breaks world changes")
Change = namedtuple("Change", "path old new")


class Problem(Exception):
    """What is wrong, in a sentence for a person."""


def parse(name, text):
    """The mutant that a file's text says; Problem where it says none."""
    first, _, rest = text.partition("\n")
    if not first.startswith("breaks: ") or not SENTENCE.fullmatch(first[len("breaks: "):]):
        raise Problem(f'{name}: the first line must be "breaks: " and a sentence')
    world = WORLD.match(rest)
    blocks = re.split(r"^file: ", rest[world.end() if world else 0:], flags=re.M)
    if blocks[0] or len(blocks) == 1:
        raise Problem(f'{name}: "file: " and a path must follow, behind "world: " and a kind of '
                      "world if there is one")
    changes = [parse_change(name, block) for block in blocks[1:]]
    return Mutant(name, first[len("breaks: "):], world[1] if world else "any", changes)


def parse_change(name, block):
    found = re.fullmatch(r"(\S+)\n---\n(.+?\n)\+\+\+\n(.*)", block, re.S)
    if not found:
        raise Problem(f"{name}: a file's path must be followed by ---, its lines, +++, new lines")
    path, old, new = found.groups()
    if new and not new.endswith("\n"):
        new += "\n"
    if old == new:
        raise Problem(f"{name}: it replaces lines of {path} by themselves")
    return Change(path, old, new)


def mutated(mutant, read):
    """The new texts by path. `read` gives the text of a path, None where there is no such file."""
    texts = {}
    for path, old, new in mutant.changes:
        text = texts.get(path, read(path))
        if text is None:
            raise Problem(f"{mutant.name}: there is no {path}")
        lines = re.compile("^" + re.escape(old), re.M)
        times = len(lines.findall(text))
        if times != 1:
            raise Problem(f"{mutant.name}: the lines to replace occur {times} times in {path}")
        at = lines.search(text)
        texts[path] = text[:at.start()] + new + text[at.end():]
    return texts
