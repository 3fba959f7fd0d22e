"""Runs a real duplicity and kills it at one of its uploads, for tests/it/interop.

Arguments: `before` or `after`, a text in the name of the file, the program, and its arguments. As with SIGKILL nothing is
cleaned up and nothing buffered is written. Local targets only.
"""

import os
import runpy
import signal
import sys

when, text, program = sys.argv[1:4]
sys.argv = sys.argv[3:]

from duplicity.backends import localbackend  # noqa: E402


def stopping(upload):
    def stopped(self, source_path, remote_filename):
        ours = text in os.fsdecode(remote_filename)
        if ours and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = upload(self, source_path, remote_filename)
        if ours:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return stopped


def again(_path, argv, env):
    """duplicity begins anew by running itself again."""
    words = [sys.executable, "-W", "ignore", os.path.abspath(__file__), when, text]
    execve(sys.executable, words + [program] + argv[1:], env)


execve, os.execve = os.execve, again
backend = localbackend.LocalBackend
backend._put = stopping(backend._put)
backend._move = stopping(backend._move)
runpy.run_path(program, run_name="__main__")
