"""The deeds that every business has: proving who one is, adding an authenticator, reaching a person."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection, insert, select

from confide.audit.events import Event
from confide.core import Core
from confide.guard.deed import Declined, Question, Reply, Words
from confide.guard.guard import FACTOR_DISABLED
from confide.identity.acts import Proposal
from confide.identity.binding import Parameters
from confide.identity.levels import Speaker
from confide.storage.schema import handoffs
from confide.vault.grants import Value

#: An intent's name; anything else is no topic.
_TOPIC = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Directory(Protocol):
    """What the business knows of its customers that the core needs to reach them."""

    def email(self, transaction: Connection, subject: str) -> str | None:
        """Return the customer's address for notices."""


def core_deeds(core: Core, directory: Directory, staff_address: str) -> list[Question]:
    """Return the deeds of the core."""
    return [SetUpTwoFactor(core, directory), VerifyIdentity(core), HandOver(core, staff_address)]


@dataclass(frozen=True)
class SetUpTwoFactor:
    """Adds an authenticator app; it counts once a code of it was typed back."""

    core: Core
    directory: Directory
    name: str = "set_up_2fa"

    def propose(self, transaction: Connection, speaker: Speaker, words: Words) -> Proposal | Reply:
        assert speaker.subject is not None
        if self.core.factors.active(transaction, speaker.subject):
            return Reply("utter_2fa_already_on")
        if self.core.factors.disabled(transaction, speaker.subject):
            return Reply(FACTOR_DISABLED)
        factor, _secret = self.core.factors.start(transaction, speaker.subject)
        self.core.audit.append(transaction, Event.FACTOR_ENROLMENT_STARTED, subject=speaker.subject, session=speaker.root, factor=factor)
        return Proposal({"factor": factor}, "Add this to your authenticator app")

    def perform(self, transaction: Connection, speaker: Speaker, parameters: Parameters) -> Reply:
        assert speaker.subject is not None
        if not self.core.factors.activate(transaction, str(parameters["factor"])):
            raise Declined(Reply("utter_2fa_already_on"))
        self.core.audit.append(
            transaction, Event.FACTOR_ACTIVATED, subject=speaker.subject, session=speaker.root, factor=str(parameters["factor"])
        )
        address = self.directory.email(transaction, speaker.subject)
        if address:
            self.core.outbox.queue(transaction, key=f"factor:{parameters['factor']}", kind="mail", owner=speaker.owner, payload={
                "to": address, "subject": "An authenticator app was added to your account",
                "body": "From now on payments in the chat ask for a code from it. If this was not you, call us at once.",
            })
        return Reply("utter_2fa_on")


@dataclass(frozen=True)
class VerifyIdentity:
    """Proves who is talking, for nothing else than that."""

    core: Core
    name: str = "verify_identity"

    def propose(self, transaction: Connection, speaker: Speaker, words: Words) -> Proposal | Reply:
        return Proposal({}, "Confirm that it's you")

    def perform(self, transaction: Connection, speaker: Speaker, parameters: Parameters) -> Reply:
        self.core.sessions.mark_verified(transaction, speaker)
        return Reply("utter_identity_verified")


@dataclass(frozen=True)
class HandOver:
    """Opens a ticket for a person, with a reference; also the answer to what is not built yet."""

    core: Core
    staff_address: str
    name: str = "human_handoff"

    def propose(self, transaction: Connection, speaker: Speaker, words: Words) -> Proposal | Reply:
        topic = words.get("topic", "")
        topic = topic if _TOPIC.fullmatch(topic) else self.name
        open_ticket = transaction.execute(
            select(handoffs.c.reference).where(handoffs.c.conversation == speaker.conversation, handoffs.c.topic == topic)
        ).scalar()
        if open_ticket:  # asked again, answered with the same reference: nobody fills the staff's mailbox by repeating himself
            return self._answer(topic, open_ticket)
        return Proposal({"topic": topic, "reference": new_handoff_reference()}, "Pass this on to a person")

    def perform(self, transaction: Connection, speaker: Speaker, parameters: Parameters) -> Reply:
        topic, reference = str(parameters["topic"]), str(parameters["reference"])
        transaction.execute(insert(handoffs).values(
            reference=reference, conversation=speaker.conversation, subject=speaker.subject, topic=topic, created_at=self.core.clock()
        ))
        self.core.audit.append(transaction, Event.HANDOFF_OPENED, subject=speaker.subject, session=speaker.root, topic=topic)
        # No personal value and no word of the conversation: staff open the ticket where their access is checked.
        self.core.outbox.queue(transaction, key=f"handoff:{reference}", kind="mail", owner=speaker.owner, payload={
            "to": self.staff_address, "subject": f"Chat ticket {reference}", "body": f"A customer asks for a person. Topic: {topic}.",
        })
        return self._answer(topic, reference)

    def _answer(self, topic: str, reference: str) -> Reply:
        response = "utter_handoff" if topic == self.name else "utter_not_built_yet"
        return Reply(response, {"reference": Value("REFERENCE", reference)})


def new_handoff_reference() -> str:
    """Return a reference a person can read out: `H-` and 2 times 4 characters without look-alikes (40 bits)."""
    letters = "".join(secrets.choice("23456789ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(8))
    return f"H-{letters[:4]}-{letters[4:]}"
