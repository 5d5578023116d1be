"""Sealed values, key files and the key store."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from confide.storage.database import DatabaseAway, open_database
from confide.storage.envelope import DataKey, SealBroken, key_id
from confide.storage.keyring import FileKeyProvider, KeyProviderError, open_key_provider, read_private, write_new_key_file, write_private
from confide.storage.keystore import KeyStore, data_keys
from tests.unit.kit import Clock

KEY, OTHER = DataKey.generate(), DataKey.generate()
PLACE = {"table": "acts", "row": "1", "subject": "1001"}


@given(st.binary(max_size=200), st.dictionaries(st.text(max_size=8), st.one_of(st.text(max_size=8), st.integers(0, 2**50)), max_size=4))
def test_what_is_sealed_opens_in_its_place_only(plaintext: bytes, place: dict[str, str | int]) -> None:
    sealed = KEY.seal(plaintext, place)
    assert KEY.open(sealed, place) == plaintext
    with pytest.raises(SealBroken):
        KEY.open(sealed, {**place, "moved": 1})


def test_every_changed_byte_and_every_cut_is_found() -> None:
    sealed = KEY.seal(b"secret", PLACE)
    for position in range(len(sealed)):
        broken = bytearray(sealed)
        broken[position] ^= 1
        with pytest.raises(SealBroken):
            KEY.open(bytes(broken), PLACE)
        with pytest.raises(SealBroken):
            KEY.open(sealed[:position], PLACE)


def test_a_value_of_another_key_is_refused_even_under_our_id() -> None:
    posing = DataKey(KEY.id, OTHER.secret)
    with pytest.raises(SealBroken):
        posing.open(KEY.seal(b"x", PLACE), PLACE)
    with pytest.raises(SealBroken):
        OTHER.open(KEY.seal(b"x", PLACE), PLACE)


def test_the_commitment_is_checked_before_the_cipher_runs() -> None:
    """A ciphertext made to open under two keys passes GCM under both; only the commitment tells them apart."""
    sealed = bytearray(KEY.seal(b"x", PLACE))
    sealed[18:50] = OTHER.seal(b"x", PLACE)[18:50]
    with pytest.raises(SealBroken):
        KEY.open(bytes(sealed), PLACE)


def test_nonces_are_fresh_and_secrets_are_not_shown() -> None:
    assert len({KEY.seal(b"x", PLACE)[50:62] for _ in range(1000)}) == 1000
    assert KEY.secret.hex() not in repr(KEY) and repr(KEY.secret) not in repr(KEY)
    with pytest.raises(ValueError, match="32 bytes"):
        DataKey(b"1" * 16, b"short")
    with pytest.raises(SealBroken):
        key_id(b"short")


def test_a_key_file_is_private_from_its_first_byte_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "kek.json"
    write_new_key_file(path)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        write_private(path, b"again")
    os.chmod(path, 0o640)
    with pytest.raises(KeyProviderError, match="chmod 600"):
        read_private(path)


@pytest.mark.parametrize("content", ["", "{}", '{"keys": []}', '{"keys": [{"id": "00"}]}', '{"keys": [{"id": "00", "secret": "zz"}]}'])
def test_a_damaged_key_file_is_refused_without_its_content(tmp_path: Path, content: str) -> None:
    path = tmp_path / "kek.json"
    write_private(path, content.encode())
    with pytest.raises(KeyProviderError) as raised:
        FileKeyProvider(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("address", ["", "file:", "vault:x", "kek.json"])
def test_an_unknown_provider_is_refused(address: str) -> None:
    with pytest.raises(KeyProviderError):
        open_key_provider(address)


def test_a_missing_key_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(KeyProviderError, match="confide keys init"):
        open_key_provider(f"file:{tmp_path}/none.json")


def store(tmp_path: Path, clock: Clock) -> KeyStore:
    if not (tmp_path / "kek.json").exists():
        write_new_key_file(tmp_path / "kek.json")
    made = KeyStore(open_database(f"sqlite:///{tmp_path}/keys.sqlite", "TRUNCATE"), FileKeyProvider(tmp_path / "kek.json"), clock)
    made.create_tables()
    return made


def test_an_owner_has_one_key_across_processes(tmp_path: Path, clock: Clock) -> None:
    one, two = store(tmp_path, clock), store(tmp_path, clock)
    assert one.obtain("subject:1") == two.obtain("subject:1") != one.obtain("subject:2")
    assert two.find("subject:3") is None


def test_the_key_store_holds_no_key_in_clear_and_keeps_no_log(tmp_path: Path, clock: Clock) -> None:
    key = store(tmp_path, clock).obtain("subject:1")
    assert all(key.secret not in file.read_bytes() for file in tmp_path.glob("keys.sqlite*"))
    kept = {file.name for file in tmp_path.glob("keys.sqlite*") if file.stat().st_size}
    assert kept == {"keys.sqlite"}, "no WAL and no journal that would keep a deleted key"
    assert (tmp_path / "keys.sqlite").stat().st_mode & 0o777 == 0o600


def test_a_key_moved_to_another_owner_does_not_unwrap(tmp_path: Path, clock: Clock) -> None:
    first = store(tmp_path, clock)
    first.obtain("subject:1")
    with first.engine.begin() as connection:
        connection.execute(update(data_keys).values(owner="subject:2"))
    with pytest.raises(SealBroken):
        store(tmp_path, clock).obtain("subject:2")


def test_another_key_encryption_key_opens_nothing(tmp_path: Path, clock: Clock) -> None:
    store(tmp_path, clock).obtain("subject:1")
    (tmp_path / "kek.json").unlink()
    with pytest.raises(SealBroken):
        store(tmp_path, clock).obtain("subject:1")


def test_keys_leave_the_cache_after_their_time(tmp_path: Path, clock: Clock) -> None:
    keys = store(tmp_path, clock)
    kept = keys.obtain("subject:1")
    with sqlite3.connect(tmp_path / "keys.sqlite") as connection:
        connection.execute("DELETE FROM data_keys")
    assert keys.find("subject:1") == kept
    clock.forward(301)
    assert keys.find("subject:1") is None


def test_a_key_store_that_is_away_is_told_as_such(tmp_path: Path, clock: Clock) -> None:
    keys = store(tmp_path, clock)
    keys.engine.dispose()
    with sqlite3.connect(tmp_path / "keys.sqlite") as connection:
        connection.execute("DROP TABLE data_keys")
    for call in (keys.find, keys.obtain):
        with pytest.raises(DatabaseAway):
            call("subject:9")
