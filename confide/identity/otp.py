"""Time-based one-time passwords: which time step a code belongs to. Pure; whether the step still counts is the store's decision.

RFC 6238 (TOTP) over RFC 4226 (HOTP), SHA-1, 6 digits, 30 s: what authenticator apps speak. NIST SP 800-63B-4 3.1.4.
"""

from __future__ import annotations

import base64
import hmac
import os
import re
from collections.abc import Callable

import pyotp

STEP_SECONDS = 30
SECRET_SIZE = 20  # 160 bits, RFC 4226 R6
#: Steps back that are accepted: the current one and the one before (RFC 6238 5.2: at most one).
LOOK_BACK = 1

_CODE = re.compile(r"[0-9]{6}", re.ASCII)


def new_secret(random_bytes: Callable[[int], bytes] = os.urandom) -> bytes:
    """Return 160 random bits."""
    return random_bytes(SECRET_SIZE)


def text_key(secret: bytes) -> str:
    """Return the secret as an authenticator app takes it: base32, groups of four."""
    text = base64.b32encode(secret).decode()
    return " ".join(text[i : i + 4] for i in range(0, len(text), 4))


def secret_of(key: str) -> bytes:
    """Return the secret of a text key, as `text_key` writes it. Raises ValueError."""
    return base64.b32decode(key.replace(" ", "").upper())


def provisioning_uri(secret: bytes, account: str, issuer: str) -> str:
    """Return the otpauth: address for the QR code. `account` is shown in the app; give no personal value."""
    return pyotp.TOTP(base64.b32encode(secret).decode(), name=account, issuer=issuer).provisioning_uri()


def step_at(now: float) -> int:
    """Return the number of the time step at `now` (Unix seconds)."""
    return int(now // STEP_SECONDS)


def matching_step(secret: bytes, code: str, now: float) -> int | None:
    """Return the time step, within the window, that `code` belongs to, or None.

    Anything but six ASCII digits is None. Every candidate is compared, in constant time, so that a match is no faster than a miss.
    """
    if not _CODE.fullmatch(code):
        return None
    hotp = pyotp.HOTP(base64.b32encode(secret).decode())
    found: int | None = None
    for step in range(max(0, step_at(now) - LOOK_BACK), step_at(now) + 1):
        if hmac.compare_digest(hotp.at(step).encode(), code.encode()):
            found = step
    return found
