"""The launcher's refusals: what must not start, and what it says."""

from __future__ import annotations

import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from confide.rasa.launcher import main
from confide.storage.keyring import write_new_key_file, write_private
from tests.unit.rasa.project_kit import environment


@pytest.mark.parametrize("arguments", [["--enable-api"], ["--debug"], ["--cors", "*"], ["--port", "1"], ["run"]])
def test_rasas_switches_stay_closed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "takes no arguments" in capsys.readouterr().err


def _with_keys(root: Path) -> Path:
    folder = root / "var" / "keys" / "rasa"
    folder.mkdir(parents=True, mode=0o700)
    for name in ("gateway-rasa.key", "rasa-actions.key", "pseudonym.key", "model.key"):
        write_private(folder / name, secrets.token_bytes(32))
    write_new_key_file(folder / "kek.json")
    return folder


def _start(root: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "confide.rasa"], cwd=root, env=environment(root) | more, capture_output=True, text=True, timeout=60,
        check=False,
    )


@pytest.mark.parametrize(("lost", "said"), [("rasa-actions.key", "keys init"), ("kek.json", "keys init"), ("pseudonym.key", "keys init")])
def test_a_missing_key_is_named(tmp_path: Path, lost: str, said: str) -> None:
    (_with_keys(tmp_path) / lost).unlink()
    refused = _start(tmp_path)
    assert refused.returncode == 1
    assert lost in refused.stderr
    assert said in refused.stderr


def test_no_model_no_start(tmp_path: Path) -> None:
    _with_keys(tmp_path)
    refused = _start(tmp_path)
    assert (refused.returncode, "make train" in refused.stderr) == (1, True)


def test_a_hole_in_endpoints_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    _with_keys(tmp_path)
    (tmp_path / "endpoints.yml").write_text("models: {url: 'http://elsewhere'}")
    refused = _start(tmp_path)
    assert (refused.returncode, "models is not allowed" in refused.stderr) == (1, True)
    assert not (tmp_path / "var" / "rasa" / "tracker.sqlite").exists()


@pytest.mark.parametrize("variable", ["CONFIDE_TRACKER_URL", "CONFIDE_TRACKER_KEYSTORE_URL"])
@pytest.mark.parametrize("database", ["core/confide.sqlite", "core-keys/keystore.sqlite"])
def test_another_processs_database_cannot_be_made_its_own(tmp_path: Path, variable: str, database: str) -> None:
    _with_keys(tmp_path)
    refused = _start(tmp_path, **{variable: f"sqlite:///{tmp_path}/var/{database}"})
    assert (refused.returncode, "belongs to another process" in refused.stderr) == (1, True)
    assert not (tmp_path / "var" / database).exists()


def test_the_fence_is_up_before_any_key_is_read(tmp_path: Path) -> None:
    _with_keys(tmp_path)
    other = tmp_path / "var" / "keys" / "core"
    other.mkdir()
    write_new_key_file(other / "kek.json")
    refused = _start(tmp_path, CONFIDE_TRACKER_KEY_PROVIDER=f"file:{other}/kek.json")
    assert (refused.returncode, f"{other}/kek.json cannot be read" in refused.stderr) == (1, True)


def test_a_wrong_setting_and_an_unusable_store_are_said(tmp_path: Path) -> None:
    _with_keys(tmp_path)
    assert "CONFIDE_RASA_PORT" in _start(tmp_path, CONFIDE_RASA_PORT="no").stderr
    (tmp_path / "var" / "rasa").mkdir()
    (tmp_path / "var" / "rasa" / "tracker.sqlite").write_bytes(b"this is no database, it is a text " * 100)
    refused = _start(tmp_path)
    assert (refused.returncode, "tracker store is away" in refused.stderr) == (1, True)
