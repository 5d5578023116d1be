"""The hands of the conversation: one module a skill, each action thin. Nothing is made at import; the launcher calls `build`."""

from __future__ import annotations

from rasa_sdk import Action

from actions import accounts, cards, identity, payments, talk
from confide.guard.guard import Guard


def build(guard: Guard) -> list[Action]:
    """Return every action the assistant has."""
    return [action for skill in (accounts, cards, identity, payments, talk) for action in skill.build(guard)]
