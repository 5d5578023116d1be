"""The chain that a conversation's records form: what seals a record to its place, and what must hold between records and head."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from sqlalchemy import Row

from confide.rasa.record_codec import pack, unpack
from confide.storage.envelope import DataKey, SealBroken

#: Rows of the records table (seq, sealed), newest first.
Rows = Sequence[Row[int, bytes]]


@dataclass(frozen=True)
class Position:
    """The newest record of a conversation: its number (from 1; 0 when there is none) and its SHA-256, hexadecimal."""

    seq: int
    digest: str


START = Position(0, "0" * 64)


@dataclass(frozen=True)
class Window:
    """The newest records of a conversation, oldest first, and where it stands. `first` is the number of the first one."""

    position: Position
    payloads: Sequence[bytes]

    @property
    def first(self) -> int:
        return self.position.seq - len(self.payloads) + 1


class Damage(Exception):
    """A check of the chain failed; `reason` is one of: key, head, order, tail, seal."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def seal_record(name: str, key: DataKey, after: Position, payload: bytes) -> tuple[Position, bytes]:
    """Return the place and the sealed value of the record that follows `after` in the conversation stored as `name`."""
    sealed = key.seal(pack(payload), _record_context(name, after.seq + 1, after.digest))
    return Position(after.seq + 1, digest(sealed)), sealed


def seal_head(name: str, key: DataKey, position: Position) -> bytes:
    """Return the sealed head that names the newest record."""
    return key.seal(json.dumps({"seq": position.seq, "digest": position.digest}).encode(), _head_context(name))


def open_head(name: str, key: DataKey, sealed: bytes | None) -> Position:
    """Return where the head says the conversation stands. Without one: START, which only a first record may follow. Raises Damage."""
    if sealed is None:
        return START
    try:
        content = json.loads(key.open(sealed, _head_context(name)))
    except SealBroken:
        raise Damage("head") from None
    return Position(content["seq"], content["digest"])


def check_order(rows: Rows, limit: int | None) -> None:
    """Raise Damage unless the numbers have no gap, and go down to 1 when the limit did not cut them."""
    numbers = [row.seq for row in rows]
    whole = limit is None or len(rows) <= limit
    gap = any(newer != older + 1 for newer, older in pairwise(numbers))
    if gap or (whole and numbers and numbers[-1] != 1):
        raise Damage("order")


def check_tail(rows: Rows, head: Position) -> None:
    """Raise Damage unless the newest record is the head's, or the one after it: a crash fell between the two commits of an append."""
    newest = [Position(row.seq, digest(row.sealed)) for row in rows[:2]] + [START]
    if head != newest[0] and (not rows or head != newest[1]):
        raise Damage("tail")


def open_records(name: str, key: DataKey, rows: Rows, limit: int | None) -> Window:
    """Return the newest `limit` rows opened; one row more may be there, whose digest opens the oldest of them. Raises Damage."""
    digests = [digest(row.sealed) for row in rows]
    before = [*digests[1:], START.digest]
    wanted = rows if limit is None else rows[:limit]
    try:
        payloads = [
            unpack(key.open(row.sealed, _record_context(name, row.seq, previous))) for row, previous in zip(wanted, before, strict=False)
        ]
    except SealBroken:
        raise Damage("seal") from None
    return Window(Position(rows[0].seq, digests[0]), tuple(reversed(payloads)))


def _record_context(name: str, seq: int, previous: str) -> dict[str, str | int]:
    return {"store": "tracker", "table": "records", "conversation": name, "seq": seq, "previous": previous}


def _head_context(name: str) -> dict[str, str | int]:
    return {"store": "tracker", "table": "heads", "conversation": name}


def digest(sealed: bytes) -> str:
    """Return the SHA-256 of a sealed record, hexadecimal."""
    return hashlib.sha256(sealed).hexdigest()
