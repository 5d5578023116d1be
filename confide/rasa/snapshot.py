"""The state of a tracker in a few values, and the events that bring a fresh tracker back to it.

A conversation of a thousand turns must cost per turn what a new one does, so only its newest turns are read. What went before them is
carried in this snapshot: slots, the active form with the message that opened it, pause and pending follow-up. The events rebuilt from
it keep the order in which Rasa itself would have collapsed the turns of a form, so that policies predict the same (see the parity test).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from rasa.shared.core.constants import ACTION_LISTEN_NAME
from rasa.shared.core.events import (
    ActionExecuted,
    ActionExecutionRejected,
    ActiveLoop,
    ConversationPaused,
    Event,
    FollowupAction,
    SessionStarted,
    SlotSet,
    UserUttered,
)
from rasa.shared.core.trackers import DialogueStateTracker

#: JSON: {"at": Unix seconds, "slots": {name: value}, "loop": {name, rejected, trigger} | null, "latest": name of the latest
#: action | null, "paused": bool, "followup": name | null}.
Snapshot = Mapping[str, Any]

#: What a policy or a form reads of the message that opened a form. The rest of the parse (ranking, tokens) is not carried along.
_TRIGGER_FIELDS = ("text", "intent", "entities")


def take(tracker: DialogueStateTracker) -> Snapshot:
    """Return the state of `tracker` now."""
    return {
        "at": tracker.events[-1].timestamp if tracker.events else 0.0,
        "slots": {name: slot.value for name, slot in tracker.slots.items() if slot.has_been_set},
        "loop": _loop(tracker),
        "latest": tracker.latest_action_name,
        "paused": tracker.is_paused(),
        "followup": tracker.followup_action,
    }


def restore(snapshot: Snapshot, known_slots: Collection[str]) -> list[Event]:
    """Return events that lead a new tracker to `snapshot`; slots that the domain no longer knows are left out."""
    events: list[Event] = [SessionStarted()]
    events += _open_loop(snapshot["loop"])
    events += [SlotSet(name, value) for name, value in snapshot["slots"].items() if name in known_slots]
    if snapshot["loop"] and snapshot["loop"]["rejected"]:
        events.append(ActionExecutionRejected(snapshot["loop"]["name"]))
    if snapshot["paused"]:
        events.append(ConversationPaused())
    if snapshot["latest"] and snapshot["latest"] != (snapshot["loop"] or {}).get("name"):
        events.append(ActionExecuted(snapshot["latest"]))
    if snapshot["followup"]:
        events.append(FollowupAction(snapshot["followup"]))
    for event in events:
        event.timestamp = snapshot["at"]
    return events


def _loop(tracker: DialogueStateTracker) -> Mapping[str, Any] | None:
    loop = tracker.active_loop
    if loop is None or tracker.active_loop_name is None:
        return None
    trigger = loop.trigger_message or {}
    return {
        "name": loop.name, "rejected": loop.rejected,
        "trigger": {name: trigger[name] for name in _TRIGGER_FIELDS if name in trigger},
    }


def _open_loop(loop: Mapping[str, Any] | None) -> list[Event]:
    if loop is None:
        return []
    trigger = loop["trigger"]
    opened: list[Event] = []
    if trigger:
        opened = [ActionExecuted(ACTION_LISTEN_NAME), UserUttered(**trigger, parse_data=trigger)]
    return [*opened, ActionExecuted(loop["name"]), ActiveLoop(loop["name"])]
