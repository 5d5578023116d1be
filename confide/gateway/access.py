"""Who a session is: taken up after a restart, signed in, signed out. The core decides; the gateway follows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from confide.gateway import sentences
from confide.gateway.capabilities import Capabilities
from confide.gateway.errors import Code, Refusal
from confide.gateway.peers import CorePeer, PeerAway, PeerError, PeerRefused, SignedIn
from confide.gateway.sessions import ANONYMOUS, Session, Sessions, derive_sid

#: (session, its conversation before): the sockets follow.
Moved = Callable[[Session, str | None], Awaitable[None]]
#: Told of a session that had to start over: its tabs come back.
Changed = Callable[[Session], Awaitable[None]]
#: Times that a call is signed anew after a 403: a newer turn may have begun while it was on its way.
_TRIES = 3
_REFUSED = 403


@dataclass(frozen=True)
class Access:
    """Changes of who a session is."""

    sessions: Sessions
    core: CorePeer
    capabilities: Capabilities
    moved: Moved
    changed: Changed

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
            session.turn, session.news, session.known_to_core = max(session.turn, found.turn), list(found.news), True
            self.sessions.set_level(session, found.level)

    async def introduce(self, session: Session) -> None:
        """Let the core meet the session, so that it is found again after a restart of the gateway; tried again when it fails."""
        if session.known_to_core:
            return
        turn = self.capabilities.current(session)
        try:
            await self.core.reveal(self.capabilities.sign(session, turn), [])
            session.known_to_core = True
        except PeerRefused as refused:
            await self.renew_ended(session, refused)
        except PeerAway:
            return

    async def level(self, session: Session) -> str:
        """Return the session's level now: it falls by itself as time goes by. Raises Refusal: away."""
        await self.resolve(session)
        if session.known_to_core or session.in_doubt:
            # Not `resume`, which would make a turn that is running old.
            try:
                self.sessions.set_level(session, await self.core.level(self.capabilities.sign(session)))
            except PeerRefused as refused:
                await self.renew_ended(session, refused)
            except PeerAway:
                raise Refusal(Code.AWAY) from None
        return session.level

    # A session that the core has ended without our hearing of it

    async def renew_ended(self, session: Session, refused: PeerRefused) -> bool:
        """Start a session over that the core has ended, and tell its tabs; say whether it was so. After a refused call.

        For a call that was refused because its turn is older than the newest, nothing happens.
        """
        if refused.status != _REFUSED:
            return False
        async with session.lock:
            if not await self._is_ended(session):
                return False
            before = session.conversation
            self.sessions.renew(session)
            session.news.append(sentences.STARTED_OVER)
            await self._tell_started_over(session, before)
        return True

    async def dispel_doubt(self, session: Session) -> None:
        """When the answer to a sign-in or sign-out was lost: see whether the session lives, before anything is done in its name."""
        if session.in_doubt:
            await self.renew_ended(session, PeerRefused(_REFUSED, "in_doubt"))

    async def _is_ended(self, session: Session) -> bool:
        """Say whether the core refuses the session itself, by a fresh capability. False: it does not, or cannot say now."""
        for _ in range(_TRIES):
            turn = self.capabilities.current(session)
            try:
                self.sessions.set_level(session, await self.core.level(self.capabilities.sign(session, turn)))
                session.in_doubt = False
                return False
            except PeerRefused as refused:
                if refused.status == _REFUSED and session.turn == turn.number:
                    return True
            except PeerAway:
                return False
        return False

    async def _tell_started_over(self, session: Session, before: str | None) -> None:
        await self.moved(session, before)
        await self.changed(session)

    # Signing in and out

    async def sign_in(self, session: Session, login_token: str) -> SignedIn:
        """Bind the session to the person of a login token. Raises Refusal: login_refused, away."""
        await self.resolve(session)
        async with session.lock:
            secret = self.sessions.new_secret()
            answer = await self._sign_in(session, login_token, derive_sid(secret))
            before = session.conversation
            self.sessions.rotate(session, secret)
            self.sessions.set_level(session, answer.level)
            await self._move(session, before, answer.conversation)
        return answer

    async def _sign_in(self, session: Session, login_token: str, new_sid: str) -> SignedIn:
        for _ in range(_TRIES):
            try:
                return await self._ask_to_sign_in(session, login_token, new_sid)
            except PeerRefused as refused:
                if refused.status != _REFUSED:
                    raise Refusal(Code.LOGIN_REFUSED) from None
            except PeerAway:
                session.in_doubt = True
                raise Refusal(Code.AWAY, sentences.SIGN_IN_AWAY) from None
            if await self._is_ended(session):
                # An answer of the core was lost on the way: start from a new anonymous session.
                before = session.conversation
                self.sessions.renew(session)
                await self._tell_started_over(session, before)
        raise Refusal(Code.AWAY, sentences.SIGN_IN_AWAY)

    async def _ask_to_sign_in(self, session: Session, login_token: str, new_sid: str) -> SignedIn:
        return await self.core.sign_in(self.capabilities.sign(session), login_token, new_sid, self.sessions.new_conversation())

    async def sign_out(self, session: Session) -> None:
        """End the session's identity and start a new conversation. Raises Refusal: away."""
        await self.resolve(session)
        async with session.lock:
            secret, before = self.sessions.new_secret(), session.conversation
            conversation = await self._sign_out(session, derive_sid(secret), self.sessions.new_conversation())
            self.sessions.rotate(session, secret)
            self.sessions.set_level(session, ANONYMOUS)
            await self._move(session, before, conversation)

    async def _sign_out(self, session: Session, new_sid: str, new_conversation: str) -> str:
        for _ in range(_TRIES):
            try:
                return await self.core.sign_out(self.capabilities.sign(session), new_sid, new_conversation)
            except PeerRefused:
                if await self._is_ended(session):
                    return new_conversation  # ended already; ours goes all the same, to an id the core will meet as a new one
            except PeerAway:
                session.in_doubt = True
                break
        raise Refusal(Code.AWAY, sentences.SIGN_OUT_AWAY)

    async def _move(self, session: Session, before: str | None, conversation: str) -> None:
        session.move(conversation)
        await self.moved(session, before)
