"""One turn at a time in a conversation, first come first served, and a bounded queue.

Rasa's own lock polls once a second: a conversation whose turns call the action server would do one turn a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from rasa.core.lock import TicketLock
from rasa.core.lock_store import LOCK_LIFETIME, LockError, LockStore
from rasa.utils.endpoints import EndpointConfig

#: Turns of one conversation that may wait behind the running one.
MAX_WAITING = 8


class LaneFull(LockError):
    """Too many turns of one conversation are waiting. Nothing was run."""


@dataclass
class _Lane:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)  # wakes waiters in the order in which they came
    turns: int = 0


class FifoLockStore(LockStore):
    """Lanes in the memory of this process; the gateway keeps a conversation with one Rasa process."""

    def __init__(self, endpoint_config: EndpointConfig | None = None) -> None:
        super().__init__()
        self._lanes: dict[str, _Lane] = {}

    @asynccontextmanager
    async def lock(
        self, conversation_id: str, lock_lifetime: float = LOCK_LIFETIME, wait_time_in_seconds: float = 1
    ) -> AsyncGenerator[TicketLock, None]:
        """Wait for the conversation's turn. Raises LaneFull at once when MAX_WAITING are waiting already.

        A lane has no lifetime: the turn itself is bounded by the time-outs of its calls, and giving the lane away while it runs
        would let two turns write one conversation.
        """
        lane = self._lanes.setdefault(conversation_id, _Lane())
        if lane.turns > MAX_WAITING:
            raise LaneFull("the conversation's lane is full")
        lane.turns += 1
        try:
            async with lane.lock:
                yield TicketLock(conversation_id)
        finally:
            lane.turns -= 1
            if not lane.turns:
                del self._lanes[conversation_id]
