"""Rasa's tracker store on sealed records: append-only, windowed, and never falling back to anything.

Rasa 3.6.21 wraps every store so that a failing read becomes a new conversation and a failing write a plain copy in memory. Ours is used
bare (confide/rasa/agent.py); it raises StoreError, and the channel answers that the store is away.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rasa.core.brokers.broker import EventBroker
from rasa.core.tracker_store import TrackerStore
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import Event, SessionStarted
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.shared.exceptions import RasaException

from confide.rasa import snapshot
from confide.rasa.record_chain import START, Position, Window
from confide.rasa.tracker_records import Records, StoreAway

#: Turns that `retrieve` reads. At least as long as any policy's max_history; the launcher checks it against the model.
WINDOW_TURNS = 20

_MARK = "_confide_progress"


@dataclass(frozen=True)
class _Progress:
    """How far the events of one tracker object are stored; kept on the object, because the processor goes on changing it."""

    position: Position
    count: int
    last: Event | None
    state: snapshot.Snapshot


class ConfideTrackerStore(TrackerStore):
    """Conversations in `records`, the newest `window` turns at a time."""

    def __init__(
        self, domain: Domain | None = None, event_broker: EventBroker | None = None, *, records: Records | None = None,
        window: int = WINDOW_TURNS, **_endpoint: Any,
    ) -> None:
        """`records` is given by our launcher. Rasa's own commands construct the store from endpoints.yml and are turned away."""
        if records is None:
            raise RasaException(
                "this conversation store opens only in `python -m confide.rasa` (make run); plain `rasa run` and `rasa shell` would "
                "fall back to memory when it fails"
            )
        super().__init__(domain, event_broker)
        self._records = records
        self._window = window

    async def retrieve(self, sender_id: str) -> DialogueStateTracker | None:
        """Return the conversation's newest turns since its session began, or None when it is new. Raises StoreError."""
        name = self._records.pseudonym(sender_id)
        window = await asyncio.to_thread(self._records.read, name, self._window)
        turns = [json.loads(payload) for payload in window.payloads]
        events = _deserialised(turns)
        started = _last_session_start(events)
        if started is not None:
            events = events[started:]
        elif window.first > 1:
            events = snapshot.restore(turns[0]["before"], {slot.name for slot in self.domain.slots}) + events
        return self._tracker(sender_id, window, events)

    async def retrieve_full_tracker(self, conversation_id: str) -> DialogueStateTracker | None:
        """Return the conversation with all its events and sessions, or None when it is new. Raises StoreError."""
        window = await asyncio.to_thread(self._records.read, self._records.pseudonym(conversation_id), None)
        return self._tracker(conversation_id, window, _deserialised([json.loads(payload) for payload in window.payloads]))

    async def save(self, tracker: DialogueStateTracker) -> None:
        """Append the events that this tracker object has gained since it was read or saved. Raises StoreError."""
        progress: _Progress | None = getattr(tracker, _MARK, None)
        if progress is None:
            progress = _Progress(START, 0, None, snapshot.take(self.init_tracker(tracker.sender_id)))
        new = _new_events(tracker, progress)
        if not new:
            return
        payload = json.dumps({"before": progress.state, "events": [event.as_dict() for event in new]}).encode()
        name = self._records.pseudonym(tracker.sender_id)
        position = await asyncio.to_thread(self._records.append, name, progress.position, payload)
        _mark(tracker, position)
        if self.event_broker is not None:  # after the commit: what is published has happened
            await self._stream_new_events(self.event_broker, new, tracker.sender_id)

    async def keys(self) -> Iterable[str]:
        """Return the pseudonyms of the stored conversations: the store does not know their ids. Raises StoreError."""
        return await asyncio.to_thread(self._records.pseudonyms)

    async def delete(self, conversation_id: str) -> None:
        """Destroy the conversation, its key first, in every copy and backup of the data database. Raises StoreError."""
        await asyncio.to_thread(self._records.delete, self._records.pseudonym(conversation_id))

    async def probe(self) -> None:
        """Raise StoreError unless turns can be read and written now."""
        await asyncio.to_thread(self._records.probe)

    def _tracker(self, sender_id: str, window: Window, events: Sequence[Event]) -> DialogueStateTracker | None:
        if window.position == START:
            return None
        tracker = self.init_tracker(sender_id)
        for event in events:
            tracker.update(event)
        _mark(tracker, window.position)
        return tracker


def _mark(tracker: DialogueStateTracker, position: Position) -> None:
    last = tracker.events[-1] if tracker.events else None
    setattr(tracker, _MARK, _Progress(position, len(tracker.events), last, snapshot.take(tracker)))


def _new_events(tracker: DialogueStateTracker, progress: _Progress) -> list[Event]:
    events = list(tracker.events)
    if progress.count and (len(events) < progress.count or events[progress.count - 1] is not progress.last):
        raise StoreAway("the tracker's stored events were changed; it cannot be appended to")
    return events[progress.count :]


def _deserialised(turns: Sequence[dict[str, Any]]) -> list[Event]:
    events = (Event.from_parameters(parameters) for turn in turns for parameters in turn["events"])
    return [event for event in events if event is not None]


def _last_session_start(events: Sequence[Event]) -> int | None:
    return next((index for index in range(len(events) - 1, -1, -1) if isinstance(events[index], SessionStarted)), None)
