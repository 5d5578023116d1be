"""What a turn did, exactly once and knowably: one row a turn, written in the effect's own transaction.

Whoever writes the row first decides: the effect commits with it, or the question "what became of it?" closes the turn, and an effect
that is still on its way fails on the key. That is why "nothing was done" can be said and be true. design.md "Deadline".
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select

from confide.identity.levels import Speaker
from confide.storage.database import insert_if_absent
from confide.storage.keystore import KeyStore
from confide.storage.schema import effects

#: Seconds for which a customer who was cut off is told again what was done.
RECENT = 600.0
_MAX_RECENT = 5


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

    def check_open(self, transaction: Connection, speaker: Speaker) -> None:
        """Call last before the commit. Raises DeadlinePassed, and TurnClosed when the turn was told as one that did nothing."""
        closed = transaction.execute(select(effects.c.turn).where(effects.c.turn == speaker.turn_key, ~effects.c.done)).first()
        if closed is not None:
            raise TurnClosed
        if self.clock() >= speaker.deadline:
            raise DeadlinePassed

    def recent(self, transaction: Connection, speaker: Speaker, *, proved: bool = False) -> list[str]:
        """Return what was done for this speaker in this conversation in the last minutes, newest first; with `proved`, acts alone."""
        query = select(effects).where(
            effects.c.turn.startswith(f"{speaker.conversation}:", autoescape=True), effects.c.done, effects.c.owner == speaker.owner,
            effects.c.at > self.clock() - RECENT,
        )
        if proved:
            query = query.where(effects.c.act.is_not(None))
        return [self._summary(row) for row in transaction.execute(query.order_by(effects.c.at.desc()).limit(_MAX_RECENT)).all()]

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
        return Outcome(done=True, summary=self._summary(row))

    def _summary(self, row: Row[Any]) -> str:
        return self.keystore.existing(row.owner).open(row.sealed_summary, _context(row.turn)).decode()


def _context(turn: str) -> dict[str, str | int]:
    return {"table": "effects", "column": "sealed_summary", "row": turn}
