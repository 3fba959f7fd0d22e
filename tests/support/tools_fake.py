#!/usr/bin/env python3
"""Stand-ins for programs that cannot be run here, by their own documentation: megatools 1.11 (its manual pages; MEGA's server
is built in), MEGAcmd (its user guide; not a package of Debian) and hsi (what duplicity calls, and how its listings look).

Which program it is says the name it is called by. Objects lie in $HOME/store; every call is a line of JSON in $HOME/calls:
the name and the arguments. $HOME/trouble, if it is there, is said to standard error, with exit code 1, once. $HOME/hold, if
it is there, has how many files may still be stored: an upload beyond them writes $HOME/holding, waits until the first of the
two is gone, and fails.

$HOME/fault, if it is there, is JSON and befalls the calls of its kind, so many times:
  on     ls, get, put, rm, mkdir or whoami
  name   what stands in the arguments of the calls that it befalls, if not all
  times  how often; it is gone after that
  do     say: nothing is done but to write `out` and `err` and to end with `code`
         hang: nothing more comes, of this program and of one it starts; both numbers go to $HOME/hung
         lose: success is told for an upload of which nothing is stored
         halve: the same for an upload of which half is stored, or a download of which half comes
         nothing: success is told for a download of which nothing comes
"""
import json
import os
import shutil
import stat
import subprocess
import sys
import time

program = os.path.basename(sys.argv[0])
words = sys.argv[1:]
home = os.environ["HOME"]
store = os.path.join(home, "store")
with open(os.path.join(home, "calls"), "a") as calls:
    calls.write(json.dumps([program] + words) + "\n")


def fail(code, text):
    print(text, file=sys.stderr)
    sys.exit(code)


trouble = os.path.join(home, "trouble")
if os.path.exists(trouble) and program != "mega-whoami":
    with open(trouble) as file:
        text = file.read()
    os.remove(trouble)
    fail(1, text)


def kind_of_call():
    if program == "hsi":
        return words[0].split(" ")[0]
    return words[0] if program == "megatools" else program.removeprefix("mega-")


def fault():
    """What befalls this call."""
    path = os.path.join(home, "fault")
    try:
        with open(path) as file:
            told = json.load(file)
    except FileNotFoundError:
        return None
    if kind_of_call() != told["on"] or told.get("name", "") not in " ".join(words) or told["times"] == 0:
        return None
    told["times"] -= 1
    new = "%s.%d" % (path, os.getpid())
    with open(new, "w") as file:
        json.dump(told, file)
    os.rename(new, path)
    if told["do"] == "say":
        sys.stdout.write(told.get("out", ""))
        fail(told["code"], told.get("err", ""))
    if told["do"] == "hang":
        child = subprocess.Popen(["sleep", "3600"])
        with open(os.path.join(home, "hung"), "a") as file:
            file.write("%d %d\n" % (os.getpid(), child.pid))
        child.wait()
    return told["do"]


befalls = fault()


def wait():
    hold = os.path.join(home, "hold")
    try:
        with open(hold) as file:
            left = int(file.read())
    except FileNotFoundError:
        return
    if left > 0:
        with open(hold, "w") as file:
            file.write(str(left - 1))
        return
    open(os.path.join(home, "holding"), "w").close()
    while os.path.exists(hold):
        time.sleep(0.01)
    fail(1, "ERROR: Upload failed: Server returned error EINTERNAL")


def length(path):
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return None


