"""How much one session, one address and everybody together may ask of us. OWASP ASVS 5.0 2.4.1, 6.3.1.

The `limits` library counts; the store under it is ours, because the library's own memory store starts threads, scans every key each
10 ms, and grows with the number of addresses. A shared store (Redis) can take its place.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from limits import RateLimitItem, parse_many
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

MAX_COUNTERS = 100_000


class Kind(StrEnum):
    """What is counted."""

    MESSAGE = "message"
    EVENT = "event"
    CONNECT = "connect"
    SIGN_IN = "sign_in"
    CARD = "card"
    REPORT = "report"
    REQUEST = "request"


@dataclass(frozen=True)
class Rates:
    """Rates in the notation of `limits` ("5/10 seconds;60/minute"), for a session, an address and everybody; empty: no bound."""

    session: str = ""
    address: str = ""
    overall: str = ""


#: An address can be an office or a mobile network: its rates are those of some dozens of people.
DEFAULT_RATES: dict[Kind, Rates] = {
    Kind.MESSAGE: Rates("12/10 seconds;60/minute", "900/minute", "300/second"),
    Kind.EVENT: Rates("60/10 seconds", "3000/minute", "2000/second"),
    Kind.CONNECT: Rates("", "300/minute", "300/second"),
    Kind.SIGN_IN: Rates("10/minute", "60/minute", "20/second"),
    Kind.CARD: Rates("12/minute", "300/minute", "100/second"),
    Kind.REPORT: Rates("4/minute", "60/minute", "20/second"),
    Kind.REQUEST: Rates("", "1200/minute", "500/second"),
}


class MemoryCounters(Storage):
    """Fixed windows in memory, at most `capacity` of them: the one longest unused makes room."""

    STORAGE_SCHEME = None

    def __init__(self, clock: Callable[[], float] = time.time, capacity: int = MAX_COUNTERS) -> None:
        super().__init__()
        self._clock = clock
        self._capacity = capacity
        self._windows: OrderedDict[str, tuple[int, float]] = OrderedDict()

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Add to the window of `key`, which begins with its first count and lasts `expiry` seconds; return the sum."""
        now = self._clock()
        count, ends = self._windows.get(key, (0, 0.0))
        if ends <= now:
            count, ends = 0, now + expiry
        self._windows[key] = (count + amount, ends)
        self._windows.move_to_end(key)
        while len(self._windows) > self._capacity:
            self._windows.popitem(last=False)
        return count + amount

    def get(self, key: str) -> int:
        count, ends = self._windows.get(key, (0, 0.0))
        return count if ends > self._clock() else 0

    def get_expiry(self, key: str) -> float:
        return self._windows.get(key, (0, self._clock()))[1]

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        count = len(self._windows)
        self._windows.clear()
        return count

    def clear(self, key: str) -> None:
        self._windows.pop(key, None)


@dataclass
class Limits:
    """Counts what sessions and addresses do, and says when it is too much."""

    clock: Callable[[], float] = time.time
    rates: dict[Kind, Rates] = field(default_factory=lambda: dict(DEFAULT_RATES))
    _items: dict[tuple[Kind, str], list[RateLimitItem]] = field(init=False, repr=False)
    _limiter: FixedWindowRateLimiter = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryCounters(self.clock))
        self._items = {
            (kind, scope): parse_many(rate)
            for kind, rates in self.rates.items()
            for scope, rate in (("session", rates.session), ("address", rates.address), ("overall", rates.overall)) if rate
        }

    def allow(self, kind: Kind, *, session: str = "", address: str = "") -> bool:
        """Count one and say whether it is within every bound. What the session or address may not do does not use up everybody's."""
        scopes = (("session", session), ("address", address and network_of(address)), ("overall", "all"))
        return all(
            self._limiter.hit(item, kind.value, scope, name)
            for scope, name in scopes if name
            for item in self._items.get((kind, scope), ())
        )


def network_of(address: str) -> str:
    """Return what counts as one address: an IPv4 address, or the /64 that one IPv6 customer has to himself."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
