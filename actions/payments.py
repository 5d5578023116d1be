"""Paying: the form's checks, and the two guarded actions. What a slot says is only a proposal; the guard binds what the bank knows."""

from __future__ import annotations

import asyncio
from typing import Any

from rasa_sdk import Action, FormValidationAction, Tracker
from rasa_sdk.executor import CollectingDispatcher

from bank.money import parse_minor
from confide.guard.guard import SIGN_IN_FIRST, Guard
from confide.server.guarded import GuardedAction, Turn, say

FORM_SLOTS = ("payee", "amount", "currency", "reference")


class ValidatePaymentForm(FormValidationAction):
    """Checks what the payment form heard, as it goes."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def name(self) -> str:
        return "validate_payment_form"

    async def required_slots(
        self, domain_slots: list[str], dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[str]:
        """Ask a stranger nothing: with no slot to fill the form ends, and the guarded action says to sign in."""
        turn = Turn.of(tracker)
        said = await asyncio.to_thread(self._guard.ask, "payees", turn.capability, turn.conversation, {})
        return [] if said.response == SIGN_IN_FIRST else domain_slots

    async def validate_payee(
        self, value: object, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> dict[str, Any]:
        """Keep a name that is one of the customer's payees; say which there are otherwise."""
        turn = Turn.of(tracker)
        if _left_over(tracker, turn, "payee", value):
            return {"payee": None}
        said = await asyncio.to_thread(self._guard.ask, "payees", turn.capability, turn.conversation, {"payee": str(value)})
        if said.response in ("", SIGN_IN_FIRST):
            return {"payee": value}
        say(dispatcher, said)
        return {"payee": None}

    async def validate_amount(
        self, value: object, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> dict[str, Any]:
        """Keep a text that has one amount in it."""
        if _left_over(tracker, Turn.of(tracker), "amount", value):
            return {"amount": None}
        if parse_minor(str(value)) is None:
            dispatcher.utter_message(response="utter_amount_unclear")
            return {"amount": None}
        return {"amount": value}

    async def validate_reference(
        self, value: object, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> dict[str, Any]:
        """Keep any text."""
        return {"reference": None if _left_over(tracker, Turn.of(tracker), "reference", value) else value}


def _left_over(tracker: Tracker, turn: Turn, slot: str, value: object) -> bool:
    """Say whether a form that is just beginning finds a value that this message did not bring.

    Rasa fills a slot from any message it takes for one about payments; a payment must not begin with what was heard ten minutes ago.
    """
    return not (tracker.active_loop or {}).get("name") and value not in turn.heard(slot)


def build(guard: Guard) -> list[Action]:
    """Return the payment actions."""
    return [
        ValidatePaymentForm(guard),
        GuardedAction(guard, "make_payment", clears=FORM_SLOTS),
        GuardedAction(guard, "change_payment", clears=FORM_SLOTS),
    ]
