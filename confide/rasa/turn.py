"""What happened in the turn that is running: set by the action endpoint and the processor, read by the channel.

Rasa swallows every failure of an action and goes on as if it had run; this note is how the failure still reaches the gateway.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class Turn:
    """One turn. `called`: an action was asked for, so an effect is possible. `failed`: an action did not do what the turn says."""

    called: bool = False
    failed: bool = False


CURRENT: ContextVar[Turn | None] = ContextVar("confide_turn", default=None)


def note_call() -> None:
    """Note that the action server was called."""
    turn = CURRENT.get()
    if turn is not None:
        turn.called = True


def note_failure() -> None:
    """Note that an action failed."""
    turn = CURRENT.get()
    if turn is not None:
        turn.failed = True
