"""The audit log: in the effect's transaction, pseudonymous, closed to anything but plain names."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from confide.audit.events import GATEWAY_EVENTS, Event
from confide.audit.log import AuditRefused
from confide.guard.guard import Guard
from confide.storage.database import DatabaseAway, DatabaseFault
from confide.storage.schema import audit_events
from tests.unit.kit import Kit


def test_names_are_source_subject_action() -> None:
    for event in Event:
        assert len(event.value.split(":")) == 3 and event.value.islower()
    assert GATEWAY_EVENTS and all(event.value.startswith("gateway:") for event in GATEWAY_EVENTS)


def test_entries_carry_pseudonyms(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    customer.ask("freeze_card", heard__card="debit")
    rows = kit.rows(audit_events)
    assert [row.event for row in rows][-2:] == ["core:session:signed_in", "core:effect:done"]
    everything = json.dumps([tuple(row) for row in rows])
    assert "1001" not in everything and customer.session not in everything
    assert rows[-1].subject == rows[-2].subject is not None


@pytest.mark.parametrize("value", ["a b", "line\nbreak", "\x1b[31m", "", "x" * 65, "ada@example.com", "ü"])
def test_free_text_is_refused_by_name_only(kit: Kit, value: str) -> None:
    with pytest.raises(AuditRefused) as raised, kit.core.transaction() as transaction:
        kit.core.audit.append(transaction, Event.ACTION_REFUSED, reason=value)
    assert "reason" in str(raised.value) and (not value or value not in str(raised.value))


def test_too_much_is_refused(kit: Kit) -> None:
    with pytest.raises(AuditRefused), kit.core.transaction() as transaction:
        kit.core.audit.append(transaction, Event.ACTION_REFUSED, **{f"field{number}": "x" * 60 for number in range(20)})


def test_what_cannot_be_audited_does_not_happen(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    with kit.core.transaction() as transaction:
        transaction.execute(text("ALTER TABLE audit_events RENAME TO elsewhere"))
    with pytest.raises((DatabaseAway, DatabaseFault)):
        customer.ask("freeze_card", heard__card="debit")
    with kit.core.transaction() as transaction:
        transaction.execute(text("ALTER TABLE elsewhere RENAME TO audit_events"))
        assert transaction.execute(text("SELECT count(*) FROM bank_cards WHERE frozen_at IS NOT NULL")).scalar() == 0
    assert isinstance(kit.guard, Guard) and customer.ask("freeze_card", heard__card="debit").response == "utter_card_frozen"
