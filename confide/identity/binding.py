"""What a confirmation is bound to: a MAC over who, where, what exactly, a nonce and an end.

PSD2 RTS 2018/389 Art. 5 (dynamic linking); OWASP Transaction Authorization; requirements.md S10.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import rfc8785

#: What the parameters of an act are made of. Amounts are integers of minor units; there is no float.
Parameters = Mapping[str, str | int]


@dataclass(frozen=True)
class Binding:
    """Every field a confirmation covers."""

    subject: str
    root: str
    conversation: str
    action: str
    parameters: Parameters
    #: How it is proved and by which factor.
    proof: str
    factor: str
    nonce: str
    expires_at: int
    #: What the customer was shown, so that what was seen is what is done.
    shown: str = field(default="")


def mac(key: bytes, binding: Binding) -> bytes:
    """Return the HMAC-SHA-256 over the canonical form (RFC 8785) of `binding`. Raises ValueError for a parameter that is not text or an int."""
    for name, value in binding.parameters.items():
        if type(value) not in (str, int):
            raise ValueError(f"parameter {name} of {binding.action} is neither text nor an integer")
    fields = asdict(binding) | {"parameters": {name: _typed(value) for name, value in binding.parameters.items()}}
    return hmac.new(key, b"confide/act/v1\n" + rfc8785.dumps(fields), hashlib.sha256).digest()


def matches(key: bytes, binding: Binding, expected: bytes) -> bool:
    """Say, in constant time, whether `expected` is the MAC of `binding`."""
    return hmac.compare_digest(mac(key, binding), expected)


def _typed(value: str | int) -> list[str]:
    # 5 and "5" must differ, and integers beyond 2**53 must not be folded by JSON numbers.
    return [type(value).__name__, str(value)]
