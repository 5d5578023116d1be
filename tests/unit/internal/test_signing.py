"""Internal calls: signed ones pass once, everything else is refused alike."""

from __future__ import annotations

import pytest

from confide.internal import signing
from confide.internal.signing import Signer, Unauthenticated, Verifier
from tests.unit.kit import Clock

KEY = b"k" * 32


def pair(clock: Clock) -> tuple[Signer, Verifier]:
    return Signer("rasa", KEY, clock), Verifier({"rasa": KEY, "gateway": b"g" * 32}, clock)


def test_a_signed_call_passes_once(clock: Clock) -> None:
    signer, verifier = pair(clock)
    headers = signer.headers("POST", "/webhook", b"{}")
    assert verifier.verify("POST", "/webhook", b"{}", headers) == "rasa"
    with pytest.raises(Unauthenticated):
        verifier.verify("POST", "/webhook", b"{}", headers)


@pytest.mark.parametrize("seconds", [-31, 31, 3600])
def test_a_stale_call_is_refused(clock: Clock, seconds: int) -> None:
    signer, verifier = pair(clock)
    headers = signer.headers("POST", "/webhook", b"{}")
    clock.forward(seconds)
    with pytest.raises(Unauthenticated):
        verifier.verify("POST", "/webhook", b"{}", headers)


@pytest.mark.parametrize(("method", "path", "body"), [("GET", "/webhook", b"{}"), ("POST", "/core/x", b"{}"), ("POST", "/webhook", b"{ }")])
def test_a_call_changed_on_the_way_is_refused(clock: Clock, method: str, path: str, body: bytes) -> None:
    signer, verifier = pair(clock)
    with pytest.raises(Unauthenticated):
        verifier.verify(method, path, body, signer.headers("POST", "/webhook", b"{}"))


@pytest.mark.parametrize("changed", [
    {signing.CALLER_HEADER: "gateway"}, {signing.CALLER_HEADER: "worker"}, {signing.TIMESTAMP_HEADER: "1790000001"},
    {signing.TIMESTAMP_HEADER: "x"}, {signing.NONCE_HEADER: "0" * 32}, {signing.NONCE_HEADER: "z"}, {signing.SIGNATURE_HEADER: ""},
    {signing.SIGNATURE_HEADER: "é"}, {signing.SIGNATURE_HEADER: "0" * 64},
])
def test_changed_headers_are_refused(clock: Clock, changed: dict[str, str]) -> None:
    signer, verifier = pair(clock)
    with pytest.raises(Unauthenticated):
        verifier.verify("POST", "/webhook", b"{}", signer.headers("POST", "/webhook", b"{}") | changed)
    with pytest.raises(Unauthenticated):
        verifier.verify("POST", "/webhook", b"{}", {})


def test_a_nonce_is_forgotten_only_when_its_time_has_long_passed(clock: Clock) -> None:
    signer, verifier = pair(clock)
    for _ in range(3):
        verifier.verify("POST", "/w", b"", signer.headers("POST", "/w", b""))
        clock.forward(61)
    assert len(verifier._seen) <= 2


def test_a_flood_of_nonces_is_refused_rather_than_forgotten(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "MAX_NONCES", 2)
    signer, verifier = pair(clock)
    for _ in range(2):
        verifier.verify("POST", "/w", b"", signer.headers("POST", "/w", b""))
    with pytest.raises(Unauthenticated):
        verifier.verify("POST", "/w", b"", signer.headers("POST", "/w", b""))


def test_keys_are_not_shown(clock: Clock) -> None:
    signer, verifier = pair(clock)
    assert "kkkk" not in repr(signer) + repr(verifier)
