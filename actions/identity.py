"""Proving who one is, going on after the proof, and changing one's mind."""

from __future__ import annotations

from rasa_sdk import Action

from actions.payments import FORM_SLOTS
from confide.guard.guard import Guard
from confide.server.guarded import GuardedAction, GuardStep


def build(guard: Guard) -> list[Action]:
    """Return the identity actions."""
    return [
        GuardedAction(guard, "set_up_2fa"),
        GuardedAction(guard, "verify_identity"),
        GuardStep(guard, "resume", guard.resume),
        GuardStep(guard, "cancel", guard.cancel, clears=FORM_SLOTS),
    ]
