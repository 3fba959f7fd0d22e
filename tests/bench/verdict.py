#!/usr/bin/env python3
"""Holds what a run of the harness measured against what dupr aims at, a verdict per row (stdlib only).

    verdict.py RESULTS.jsonl... [--dupr target/release/dupr]

With a program, the time of `dupr PROFILE status` is measured too. Exit status 0 whatever the verdicts are: figures are
looked at, they are no test.
"""
import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time

# What is measured, against duplicity 3.2.1, and against the fastest of restic, rustic and borg: how many times as fast dupr is to be.
TARGETS = [
    ("mixed", "full", 10, 2.3),
    ("small", "full", 10, 3.5),
    ("big", "full", 10, 2.3),
    ("mixed", "inc", 10, 4),
    ("big", "inc", 5, 2.5),
    ("small", "noch", 12, 7),
    ("small", "list", 20, 6),
    ("mixed", "verify", 8, 2.7),
    ("mixed", "restore", 8, 2.4),
    ("small", "restore", 6, 2.5),
    ("big", "restore", 7, 1.8),
    ("mixed", "restore1", 10, 1.35),
    ("mixed", "prune", 10, 10),
    ("small", "prune", 10, 10),
    ("big", "prune", 10, 10),
]
STEPS = {
    "full": "full", "inc": "increment", "noch": "nothing changed", "list": "list", "verify": "verify",
    "restore": "restore all", "restore1": "restore one file", "prune": "prune",
}
BACKUP_PEERS = ["restic", "rustic", "borg"]
OURS = ["dupr", "dupr-plain"]
MAX_MEMORY_MIB = 64
MAX_STATUS_MS = 20
MAX_OF_CP = 1.5
MAX_PLAIN_SIZE = 1.05


def load(paths):
    """Runs that ended well: {(workload, step): {tool: [run, ...]}}."""
    runs = {}
    for path in paths:
        for line in open(path):
            run = json.loads(line)
            # duplicity's verify ends with 1 where the source has changed since.
            if run["kind"] == "run" and (run["rc"] == 0 or (run["step"] == "verify" and run["rc"] == 1)):
                runs.setdefault((run["workload"], run["step"]), {}).setdefault(run["tool"], []).append(run)
    return runs


def median(runs, key):
    return statistics.median(run[key] for run in runs)


def verdict(good):
    return "yes" if good else "**no**"


def speed(runs):
    print("| operation | dupr, s | vs duplicity | aimed at | | fastest peer | vs it | aimed at | |")
    print("|---|--:|--:|--:|---|---|--:|--:|---|")
    for workload, step, over_duplicity, over_peer in TARGETS:
        by_tool = runs.get((workload, step), {})
        if "dupr" not in by_tool or "dup3" not in by_tool:
            continue
        ours = max(median(by_tool["dupr"], "wall"), 0.001)
        ratio = median(by_tool["dup3"], "wall") / ours
        row = [f"{STEPS[step]}, {workload}", f"{ours:.2f}", f"{ratio:.1f}x", f"{over_duplicity}x", verdict(ratio >= over_duplicity)]
        peers = [(median(by_tool[peer], "wall"), peer) for peer in BACKUP_PEERS if peer in by_tool]
        if peers:
            wall, peer = min(peers)
            row += [peer, f"{wall / ours:.2f}x", f"{over_peer}x", verdict(wall / ours >= over_peer)]
        else:
            row += [""] * 4
        print("| " + " | ".join(row) + " |")


def beside_cp(runs):
    print("\n| restore all | dupr, s | cp, s | times cp | at most | |\n|---|--:|--:|--:|--:|---|")
    for workload in ("mixed", "small", "big"):
        by_tool = runs.get((workload, "restore"), {})
        # cp's own restore copies the tree back.
        if "cp" not in by_tool or "dupr" not in by_tool:
            continue
        ours, cp = median(by_tool["dupr"], "wall"), max(median(by_tool["cp"], "wall"), 0.001)
        print(f"| {workload} | {ours:.2f} | {cp:.2f} | {ours / cp:.2f} | {MAX_OF_CP} | {verdict(ours <= MAX_OF_CP * cp)} |")


def memory(runs):
    print("\n| peak memory, MiB | dupr | lowest peer | |\n|---|--:|--:|---|")
    for workload in ("mixed", "small", "big"):
        def most(tool):
            found = [run["rss"] / 1024 for (of, _), tools in runs.items() if of == workload for run in tools.get(tool, [])]
            return max(found, default=None)
        ours = [peak for peak in map(most, OURS) if peak]
        others = [(peak, tool) for tool in ["dup3", "dup3-plain", *BACKUP_PEERS] for peak in [most(tool)] if peak]
        if ours and others:
            lowest, tool = min(others)
            good = max(ours) <= MAX_MEMORY_MIB and max(ours) < lowest
            print(f"| {workload}, any step | {max(ours):.0f} | {lowest:.0f} ({tool}) | {verdict(good)} |")


def stored(runs):
    print("\n| stored by all backups, MiB | dupr | duplicity | ratio | at most | |\n|---|--:|--:|--:|--:|---|")
    for workload in ("mixed", "small", "big"):
        for ours, theirs, most in [("dupr", "dup3", 1.0), ("dupr-plain", "dup3-plain", MAX_PLAIN_SIZE)]:
            def total(tool):
                steps = [runs.get((workload, step), {}).get(tool) for step in ("full", "inc", "noch", "inc2")]
                return sum(median(found, "added") for found in steps if found) / 2**20
            one, other = total(ours), total(theirs)
            if one and other:
                name = f"{workload}, {'encrypted' if ours == 'dupr' else 'plain'}"
                print(f"| {name} | {one:.1f} | {other:.1f} | {one / other:.3f} | {most:.2f} | {verdict(one <= most * other)} |")


def status(program):
    """Milliseconds of `dupr home status` from process start to end: the median of 40 calls after ten."""
    with tempfile.TemporaryDirectory() as home:
        os.mkdir(f"{home}/photos")
        open(f"{home}/photos/one", "w").write("one")
        folder = f"{home}/.config/dupr"
        os.makedirs(folder, mode=0o700)
        with open(f"{home}/passphrase", "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as secret:
            secret.write("correct horse battery\n")
        with open(f"{folder}/home.toml", "w") as profile:
            profile.write(f'version = 1\nsource = "{home}/photos"\ntarget = "file://{home}/target"\n')
            profile.write(f'passphrase = {{ file = "{home}/passphrase" }}\n')
        env = {"HOME": home, "PATH": os.environ["PATH"]}
        program = os.path.abspath(program)
        subprocess.run([program, "home", "backup"], env=env, check=True, stdout=subprocess.DEVNULL)
        times = []
        for _ in range(50):
            start = time.perf_counter()
            subprocess.run([program, "home", "status"], env=env, check=True, stdout=subprocess.DEVNULL)
            times.append((time.perf_counter() - start) * 1000)
    took = statistics.median(times[10:])
    print(f"\n`dupr home status`, warm: {took:.1f} ms, at most {MAX_STATUS_MS}: {verdict(took <= MAX_STATUS_MS)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+")
    parser.add_argument("--dupr")
    arguments = parser.parse_args()
    runs = load(arguments.results)
    speed(runs)
    beside_cp(runs)
    memory(runs)
    stored(runs)
    if arguments.dupr:
        status(arguments.dupr)


if __name__ == "__main__":
    main()
