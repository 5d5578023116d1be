"""Stock Rasa's side of `make bench`: actions that answer like ours, from constants. Run by the stock SDK server, on stock Rasa's own Python.

No sign-in, no database, no audit, no checks: what a bot without them costs.
"""

from __future__ import annotations

from typing import Any

from rasa_sdk import Action, FormValidationAction, Tracker
from rasa_sdk.events import SlotSet
from rasa_sdk.executor import CollectingDispatcher

BALANCES = {"Current account": "€1,204.33", "Savings": "€8,250.00"}
PAYEES = ("Maria Huber", "City Energy", "Leo Okafor")
FORM_SLOTS = ("payee", "amount", "currency", "reference")

Events = list[dict[str, Any]]


class CheckBalance(Action):  # type: ignore[misc]  # the SDK has no types
    """Says the balances of one customer whom nobody asked who they are."""

    def name(self) -> str:
        return "action_check_balance"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> Events:
        lines = "\n".join(f"{account}: {balance}" for account, balance in BALANCES.items())
        dispatcher.utter_message(response="utter_balance", accounts=lines)
        return []


class ValidatePaymentForm(FormValidationAction):  # type: ignore[misc]  # the SDK has no types
    """Takes a payee from a list and anything with a digit as an amount."""

    def name(self) -> str:
        return "validate_payment_form"

    def validate_payee(self, value: object, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> dict[str, Any]:
        return {"payee": value if value in PAYEES else None}

    def validate_amount(self, value: object, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> dict[str, Any]:
        return {"amount": value if any(character.isdigit() for character in str(value)) else None}


class MakePayment(Action):  # type: ignore[misc]  # the SDK has no types
    """Asks for a yes, as our confirmation card does."""

    def name(self) -> str:
        return "action_make_payment"

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> Events:
        dispatcher.utter_message(
            text=f"Pay €{tracker.get_slot('amount')} to {tracker.get_slot('payee')}, \"{tracker.get_slot('reference')}\"?",
            buttons=[{"title": "Yes", "payload": "/affirm"}, {"title": "No", "payload": "/deny"}],
        )
        return [SlotSet(slot, None) for slot in FORM_SLOTS]
