#!/usr/bin/env python3
"""How dupr grows with the number of files and of sets (stdlib only): a table for docs/benchmarks.md and a drawing.

    scale.py [--files 10000,100000,1000000] [--sets 1,30,300] [--svg docs/scale.svg]

Files: so many files of a few bytes, one set. Sets: 10,000 such files, a full set and increments after it, each with 1 % of
the files changed. Measured are wall seconds and peak resident memory of: a full backup, an increment without
changes, a listing, and the restore of one file from the middle. Without encryption, everything in SCALE_DIR (default
/dev/shm), with the program in DUPR or target/release/dupr. Fails if a restored file is wrong or a run fails.
"""
import argparse
import math
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
STEPS = ["full", "no change", "list", "restore one"]
COLORS = ["#0b6e99", "#c4552d", "#5b7f2b", "#7a4fa3"]


def name(n):
    return "d%d/e%d/a-file-%d.txt" % (n // 100000, n // 1000, n)


def content(n, turn=0):
    return b"%d, %d\n" % (n, turn)


def plant(root, n, turn):
    path = os.path.join(root, name(n))
    with open(path, "wb") as file:
        file.write(content(n, turn))
    # Times that lie back: a file of this second is looked at again by the next run.
    os.utime(path, (T0 + turn, T0 + turn))


def tree(root, files):
    for start in range(0, files, 1000):
        os.makedirs(os.path.dirname(os.path.join(root, name(start))))
        for n in range(start, min(start + 1000, files)):
            plant(root, n, 0)


class Case:
    def __init__(self, work):
        self.work, self.clock = work, T0 + 10_000
        self.source = os.path.join(work, "src")

    def run(self, *words):
        """Wall seconds and peak MiB of one call."""
        self.clock += 60
        env = {"PATH": os.environ["PATH"], "HOME": self.work, "TMPDIR": self.work}
        line = [DUPR, "duplicity", *words, "--no-encryption", "--no-print-statistics", "--name=scale",
                "--archive-dir=" + os.path.join(self.work, "cache"), "--current-time=%d" % self.clock]
        with open(os.path.join(self.work, "out"), "wb") as out:
            start = time.perf_counter()
            child = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=env)
            _, status, usage = os.wait4(child.pid, 0)
            wall = time.perf_counter() - start
        if status:
            with open(os.path.join(self.work, "out"), "rb") as out:
                sys.exit("%s failed:\n%s" % (" ".join(line), out.read().decode(errors="replace")[-2000:]))
        return wall, usage.ru_maxrss / 1024

    def measure(self, target, wanted, turn=None):
        """The three last steps, the best of two."""
        url = "file://" + target
        rows = []
        for words in (["incremental", self.source, url], ["list-current-files", url], None):
            tries = []
            for _ in range(2):
                copy = os.path.join(self.work, "one")
                if os.path.exists(copy):
                    os.remove(copy)
                tries.append(self.run(*(words or ["restore", "--path-to-restore", name(wanted), url, copy])))
            rows.append(min(tries))
        with open(os.path.join(self.work, "one"), "rb") as file:
            if turn is not None and file.read() != content(wanted, turn):
                sys.exit("%s was restored wrong" % name(wanted))
        return rows


def by_files(counts):
    for files in counts:
        with tempfile.TemporaryDirectory(prefix="dupr-scale.", dir=os.environ.get("SCALE_DIR", "/dev/shm")) as work:
            case = Case(work)
            tree(case.source, files)
            target = os.path.join(work, "target")
            full = case.run("full", case.source, "file://" + target)
            yield files, [full, *case.measure(target, files // 2, 0)]


def by_sets(counts, files=10_000):
    rng = random.Random(1)
    with tempfile.TemporaryDirectory(prefix="dupr-scale.", dir=os.environ.get("SCALE_DIR", "/dev/shm")) as work:
        case = Case(work)
        tree(case.source, files)
        target = os.path.join(work, "target")
        full, sets, known = case.run("full", case.source, "file://" + target), 1, {}
        for wanted in sorted(counts):
            while sets < wanted:
                for n in rng.sample(range(files), files // 100):
                    known[n] = sets
                    plant(case.source, n, sets)
                case.run("incremental", case.source, "file://" + target)
                sets += 1
            # What is measured adds sets: on a copy.
            copy, cache = target + "-copy", os.path.join(work, "cache")
            shutil.copytree(target, copy)
            shutil.move(cache, cache + "-kept")
            shutil.copytree(cache + "-kept", cache)
            middle = files // 2
            yield wanted, [full, *case.measure(copy, middle, known.get(middle, 0))]
            shutil.rmtree(copy)
            shutil.rmtree(cache)
            shutil.move(cache + "-kept", cache)


def table(what, rows):
    print("\n| %s | %s |\n|--:|%s" % (what, " | ".join(STEPS), "--:|" * len(STEPS)))
    for count, cells in rows:
        print("| {:,} | {} |".format(count, " | ".join("%.2f s, %.0f MiB" % cell for cell in cells)))


def drawing(panels):
    """One log-log panel for each: title, rows."""
    wide, high, left, top = 330, 260, 60, 40
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">'
           % (len(panels) * (wide + left + 20), high + top + 70),
           '<rect width="100%" height="100%" fill="#fff"/>']
    for number, (title, rows) in enumerate(panels):
        x0 = left + number * (wide + left + 20)
        counts = [count for count, _ in rows]
        seconds = [max(wall, 1e-3) for _, cells in rows for wall, _ in cells]
        low, far = math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds)))
        span = max(math.log10(counts[-1] / counts[0]), 1e-9)

        def x(count):
            return x0 + wide * math.log10(count / counts[0]) / span

        def y(wall):
            return top + high * (far - math.log10(max(wall, 1e-3))) / (far - low)

        out.append('<text x="%d" y="%d" font-weight="bold">%s</text>' % (x0, top - 16, title))
        for power in range(low, far + 1):
            out.append('<path d="M%.1f %.1fh%d" stroke="#ddd"/><text x="%.1f" y="%.1f" text-anchor="end">%g s</text>'
                       % (x0, y(10 ** power), wide, x0 - 6, y(10 ** power) + 4, 10 ** power))
        for count in counts:
            out.append('<path d="M%.1f %dv%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>'
                       % (x(count), top, high, x(count), top + high + 18, format(count, ",")))
        for step, color in enumerate(COLORS):
            if title.startswith("sets") and step == 0:
                continue
            points = ["%.1f,%.1f" % (x(count), y(cells[step][0])) for count, cells in rows]
            out.append('<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>' % (" ".join(points), color))
            out.extend('<circle cx="%s" cy="%s" r="3.5" fill="%s"/>' % (*p.split(","), color) for p in points)
    for step, (label, color) in enumerate(zip(STEPS, COLORS)):
        at = left + step * 150
        out.append('<path d="M%d %dh24" stroke="%s" stroke-width="2"/><text x="%d" y="%d">%s</text>'
                   % (at, top + high + 46, color, at + 30, top + high + 50, label))
    return "\n".join(out + ["</svg>", ""])


def main():
    numbers = lambda text: [int(n) for n in text.split(",") if n]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=numbers, default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--sets", type=numbers, default=[1, 30, 300])
    parser.add_argument("--svg")
    args = parser.parse_args()
    files, sets = list(by_files(args.files)), list(by_sets(args.sets))
    table("files, one set", files)
    table("sets, 10,000 files", sets)
    if args.svg:
        with open(args.svg, "w") as out:
            out.write(drawing([("files, one set", files), ("sets, 10,000 files", sets)]))


main()
