#!/usr/bin/env python3
"""Random selection rules and what duplicity makes of them, for src/engine/tree/selection_cases.rs.

Run with the Python of an installed duplicity (3.2.1 made the file that is checked in):

    python generate.py COUNT SEED > cases.txt

First line: the paths of the tree. Then a case to a line: root, options, and either the exit code or a
digit for each path, 1 if it is selected. Texts are percent-encoded, fields separated by tabs.
"""

import io
import os
import random
import shutil
import socket
import sys
import tempfile
from urllib.parse import quote_from_bytes

from duplicity import cli_util, config, errors, log, selection
from duplicity.path import Path

log.setup()
log.setverbosity(log.ERROR)

FILES = [b"a", b"A.txt", b"ab/a", b"ab/b.py", b"ab/ab/a", b"ab/ab/.mark", b"ab/ab/c/d.py", b"ab.d/x",
         b"B/ab", b"B/[a]", b"B/a b", b"c/c/c/c", b"c/c.py/d", b"c/\xc3\xa9", b"c/\xff", b"c/\xff\xfe/a", b"c/a\nb",
         b"c/a\n", b"d/.mark", b"d/d/d", b"\xc3\x84/\xc3\xa4", b"x-y/z", b"x]y", b"x\\y", b"x#y"]
DIRS = [b"empty", b"ab/empty"]


def make(root):
    os.makedirs(root)
    for name in DIRS:
        os.makedirs(os.path.join(root, name))
    for name in FILES:
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(b"x")
        os.utime(path, (0, 1000 * (len(name) % 3)))
    os.symlink(b"ab", os.path.join(root, b"link"))
    os.mkfifo(os.path.join(root, b"fifo"))


def walk(root, rel=b""):
    yield rel
    path = os.path.join(root, rel) if rel else root
    if os.path.isdir(path) and not os.path.islink(path):
        for name in sorted(os.listdir(path)):
            yield from walk(root, os.path.join(rel, name) if rel else name)


def component(r):
    pieces = ["a", "b", "c", "ab", ".py", ".", "*", "*", "?", "**", "[ab]", "[!a]", "[^c]", "[a-c]", "[]x]", "[[]",
              "[", "]", "é", "Ä", "ä", "\udcff", "[é-ü]", "x", "d", "A", "B", "[A-Z]", "empty", "link", "\\", "[\\]", "-",
              "#", " ", "\n", "[-y]", "[b-a]", "{a,b}", "$", "^", "(", "+", ".mark", "&&", "[a&&b]", "fifo", "txt"]
    return "".join(r.choice(pieces) for _ in range(r.choice([1, 1, 1, 2, 2, 3])))


def pattern(r, root, paths):
    kind = r.random()
    if kind < 0.35:
        path = os.fsdecode(r.choice(paths))
        text = root + ("/" if path and root != "/" else "") + path
        # Blur some of it.
        for _ in range(r.choice([0, 0, 1, 2])):
            at = r.randrange(len(root), len(text) + 1) if len(text) > len(root) else len(text)
            end = min(len(text), at + r.choice([0, 1, 1, 2]))
            text = text[:at] + r.choice(["*", "?", "**", "[!/]", "[a-z]", "/", "a", ""]) + text[end:]
    elif kind < 0.75:
        text = root + "/" + "/".join(component(r) for _ in range(r.choice([1, 1, 2, 2, 3])))
    elif kind < 0.95:
        text = "**" + r.choice(["", "/"]) + "/".join(component(r) for _ in range(r.choice([1, 1, 2])))
    else:
        text = "/".join(component(r) for _ in range(2))
    if r.random() < 0.12:
        text += "/"
    if r.random() < 0.08:
        text = r.choice(["ignorecase:", "IgnoreCase:"]) + (text if r.random() < 0.5 else text.upper())
    return text


def regexp(r):
    return r.choice(["a", "b$", "^.*py$", "[[a]", "c/c", r"\.py", "x|y", r"d\Z", "(?i)AB", "é", "[^a-z/]$", "a.b", "[]x]y"])


