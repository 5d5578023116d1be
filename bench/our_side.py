"""Confide as it runs: every process, TLS, a socket and a session for each talk. The stack and the browser are those of the integration tests."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.inside import Inside
from bench.pace import Pace
from bench.talk import Line, WrongAnswer
from confide.gateway.limits import DEFAULT_RATES, Kind
from tests.integration.chat import Chat
from tests.integration.stack import Stack

PERSON = "1001"
_PATIENCE = 30.0


@dataclass
class TimedChat(Chat):
    """A browser tab that notes when a message arrives, instead of looking for it every few milliseconds."""

    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _times: list[float] = field(default_factory=list)

    def _on_uttered(self, message: dict[str, Any]) -> None:
        self._times.append(time.perf_counter())
        super()._on_uttered(message)
        self._arrived.set()

    async def timed(self, line: Line) -> float:
        """Say it and return the seconds until the answer that contains what is expected. Raises WrongAnswer."""
        before, started = len(self.heard), time.perf_counter()
        ack = await self.sio.call("user_uttered", {"message": line.text, "session_id": self.session_id}, timeout=_PATIENCE)
        if not ack["ok"]:
            raise WrongAnswer(f"the gateway refused {line.text!r}: {ack['code']}")
        while (arrived := self._find(line.expected, before)) is None:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), _PATIENCE)
            except TimeoutError:
                raise WrongAnswer(f"Confide answered {[each.get('text') for each in self.heard[before:]]} to {line.text!r}") from None
        return arrived - started

    def _find(self, expected: str, before: int) -> float | None:
        for arrived, message in zip(self._times[before:], self.heard[before:], strict=True):
            if expected in message.get("text", ""):
                return arrived
        return None


@dataclass
class OurTalk:
    """One conversation over the socket."""

    chat: TimedChat
    inside: Inside
    everybody: Pace
    own: Pace = field(default_factory=lambda: Pace(DEFAULT_RATES[Kind.MESSAGE].session))

    async def say(self, line: Line) -> float:
        """See Talk."""
        await self.own.wait()
        await self.everybody.wait()
        return await self.chat.timed(line)

    async def fill(self, turns: int) -> None:
        """See Talk. Straight to Rasa: over the socket the limit of a session would make it take as many seconds."""
        for _ in range(turns):
            await self.inside.ask_rasa(self.chat, "hi")

    async def close(self) -> None:
        await self.chat.__aexit__()


@dataclass
class OurSide:
    """All processes of one installation."""

    stack: Stack
    _everybody: Pace = field(default_factory=lambda: Pace(DEFAULT_RATES[Kind.MESSAGE].address))
    #: A sign-in is two requests that count: the bank's and the chat's.
    _sign_ins: Pace = field(default_factory=lambda: Pace(DEFAULT_RATES[Kind.SIGN_IN].address))
    _inside: Inside | None = None

    @classmethod
    def make(cls, var: Path, model: Path) -> OurSide:
        return cls(Stack.make(var, model))

    def start(self) -> None:
        self.stack.start()

    def stop(self) -> None:
        self.stack.stop()

    def processes(self) -> dict[str, int]:
        return {name: process.pid for name, process in self.stack.processes.items()}

    @property
    def inside(self) -> Inside:
        if self._inside is None:
            self._inside = Inside.of(self.stack)
            self._inside.open()
        return self._inside

    async def open(self, *, signed_in: bool = True) -> OurTalk:
        """See Side."""
        chat = TimedChat(self.stack.address, self.stack.authority)
        await chat.__aenter__()
        if signed_in:
            await self._sign_ins.wait()
            await self._sign_ins.wait()
            await chat.sign_in(PERSON, self.stack.people()[PERSON].password)
        return OurTalk(chat, self.inside, self._everybody)

    async def close(self) -> None:
        """Close the connections to the inside."""
        if self._inside is not None:
            await self._inside.close()
            self._inside = None
