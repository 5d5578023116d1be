"""The commands as a person or a script meets them: help, answers, exit codes."""

from __future__ import annotations

import fcntl
import json
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import click
import pyotp
import pytest
from click.testing import CliRunner, Result

from confide.cli import demo, keyring_setup
from confide.cli.main import COMMANDS, main
from confide.identity.otp import STEP_SECONDS

ROOT = Path(__file__).parents[3]
KEY = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # RFC 6238, appendix B
SHOWN = "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ"
Run = Callable[..., Result]


@dataclass(frozen=True)
class Customer:
    number: str
    name: str
    password: str
    note: str
    authenticator_key: str | None


@pytest.fixture
def run(var: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command line in the project's folder with an empty folder for its data and two demo customers."""
    fake = ModuleType("demo_of_a_test")
    people = [Customer("1001", "Anna Beispiel", "one-two", "has an app", SHOWN), Customer("1002", "Ben Muster", "three", "has none", None)]
    fake.customers = lambda: people  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    monkeypatch.setenv("CONFIDE_DEMO", fake.__name__)
    monkeypatch.chdir(ROOT)
    return lambda *arguments, **options: CliRunner().invoke(main, list(arguments), prog_name="confide", **options)


def every_command(group: click.Command, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [path]
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            found += every_command(command, (*path, name))
    return found


@pytest.mark.parametrize("path", every_command(main), ids=" ".join)
def test_every_command_explains_itself(run: Run, path: tuple[str, ...]) -> None:
    result = run(*path, "--help")
    assert result.exit_code == 0
    assert len(result.output.split("Options:")[0].split()) > 10


def test_help_lists_every_command(run: Run) -> None:
    output = run("--help").output
    assert all(f"  {name} " in output for name in COMMANDS)


@pytest.mark.parametrize("arguments", [("fly",), ("keys", "fly"), ("keys", "init", "--fly"), ("demo", "code")])
def test_what_is_not_understood_is_exit_code_2(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_setting_that_makes_no_sense_is_exit_code_2_and_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFIDE_PORT", "many")
    result = run("doctor")
    assert result.exit_code == 2
    assert "CONFIDE_PORT" in result.output


def test_the_command_line_starts_without_rasa_and_without_a_database() -> None:
    source = (
        "import sys; from confide.cli import demo, doctor, keys, lint, main, up\n"
        "heavy = {'rasa', 'rasa_sdk', 'tensorflow', 'sqlalchemy', 'numpy'} & {name.split('.')[0] for name in sys.modules}\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", source], cwd=ROOT, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_as_a_program_of_its_own(var: Path) -> None:
    command = [sys.executable, "-m", "confide.cli", "keys", "init", "--json"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["folder"] == str(var / "keys")


def test_keys_are_made_once_and_then_all_well(run: Run, var: Path) -> None:
    assert run("keys", "status").exit_code == 1
    made = json.loads(run("keys", "init", "--json").output)
    assert len(made["made"]) == len(keyring_setup.RING)
    assert run("keys", "status").exit_code == 0
    assert json.loads(run("keys", "init", "--json").output)["made"] == []
    assert {key["state"] for key in json.loads(run("keys", "status", "--json").output)["keys"]} == {"present"}


def test_a_lost_half_is_a_finding(run: Run, var: Path) -> None:
    run("keys", "init")
    (var / "keys/core/capability.pub.pem").unlink()
    init, status = run("keys", "init"), json.loads((result := run("keys", "status", "--json")).output)
    assert init.exit_code == result.exit_code == 1
    assert "capability.pub.pem is missing" in init.output
    assert [key["name"] for key in status["keys"] if key["state"] == "wrong"] == ["gateway/capability.pem"]


@pytest.mark.parametrize(("now", "code"), [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")])
def test_codes_are_those_of_the_standard(now: int, code: str) -> None:
    assert demo.code_at(KEY, now) == (code, STEP_SECONDS - now % STEP_SECONDS)


def test_a_demo_customers_code_is_the_one_an_app_shows(run: Run) -> None:
    before = pyotp.TOTP(KEY).now()
    answer = json.loads(run("demo", "code", "1001", "--json").output)
    assert answer["code"] in {before, pyotp.TOTP(KEY).now()}
    assert 1 <= answer["seconds_left"] <= 30


@pytest.mark.parametrize("typed", [[SHOWN], SHOWN.lower().split(), [KEY], ["-"]])
def test_a_key_may_be_typed_as_it_is_shown(run: Run, typed: list[str]) -> None:
    before = pyotp.TOTP(KEY).now()
    answer = json.loads(run("demo", "authenticator", "--json", "--", *typed, input=f"{KEY}\n").output)
    assert answer["code"] in {before, pyotp.TOTP(KEY).now()}


@pytest.mark.parametrize("key", ["GEZDGNBV1", "not a key!", "GEZD"])
def test_a_key_that_is_none_is_exit_code_2_and_not_repeated(run: Run, key: str) -> None:
    result = run("demo", "authenticator", key)
    assert result.exit_code == 2
    assert key not in result.output


def test_customers_are_told_apart(run: Run) -> None:
    assert run("demo", "code", "9999").exit_code == 2
    without = run("demo", "code", "1002")
    assert without.exit_code == 1
    assert "confide demo authenticator KEY" in without.output
    listed = run("demo", "customers")
    assert "1001" in listed.output
    assert "one-two" in listed.output
    assert [person["number"] for person in json.loads(run("demo", "customers", "--json").output)["customers"]] == ["1001", "1002"]


def test_before_the_first_start_there_are_no_customers(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFIDE_DEMO", "bank.demo")
    result = run("demo", "customers")
    assert result.exit_code == 1
    assert "make run" in result.output


def checks(result: Result) -> dict[str, str]:
    return {check["name"]: check["state"] for check in json.loads(result.output)["checks"]}


@pytest.mark.usefixtures("free_ports")
def test_doctor_before_the_first_start_names_what_is_missing_and_makes_nothing(run: Run, var: Path) -> None:
    result = run("doctor", "--json")
    assert result.exit_code == 1
    found = checks(result)
    assert {name for name, state in found.items() if state == "finding"} == {
        "keys", "certificate", "database", "key store", "tracker store", "tracker key store",
    }
    assert found["policy"] == found["rasa"] == "ok"
    assert not var.exists()


@pytest.mark.usefixtures("free_ports")
def test_doctor_tells_an_unreachable_database_and_hides_its_address(run: Run, monkeypatch: pytest.MonkeyPatch, empty_port: int) -> None:
    monkeypatch.setenv("CONFIDE_DATABASE_URL", f"postgresql://confide:hunter2@127.0.0.1:{empty_port}/confide")
    result = run("doctor", "--json")
    assert result.exit_code == 3
    assert checks(result)["database"] == "away"
    assert "hunter2" not in result.output


@pytest.mark.usefixtures("free_ports")
def test_doctor_names_a_stranger_on_a_port_of_ours(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        stranger.close()
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen(0)
        monkeypatch.setenv("CONFIDE_RASA_PORT", str(stranger.getsockname()[1]))
        assert checks(run("doctor", "--json"))["rasa"] == "finding"


def test_doctor_reads_the_policy(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "privacy.yml").write_text("version: 2\n")
    monkeypatch.setenv("CONFIDE_POLICY", str(tmp_path / "privacy.yml"))
    assert checks(run("doctor", "--json"))["policy"] == "finding"


@pytest.mark.usefixtures("free_ports")
def test_up_names_a_port_in_use_before_it_makes_anything(run: Run, var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("CONFIDE_ACTIONS_PORT", str(taken.getsockname()[1]))
        result = run("up")
    assert result.exit_code == 1
    assert "CONFIDE_ACTIONS_PORT" in result.output
    assert [path.name for path in var.iterdir()] == ["up.lock"]


@pytest.mark.usefixtures("free_ports")
def test_up_without_a_model_says_how_to_train_one(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CONFIDE_MODEL", str(tmp_path / "models"))
    result = run("up")
    assert result.exit_code == 1
    assert "make train" in result.output


@pytest.mark.usefixtures("free_ports")
def test_up_with_a_policy_that_is_wrong_names_file_and_line(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "privacy.yml").write_text("version: 1\nsurprise: 1\n")
    monkeypatch.setenv("CONFIDE_POLICY", str(tmp_path / "privacy.yml"))
    result = run("up")
    assert result.exit_code == 1
    assert "privacy.yml:2" in result.output


def test_up_runs_once_in_a_folder(run: Run, var: Path) -> None:
    var.mkdir()
    with (var / "up.lock").open("w") as held:
        held.write("4711")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        result = run("up")
    assert result.exit_code == 1
    assert "process 4711" in result.output
