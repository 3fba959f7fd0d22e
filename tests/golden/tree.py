#!/usr/bin/env python3
"""The source trees of the golden archives, and listings of trees.

    tree.py build FAMILY STEP DIR     makes DIR anew: the tree FAMILY as it was at STEP (0, 1, 2)
    tree.py list DIR                  prints a listing of DIR as JSON, one entry per line
    tree.py diff LISTING DIR          compares; exit 1 and one line per difference

A tree is a function of its name and step alone, so a golden archive can be made again and its source rebuilt.
Paths in listings are percent-encoded bytes. Access and change times, and the times of symlinks, are not part of a
listing: the format does not keep them.
"""
import hashlib, json, os, random, shutil, stat, sys, urllib.parse

BASE = 1_600_000_000


def text(name, length):
    """Compressible content that differs from file to file."""
    line = b"".join(b"%s line %06d of a golden file\n" % (name, i) for i in range(length // 30 + 1))
    return line[:length]


def noise(seed, length):
    return random.Random(seed).randbytes(length)


class Tree(dict):
    """Path (bytes) to (type, mode, uid, gid, mtime, content or target or device)."""

    def put(self, path, kind, mode, what=None, mtime=None, uid=0, gid=0):
        if mtime is None:
            mtime = BASE + int(hashlib.sha256(path).hexdigest()[:4], 16)
        self[path] = (kind, mode, uid, gid, mtime, what)

    def file(self, path, content, mode=0o644, **more):
        self.put(path, "file", mode, content, **more)

    def dir(self, path, mode=0o755, **more):
        self.put(path, "dir", mode, **more)

    def link(self, path, target):
        self.put(path, "symlink", 0o777, target)

    def cut(self, path):
        for p in [p for p in self if p == path or p.startswith(path + b"/")]:
            del self[p]


def basic(step):
    t = Tree()
    t.dir(b"", mtime=BASE + step)
    t.file(b"a.txt", b"hello\n")
    t.file(b"empty", b"")
    t.file(b"one", b"1")
    t.dir(b"dir")
    t.file(b"dir/b", text(b"b", 5000), mode=0o600)
    t.dir(b"dir/sub")
    t.file(b"dir/sub/c", text(b"c", 100))
    t.file(b"dir!x", b"sorts after all of dir\n")
    t.file(b"dir.y", b"so does this\n")
    t.dir(b"gone")
    t.dir(b"gone/deep")
    t.file(b"gone/deep/f", b"will be deleted\n")
    t.dir(b"hollow", mode=0o700)
    for n in (65535, 65536, 65537, 200000):
        t.file(b"size-%d" % n, text(b"s%d" % n, n))
    t.file(b"setuid", b"#!/bin/false\n", mode=0o4755)
    t.file(b"zeros", b"\0" * 70000)
    t.link(b"link", b"dir/b")
    t.link(b"dangling", b"no/such/file")
    t.file(b"turns-dir", b"a file first\n")
    t.dir(b"turns-file")
    t.file(b"turns-file/inside", b"inside\n")
    if step >= 1:
        t.file(b"a.txt", b"hello\nagain\n", mtime=BASE + 200001)
        c = bytearray(t[b"size-200000"][5])
        c[100000:100010] = b"CHANGEDxxx"
        t.file(b"size-200000", bytes(c), mtime=BASE + 200002)
        t.file(b"size-65537", t[b"size-65537"][5][:1000], mtime=BASE + 200003)
        t.file(b"dir/b", t[b"dir/b"][5], mode=0o640)
        t.cut(b"gone")
        t.dir(b"new")
        t.file(b"new/n", text(b"n", 70000))
        t.link(b"link", b"dir/sub/c")
        t.cut(b"turns-dir")
        t.dir(b"turns-dir")
        t.file(b"turns-dir/inside", b"now a directory\n")
        t.cut(b"turns-file")
        t.file(b"turns-file", b"now a file\n")
    if step >= 2:
        t.file(b"a.txt", b"hello\nagain\nand again\n", mtime=BASE + 300001)
        c = t[b"size-200000"][5]
        t.file(b"size-200000", b"put in front" + c, mtime=BASE + 300002)
        t.file(b"size-65536", text(b"other", 65536), mtime=BASE + 300003)
        t.dir(b"gone")
        t.file(b"gone/back", b"back again\n")
        t.cut(b"new")
        t.cut(b"link")
        t.file(b"link", b"no longer a link\n")
        t.cut(b"dir/sub")
    return t


def names(step):
    t = Tree()
    t.dir(b"")
    odd = [
        b"sp ace", b"quote\"x", b"ap'os", b"back\\slash", b"new\nline", b"tab\tx", b"\xff\xfelatin", b"-dash",
        "ünïcode".encode(), "日本語".encode(), b"control\x01\x7f", b"percent%41", b"star*[x]?", b"n" * 255,
        b"trailing ", b".hidden", b"snapshot", b"x.part",
    ]
    for name in odd:
        t.file(name, b"content of " + name)
    deep = b"d" * 60
    for _ in range(6):
        t.dir(deep)
        t.file(deep + b"/f", b"deep " + str(len(deep)).encode())
        deep += b"/" + b"d" * 60
    t.dir(b"dir\xff")
    t.file(b"dir\xff/in side", b"x")
    t.link(b"to-odd", b"new\nline")
    t.link(b"to-latin", b"\xff\xfelatin")
    t.link(b"to-long", b"l" * 180)
    if step >= 1:
        t.cut(b"new\nline")
        t.cut(b"dir\xff")
        t.file(b"sp ace", b"changed", mtime=BASE + 200001)
        t.file(b"\xff\xfelatin", b"changed", mtime=BASE + 200002)
    return t


def special(step):
    t = Tree()
    t.dir(b"", mode=0o1777)
    t.put(b"fifo", "fifo", 0o640, mtime=BASE)
    t.put(b"char", "char", 0o600, (1, 3))
    t.put(b"block", "block", 0o660, (7, 300), gid=6543)
    t.link(b"link", b"fifo")
    t.link(b"dangling", b"\xff/nowhere")
    t.link(b"loop", b"loop")
    t.file(b"owned", b"by others\n", uid=12345, gid=54321)
    t.file(b"huge-uid", b"does not fit seven octal digits\n", uid=3000000, gid=4000000)
    t.file(b"closed", b"mode 000\n", mode=0)
    t.file(b"setgid", b"x\n", mode=0o2755)
    t.dir(b"sticky", mode=0o1755)
    t.file(b"epoch", b"mtime 0\n", mtime=0)
    t.file(b"future", b"after 2038 and after 2242\n", mtime=9_000_000_000)
    t.dir(b"owned-dir", uid=12345, gid=12345, mode=0o750)
    t.file(b"owned-dir/f", b"f\n", uid=12345)
    if step >= 1:
        t.cut(b"fifo")
        t.put(b"char", "char", 0o600, (1, 5))
        t.put(b"loop", "fifo", 0o600, mtime=BASE)
        t.file(b"owned", b"by others\n", uid=12346, gid=54321)
    return t


def large(step):
    """A little over one volume of incompressible data at the smallest volume size."""
    t = Tree()
    t.dir(b"", mtime=BASE + step)
    t.file(b"a", noise(1, 300_000))
    t.file(b"big", noise(2, 700_000))
    t.file(b"z", noise(3, 90_000))
    if step >= 1:
        c = bytearray(t[b"big"][5])
        c[350_000:350_100] = noise(4, 100)
        t.file(b"big", bytes(c), mtime=BASE + 200001)
        t.cut(b"z")
    return t


def grown(step):
    """Small first; then compressible data for many plain volumes."""
    t = Tree()
    t.dir(b"", mtime=BASE + step)
    t.file(b"kept", text(b"kept", 10_000))
    if step >= 1:
        for i in range(12):
            t.file(b"more-%02d" % i, text(b"more-%d" % i, 900_000))
    return t


FAMILIES = {"basic": basic, "names": names, "special": special, "large": large, "grown": grown}


def build(tree, root):
    if os.path.lexists(root):
        shutil.rmtree(root)
    root = os.fsencode(root)
    for path, (kind, mode, uid, gid, mtime, what) in sorted(tree.items(), key=lambda i: i[0].split(b"/")):
        full = os.path.join(root, path) if path else root
        if kind == "dir":
            os.mkdir(full)
        elif kind == "file":
            with open(full, "wb") as f:
                f.write(what)
        elif kind == "symlink":
            os.symlink(what, full)
        elif kind == "fifo":
            os.mkfifo(full)
        else:
            os.mknod(full, (stat.S_IFCHR if kind == "char" else stat.S_IFBLK), os.makedev(*what))
    for path, (kind, mode, uid, gid, mtime, what) in sorted(tree.items(), reverse=True):
        full = os.path.join(root, path) if path else root
        os.chown(full, uid, gid, follow_symlinks=False)
        if kind != "symlink":
            os.chmod(full, mode)
        os.utime(full, (mtime, mtime), follow_symlinks=False)


def quote(path):
    return urllib.parse.quote_from_bytes(path, safe="/ !#$&'()*+,:;=?@[]^_`{|}~.-")


def listing(root):
    root = os.fsencode(root)
    entries = []

    def visit(path):
        full = os.path.join(root, path) if path else root
        s = os.lstat(full)
        e = {"path": quote(path), "mode": "%04o" % stat.S_IMODE(s.st_mode), "uid": s.st_uid, "gid": s.st_gid}
        if stat.S_ISREG(s.st_mode):
            e["type"] = "file"
            with open(full, "rb") as f:
                e["sha256"] = hashlib.sha256(f.read()).hexdigest()
            e["size"] = s.st_size
        elif stat.S_ISDIR(s.st_mode):
            e["type"] = "dir"
        elif stat.S_ISLNK(s.st_mode):
            e["type"] = "symlink"
            e["target"] = quote(os.readlink(full))
        elif stat.S_ISFIFO(s.st_mode):
            e["type"] = "fifo"
        elif stat.S_ISSOCK(s.st_mode):
            return
        else:
            e["type"] = "char" if stat.S_ISCHR(s.st_mode) else "block"
            e["device"] = [os.major(s.st_rdev), os.minor(s.st_rdev)]
        if e["type"] != "symlink":
            e["mtime"] = int(s.st_mtime_ns // 1_000_000_000)
        entries.append(e)
        if e["type"] == "dir":
            for name in sorted(os.listdir(full)):
                visit(os.path.join(path, name) if path else name)

    visit(b"")
    return entries


def dump(entries):
    return "[\n" + ",\n".join(json.dumps(e, sort_keys=True) for e in entries) + "\n]"


def main():
    if len(sys.argv) == 5 and sys.argv[1] == "build":
        build(FAMILIES[sys.argv[2]](int(sys.argv[3])), sys.argv[4])
    elif len(sys.argv) == 3 and sys.argv[1] == "list":
        print(dump(listing(sys.argv[2])))
    elif len(sys.argv) == 4 and sys.argv[1] == "diff":
        with open(sys.argv[2]) as f:
            old = {e["path"]: e for e in json.load(f)}
        new = {e["path"]: e for e in listing(sys.argv[3])}
        different = [p for p in sorted(old.keys() | new.keys()) if old.get(p) != new.get(p)]
        for p in different:
            print(f"{p}: expected {old.get(p)}, found {new.get(p)}")
        sys.exit(1 if different else 0)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