def copy(source, target):
    if target.startswith(store):
        wait()
    if befalls in ("lose", "nothing"):
        return
    # Whole at once, as these services show it.
    here = "%s/%d" % (home, os.getpid())
    if source == "-":
        with open(here, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
    else:
        shutil.copyfile(source, here)
    if befalls == "halve":
        os.truncate(here, os.path.getsize(here) // 2)
    os.rename(here, target)


def megatools():
    command, rest = words[0], words[1:]
    known = {
        "ls": {"--long": 0},
        "get": {"--no-progress": 0, "--path": 1},
        "put": {"--no-progress": 0, "--disable-previews": 0, "--path": 1},
        "rm": {},
        "mkdir": {},
    }[command]
    known.update({"--no-ask-password": 0, "--reload": 0, "--config": 1})
    given, paths = {}, []
    while rest:
        word = rest.pop(0)
        if word == "--":
            paths += rest
            break
        if word.startswith("--limit-speed=") and command in ("get", "put"):
            assert int(word.removeprefix("--limit-speed=")) > 0
            continue
        if word not in known:
            fail(1, "ERROR: Unknown option %s" % word)
        given[word] = rest.pop(0) if known[word] else True
    try:
        config = open(given["--config"]).read()
    except OSError:
        fail(1, "ERROR: Failed to open config file: %s: No such file or directory" % given["--config"])
    if stat.S_IMODE(os.stat(given["--config"]).st_mode) & 0o077:
        fail(1, "the file with the password is for everybody")
    if config != "[Login]\nUsername = ada@example.org\nPassword = can\\\\ary\n":
        fail(1, "ERROR: Can't login to mega.nz: API call 'us' failed: Server returned error ENOENT")

    def there(path):
        assert path == "/Root" or path.startswith("/Root/"), path
        return store + path

    os.makedirs(there("/Root"), exist_ok=True)
    if command == "ls":
        folder = there(paths[0])
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            path = os.path.join(folder, name)
            is_folder = os.path.isdir(path)
            size = "-" if is_folder else length(path)
            if size is not None:
                print("%-11s %-11s %d %13s %19s %s" % (
                    "7Fdi3ZjC", "", int(is_folder), size, "2026-11-21 05:00:00", paths[0] + "/" + name))
    elif command == "get":
        assert given["--path"] == "-"
        if not os.path.isfile(there(paths[0])):
            fail(1, "ERROR: Remote file not found: %s" % paths[0])
        with open(there(paths[0]), "rb") as file:
            content = file.read()
        if befalls in ("halve", "nothing"):
            content = content[:len(content) // 2 if befalls == "halve" else 0]
        sys.stdout.buffer.write(content)
    elif command == "put":
        target = given["--path"]
        if os.path.exists(there(target)):
            fail(1, "ERROR: Upload failed for '%s': File already exists: %s" % (paths[0], target))
        if not os.path.isdir(os.path.dirname(there(target))):
            fail(1, "ERROR: Upload failed: Parent directory doesn't exist: %s" % target)
        copy(paths[0], there(target))
    elif command == "rm":
        path = there(paths[0])
        if not os.path.exists(path):
            fail(1, "ERROR: Can't remove %s: File not found: %s" % (paths[0], paths[0]))
        shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
    elif command == "mkdir":
        if os.path.exists(there(paths[0])):
            fail(1, "ERROR: Can't create directory %s: Directory already exists: %s" % (paths[0], paths[0]))
        if not os.path.isdir(os.path.dirname(there(paths[0]))):
            fail(1, "ERROR: Can't create directory: Parent directory doesn't exist: %s" % paths[0])
        os.mkdir(there(paths[0]))


def megacmd():
    os.makedirs(store, exist_ok=True)
    if program == "mega-whoami":
        if os.path.exists(os.path.join(home, "logged-out")):
            fail(57, "[API:err: 10:00:00] Not logged in.")
        print("Account e-mail: ada@example.org")
        return
    if os.path.exists(os.path.join(home, "logged-out")):
        fail(57, "[API:err: 10:00:00] Not logged in.")
    there = lambda path: store + "/" + path.strip("/")
    if program == "mega-ls":
        assert words[0] == "-l" and len(words) == 2
        if not os.path.isdir(there(words[1])):
            fail(53, "Couldn't find \"%s\"" % words[1])
        print("FLAGS VERS    SIZE            DATE       NAME")
        for name in sorted(os.listdir(there(words[1]))):
            path = os.path.join(there(words[1]), name)
            if os.path.isdir(path):
                print("d---    -          - 24Nov2026 10:00:00 %s" % name)
            elif length(path) is not None:
                print("----    1 %10d 24Nov2026 10:00:00 %s" % (length(path), name))
    elif program == "mega-mkdir":
        assert words[0] == "-p"
        if os.path.isdir(there(words[1])):
            fail(54, "Folder already exists: %s" % words[1])
        os.makedirs(there(words[1]))
    elif program == "mega-put":
        source, target = words
        assert os.path.isabs(source)
        if not os.path.isdir(os.path.dirname(there(target))):
            fail(53, "Couldn't find destination folder: %s" % target)
        copy(source, there(target))
    elif program == "mega-get":
        source, target = words
        if not os.path.isfile(there(source)):
            fail(53, "Couldn't find \"%s\"" % source)
        copy(there(source), target)
    elif program == "mega-rm":
        assert words[0] == "-f"
        if not os.path.isfile(there(words[1])):
            fail(53, "Nodes not found: %s" % words[1])
        os.remove(there(words[1]))


def hsi():
    assert len(words) == 1, "the commands are one argument"
    assert not set(words[0]) & set("|;&<>*?`$\"'"), words[0]
    parts = words[0].split(" ")
    there = lambda path: store + path
    absent = lambda path: fail(72, "*** hsi: %s: HPSS_ENOENT: No such file or directory" % path)
    if parts[0] == "ls":
        path = parts[2]
        if not os.path.isdir(there(path)):
            absent(path)
        # All it has to say goes to standard error, after three lines that say who is there.
        lines = ["Username: ada  UID: 1000", "[HSI: 8.3]", path + ":"]
        for name in sorted(os.listdir(there(path))):
            at = os.path.join(there(path), name)
            kind, size = ("d", 512) if os.path.isdir(at) else ("-", length(at))
            if size is None:
                continue
            when = time.strftime("%b %d %H:%M", time.gmtime(1795237200))
            lines.append("%srw-r-----   1 ada       users   %12d %s %s" % (kind, size, when, name))
        print("\n".join(lines), file=sys.stderr)
    elif parts[0] == "put":
        _, source, colon, target = parts
        if not os.path.isdir(os.path.dirname(there(target))):
            absent(target)
        copy(source, there(target))
    elif parts[0] == "get":
        _, target, colon, source = parts
        if not os.path.isfile(there(source)):
            absent(source)
        copy(there(source), target)
    elif parts[0] == "rm":
        if not os.path.isfile(there(parts[1])):
            absent(parts[1])
        os.remove(there(parts[1]))
    else:
        fail(64, "*** hsi: unknown command")


{"megatools": megatools, "hsi": hsi}.get(program, megacmd)()
