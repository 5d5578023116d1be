"""Ways to hurt a running installation at a known moment: freeze a process, hold a lock, wait until a process is inside a transaction."""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
import struct
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.integration.stack import Stack

#: Where SQLite in WAL mode locks the one writer: this byte of the -shm file (sqlite.org/walformat.html, section 2.3.3).
WAL_WRITE_LOCK = 120
_FLOCK = "hhqqi"  # struct flock: type, whence, start, length, pid


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a database's write lock."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@contextmanager
def paused(stack: Stack, name: str) -> Iterator[None]:
    """Freeze one process, as a machine under load or a stuck disk would. It may be ended meanwhile."""
    process = stack.processes[name]
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGCONT)


def writer(database: Path) -> int | None:
    """Return the process that is in a write transaction now, without disturbing it.

    Call it only while this process has no connection to `database`: closing the file lets go of the locks this process has on it.
    """
    with database.with_name(f"{database.name}-shm").open("rb") as shared:
        asked = struct.pack(_FLOCK, fcntl.F_RDLCK, os.SEEK_SET, WAL_WRITE_LOCK, 1, 0)
        kind, _whence, _start, _length, holder = struct.unpack(_FLOCK, fcntl.fcntl(shared, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else int(holder)


def signal_inside(database: Path, process: int, victim: int, number: int, within: float = 2.0) -> bool:
    """Send `number` to `victim` as soon as `process` is in a write transaction. False: it was not seen in one.

    Blocks, and looks without a pause: `process` is in there for milliseconds, which a busy machine may make us miss.
    """
    end = time.monotonic() + within
    while writer(database) != process:
        if time.monotonic() > end:
            return False
    os.kill(victim, number)
    return True


def wait_until_quiet(database: Path, quiet: float = 0.5, within: float = 10.0) -> None:
    """Wait until nobody has written for `quiet` seconds. Blocks."""
    end = time.monotonic() + within
    since = time.monotonic()
    while time.monotonic() - since < quiet:
        assert time.monotonic() < end, "somebody writes all the time"
        if writer(database) is not None:
            since = time.monotonic()
        time.sleep(0.001)
