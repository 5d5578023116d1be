"""Refuses a SQLite database whose file was removed, replaced or swapped for a directory while the process had it open; and ATTACH.

An open connection goes on working on a deleted file: turns would seem saved and be gone with the process. So each transaction first
looks whether the path still names the file that was opened. After a restore the process is started again; it never guesses.
"""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass

from sqlalchemy import Engine, event

from confide.storage.database import DatabaseAway


@dataclass(frozen=True)
class _Identity:
    device: int
    inode: int


def guard_file(engine: Engine) -> Engine:
    """Return `engine`, which from now on raises DatabaseAway when its SQLite file is not the one it is now. Other databases: no change."""
    path = engine.url.database
    if engine.dialect.name != "sqlite" or not path:
        return engine
    opened = _identity(path)

    def refuse(*_arguments: object) -> None:
        if _identity(path) != opened:
            raise DatabaseAway("the database file was removed or replaced; restart when it is back")

    def forbid_attach(connection: sqlite3.Connection, _record: object) -> None:
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)  # ATTACH would open another file past the fence

    event.listen(engine, "connect", forbid_attach)
    event.listen(engine, "do_connect", refuse)  # before a new connection could create an empty file in its place
    event.listen(engine, "begin", refuse, insert=True)
    return engine


def _identity(path: str) -> _Identity | None:
    try:
        found = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    return _Identity(found.st_dev, found.st_ino)
