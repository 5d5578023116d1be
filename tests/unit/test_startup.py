"""The processes of the core say why they cannot start, and start otherwise. Real processes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.unit.kit import ROOT, Kit


def run(kit: Kit, module: str, **changed: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "CONFIDE_VAR": str(kit.var), "CONFIDE_POLICY": str(ROOT / "privacy.yml")}
    return subprocess.run(
        [sys.executable, "-m", module], cwd=ROOT, env=environment | changed, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(("module", "name"), [("confide.server", "actions"), ("confide.worker", "worker")])
@pytest.mark.parametrize(("changed", "said"), [
    ({"CONFIDE_ACTIONS_PORT": "many"}, "CONFIDE_ACTIONS_PORT"), ({"CONFIDE_POLICY": "none.yml"}, "CONFIDE_POLICY"),
    ({"CONFIDE_KEY_PROVIDER": "file:none.json"}, "confide keys init"), ({"CONFIDE_DATABASE_URL": "postgresql://u:hunter2@127.0.0.1:1/x"}, "database"),
])
def test_a_process_that_cannot_start_says_why(sqlite_kit: Kit, module: str, name: str, changed: dict[str, str], said: str) -> None:
    result = run(sqlite_kit, module, **changed)
    assert result.returncode == 1
    assert result.stderr.startswith(f"{name}: ") and said in result.stderr
    assert "Traceback" not in result.stderr and "hunter2" not in result.stdout + result.stderr
