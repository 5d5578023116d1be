"""The key store: one wrapped data key per owner, in a database of its own, so that a backup of the data holds no key."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import Column, Engine, Float, LargeBinary, MetaData, String, Table, insert, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from confide.storage.database import DatabaseAway
from confide.storage.envelope import KEY_ID_SIZE, SECRET_SIZE, DataKey, SealBroken
from confide.storage.keyring import KeyProvider

metadata = MetaData()
data_keys = Table(
    "data_keys", metadata,
    Column("owner", String(96), primary_key=True),
    Column("key_id", LargeBinary(KEY_ID_SIZE), nullable=False, unique=True),
    Column("wrapped", LargeBinary, nullable=False),
    Column("created_at", Float, nullable=False),
)

#: Unwrapped keys kept in memory, and for how many seconds.
CACHE_ENTRIES, CACHE_SECONDS = 1_000, 300.0


@dataclass
class KeyStore:
    """Data keys by owner: `subject:<id>`, `conversation:<pseudonym>`, ... One process, many threads."""

    engine: Engine
    provider: KeyProvider
    clock: Callable[[], float] = time.time
    random_bytes: Callable[[int], bytes] = os.urandom
    _cache: OrderedDict[str, tuple[float, DataKey]] = field(default_factory=OrderedDict, repr=False)

    def create_tables(self) -> None:
        """Create what is missing. Raises DatabaseAway."""
        try:
            metadata.create_all(self.engine)
        except SQLAlchemyError:
            raise DatabaseAway("the key store cannot be opened") from None

    def obtain(self, owner: str) -> DataKey:
        """Return the owner's key, made on first use. Raises DatabaseAway, SealBroken, KeyProviderError."""
        return self.find(owner) or self._create(owner)

    def existing(self, owner: str) -> DataKey:
        """Return the owner's key to open what was sealed. Raises SealBroken when there is none: reading never makes a key."""
        key = self.find(owner)
        if key is None:
            raise SealBroken
        return key

    def find(self, owner: str) -> DataKey | None:
        """Return the owner's key or None when there is none. Raises like `obtain`."""
        cached = self._cache.get(owner)
        if cached and cached[0] > self.clock():
            return cached[1]
        try:
            with self.engine.begin() as connection:
                row = connection.execute(select(data_keys.c.key_id, data_keys.c.wrapped).where(data_keys.c.owner == owner)).first()
        except SQLAlchemyError:
            raise DatabaseAway("the key store is away") from None
        if row is None:
            return None
        return self._keep(owner, DataKey(row.key_id, self.provider.unwrap(row.wrapped, _context(owner, row.key_id))))

    def _create(self, owner: str) -> DataKey:
        key = DataKey(self.random_bytes(KEY_ID_SIZE), self.random_bytes(SECRET_SIZE))
        row = {
            "owner": owner, "key_id": key.id, "created_at": self.clock(),
            "wrapped": self.provider.wrap(key.secret, _context(owner, key.id)),
        }
        try:
            with self.engine.begin() as connection:
                connection.execute(insert(data_keys).values(row))
        except IntegrityError:  # another process was first: its key is the owner's key
            found = self.find(owner)
            if found is None:
                raise DatabaseAway("the key store changed under us") from None
            return found
        except SQLAlchemyError:
            raise DatabaseAway("the key store is away") from None
        return self._keep(owner, key)

    def _keep(self, owner: str, key: DataKey) -> DataKey:
        self._cache[owner] = (self.clock() + CACHE_SECONDS, key)
        while len(self._cache) > CACHE_ENTRIES:
            self._cache.popitem(last=False)
        return key


def _context(owner: str, key_id: bytes) -> dict[str, str | int]:
    return {"store": "data_keys", "owner": owner, "key": key_id.hex()}
