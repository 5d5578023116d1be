"""Signed words: the gateway's capability and the host site's login token."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from confide.identity import login_token
from confide.identity.capability import AUDIENCE, Capability, CapabilityIssuer, CapabilityRefused, CapabilityVerifier
from confide.identity.login_token import LoginRefused, LoginVerifier
from tests.unit.kit import Clock

KEY = Ed25519PrivateKey.generate()
SPOKEN = Capability("s" * 32, "c" * 32, 7, 1_790_000_010.0)


def claims(clock: Clock, **changed: Any) -> dict[str, Any]:
    now = int(clock())
    return {"aud": AUDIENCE, "iat": now, "exp": now + 60, "jti": "n" * 32, "sid": "s" * 32, "cnv": "c" * 32, "trn": 7, "dln": 1.0} | changed


def test_a_capability_says_what_was_signed_for_sixty_seconds(clock: Clock) -> None:
    token, verifier = CapabilityIssuer(KEY, clock).issue(SPOKEN), CapabilityVerifier(KEY.public_key(), clock)
    assert verifier.verify(token) == SPOKEN
    clock.forward(59)
    assert verifier.verify(token) == SPOKEN
    clock.forward(1)
    with pytest.raises(CapabilityRefused):
        verifier.verify(token)


def test_a_capability_from_the_future_is_refused(clock: Clock) -> None:
    token = CapabilityIssuer(KEY, clock).issue(SPOKEN)
    clock.forward(-61)
    with pytest.raises(CapabilityRefused):
        CapabilityVerifier(KEY.public_key(), clock).verify(token)


@pytest.mark.parametrize("token", [None, 5, "", "a.b.c", {"sid": "x"}])
def test_what_is_no_token_is_refused(clock: Clock, token: object) -> None:
    with pytest.raises(CapabilityRefused):
        CapabilityVerifier(KEY.public_key(), clock).verify(token)


@pytest.mark.parametrize("changed", [{"aud": "confide/login"}, {"sid": "short"}, {"cnv": 5}, {"trn": "x"}, {"dln": None}, {"jti": None}, {"sid": "s" * 65}])
def test_odd_claims_are_refused(clock: Clock, changed: dict[str, Any]) -> None:
    token = jwt.encode(claims(clock, **changed), KEY, algorithm="EdDSA")
    with pytest.raises(CapabilityRefused):
        CapabilityVerifier(KEY.public_key(), clock).verify(token)


def test_other_keys_and_other_algorithms_are_refused(clock: Clock) -> None:
    verifier = CapabilityVerifier(KEY.public_key(), clock)
    forged = [
        CapabilityIssuer(Ed25519PrivateKey.generate(), clock).issue(SPOKEN),
        jwt.encode(claims(clock), None, algorithm="none"),
        jwt.encode(claims(clock), KEY.public_key().public_bytes_raw(), algorithm="HS256"),
    ]
    for token in forged:
        with pytest.raises(CapabilityRefused):
            verifier.verify(token)


def test_a_login_token_names_the_customer_for_two_minutes(clock: Clock) -> None:
    token, verifier = login_token.issue(KEY, "1001", clock()), LoginVerifier(KEY.public_key())
    login = verifier.verify(token, clock())
    assert (login.subject, login.method) == ("1001", "login")
    for moment in (clock() + 120, clock() - 121):
        with pytest.raises(LoginRefused):
            verifier.verify(token, moment)


@pytest.mark.parametrize("changed", [
    {"aud": AUDIENCE}, {"exp": 1_790_000_121}, {"sub": ""}, {"sub": "x" * 65}, {"jti": "short"}, {"iat": None}, {"sub": None},
])
def test_odd_login_tokens_are_refused(clock: Clock, changed: dict[str, Any]) -> None:
    now = int(clock())
    said = {"aud": login_token.AUDIENCE, "sub": "1001", "amr": "login", "iat": now, "exp": now + 120, "jti": "j" * 32} | changed
    with pytest.raises(LoginRefused):
        LoginVerifier(KEY.public_key()).verify(jwt.encode(said, KEY, algorithm="EdDSA"), clock())


def test_a_login_token_of_another_key_is_refused(clock: Clock) -> None:
    for token in (login_token.issue(Ed25519PrivateKey.generate(), "1001", clock()), None, "x"):
        with pytest.raises(LoginRefused):
            LoginVerifier(KEY.public_key()).verify(token, clock())
