"""Sessions: from a cookie's secret to who the core says it is. In memory, bounded, forgotten when idle.

The secret itself is kept only until the browser has shown that it has it: a session is found by the id derived from it. A secret that
was replaced at sign-in or sign-out is dead at once, after a proof as soon as the browser shows the new one; it stays on a list of the dead
so that it is not taken for one from before a restart. OWASP ASVS 5.0 7.2.4, 7.4.1.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from confide.gateway.errors import Code, Refusal

if TYPE_CHECKING:
    from confide.gateway.capabilities import Turn

MAX_SESSIONS, MAX_DEAD, MAX_OFFERED = 50_000, 100_000, 200
#: Seconds without a socket or request after which a session leaves our memory (the core keeps its own rules).
IDLE = 3_600.0
#: Seconds in which a request under a dead secret may be a tab that has not heard of the new one yet.
GRACE = 30.0
ANONYMOUS = "anonymous"

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


def derive_sid(secret: str) -> str:
    """Return the session id that belongs to a browser's secret (docs/protocol.md section 4)."""
    return base64.b32encode(hashlib.sha256(f"confide-session:{secret}".encode()).digest()).decode()[:32].lower()


def is_secret(value: object) -> bool:
    """Say whether a cookie's value has the form of one of ours: 32 bytes in base64url without padding."""
    return isinstance(value, str) and _SECRET.fullmatch(value) is not None


@dataclass(eq=False)
class Session:
    """One browser, or one socket without cookies."""

    sid: str
    #: None while it is not known: the gateway was restarted and has not yet reached the core.
    conversation: str | None
    level: str = ANONYMOUS
    #: A browser holds (or is about to get) the secret; otherwise the session lives and dies with one socket.
    has_cookie: bool = True
    #: The newest turn.
    turn: int = 0
    #: The core has met this session and will know it after a restart of ours.
    known_to_core: bool = False
    #: A secret that the browser has not shown yet: the answer that carried it may have been lost, so every answer carries it again.
    handout: str | None = field(default=None, repr=False)
    #: The answer to a sign-in or sign-out was lost on its way from the core: it may have ended this session.
    in_doubt: bool = False
    #: What the customer is to be told as soon as somebody listens.
    news: list[str] = field(default_factory=list, repr=False)
    sockets: set[str] = field(default_factory=set)
    #: Quick-reply payloads shown in this conversation, oldest first.
    offered: OrderedDict[str, None] = field(default_factory=OrderedDict, repr=False)
    #: Turns of which it is not known how they ended.
    unsettled: list[Turn] = field(default_factory=list)
    #: Set when it is worth asking for them again.
    recheck: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    #: Held while the core changes who this is.
    lock: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    seen: float = 0.0
    keys: set[str] = field(default_factory=set, repr=False)

    @property
    def where(self) -> str:
        """The conversation. Raises Refusal: away, while it is not known."""
        if self.conversation is None:
            raise Refusal(Code.AWAY)
        return self.conversation

    def offer(self, payload: str) -> None:
        """Remember a quick reply that was shown."""
        self.offered[payload] = None
        self.offered.move_to_end(payload)
        while len(self.offered) > MAX_OFFERED:
            self.offered.popitem(last=False)

    def move(self, conversation: str) -> None:
        """Go on in another conversation: what was offered or is open in the old one is void."""
        if conversation != self.conversation:
            self.offered.clear()
            self.unsettled.clear()
            self.news.clear()
        self.conversation = conversation


