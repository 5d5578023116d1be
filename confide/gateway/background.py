"""Work that nobody waits for: bounded, held on to until it ends, stopped at the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

_log = logging.getLogger("confide.gateway")


@dataclass
class Background:
    """Tasks that run beside the lanes."""

    limit: int = 5_000
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, repr=False)

    def start(self, work: Coroutine[Any, Any, None]) -> bool:
        """Start `work`; False, and it does not run, when there is too much already."""
        if len(self._tasks) >= self.limit:
            work.close()
            return False
        task = asyncio.create_task(_guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def close(self) -> None:
        """Stop everything."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _guarded(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception as error:  # noqa: BLE001 - see below
        # The type only: asyncio would print the whole exception, and a message could be in it.
        _log.error("background work failed: %s", type(error).__name__)
