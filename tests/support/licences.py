#!/usr/bin/env python3
"""Checks that every crate dupr is built from has a licence that deny.toml allows. The cheap half of cargo-deny."""
import json, re, subprocess, sys, tomllib


def either(tokens, allowed):
    """alternatives = all { "OR" all }; takes its tokens off the list."""
    met = both(tokens, allowed)
    while tokens and tokens[0] == "OR":
        tokens.pop(0)
        met = both(tokens, allowed) or met
    return met


def both(tokens, allowed):
    """all = one { "AND" one }"""
    met = one(tokens, allowed)
    while tokens and tokens[0] == "AND":
        tokens.pop(0)
        met = one(tokens, allowed) and met
    return met


def one(tokens, allowed):
    """one = "(" alternatives ")" | licence [ "WITH" exception ]"""
    name = tokens.pop(0)
    if name == "(":
        met = either(tokens, allowed)
        tokens.pop(0)
        return met
    if tokens and tokens[0] == "WITH":
        tokens.pop(0)
        name += " WITH " + tokens.pop(0)
    return name in allowed


def main():
    with open("deny.toml", "rb") as f:
        allowed = set(tomllib.load(f)["licenses"]["allow"])
    packages = json.loads(subprocess.check_output(["cargo", "metadata", "--locked", "--format-version", "1"]))["packages"]
    bad = []
    for package in packages:
        # Old crates write "MIT/Apache-2.0" for a choice.
        expression = (package["license"] or "none").replace("/", " OR ")
        if not either(re.findall(r"[()]|[^\s()]+", expression), allowed):
            bad.append(f"{package['name']} {package['version']}: {package['license']}")
    print(f"{len(packages)} crates, {len(bad)} with a licence that deny.toml does not allow")
    for line in sorted(bad):
        print(" ", line)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
