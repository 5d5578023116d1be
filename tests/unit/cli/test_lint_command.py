"""`confide lint` on the project's own files, and on a copy with a mistake in it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from confide.cli.main import main

ROOT = Path(__file__).parents[3]


@pytest.fixture
def project(tmp_path: Path, var: Path) -> Path:
    """A copy of the conversation files and the policy."""
    for name in ("config.yml", "domain.yml", "privacy.yml"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "data", tmp_path / "data")
    return tmp_path


def lint(root: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["lint", str(root), *options])
    return result.exit_code, result.output


def test_our_own_files_are_in_order(project: Path) -> None:
    code, output = lint(project)
    assert code == 0, output
    assert "in order" in output


def test_a_step_after_an_action_of_the_policy_is_a_finding_with_its_place(project: Path) -> None:
    extra = project / "data" / "rules" / "extra.yml"
    extra.write_text(
        'version: "3.1"\nrules:\n- rule: pays twice\n  steps:\n  - intent: bot_challenge\n  - action: action_freeze_card\n  - action: utter_thank\n'
    )
    code, output = lint(project, "--json")
    assert code == 1
    (finding,) = json.loads(output)["findings"]
    assert finding["file"] == str(extra)
    assert finding["message"]
    assert finding["fix"]


def test_a_button_that_says_what_only_we_may_say_is_a_finding_with_file_and_line(project: Path) -> None:
    domain = project / "domain.yml"
    text = domain.read_text()
    trap = "  utter_trap:\n  - text: Go on\n    buttons:\n    - title: Go\n      payload: /confide_resume\n"
    domain.write_text(text.replace("responses:\n", f"responses:\n{trap}", 1))
    code, output = lint(project)
    assert code == 1
    assert f"{domain}:" in output


def test_a_policy_that_is_wrong_is_a_finding_with_file_and_line(project: Path) -> None:
    (project / "privacy.yml").write_text("version: 1\nsurprise: 1\n")
    code, output = lint(project)
    assert code == 1
    assert "privacy.yml:2" in output


def test_a_folder_that_is_not_there_is_exit_code_2(tmp_path: Path, var: Path) -> None:
    assert lint(tmp_path / "nowhere")[0] == 2
