"""What a business action is made of, apart from Rasa: what it proposes, and what it does once that is proved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from sqlalchemy import Connection

from confide.identity.acts import Proposal
from confide.identity.binding import Parameters
from confide.identity.levels import Speaker
from confide.vault.grants import Value


@dataclass(frozen=True)
class Reply:
    """One thing to say: a response of the domain, and the values in it that Rasa must not see."""

    response: str
    values: Mapping[str, Value] = field(default_factory=dict)
    #: Quick replies: title and payload. Rasa sees them; put no personal value in them.
    options: tuple[tuple[str, str], ...] = ()


class Declined(Exception):
    """The business will not do it (no funds, card gone). Nothing of the effect stays; the reply says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.response)
        self.reply = reply


#: What the customer said so far, as Rasa understood it: slot and entity texts. Untrusted; only ever a proposal.
Words = Mapping[str, str]


@runtime_checkable
class Question(Protocol):
    """What a customer may ask. `name` is its key in privacy.yml."""

    @property
    def name(self) -> str: ...

    def propose(self, transaction: Connection, speaker: Speaker, words: Words) -> Proposal | Reply:
        """Return what is to be bound and shown, or, for a question (a balance) or a word too little, the answer."""


@runtime_checkable
class Deed(Question, Protocol):
    """What has an effect."""

    def perform(self, transaction: Connection, speaker: Speaker, parameters: Parameters) -> Reply:
        """Do it, from `parameters` alone, inside `transaction`. Raises Declined. The guard has checked everything else."""
