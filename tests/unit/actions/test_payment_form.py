"""The form's checks, and what an action takes from a turn. Through the SDK's own executor."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from rasa_sdk.executor import ActionExecutor

import actions
from tests.unit.kit import Customer, Kit


def run(customer: Customer, action: str, *, entities: dict[str, str] | None = None, form: str | None = None, asked: str | None = None,
        said: list[str] | None = None, **slots: object) -> dict[str, Any]:
    executor = ActionExecutor()
    for each in actions.build(customer.kit.guard):
        executor.register_action(each)
    heard = [{"entity": name, "value": value} for name, value in (entities or {}).items()]
    tracker = {
        "sender_id": customer.conversation, "slots": {"requested_slot": asked, **slots}, "paused": False, "latest_action_name": None,
        "latest_message": {"intent": {"name": "make_payment"}, "entities": heard, "metadata": {"capability": customer.capability()}},
        "events": [{"event": "bot", "text": text} for text in said or []] + [{"event": "slot", "name": name, "value": value} for name, value in slots.items()],
        "active_loop": {"name": form} if form else {}, "followup_action": None, "latest_input_channel": "confide",
    }
    domain = {"forms": {"payment_form": {"required_slots": ["payee", "amount", "reference"]}}, "slots": {}, "responses": {}}
    result = asyncio.run(executor.run({"next_action": action, "sender_id": customer.conversation, "tracker": tracker, "domain": domain}))
    assert result is not None
    return result


def slots(result: dict[str, Any]) -> dict[str, Any]:
    return {event["name"]: event["value"] for event in result["events"] if event["event"] == "slot"}


def test_a_stranger_is_asked_nothing(sqlite_kit: Kit) -> None:
    result = run(sqlite_kit.customer(), "validate_payment_form", amount="20")
    assert slots(result)["requested_slot"] is None, "the form ends at once; the guarded action then says to sign in"


def test_good_values_are_kept(sqlite_kit: Kit) -> None:
    customer = sqlite_kit.customer().sign_in()
    heard = {"payee": "maria", "amount": "20", "reference": "rent"}
    assert {**slots(run(customer, "validate_payment_form", entities=heard, **heard))} == heard | slots(run(customer, "validate_payment_form", form="payment_form"))


@pytest.mark.parametrize(("slot", "value", "response"), [("payee", "nobody", "utter_payee_unknown"), ("amount", "lots", "utter_amount_unclear")])
def test_bad_values_are_asked_again(sqlite_kit: Kit, slot: str, value: str, response: str) -> None:
    result = run(sqlite_kit.customer().sign_in(), "validate_payment_form", form="payment_form", asked=slot, **{slot: value})
    assert slots(result)[slot] is None
    assert result["responses"][0]["response"] == response


@pytest.mark.parametrize("slot", ["payee", "amount", "reference"])
def test_a_form_that_begins_takes_nothing_from_earlier_messages(sqlite_kit: Kit, slot: str) -> None:
    value = {"payee": "maria", "amount": "4929", "reference": "old"}[slot]
    customer = sqlite_kit.customer().sign_in()
    assert slots(run(customer, "validate_payment_form", **{slot: value}))[slot] is None
    assert slots(run(customer, "validate_payment_form", entities={slot: value}, **{slot: value}))[slot] == value
    assert slots(run(customer, "validate_payment_form", form="payment_form", **{slot: value}))[slot] == value


def test_repeat_says_the_last_thing_again_but_not_inside_a_form(sqlite_kit: Kit) -> None:
    customer = sqlite_kit.customer()
    assert run(customer, "action_repeat", said=["one", "two"])["responses"][0]["text"] == "two"
    assert run(customer, "action_repeat")["responses"][0]["response"] == "utter_help"
    assert run(customer, "action_repeat", said=["one"], form="payment_form")["responses"] == []


def test_cancelling_forgets_what_the_form_heard(sqlite_kit: Kit) -> None:
    customer = sqlite_kit.customer().sign_in()
    card = customer.pay("20").card
    assert card is not None
    result = run(customer, "action_cancel", payee="maria", amount="20")
    assert slots(result) == {"payee": None, "amount": None, "currency": None, "reference": None}
    assert [each.get("custom") or each.get("response") for each in result["responses"]] == [{"type": "card_closed", "ref": card.ref}, "utter_cancelled"]


def test_words_that_are_no_text_are_not_taken(sqlite_kit: Kit) -> None:
    customer = sqlite_kit.customer().sign_in()
    result = run(customer, "action_make_payment", payee="maria", amount=500, reference=["x"])
    assert result["responses"][0]["response"] == "utter_amount_unclear"
