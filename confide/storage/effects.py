"""What a turn did, exactly once and knowably: one row a turn, written in the effect's own transaction.

Whoever writes the row first decides: the effect commits with it, or the question "what became of it?" closes the turn, and an effect
that is still on its way fails on the key. That is why "nothing was done" can be said and be true. design.md "Deadline".
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, select

from confide.identity.levels import Speaker
from confide.storage.database import insert_if_absent
from confide.storage.keystore import KeyStore
from confide.storage.schema import effects


class TurnClosed(Exception):
    """This turn has its effect already, or was closed without one."""


class DeadlinePassed(Exception):
    """The turn's time is over: what was about to commit must not."""


@dataclass(frozen=True)
class Outcome:
    """How a turn ended: with the effect of that summary, or closed without one."""

    done: bool
    summary: str | None


@dataclass(frozen=True)
class Effects:
    """The effects of all turns. Works inside the caller's transaction."""

    keystore: KeyStore
    clock: Callable[[], float] = time.time

    def claim(self, transaction: Connection, speaker: Speaker, summary: str, act: str | None) -> None:
        """Take this turn for an effect. Raises TurnClosed."""
        sealed = self.keystore.obtain(speaker.owner).seal(summary.encode(), _context(speaker.turn_key))
        if not insert_if_absent(transaction, effects, {
            "turn": speaker.turn_key, "act": act, "done": True, "owner": speaker.owner, "sealed_summary": sealed, "at": self.clock()
        }):
            raise TurnClosed

    def check_deadline(self, speaker: Speaker) -> None:
        """Call last before the commit. Raises DeadlinePassed."""
        if self.clock() >= speaker.deadline:
            raise DeadlinePassed

    def settle(self, transaction: Connection, speaker: Speaker) -> Outcome:
        """Return how the turn ended; if it has not, close it: from then on no effect of this turn can commit."""
        closed = insert_if_absent(transaction, effects, {
            "turn": speaker.turn_key, "done": False, "owner": speaker.owner, "at": self.clock()
        })
        if closed:
            return Outcome(done=False, summary=None)
        row = transaction.execute(select(effects).where(effects.c.turn == speaker.turn_key)).one()
        if not row.done:
            return Outcome(done=False, summary=None)
        return Outcome(done=True, summary=self.keystore.obtain(row.owner).open(row.sealed_summary, _context(row.turn)).decode())


def _context(turn: str) -> dict[str, str | int]:
    return {"table": "effects", "column": "sealed_summary", "row": turn}
