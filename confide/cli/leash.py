"""Runs a command that dies with its parent: `python -I leash.py PARENT COMMAND...`.

A supervisor that is killed outright cannot stop what it started, and a gateway left behind would go on serving with nobody watching it.
The kernel does it instead (prctl(2), PR_SET_PDEATHSIG); the setting outlives exec, so the command needs to know nothing. This is a
program of its own, and no preexec_fn, because Python code between fork and exec can deadlock in a process that has threads.
Standard library only: it starts in a few milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def tie_to(parent: int) -> None:
    """Have this process killed when `parent` dies. Raises OSError when the kernel refuses; exits when the parent is gone already."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:  # it died before the kernel knew
        raise SystemExit(1)


def main(arguments: list[str]) -> None:
    """Tie, then become the command."""
    tie_to(int(arguments[0]))
    os.execvp(arguments[1], arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
