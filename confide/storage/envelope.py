"""Sealed values: AES-256-GCM under a data key, bound to the place they belong to.

Layout of a sealed value: version (1 byte) | suite (1) | key id (16) | commitment (32) | nonce (12) | ciphertext and tag.
The associated data is the header and the canonical JSON (RFC 8785) of the context (store, table, column, row, owner, ...), so that
a value copied to another row, column or owner does not open. The commitment ties the ciphertext to one key: without it, a GCM
ciphertext can be made that opens under two. NIST SP 800-38D; OWASP ASVS 5.0 11.3.2 to 11.3.4.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import rfc8785
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

VERSION = 1
SUITE_AES_256_GCM = 1
KEY_ID_SIZE = 16
SECRET_SIZE = 32
_COMMITMENT_SIZE = 32
_NONCE_SIZE = 12
_HEADER_SIZE = 2 + KEY_ID_SIZE + _COMMITMENT_SIZE + _NONCE_SIZE

#: Where a value belongs. Part of the associated data, never stored with the value.
Context = Mapping[str, str | int]


class SealBroken(Exception):
    """The value was changed, moved, cut, or sealed under another key. One exception for every cause."""


@dataclass(frozen=True)
class DataKey:
    """A 256-bit key and its 16-byte id. Encryption key and commitment are derived from it (HKDF-Expand, RFC 5869)."""

    id: bytes
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.id) != KEY_ID_SIZE or len(self.secret) != SECRET_SIZE:
            raise ValueError("a data key is 32 bytes with an id of 16")

    @classmethod
    def generate(cls, random_bytes: Callable[[int], bytes] = os.urandom) -> DataKey:
        """Return a new key."""
        return cls(id=random_bytes(KEY_ID_SIZE), secret=random_bytes(SECRET_SIZE))

    @cached_property
    def _cipher(self) -> AESGCM:
        return AESGCM(self._derive(b"confide/v1/encrypt"))

    @cached_property
    def _commitment(self) -> bytes:
        return self._derive(b"confide/v1/commit")

    def _derive(self, info: bytes) -> bytes:
        return HKDFExpand(SHA256(), 32, info + self.id).derive(self.secret)

    def seal(self, plaintext: bytes, context: Context, random_bytes: Callable[[int], bytes] = os.urandom) -> bytes:
        """Return `plaintext` sealed for `context`."""
        nonce = random_bytes(_NONCE_SIZE)
        header = bytes([VERSION, SUITE_AES_256_GCM]) + self.id + self._commitment + nonce
        return header + self._cipher.encrypt(nonce, plaintext, header + rfc8785.dumps(dict(context)))

    def open(self, sealed: bytes, context: Context) -> bytes:
        """Return the plaintext of a value sealed for `context`. Raises SealBroken."""
        header = sealed[:_HEADER_SIZE]
        if len(header) < _HEADER_SIZE or header[:2] != bytes([VERSION, SUITE_AES_256_GCM]) or key_id(sealed) != self.id:
            raise SealBroken
        if not hmac.compare_digest(header[2 + KEY_ID_SIZE : -_NONCE_SIZE], self._commitment):
            raise SealBroken
        try:
            return self._cipher.decrypt(header[-_NONCE_SIZE:], sealed[_HEADER_SIZE:], header + rfc8785.dumps(dict(context)))
        except InvalidTag:
            raise SealBroken from None


def key_id(sealed: bytes) -> bytes:
    """Return the id of the key a value was sealed under. Raises SealBroken when it is too short to have one."""
    if len(sealed) < _HEADER_SIZE:
        raise SealBroken
    return sealed[2 : 2 + KEY_ID_SIZE]
