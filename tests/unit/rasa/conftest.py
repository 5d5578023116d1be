"""Fixtures of the Rasa process's tests: a tracker store on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from confide.storage.database import open_database
from confide.storage.keyring import write_new_key_file, write_private
from tests.unit.rasa import project_kit
from tests.unit.rasa.store_kit import StoreKit


@pytest.fixture(params=["sqlite", "postgresql"])
def kit(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreKit]:
    """The store on each database."""
    if request.param == "sqlite":
        urls = _sqlite(tmp_path)
    else:
        urls = _postgresql(request.getfixturevalue("postgres_url"))
    kit = StoreKit.open(tmp_path, *urls)
    yield kit
    kit.close()


@pytest.fixture
def sqlite_kit(tmp_path: Path) -> Iterator[StoreKit]:
    """The store on SQLite alone: for what is about its files."""
    kit = StoreKit.open(tmp_path, *_sqlite(tmp_path))
    yield kit
    kit.close()


@pytest.fixture(scope="session")
def project_keys() -> dict[str, bytes]:
    return {name: secrets.token_bytes(32) for name in ("gateway-rasa.key", "rasa-actions.key", "pseudonym.key", "model.key")}


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, project_keys: dict[str, bytes]) -> Path:
    """A small project folder with its keys and a trained, signed model."""
    root = tmp_path_factory.mktemp("project")
    for name, content in project_kit.FILES.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(content)
    folder = root / "var" / "keys" / "rasa"
    folder.mkdir(parents=True, mode=0o700)
    for name, key in project_keys.items():
        write_private(folder / name, key)
    write_new_key_file(folder / "kek.json")
    trained = project_kit.train(root)
    assert trained.returncode == 0, trained.stderr
    return root


def _sqlite(folder: Path) -> tuple[str, str]:
    return f"sqlite:///{folder}/tracker.sqlite", f"sqlite:///{folder}/keystore.sqlite"


def _postgresql(server: str) -> tuple[str, str]:
    """Two new databases: the tracker's and its key store's."""
    engine = open_database(server)
    names = [f"test_{secrets.token_hex(8)}" for _ in range(2)]
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for name in names:
            connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    first, second = (make_url(server).set(database=name).render_as_string(hide_password=False) for name in names)
    return first, second
