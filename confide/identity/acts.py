"""Acts that wait for a proof: opened with exact parameters, proved, and used up once. None of it is ever in a slot.

    pending ──proved──> proven ──claimed in the effect's transaction──> consumed
       └── cancelled, replaced (another act, or changed details), stopped (too many wrong codes); time ends any of them

requirements.md S10, S11; OWASP Transaction Authorization 2.1 to 2.10; OWASP ASVS 5.0 2.3.1, 2.3.3.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import rfc8785
from sqlalchemy import Connection, Row, insert, select, update

from confide.identity import binding
from confide.identity.levels import Speaker
from confide.identity.throttle import ATTEMPTS_PER_CHALLENGE
from confide.storage.envelope import SealBroken
from confide.storage.keystore import KeyStore
from confide.storage.schema import acts


class State(StrEnum):
    PENDING = "pending"
    PROVEN = "proven"
    CONSUMED = "consumed"
    CANCELLED = "cancelled"
    REPLACED = "replaced"
    STOPPED = "stopped"


OPEN = (State.PENDING, State.PROVEN)


class ActTampered(Exception):
    """A stored act is not what was confirmed: its MAC or seal does not hold."""


@dataclass(frozen=True)
class Proposal:
    """What an action wants to do, as it is bound and as it is shown."""

    #: Canonical parameters: text and integers; the whole of what the effect may use.
    parameters: binding.Parameters
    #: Shown in full on the card: a title, and label and value of each line.
    title: str
    lines: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Act:
    """A stored act."""

    id: str
    action: str
    proposal: Proposal
    proof: str
    factor: str
    expires_at: int
    attempts: int
    state: State
    subject: str

    @property
    def attempts_left(self) -> int:
        return max(0, ATTEMPTS_PER_CHALLENGE - self.attempts)


@dataclass(frozen=True)
class Acts:
    """The acts of all sessions. Works inside the caller's transaction."""

    keystore: KeyStore
    key: bytes = field(repr=False)
    clock: Callable[[], float] = time.time
    random_id: Callable[[], str] = lambda: secrets.token_hex(16)

    def open(
        self, transaction: Connection, speaker: Speaker, action: str, proposal: Proposal, *, proof: str, factor: str, lifetime: int
    ) -> Act:
        """Store an act that waits for its proof; the session's earlier open acts are replaced. The speaker must be signed in."""
        if speaker.subject is None:
            raise ValueError("an act needs a subject")
        self.close_all(transaction, speaker, State.REPLACED)
        act = Act(
            id=new_reference(), action=action, proposal=proposal, proof=proof, factor=factor, expires_at=int(self.clock()) + lifetime,
            attempts=0, state=State.PENDING, subject=speaker.subject,
        )
        nonce = self.random_id()
        sealed = self.keystore.obtain(f"subject:{speaker.subject}").seal(_encode(proposal), _context(act.id, speaker.subject))
        bound = _binding(act, speaker.root, speaker.conversation, nonce)
        transaction.execute(insert(acts).values(
            id=act.id, root=speaker.root, conversation=speaker.conversation, subject=act.subject, action=action, proof=proof, factor=factor,
            sealed_content=sealed, nonce=nonce, mac=binding.mac(self.key, bound), expires_at=float(act.expires_at), attempts=0, state=State.PENDING,
        ))
        return act

    def find(self, transaction: Connection, speaker: Speaker, reference: str) -> Act | None:
        """Return the act if it belongs to this very session. Raises ActTampered."""
        query = select(acts).where(acts.c.id == reference, acts.c.root == speaker.root, acts.c.conversation == speaker.conversation)
        row = transaction.execute(query.with_for_update()).first()
        if row is None or speaker.subject is None or row.subject != speaker.subject:
            return None
        return self._read(row)

    def waiting(self, transaction: Connection, speaker: Speaker) -> Act | None:
        """Return the session's one open act, if it has not run out. Raises ActTampered."""
        query = select(acts.c.id).where(acts.c.root == speaker.root, acts.c.state.in_(OPEN), acts.c.expires_at > self.clock())
        reference = transaction.execute(query).scalar()
        return None if reference is None else self.find(transaction, speaker, reference)

    def expired(self, act: Act) -> bool:
        """Say whether the act's time is over."""
        return self.clock() >= act.expires_at

    def count_refusal(self, transaction: Connection, act: Act) -> int:
        """Count one wrong code; return the tries left. At none the act is stopped."""
        attempts = transaction.execute(
            update(acts).where(acts.c.id == act.id).values(attempts=acts.c.attempts + 1).returning(acts.c.attempts)
        ).scalar_one()
        left = max(0, ATTEMPTS_PER_CHALLENGE - int(attempts))
        if left == 0:
            self._move(transaction, act.id, (State.PENDING,), State.STOPPED)
        return left

    def prove(self, transaction: Connection, act: Act) -> bool:
        """Mark a pending act as proved; False when it is not pending any more or its time is over."""
        return self._move(transaction, act.id, (State.PENDING,), State.PROVEN)

    def claim(self, transaction: Connection, act: Act) -> bool:
        """Use a proved act up. It counts only if the transaction commits; of two that race, one gets True."""
        return self._move(transaction, act.id, (State.PROVEN,), State.CONSUMED)

    def stop(self, transaction: Connection, act: Act) -> bool:
        """End an open act without effect."""
        return self._move(transaction, act.id, OPEN, State.STOPPED)

    def close_all(self, transaction: Connection, speaker: Speaker, state: State) -> int:
        """End every open act of the session as `state`; return how many there were."""
        return transaction.execute(
            update(acts).where(acts.c.root == speaker.root, acts.c.state.in_(OPEN), acts.c.expires_at > self.clock()).values(state=state)
        ).rowcount

    def _move(self, transaction: Connection, reference: str, source: tuple[State, ...], target: State) -> bool:
        return transaction.execute(
            update(acts).where(acts.c.id == reference, acts.c.state.in_(source), acts.c.expires_at > self.clock()).values(state=target)
        ).rowcount == 1

    def _read(self, row: Row[Any]) -> Act:
        try:
            content = self.keystore.existing(f"subject:{row.subject}").open(row.sealed_content, _context(row.id, row.subject))
        except SealBroken:
            raise ActTampered from None
        act = Act(
            id=row.id, action=row.action, proposal=_decode(content), proof=row.proof, factor=row.factor, expires_at=int(row.expires_at),
            attempts=row.attempts, state=State(row.state), subject=row.subject,
        )
        if not binding.matches(self.key, _binding(act, row.root, row.conversation, row.nonce), row.mac):
            raise ActTampered
        return act


def new_reference() -> str:
    """Return 26 characters of lower-case base32: 130 random bits."""
    return "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(26))


def _binding(act: Act, root: str, conversation: str, nonce: str) -> binding.Binding:
    shown = hashlib.sha256(rfc8785.dumps([act.proposal.title, [list(line) for line in act.proposal.lines]])).hexdigest()
    return binding.Binding(
        subject=act.subject, root=root, conversation=conversation, action=act.action, parameters=act.proposal.parameters,
        proof=act.proof, factor=act.factor, nonce=nonce, expires_at=act.expires_at, shown=shown,
    )


def _encode(proposal: Proposal) -> bytes:
    return json.dumps({"parameters": dict(proposal.parameters), "title": proposal.title, "lines": proposal.lines}).encode()


def _decode(content: bytes) -> Proposal:
    stored: Mapping[str, Any] = json.loads(content)
    return Proposal(stored["parameters"], stored["title"], tuple((label, value) for label, value in stored["lines"]))


def _context(reference: str, subject: str) -> dict[str, str | int]:
    return {"table": "acts", "column": "sealed_content", "row": reference, "subject": subject}
