"""The `file:` key provider: key-encryption keys in an owner-only file, oldest to newest; the newest wraps."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from confide.storage.envelope import Context, DataKey, SealBroken, key_id


class KeyProviderError(Exception):
    """The key-encryption keys cannot be used. The message names the file and the fix, never a key."""


class KeyProvider(Protocol):
    """Wraps and unwraps data keys; the key-encryption key never leaves it."""

    def wrap(self, secret: bytes, context: Context) -> bytes:
        """Return `secret` sealed under the current key-encryption key."""

    def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        """Return the secret. Raises SealBroken when it was changed or moved, KeyProviderError when the key is not to be had."""


class FileKeyProvider:
    """Key-encryption keys from a file that only its owner may read."""

    def __init__(self, path: Path) -> None:
        self._keys = {key.id: key for key in _read(path)}
        self._current = next(reversed(self._keys.values()))

    def wrap(self, secret: bytes, context: Context) -> bytes:
        return self._current.seal(secret, context)

    def unwrap(self, wrapped: bytes, context: Context) -> bytes:
        key = self._keys.get(key_id(wrapped))
        if key is None:
            raise SealBroken
        return key.open(wrapped, context)


def open_key_provider(address: str) -> KeyProvider:
    """Return the provider that `address` names: `file:PATH`. Raises KeyProviderError."""
    scheme, _, rest = address.partition(":")
    if scheme != "file" or not rest:
        raise KeyProviderError(f"key provider {scheme!r} is not known here; use file:PATH")
    return FileKeyProvider(Path(rest))


def write_new_key_file(path: Path, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
    """Create a key file with one new key-encryption key; never overwrites one."""
    key = DataKey.generate(random_bytes)
    write_private(path, json.dumps({"version": 1, "keys": [{"id": key.id.hex(), "secret": key.secret.hex()}]}).encode())


def write_private(path: Path, content: bytes) -> None:
    """Create `path` with owner-only permissions from its first byte on. Raises FileExistsError rather than overwrite."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def read_private(path: Path) -> bytes:
    """Return the content of a secret file. Raises KeyProviderError when it is missing or others may read it."""
    try:
        mode = path.stat().st_mode
        if stat.S_IMODE(mode) & 0o077:
            raise KeyProviderError(f"{path} may be read by others than its owner; run: chmod 600 {path}")
        return path.read_bytes()
    except OSError as error:
        raise KeyProviderError(f"{path} cannot be read ({error.strerror}); run: confide keys init") from None


def _read(path: Path) -> list[DataKey]:
    try:
        content = json.loads(read_private(path))
        keys = [DataKey(bytes.fromhex(key["id"]), bytes.fromhex(key["secret"])) for key in content["keys"]]
    except (ValueError, KeyError, TypeError):
        raise KeyProviderError(f"{path} is damaged; restore it from where you keep your keys") from None
    if not keys:
        raise KeyProviderError(f"{path} has no key")
    return keys
