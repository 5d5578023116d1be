"""Cards: what the gateway shows of an act to its own session, and what comes back from the masked field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import segno
from sqlalchemy import Connection

from confide.audit.events import Event
from confide.core import Core
from confide.guard import sentences
from confide.guard.guard import card_type
from confide.identity import otp
from confide.identity.acts import OPEN, Act, ActTampered, State
from confide.identity.factors import Check
from confide.identity.levels import Speaker

_CLOSED = {
    State.CONSUMED: sentences.CONSUMED, State.CANCELLED: sentences.CANCELLED, State.REPLACED: sentences.REPLACED,
    State.STOPPED: sentences.STOPPED,
}


@dataclass(frozen=True)
class Answer:
    """What became of a card: protocol.md section 4, `/core/cards/act`."""

    outcome: str
    text: str
    session: str
    resume: bool = False
    tries_left: int | None = None


@dataclass(frozen=True)
class Cards:
    """The cards of the core's acts."""

    core: Core

    def show(self, token: object, reference: str) -> dict[str, Any] | None:
        """Return the card's content for the session that owns it; None for anybody else, and once it is closed. Raises CapabilityRefused."""
        with self.core.transaction() as transaction:
            speaker = self._speaker(transaction, token)
            act = self._find(transaction, speaker, reference)
            if act is None or act.state is not State.PENDING or self.core.acts.expired(act):
                return None
            return self._content(transaction, speaker, act)

    def act(self, token: object, reference: str, kind: str, value: str, new_session: str) -> Answer | None:
        """Take the field's content (`submit`) or the customer's no (`cancel`). None: no such card here. Raises CapabilityRefused."""
        with self.core.transaction() as transaction:
            speaker = self._speaker(transaction, token)
            act = self._find(transaction, speaker, reference)
            if act is None:
                return None
            if act.state in OPEN and self.core.acts.expired(act):
                return Answer("closed", sentences.EXPIRED, speaker.session)
            if kind == "cancel" and act.state in OPEN:
                return self._cancel(transaction, speaker, act)
            if act.state is State.PROVEN:
                # The answer to the accepted code was lost on its way: the act may still be resumed, by this session, once.
                return Answer("accepted", sentences.PROVED, speaker.session, resume=True)
            if act.state is not State.PENDING:
                return Answer("closed", _CLOSED[act.state], speaker.session)
            return self._submit(transaction, speaker, act, value, new_session)

    def _speaker(self, transaction: Connection, token: object) -> Speaker:
        return self.core.sessions.speaker(transaction, self.core.capabilities.verify(token))

    def _find(self, transaction: Connection, speaker: Speaker, reference: str) -> Act | None:
        try:
            return self.core.acts.find(transaction, speaker, reference)
        except ActTampered:
            self.core.audit.append(transaction, Event.ACT_TAMPERED, subject=speaker.subject, session=speaker.root)
            return None

    def _cancel(self, transaction: Connection, speaker: Speaker, act: Act) -> Answer:
        self.core.acts.close_all(transaction, speaker, State.CANCELLED)
        self._note(transaction, Event.ACT_CANCELLED, speaker, act)
        return Answer("cancelled", sentences.CANCELLED, speaker.session)

    def _submit(self, transaction: Connection, speaker: Speaker, act: Act, value: str, new_session: str) -> Answer:
        state = "pending" if act.proof == "enrolment" else "active"
        check = self.core.factors.check(transaction, act.factor, value, state=state)
        handlers: dict[Check, Callable[[], Answer]] = {
            Check.ACCEPTED: lambda: self._accept(transaction, speaker, act, new_session),
            Check.REFUSED: lambda: self._refuse(transaction, speaker, act),
            Check.WAIT: lambda: Answer("wait", self._wait(transaction, act), speaker.session, tries_left=act.attempts_left),
            Check.DISABLED: lambda: self._disabled(transaction, speaker, act),
        }
        return handlers[check]()

    def _accept(self, transaction: Connection, speaker: Speaker, act: Act, new_session: str) -> Answer:
        if not self.core.acts.prove(transaction, act):
            return Answer("closed", sentences.EXPIRED, speaker.session)
        self.core.sessions.rotate(transaction, speaker, new_session)
        self._note(transaction, Event.ACT_PROVED, speaker, act)
        return Answer("accepted", sentences.PROVED, new_session, resume=True)

    def _refuse(self, transaction: Connection, speaker: Speaker, act: Act) -> Answer:
        left = self.core.acts.count_refusal(transaction, act)
        self._note(transaction, Event.FACTOR_CODE_REFUSED, speaker, act)
        if left:
            return Answer("refused", sentences.wrong_code(left), speaker.session, tries_left=left)
        self._note(transaction, Event.ACT_STOPPED, speaker, act)
        return Answer("closed", sentences.STOPPED, speaker.session, tries_left=0)

    def _wait(self, transaction: Connection, act: Act) -> str:
        return sentences.wait(self.core.factors.waits(transaction, act.factor))

    def _disabled(self, transaction: Connection, speaker: Speaker, act: Act) -> Answer:
        self.core.acts.stop(transaction, act)
        self._note(transaction, Event.FACTOR_DISABLED, speaker, act)
        return Answer("closed", sentences.DISABLED, speaker.session, tries_left=0)

    def _note(self, transaction: Connection, event: Event, speaker: Speaker, act: Act) -> None:
        self.core.audit.append(transaction, event, subject=speaker.subject, session=speaker.root, action=act.action, act=act.id)

    def _content(self, transaction: Connection, speaker: Speaker, act: Act) -> dict[str, Any] | None:
        kind = card_type(act)
        summary = ", ".join([act.proposal.title, *(f"{label}: {value}" for label, value in act.proposal.lines)])
        card: dict[str, Any] = {
            "type": kind, "ref": act.id, "title": act.proposal.title, "expires_at": act.expires_at, "cancel": True,
            "text": f"{summary}. This window can't take the code: open the chat on our own site and ask there.",
            "input": {"kind": "totp", "label": "Code from your authenticator app", "length": 6},
        }
        if kind == "confirm":
            card["lines"] = [{"label": label, "value": value} for label, value in act.proposal.lines]
        if kind == "qr":
            secret = self.core.factors.secret(transaction, act.factor)
            if secret is None:
                return None
            card |= _qr(secret, self.core.policy.business)
            card["input"]["label"] = "Code your app shows"
        return card


def _qr(secret: bytes, issuer: str) -> dict[str, Any]:
    code = segno.make(otp.provisioning_uri(secret, "chat", issuer), error="m", micro=False)
    border = 4
    modules = [
        f"M{x + border} {y + border}h1v1h-1z" for y, row in enumerate(code.matrix) for x, dark in enumerate(row) if dark
    ]
    return {"qr": {"size": len(code.matrix) + 2 * border, "path": "".join(modules)}, "key": otp.text_key(secret)}
