"""The demo's mail: a table behind a page, instead of a mail server. It takes a mail once, however often it is brought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from bank.schema import customers, mails
from confide.core import Core
from confide.storage.database import insert_if_absent
from confide.storage.outbox import Parcel


@dataclass(frozen=True)
class DemoMailbox:
    """A receiver that keeps what it is brought by its idempotency key."""

    core: Core

    def deliver(self, parcel: Parcel) -> None:
        """Take one mail. Raises DatabaseAway."""
        with self.core.transaction() as transaction:
            insert_if_absent(transaction, mails, {
                "key": parcel.key, "recipient": parcel.payload["to"], "subject": parcel.payload["subject"], "body": parcel.payload["body"],
                "at": self.core.clock(),
            })

    def show(self, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the mails of the customer who is signed in; None for anybody else. Raises CapabilityRefused."""
        with self.core.transaction() as transaction:
            speaker = self.core.sessions.speaker(transaction, self.core.capabilities.verify(body.get("capability")), touch=False)
            if speaker.subject is None:
                return None
            address = transaction.execute(select(customers.c.email).where(customers.c.number == speaker.subject)).scalar()
            rows = transaction.execute(select(mails).where(mails.c.recipient == address).order_by(mails.c.at.desc()).limit(50)).all()
        return {"mails": [{"at": row.at, "subject": row.subject, "body": row.body} for row in rows]}
