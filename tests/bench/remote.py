#!/usr/bin/env python3
"""How near dupr comes to the time a transfer takes at least: backup and restore over a slow line (stdlib only).

    remote.py [--workload mixed] [--scale 1] [--delay 20] [--rate 50] [--rounds 1] [--server s3rver] [--sets 1] [WORDS OF dupr ...]

A proxy stands before an S3 server of the tests (`tests/setup` installs them) and makes the line: every byte comes half of
`--delay` milliseconds late, so a question and its answer take all of it, a new connection once more; and all connections
together carry `--rate` million bytes a second each way. Measured are wall seconds of a full backup, an increment
without changes, a verification and a restore of everything. Beside them stands what the line needs for the bytes that
went over it, and nothing else. The restored tree is compared with the source.

With `--sets N` only small errands are measured: a chain of N sets is made beside the line; then, over it, a list after the archive
dir was lost, a verification, and the removal of the chain by another full set.

The program is DUPR or target/release/dupr, the generator of data that of the harness (DUPR_BENCH_DIR, see run.sh).
Everything lies in REMOTE_DIR (default /dev/shm).
"""
import argparse
import asyncio
import filecmp
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
DUPR = os.path.abspath(os.environ.get("DUPR", os.path.join(HERE, "../../target/release/dupr")))
BENCH = os.environ.get("DUPR_BENCH_DIR", os.path.join(HERE, "../../../shared/bench"))
CACHE = os.environ.get("DUPR_TEST_CACHE", os.path.expanduser("~/.cache/dupr-test"))
PIECE = 64 * 1024
# What a line holds before it pushes back, in seconds of its rate: a router's queue.
QUEUE = 0.05


class Line:
    """One way of the line, shared by all connections."""

    def __init__(self, delay, rate):
        self.delay, self.rate, self.free, self.bytes = delay, rate, 0.0, 0

    async def carry(self, reader, writer, first):
        loop = asyncio.get_running_loop()
        queue = asyncio.Queue()

        async def deliver():
            while True:
                due, piece = await queue.get()
                wait = due - loop.time()
                if wait > 0:
                    await asyncio.sleep(wait)
                if piece is None:
                    break
                writer.write(piece)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()

        sender = asyncio.create_task(deliver())
        try:
            while True:
                piece = await reader.read(PIECE)
                self.free = max(self.free, loop.time()) + len(piece) / self.rate
                self.bytes += len(piece)
                queue.put_nowait((self.free + self.delay + first, piece or None))
                first = 0
                if not piece:
                    break
                ahead = self.free - loop.time() - QUEUE
                if ahead > 0:
                    await asyncio.sleep(ahead)
            await sender
        except (ConnectionError, OSError):
            sender.cancel()


class Proxy(threading.Thread):
    def __init__(self, target, delay, rate):
        super().__init__(daemon=True)
        self.target, self.up, self.down = target, Line(delay / 2, rate), Line(delay / 2, rate)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections = 0
        self.delay = delay

    def run(self):
        asyncio.run(self.serve())

    async def serve(self):
        server = await asyncio.start_server(self.connect, sock=self.listener, limit=PIECE)
        async with server:
            await server.serve_forever()

    async def connect(self, reader, writer):
        self.connections += 1
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target, limit=PIECE)
            # The handshake of the connection is one question and answer more.
            await asyncio.gather(self.up.carry(reader, far_writer, self.delay), self.down.carry(far_reader, writer, 0))
            far_writer.close()
        except OSError:
            pass
        writer.close()

    def passed(self):
        return self.up.bytes, self.down.bytes


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def serve(kind, work):
    """Starts a server with the bucket `bucket`; the process, its port and the keys."""
    port = free_port()
    if kind == "s3rver":
        line = [os.path.join(CACHE, "s3rver/node_modules/.bin/s3rver"), "-d", os.path.join(work, "s3"), "-a", "127.0.0.1",
                "-p", str(port), "--configure-bucket", "bucket"]
        keys = ("S3RVER", "S3RVER")
    else:
        line = [os.path.join(CACHE, "services/bin/moto_server"), "-H", "127.0.0.1", "-p", str(port)]
        keys = ("key", "secret")
    with open(os.path.join(work, "server.log"), "wb") as log:
        server = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=dict(os.environ, HOME=work))
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.1)
    else:
        sys.exit("the server does not start; see %s/server.log" % work)
    if kind != "s3rver":
        import urllib.request
        urllib.request.urlopen(urllib.request.Request("http://127.0.0.1:%d/bucket" % port, method="PUT")).close()
    return server, port, keys


