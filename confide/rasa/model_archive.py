"""Model archives: which training files they were made of, and that we made them.

A Rasa model names classes and methods that are imported and called on loading: a model is code. So it is loaded only with the trainer's
MAC, and from a copy that nobody can exchange between the check and the load. CWE-494; requirements.md S2.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: The number of archives that training leaves, newest first.
KEEP = 3
_NAME = re.compile(r"confide-[0-9a-f]{16}\.tar\.gz")


class ModelRefused(Exception):
    """There is no model, or it is not one that our trainer made. The message says what to do."""


def fingerprint(root: Path, versions: str) -> str:
    """Return 64 hexadecimal digits over config.yml, domain.yml (or domain/), data/ and `versions`, the tools that train."""
    digest = hashlib.sha256(f"confide-model-v1\n{versions}\n".encode())
    for path in _training_files(root):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\n{len(content)}\n".encode() + content)
    return digest.hexdigest()


def archive_name(print_: str) -> str:
    """Return the file name of the archive with that fingerprint."""
    return f"confide-{print_[:16]}.tar.gz"


def sign(archive: Path, key: bytes) -> None:
    """Write the MAC of `archive` beside it, as `<name>.sig`."""
    signature(archive).write_text(_mac(archive.name, archive.read_bytes(), key) + "\n", "ascii")


def is_signed(archive: Path, key: bytes) -> bool:
    """Say whether `archive` is there and carries its MAC."""
    try:
        _verified(archive, key)
    except ModelRefused:
        return False
    return True


@contextmanager
def verified_copy(archive: Path, key: bytes) -> Iterator[Path]:
    """Give a private copy of `archive` for as long as it loads. Raises ModelRefused."""
    content = _verified(archive, key)
    with tempfile.TemporaryDirectory(prefix="confide-model-") as folder:
        copy = Path(folder) / archive.name
        copy.write_bytes(content)
        yield copy


def newest(models: Path) -> Path:
    """Return `models` itself when it is a file, else the newest of our archives in it. Raises ModelRefused."""
    if models.is_file():
        return models
    found = archives(models)
    if not found:
        raise ModelRefused(f"there is no trained model in {models}; run: make train")
    return found[0]


def archives(models: Path) -> list[Path]:
    """Return our archives in a folder, newest first."""
    found = [path for path in models.glob("*.tar.gz") if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def prune(models: Path, keep: int = KEEP) -> list[Path]:
    """Remove all but the newest `keep` archives, with their MACs, and return those removed. Other people's models stay."""
    old = archives(models)[keep:]
    for archive in old:
        archive.unlink()
        signature(archive).unlink(missing_ok=True)
    return old


def signature(archive: Path) -> Path:
    """Return where the MAC of `archive` is kept."""
    return archive.with_name(archive.name + ".sig")


def _verified(archive: Path, key: bytes) -> bytes:
    try:
        content, mac = archive.read_bytes(), signature(archive).read_text("ascii").strip()
    except (OSError, ValueError):
        raise ModelRefused(f"{archive} or its .sig is missing; run: make train") from None
    if not hmac.compare_digest(mac.encode(), _mac(archive.name, content, key).encode()):
        raise ModelRefused(f"{archive} is not what our trainer made; a model is code, so it is not loaded. Run: make train")
    return content


def _mac(name: str, content: bytes, key: bytes) -> str:
    fields = ["confide-model-mac-v1", name, hashlib.sha256(content).hexdigest()]
    return hmac.new(key, "\n".join(fields).encode(), hashlib.sha256).hexdigest()


def _training_files(root: Path) -> list[Path]:
    files = [path for name in ("config.yml", "domain.yml") if (path := root / name).is_file()]
    for folder in ("domain", "data"):
        files += [path for path in (root / folder).rglob("*") if path.is_file()]
    return sorted(files)
