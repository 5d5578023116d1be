"""After a turn that failed: find out how it ended, and say only that.

The core answers `nothing` only after it has made sure that the turn can no longer do anything. Until it answers, the customer is told
that we do not know. The conversation goes on meanwhile: an act of the old turn cannot commit after its deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from confide.gateway import sentences
from confide.gateway.access import Access
from confide.gateway.background import Background
from confide.gateway.capabilities import Capabilities, Turn
from confide.gateway.completion import Completion
from confide.gateway.delivery import Private
from confide.gateway.peers import CorePeer, Outcome, PeerAway, PeerError, PeerRefused
from confide.gateway.render import Payload, fill
from confide.gateway.sessions import Session


@dataclass(frozen=True)
class Patience:
    """Seconds between questions for an unknown outcome (the last pause repeats), and until we give up asking."""

    pauses: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
    give_up: float = 600.0


@dataclass
class Aftermath:
    """The turns of all sessions of which it is not known how they ended."""

    core: CorePeer
    capabilities: Capabilities
    completion: Completion
    background: Background
    access: Access
    patience: Patience = field(default_factory=Patience)
    clock: Callable[[], float] = time.time
    _followed: set[Session] = field(default_factory=set, repr=False)

    async def ask(self, session: Session, turn: Turn) -> Outcome | None:
        """Return how the turn ended; None when the core does not say now."""
        with contextlib.suppress(PeerAway):
            try:
                return await self._ask(session, turn)
            except PeerRefused as refused:
                await self.access.renew_ended(session, refused)
        return None

    async def settle(self, session: Session, turn: Turn, outcome: Outcome | None, *, told: bool) -> None:
        """Say how the failed `turn` ended, now or as soon as it is known. `told`: the customer has heard that we do not know."""
        if outcome is not None:
            return await self._tell(session, turn, outcome, sentences.NOTHING_DONE_LATE if told else sentences.NOTHING_DONE)
        if session.conversation != turn.conversation:
            return
        if not told:
            await self._say(session, turn, sentences.UNKNOWN)
        session.unsettled.append(turn)
        session.recheck.clear()
        if session not in self._followed and self.background.start(self._follow(session)):
            self._followed.add(session)

    async def tell_news(self, session: Session) -> None:
        """Say, once, what the core told when the session was taken up again."""
        news, session.news = session.news, []
        if news:
            await self._show(session, self.capabilities.current(session), [{"text": text} for text in news], by_core=True)

    async def _follow(self, session: Session) -> None:
        pauses = list(self.patience.pauses)
        try:
            while session.unsettled:
                pause = pauses.pop(0) if len(pauses) > 1 else pauses[0]
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(session.recheck.wait(), pause)
                session.recheck.clear()
                await self._ask_again(session)
        finally:
            self._followed.discard(session)

    async def _ask_again(self, session: Session) -> None:
        """Ask once for every unsettled turn. Several that did nothing are one sentence."""
        said_nothing = False
        for turn in list(session.unsettled):
            outcome, over = await self._ask_late(session, turn)
            if not over or turn not in session.unsettled:
                continue
            session.unsettled.remove(turn)
            if outcome is None:
                await self._say(session, turn, sentences.GAVE_UP)
            elif outcome.done or not said_nothing:
                said_nothing = said_nothing or not outcome.done
                await self._tell(session, turn, outcome, sentences.NOTHING_DONE_LATE)

    async def _ask_late(self, session: Session, turn: Turn) -> tuple[Outcome | None, bool]:
        """Return the outcome, and whether there is any use in asking again."""
        try:
            return await self._ask(session, turn), True
        except PeerAway:
            return None, self.clock() - turn.started > self.patience.give_up
        except PeerRefused as refused:
            await self.access.renew_ended(session, refused)  # when it has: the turn is of a conversation that is over
            return None, True

    async def _ask(self, session: Session, turn: Turn) -> Outcome:
        # Signed anew each time: a capability lives for a minute, and the session's id may have changed.
        return await self.core.outcome(self.capabilities.sign(session, turn))

    async def _tell(self, session: Session, turn: Turn, outcome: Outcome, nothing: str) -> None:
        part: Payload = {"text": (outcome.text or sentences.DONE) if outcome.done else nothing}
        await self._show(session, turn, [part], by_core=outcome.done)

    async def _show(self, session: Session, turn: Turn, parts: list[Payload], *, by_core: bool) -> None:
        """`by_core`: sentences with amounts and names in them, which are not said again to a session that is less sure."""
        # Signed for the current turn: a newer one may have begun, and the core refuses an older one.
        shown: list[Payload | Private]
        try:
            shown = await self.completion.complete(session, self.capabilities.current(session), parts, by_core=by_core)
        except PeerError:
            filled = [fill(part, {}) for part in parts]
            shown = [Private(part, None) if by_core else part for part in filled]
        await self.completion.deliver(session, turn, shown)

    async def _say(self, session: Session, turn: Turn, text: str) -> None:
        await self.completion.deliver(session, turn, [{"text": text}])
