"""The host site's signed word that someone passed its login: the first factor.

A JWS (EdDSA) with audience `confide/login`, subject, time of login, an id that counts once, at most two minutes of life.
OWASP ASVS 5.0 9.2.1 to 9.2.4; requirements.md S1.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

AUDIENCE = "confide/login"
#: Seconds a login token is good for.
LIFETIME = 120


class LoginRefused(Exception):
    """The login token is missing, forged, stale, used, or for somebody else. One exception for every cause."""


@dataclass(frozen=True)
class Login:
    """Who signed in, how and when."""

    subject: str
    method: str
    jti: str
    expires_at: int


def issue(key: Ed25519PrivateKey, subject: str, now: float) -> str:
    """Return a login token; for host sites in Python, and for the demo bank."""
    issued = int(now)
    claims = {"aud": AUDIENCE, "sub": subject, "amr": "login", "iat": issued, "exp": issued + LIFETIME, "jti": secrets.token_hex(16)}
    return jwt.encode(claims, key, algorithm="EdDSA")


@dataclass(frozen=True)
class LoginVerifier:
    """Checks login tokens against the host site's public key."""

    key: Ed25519PublicKey = field(repr=False)

    def verify(self, token: object, now: float) -> Login:
        """Return what the token says. Raises LoginRefused; that it counts once is the session store's check."""
        if not isinstance(token, str):
            raise LoginRefused
        try:
            claims = jwt.decode(token, self.key, algorithms=["EdDSA"], audience=AUDIENCE,
                                options={"require": ["exp", "iat", "jti", "sub"], "verify_exp": False, "verify_iat": False})
            issued, expires = int(claims["iat"]), int(claims["exp"])
            login = Login(subject=str(claims["sub"]), method=str(claims["amr"]), jti=str(claims["jti"]), expires_at=expires)
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError):
            raise LoginRefused from None
        if not issued - LIFETIME <= now < expires or expires - issued > LIFETIME:
            raise LoginRefused
        if not (1 <= len(login.subject) <= 64 and 16 <= len(login.jti) <= 64):
            raise LoginRefused
        return login
