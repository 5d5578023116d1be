"""The core put together: what it refuses to open with, and in which words."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from bank.site import open_site
from confide.cli.keyring_setup import complete
from confide.core import Core, open_core
from confide.identity.login_token import LoginRefused
from confide.pack import load_pack
from confide.policy.load import PolicyError
from confide.settings import CoreSettings, GatewaySettings, SettingsError
from confide.storage.database import DatabaseAway
from confide.storage.envelope import SealBroken
from confide.storage.keyring import KeyProviderError, write_private
from confide.storage.keystore import CACHE_ENTRIES, KeyStore
from tests.unit.kit import FAST, ROOT, Kit


def settings(tmp_path: Path, **changed: str) -> CoreSettings:
    complete(tmp_path / "keys")
    return CoreSettings.read({"CONFIDE_VAR": str(tmp_path), "CONFIDE_POLICY": str(ROOT / "privacy.yml")} | changed)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    made = settings(tmp_path)
    public, other = made.keys / "capability.pub.pem", generate_private_key(SECP256R1())
    public.unlink()
    write_private(public, other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(KeyProviderError, match="Ed25519"):
        open_core(made)
    private = tmp_path / "login.pem"
    write_private(private, other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(KeyProviderError, match="Ed25519"):
        open_site(None, private, FAST)  # type: ignore[arg-type]


def test_a_policy_with_a_mistake_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(PolicyError):
        open_core(settings(tmp_path, CONFIDE_POLICY=str(tmp_path / "none.yml")))


def test_a_database_that_cannot_be_opened_is_away(tmp_path: Path) -> None:
    core = open_core(settings(tmp_path, CONFIDE_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none"))
    with pytest.raises(DatabaseAway):
        core.create_tables()
    assert core.health()["database"] == "away"
    away = open_core(settings(tmp_path, CONFIDE_KEYSTORE_URL="postgresql://nobody@127.0.0.1:1/none"))
    with pytest.raises(DatabaseAway):
        away.create_tables()


def test_the_pack_is_loaded_by_name(sqlite_kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFIDE_VAR", str(sqlite_kit.var))
    assert "mail" in load_pack("bank.pack", sqlite_kit.core).receivers


def test_two_processes_that_make_an_owners_key_at_once_agree(sqlite_kit: Kit) -> None:
    ours, theirs = sqlite_kit.core.keystore, twin(sqlite_kit.core)
    assert ours.find("subject:new") is None  # and now they are faster
    first = theirs.obtain("subject:new")
    assert ours._create("subject:new") == first


def test_reading_never_makes_a_key(sqlite_kit: Kit) -> None:
    with pytest.raises(SealBroken):
        sqlite_kit.core.keystore.existing("subject:erased")
    assert sqlite_kit.core.keystore.find("subject:erased") is None, "what was destroyed is not minted again by a look at it"


def test_a_key_that_is_made_and_gone_at_once_is_told_as_away(sqlite_kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    twin(sqlite_kit.core).obtain("subject:new")
    monkeypatch.setattr(KeyStore, "find", lambda *_arguments: None)
    with pytest.raises(DatabaseAway):
        sqlite_kit.core.keystore._create("subject:new")


def test_a_refused_login_of_the_host_site_is_a_refusal(sqlite_kit: Kit) -> None:
    with pytest.raises(LoginRefused):
        sqlite_kit.api.routes()["/core/bank/sign-in"]({"customer_number": "1001", "password": "wrong"})


def test_the_cache_of_keys_is_bounded(sqlite_kit: Kit) -> None:
    keys = sqlite_kit.core.keystore
    for number in range(CACHE_ENTRIES + 5):
        keys._keep(f"owner {number}", keys.obtain("subject:1001"))
    assert len(keys._cache) == CACHE_ENTRIES


def test_a_key_that_cannot_be_stored_is_not_used(sqlite_kit: Kit) -> None:
    path = str(sqlite_kit.core.keystore.engine.url.database)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseAway):
        sqlite_kit.core.keystore._create("subject:new")
    holder.execute("ROLLBACK")
    assert sqlite_kit.core.keystore.find("subject:new") is None


@pytest.mark.parametrize("port", ["", "0", "65536", "-1", "eight", "８４４３"])
def test_ports_are_checked(port: str) -> None:
    with pytest.raises(SettingsError, match="CONFIDE_PORT"):
        GatewaySettings.read({"CONFIDE_PORT": port})


def test_addresses_with_passwords_are_not_shown(tmp_path: Path) -> None:
    shown = repr(settings(tmp_path, CONFIDE_DATABASE_URL="postgresql://user:hunter2@db/x", CONFIDE_KEYSTORE_URL="postgresql://user:hunter2@db/y"))
    assert "hunter2" not in shown
    assert os.environ.get("CONFIDE_DATABASE_URL") is None, "the tests read nothing of the caller's"


def twin(core: Core) -> KeyStore:
    return KeyStore(core.keystore.engine, core.keystore.provider, core.keystore.clock)
