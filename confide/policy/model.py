"""What privacy.yml says, as values. Built only by load.py; immutable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from confide.identity.levels import Level

#: Second factors that can prove an act. `enrolment` is the factor being added by that very act.
FACTORS = frozenset({"totp", "enrolment"})
#: First factors.
METHODS = frozenset({"login"})


@dataclass(frozen=True)
class Rule:
    """What one action needs."""

    level: Level
    methods: frozenset[str] = METHODS
    bound: bool = False
    #: Seconds a proof counts; for a bound act the life of its confirmation.
    max_age: int = 300
    factors: tuple[str, ...] = ()


@dataclass(frozen=True)
class SessionRule:
    """When a signed-in session ends by itself, in seconds."""

    idle: int
    overall: int


@dataclass(frozen=True)
class Policy:
    """The whole of privacy.yml."""

    business: str
    sessions: SessionRule
    actions: Mapping[str, Rule]

    def rule(self, action: str) -> Rule | None:
        """Return what `action` needs; None means it is not listed, and is refused."""
        return self.actions.get(action)
