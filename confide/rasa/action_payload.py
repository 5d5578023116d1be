"""What an action is told: the newest turns and the current state, without the parts that no action reads.

Rasa posts the whole conversation and the whole domain on every call. OWASP ASVS 5.0 14.2.6 (return the minimum).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: Turns that an action sees, counted by user messages, the current one included.
ACTION_TURNS = 6
#: Parts of a parsed message that say how it was understood, not what was said.
_UNREAD = ("intent_ranking", "response_selector", "text_tokens")
_DOMAIN_PARTS = ("forms", "slots")

Json = dict[str, Any]


def trim(call: Mapping[str, Any], domain: Mapping[str, Any], turns: int = ACTION_TURNS) -> Json:
    """Return the call that goes to the action server; `call` is Rasa's and is not changed."""
    tracker = dict(call["tracker"])
    events = _newest(tracker.get("events") or (), turns)
    current = max((index for index, event in enumerate(events) if event.get("event") == "user"), default=-1)
    tracker["events"] = [_event(event, index == current) for index, event in enumerate(events)]
    tracker["latest_message"] = _message(tracker.get("latest_message"))
    return {**call, "tracker": tracker, "domain": {part: domain.get(part, {}) for part in _DOMAIN_PARTS}}


def _newest(events: Sequence[Json], turns: int) -> Sequence[Json]:
    users = [index for index, event in enumerate(events) if event.get("event") == "user"]
    return events if len(users) <= turns else events[users[-turns] :]


def _event(event: Json, current: bool) -> Json:
    if event.get("event") != "user":
        return event
    trimmed = {**event, "parse_data": _message(event.get("parse_data"))}
    if not current:  # a capability speaks for its own turn alone; older ones have no business in a call
        trimmed["metadata"] = {}
        trimmed["parse_data"] = {**trimmed["parse_data"], "metadata": {}}
    return trimmed


def _message(parse_data: Mapping[str, Any] | None) -> Json:
    return {name: value for name, value in (parse_data or {}).items() if name not in _UNREAD}
