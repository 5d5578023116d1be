"""The security core, put together: one object with the stores, over one database and one key store.

It imports neither Rasa nor its SDK nor a web framework; the action server, the worker and the CLI are adapters around it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from confide.audit.log import AuditLog
from confide.identity.acts import Acts
from confide.identity.capability import CapabilityVerifier
from confide.identity.factors import TotpFactors
from confide.identity.login_token import LoginVerifier
from confide.identity.sessions import Sessions
from confide.policy.load import load_policy
from confide.policy.model import Policy
from confide.settings import CoreSettings
from confide.storage import schema
from confide.storage.database import DatabaseAway, DatabaseFault, is_away, open_database
from confide.storage.effects import Effects
from confide.storage.keyring import KeyProviderError, open_key_provider, read_private
from confide.storage.keystore import KeyStore
from confide.storage.outbox import Outbox
from confide.vault.grants import Grants


@dataclass(frozen=True)
class Core:
    """Everything that decides. Stores work inside a transaction of `transaction()`."""

    database: Engine
    keystore: KeyStore
    policy: Policy
    clock: Callable[[], float]
    audit: AuditLog
    sessions: Sessions
    factors: TotpFactors
    acts: Acts
    grants: Grants
    effects: Effects
    outbox: Outbox
    capabilities: CapabilityVerifier
    logins: LoginVerifier

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Begin, and commit when the block ends without an exception.

        Raises DatabaseAway when the database cannot be used now, DatabaseFault when it refuses a statement; neither carries a value.
        """
        try:
            with self.database.begin() as connection:
                yield connection
        except DBAPIError as error:
            if is_away(error):
                raise DatabaseAway("the database is away, locked or full") from None
            raise DatabaseFault(type(error).__name__) from None

    def create_tables(self) -> None:
        """Create what is missing, in the database and in the key store. Raises DatabaseAway."""
        self.keystore.create_tables()
        try:
            schema.metadata.create_all(self.database)
        except DBAPIError:
            raise DatabaseAway("the database cannot be opened") from None

    def health(self) -> dict[str, str]:
        """Return `ok` or `away` for each store."""
        return {"database": _probe(self.database), "keystore": _probe(self.keystore.engine)}


def open_core(settings: CoreSettings, clock: Callable[[], float] = time.time) -> Core:
    """Open the core. Raises PolicyError, KeyProviderError, DatabaseAway, each with what to do."""
    policy = load_policy(settings.policy)
    binding_key = read_private(settings.keys / "binding.key")
    keystore = KeyStore(open_database(settings.keystore_url, "TRUNCATE"), open_key_provider(settings.key_provider), clock)
    core = Core(
        database=open_database(settings.database_url), keystore=keystore, policy=policy, clock=clock,
        audit=AuditLog(binding_key, clock), sessions=Sessions(policy.sessions, clock), factors=TotpFactors(keystore, clock),
        acts=Acts(keystore, binding_key, clock), grants=Grants(keystore, clock), effects=Effects(keystore, clock),
        outbox=Outbox(keystore, clock), capabilities=CapabilityVerifier(_public_key(settings.keys / "capability.pub.pem"), clock),
        logins=LoginVerifier(_public_key(settings.keys / "login.pub.pem")),
    )
    return core


def _public_key(path: Path) -> Ed25519PublicKey:
    key = load_pem_public_key(read_private(path))
    if not isinstance(key, Ed25519PublicKey):
        raise KeyProviderError(f"{path} is not an Ed25519 public key")
    return key


def _probe(engine: Engine) -> str:
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT 1"))
    except DBAPIError:
        return "away"
    return "ok"
