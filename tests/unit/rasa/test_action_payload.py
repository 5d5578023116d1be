"""What an action is told, and what it is not."""

from __future__ import annotations

import copy
from typing import Any

from confide.rasa.action_payload import ACTION_TURNS, trim


def _user(number: int) -> dict[str, Any]:
    parse = {
        "text": f"text {number}", "intent": {"name": "pay"}, "entities": [], "intent_ranking": ["long"], "text_tokens": [[0, 1]],
        "response_selector": {}, "metadata": {"capability": f"capability {number}"},
    }
    return {"event": "user", "text": parse["text"], "parse_data": parse, "metadata": {"capability": f"capability {number}"}}


def _call(turns: int) -> dict[str, Any]:
    events: list[dict[str, Any]] = []
    for number in range(turns):
        events += [_user(number), {"event": "action", "name": "action_x"}, {"event": "slot", "name": "payee", "value": number}]
    return {
        "next_action": "action_x", "sender_id": "a" * 32, "version": "3.6.21",
        "tracker": {"slots": {"payee": "maria"}, "events": events, "latest_message": _user(turns - 1)["parse_data"], "active_loop": {}},
    }


DOMAIN = {"forms": {"pay_form": {}}, "slots": {"payee": {}}, "responses": {"utter": []}, "actions": ["a"], "intents": ["pay"]}


def test_an_action_sees_the_newest_turns_alone() -> None:
    sent = trim(_call(ACTION_TURNS + 5), DOMAIN)["tracker"]["events"]
    assert [event["text"] for event in sent if event["event"] == "user"] == [f"text {number}" for number in range(5, ACTION_TURNS + 5)]
    assert sent[0]["event"] == "user"


def test_a_short_conversation_is_sent_whole() -> None:
    assert len(trim(_call(2), DOMAIN)["tracker"]["events"]) == 6
    assert trim({**_call(1), "tracker": {"events": [], "latest_message": None}}, DOMAIN)["tracker"]["events"] == []


def test_of_the_domain_forms_and_slots_alone() -> None:
    assert trim(_call(1), DOMAIN)["domain"] == {"forms": {"pay_form": {}}, "slots": {"payee": {}}}


def test_how_a_message_was_understood_stays_here() -> None:
    sent = trim(_call(3), DOMAIN)["tracker"]
    for message in [sent["latest_message"], *(event["parse_data"] for event in sent["events"] if event["event"] == "user")]:
        assert set(message) == {"text", "intent", "entities", "metadata"}


def test_the_capability_of_this_turn_alone_is_sent() -> None:
    sent = trim(_call(3), DOMAIN)
    assert "capability 0" not in str(sent)
    assert "capability 1" not in str(sent)
    assert sent["tracker"]["latest_message"]["metadata"] == {"capability": "capability 2"}
    assert sent["tracker"]["events"][-3]["metadata"] == {"capability": "capability 2"}


def test_rasas_own_copy_is_not_changed() -> None:
    call = _call(ACTION_TURNS + 2)
    before = copy.deepcopy(call)
    trim(call, DOMAIN)
    assert call == before