@dataclass
class Sessions:
    """All sessions, the one longest unused first."""

    clock: Callable[[], float] = time.time
    random_bytes: Callable[[int], bytes] = os.urandom
    #: Told of every session that leaves our memory.
    on_gone: Callable[[Session], None] = lambda session: None
    max_sessions: int = MAX_SESSIONS
    _all: OrderedDict[Session, None] = field(default_factory=OrderedDict, repr=False)
    _by_key: dict[str, Session] = field(default_factory=dict, repr=False)
    _dead: OrderedDict[str, float] = field(default_factory=OrderedDict, repr=False)
    #: Anonymous sessions without a socket, which make room first. Some may have changed since: that is seen when their turn comes.
    _spare: OrderedDict[Session, None] = field(default_factory=OrderedDict, repr=False)

    def new_secret(self) -> str:
        """Return a secret for a cookie."""
        return base64.urlsafe_b64encode(self.random_bytes(32)).decode().rstrip("=")

    def new_conversation(self) -> str:
        """Return a conversation id."""
        return self.random_bytes(16).hex()

    def find(self, secret: str) -> Session | None:
        """Return the session of a secret that we know. Showing its newest one kills the older ones."""
        key = derive_sid(secret)
        session = self._by_key.get(key)
        if session is not None:
            if key == session.sid:
                session.handout = None
                self._bury(session, key)
            self._touch(session)
        return session

    def died(self, secret: str) -> float | None:
        """Return when this secret was replaced, if it was."""
        return self._dead.get(derive_sid(secret))

    def begin(self, *, has_cookie: bool) -> Session:
        """Open an anonymous session in a conversation of its own. Raises Refusal: busy, when there is no room."""
        secret = self.new_secret()
        session = Session(derive_sid(secret), self.new_conversation(), has_cookie=has_cookie)
        self._add(session)
        if has_cookie:
            session.handout = secret
            self._map(session, session.sid)
        return session

    def adopt(self, secret: str) -> Session:
        """Take up a secret from before a restart; `Access.resolve` asks the core whose it is. Raises Refusal: busy."""
        session = Session(derive_sid(secret), None)
        self._add(session)
        self._map(session, session.sid)
        return session

    def rotate(self, session: Session, secret: str, *, keep_old: bool = False) -> None:
        """Give the session another secret; the ones it had are dead from now on.

        `keep_old` (after a proof, when it is still the same person): they lead here until the browser shows the new one. One lost answer
        would otherwise sign the customer out. The core keeps the old id in the same way.
        """
        if not keep_old:
            self._bury(session)
        session.sid = derive_sid(secret)
        session.known_to_core, session.in_doubt = True, False
        if session.has_cookie:
            session.handout = secret
            self._map(session, session.sid)

    def renew(self, session: Session) -> None:
        """Start over, anonymous and in a new conversation, with a session the core does not know.

        The secret that the browser still holds leads here until it shows the new one.
        """
        secret = self.new_secret()
        session.sid, session.known_to_core, session.in_doubt = derive_sid(secret), False, False
        self.set_level(session, ANONYMOUS)
        session.move(self.new_conversation())
        if session.has_cookie:
            session.handout = secret
            self._map(session, session.sid)

    def drop(self, session: Session) -> None:
        """Forget the session. Its secret is not dead: the core may still know it."""
        self._all.pop(session, None)
        self._spare.pop(session, None)
        for key in session.keys:
            self._by_key.pop(key, None)
        self.on_gone(session)

    def set_level(self, session: Session, level: str) -> None:
        """Note the level that the core says."""
        session.level = level
        self.file(session)

    def file(self, session: Session) -> None:
        """Put the session where it belongs after a change of its level, or when a socket has left it."""
        if session in self._all and _is_spare(session):
            self._spare[session] = None
            self._spare.move_to_end(session)
        else:
            self._spare.pop(session, None)

    def _add(self, session: Session) -> None:
        self._sweep()
        if len(self._all) >= self.max_sessions:
            raise Refusal(Code.BUSY)
        self._touch(session)

    def _touch(self, session: Session) -> None:
        session.seen = self.clock()
        self._all[session] = None
        self._all.move_to_end(session)
        self.file(session)

    def _map(self, session: Session, key: str) -> None:
        session.keys.add(key)
        self._by_key[key] = session

    def _bury(self, session: Session, but: str | None = None) -> None:
        now = self.clock()
        for key in session.keys - {but}:
            self._by_key.pop(key, None)
            self._dead[key] = now
        session.keys &= {but}
        while len(self._dead) > MAX_DEAD:
            self._dead.popitem(last=False)

    def _sweep(self) -> None:
        """Make room: first those that are idle, then, when all is full, the anonymous one without a socket longest unused."""
        now = self.clock()
        for session in list(self._oldest(20)):
            if session.sockets:
                self._touch(session)
            elif now - session.seen > IDLE:
                self.drop(session)
        # However many customers are older: a crowd of visitors must make room itself. Each entry is looked at once, so this is O(1).
        while len(self._all) >= self.max_sessions and self._spare:
            session, _ = self._spare.popitem(last=False)
            if _is_spare(session):
                self.drop(session)

    def _oldest(self, count: int) -> list[Session]:
        return [session for session, _ in zip(self._all, range(count), strict=False)]


def _is_spare(session: Session) -> bool:
    return session.level == ANONYMOUS and not session.sockets
