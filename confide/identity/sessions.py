"""Sessions and conversations: from the gateway's capability to the speaker, and every change of who that is."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, or_, select, update

from confide.identity.capability import Capability, CapabilityRefused
from confide.identity.levels import Speaker
from confide.identity.login_token import Login, LoginRefused
from confide.policy.model import SessionRule
from confide.storage.database import insert_if_absent
from confide.storage.schema import conversations, login_tokens, sessions


@dataclass(frozen=True)
class Sessions:
    """The only judge of who speaks. Works inside the caller's transaction."""

    rule: SessionRule
    clock: Callable[[], float] = time.time
    random_id: Callable[[], str] = lambda: secrets.token_hex(16)

    def speaker(self, transaction: Connection, capability: Capability, *, any_turn: bool = False, touch: bool = True) -> Speaker:
        """Return who speaks.

        Raises CapabilityRefused when the session is not this conversation's, has ended, or the turn is older than the newest seen
        (`any_turn` leaves that last check out: asking how an old turn ended is not acting in it). A session the core has not met is an
        anonymous one that the gateway just opened. Without `touch` the call does not count against the idle time: a page that asks for its
        state must not keep a customer signed in.
        """
        row = self._find(transaction, capability.session)
        if row is None:
            row = self._open(transaction, capability)
        if row.conversation != capability.conversation or row.ended_at is not None:
            raise CapabilityRefused
        if not any_turn:
            self._advance(transaction, capability)
        now = self.clock()
        alive = row.subject is not None and now - row.seen_at < self.rule.idle and now - row.signed_in_at < self.rule.overall
        self._touch(transaction, row, capability, now, touch and (alive or row.subject is None))
        return Speaker(
            session=capability.session, root=row.root, conversation=row.conversation, turn=capability.turn, deadline=capability.deadline,
            subject=row.subject if alive else None, method=row.method if alive else None, verified_at=row.verified_at if alive else None,
        )

    def resume(self, transaction: Connection, session: str) -> Speaker | None:
        """Return the speaker of a session that is still open, for a gateway that restarted, in a turn that makes all earlier ones old.

        What was on its way when the gateway died can commit nothing any more, so that what has happened by now is all there is.
        """
        row = self._find(transaction, session)
        if row is None or row.ended_at is not None:
            return None
        newest = transaction.execute(select(conversations.c.turn).where(conversations.c.id == row.conversation)).scalar_one()
        capability = Capability(session, row.conversation, max(newest + 1, int(self.clock() * 1000)), self.clock())
        return self.speaker(transaction, capability, touch=False)

    def sign_in(
        self, transaction: Connection, speaker: Speaker, login: Login, new_session: str, new_conversation: str
    ) -> tuple[str, bool]:
        """Bind a new session to the person of `login`; return its conversation and whether that is the one going on.

        The old session ends. Raises LoginRefused when the token was used before.
        """
        now = self.clock()
        if now >= login.expires_at:  # it was good when it was checked; its row below would be swept with the others
            raise LoginRefused
        transaction.execute(delete(login_tokens).where(login_tokens.c.expires_at < now))
        if not insert_if_absent(transaction, login_tokens, {"jti": login.jti, "expires_at": float(login.expires_at)}):
            raise LoginRefused
        attached = transaction.execute(
            update(conversations)
            .where(conversations.c.id == speaker.conversation)
            .where(or_(conversations.c.subject.is_(None), conversations.c.subject == login.subject))
            .values(subject=login.subject)
        ).rowcount
        conversation = speaker.conversation if attached else new_conversation
        if not attached:
            transaction.execute(insert(conversations).values(id=conversation, subject=login.subject, turn=0))
        self._end(transaction, speaker, now)
        transaction.execute(insert(sessions).values(
            id=new_session, root=self.random_id(), conversation=conversation, subject=login.subject, method=login.method,
            signed_in_at=now, seen_at=now,
        ))
        return conversation, bool(attached)

    def sign_out(self, transaction: Connection, speaker: Speaker, new_session: str, new_conversation: str) -> None:
        """End the session and open an anonymous one in a conversation of its own."""
        now = self.clock()
        self._end(transaction, speaker, now)
        transaction.execute(insert(conversations).values(id=new_conversation, turn=0))
        transaction.execute(insert(sessions).values(id=new_session, root=self.random_id(), conversation=new_conversation, seen_at=now))

    def rotate(self, transaction: Connection, speaker: Speaker, new_session: str) -> None:
        """Give the session a new id (after a proof); the old one is good until the new one is first seen."""
        transaction.execute(
            update(sessions).where(sessions.c.root == speaker.root).values(id=new_session, previous_id=speaker.session)
        )

    def mark_verified(self, transaction: Connection, speaker: Speaker) -> None:
        """Record that a second factor was proved now."""
        transaction.execute(update(sessions).where(sessions.c.root == speaker.root).values(verified_at=self.clock()))

    @staticmethod
    def _find(transaction: Connection, session: str) -> Row[Any] | None:
        # Locked, so that on PostgreSQL a sign-out waits for an act that is under way and an act for a sign-out: none slips in between.
        query = select(sessions).where(or_(sessions.c.id == session, sessions.c.previous_id == session))
        return transaction.execute(query.with_for_update()).first()

    def _open(self, transaction: Connection, capability: Capability) -> Row[Any]:
        # A conversation that exists belongs to another session: nobody walks into it with a fresh one.
        if not insert_if_absent(transaction, conversations, {"id": capability.conversation, "turn": 0}):
            raise CapabilityRefused
        transaction.execute(insert(sessions).values(
            id=capability.session, root=self.random_id(), conversation=capability.conversation, seen_at=self.clock()
        ))
        row = self._find(transaction, capability.session)
        assert row is not None
        return row

    @staticmethod
    def _advance(transaction: Connection, capability: Capability) -> None:
        moved = transaction.execute(
            update(conversations)
            .where(conversations.c.id == capability.conversation, conversations.c.turn <= capability.turn)
            .values(turn=capability.turn)
        ).rowcount
        if not moved:
            raise CapabilityRefused

    @staticmethod
    def _touch(transaction: Connection, row: Row[Any], capability: Capability, now: float, counts: bool) -> None:
        values: dict[str, Any] = {"seen_at": now} if counts else {}
        if row.previous_id is not None and row.id == capability.session:
            values["previous_id"] = None
        if values:
            transaction.execute(update(sessions).where(sessions.c.root == row.root).values(**values))

    @staticmethod
    def _end(transaction: Connection, speaker: Speaker, now: float) -> None:
        transaction.execute(
            update(sessions).where(sessions.c.root == speaker.root).values(ended_at=now, previous_id=None)
        )
