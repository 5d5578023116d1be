"""Turns and the capabilities that stand for them (docs/protocol.md section 2)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from confide.gateway.sessions import Session
from confide.identity.capability import Capability, CapabilityIssuer

#: Seconds from a turn's start until an effect of it must have been committed.
DEADLINE = 10.0


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation."""

    conversation: str
    number: int
    started: float
    deadline: float


@dataclass(frozen=True)
class Capabilities:
    """Opens turns and signs for them."""

    issuer: CapabilityIssuer
    clock: Callable[[], float] = time.time
    deadline: float = DEADLINE

    def begin(self, session: Session) -> Turn:
        """Open the session's next turn. Only a conversation's lane may do so: it makes every earlier turn old in the core's eyes."""
        session.turn = max(session.turn + 1, int(self.clock() * 1000))
        return self.current(session)

    def current(self, session: Session) -> Turn:
        """Return the turn that calls beside the lane ride on, so that they do not make the one that is running old."""
        now = self.clock()
        session.turn = session.turn or int(now * 1000)
        return Turn(session.where, session.turn, now, now + self.deadline)

    def sign(self, session: Session, turn: Turn | None = None) -> str:
        """Return the capability of the session for `turn`, or for the current one."""
        turn = turn or self.current(session)
        return self.issuer.issue(Capability(session.sid, turn.conversation, turn.number, turn.deadline))
