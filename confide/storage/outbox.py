"""Effects outside the database (mail, partners): queued in the effect's transaction, delivered by the worker, known by their key."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from confide.storage.envelope import SealBroken
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

    def due(self, transaction: Connection, limit: int) -> tuple[list[Parcel], list[str]]:
        """Return what is to be delivered now, oldest first, and the keys of parcels that do not open, which are set aside."""
        parcels, broken = [], []
        for row in transaction.execute(
            select(outbox).where(outbox.c.delivered_at.is_(None), outbox.c.broken_at.is_(None), outbox.c.available_at <= self.clock())
            .order_by(outbox.c.created_at).limit(limit)
        ).all():
            try:
                parcels.append(self._open(row))
            except SealBroken:
                broken.append(row.key)
        transaction.execute(update(outbox).where(outbox.c.key.in_(broken)).values(broken_at=self.clock()))
        return parcels, broken

    def _open(self, row: Row[Any]) -> Parcel:
        payload = self.keystore.existing(row.owner).open(row.sealed_payload, _context(row.key, row.owner))
        return Parcel(row.key, row.kind, row.owner, json.loads(payload), row.attempts)

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
