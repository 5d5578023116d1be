"""Codes and time steps, against the RFCs' own vectors."""

from __future__ import annotations

import json
from pathlib import Path

import pyotp
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from confide.identity import otp, throttle

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "rfc6238.json").read_text())
SECRET = VECTORS["rfc6238_sha1_secret_ascii"].encode()


@pytest.mark.parametrize(("now", "eight_digits"), VECTORS["rfc6238_sha1"])
def test_rfc_6238_vectors(now: int, eight_digits: str) -> None:
    assert otp.matching_step(SECRET, eight_digits[-6:], now) == now // 30, "the last six of eight digits are the six-digit code"


@pytest.mark.parametrize(("counter", "code"), list(enumerate(VECTORS["rfc4226"])))
def test_rfc_4226_vectors(counter: int, code: str) -> None:
    assert otp.matching_step(SECRET, code, counter * 30 + 29.9) == counter


@given(st.integers(0, 3_000_000_000), st.integers(-12, 12))
def test_only_this_step_and_the_one_before_match(now: int, away: int) -> None:
    secret = b"\x07" * 20
    step = otp.step_at(now) + away
    assume(step >= 0)
    code = pyotp.HOTP(otp.text_key(secret).replace(" ", "")).at(step)
    found = otp.matching_step(secret, code, now)
    assert found == step if away in (0, -1) else found != step


@pytest.mark.parametrize("code", ["", "12345", "1234567", " 123456", "123456\n", "12345a", "١٢٣٤٥٦", "１２３４５６", "-12345", "1e5000"])
def test_anything_but_six_ascii_digits_is_no_code(code: str) -> None:
    assert otp.matching_step(SECRET, code, 59) is None


def test_keys_read_back_and_carry_160_bits() -> None:
    secret = otp.new_secret()
    assert len(secret) == 20 and otp.secret_of(otp.text_key(secret)) == secret and otp.new_secret() != secret
    assert otp.provisioning_uri(secret, "chat", "Harbour Bank").startswith("otpauth://totp/Harbour%20Bank:chat?secret=")


def test_waits_start_at_five_failures_and_double_up_to_an_hour() -> None:
    assert [throttle.wait_after(failures) for failures in (0, 4, 5, 6, 7, 11, 12, 99)] == [0, 0, 30, 60, 120, 1920, 3600, 3600]
