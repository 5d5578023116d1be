"""One message of a conversation at a time, first come first served, with a short queue.

Rasa would take the messages of a conversation in any order and poll a lock once a second; a flood in one conversation must not keep
the others waiting.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from confide.gateway.errors import Code, Refusal

#: Jobs that may wait behind the one that runs.
WAITING = 8

Job = Callable[[], Awaitable[None]]
_log = logging.getLogger("confide.gateway")


@dataclass
class _Lane:
    waiting: deque[Job] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None


@dataclass
class Lanes:
    """The lanes of all conversations. A lane exists only while it has work."""

    waiting: int = WAITING
    _lanes: dict[str, _Lane] = field(default_factory=dict, repr=False)

    def submit(self, conversation: str, job: Job) -> None:
        """Queue `job` behind the conversation's others. Raises Refusal: busy. A job handles its own errors."""
        lane = self._lanes.setdefault(conversation, _Lane())
        if len(lane.waiting) >= self.waiting:
            raise Refusal(Code.BUSY)
        lane.waiting.append(job)
        if lane.task is None:
            lane.task = asyncio.create_task(self._run(conversation, lane, lane.waiting.popleft()))

    async def close(self) -> None:
        """Stop everything; what waits is dropped."""
        tasks = [lane.task for lane in self._lanes.values() if lane.task]
        self._lanes.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, conversation: str, lane: _Lane, job: Job) -> None:
        while True:
            try:
                await job()
            except Exception as error:  # noqa: BLE001 - see below
                # A lane must outlive a defect in one job. The type only: a message could be in the exception.
                _log.error("a job failed: %s", type(error).__name__)
            if not lane.waiting:
                break
            job = lane.waiting.popleft()
        if self._lanes.get(conversation) is lane:
            del self._lanes[conversation]
