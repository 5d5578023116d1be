"""How sure we are of who is talking."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """Ordered: a higher level includes the lower ones."""

    ANONYMOUS = 0
    IDENTIFIED = 1  # first factor
    VERIFIED = 2  # second factor, fresh

    @classmethod
    def of(cls, name: str) -> Level:
        """Return the level of that lower-case name. Raises KeyError."""
        return cls[name.upper()] if name.islower() else cls[""]

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Speaker:
    """Who speaks in this turn, as the core's own tables say; never as a slot says."""

    session: str
    root: str
    conversation: str
    turn: int
    deadline: float
    #: None unless the session is signed in and alive.
    subject: str | None
    method: str | None
    verified_at: float | None

    @property
    def owner(self) -> str:
        """Whose key seals what is kept for this speaker."""
        return f"subject:{self.subject}" if self.subject else f"conversation:{self.conversation}"

    @property
    def turn_key(self) -> str:
        """The idempotency key of this turn's effect."""
        return f"{self.conversation}:{self.turn}"

    def level(self, now: float, max_age: float) -> Level:
        """Return the level at `now`; a second factor counts for `max_age` seconds."""
        if self.subject is None:
            return Level.ANONYMOUS
        if self.verified_at is not None and 0 <= now - self.verified_at < max_age:
            return Level.VERIFIED
        return Level.IDENTIFIED
