"""The key folders of one installation: which keys belong where (docs/protocol.md, section 1), making them, and checking them.

A ring is completed, never changed: a key that exists is not written again. A key that two processes share must be in both folders and
be the same; when one half is missing or differs somebody lost, moved or exchanged it, and making another would hide that, so it is refused.
"""

from __future__ import annotations

import hmac
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from confide.storage.keyring import FileKeyProvider, KeyProviderError, read_private, write_new_key_file, write_private

FOLDERS = ("gateway", "rasa", "core", "bank")
SECRET_SIZE = 32

#: A key-encryption keyring, a secret of one process, a secret of two, a signing key and the other side's verifying key.
Kind = Literal["keyring", "secret", "shared", "signing"]
State = Literal["present", "missing"]


class KeyRingError(Exception):
    """A key is half missing, differs, or cannot be used. The message names the files and the fix, never a key."""


@dataclass(frozen=True)
class Key:
    """One key: its kind and the files that hold it (for a signing key: the private half, then the public half)."""

    kind: Kind
    files: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name people know it by: its first file."""
        return self.files[0]


RING = (
    Key("shared", ("gateway/gateway-rasa.key", "rasa/gateway-rasa.key")),
    Key("shared", ("rasa/rasa-actions.key", "core/rasa-actions.key")),
    Key("shared", ("gateway/gateway-actions.key", "core/gateway-actions.key")),
    Key("signing", ("gateway/capability.pem", "core/capability.pub.pem")),
    Key("signing", ("bank/login.pem", "core/login.pub.pem")),
    Key("keyring", ("rasa/kek.json",)),
    Key("keyring", ("core/kek.json",)),
    Key("secret", ("rasa/pseudonym.key",)),
    Key("secret", ("rasa/model.key",)),
    Key("secret", ("core/binding.key",)),
)


def complete(root: Path, random_bytes: Callable[[int], bytes] = os.urandom) -> tuple[str, ...]:
    """Make the keys that are wholly missing below `root` and return their names.

    Everything that exists is checked first; nothing is made when something is wrong. Folders are made their owner's alone.
    Raises KeyRingError.
    """
    faults = list(_faults(root))
    if faults:
        raise KeyRingError("\n".join(str(fault) for fault in faults))
    root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # mode= counts for the last folder alone
    for folder in (root, *(root / name for name in FOLDERS)):
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
    missing = [key for key in RING if state(root, key) == "missing"]
    for key in missing:
        _make(root, key, random_bytes)
    return tuple(key.name for key in missing)


def state(root: Path, key: Key) -> State:
    """Say whether `key` is there. Raises KeyRingError when only a half is."""
    there = [(root / file).exists() for file in key.files]
    if all(there):
        return "present"
    if not any(there):
        return "missing"
    lost, kept = (root / key.files[there.index(False)], root / key.files[there.index(True)])
    raise KeyRingError(
        f"{lost} is missing, but its other half {kept} is there; "
        "put it back from where you keep your keys, or remove the other half too and run: confide keys init"
    )


@dataclass(frozen=True)
class Fault:
    """Something wrong with the ring, as a sentence that says what to do."""

    name: str
    problem: str

    def __str__(self) -> str:
        return self.problem


def inspect(root: Path) -> Iterator[Fault]:
    """Yield what is wrong with the keys that exist: open permissions, lost or differing halves, damaged files."""
    yield from (Fault(path.name, f"{path} may be read by others than its owner; run: chmod 700 {path}") for path in _open_folders(root))
    yield from _faults(root)


def _faults(root: Path) -> Iterator[Fault]:
    for key in RING:
        try:
            if state(root, key) == "present":
                _check(key, [root / file for file in key.files])
        except (KeyRingError, KeyProviderError) as error:
            yield Fault(key.name, str(error))


def _open_folders(root: Path) -> list[Path]:
    folders = [root, *(root / folder for folder in FOLDERS)]
    return [folder for folder in folders if folder.exists() and stat.S_IMODE(folder.stat().st_mode) & 0o077]


def _make(root: Path, key: Key, random_bytes: Callable[[int], bytes]) -> None:
    files = [root / file for file in key.files]
    if key.kind == "keyring":
        write_new_key_file(files[0], random_bytes)
    elif key.kind == "signing":
        private = Ed25519PrivateKey.from_private_bytes(random_bytes(SECRET_SIZE))
        write_private(files[0], private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        write_private(files[1], private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    else:
        secret = random_bytes(SECRET_SIZE)
        for file in files:
            write_private(file, secret)


def _check(key: Key, files: list[Path]) -> None:
    if key.kind == "keyring":
        FileKeyProvider(files[0])
        return
    contents = [read_private(file) for file in files]
    if key.kind == "signing":
        if _private(files[0], contents[0]).public_key() != _public(files[1], contents[1]):
            raise KeyRingError(_differ(files))
        return
    for file, content in zip(files, contents, strict=True):
        if len(content) != SECRET_SIZE:
            raise KeyRingError(f"{file} should be {SECRET_SIZE} bytes; restore it from where you keep your keys")
    if not all(hmac.compare_digest(contents[0], content) for content in contents):
        raise KeyRingError(_differ(files))


def _private(file: Path, content: bytes) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyRingError(_damaged(file)) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyRingError(_damaged(file))
    return key


def _public(file: Path, content: bytes) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyRingError(_damaged(file)) from None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyRingError(_damaged(file))
    return key


def _damaged(file: Path) -> str:
    return f"{file} is not an Ed25519 key in PEM; restore it from where you keep your keys"


def _differ(files: list[Path]) -> str:
    return (
        f"{files[0]} and {files[1]} do not belong together; "
        "restore both from where you keep your keys, or remove both and run: confide keys init"
    )
