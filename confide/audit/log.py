"""The one way to write the audit log: inside the effect's transaction, so that neither is there without the other."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import rfc8785
from sqlalchemy import Connection, insert

from confide.audit.events import Event
from confide.storage.schema import audit_events

#: What a value in the log may look like: a name of ours or a number, never a customer's words (no injection, no personal value).
_PLAIN = re.compile(r"[A-Za-z0-9_.:\-]{1,64}")
_MAX_DATA = 1024


class AuditRefused(ValueError):
    """Something was to be logged that the log does not take. The message names the field, not the value."""


@dataclass(frozen=True)
class AuditLog:
    """Appends entries under keyed pseudonyms of subject and session."""

    key: bytes = field(repr=False)
    clock: Callable[[], float] = time.time

    def append(
        self, transaction: Connection, event: Event, *, subject: str | None = None, session: str | None = None, **data: str | int | bool
    ) -> None:
        """Write one entry; it commits with `transaction` or not at all. Raises AuditRefused, and what the database raises."""
        for name, value in data.items():
            if isinstance(value, str) and not _PLAIN.fullmatch(value):
                raise AuditRefused(f"audit field {name} of {event} is not a plain name")
        text = rfc8785.dumps(dict(data)).decode()
        if len(text) > _MAX_DATA:
            raise AuditRefused(f"audit data of {event} is too long")
        transaction.execute(insert(audit_events).values(
            at=self.clock(), event=event.value, data=text, subject=self.pseudonym("subject", subject), session=self.pseudonym("session", session)
        ))

    def pseudonym(self, kind: str, value: str | None) -> str | None:
        """Return the keyed pseudonym under which the log knows `value`."""
        if value is None:
            return None
        return hmac.new(self.key, f"audit:{kind}:{value}".encode(), hashlib.sha256).hexdigest()[:32]
