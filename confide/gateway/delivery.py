"""Messages on their way to browsers: numbered, kept for a while in memory, sent again after a reconnect.

What is kept is what the customer was shown, values included, so it is bounded in number, bytes and time, dies with the conversation's
session, and a card goes as soon as it is closed: its enrolment key has no business here afterwards. The cookie outlives the sign-in: who
reloads the page of a customer who walked away sees values and cards only while the session is still as sure of its person as it was then.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from confide.identity.levels import Level

#: Kept per conversation: messages and bytes; kept over all: bytes. Client ids remembered per conversation.
MAX_MESSAGES, MAX_BYTES, MAX_TOTAL, MAX_IDS = 100, 400_000, 64_000_000, 500
#: Seconds a message can be sent again.
KEPT_FOR = 1_800.0
#: Seconds after which a conversation nobody used is forgotten, and between two looks for what is over.
UNUSED_FOR, SWEEP_EVERY = 3_600.0, 30.0

#: (event, payload, room): the socket server's emit.
Emit = Callable[[str, Any, str], Awaitable[None]]


@dataclass(frozen=True)
class Private:
    """A payload with values of the core's in it, or a card."""

    payload: dict[str, Any] = field(repr=False)
    #: The session's level when the core revealed it; None: not known, so it is never shown again.
    level: Level | None
    #: What a session that is less than that sees instead when it asks again; None: nothing.
    masked: dict[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class _Kept:
    seq: int
    said: dict[str, Any] | Private = field(repr=False)
    size: int
    until: float

    @property
    def ref(self) -> object:
        """The card this is, if it is one."""
        return _payload(self.said).get("ref")

    def shown_to(self, level: Level | None) -> dict[str, Any] | None:
        """Return what a session of this level sees of it; None: nothing."""
        if not isinstance(self.said, Private):
            return {**self.said, "seq": self.seq}
        may = self.said.level is not None and level is not None and level >= self.said.level
        payload = self.said.payload if may else self.said.masked
        return None if payload is None else {**payload, "seq": self.seq}


@dataclass
class _Stream:
    """One conversation's messages."""

    last: int
    used: float = 0.0
    #: Nobody finds it any more; who still waits for its lock must leave nothing in it.
    forgotten: bool = False
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

    async def say(self, conversation: str, said: dict[str, Any] | Private) -> None:
        """Number, keep and send one `bot_uttered`."""
        stream = self._stream(conversation)
        async with stream.lock:
            stream.last += 1
            self._keep(stream, said)
            await self.emit("bot_uttered", {**_payload(said), "seq": stream.last}, room_of(conversation))

    async def replay(
        self, conversation: str, after: int | None, socket: str, join: Callable[[], Awaitable[None]], level: Level | None = None
    ) -> None:
        """Let a socket in and send it what it has not seen, with nothing new in between.

        `after` None: the client keeps no count (stock widgets do not); it gets what is new from now on. `level` is the session's now; None:
        nobody knows, so nothing private is sent.
        """
        stream = self._stream(conversation)
        async with stream.lock:
            await join()
            self._expire(stream)
            for kept in [] if after is None else [kept for kept in stream.kept if kept.seq > after]:
                if (payload := kept.shown_to(level)) is not None:
                    await self.emit("bot_uttered", payload, socket)

    async def close_card(self, conversation: str, ref: str, state: str) -> None:
        """Tell the conversation's sockets that a card is closed, and stop keeping it."""
        stream = self._stream(conversation)
        async with stream.lock:
            for kept in [kept for kept in stream.kept if kept.ref == ref]:
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
            stream.kept.clear()
            stream.size, stream.forgotten = 0, True

    def sweep(self) -> None:
        """Drop what is over, without anybody asking for it."""
        now = self.clock()
        for conversation, stream in list(self._streams.items()):
            self._expire(stream)
            if not stream.kept and now - stream.used >= UNUSED_FOR:
                self.forget(conversation)

    async def keep_sweeping(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Sweep for ever, every SWEEP_EVERY seconds."""
        while True:
            await sleep(SWEEP_EVERY)
            self.sweep()

    def _stream(self, conversation: str) -> _Stream:
        stream = self._streams.get(conversation)
        if stream is None:
            # Numbers begin with the time, so that they go on rising when the gateway was restarted or the stream forgotten.
            stream = self._streams[conversation] = _Stream(last=int(self.clock() * 1000))
        stream.used = self.clock()
        self._streams.move_to_end(conversation)
        return stream

    def _keep(self, stream: _Stream, said: dict[str, Any] | Private) -> None:
        if stream.forgotten:
            return
        until, closes = self.clock() + KEPT_FOR, _payload(said).get("expires_at")
        if isinstance(closes, int | float):
            until = min(until, closes)
        kept = _Kept(stream.last, said, _size(said), until)
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


def _payload(said: dict[str, Any] | Private) -> dict[str, Any]:
    return said.payload if isinstance(said, Private) else said


def _size(said: dict[str, Any] | Private) -> int:
    masked = said.masked if isinstance(said, Private) else None
    return len(json.dumps(_payload(said))) + (len(json.dumps(masked)) if masked else 0)
