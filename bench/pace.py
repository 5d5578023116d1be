"""Keeps the benchmark within the gateway's limits, which stay as they are in production: it waits before a message, outside of what is timed."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from limits import parse_many

#: Longer than a window by this, in seconds: the gateway's clock starts when the message arrives.
_MARGIN = 0.25


@dataclass
class Pace:
    """At most so many in each window; `rates` in the notation of `limits` ("12/10 seconds;60/minute")."""

    rates: str
    clock: Callable[[], float] = time.monotonic
    _sent: deque[float] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._windows = [(item.amount, item.get_expiry() + _MARGIN) for item in parse_many(self.rates)]

    async def wait(self) -> None:
        """Return when one more may go out, and count it."""
        while (seconds := self._to_wait()) > 0:
            await asyncio.sleep(seconds)
        self._sent.append(self.clock())
        while len(self._sent) > max(amount for amount, _seconds in self._windows):
            self._sent.popleft()

    def _to_wait(self) -> float:
        now = self.clock()
        return max(self._sent[-amount] + seconds - now if len(self._sent) >= amount else 0.0 for amount, seconds in self._windows)
