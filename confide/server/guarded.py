"""Rasa's actions around the guard: each reads the turn, asks the guard, and says what comes back. No decision is made here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.events import ActiveLoop, FollowupAction, SlotSet
from rasa_sdk.executor import CollectingDispatcher

from confide.guard.guard import Guard, Said

Events = list[dict[str, Any]]


@dataclass(frozen=True)
class Turn:
    """What a guarded action takes from Rasa: the capability, the conversation, and the customer's words. All of it untrusted."""

    capability: object
    conversation: str
    words: Mapping[str, str]
    #: Entity and text, in order.
    entities: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, tracker: Tracker) -> Turn:
        """Read the newest message: slots by name, its entities as `heard.<entity>`, its intent as `topic`."""
        message = tracker.latest_message or {}
        metadata = message.get("metadata") or {}
        words = {name: value for name, value in tracker.slots.items() if isinstance(value, str)}
        entities = tuple(
            (str(entity.get("entity")), entity["value"]) for entity in message.get("entities") or [] if isinstance(entity.get("value"), str)
        )
        for name, value in entities:
            words.setdefault(f"heard.{name}", value)
        words["topic"] = str((message.get("intent") or {}).get("name") or "")
        return cls(metadata.get("capability"), str(tracker.sender_id), words, entities)

    def heard(self, entity: str) -> list[str]:
        """Return what this very message said for `entity`."""
        return [value for name, value in self.entities if name == entity]


class GuardedAction(Action):
    """`action_<deed>`: one deed of the guard. Must be the last step of its rule (design.md, "The guard")."""

    def __init__(self, guard: Guard, deed: str, clears: Iterable[str] = ()) -> None:
        """`clears` names the slots of the form that led here; the act keeps its own copy of what they said."""
        self._guard, self._deed, self._clears = guard, deed, tuple(clears)

    def name(self) -> str:
        return f"action_{self._deed}"

    def _step(self, turn: Turn) -> Said:
        return self._guard.ask(self._deed, turn.capability, turn.conversation, turn.words)

    async def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]) -> Events:
        said = await asyncio.to_thread(self._step, Turn.of(tracker))
        say(dispatcher, said)
        events: Events = [SlotSet(slot, None) for slot in self._clears]
        return [*events, *_listen(tracker)] if said.waits else events


class GuardStep(GuardedAction):
    """An action that is a step of the guard itself: going on after a proof, or ending what waits."""

    def __init__(self, guard: Guard, deed: str, step: Callable[[object, str], Said], clears: Iterable[str] = ()) -> None:
        super().__init__(guard, deed, clears)
        self._run_step = step

    def _step(self, turn: Turn) -> Said:
        return self._run_step(turn.capability, turn.conversation)


def _listen(tracker: Tracker) -> Events:
    """Stop here until the customer acts. An active form is renewed: Rasa would keep it as rejected and lose its next answer."""
    form = (tracker.active_loop or {}).get("name")
    return [*([ActiveLoop(form)] if form else []), FollowupAction("action_listen")]


def say(dispatcher: CollectingDispatcher, said: Said) -> None:
    """Hand a reply to Rasa: a response with tokens, a card by reference, and which cards are over."""
    for reference in said.closed:
        dispatcher.utter_message(json_message={"type": "card_closed", "ref": reference})
    buttons = [{"title": title, "payload": payload} for title, payload in said.options]
    dispatcher.utter_message(response=said.response, buttons=buttons, **said.tokens)
    if said.card:
        dispatcher.utter_message(json_message={"type": said.card.type, "ref": said.card.ref})
