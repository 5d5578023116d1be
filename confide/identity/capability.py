"""The per-turn capability: the gateway's word for which session speaks in which conversation.

A compact JWS (EdDSA, RFC 8037) that the gateway signs and the core verifies. It rides through Rasa in the message metadata; Rasa
can replay it but can neither mint one nor move it to another conversation or turn. Guard and vault take the speaker only from it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

AUDIENCE = "confide/core"
#: Seconds a capability is good for.
LIFETIME = 60


class CapabilityRefused(Exception):
    """Missing, forged, expired, or of another conversation or turn. One exception for every cause."""


@dataclass(frozen=True)
class Capability:
    """Who speaks: a session in a conversation in one turn, and until when an effect of this turn may commit."""

    session: str
    conversation: str
    #: Grows from turn to turn within a conversation (milliseconds of the gateway's clock, made monotone).
    turn: int
    #: Unix seconds; an effect of this turn that is not committed by then must not commit.
    deadline: float


@dataclass(frozen=True)
class CapabilityIssuer:
    """The gateway's half."""

    key: Ed25519PrivateKey = field(repr=False)
    clock: Callable[[], float] = time.time
    nonce: Callable[[], str] = lambda: secrets.token_hex(16)

    def issue(self, capability: Capability) -> str:
        """Return the signed token for one turn."""
        now = int(self.clock())
        claims = {
            "aud": AUDIENCE, "iat": now, "exp": now + LIFETIME, "jti": self.nonce(),
            "sid": capability.session, "cnv": capability.conversation, "trn": capability.turn, "dln": capability.deadline,
        }
        return jwt.encode(claims, self.key, algorithm="EdDSA")


@dataclass(frozen=True)
class CapabilityVerifier:
    """The core's half."""

    key: Ed25519PublicKey = field(repr=False)
    clock: Callable[[], float] = time.time

    def verify(self, token: object) -> Capability:
        """Return what the token says. Raises CapabilityRefused; whether the turn is the current one is the session store's check."""
        if not isinstance(token, str):
            raise CapabilityRefused
        try:
            claims = jwt.decode(
                token, self.key, algorithms=["EdDSA"], audience=AUDIENCE,
                options={"require": ["exp", "iat", "jti"], "verify_exp": False, "verify_iat": False},
            )
            now = self.clock()
            capability = Capability(
                session=_text(claims["sid"]), conversation=_text(claims["cnv"]), turn=int(claims["trn"]), deadline=float(claims["dln"])
            )
            fresh = claims["iat"] - LIFETIME <= now < claims["exp"]
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError):
            raise CapabilityRefused from None
        if not fresh:
            raise CapabilityRefused
        return capability


def _text(value: object) -> str:
    if not isinstance(value, str) or not 16 <= len(value) <= 64:
        raise ValueError("not an identifier")
    return value
