"""Effects outside the database (mail, partners): queued in the effect's transaction, delivered by the worker, known by their key."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from confide.storage.keystore import KeyStore
from confide.storage.schema import outbox


@dataclass(frozen=True)
class Parcel:
    """One thing to deliver. `key` is the idempotency key: a receiver that gets it twice acts once."""

    key: str
    kind: str
    owner: str
    payload: Mapping[str, str]
    attempts: int


@dataclass(frozen=True)
class Outbox:
    """Works inside the caller's transaction."""

    keystore: KeyStore
    clock: Callable[[], float] = time.time

    def queue(self, transaction: Connection, *, key: str, kind: str, owner: str, payload: Mapping[str, str]) -> None:
        """Add something to deliver once `transaction` has committed. A key that is there already is an IntegrityError."""
        now = self.clock()
        sealed = self.keystore.obtain(owner).seal(json.dumps(dict(payload)).encode(), _context(key, owner))
        transaction.execute(insert(outbox).values(
            key=key, kind=kind, owner=owner, sealed_payload=sealed, created_at=now, available_at=now, attempts=0
        ))

    def due(self, transaction: Connection, limit: int) -> list[Parcel]:
        """Return what is to be delivered now, oldest first."""
        rows = transaction.execute(
            select(outbox).where(outbox.c.delivered_at.is_(None), outbox.c.available_at <= self.clock()).order_by(outbox.c.created_at).limit(limit)
        ).all()
        return [
            Parcel(row.key, row.kind, row.owner,
                   json.loads(self.keystore.obtain(row.owner).open(row.sealed_payload, _context(row.key, row.owner))), row.attempts)
            for row in rows
        ]

    def delivered(self, transaction: Connection, parcel: Parcel) -> None:
        """Record that the receiver has it."""
        transaction.execute(update(outbox).where(outbox.c.key == parcel.key).values(delivered_at=self.clock()))

    def postpone(self, transaction: Connection, parcel: Parcel) -> None:
        """Record that the receiver could not be reached: again after 5 s, doubling up to an hour."""
        wait = min(3600.0, 5.0 * 2 ** min(parcel.attempts, 12))
        transaction.execute(
            update(outbox).where(outbox.c.key == parcel.key).values(attempts=parcel.attempts + 1, available_at=self.clock() + wait)
        )


def _context(key: str, owner: str) -> dict[str, str | int]:
    return {"table": "outbox", "column": "sealed_payload", "row": key, "owner": owner}
