"""Message authentication for calls between our processes.

A call carries who calls, when, a nonce, and an HMAC-SHA-256 over method, path, body hash, time and nonce under a key that only
this pair of processes has. It says "this is Rasa" or "this is the gateway"; it never says which customer is speaking: that is the
capability's work. OWASP ASVS 5.0 13.2.1; requirements.md S2.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

CALLER_HEADER = "x-confide-caller"
TIMESTAMP_HEADER = "x-confide-timestamp"
NONCE_HEADER = "x-confide-nonce"
SIGNATURE_HEADER = "x-confide-signature"

#: Seconds by which the clocks of two processes may differ. A nonce is remembered for twice as long.
WINDOW = 30
#: Nonces remembered at most; past that the call is refused rather than the oldest nonce forgotten.
MAX_NONCES = 200_000

_NONCE = re.compile(r"[0-9a-f]{32}")
_TIMESTAMP = re.compile(r"[0-9]{10}")


class Unauthenticated(Exception):
    """The call is unsigned, stale, replayed or forged. One exception for every cause: a caller learns nothing from it."""


def _mac(key: bytes, method: str, path: str, body: bytes, caller: str, timestamp: str, nonce: str) -> str:
    fields = ["confide-internal-v1", caller, method.upper(), path, timestamp, nonce, hashlib.sha256(body).hexdigest()]
    return hmac.new(key, "\n".join(fields).encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Signer:
    """Signs the calls of one process to another."""

    caller: str
    key: bytes = field(repr=False)
    clock: Callable[[], float] = time.time
    nonce: Callable[[], str] = lambda: secrets.token_hex(16)

    def headers(self, method: str, path: str, body: bytes) -> dict[str, str]:
        """Return the headers that authenticate one call; `path` is without host and query string."""
        timestamp, nonce = str(int(self.clock())), self.nonce()
        return {
            CALLER_HEADER: self.caller,
            TIMESTAMP_HEADER: timestamp,
            NONCE_HEADER: nonce,
            SIGNATURE_HEADER: _mac(self.key, method, path, body, self.caller, timestamp, nonce),
        }


@dataclass
class Verifier:
    """Checks incoming calls against the keys of the callers that may call this process."""

    keys: Mapping[str, bytes] = field(repr=False)
    clock: Callable[[], float] = time.time
    _seen: OrderedDict[str, float] = field(default_factory=OrderedDict, repr=False)

    def verify(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> str:
        """Return the caller's name.

        `headers` has lower-case names. Raises Unauthenticated for an unknown caller, a bad MAC, a time outside the window or a
        nonce that was used before.
        """
        caller, timestamp = headers.get(CALLER_HEADER, ""), headers.get(TIMESTAMP_HEADER, "")
        nonce, signature = headers.get(NONCE_HEADER, ""), headers.get(SIGNATURE_HEADER, "")
        key = self.keys.get(caller)
        if key is None or not _NONCE.fullmatch(nonce) or not _TIMESTAMP.fullmatch(timestamp):
            raise Unauthenticated
        expected = _mac(key, method, path, body, caller, timestamp, nonce)
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            raise Unauthenticated
        now = self.clock()
        if abs(now - int(timestamp)) > WINDOW:
            raise Unauthenticated
        self._remember(f"{caller}:{nonce}", now)
        return caller

    def _remember(self, nonce: str, now: float) -> None:
        while self._seen and next(iter(self._seen.values())) < now - 2 * WINDOW:
            self._seen.popitem(last=False)
        if nonce in self._seen or len(self._seen) >= MAX_NONCES:
            raise Unauthenticated
        self._seen[nonce] = now