def filelist(r, root, paths):
    lines = []
    for _ in range(r.choice([0, 1, 2, 3])):
        line = pattern(r, root, paths).replace("\n", "")
        line = r.choice(["", "", "+ ", "- ", " ", "- ", "+"]) + r.choice(["{}", "{}", "'{}'", '"{}"', "{} "]).format(line)
        lines.append(line)
    if r.random() < 0.3:
        lines.insert(0, r.choice(["", "# comment", "  "]))
    return "\n".join(lines)


def options(r, root, paths):
    made = []
    for _ in range(r.choice([1, 1, 2, 2, 3, 4])):
        kind = r.random()
        if kind < 0.4:
            made.append(("--exclude", pattern(r, root, paths)))
        elif kind < 0.7:
            made.append(("--include", pattern(r, root, paths)))
        elif kind < 0.75:
            made.append((r.choice(["--exclude-regexp", "--include-regexp"]), regexp(r)))
        elif kind < 0.83:
            made.append((r.choice(["--exclude-filelist", "--include-filelist"]), filelist(r, root, paths)))
        elif kind < 0.86:
            made.append(("--exclude-if-present", r.choice([".mark", "d", "a"])))
        elif kind < 0.88:
            made.append(("--exclude-older-than", r.choice([1000, 1500])))
        elif kind < 0.9:
            made.append((r.choice(["--exclude-device-files", "--exclude-other-filesystems"]), ""))
        elif kind < 0.92:
            some = [os.fsdecode(p) for p in r.sample(paths, 3) if b"\n" not in p]
            made.append(("--files-from", "\n".join(some)))
        else:
            made.append((r.choice(["--filter-literal", "--filter-regexp", "--filter-globbing",
                                   "--filter-ignorecase", "--filter-strictcase"]), ""))
    if r.random() < 0.6:
        made.append(("--exclude", r.choice(["**", root, root + "/*", pattern(r, root, paths)])))
    return made


def outcome(root, opts):
    lists = [io.StringIO(text) for name, text in opts if name.endswith("-filelist") or name == "--files-from"]
    path = Path(os.fsencode(root))
    sel = selection.Select(path)
    try:
        cli_util.parse_selection_args(sel, opts, lists)
    except errors.FatalError as e:
        return str(e.code)
    except IndexError:
        return "23"
    except Exception as e:
        return "bad"
    return {b"/".join(p.index) for p in sel.set_iter() if p.type}


def quote(text):
    return quote_from_bytes(os.fsencode(str(text)), safe="/*?[]!^+:'\"#.-_()$|\\{},&=@")


def main():
    count, seed = int(sys.argv[1]), int(sys.argv[2])
    r = random.Random(seed)
    config.null_separator = False
    base = os.path.join(os.fsencode(tempfile.gettempdir()), b"dupr-cases")
    shutil.rmtree(base, ignore_errors=True)
    make(os.path.join(base, b"t"))
    # A source that looks like its parent is taken for the file system's root, and --files-from finds nothing.
    os.utime(base, (1, 1))
    os.chdir(base)
    paths = list(walk(b"t"))
    print("\t".join(quote_from_bytes(p) for p in paths))
    made = 0
    while made < count:
        root = r.choice(["t", os.fsdecode(os.path.join(base, b"t"))])
        opts = options(r, root, paths)
        found = outcome(root, opts)
        # Python refuses some repetitions, as in `a**`, that other engines take.
        if found == "bad" and ("--filter-regexp", "") in opts:
            continue
        # Most of what chance writes is refused or selects all: keep little of it.
        if isinstance(found, str) and r.random() < 0.9:
            continue
        if found == set(paths) and r.random() < 0.8:
            continue
        made += 1
        if not isinstance(found, str):
            found = "".join("01"[p in found] for p in paths)
        fields = [quote(root)] + [name[2:] + "=" + quote(text) for name, text in opts] + [found]
        print("\t".join(fields))
    shutil.rmtree(base)


main()
