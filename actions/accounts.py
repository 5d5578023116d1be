"""Balance and transactions."""

from __future__ import annotations

from rasa_sdk import Action

from confide.guard.guard import Guard
from confide.server.guarded import GuardedAction


def build(guard: Guard) -> list[Action]:
    """Return the account actions."""
    return [GuardedAction(guard, "check_balance"), GuardedAction(guard, "list_transactions")]
