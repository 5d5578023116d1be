"""Which process may see which environment variable, and where each is looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from confide.cli.services import OWN, Plan
from confide.settings import CoreSettings, GatewaySettings, RasaSettings, SettingsError

EVERYTHING = {
    "PATH": "/bin", "HOME": "/home/someone", "LANG": "C.UTF-8", "CONFIDE_VAR": "/srv/var",
    "CONFIDE_DATABASE_URL": "sqlite:///d", "CONFIDE_KEYSTORE_URL": "sqlite:///k", "CONFIDE_KEY_PROVIDER": "file:k",
    "CONFIDE_TRACKER_URL": "sqlite:///t", "CONFIDE_TRACKER_KEYSTORE_URL": "sqlite:///tk", "CONFIDE_TRACKER_KEY_PROVIDER": "file:t",
    "CONFIDE_TLS_KEY": "/srv/tls.key", "AWS_SECRET_ACCESS_KEY": "x", "SSH_AUTH_SOCK": "x", "PYTHONPATH": "/elsewhere", "LD_PRELOAD": "x",
}
CORE_ONLY = {"CONFIDE_DATABASE_URL", "CONFIDE_KEYSTORE_URL", "CONFIDE_KEY_PROVIDER"}
TRACKER_ONLY = {"CONFIDE_TRACKER_URL", "CONFIDE_TRACKER_KEYSTORE_URL", "CONFIDE_TRACKER_KEY_PROVIDER"}


def seen_by(name: str) -> set[str]:
    return set(Plan.read(EVERYTHING).environment(name))


def test_rasa_does_not_learn_where_the_business_database_and_its_keys_are() -> None:
    assert seen_by("rasa") & CORE_ONLY == set()
    assert seen_by("rasa") >= TRACKER_ONLY


def test_the_gateway_learns_of_no_database() -> None:
    assert seen_by("gateway") & (CORE_ONLY | TRACKER_ONLY) == set()


@pytest.mark.parametrize("name", ["actions", "worker"])
def test_the_core_does_not_learn_of_the_tracker_or_of_the_private_key_of_the_certificate(name: str) -> None:
    assert seen_by(name) & (TRACKER_ONLY | {"CONFIDE_TLS_KEY"}) == set()
    assert seen_by(name) >= CORE_ONLY


@pytest.mark.parametrize("name", OWN)
def test_nothing_else_of_the_callers_environment_is_passed_on(name: str) -> None:
    assert seen_by(name) & {"AWS_SECRET_ACCESS_KEY", "SSH_AUTH_SOCK", "PYTHONPATH", "LD_PRELOAD"} == set()
    assert seen_by(name) >= {"PATH", "HOME", "LANG", "CONFIDE_VAR", "PYTHONUNBUFFERED"}


class Recorder(dict[str, str]):
    """An environment that notes what is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def get(self, key: str, default: object = None) -> object:  # type: ignore[override]
        self.asked.add(key)
        return default


@pytest.mark.parametrize(("name", "settings"), [("actions", CoreSettings), ("rasa", RasaSettings), ("gateway", GatewaySettings)])
def test_each_process_may_see_every_variable_that_its_settings_read(name: str, settings: type[CoreSettings]) -> None:
    environ = Recorder()
    settings.read(environ)
    assert environ.asked - {"CONFIDE_VAR"} <= set(OWN[name])


def test_each_process_gets_the_environment_of_its_name() -> None:
    plan = Plan.read(EVERYTHING)
    assert [service.name for service in plan.services()] == ["actions", "rasa", "worker", "gateway"]
    for service in plan.services():
        assert service.environment == plan.environment(service.name)


def test_a_moved_port_moves_where_the_others_look_for_it() -> None:
    plan = Plan.read({"CONFIDE_RASA_PORT": "6105", "CONFIDE_ACTIONS_PORT": "6155"})
    assert plan.environment("gateway")["CONFIDE_RASA_URL"] == "http://127.0.0.1:6105"
    assert plan.environment("gateway")["CONFIDE_ACTIONS_URL"] == plan.environment("rasa")["CONFIDE_ACTIONS_URL"] == "http://127.0.0.1:6155"


def test_an_address_that_is_set_wins_over_the_port() -> None:
    plan = Plan.read({"CONFIDE_RASA_PORT": "6105", "CONFIDE_RASA_URL": "https://rasa.inside"})
    assert plan.environment("gateway")["CONFIDE_RASA_URL"] == "https://rasa.inside"


def test_the_folder_is_the_same_for_all_wherever_they_run() -> None:
    folder = {Plan.read({}).environment(name)["CONFIDE_VAR"] for name in OWN}
    assert folder == {str(Path("var").resolve())}


@pytest.mark.parametrize(("host", "asked"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("127.0.0.1", "127.0.0.1")])
def test_a_gateway_on_every_address_is_asked_on_this_machine(host: str, asked: str) -> None:
    probe = Plan.read({"CONFIDE_HOST": host, "CONFIDE_PORT": "9443", "CONFIDE_VAR": "/srv/var"}).probes()["gateway"]
    assert probe.url == f"https://{asked}:9443/health/live"
    assert probe.authority == Path("/srv/var/tls/ca.pem")


def test_a_certificate_of_the_business_is_what_its_gateway_is_checked_against() -> None:
    assert Plan.read({"CONFIDE_TLS_CERTIFICATE": "/etc/site.pem"}).probes()["gateway"].authority == Path("/etc/site.pem")


def test_a_port_that_is_none_is_named() -> None:
    with pytest.raises(SettingsError, match="CONFIDE_RASA_PORT"):
        Plan.read({"CONFIDE_RASA_PORT": "many"})


def test_secrets_of_the_environment_are_in_no_repr() -> None:
    plan = Plan.read({**EVERYTHING, "CONFIDE_DATABASE_URL": "postgresql://user:hunter2@db/confide"})
    assert "hunter2" not in repr(plan)
    assert all("hunter2" not in repr(service) for service in plan.services())
