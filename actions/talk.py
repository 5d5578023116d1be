"""Reaching a person, and saying the last thing again."""

from __future__ import annotations

from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

from confide.guard.guard import Guard
from confide.server.guarded import Events, GuardedAction


class Repeat(Action):
    """Says the bot's last message again. A value in it comes back only while its grant lasts; after that the gateway leaves it out."""

    def name(self) -> str:
        return "action_repeat"

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> Events:
        if (tracker.active_loop or {}).get("name"):
            return []  # the form asks its question again by itself
        said = [event["text"] for event in tracker.events if event.get("event") == "bot" and event.get("text")]
        if said:
            dispatcher.utter_message(text=said[-1])
        else:
            dispatcher.utter_message(response="utter_help")
        return []


def build(guard: Guard) -> list[Action]:
    """Return the talk actions."""
    return [GuardedAction(guard, "human_handoff"), Repeat()]
