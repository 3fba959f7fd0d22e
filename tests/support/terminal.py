"""A terminal for a program: terminal.py COLUMNS ROWS PROGRAM [ARGUMENT ...]

What the program writes comes out of standard output as it is. A line of JSON at standard input acts on the terminal: ["type", TEXT]
types, ["size", COLUMNS, ROWS] changes its size. Ends with the exit code of the program, or 128 and the number of the signal.
"""

import fcntl
import json
import os
import select
import struct
import sys
import termios


def resize(terminal, columns, rows):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def start(columns, rows, words):
    ours, theirs = os.openpty()
    resize(ours, columns, rows)
    child = os.fork()
    if child == 0:
        os.close(ours)
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
        for descriptor in range(3):
            os.dup2(theirs, descriptor)
        if theirs > 2:
            os.close(theirs)
        try:
            os.execvp(words[0], words)
        finally:
            os._exit(127)
    os.close(theirs)
    return child, ours


def act(terminal, order):
    if order[0] == "size":
        resize(terminal, order[1], order[2])
    else:
        os.write(terminal, order[1].encode())


def main():
    columns, rows, words = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    child, terminal = start(columns, rows, words)
    watched, rest = [terminal, 0], b""
    while terminal in watched:
        for ready in select.select(watched, [], [])[0]:
            try:
                data = os.read(ready, 65536)
            except OSError:
                # Nobody has the other end open any more.
                data = b""
            if not data:
                watched.remove(ready)
            elif ready == terminal:
                while data:
                    data = data[os.write(1, data):]
            else:
                *orders, rest = (rest + data).split(b"\n")
                for order in orders:
                    act(terminal, json.loads(order))
    status = os.waitpid(child, 0)[1]
    sys.exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))


main()
