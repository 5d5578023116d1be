"""Engines: private files, bounded waiting, and errors that say nothing of what was stored."""

from __future__ import annotations

import sqlite3
import threading
import traceback
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from confide.storage.database import DatabaseAway, DatabaseFault, insert_if_absent, is_away, open_database
from confide.storage.schema import leases
from tests.unit.kit import Kit


def test_a_new_sqlite_file_is_its_owners_alone(tmp_path: Path) -> None:
    open_database(f"sqlite:///{tmp_path}/new/data.sqlite")
    assert (tmp_path / "new/data.sqlite").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_errors_hide_parameters(kit: Kit) -> None:
    """PostgreSQL's own text quotes the statement with its values; only our exception leaves the core."""
    with pytest.raises((DatabaseFault, DatabaseAway)) as raised, kit.core.transaction() as transaction:
        transaction.execute(text("INSERT INTO nowhere VALUES (:name)"), {"name": "Maria Huber"})
    assert "Maria" not in "".join(traceback.format_exception(raised.value))


def test_a_locked_database_is_away_not_broken(sqlite_kit: Kit) -> None:
    path = sqlite_kit.core.database.url.database
    assert path is not None
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseAway) as raised, sqlite_kit.core.transaction():
        pass
    assert raised.value.__cause__ is None and sqlite_kit.core.health()["database"] == "away"
    holder.execute("ROLLBACK")
    assert sqlite_kit.core.health() == {"database": "ok", "keystore": "ok"}


def test_a_broken_rule_is_not_taken_for_an_absence(kit: Kit) -> None:
    with pytest.raises(DatabaseFault, match="IntegrityError"), kit.core.transaction() as transaction:
        transaction.execute(text("INSERT INTO leases (name) VALUES ('x')"))


def test_a_server_that_is_not_there_is_away(tmp_path: Path) -> None:
    engine = open_database("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(DBAPIError) as raised, engine.begin():
        pass
    assert is_away(raised.value)


def test_writers_that_read_first_do_not_fail(sqlite_kit: Kit) -> None:
    """With SQLite's lazy BEGIN most of these would end in `database is locked`."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(20):
                with sqlite_kit.core.transaction() as transaction:
                    transaction.execute(text("SELECT count(*) FROM leases")).scalar()
                    transaction.execute(text("UPDATE bank_accounts SET balance_minor = balance_minor + 1 WHERE id = '1001-1'"))
        except DatabaseAway as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with sqlite_kit.core.transaction() as transaction:
        assert transaction.execute(text("SELECT balance_minor FROM bank_accounts WHERE id = '1001-1'")).scalar() == 1_204_33 + 80


def test_insert_if_absent_says_who_was_first(kit: Kit) -> None:
    row = {"name": "n", "holder": "h", "expires_at": 1.0}
    with kit.core.transaction() as transaction:
        assert insert_if_absent(transaction, leases, row)
        assert not insert_if_absent(transaction, leases, row)
