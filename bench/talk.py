"""What both sides of the benchmark are to the measuring code: a side opens talks, a talk says something and is timed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class WrongAnswer(Exception):
    """The bot said something else than expected: the figure would be worth nothing, so the run ends."""


@dataclass(frozen=True)
class Line:
    """What a customer says, and a part of the answer that shows that both bots did the same."""

    text: str
    expected: str


HI = Line("hi", "computer program")
BALANCE = Line("what's my balance", "1,204.33")
PAY = Line("send 250 to Maria Huber", "reference")
REFERENCE = Line("rent november", "Maria Huber")


class Talk(Protocol):
    """One conversation."""

    async def say(self, line: Line) -> float:
        """Return the seconds from sending the message to having its answer. Raises WrongAnswer."""

    async def fill(self, turns: int) -> None:
        """Make the conversation longer by that many turns of small talk, unmeasured."""

    async def close(self) -> None:
        """Hang up."""


class Side(Protocol):
    """A running installation."""

    async def open(self, *, signed_in: bool = True) -> Talk:
        """Begin a conversation."""

    def start(self) -> None:
        """Start every process and wait until each answers."""

    def stop(self) -> None:
        """End every process."""

    def processes(self) -> dict[str, int]:
        """Return the process ids by name."""
