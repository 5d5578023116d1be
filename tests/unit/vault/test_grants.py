"""Values the bot supplies: one session, a short time, nobody else. On SQLite and PostgreSQL."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select

from confide.storage.schema import grants, sessions
from confide.vault.grants import Value
from tests.unit.kit import Kit


def test_a_balance_travels_as_a_token_and_comes_back_to_its_own_session(kit: Kit) -> None:
    customer, other, stranger = kit.customer().sign_in(), kit.customer().sign_in("1002"), kit.customer()
    said = customer.ask("check_balance")
    assert re.fullmatch(r"ACCOUNTS_[A-Z2-7]{8}", said.tokens["accounts"])
    other.ask("check_balance")
    stranger.ask("check_balance")
    assert other.reveal(said) == {} and stranger.reveal(said) == {}
    assert customer.reveal(said) == {"accounts": "Current account: €1,204.33\nSavings: €8,250.00"}


def test_the_same_person_in_another_session_does_not_get_it(kit: Kit) -> None:
    said = kit.customer().sign_in().ask("check_balance")
    twin = kit.customer().sign_in()
    twin.ask("check_balance")
    assert twin.reveal(said) == {}


def test_a_token_ends_with_its_time_and_with_the_session(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    said = customer.ask("check_balance")
    kit.clock.forward(121)
    assert customer.reveal(said) == {}
    said = customer.ask("check_balance")
    kit.clock.forward(299 + 2)
    assert customer.reveal(said) == {}


def test_an_expired_login_gets_nothing_of_what_was_said_to_the_customer(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    for _ in range(149):
        kit.clock.forward(289)
        customer.ask("check_balance")
    said = customer.ask("check_balance")
    assert customer.reveal(said) != {}
    kit.clock.forward(140 - 21)  # twelve hours are over; the token itself would still be good
    assert kit.clock() < min(row.expires_at for row in kit.rows(grants) if row.token == said.tokens["accounts"])
    with kit.core.transaction() as transaction:
        transaction.execute(sessions.update().values(signed_in_at=kit.clock() - 43200))
    assert customer.reveal(said) == {}


def test_values_lie_sealed_and_old_ones_are_swept(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    customer.ask("check_balance")
    with kit.core.transaction() as transaction:
        sealed = transaction.execute(select(grants.c.sealed_value)).scalars().all()
    assert len(sealed) == 1 and b"1,204" not in sealed[0]
    kit.clock.forward(200)
    customer.ask("check_balance")
    assert len(kit.rows(grants)) == 1


def test_a_value_moved_to_another_token_does_not_open(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    said = customer.ask("check_balance")
    with kit.core.transaction() as transaction:
        transaction.execute(grants.update().values(token="ACCOUNTS_AAAAAAAA"))
    with pytest.raises(Exception, match="^$"):
        kit.api.reveal({"capability": customer.capability(), "tokens": ["ACCOUNTS_AAAAAAAA", *said.tokens.values()]})


@pytest.mark.parametrize("kind", ["", "a", "amount", "A1", "A" * 17])
def test_odd_kinds_are_refused(kit: Kit, kind: str) -> None:
    customer = kit.customer().sign_in()
    with pytest.raises(ValueError, match="capital"), kit.core.transaction() as transaction:
        speaker = kit.core.sessions.speaker(transaction, kit.core.capabilities.verify(customer.capability()))
        kit.core.grants.grant(transaction, speaker, Value(kind, "x"))
