"""The fence: the rules by themselves, and in a real process where nothing can take it down again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from confide.rasa.fence import Fence, FenceError
from confide.rasa.launcher import fence
from confide.settings import RasaSettings
from tests.unit.rasa.project_kit import HOME

OTHERS = [
    "core/confide.sqlite", "core/confide.sqlite-wal", "core-keys/keystore.sqlite", "keys/core/kek.json", "keys/core/binding.key",
    "keys/gateway/capability.pem", "keys/bank/login.pem", "tls/server.key",
]
OWN = [
    "keys/rasa/kek.json", "rasa/tracker.sqlite", "rasa/tracker.sqlite-wal", "rasa-keys/keystore.sqlite",
    "rasa-keys/keystore.sqlite-journal",
]


@pytest.fixture
def var(tmp_path: Path) -> Path:
    var = tmp_path / "var"
    for name in [*OTHERS, *OWN]:
        (var / name).parent.mkdir(parents=True, exist_ok=True)
        (var / name).write_bytes(b"")
    return var


@pytest.fixture
def settings(var: Path) -> RasaSettings:
    return RasaSettings.read({"CONFIDE_VAR": str(var), "CONFIDE_ACTIONS_URL": "http://127.0.0.1:5155"})


@pytest.fixture
def ours(settings: RasaSettings) -> Fence:
    return fence(settings)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("event", ["open", "os.listdir", "os.rename", "os.link", "os.symlink", "os.remove"])
def test_files_of_other_processes_are_closed(ours: Fence, var: Path, event: str, name: str) -> None:
    with pytest.raises(FenceError):
        ours.check(event, (str(var / name), "r", 0))


@pytest.mark.parametrize("name", OWN)
def test_its_own_files_are_open(ours: Fence, var: Path, name: str) -> None:
    ours.check("open", (str(var / name), "r", 0))


def test_what_is_outside_the_shared_folder_is_not_its_business(ours: Fence, tmp_path: Path) -> None:
    ours.check("open", (str(tmp_path / "config.yml"), "r", 0))
    ours.check("open", (3, "r", 0))
    ours.check("import", ("anything",))


def test_detours_lead_to_the_same_fence(ours: Fence, var: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = tmp_path / "innocent"
    link.symlink_to(var / "core")
    monkeypatch.chdir(tmp_path)
    detours: list[Any] = [
        link / "confide.sqlite", os.fsencode(link / "confide.sqlite"), f"{var}/rasa/../core/confide.sqlite", "var/core/confide.sqlite",
        var / "rasa" / "tracker.sqlite-x" / ".." / ".." / "core" / "confide.sqlite", f"/proc/self/root{var}/core/confide.sqlite",
    ]
    for path in detours:
        with pytest.raises(FenceError):
            ours.check("open", (path, "r", 0))
    with pytest.raises(FenceError):  # the folder above may not be moved away either
        ours.check("os.rename", (str(var.parent), str(tmp_path / "x")))


def test_only_its_own_databases_may_be_connected(ours: Fence, var: Path) -> None:
    ours.check("sqlite3.connect", (str(var / "rasa/tracker.sqlite"),))
    ours.check("sqlite3.connect", (f"file:{var}/rasa/tracker.sqlite?mode=ro",))
    other = f"{var}/core/confide.sqlite"
    for address in (other, f"file:{other}?mode=ro", f"file://{other}", ":memory:", ""):
        with pytest.raises(FenceError):
            ours.check("sqlite3.connect", (address,))


def test_only_the_actions_may_be_reached(ours: Fence) -> None:
    ours.check("socket.connect", (None, ("127.0.0.1", 5155)))
    for address in (("127.0.0.1", 5432), ("203.0.113.7", 443), "/run/some.sock"):
        with pytest.raises(FenceError):
            ours.check("socket.connect", (None, address))


PROGRAM = """
import os, sqlite3, socket, sys
from confide.rasa.launcher import fence, open_records
from confide.settings import RasaSettings

settings = RasaSettings.read()
fence(settings).install()
records = open_records(settings)
var = settings.keys.parent.parent
def refused(attempt):
    try:
        attempt()
    except Exception as error:
        return isinstance(error, PermissionError) or "attach" in str(error)
    return False
def attach():
    with records.data.connect() as connection:
        connection.exec_driver_sql(f"ATTACH '{var}/core/confide.sqlite' AS other")
print(all([
    refused(lambda: open(var / "core" / "confide.sqlite")),
    refused(lambda: os.open(str(var / "keys" / "core" / "kek.json"), os.O_RDONLY)),
    refused(lambda: sqlite3.connect(var / "core" / "confide.sqlite")),
    refused(lambda: sqlite3.connect(":memory:")),
    refused(lambda: os.listdir(var / "core-keys")),
    refused(lambda: socket.create_connection(("127.0.0.1", 9))),
    refused(attach),
]))
"""


def test_in_a_real_process_the_fence_holds_and_the_store_works(settings: RasaSettings, var: Path) -> None:
    from confide.storage.keyring import write_new_key_file, write_private

    for name in ("kek.json", "pseudonym.key"):
        (settings.keys / name).unlink(missing_ok=True)
    write_new_key_file(settings.keys / "kek.json")
    write_private(settings.keys / "pseudonym.key", b"p" * 32)
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={"CONFIDE_VAR": str(var), "PYTHONPATH": str(HOME)}, capture_output=True, text=True, timeout=60,
        check=False,
    )
    assert ran.stdout.strip() == "True", ran.stderr
