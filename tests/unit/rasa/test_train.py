"""Training: once for each state of the files, signed, and never half."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from confide.rasa import train
from confide.rasa.model_archive import archives, is_signed, signature, verified_copy
from confide.rasa.train import TrainingFailed, ensure, main

KEY = b"m" * 32


class Trainer:
    """Stands in for Rasa's trainer."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, root: Path, archive: Path) -> None:
        self.runs += 1
        archive.write_bytes((root / "config.yml").read_bytes())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "config.yml").write_text("one")
    return tmp_path


def test_it_trains_once_for_each_state_of_the_files(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer, models = Trainer(), root / "models"
    first = ensure(root, models, KEY, trainer)
    assert ensure(root, models, KEY, trainer) == first
    assert trainer.runs == 1
    assert "up to date" in capsys.readouterr().out
    (root / "config.yml").write_text("two")
    second = ensure(root, models, KEY, trainer)
    assert (trainer.runs, is_signed(first, KEY), is_signed(second, KEY)) == (2, True, True)
    os.utime(second, (1, 1))
    assert ensure(root, models, KEY, trainer) == second
    assert archives(models)[0] == second  # the model of the current files is the one that is loaded


def test_an_archive_without_our_mac_is_trained_anew(root: Path) -> None:
    trainer = Trainer()
    archive = ensure(root, root / "models", KEY, trainer)
    archive.write_bytes(b"exchanged")
    ensure(root, root / "models", KEY, trainer)
    signature(archive).unlink()
    ensure(root, root / "models", KEY, trainer)
    assert trainer.runs == 3
    with verified_copy(archive, KEY) as copy:
        assert copy.read_bytes() == b"one"


def test_a_training_that_fails_leaves_nothing(root: Path) -> None:
    def fail(_root: Path, archive: Path) -> None:
        archive.write_bytes(b"half a model")
        raise TrainingFailed

    with pytest.raises(TrainingFailed):
        ensure(root, root / "models", KEY, fail)
    assert list((root / "models").iterdir()) == []


def test_old_archives_are_removed(root: Path) -> None:
    trainer = Trainer()
    for number in range(5):
        (root / "config.yml").write_text(str(number))
        ensure(root, root / "models", KEY, trainer)
    assert len(archives(root / "models")) == 3


def test_the_command_makes_the_key_and_is_quiet_about_it(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root)
    monkeypatch.setenv("CONFIDE_VAR", str(root / "var"))
    monkeypatch.delenv("CONFIDE_MODEL", raising=False)
    monkeypatch.setenv("RASA_TELEMETRY_ENABLED", "true")
    monkeypatch.setattr(train, "_train", Trainer())
    assert main([]) == 0
    key = root / "var" / "keys" / "rasa" / "model.key"
    assert (len(key.read_bytes()), key.stat().st_mode & 0o777) == (32, 0o600)
    assert is_signed(archives(root / "models")[0], key.read_bytes())
    assert os.environ["RASA_TELEMETRY_ENABLED"] == "false"
    assert key.read_bytes().hex() not in capsys.readouterr().out


def test_the_command_refuses_arguments_and_an_open_key(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root)
    monkeypatch.setenv("CONFIDE_VAR", str(root / "var"))
    monkeypatch.setenv("RASA_TELEMETRY_ENABLED", "false")
    assert main(["--force"]) == 2
    key = root / "var" / "keys" / "rasa" / "model.key"
    key.parent.mkdir(parents=True)
    key.write_bytes(b"m" * 32)
    key.chmod(0o644)
    assert main([]) == 1
    assert "chmod 600" in capsys.readouterr().err
