"""Stand-ins for the custom actions, behind the real model: each says its own name, and a guarded one may open a challenge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rasa.core.agent import Agent
from rasa.core.channels.channel import CollectingOutputChannel, UserMessage
from rasa.shared.core.events import ActionExecuted, BotUttered
from rasa.utils.endpoints import EndpointConfig
from rasa_sdk import Action, FormValidationAction, Tracker
from rasa_sdk.events import ActiveLoop, FollowupAction
from rasa_sdk.executor import ActionExecutor, CollectingDispatcher

FORM_SLOTS = ("payee", "amount", "reference")


class Stub(Action):  # type: ignore[misc]
    """Says its name. With `challenge` it also stops the turn, as the guard does when it opens a card."""

    def __init__(self, name: str, world: World) -> None:
        self._name, self._world = name, world

    def name(self) -> str:
        return self._name

    def run(self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: Mapping[str, Any]) -> list[dict[str, Any]]:
        self._world.slots = dict(tracker.slots)
        dispatcher.utter_message(text=self._name)
        if self._name not in self._world.challenges:
            return []
        keep_loop = [ActiveLoop(tracker.active_loop_name)] if self._world.guard_renews_loop and tracker.active_loop_name else []
        return [*keep_loop, FollowupAction("action_listen")]


class StubForm(FormValidationAction):  # type: ignore[misc]
    """Takes what it hears; like the real one it refuses an unknown payee, and asks a stranger nothing."""

    def __init__(self, world: World) -> None:
        self._world = world

    def name(self) -> str:
        return "validate_payment_form"

    async def required_slots(
        self, domain_slots: list[str], dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[str]:
        return domain_slots if self._world.signed_in else []

    def validate_payee(self, value: object, *_: object) -> dict[str, Any]:
        return {"payee": None if value == "Nobody Known" else value}


@dataclass
class World:
    """What the stubs do in one talk, and what they saw."""

    #: Actions that open a challenge.
    challenges: frozenset[str] = frozenset()
    #: Whether an action that opens one in a form says `ActiveLoop` first, so that the form listens to the next message.
    guard_renews_loop: bool = True
    signed_in: bool = True
    #: The slots as the last guarded action saw them.
    slots: dict[str, Any] = field(default_factory=dict)


class StubEndpoint(EndpointConfig):  # type: ignore[misc]
    """The action server without HTTP: rasa_sdk's own executor over the stubs."""

    def __init__(self, actions: Iterable[str]) -> None:
        super().__init__("http://actions.invalid")
        self.world = World()
        self._actions = tuple(actions)

    async def request(self, *_: object, **arguments: Any) -> Any:
        executor = ActionExecutor()
        for name in self._actions:
            executor.register_action(StubForm(self.world) if name == "validate_payment_form" else Stub(name, self.world))
        return await executor.run(arguments["json"])


class Talk:
    """One conversation with the trained model."""

    def __init__(self, agent: Agent, endpoint: StubEndpoint, sender: str, world: World) -> None:
        self._agent, self._sender, self.world = agent, sender, world
        endpoint.world = world

    async def say(self, text: str) -> list[str]:
        """Send a message; return the names of the actions that ran after it, without those that only wait or read slots."""
        seen = len((await self._tracker()).events)
        await self._agent.handle_message(UserMessage(text, CollectingOutputChannel(), self._sender))
        events = list((await self._tracker()).events)[seen:]
        names = [event.action_name for event in events if isinstance(event, ActionExecuted)]
        return [name for name in names if name not in ("action_listen", "action_session_start", "action_extract_slots")]

    async def form(self) -> dict[str, Any]:
        """Return what the form holds and what it asks for."""
        tracker = await self._tracker()
        return {name: tracker.get_slot(name) for name in (*FORM_SLOTS, "requested_slot")} | {"loop": tracker.active_loop_name}

    async def last_words(self) -> str:
        """Return the bot's last text."""
        event = (await self._tracker()).get_last_event_for(BotUttered)
        return str(event.text) if event else ""

    async def _tracker(self) -> Any:
        return await self._agent.tracker_store.get_or_create_full_tracker(self._sender)
