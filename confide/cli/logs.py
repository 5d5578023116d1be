"""The log file of each process: owner-only, bounded from start to start, and safe to show on a terminal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

#: A log larger than this is put aside (one older file is kept) when its process starts.
LARGEST = 10_000_000
#: How much of the end is looked at for `tail`.
_TAIL = 16_384


def path(folder: Path, name: str) -> Path:
    return folder / f"{name}.log"


def prepare(folder: Path, name: str) -> int:
    """Make the folder, put a large log aside, and return where the next line will be (bytes)."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = path(folder, name)
    size = file.stat().st_size if file.exists() else 0
    if size <= LARGEST:
        return size
    os.replace(file, file.with_suffix(".log.1"))
    return 0


def open_for_append(folder: Path, name: str) -> BinaryIO:
    """Open the log for a process to write to; it may be cut while the process runs."""
    descriptor = os.open(path(folder, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    return os.fdopen(descriptor, "wb")


def tail(folder: Path, name: str, offset: int, lines: int = 12) -> list[str]:
    """Return the last lines written since `offset`. Control characters are replaced: a log line must not steer the terminal."""
    try:
        with path(folder, name).open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(min(offset, end), end - _TAIL))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return ["".join(character if character.isprintable() else "?" for character in line) for line in text.splitlines()[-lines:]]
