"""A lease in the database: of several workers, one works; when it dies, another takes over after the lease has run out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, or_, update

from confide.storage.database import insert_if_absent
from confide.storage.schema import leases


@dataclass(frozen=True)
class Lease:
    """One named lease, as one holder sees it. Works inside the caller's transaction."""

    name: str
    holder: str
    seconds: float
    clock: Callable[[], float] = time.time

    def take(self, transaction: Connection) -> bool:
        """Take or renew the lease; False while another holds it."""
        now = self.clock()
        until = now + self.seconds
        if insert_if_absent(transaction, leases, {"name": self.name, "holder": self.holder, "expires_at": until}):
            return True
        return transaction.execute(
            update(leases).where(leases.c.name == self.name).where(or_(leases.c.holder == self.holder, leases.c.expires_at < now))
            .values(holder=self.holder, expires_at=until)
        ).rowcount == 1

    def release(self, transaction: Connection) -> None:
        """Give the lease back, so that the next holder need not wait."""
        transaction.execute(
            update(leases).where(leases.c.name == self.name, leases.c.holder == self.holder).values(expires_at=0.0)
        )
