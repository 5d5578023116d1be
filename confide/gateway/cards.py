"""What is typed into a card: from the browser's POST to the core, in the conversation's lane, and nowhere else."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from confide.gateway import sentences
from confide.gateway.capabilities import Capabilities
from confide.gateway.delivery import Deliveries
from confide.gateway.errors import Code, Refusal
from confide.gateway.lanes import Lanes
from confide.gateway.peers import CardAnswer, CorePeer, PeerAway, PeerRefused
from confide.gateway.sessions import Session, Sessions, derive_sid
from confide.gateway.turns import Turns

RESUME = "/confide_resume"
#: Characters of a field; the core takes no more.
MAX_VALUE = 64

_REFERENCE = re.compile(r"[A-Za-z2-7]{26}")
#: Outcomes that close a card, as the widgets call them.
_CLOSING = frozenset({"accepted", "cancelled", "closed"})


@dataclass(frozen=True)
class Submission:
    """A card that a customer handed in or cancelled. The value is in no repr, log or exception."""

    ref: str
    act: str
    value: str | None

    def __repr__(self) -> str:
        return f"Submission(ref={self.ref!r}, act={self.act!r})"


def parse_submission(body: dict[str, object]) -> Submission:
    """Return the submission in a POST body. Raises Refusal: malformed, too_long."""
    ref, act, value = body.get("ref"), body.get("act"), body.get("value")
    if not isinstance(ref, str) or not _REFERENCE.fullmatch(ref) or act not in ("submit", "cancel"):
        raise Refusal(Code.MALFORMED)
    if act == "cancel":
        return Submission(ref, "cancel", None)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise Refusal(Code.MALFORMED)
    if len(value) > MAX_VALUE:
        raise Refusal(Code.TOO_LONG)
    return Submission(ref, "submit", value)


@dataclass(frozen=True)
class CardDesk:
    """Takes cards to the core."""

    core: CorePeer
    sessions: Sessions
    capabilities: Capabilities
    lanes: Lanes
    deliveries: Deliveries
    turns: Turns
    clock: Callable[[], float] = time.time

    async def submit(self, session: Session, submission: Submission) -> CardAnswer:
        """Return what became of the card; the turn that goes on after a proof is delivered by the socket.

        Raises Refusal: busy, not_found, away.
        """
        answered: asyncio.Future[CardAnswer] = asyncio.get_running_loop().create_future()
        accepted, conversation = self.clock(), session.where

        async def job() -> None:
            try:
                if session.conversation != conversation:
                    raise Refusal(Code.NOT_FOUND, sentences.CARD_GONE)
                answer = await self._act(session, submission)
            except Exception as error:  # noqa: BLE001 - the browser waits for an answer, whatever happened
                if not answered.done():
                    answered.set_exception(error if isinstance(error, Refusal) else Refusal(Code.INTERNAL))
                return
            if not answered.done():
                answered.set_result(answer)
            await self._go_on(session, submission.ref, answer, accepted)

        self.lanes.submit(conversation, job)
        return await answered

    async def _act(self, session: Session, submission: Submission) -> CardAnswer:
        async with session.lock:
            turn, secret = self.capabilities.begin(session), self.sessions.new_secret()
            new_sid = derive_sid(secret)
            try:
                answer = await self.core.act(
                    self.capabilities.sign(session, turn), submission.ref, submission.act, submission.value, new_sid
                )
            except PeerAway:
                raise Refusal(Code.AWAY, sentences.CARD_AWAY) from None
            except PeerRefused:
                raise Refusal(Code.NOT_FOUND, sentences.CARD_GONE) from None
            if answer is None:
                raise Refusal(Code.NOT_FOUND, sentences.CARD_GONE)
            if answer.session == new_sid:
                self.sessions.rotate(session, secret, keep_old=True)
            return answer

    async def _go_on(self, session: Session, ref: str, answer: CardAnswer, accepted: float) -> None:
        conversation = session.where
        if answer.outcome in _CLOSING:
            await self.deliveries.close_card(conversation, ref, answer.outcome)
        if answer.outcome == "cancelled":
            await self.deliveries.say(conversation, {"text": answer.text})
        if answer.outcome == "accepted" and answer.resume:
            await self.turns.talk(session, conversation, RESUME, accepted)
