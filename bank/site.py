"""The demo bank's own login, as a host site would have it: a password, and then a signed login token for the chat."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlalchemy import select

from bank.schema import customers
from confide.core import Core
from confide.identity import login_token
from confide.storage.keyring import KeyProviderError, read_private


@dataclass(frozen=True)
class Site:
    """The bank's website, as far as the demo needs one."""

    core: Core
    key: Ed25519PrivateKey = field(repr=False)
    hasher: PasswordHasher
    #: What an unknown number is checked against, so that it costs the same as a wrong password.
    decoy: str = field(repr=False)

    def sign_in(self, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return a login token and the customer's name for a right password; None for anything else."""
        number, password = body.get("customer_number"), body.get("password")
        if not isinstance(number, str) or not isinstance(password, str) or len(password) > 200 or len(number) > 16:
            return None
        with self.core.transaction() as transaction:
            row = transaction.execute(select(customers).where(customers.c.number == number)).first()
        try:
            self.hasher.verify(row.password_hash if row else self.decoy, password)
        except (Argon2Error, InvalidHashError):
            return None
        if row is None:
            return None
        return {"login_token": login_token.issue(self.key, row.number, self.core.clock()), "name": row.name}


def open_site(core: Core, key_file: Path, hasher: PasswordHasher) -> Site:
    """Return the site with its login-token key. Raises KeyProviderError."""
    key = load_pem_private_key(read_private(key_file), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyProviderError(f"{key_file} is not an Ed25519 private key")
    return Site(core, key, hasher, decoy=hasher.hash(secrets.token_hex(16)))
