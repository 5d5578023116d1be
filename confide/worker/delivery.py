"""Brings what the outbox holds to its receivers.

Delivered, then recorded: a crash in between brings it again, and the receiver knows it by its key. So nothing is lost and nothing acts twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from confide.audit.events import Event
from confide.core import Core
from confide.pack import Receiver
from confide.storage.lease import Lease
from confide.storage.outbox import Parcel

log = structlog.get_logger("confide.worker")

#: Parcels a round.
BATCH = 20


@dataclass(frozen=True)
class Delivery:
    """One worker's delivery rounds."""

    core: Core
    receivers: Mapping[str, Receiver]
    lease: Lease

    def round(self) -> int:
        """Deliver what is due; return how many were delivered. Raises DatabaseAway."""
        with self.core.transaction() as transaction:
            if not self.lease.take(transaction):
                return 0
            parcels, broken = self.core.outbox.due(transaction, BATCH)
            for _key in broken:
                self.core.audit.append(transaction, Event.OUTBOX_BROKEN)
        if broken:
            log.error("parcels_set_aside", count=len(broken))
        return sum(self._bring(parcel) for parcel in parcels)

    def _bring(self, parcel: Parcel) -> int:
        receiver = self.receivers.get(parcel.kind)
        try:
            if receiver is None:
                raise LookupError(parcel.kind)
            receiver.deliver(parcel)
        except Exception as error:  # noqa: BLE001 - whatever a receiver raises, the parcel is kept and brought again
            log.warning("delivery_postponed", kind=parcel.kind, error=type(error).__name__, attempts=parcel.attempts + 1)
            with self.core.transaction() as transaction:
                self.core.outbox.postpone(transaction, parcel)
            return 0
        with self.core.transaction() as transaction:
            self.core.outbox.delivered(transaction, parcel)
        return 1
