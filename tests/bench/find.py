#!/usr/bin/env python3
"""How long `find` and `versions` take over a long chain of many small files (stdlib only).

    find.py [--files 1000000] [--sets 30] [--work DIR] [--rounds 5]

Builds the chain once in DIR (a temporary folder of /dev/shm if not given, which is removed at the end): a full set of so many
files of a few bytes, and increments after it, each with 1 % of the files changed. Then it looks for one name and for one
path, with the archive dir as the backups left it. Told are wall seconds, CPU seconds and peak resident memory: the best of
the rounds. Without encryption at the target; the copies here, which are all that is read, never are encrypted. The program is
DUPR or target/release/dupr. Fails if an answer is wrong.
"""
import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
DUPR = os.environ.get("DUPR", os.path.join(HERE, "../../target/release/dupr"))
T0 = 1_700_000_000


def name(n):
    return "d%d/e%d/a-file-%d.txt" % (n // 100000, n // 1000, n)


def plant(root, n, turn):
    path = os.path.join(root, name(n))
    with open(path, "wb") as file:
        file.write(b"%d, %d\n" % (n, turn))
    # Times that lie back: a file of this second is looked at again by the next run.
    os.utime(path, (T0 + turn, T0 + turn))


def run(work, *words):
    """Standard output, wall seconds, CPU seconds and peak MiB of one call."""
    env = {"PATH": os.environ["PATH"], "HOME": work, "TMPDIR": work}
    with open(os.path.join(work, "out"), "w+b") as out:
        start = time.perf_counter()
        child = subprocess.Popen([DUPR, os.path.join(work, "find.toml"), *words], stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=subprocess.STDOUT, env=env)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        out.seek(0)
        text = out.read().decode(errors="replace")
    if status:
        sys.exit("%s failed:\n%s" % (" ".join(words), text[-2000:]))
    return text, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def build(work, files, sets, wanted):
    """The chain; and in how many sets the wanted file is new or different."""
    source = os.path.join(work, "src")
    with open(os.path.join(work, "find.toml"), "w") as profile:
        profile.write('version = 1\nsource = "%s"\ntarget = "file://%s/target"\n[keys]\nencryption = "none"\n' % (source, work))
    for start in range(0, files, 1000):
        os.makedirs(os.path.dirname(os.path.join(source, name(start))))
        for n in range(start, min(start + 1000, files)):
            plant(source, n, 0)
    rng, versions = random.Random(1), 1
    run(work, "full", "-q")
    for turn in range(1, sets):
        changed = set(rng.sample(range(files), files // 100))
        if turn % 7 == 3:
            changed.add(wanted)
        versions += wanted in changed
        for n in changed:
            plant(source, n, turn)
        run(work, "incr", "-q")
    shutil.rmtree(source)
    os.mkdir(source)
    with open(os.path.join(work, "versions"), "w") as kept:
        kept.write("%d\n" % versions)


def measure(work, wanted, rounds):
    with open(os.path.join(work, "versions")) as kept:
        versions = int(kept.read())
    print("| | wall | CPU | memory |\n|---|--:|--:|--:|")
    for words in (["find", "a-file-%d.txt" % wanted], ["find", "*/A-FILE-%d.*" % wanted], ["versions", name(wanted)]):
        tries = []
        for _ in range(rounds):
            text, *cost = run(work, *words)
            told = sum(name(wanted) in line for line in text.splitlines())
            if words[0] == "find" and told != versions:
                sys.exit("%d versions are told, there are %d:\n%s" % (told, versions, text[-2000:]))
            tries.append(cost)
        print("| `%s` | %.2f s | %.2f s | %.0f MiB |" % (" ".join(words), *(min(column) for column in zip(*tries))))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--sets", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work")
    args = parser.parse_args()
    wanted = args.files // 2 + 7
    work = args.work or tempfile.mkdtemp(prefix="dupr-find.", dir="/dev/shm")
    try:
        if not os.path.exists(os.path.join(work, "versions")):
            os.makedirs(work, exist_ok=True)
            build(work, args.files, args.sets, wanted)
        measure(work, wanted, args.rounds)
    finally:
        if not args.work:
            shutil.rmtree(work)


main()
