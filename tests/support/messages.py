"""Every message of the program, out of its sources: errors with their kind and exit code, what is told to do about them, notes, and
problems with single entries. messages.py SOURCES prints them as tests/messages.md has them.

Reads tokens, not lines: a call is found by its name, its arguments by their brackets. A text in a variable is looked up where the
variable is given its value.
"""

import re
import sys
from pathlib import Path

TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*|/\*.*?\*/)
      | (?P<raw>b?r(?P<hash>\#*)".*?"(?P=hash))
      | (?P<str>b?"(?:\\.|[^"\\])*")
      | (?P<char>b?'(?:\\(?:x..|u\{[^}]*\}|.)|[^'\\])')
      | (?P<life>'[a-z_]+)
      | (?P<path>[A-Za-z_][A-Za-z0-9_]*(?:::[A-Za-z_<][A-Za-z0-9_]*)*!?)
      | (?P<other>.)""",
    re.S | re.X,
)
OPEN, CLOSE = "([{", ")]}"
OTHERS = {"NotFound", "Unsupported", "Source", "Clock", "Mismatch", "Io", "Internal"}
CODES = {}


def tokens(text):
    found = []
    for match in TOKEN.finditer(text):
        kind, word = match.lastgroup, match.group()
        if kind in ("skip", "hash"):
            kind = next(k for k in ("skip", "raw") if match.group(k) is not None)
        if kind != "skip":
            found.append((kind, word))
    return found


def end(found, at):
    """Index of the bracket that closes the one at `at`."""
    depth = 0
    for i in range(at, len(found)):
        kind, word = found[i]
        if kind == "other" and word in OPEN:
            depth += 1
        elif kind == "other" and word in CLOSE:
            depth -= 1
            if depth == 0:
                return i
    return len(found) - 1


def without_tests(found):
    kept, i = [], 0
    test = [("other", "#"), ("other", "["), ("path", "cfg"), ("other", "("), ("path", "test"), ("other", ")"), ("other", "]")]
    while i < len(found):
        if found[i:i + 7] == test:
            i += 7
            while found[i][1] not in "{;":
                i += 1
            i = end(found, i) if found[i][1] == "{" else i
        else:
            kept.append(found[i])
        i += 1
    return kept


def arguments(found, at):
    """The arguments of the call whose bracket opens at `at`."""
    last, depth, parts, part = end(found, at), 0, [], []
    for token in found[at + 1:last]:
        if token[0] == "other" and token[1] in OPEN:
            depth += 1
        elif token[0] == "other" and token[1] in CLOSE:
            depth -= 1
        if token == ("other", ",") and depth == 0:
            parts.append(part)
            part = []
        else:
            part.append(token)
    if part:
        parts.append(part)
    return parts


def plain(kind, word):
    if kind == "raw":
        text = re.sub(r'^b?r#*"|"#*$', "", word)
    else:
        text = re.sub(r"\\\n\s*", "", word.lstrip("b")[1:-1])
        text = text.replace('\\"', '"').replace("\\\\", "\\").replace("\\n", " ⏎ ")
    text = re.sub(r"\{[^{}]*\}", "…", text.replace("{{", "\x00").replace("}}", "\x01"))
    return text.replace("\x00", "{").replace("\x01", "}")


def value(found, before, name):
    """What the variable was given last."""
    for i in range(before - 1, 0, -1):
        if found[i] == ("path", name) and found[i - 1] in (("path", "let"), ("path", "mut")):
            j = i + 1
            while j < before and found[j][1] not in ("=", ";"):
                j += 1
            start = j + 1
            while j < before and found[j][1] != ";":
                j = end(found, j) + 1 if found[j][0] == "other" and found[j][1] in OPEN else j + 1
            return found[start:j]
    return []


def texts(found, at, part, deep=0):
    """The texts an argument may be."""
    part = [t for t in part if t not in (("other", "&"), ("other", "*"))]
    if not part or deep > 4:
        return []
    if part[0] == ("path", "Some") and part[1:2] == [("other", "(")]:
        return texts(found, at, part[2:end(part, 1)], deep + 1)
    if part[0] in (("path", "format!"), ("path", "concat!")):
        inner = arguments(part, 1)
        return [plain(*inner[0][0])] if inner and inner[0][0][0] in ("str", "raw") else []
    if part[0][0] in ("str", "raw"):
        return [plain(*part[0])]
    if part[0][0] == "path" and "::" not in part[0][1] and (len(part) == 1 or part[1] == ("other", ".")):
        given = value(found, at, part[0][1])
        if given:
            return texts(found, at, given, deep + 1)
    all_of, i = [], 0
    while i < len(part):
        if part[i][0] == "path" and part[i][1] == "format!" and i + 1 < len(part):
            all_of += texts(found, at, part[i:end(part, i + 1) + 1], deep + 1)
            i = end(part, i + 1)
        elif part[i] == ("path", "Some") and part[i + 1:i + 3] and part[i + 2][0] == "path" and "!" not in part[i + 2][1]:
            all_of += texts(found, at, part[i:end(part, i + 1) + 1], deep + 1)
            i = end(part, i + 1)
        elif part[i][0] in ("str", "raw") and " " in part[i][1]:
            all_of.append(plain(*part[i]))
        i += 1
    return all_of


def chained(found, at):
    """Hints of the methods that follow a call ending at `at`."""
    hints, i = [], at + 1
    while i + 2 < len(found) and found[i] == ("other", ")"):
        i += 1
    while i + 2 < len(found) and found[i] == ("other", ".") and found[i + 2] == ("other", "("):
        if found[i + 1][1] == "with_hint":
            hints += texts(found, i, arguments(found, i + 2)[0])
        i = end(found, i + 2) + 1
        while i + 2 < len(found) and found[i] in (("other", ")"), ("other", "?")):
            i += 1
    return hints


def kebab(word):
    return re.sub(r"(?<!^)([A-Z])", r"-\1", word).lower()


def kind_of(part):
    for kind, word in part:
        if kind == "path" and "ErrorKind::" in word:
            name = word.rsplit("::", 1)[1]
            if name in CODES or name in OTHERS:
                return kebab(name), str(CODES.get(name, 1))
    return "as the cause", ""


def messages(found):
    """Rows: what it is, exit code, text, what to do."""
    owned = set()
    for i, (kind, word) in enumerate(found):
        if word == "error" and found[i + 1:i + 2] == [("other", "(")] and found[i - 1] == ("other", "["):
            part = arguments(found, i + 1)
            if part and part[0][0][0] in ("str", "raw"):
                yield "error", "", [plain(*part[0][0])], []
            continue
        if kind != "path" or found[i + 1:i + 2] != [("other", "(")]:
            continue
        name = word.rsplit("::", 2)
        name = "::".join(name[-2:])
        parts = arguments(found, i + 1)
        say = lambda n: texts(found, i, parts[n]) if len(parts) > n else []
        if name in ("Error::new", "EngineError::new"):
            hints = chained(found, end(found, i + 1))
            owned.update(hints)
            yield *kind_of(parts[0] if parts else []), say(1), hints
        elif name == "Error::io":
            yield "io", "", [f"cannot {t} PATH" for t in say(0)], chained(found, end(found, i + 1))
        elif name in ("usage_error", "run::usage_error"):
            yield "usage", "2", say(0), say(1)
        elif name == "Errors::single":
            yield "usage", "2", say(0), say(1)
        elif name in ("Fault::new", "Fault::usage"):
            code = parts[0][0][1] if name == "Fault::new" and parts[0] else "USAGE"
            hints = chained(found, end(found, i + 1))
            owned.update(hints)
            yield "duplicity's", code, say(1 if name == "Fault::new" else 0), hints
        elif name == "Problem::new":
            reason = "::".join(parts[0][0][1].split("::")[-1:]) if parts else ""
            yield "problem " + kebab(reason), "3", say(2), []
        elif name == "note" and len(parts) == 2:
            level = parts[0][0][1].split("::")[-1].lower() if parts[0] else ""
            yield "note" if level not in ("warning", "info", "debug", "notice") else level, "", say(1), []
        elif name == "within":
            yield "before a cause", "", say(0), []
        elif name == "problem" and found[i - 1] == ("other", ".") and len(parts) >= 2:
            if parts[0] and parts[0][0][0] == "path" and "Kind" in parts[0][0][1]:
                continue
            yield "profile", "2", say(1), say(2)
        elif name == "with_hint":
            yield "hint", "", [], [t for t in say(0) if t not in owned]


def codes(text):
    """The exit code of each kind, as src/cli/exit.rs has it."""
    numbers = dict(re.findall(r"pub const (\w+): u8 = (\d+);", text))
    arms = text.split("fn of_kind", 1)[1].split("_ =>", 1)[0]
    for arm, name in re.findall(r"((?:ErrorKind::\w+[\s|]*)+)=>\s*\{?\s*(\w+)", arms):
        for kind in re.findall(r"ErrorKind::(\w+)", arm):
            CODES[kind] = int(numbers[name])


def advice(found):
    """What is told where an error itself does not say what to do, by its kind."""
    start = next(i for i, t in enumerate(found) if t == ("path", "advice"))
    last = end(found, next(i for i in range(start, len(found)) if found[i][1] == "{"))
    kind = None
    for i in range(start, last):
        if found[i][0] == "path" and found[i][1].startswith("ErrorKind::") and found[i + 1][1] == "=":
            kind = kebab(found[i][1].split("::")[1])
        elif found[i][0] in ("str", "raw"):
            yield kind, plain(*found[i])


def main():
    root, folders = Path(sys.argv[1]), {}
    codes((root / "cli/exit.rs").read_text())
    for file in sorted(root.rglob("*.rs")):
        name = file.relative_to(root).as_posix()
        if re.search(r"(^|/)(\w*_)?tests(/|\.rs$)|^testing/|bench\.rs$|selection_(cases|table)|sabotage", name):
            continue
        found = without_tests(tokens(file.read_text()))
        for what, code, text, hint in messages(found):
            if text or hint:
                row = (what, code, " / ".join(text), " / ".join(hint))
                rows = folders.setdefault(name.rsplit("/", 1)[0] if "/" in name else ".", [])
                if row not in rows:
                    rows.append(row)
    print("# Messages\n")
    print("Made from the sources by `tests/support/messages.py`, and read as a whole: what happened, what was and was not changed, what to")
    print("type next. A test fails when it differs; `DUPR_REGENERATE=1` writes it anew, to be read before it is committed.")
    print("`…` is filled in while dupr runs. Codes of `duplicity's` are those of `dupr duplicity`.")
    print("\nWhere an error does not say what to do, the last lines of a run and reports go by its kind:\n")
    print("| kind | what to do |\n|---|---|")
    for kind, text in advice(without_tests(tokens((root / "report/cause.rs").read_text()))):
        print(f"| {kind} | {text} |")
    for folder, rows in sorted(folders.items()):
        print(f"\n## {folder}\n\n| what | code | message | what to do |\n|---|---|---|---|")
        for row in rows:
            print("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")


main()
