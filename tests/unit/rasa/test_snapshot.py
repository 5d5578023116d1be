"""A tracker's state in a few values and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rasa.shared.core.events import (
    ActionExecuted,
    ActionExecutionRejected,
    ActiveLoop,
    ConversationPaused,
    Event,
    FollowupAction,
    SlotSet,
    UserUttered,
)
from rasa.shared.core.trackers import DialogueStateTracker

from confide.rasa import snapshot
from tests.unit.rasa.store_kit import ALICE, DOMAIN, turn

LISTEN = "action_listen"
OPENED = [
    UserUttered("pay", {"name": "pay"}, [], {"text": "pay", "intent": {"name": "pay"}, "entities": [], "intent_ranking": ["long"]}),
    ActionExecuted("pay_form"), ActiveLoop("pay_form"),
]


def _tracker(events: list[Event]) -> DialogueStateTracker:
    return DialogueStateTracker.from_events(ALICE, events, DOMAIN.slots)


@pytest.mark.parametrize("events", [
    [*turn("hello"), ActionExecuted(LISTEN)],
    [*turn("hello", slot=("payee", "maria")), SlotSet("amount", None), ActionExecuted(LISTEN)],
    [*OPENED, SlotSet("payee", "maria"), ActionExecuted(LISTEN)],
    [*OPENED, ActionExecutionRejected("pay_form"), ActionExecuted(LISTEN)],
    [ActionExecuted("pay_form"), ActiveLoop("pay_form"), ActionExecuted(LISTEN)],
    [*turn("hello"), ConversationPaused(), ActionExecuted(LISTEN)],
    [*turn("hello"), FollowupAction("action_paid")],
    [*turn("hello")],
], ids=["plain", "slots", "form", "rejected form", "form without message", "paused", "follow-up", "not listening"])
def test_the_state_survives_and_can_be_stored(events: list[Event]) -> None:
    taken = snapshot.take(_tracker(events))
    stored: dict[str, Any] = json.loads(json.dumps(taken))
    assert snapshot.take(_tracker(snapshot.restore(stored, {"payee", "amount"}))) == taken


def test_the_form_knows_which_message_opened_it() -> None:
    taken = snapshot.take(_tracker([*OPENED, ActionExecuted(LISTEN)]))
    restored = _tracker(snapshot.restore(taken, set()))
    assert restored.active_loop is not None
    assert restored.active_loop.trigger_message is not None
    assert restored.active_loop.trigger_message["intent"] == {"name": "pay"}
    assert "intent_ranking" not in taken["loop"]["trigger"]


def test_a_slot_that_the_domain_lost_is_left_out() -> None:
    taken = snapshot.take(_tracker(turn("hello", slot=("payee", "maria"))))
    assert not [event for event in snapshot.restore(taken, {"amount"}) if isinstance(event, SlotSet)]


def test_rebuilt_events_are_as_old_as_what_they_stand_for() -> None:
    tracker = _tracker(turn("hello"))
    tracker.events[-1].timestamp = 1_790_000_000.0
    restored = snapshot.restore(snapshot.take(tracker), set())
    assert {event.timestamp for event in restored} == {1_790_000_000.0}
