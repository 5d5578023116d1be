"""Sealed conversation records: what the tracker store keeps, as bytes, without knowing Rasa.

A conversation is a chain of records, one a turn. The data database holds a pseudonym, a number and a sealed value; the key store's
database holds the conversation's data key and its sealed head (number and digest of the newest record). A record is sealed for its
place: store, conversation, number and the digest of the record before it, so an edit, a swap, a gap, a replay and a record of another
conversation do not open; the head shows a tail that was cut or a database that was rolled back. NIST SP 800-38D; requirements.md S4.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Float,
    LargeBinary,
    MetaData,
    String,
    Table,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import SQLAlchemyError

from confide.rasa.record_chain import (
    START,
    Damage,
    Position,
    Rows,
    Window,
    check_order,
    check_tail,
    open_head,
    open_records,
    seal_head,
    seal_record,
)
from confide.storage.database import DatabaseAway
from confide.storage.envelope import DataKey, SealBroken
from confide.storage.keyring import KeyProviderError
from confide.storage.keystore import KeyStore, data_keys

logger = logging.getLogger(__name__)

data_metadata, key_metadata = MetaData(), MetaData()
records = Table(
    "records", data_metadata,
    Column("conversation", String(64), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("sealed", LargeBinary, nullable=False),
)
quarantine = Table(
    "quarantine", data_metadata,
    Column("conversation", String(64), primary_key=True),
    Column("at", Float, nullable=False),
    Column("reason", String(32), nullable=False),
)
heads = Table(
    "heads", key_metadata,
    Column("conversation", String(64), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)


class StoreError(Exception):
    """The conversation cannot be read or written now. Never carries an id, a text or a value."""


class StoreAway(StoreError):
    """The database or its key store is away, locked, replaced, or changed under us."""


class ConversationDamaged(StoreError):
    """The records were edited, reordered, cut, replayed or moved; the conversation is in quarantine until a person has looked."""


class ConversationKeys(KeyStore):
    """The key store, able to destroy a conversation's key: what then remains of it anywhere cannot be read again.

    Keeps no key between turns: the worker erases from another process, and a conversation must be dark in this one at once.
    """

    def find(self, owner: str) -> DataKey | None:
        """Return the owner's key as it is stored now, or None. Raises like KeyStore.find."""
        self._cache.pop(owner, None)
        return super().find(owner)

    def destroy(self, owner: str, also: Callable[[Connection], None]) -> None:
        """Delete the owner's key and run `also` in the same transaction. Raises DatabaseAway."""
        self._cache.pop(owner, None)
        try:
            with self.engine.begin() as transaction:
                transaction.execute(delete(data_keys).where(data_keys.c.owner == owner))
                also(transaction)
        except SQLAlchemyError:
            raise DatabaseAway("the key store is away") from None


