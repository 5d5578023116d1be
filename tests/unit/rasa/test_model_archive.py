"""Model archives: named by what they were made of, loaded only with our MAC."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from confide.rasa.model_archive import (
    ModelRefused,
    archive_name,
    archives,
    fingerprint,
    is_signed,
    newest,
    prune,
    sign,
    signature,
    verified_copy,
)

KEY = b"m" * 32


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("config.yml", "domain.yml", "data/nlu/a.yml", "data/rules/b.yml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"# {name}\n")
    return tmp_path


def _archive(folder: Path, number: int, key: bytes = KEY) -> Path:
    archive = folder / archive_name(f"{number:064x}"[::-1])
    archive.write_bytes(b"model %d" % number)
    os.utime(archive, (number, number))
    sign(archive, key)
    return archive


def test_every_training_file_and_tool_counts(root: Path) -> None:
    seen = {fingerprint(root, "rasa 1"), fingerprint(root, "rasa 2")}
    changes: list[Callable[[], object]] = [
        lambda: (root / "config.yml").write_text("changed"), lambda: (root / "domain.yml").write_text("changed"),
        lambda: (root / "data/nlu/a.yml").write_text("changed"), lambda: (root / "data/rules/new.yml").write_text("new"),
        lambda: (root / "data/rules/b.yml").rename(root / "data/rules/c.yml"), lambda: (root / "data/rules/c.yml").unlink(),
    ]
    for change in changes:
        change()
        seen.add(fingerprint(root, "rasa 1"))
    assert len(seen) == 2 + len(changes)


def test_what_is_no_training_file_does_not_count(root: Path) -> None:
    before = fingerprint(root, "rasa 1")
    (root / "README.md").write_text("changed")
    (root / "endpoints.yml").write_text("changed")
    assert fingerprint(root, "rasa 1") == before


def test_content_cannot_move_between_files_unseen(root: Path) -> None:
    before = fingerprint(root, "rasa 1")
    a, b = (root / "data/nlu/a.yml"), (root / "data/rules/b.yml")
    a_text, b_text = a.read_text(), b.read_text()
    a.write_text(b_text)
    b.write_text(a_text)
    assert fingerprint(root, "rasa 1") != before


def test_a_signed_archive_loads_from_a_copy_of_what_was_verified(tmp_path: Path) -> None:
    archive = _archive(tmp_path, 1)
    with verified_copy(archive, KEY) as copy:
        archive.write_bytes(b"exchanged after the check")
        assert copy.read_bytes() == b"model 1"
        assert copy.parent.stat().st_mode & 0o077 == 0
    assert not copy.exists()


def _change(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes() + b"\0")


def _other_key(archive: Path) -> None:
    sign(archive, b"x" * 32)


def _no_signature(archive: Path) -> None:
    signature(archive).unlink()


def _empty_signature(archive: Path) -> None:
    signature(archive).write_text("")


def _binary_signature(archive: Path) -> None:
    signature(archive).write_bytes(b"\xff" * 64)


def _signature_of_another(archive: Path) -> None:
    signature(archive).write_text(signature(_archive(archive.parent, 2)).read_text())


def _another_model_under_its_name(archive: Path) -> None:
    other = _archive(archive.parent, 2)
    other.replace(archive)
    signature(other).replace(signature(archive))


def _remove(archive: Path) -> None:
    archive.unlink()


@pytest.mark.parametrize("tamper", [
    _change, _other_key, _no_signature, _empty_signature, _binary_signature, _signature_of_another, _another_model_under_its_name, _remove,
])
def test_anything_else_is_refused(tmp_path: Path, tamper: Callable[[Path], None]) -> None:
    archive = _archive(tmp_path, 1)
    tamper(archive)
    assert not is_signed(archive, KEY)
    with pytest.raises(ModelRefused, match="make train"), verified_copy(archive, KEY):
        pytest.fail("loaded")


def test_the_newest_of_our_archives_is_chosen_and_old_ones_go(tmp_path: Path) -> None:
    made = [_archive(tmp_path, number) for number in range(1, 6)]
    foreign = tmp_path / "20260101-somebody.tar.gz"
    foreign.write_bytes(b"not ours")
    assert newest(tmp_path) == made[-1]
    assert newest(made[0]) == made[0]
    assert prune(tmp_path, keep=3) == [made[1], made[0]]
    assert archives(tmp_path) == made[:1:-1]
    assert sorted(path.name for path in tmp_path.glob("*.sig")) == sorted(signature(path).name for path in made[2:])
    assert foreign.exists()


def test_no_model_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="make train"):
        newest(tmp_path / "models")
