"""`confide up` from an empty folder to the welcome and back, with one small process in place of ours."""

from __future__ import annotations

import os
import signal
import stat
import sys
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from confide.cli import supervisor
from confide.cli import up as up_module
from confide.cli.main import main
from confide.cli.services import Plan, Service

from .test_commands import ROOT, Result

pytestmark = pytest.mark.usefixtures("free_ports")
SLEEPS = "import time; time.sleep(600)"
DIES = "print('the key file is missing'); raise SystemExit(4)"


class Terminal:
    """What was said. When the welcome comes, somebody presses Ctrl-C."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)
        if "Confide is ready" in line:
            os.kill(os.getpid(), signal.SIGINT)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, var: Path, tmp_path: Path) -> Terminal:
    said = Terminal()
    monkeypatch.setattr(up_module, "say", said.say)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "confide-0.tar.gz").touch()
    monkeypatch.setenv("CONFIDE_MODEL", str(tmp_path / "models"))
    monkeypatch.chdir(ROOT)
    return said


def start(monkeypatch: pytest.MonkeyPatch, source: str, settle: float = 0.1) -> Result:
    monkeypatch.setattr(Plan, "services", lambda _plan: (Service("teller", (sys.executable, "-c", source), {}),))
    quick = supervisor.Patience(back_off=0.01, restarts_unready=1, settle=settle, ask_every=0.01)
    monkeypatch.setattr(supervisor, "Supervisor", partial(supervisor.Supervisor, patience=quick))
    previous = os.umask(0o022)
    try:
        return CliRunner().invoke(main, ["up"])
    finally:
        os.umask(previous)


def test_from_nothing_to_the_welcome_and_back(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, var: Path) -> None:
    result = start(monkeypatch, SLEEPS)
    assert result.exit_code == 0, result.output
    port = os.environ["CONFIDE_PORT"]
    for part in ("keys in", "Databases are ready", "teller: running after", f"ready: https://localhost:{port}", "1001", "demo code 1001",
                 str(var / "log"), "Ctrl-C", str(var / "tls" / "ca.pem"), "Stopped."):
        assert part in terminal.text
    passwords = [word for word in terminal.text.split() if word in (var / "demo" / "customers.json").read_text() and len(word) == 9]
    assert passwords


def test_whatever_is_written_is_its_owners_alone(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, var: Path) -> None:
    start(monkeypatch, SLEEPS)
    assert "Stopped." in terminal.text
    assert [path for path in (var, *var.rglob("*")) if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_the_second_start_makes_nothing_anew(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, var: Path) -> None:
    start(monkeypatch, SLEEPS)
    kept = [path for part in ("keys", "tls", "demo") for path in (var / part).rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in kept}
    terminal.lines.clear()
    assert start(monkeypatch, SLEEPS).exit_code == 0
    assert {path: path.read_bytes() for path in kept} == before
    assert "Made" not in terminal.text


def test_a_process_that_cannot_run_is_exit_code_1_with_its_last_words(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    result = start(monkeypatch, DIES, settle=600)
    assert result.exit_code == 1
    assert "the key file is missing" in result.output
    assert "Everything was stopped" in result.output


def test_a_certificate_of_the_business_is_left_alone(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, var: Path, tmp_path: Path) -> None:
    monkeypatch.setenv("CONFIDE_TLS_CERTIFICATE", str(tmp_path / "site.pem"))
    assert start(monkeypatch, SLEEPS).exit_code == 0
    assert "Stopped." in terminal.text
    assert not (var / "tls").exists()
    assert not (var / "tls-ca").exists()


def test_a_terminal_that_went_away_keeps_nobody_from_stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_line: str) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("click.echo", broken)
    assert up_module.say("Stopped.") is None
