"""The whole path with every database on a real PostgreSQL, each under a role of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from confide.storage.database import open_database
from tests.integration.chat import card_of, texts
from tests.integration.stack import running

pytestmark = pytest.mark.integration

DATABASES = {
    "CONFIDE_DATABASE_URL": "core", "CONFIDE_KEYSTORE_URL": "core_keys", "CONFIDE_TRACKER_URL": "tracker", "CONFIDE_TRACKER_KEYSTORE_URL": "tracker_keys",
}


def make_databases(server: str) -> dict[str, str]:
    """Return an address for each database, owned by a role that may open no other."""
    engine, addresses = open_database(server).execution_options(isolation_level="AUTOCOMMIT"), {}
    with engine.connect() as connection:
        for variable, name in DATABASES.items():
            for statement in (f"CREATE ROLE {name} LOGIN", f"CREATE DATABASE {name} OWNER {name}", f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC"):
                connection.execute(text(statement))
            addresses[variable] = make_url(server).set(database=name, username=name).render_as_string(hide_password=False)
    engine.dispose()
    return addresses


async def test_a_payment_on_postgresql(tmp_path: Path, trained_model: Path, postgres_url: str) -> None:
    with running(tmp_path, trained_model, **make_databases(postgres_url)) as stack:
        async with stack.chat() as chat:
            await chat.sign_in("1001", stack.people()["1001"].password)
            await chat.say("send 250 to Maria Huber")
            card = card_of(await chat.say("rent november"), "confirm")
            before = len(chat.heard)
            assert (await chat.card(card["ref"], stack.phone().now()))["outcome"] == "accepted"
            assert "€250.00 is on its way to Maria Huber" in texts(await chat.answer(before))
            assert "€954.33" in texts(await chat.say("what's my balance"))
        assert not list(stack.var.rglob("*.sqlite")), "nothing went to a file instead"
