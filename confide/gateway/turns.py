"""One turn: Rasa answers, values and cards are put in, and whatever happens the customer hears something true.

Rasa carries on when an action fails or is away, so its messages are believed only when nothing failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from confide.audit.events import Event
from confide.gateway import sentences
from confide.gateway.access import Access
from confide.gateway.aftermath import Aftermath
from confide.gateway.background import Background
from confide.gateway.capabilities import Capabilities, Turn
from confide.gateway.completion import Completion
from confide.gateway.delivery import Deliveries, Private, room_of
from confide.gateway.limits import Kind, Limits
from confide.gateway.peers import CorePeer, PeerError, RasaPeer
from confide.gateway.render import Payload, render
from confide.gateway.sessions import Session

#: Turns of one conversation that may be without a known outcome before no new one is begun.
MAX_UNSETTLED = 20
_log = logging.getLogger("confide.gateway")


@dataclass(frozen=True)
class Timing:
    """Seconds (docs/protocol.md section 8)."""

    #: From the moment a message was accepted to the first word about it.
    progress: float = 4.0
    #: At least this long after its turn began, however long the message had waited.
    progress_at_least: float = 1.0


@dataclass
class _Progress:
    said_unknown: bool = False


@dataclass(frozen=True)
class Turns:
    """Runs the turns of all conversations. Called from a conversation's lane only."""

    rasa: RasaPeer
    core: CorePeer
    capabilities: Capabilities
    deliveries: Deliveries
    completion: Completion
    aftermath: Aftermath
    background: Background
    limits: Limits
    access: Access
    timing: Timing = field(default_factory=Timing)
    clock: Callable[[], float] = time.time

    async def talk(self, session: Session, conversation: str, text: str, accepted: float) -> None:
        """Run one turn for `text`, accepted in `conversation` at `accepted` (Unix seconds), and deliver what comes of it."""
        await self.access.dispel_doubt(session)
        if session.conversation != conversation:
            return  # signed in or out while it waited: the message was for a conversation that is over
        if len(session.unsettled) >= MAX_UNSETTLED:
            return await self.deliveries.say(conversation, {"text": sentences.NOT_STARTED})
        turn = self.capabilities.begin(session)
        async with self._shown_as_busy(session, turn, accepted) as progress:
            parts = await self._answer(session, turn, text)
            # Inside the busy time: a core that is slow to say how it ended must not mean silence either.
            outcome = None if parts else await self.aftermath.ask(session, turn)
        if parts and not await self._deliver(session, turn, parts):
            parts, outcome = [], await self.aftermath.ask(session, turn)
        if parts:
            session.recheck.set()
        else:
            await self.aftermath.settle(session, turn, outcome, told=progress.said_unknown)

    async def tell_news(self, session: Session) -> None:
        """Say, once, what the session's customer is to be told since somebody listens now."""
        await self.aftermath.tell_news(session)

    def report(self, session: Session, event: Event, detail: str = "") -> None:
        """Have something suspicious audited, without waiting; `detail` never holds what a customer wrote."""
        if session.conversation is not None and self.limits.allow(Kind.REPORT, session=session.sid):
            self.background.start(self._report(session, event, detail))

    async def _report(self, session: Session, event: Event, detail: str) -> None:
        with contextlib.suppress(PeerError):
            await self.core.report(self.capabilities.sign(session), event.value, detail)

    async def _answer(self, session: Session, turn: Turn, text: str) -> list[Payload | Private]:
        """Return what Rasa answered, ready for the browser; empty when it did not, or when something in it failed."""
        capability = self.capabilities.sign(session, turn)
        try:
            answer = await self.rasa.answer(turn.conversation, text, capability, self.capabilities.deadline)
            if answer.failed:
                return []
            rendered = render(answer.messages)
            for kind in rendered.dropped_cards:
                self.report(session, Event.GATEWAY_CARD_DROPPED, kind)
            return await self.completion.complete(session, turn, rendered.parts)
        except PeerError:
            return []
        except Exception as error:  # noqa: BLE001 - see below
            # A defect of ours, or an answer we did not think of: the turn failed, and the customer must not meet silence.
            _log.error("an answer could not be shown: %s", type(error).__name__)
            return []

    async def _deliver(self, session: Session, turn: Turn, parts: Sequence[Payload | Private]) -> bool:
        """Send what was answered; False when that failed: to the customer it is as if nothing had been answered."""
        try:
            await self.completion.deliver(session, turn, parts)
        except Exception as error:  # noqa: BLE001 - as in `_answer`
            _log.error("an answer could not be sent: %s", type(error).__name__)
            return False
        return True

    @contextlib.asynccontextmanager
    async def _shown_as_busy(self, session: Session, turn: Turn, accepted: float) -> AsyncIterator[_Progress]:
        progress, room = _Progress(), room_of(turn.conversation)
        await self.deliveries.emit("bot_typing", {"on": True}, room)
        task = asyncio.create_task(self._say_progress(session, turn, accepted, progress))
        try:
            yield progress
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.deliveries.emit("bot_typing", {"on": False}, room)

    async def _say_progress(self, session: Session, turn: Turn, accepted: float, progress: _Progress) -> None:
        """Say that it takes longer; when the core does not answer either, say so, for then nobody can tell how this will end."""
        await asyncio.sleep(max(self.timing.progress_at_least, self.timing.progress - (self.clock() - accepted)))
        away = not await self.core.is_there()
        await self.completion.deliver(session, turn, [{"text": sentences.UNKNOWN if away else sentences.STILL_WORKING}])
        progress.said_unknown = away  # only now: this task may be stopped at any await, and twice is better than never
