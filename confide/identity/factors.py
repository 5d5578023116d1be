"""Authenticator apps as the core keeps them: enrolment, and the one place where a code is accepted."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, insert, select, update
from sqlalchemy.exc import IntegrityError

from confide.identity import otp, throttle
from confide.storage.keystore import KeyStore
from confide.storage.schema import totp_factors


class Check(StrEnum):
    """How the check of a code ended. Wrong, replayed and stale are one: telling them apart would be an oracle."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    WAIT = "wait"
    DISABLED = "disabled"


@dataclass(frozen=True)
class TotpFactors:
    """The TOTP factors of all subjects. Works inside the caller's transaction, which must commit after a refusal too: the count is in it."""

    keystore: KeyStore
    clock: Callable[[], float] = time.time
    random_bytes: Callable[[int], bytes] = os.urandom
    random_id: Callable[[], str] = lambda: secrets.token_hex(16)

    def active(self, transaction: Connection, subject: str) -> str | None:
        """Return the id of the subject's active factor, if there is one."""
        return transaction.execute(
            select(totp_factors.c.id).where(totp_factors.c.subject == subject, totp_factors.c.state == "active")
        ).scalar()

    def disabled(self, transaction: Connection, subject: str) -> bool:
        """Say whether a factor of the subject was switched off after too many wrong codes.

        Then the first factor alone must not open the way to a new one: whoever guessed a hundred codes would only have to enrol.
        """
        return transaction.execute(
            select(totp_factors.c.id).where(totp_factors.c.subject == subject, totp_factors.c.state == "disabled")
        ).first() is not None

    def start(self, transaction: Connection, subject: str, secret: bytes | None = None) -> tuple[str, bytes]:
        """Add a factor that does not count yet, in place of an earlier unfinished one; return its id and secret."""
        transaction.execute(delete(totp_factors).where(totp_factors.c.subject == subject, totp_factors.c.state == "pending"))
        factor, secret = self.random_id(), secret or otp.new_secret(self.random_bytes)
        sealed = self.keystore.obtain(f"subject:{subject}").seal(secret, _context(factor, subject))
        transaction.execute(insert(totp_factors).values(
            id=factor, subject=subject, state="pending", sealed_secret=sealed, last_step=-1, failures=0, blocked_until=0.0, created_at=self.clock()
        ))
        return factor, secret

    def secret(self, transaction: Connection, factor: str) -> bytes | None:
        """Return the secret of a factor that is being enrolled; never that of one that counts."""
        row = self._row(transaction, factor, "pending")
        return None if row is None else self._open(row)

    def activate(self, transaction: Connection, factor: str) -> bool:
        """Make a pending factor count; False when it is gone, another counts already, or one was switched off."""
        off = totp_factors.alias("off")
        switched_off = exists().where(off.c.subject == totp_factors.c.subject, off.c.state == "disabled")
        try:
            with transaction.begin_nested():
                return transaction.execute(
                    update(totp_factors).where(totp_factors.c.id == factor, totp_factors.c.state == "pending", ~switched_off)
                    .values(state="active")
                ).rowcount == 1
        except IntegrityError:
            return False

    def check(self, transaction: Connection, factor: str, code: str, *, state: str) -> Check:
        """Check one code of a factor in `state` (active or pending), and count it.

        A step is accepted once, ever, and only after the last accepted one, by one conditional UPDATE: of two that race, one wins.
        """
        row = self._row(transaction, factor, state)
        if row is None:
            return Check.DISABLED
        now = self.clock()
        if now < row.blocked_until:
            return Check.WAIT
        step = otp.matching_step(self._open(row), code, now)
        if step is not None and self._accept(transaction, factor, step):
            return Check.ACCEPTED
        return self._refuse(transaction, factor, now)

    def waits(self, transaction: Connection, factor: str) -> float:
        """Return for how many seconds the factor still takes no code."""
        until = transaction.execute(select(totp_factors.c.blocked_until).where(totp_factors.c.id == factor)).scalar()
        return max(0.0, float(until or 0.0) - self.clock())

    @staticmethod
    def _accept(transaction: Connection, factor: str, step: int) -> bool:
        return transaction.execute(
            update(totp_factors).where(totp_factors.c.id == factor, totp_factors.c.last_step < step)
            .values(last_step=step, failures=0, blocked_until=0.0)
        ).rowcount == 1

    def _refuse(self, transaction: Connection, factor: str, now: float) -> Check:
        counted = totp_factors.c.failures + 1
        failures = transaction.execute(
            update(totp_factors).where(totp_factors.c.id == factor).values(failures=counted).returning(totp_factors.c.failures)
        ).scalar_one()
        disabled = failures >= throttle.DISABLE_AT
        values: dict[str, Any] = {"blocked_until": now + throttle.wait_after(failures)}
        if disabled:
            values["state"] = "disabled"
        transaction.execute(update(totp_factors).where(totp_factors.c.id == factor).values(**values))
        return Check.DISABLED if disabled else Check.REFUSED

    @staticmethod
    def _row(transaction: Connection, factor: str, state: str) -> Row[Any] | None:
        query = select(totp_factors).where(totp_factors.c.id == factor, totp_factors.c.state == state)
        return transaction.execute(query.with_for_update()).first()

    def _open(self, row: Row[Any]) -> bytes:
        return self.keystore.existing(f"subject:{row.subject}").open(row.sealed_secret, _context(row.id, row.subject))


def _context(factor: str, subject: str) -> dict[str, str | int]:
    return {"table": "totp_factors", "column": "sealed_secret", "row": factor, "subject": subject}