def same(left, right):
    found = filecmp.dircmp(left, right, ignore=[])
    if found.left_only or found.right_only or found.funny_files:
        return False
    _, wrong, errors = filecmp.cmpfiles(left, right, found.common_files, shallow=False)
    # Links of the data lead to files beside them, which are compared themselves.
    broken = [name for name in errors if not os.path.islink(os.path.join(left, name))]
    return not wrong and not broken and all(
        same(os.path.join(left, name), os.path.join(right, name)) for name in found.common_dirs
        if not os.path.islink(os.path.join(left, name)))


def main():
    parser = argparse.ArgumentParser(description="dupr over a slow line")
    parser.add_argument("--workload", default="mixed")
    parser.add_argument("--scale", default="1")
    parser.add_argument("--delay", type=float, default=20, help="milliseconds from a question to its answer")
    parser.add_argument("--rate", type=float, default=50, help="million bytes a second, each way")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--server", choices=["s3rver", "moto"], default="s3rver")
    parser.add_argument("--sets", type=int, default=1)
    parser.add_argument("--plain", action="store_true", help="without encryption")
    args, words = parser.parse_known_args()
    base = os.environ.get("REMOTE_DIR", "/dev/shm")
    source = os.path.join(base, "dupr-remote-%s-%s" % (args.workload, args.scale))
    if not os.path.exists(source):
        subprocess.check_call([sys.executable, os.path.join(BENCH, "gen.py"), "make", args.workload, source, "--scale",
                               args.scale], stdout=subprocess.DEVNULL)
    print("| step | wall, s | CPU, s | MiB | up, MB | down, MB | line alone, s | times | connections |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory(prefix="dupr-remote.", dir=base) as work:
            server, port, (key, secret) = serve(args.server, work)
            try:
                measure(args, words, source, work, port, key, secret)
            finally:
                server.kill()
                server.wait()


def measure(args, words, source, work, port, key, secret):
    rate, delay = args.rate * 1e6, args.delay / 1000
    url = "s3:///bucket/backup"
    copy = os.path.join(work, "copy")
    clock = 1_800_000_000
    steps = [["full", source, url], ["incremental", source, url], ["verify", url, source], ["restore", url, copy]]
    beside = 0
    if args.sets > 1:
        other = os.path.join(work, "other")
        os.mkdir(other)
        steps = [["full", source, url], *[["incremental", source, url]] * (args.sets - 1), ["full", "--allow-source-mismatch", other, url],
                 ["list-current-files", "--time=%d" % (clock + 60 * args.sets), url], ["verify", "--time=%d" % (clock + 60 * args.sets), url, source],
                 ["remove-all-but-n-full", "1", "--force", url]]
        beside = args.sets + 1
    for number, step in enumerate(steps):
        proxy = Proxy(port, *((delay, rate) if number >= beside else (0, 1e12)))
        proxy.start()
        clock += 60
        if number == beside and beside:
            shutil.rmtree(os.path.join(work, "cache"))
        env = {"PATH": os.environ["PATH"], "HOME": work, "TMPDIR": work, "PASSPHRASE": "correct horse",
               "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "LANG": "C.UTF-8"}
        line = [DUPR, "duplicity", *step, *words, "--s3-endpoint-url=http://127.0.0.1:%d" % proxy.port,
                "--s3-region-name=us-east-1", "--no-print-statistics", "--name=remote",
                "--archive-dir=" + os.path.join(work, "cache"), "--current-time=%d" % clock]
        if args.plain:
            line.append("--no-encryption")
        start = time.perf_counter()
        with open(os.path.join(work, "out"), "wb") as out:
            child = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env)
            _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        if status:
            with open(os.path.join(work, "out"), "rb") as out:
                sys.exit("%s failed:\n%s" % (" ".join(line), out.read().decode(errors="replace")[-2000:]))
        if number < beside:
            continue
        up, down = proxy.passed()
        alone = max(up, down) / rate + delay
        print("| %s | %.2f | %.2f | %d | %.1f | %.1f | %.2f | %.2f | %d |" % (
            step[0], wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss >> 10, up / 1e6, down / 1e6, alone, wall / alone, proxy.connections),
            flush=True)
    if not beside and not same(source, copy):
        sys.exit("what was restored differs from %s" % source)


main()
