"""Values that the bot supplies, behind tokens granted to one session.

Rasa's response carries `AMOUNT_7K2QX4MD`; the gateway asks for the value on behalf of the session the answering action named. A token
is good for that session alone and for a short time; it is no key to anything else.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from confide.identity.levels import Speaker
from confide.storage.keystore import KeyStore
from confide.storage.schema import grants

#: RFC 4648 base32 without the digits' look-alikes problem: Rasa's tokenizer takes a token for one word.
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_KIND = re.compile(r"[A-Z]{2,16}")
#: Seconds a token can be revealed: the turn that answers, and its late delivery.
LIFETIME = 120
_MAX_TOKENS = 50


@dataclass(frozen=True)
class Value:
    """One value the bot says, and its kind (AMOUNT, PAYEE, ...)."""

    kind: str
    text: str


@dataclass(frozen=True)
class Grants:
    """The values of all sessions. Works inside the caller's transaction."""

    keystore: KeyStore
    clock: Callable[[], float] = time.time

    def grant(self, transaction: Connection, speaker: Speaker, value: Value) -> str:
        """Return the token under which the speaker's session, and no other, gets `value`."""
        if not _KIND.fullmatch(value.kind):
            raise ValueError("a kind is 2 to 16 capital letters")
        token = f"{value.kind}_{''.join(secrets.choice(_ALPHABET) for _ in range(8))}"
        sealed = self.keystore.obtain(speaker.owner).seal(value.text.encode(), _context(token, speaker.root))
        now = self.clock()
        transaction.execute(delete(grants).where(grants.c.expires_at < now))
        transaction.execute(insert(grants).values(
            token=token, root=speaker.root, owner=speaker.owner, sealed_value=sealed, expires_at=now + LIFETIME
        ))
        return token

    def reveal(self, transaction: Connection, speaker: Speaker, tokens: Iterable[str]) -> dict[str, str]:
        """Return the values of those tokens that were granted to this session and still are."""
        wanted = list(dict.fromkeys(tokens))[:_MAX_TOKENS]
        rows = transaction.execute(
            select(grants).where(grants.c.token.in_(wanted), grants.c.root == speaker.root, grants.c.expires_at > self.clock())
        ).all()
        # After the session has ended or run out its owner is another one: what was said to a customer is not said to a stranger.
        return {
            row.token: self.keystore.existing(row.owner).open(row.sealed_value, _context(row.token, row.root)).decode()
            for row in rows if row.owner == speaker.owner
        }

    def revoke(self, transaction: Connection, speaker: Speaker) -> None:
        """Take back everything granted to the session."""
        transaction.execute(delete(grants).where(grants.c.root == speaker.root))


def _context(token: str, root: str) -> dict[str, str | int]:
    return {"table": "grants", "column": "sealed_value", "row": token, "session": root}
