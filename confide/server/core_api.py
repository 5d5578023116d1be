"""The private API that the gateway calls (docs/protocol.md section 4): body in, body out. Sync, run in a thread; no web framework here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from confide.audit.events import GATEWAY_EVENTS, Event
from confide.core import Core
from confide.guard import sentences
from confide.guard.cards import Cards
from confide.identity.acts import State
from confide.identity.levels import Level, Speaker
from confide.identity.login_token import LoginRefused
from confide.pack import Pack
from confide.policy.load import MAX_BOUND_AGE

Body = Mapping[str, Any]

_ID = re.compile(r"[a-z0-9]{16,64}")
_DETAIL = re.compile(r"[A-Za-z0-9_.:\-]{0,64}")
#: What the masked field may hold at most.
_MAX_VALUE = 64


class Malformed(Exception):
    """The body is not what the call takes. Names the field, never its content."""


class NotFound(Exception):
    """There is no such thing for this session."""


@dataclass(frozen=True)
class CoreApi:
    """One method a call."""

    core: Core
    pack: Pack

    def routes(self) -> dict[str, Callable[[Body], Mapping[str, Any]]]:
        """Return path → call."""
        calls: dict[str, Callable[[Body], Mapping[str, Any]]] = {
            "/core/session/resume": self.session_resume, "/core/session/sign-in": self.sign_in, "/core/session/sign-out": self.sign_out,
            "/core/session/state": self.session_state, "/core/cards/show": self.card_show, "/core/cards/act": self.card_act,
            "/core/reveal": self.reveal, "/core/turn/outcome": self.turn_outcome, "/core/report": self.report,
        }
        return calls | {f"/core/bank/{name}": self._site(call) for name, call in self.pack.site.items()}

    def session_resume(self, body: Body) -> Mapping[str, Any]:
        with self.core.transaction() as transaction:
            speaker = self.core.sessions.resume(transaction, _identifier(body, "session"))
            if speaker is None:
                raise NotFound
            news = [sentences.done_meanwhile(summary) for summary in reversed(self.core.effects.recent(transaction, speaker))]
            act = self.core.acts.waiting(transaction, speaker)
            if act is not None and act.state is State.PROVEN:
                news.append(sentences.proved_and_waiting(act.proposal.title))
        return {"conversation": speaker.conversation, "level": self._level(speaker), "turn": speaker.turn, "news": news}

    def _level(self, speaker: Speaker) -> str:
        return str(speaker.level(self.core.clock(), MAX_BOUND_AGE))

    def session_state(self, body: Body) -> Mapping[str, Any]:
        capability = self.core.capabilities.verify(body.get("capability"))
        with self.core.transaction() as transaction:
            speaker = self.core.sessions.speaker(transaction, capability, touch=False)
        return {"level": self._level(speaker)}

    def sign_in(self, body: Body) -> Mapping[str, Any]:
        capability = self.core.capabilities.verify(body.get("capability"))
        new_session, new_conversation = _identifier(body, "new_session"), _identifier(body, "new_conversation")
        try:
            login = self.core.logins.verify(body.get("login_token"), self.core.clock())
            with self.core.transaction() as transaction:
                speaker = self.core.sessions.speaker(transaction, capability)
                self.core.grants.revoke(transaction, speaker)
                conversation, kept = self.core.sessions.sign_in(transaction, speaker, login, new_session, new_conversation)
                self.core.audit.append(transaction, Event.SESSION_SIGNED_IN, subject=login.subject, session=speaker.root, kept=kept)
        except LoginRefused:
            with self.core.transaction() as transaction:
                self.core.audit.append(transaction, Event.SESSION_SIGN_IN_REFUSED)
            raise
        return {"conversation": conversation, "level": str(Level.IDENTIFIED), "kept": kept}

    def sign_out(self, body: Body) -> Mapping[str, Any]:
        capability = self.core.capabilities.verify(body.get("capability"))
        new_session, new_conversation = _identifier(body, "new_session"), _identifier(body, "new_conversation")
        with self.core.transaction() as transaction:
            speaker = self.core.sessions.speaker(transaction, capability)
            self.core.grants.revoke(transaction, speaker)
            self.core.sessions.sign_out(transaction, speaker, new_session, new_conversation)
            self.core.audit.append(transaction, Event.SESSION_SIGNED_OUT, subject=speaker.subject, session=speaker.root)
        return {"conversation": new_conversation}

    def card_show(self, body: Body) -> Mapping[str, Any]:
        card = Cards(self.core).show(body.get("capability"), _identifier(body, "ref"))
        if card is None:
            raise NotFound
        return card

    def card_act(self, body: Body) -> Mapping[str, Any]:
        kind, value = body.get("act"), body.get("value", "")
        if kind not in ("submit", "cancel") or not isinstance(value, str) or len(value) > _MAX_VALUE:
            raise Malformed("act or value")
        answer = Cards(self.core).act(body.get("capability"), _identifier(body, "ref"), kind, value, _identifier(body, "new_session"))
        if answer is None:
            raise NotFound
        return {name: value for name, value in asdict(answer).items() if value is not None}

    def reveal(self, body: Body) -> Mapping[str, Any]:
        capability = self.core.capabilities.verify(body.get("capability"))
        tokens = body.get("tokens")
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise Malformed("tokens")
        with self.core.transaction() as transaction:
            speaker = self.core.sessions.speaker(transaction, capability, touch=False)
            return {"values": self.core.grants.reveal(transaction, speaker, tokens)}

    def turn_outcome(self, body: Body) -> Mapping[str, Any]:
        capability = self.core.capabilities.verify(body.get("capability"))
        with self.core.transaction() as transaction:
            speaker = self.core.sessions.speaker(transaction, capability, any_turn=True, touch=False)
            outcome = self.core.effects.settle(transaction, speaker)
            if not outcome.done:
                self.core.audit.append(transaction, Event.TURN_CLOSED, subject=speaker.subject, session=speaker.root)
        if outcome.done:
            return {"outcome": "done", "text": sentences.done_after_all(outcome.summary or "your request")}
        return {"outcome": "nothing", "text": sentences.NOTHING_DONE}

    def report(self, body: Body) -> Mapping[str, Any]:
        event, detail = body.get("event"), body.get("detail", "")
        if event not in GATEWAY_EVENTS or not isinstance(detail, str) or not _DETAIL.fullmatch(detail):
            raise Malformed("event or detail")
        facts = {"detail": detail} if detail else {}
        with self.core.transaction() as transaction:
            self.core.audit.append(transaction, Event(event), **facts)
        return {}

    def _site(self, call: Callable[[Body], Mapping[str, Any] | None]) -> Callable[[Body], Mapping[str, Any]]:
        def run(body: Body) -> Mapping[str, Any]:
            answer = call(body)
            if answer is None:
                raise LoginRefused
            return answer

        return run


def _identifier(body: Body, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise Malformed(name)
    return value

