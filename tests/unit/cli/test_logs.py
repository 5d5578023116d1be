"""Log files: private, bounded, harmless on a terminal."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from confide.cli import logs


def write(folder: Path, content: bytes) -> None:
    logs.prepare(folder, "rasa")
    with logs.open_for_append(folder, "rasa") as file:
        file.write(content)


def test_the_log_is_its_owners_alone(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        write(tmp_path / "log", b"x")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "log" / "rasa.log").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o700


def test_a_link_in_place_of_the_log_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "rasa.log").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic links"):
        logs.open_for_append(tmp_path, "rasa")


def test_the_tail_is_the_end_of_what_was_written_since(tmp_path: Path) -> None:
    write(tmp_path, b"before\n")
    offset = logs.prepare(tmp_path, "rasa")
    write(tmp_path, b"".join(b"line %d\n" % number for number in range(20)))
    assert logs.tail(tmp_path, "rasa", offset, lines=3) == ["line 17", "line 18", "line 19"]
    assert "before" not in logs.tail(tmp_path, "rasa", offset, lines=100)


def test_a_log_line_cannot_steer_the_terminal(tmp_path: Path) -> None:
    write(tmp_path, b"\x1b]0;owned\x07\x1b[2Jgood\rbad \xff\n")
    (first, *_) = logs.tail(tmp_path, "rasa", 0)
    assert all(line.isprintable() for line in logs.tail(tmp_path, "rasa", 0))
    assert first.startswith("?]0;owned?")


def test_a_log_that_was_cut_meanwhile_is_read_from_its_end(tmp_path: Path) -> None:
    write(tmp_path, b"short\n")
    assert logs.tail(tmp_path, "rasa", 1_000) == []
    assert logs.tail(tmp_path, "nobody", 0) == []


def test_a_large_log_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LARGEST", 3)
    write(tmp_path, b"1234")
    assert logs.prepare(tmp_path, "rasa") == 0
    assert (tmp_path / "rasa.log.1").read_bytes() == b"1234"
    assert not (tmp_path / "rasa.log").exists()
