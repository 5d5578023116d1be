"""`.ci/run` with a make, an apt-get and a Chromium of our own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
GOOD = "==== 3 passed in 0.1s ===="


class Machine:
    """A copy of the script in a folder, with stand-ins for the programs that it calls."""

    def __init__(self, folder: Path) -> None:
        self.programs = folder / "bin"
        self.programs.mkdir()
        for name in (".ci/run", "scripts/find-chromium"):
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        for name in ("bash", "env", "dirname", "mktemp", "rm", "tee", "grep", "tail", "cat"):
            (self.programs / name).symlink_to(shutil.which(name) or pytest.fail(f"no {name} here"))
        self.folder = folder
        self.add("sudo", "shift; exec \"$@\"")

    def add(self, name: str, script: str) -> None:
        (self.programs / name).write_text(f"#!{self.programs}/bash\n{script}\n")
        (self.programs / name).chmod(0o755)

    def run(self, **extra: str) -> tuple[int, list[str]]:
        environ = {"PATH": str(self.programs), "TMPDIR": os.environ.get("TMPDIR", "/tmp"), **extra}
        done = subprocess.run([self.folder / ".ci/run"], env=environ, capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stdout.splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.add("make", f"echo \"$@\"; echo '{GOOD}'; echo afterwards")
    made.add("chromium", "exit 0")
    made.add("npm", "exit 0")
    (tmp_path / "webchat").mkdir()
    return made


def test_pytests_closing_line_is_the_last(machine: Machine) -> None:
    code, lines = machine.run()
    assert code == 0
    assert lines[-1] == GOOD
    assert [line for line in lines if line in {"lint", "test"}] == ["lint", "test"]


def test_a_failure_is_passed_on_after_the_closing_line(machine: Machine) -> None:
    machine.add("make", "echo '=== 1 failed, 2 passed in 1s ==='; echo 'make: *** [test] Error 1'; exit 2")
    code, lines = machine.run()
    assert code == 2
    assert lines[-1] == "=== 1 failed, 2 passed in 1s ==="


@pytest.mark.parametrize(("code", "seen"), [(2, 2), (0, 1)])
def test_a_run_without_tests_is_a_failure_and_said(machine: Machine, code: int, seen: int) -> None:
    machine.add("make", f"exit {code}")
    assert machine.run() == (seen, ["ci: no test ran"])


def test_a_missing_chromium_is_installed(machine: Machine) -> None:
    (machine.programs / "chromium").unlink()
    machine.add("apt-get", f"echo \"$@\" >> {machine.folder}/apt")
    assert machine.run()[0] == 0
    assert [line.split()[0] for line in (machine.folder / "apt").read_text().splitlines()] == ["update", "install"]


def test_a_chromium_that_cannot_be_installed_is_no_failure(machine: Machine) -> None:
    (machine.programs / "chromium").unlink()
    machine.add("apt-get", "exit 100")
    code, lines = machine.run()
    assert code == 0
    assert any("could not be installed" in line for line in lines)


@pytest.mark.parametrize(("npm", "seen"), [("exit 0", "required"), ("exit 1", "failed"), (None, "failed")])
def test_in_ci_the_bundle_must_be_built_anew(machine: Machine, npm: str | None, seen: str) -> None:
    """What a test then makes of CONFIDE_BUNDLE_CHECK: tests/unit/test_bundle.py."""
    machine.add("make", f"echo \"check: ${{CONFIDE_BUNDLE_CHECK:-unset}}\"; echo '{GOOD}'")
    (machine.programs / "npm").unlink()
    if npm is not None:
        machine.add("npm", npm)
    code, lines = machine.run(CI="true")
    assert (code, lines[-1]) == (0, GOOD)
    assert f"check: {seen}" in lines
    assert any("cannot be built anew" in line for line in lines) == (seen == "failed")
    assert "check: unset" in machine.run()[1], "a developer's machine is no CI"
