"""Messages on their way to browsers: numbered, kept for a while in memory, sent again after a reconnect.

What is kept is what the customer was shown, values included, so it is bounded in number, bytes and time, dies with the conversation's
session, and a card goes as soon as it is closed: its enrolment key has no business here afterwards.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

#: Kept per conversation: messages and bytes; kept over all: bytes. Client ids remembered per conversation.
MAX_MESSAGES, MAX_BYTES, MAX_TOTAL, MAX_IDS = 100, 400_000, 64_000_000, 500
#: Seconds a message can be sent again.
KEPT_FOR = 1_800.0

#: (event, payload, room): the socket server's emit.
Emit = Callable[[str, Any, str], Awaitable[None]]


@dataclass(frozen=True)
class _Kept:
    seq: int
    payload: dict[str, Any] = field(repr=False)
    size: int
    until: float


@dataclass
class _Stream:
    """One conversation's messages."""

    last: int
    kept: deque[_Kept] = field(default_factory=deque)
    size: int = 0
    ids: OrderedDict[str, None] = field(default_factory=OrderedDict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def drop_first(self) -> int:
        """Forget the oldest message; return its size."""
        size = self.kept.popleft().size
        self.size -= size
        return size


def room_of(conversation: str) -> str:
    """Return the socket room of a conversation; the prefix keeps it apart from the rooms of single sockets."""
    return f"conversation:{conversation}"


@dataclass
class Deliveries:
    """The streams of all conversations, the least recently used first."""

    emit: Emit = field(repr=False)
    clock: Callable[[], float] = time.time
    max_total: int = MAX_TOTAL
    _streams: OrderedDict[str, _Stream] = field(default_factory=OrderedDict, repr=False)
    _total: int = 0

    async def say(self, conversation: str, payload: dict[str, Any]) -> None:
        """Number, keep and send one `bot_uttered`."""
        stream = self._stream(conversation)
        async with stream.lock:
            stream.last += 1
            numbered = {**payload, "seq": stream.last}
            self._keep(stream, numbered)
            await self.emit("bot_uttered", numbered, room_of(conversation))

    async def replay(self, conversation: str, after: int | None, socket: str, join: Callable[[], Awaitable[None]]) -> None:
        """Let a socket in and send it what it has not seen, with nothing new in between.

        `after` None: the client keeps no count (stock widgets do not); it gets what is new from now on.
        """
        stream = self._stream(conversation)
        async with stream.lock:
            await join()
            self._expire(stream)
            for kept in [] if after is None else [kept for kept in stream.kept if kept.seq > after]:
                await self.emit("bot_uttered", kept.payload, socket)

    async def close_card(self, conversation: str, ref: str, state: str) -> None:
        """Tell the conversation's sockets that a card is closed, and stop keeping it."""
        stream = self._stream(conversation)
        async with stream.lock:
            for kept in [kept for kept in stream.kept if kept.payload.get("ref") == ref]:
                stream.kept.remove(kept)
                stream.size -= kept.size
                self._total -= kept.size
            await self.emit("card_update", {"ref": ref, "state": state}, room_of(conversation))

    def is_known(self, conversation: str, client_id: str) -> bool:
        """Say whether a message with this id was accepted before."""
        return client_id in self._stream(conversation).ids

    def remember(self, conversation: str, client_id: str) -> None:
        """Remember an accepted message's id."""
        ids = self._stream(conversation).ids
        ids[client_id] = None
        while len(ids) > MAX_IDS:
            ids.popitem(last=False)

    def forget(self, conversation: str) -> None:
        """Drop everything of a conversation."""
        stream = self._streams.pop(conversation, None)
        if stream is not None:
            self._total -= stream.size

    def _stream(self, conversation: str) -> _Stream:
        stream = self._streams.get(conversation)
        if stream is None:
            # Numbers begin with the time, so that they go on rising when the gateway was restarted or the stream forgotten.
            stream = self._streams[conversation] = _Stream(last=int(self.clock() * 1000))
        self._streams.move_to_end(conversation)
        return stream

    def _keep(self, stream: _Stream, payload: dict[str, Any]) -> None:
        until, closes = self.clock() + KEPT_FOR, payload.get("expires_at")
        if isinstance(closes, int | float):
            until = min(until, closes)
        kept = _Kept(stream.last, payload, len(json.dumps(payload)), until)
        stream.kept.append(kept)
        stream.size += kept.size
        self._total += kept.size
        self._expire(stream)
        while len(stream.kept) > MAX_MESSAGES or (stream.size > MAX_BYTES and len(stream.kept) > 1):
            self._total -= stream.drop_first()
        self._make_room(stream)

    def _expire(self, stream: _Stream) -> None:
        now = self.clock()
        for kept in [kept for kept in stream.kept if kept.until <= now]:
            stream.kept.remove(kept)
            stream.size -= kept.size
            self._total -= kept.size

    def _make_room(self, current: _Stream) -> None:
        while self._total > self.max_total and len(self._streams) > 1:
            conversation, oldest = next(iter(self._streams.items()))
            if oldest is current:
                break
            self.forget(conversation)
