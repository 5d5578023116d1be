"""Engines for our databases: SQLite by default, PostgreSQL by URL, the same rules on both.

SQLite writers take the lock when the transaction begins (BEGIN IMMEDIATE) and wait for a bounded time: with SQLite's own lazy BEGIN a
transaction that reads and then writes fails as soon as another process writes. Errors never carry parameters (hide_parameters).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Engine, Table, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

#: Seconds a writer waits for another before it gives up; below the turn's own deadline.
BUSY_TIMEOUT = 3

Journal = Literal["WAL", "TRUNCATE"]


class DatabaseAway(Exception):
    """The database cannot be reached, is locked, or cannot be written. The message names no value."""


class DatabaseFault(Exception):
    """The database refused a statement: a broken rule of ours. Names the kind of error alone.

    The driver's own text is not kept: PostgreSQL quotes the line it refused, values and all, and hide_parameters does not reach that.
    """


def open_database(url: str, journal: Journal = "WAL") -> Engine:
    """Return an engine for `url`.

    `journal` is for SQLite alone: a key store uses TRUNCATE, because a key deleted from a WAL database stays readable in the log even
    with secure_delete.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        if parsed.database:
            _create_private(Path(parsed.database))
        engine = create_engine(parsed, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT, "check_same_thread": False})
        _configure_sqlite(engine, journal)
        return engine
    return create_engine(
        parsed.set(drivername="postgresql+psycopg2"), hide_parameters=True, pool_pre_ping=True,
        connect_args={"connect_timeout": BUSY_TIMEOUT, "options": f"-c lock_timeout={BUSY_TIMEOUT}s -c statement_timeout=10s"},
    )


def is_away(error: BaseException) -> bool:
    """Say whether an error from SQLAlchemy means that the database cannot be used now (as against a broken rule of ours)."""
    return isinstance(error, DBAPIError) and type(error).__name__ in {"OperationalError", "InterfaceError"}


def _create_private(path: Path) -> None:
    # mkdir's mode is for the last folder alone; whatever is missing above it is made private too.
    for folder in reversed([each for each in (path.parent, *path.parent.parents) if not each.exists()]):
        folder.mkdir(mode=0o700, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600))


def _configure_sqlite(engine: Engine, journal: Journal) -> None:
    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions by itself; _on_begin does
        cursor = connection.cursor()
        for pragma in (f"journal_mode={journal}", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def insert_if_absent(transaction: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert `row` unless one with its key is there; say whether it was inserted.

    On PostgreSQL it waits for a transaction that is inserting the same key; on SQLite there is only ever one writer.
    """
    dialect = postgresql if transaction.dialect.name == "postgresql" else sqlite
    return transaction.execute(dialect.insert(table).values(dict(row)).on_conflict_do_nothing()).rowcount == 1
