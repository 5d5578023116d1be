"""The key folders: made once, completed, never changed, and refused when two halves do not fit."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from confide.cli.keyring_setup import RING, KeyRingError, complete, inspect, state
from confide.identity.capability import Capability, CapabilityIssuer, CapabilityVerifier
from confide.storage.envelope import DataKey
from confide.storage.keyring import FileKeyProvider

FILES = [file for key in RING for file in key.files]
HALVES = [(key.files, lost) for key in RING if len(key.files) == 2 for lost in (0, 1)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    complete(tmp_path / "keys")
    return tmp_path / "keys"


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_it_makes_every_key_of_the_protocol_and_nothing_else(root: Path) -> None:
    assert sorted(contents(root)) == sorted(FILES)
    assert list(inspect(root)) == []


def test_files_and_folders_are_their_owners_alone(root: Path) -> None:
    assert {stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*") if path.is_file()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in [root, *root.iterdir()]} == {0o700}


def test_the_second_time_nothing_changes(root: Path) -> None:
    before = contents(root)
    assert complete(root) == ()
    assert contents(root) == before


@pytest.mark.parametrize("key", RING, ids=lambda key: key.name)
def test_a_key_that_is_wholly_missing_is_made_and_no_other_is_touched(root: Path, key: object) -> None:
    files = getattr(key, "files")  # noqa: B009 - parametrised by the ring itself
    before = contents(root)
    for file in files:
        (root / file).unlink()
    assert complete(root) == (files[0],)
    assert {name: value for name, value in contents(root).items() if name not in files} == {
        name: value for name, value in before.items() if name not in files
    }
    assert all(contents(root)[file] != before[file] for file in files)


@pytest.mark.parametrize(("files", "lost"), HALVES)
def test_a_lost_half_is_refused_and_nothing_is_made(root: Path, files: tuple[str, str], lost: int) -> None:
    (root / files[lost]).unlink()
    (root / "core/binding.key").unlink()
    before = contents(root)
    with pytest.raises(KeyRingError) as caught:
        complete(root)
    assert str(root / files[0]) in str(caught.value)
    assert str(root / files[1]) in str(caught.value)
    assert contents(root) == before


@pytest.mark.parametrize("files", [key.files for key in RING if len(key.files) == 2])
def test_halves_that_do_not_fit_are_refused(root: Path, tmp_path: Path, files: tuple[str, str]) -> None:
    complete(tmp_path / "other")
    (root / files[1]).write_bytes((tmp_path / "other" / files[1]).read_bytes())
    with pytest.raises(KeyRingError, match="do not belong together"):
        complete(root)


@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_named(root: Path, file: str) -> None:
    (root / file).write_bytes(b"\x00" * 31)
    assert any(str(root / file) in fault.problem for fault in inspect(root))


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_others_may_read_is_named(root: Path, file: str) -> None:
    (root / file).chmod(0o640)
    assert any(f"chmod 600 {root / file}" in fault.problem for fault in inspect(root))


@pytest.mark.parametrize("folder", ["", "gateway", "core"])
def test_a_folder_that_others_may_read_is_named(root: Path, folder: str) -> None:
    (root / folder).chmod(0o755)
    assert [fault.problem for fault in inspect(root)] == [
        f"{root / folder} may be read by others than its owner; run: chmod 700 {root / folder}"
    ]


def test_an_open_folder_is_closed_when_the_ring_is_completed(root: Path) -> None:
    root.chmod(0o755)
    (root / "rasa").chmod(0o755)
    assert complete(root) == ()
    assert list(inspect(root)) == []


def test_a_file_that_others_may_read_is_refused_when_the_ring_is_completed(root: Path) -> None:
    (root / "rasa/kek.json").chmod(0o644)
    with pytest.raises(KeyRingError, match="chmod 600"):
        complete(root)


def test_a_signing_key_of_another_kind_is_refused(root: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    (root / "gateway/capability.pem").write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert any("not an Ed25519 key" in fault.problem for fault in inspect(root))


def test_no_two_keys_are_the_same(root: Path) -> None:
    secrets = {key.name: contents(root)[key.files[0]] for key in RING}
    assert len(set(secrets.values())) == len(RING)


def test_both_sides_can_work_with_what_was_made(root: Path) -> None:
    private = load_pem_private_key((root / "gateway/capability.pem").read_bytes(), None)
    public = load_pem_public_key((root / "core/capability.pub.pem").read_bytes())
    assert isinstance(private, Ed25519PrivateKey)
    assert isinstance(public, Ed25519PublicKey)
    said = Capability(session="s" * 32, conversation="c" * 32, turn=1, deadline=2.0)
    assert CapabilityVerifier(public).verify(CapabilityIssuer(private).issue(said)) == said
    secret = DataKey.generate().secret
    provider = FileKeyProvider(root / "core/kek.json")
    assert provider.unwrap(provider.wrap(secret, {}), {}) == secret


def test_state_tells_a_missing_key_from_one_that_is_there(root: Path, tmp_path: Path) -> None:
    assert {state(root, key) for key in RING} == {"present"}
    assert {state(tmp_path / "nowhere", key) for key in RING} == {"missing"}


def test_no_message_carries_a_key(root: Path) -> None:
    secret = (root / "core/gateway-actions.key").read_bytes()
    (root / "gateway/gateway-actions.key").write_bytes(b"x" * 32)
    text = " ".join(str(fault) for fault in inspect(root))
    assert text
    assert secret.hex() not in text
    assert repr(secret)[2:-1] not in text
