"""A fence around the Rasa process: no file of another process, no peer but the actions.

An audit hook (PEP 578) sees opens, SQLite connections, moves, links and Python socket connections, and cannot be removed again. It stops
a component, a dependency or a mistake of ours that reaches for another process's database or keys. It is defence in depth and no
sandbox: native code can pass it by (libpq, uvloop, ctypes, a path relative to a directory descriptor). The wall is a separate operating
system user per process (docs/architecture.md).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote


class FenceError(PermissionError):
    """This process reached for something that belongs to another one. Names the event, not the target."""


@dataclass(frozen=True)
class Fence:
    """`closed`: folders of which nothing may be touched but `own`. `peers`: (host, port) that may be connected to.

    A path in `own` stands for itself, what is below it, and the files that SQLite keeps beside it (-wal, -shm, -journal).
    """

    closed: tuple[str, ...]
    own: tuple[str, ...]
    peers: frozenset[tuple[str, int]]

    def install(self, add: Callable[[Callable[[str, tuple[Any, ...]], None]], None] = sys.addaudithook) -> None:
        """Put the fence up, for the rest of the process's life."""
        add(self.check)

    def check(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Raise FenceError when an audit event reaches over the fence."""
        paths = _PATHS.get(event)
        if paths is not None:
            for path in arguments[:paths]:
                self._check_path(event, path)
        elif event == "sqlite3.connect":
            self._check_database(event, arguments[0])
        elif event == "socket.connect":
            self._check_peer(event, arguments[1])

    def _check_path(self, event: str, path: object) -> None:
        real = _real(path)
        if real is None:
            return
        if any(_within(real, folder) for folder in self.closed) and not any(_within(real, own) or _beside(real, own) for own in self.own):
            raise FenceError(f"{event}: not this process's file")
        if event == "os.rename" and any(_within(folder, real) for folder in self.closed):
            raise FenceError(f"{event}: not this process's folder")

    def _check_database(self, event: str, path: object) -> None:
        """Only our own databases: with any other connection, one in memory too, ATTACH would open a file without an event."""
        if _real(path) not in self.own:
            raise FenceError(f"{event}: not this process's database")

    def _check_peer(self, event: str, address: object) -> None:
        if not isinstance(address, tuple) or address[:2] not in self.peers:
            raise FenceError(f"{event}: not a peer of this process")


#: Audit events and how many of their first arguments are paths.
_PATHS = {
    "open": 1, "os.listdir": 1, "os.scandir": 1, "os.rename": 2, "os.link": 2, "os.symlink": 2,
    "os.remove": 1, "os.rmdir": 1, "os.mkdir": 1, "os.truncate": 1, "os.chmod": 1, "os.chown": 1,
}


def _real(path: object) -> str | None:
    """Return the file that `path` means, links followed; None for a descriptor or SQLite's memory."""
    if isinstance(path, int) or not isinstance(path, (str, bytes, os.PathLike)):
        return None
    text = os.fsdecode(path)
    if text in {"", ":memory:"}:
        return None
    if text.startswith("file:"):  # an SQLite URI
        text = unquote(text.removeprefix("file:").partition("?")[0])
        text = "/" + text.lstrip("/") if text.startswith("//") else text
    return os.path.realpath(text)


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _beside(path: str, database: str) -> bool:
    return path.startswith(database + "-") and "/" not in path[len(database) :]