@dataclass(frozen=True)
class Records:
    """The chains of all conversations. Blocking; one process, many threads; one writer a conversation."""

    data: Engine
    keys: ConversationKeys
    pseudonym_key: bytes = field(repr=False)
    clock: Callable[[], float] = time.time

    def create_tables(self) -> None:
        """Create what is missing. Raises StoreAway."""
        with _away():
            self.keys.create_tables()
            key_metadata.create_all(self.keys.engine)
            data_metadata.create_all(self.data)

    def pseudonym(self, conversation_id: str) -> str:
        """Return the name under which a conversation is stored: keyed, so that not even its id can be tried out (64 hex digits)."""
        return hmac.new(self.pseudonym_key, conversation_id.encode(), hashlib.sha256).hexdigest()

    def pseudonyms(self) -> list[str]:
        """Return the stored names of all conversations. Raises StoreAway."""
        with _away(), self.data.begin() as transaction:
            return list(transaction.execute(select(records.c.conversation).distinct()).scalars())

    def probe(self) -> None:
        """Raise StoreAway unless both databases can be read and written now."""
        with _away():
            with self.keys.engine.begin() as transaction:
                transaction.execute(select(func.count()).select_from(select(heads.c.conversation).limit(1).subquery()))
            with self.data.begin() as transaction:
                transaction.execute(select(func.count()).select_from(select(records.c.seq).limit(1).subquery()))

    def read(self, name: str, limit: int | None = None) -> Window:
        """Return the newest `limit` records (all without it) of the conversation stored as `name`.

        Raises StoreAway, and ConversationDamaged after it has put the conversation in quarantine.
        """
        with _away():
            try:
                try:
                    return self._read(name, limit)
                except Damage:  # another process may have written between our two reads: look again before judging
                    return self._read(name, limit)
            except Damage as damage:
                self._quarantine(name, damage.reason)
                raise ConversationDamaged("the conversation is in quarantine") from None

    def append(self, name: str, after: Position, payload: bytes) -> Position:
        """Add one record after the newest and return where the conversation stands. Raises StoreAway, ConversationDamaged.

        Two commits: the record, then the head. A crash between them leaves one record more than the head says; `read` repairs that.
        """
        with _away():
            key = self._key(name, after)
            position, sealed = seal_record(name, key, after, payload)
            with self.data.begin() as transaction:
                transaction.execute(insert(records).values(conversation=name, seq=position.seq, sealed=sealed))
            self._write_head(name, key, position)
            return position

    def delete(self, name: str) -> None:
        """Destroy the conversation: its key and head first, then its records. Can be repeated until it succeeds. Raises StoreAway."""
        with _away():
            self.keys.destroy(_owner(name), lambda transaction: _delete_head(transaction, name))
            with self.data.begin() as transaction:
                transaction.execute(delete(records).where(records.c.conversation == name))
                transaction.execute(delete(quarantine).where(quarantine.c.conversation == name))

    def _read(self, name: str, limit: int | None) -> Window:
        with self.keys.engine.begin() as transaction:  # the head first: what is written meanwhile is newer than it, never older
            sealed_head = transaction.execute(select(heads.c.sealed).where(heads.c.conversation == name)).scalar()
        rows = self._rows(name, limit)
        if sealed_head is None and not rows:
            return Window(START, ())
        try:
            key = self.keys.find(_owner(name))
        except SealBroken:
            raise Damage("key") from None
        if key is None:
            raise Damage("key")
        head = open_head(name, key, sealed_head)
        check_order(rows, limit)
        check_tail(rows, head)
        window = open_records(name, key, rows, limit)
        if window.position != head:
            self._write_head(name, key, window.position)
        return window

    def _key(self, name: str, after: Position) -> DataKey:
        key = self.keys.obtain(_owner(name)) if after == START else self.keys.find(_owner(name))
        if key is None:
            raise StoreAway("the conversation was erased meanwhile")
        return key

    def _write_head(self, name: str, key: DataKey, position: Position) -> None:
        sealed = seal_head(name, key, position)
        with self.keys.engine.begin() as transaction:
            if transaction.execute(update(heads).where(heads.c.conversation == name).values(sealed=sealed)).rowcount:
                return
            if position.seq > 1:
                raise StoreAway("the conversation was erased meanwhile")
            transaction.execute(insert(heads).values(conversation=name, sealed=sealed))

    def _rows(self, name: str, limit: int | None) -> Rows:
        query = select(records.c.seq, records.c.sealed).where(records.c.conversation == name).order_by(records.c.seq.desc())
        with self.data.begin() as transaction:
            if transaction.execute(select(quarantine.c.at).where(quarantine.c.conversation == name)).first():
                raise ConversationDamaged("the conversation is in quarantine")
            # one row more than asked for: its digest opens the oldest one asked for
            return transaction.execute(query if limit is None else query.limit(limit + 1)).all()

    def _quarantine(self, name: str, reason: str) -> None:
        logger.error("conversation %s is damaged (%s) and in quarantine", name, reason)
        with self.data.begin() as transaction:
            transaction.execute(delete(quarantine).where(quarantine.c.conversation == name))
            transaction.execute(insert(quarantine).values(conversation=name, at=self.clock(), reason=reason))


@contextmanager
def _away() -> Iterator[None]:
    """Turn every failure of a database or a key into StoreAway, without the cause: it may name parameters or files."""
    try:
        yield
    except (SQLAlchemyError, DatabaseAway, KeyProviderError, SealBroken) as error:
        raise StoreAway(f"the tracker store is away ({type(error).__name__})") from None


def _delete_head(transaction: Connection, name: str) -> None:
    transaction.execute(delete(heads).where(heads.c.conversation == name))


def _owner(name: str) -> str:
    return f"conversation:{name}"
