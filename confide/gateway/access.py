"""Who a session is: taken up after a restart, signed in, signed out. The core decides; the gateway follows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from confide.gateway import sentences
from confide.gateway.capabilities import Capabilities
from confide.gateway.errors import Code, Refusal
from confide.gateway.peers import CorePeer, PeerAway, PeerError, PeerRefused, Resumed, SignedIn
from confide.gateway.sessions import ANONYMOUS, Session, Sessions, derive_sid

#: (session, its conversation before): the sockets follow.
Moved = Callable[[Session, str | None], Awaitable[None]]


@dataclass(frozen=True)
class Access:
    """Changes of who a session is."""

    sessions: Sessions
    core: CorePeer
    capabilities: Capabilities
    moved: Moved

    def of_cookie(self, secret: str | None) -> Session | None:
        """Return the session a cookie leads to: one we know, or one from before a restart. None: no cookie, or a dead one."""
        if secret is None or self.sessions.died(secret) is not None:
            return None
        return self.sessions.find(secret) or self.sessions.adopt(secret)

    async def resolve(self, session: Session) -> None:
        """Make sure that the session's conversation is known. Raises Refusal: away."""
        if session.conversation is None:
            async with session.lock:
                await self._take_up(session)

    async def _take_up(self, session: Session) -> None:
        if session.conversation is not None:
            return
        try:
            found = await self.core.resume(session.sid)
        except PeerError:
            raise Refusal(Code.AWAY) from None
        if found is None:
            # Never seen, or ended. The core would not take an ended id again, so it gets one that nobody has had.
            self.sessions.renew(session)
        else:
            session.move(found.conversation)
            session.level, session.known_to_core = await self._level(session, found), True

    async def _level(self, session: Session, found: Resumed) -> str:
        if found.level is not None:
            return found.level
        try:
            return await self.core.level(self.capabilities.sign(session))
        except PeerRefused:
            return ANONYMOUS
        except PeerAway:
            raise Refusal(Code.AWAY) from None

    async def introduce(self, session: Session) -> None:
        """Let the core meet the session, so that it is found again after a restart of the gateway; tried again when it fails."""
        if session.known_to_core:
            return
        turn = self.capabilities.current(session)
        try:
            await self.core.reveal(self.capabilities.sign(session, turn), [])
            session.known_to_core = True
        except PeerError:
            return

    async def level(self, session: Session) -> str:
        """Return the session's level now: it falls by itself as time goes by. Raises Refusal: away."""
        await self.resolve(session)
        if session.known_to_core:
            try:
                found = await self.core.resume(session.sid)
            except PeerError:
                raise Refusal(Code.AWAY) from None
            session.level = await self._level(session, found) if found else ANONYMOUS
        return session.level

    async def sign_in(self, session: Session, login_token: str) -> SignedIn:
        """Bind the session to the person of a login token. Raises Refusal: login_refused, away."""
        await self.resolve(session)
        async with session.lock:
            secret, before = self.sessions.new_secret(), session.conversation
            answer = await self._sign_in(session, login_token, derive_sid(secret))
            self.sessions.rotate(session, secret)
            session.level = answer.level
            await self._move(session, before, answer.conversation)
        return answer

    async def _sign_in(self, session: Session, login_token: str, new_sid: str) -> SignedIn:
        try:
            try:
                return await self._ask_to_sign_in(session, login_token, new_sid)
            except PeerRefused as refused:
                if refused.status != 403:
                    raise
            # The core has ended this session (an answer of it was lost on the way): start from a new anonymous one.
            self.sessions.renew(session)
            return await self._ask_to_sign_in(session, login_token, new_sid)
        except PeerRefused:
            raise Refusal(Code.LOGIN_REFUSED) from None
        except PeerAway:
            raise Refusal(Code.AWAY, sentences.SIGN_IN_AWAY) from None

    async def _ask_to_sign_in(self, session: Session, login_token: str, new_sid: str) -> SignedIn:
        return await self.core.sign_in(self.capabilities.sign(session), login_token, new_sid, self.sessions.new_conversation())

    async def sign_out(self, session: Session) -> None:
        """End the session's identity and start a new conversation. Raises Refusal: away."""
        await self.resolve(session)
        async with session.lock:
            secret, conversation, before = self.sessions.new_secret(), self.sessions.new_conversation(), session.conversation
            try:
                conversation = await self.core.sign_out(self.capabilities.sign(session), derive_sid(secret), conversation)
            except PeerRefused:
                pass  # the core has ended it already; ours goes all the same, to an id the core will meet as a new one
            except PeerAway:
                raise Refusal(Code.AWAY, sentences.SIGN_OUT_AWAY) from None
            self.sessions.rotate(session, secret)
            session.level = ANONYMOUS
            await self._move(session, before, conversation)

    async def _move(self, session: Session, before: str | None, conversation: str) -> None:
        session.move(conversation)
        await self.moved(session, before)
