"""The guard: the only way into an action. Deny by default; what needs proof gets a challenge bound to exactly this act.

Nothing here reads a slot for a decision: who speaks comes from the capability, what is pending and proved from the core's own tables,
what an action needs from privacy.yml. requirements.md S10 to S12; OWASP ASVS 5.0 8.1.4, 8.3.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection

from confide.audit.events import Event
from confide.core import Core
from confide.guard.deed import Declined, Deed, Question, Reply, Words
from confide.identity.acts import Act, ActTampered, Proposal, State
from confide.identity.capability import CapabilityRefused
from confide.identity.levels import Level, Speaker
from confide.policy.model import Rule
from confide.storage.effects import DeadlinePassed, TurnClosed
from confide.vault.grants import Value

SIGN_IN_FIRST, NOT_ALLOWED, NOT_NOW = "utter_sign_in_first", "utter_not_allowed", "utter_not_now"
FACTOR_NEEDED, FACTOR_DISABLED = "utter_factor_needed", "utter_factor_disabled"
PROVE_IT, SCAN, NOTHING_WAITING = "utter_prove_it", "utter_2fa_scan", "utter_nothing_waiting"
CANCELLED, NOTHING_TO_CANCEL, DONE_ALREADY = "utter_cancelled", "utter_nothing_to_cancel", "utter_done_already"
STILL_UNPROVED = "utter_still_unproved"


@dataclass(frozen=True)
class Card:
    """A card by reference: all that Rasa ever carries of it."""

    type: str
    ref: str


@dataclass(frozen=True)
class Said:
    """What the action tells Rasa to say: a response with tokens in place of values, and perhaps a card."""

    response: str
    tokens: Mapping[str, str] = field(default_factory=dict)
    card: Card | None = None
    #: True when the act waits for a proof: the conversation listens instead of going on.
    waits: bool = False
    #: Cards that no longer count, so that the page can close them.
    closed: tuple[str, ...] = ()
    #: Quick replies: title and payload.
    options: tuple[tuple[str, str], ...] = ()


def card_type(act: Act) -> str:
    """Return which card shows an act."""
    if act.proof == "enrolment":
        return "qr"
    return "confirm" if act.proposal.lines else "secure_input"


@dataclass(frozen=True)
class Guard:
    """Runs the deeds of the business under the policy."""

    core: Core
    deeds: Mapping[str, Question]

    def speaker(self, transaction: Connection, token: object, conversation: str) -> Speaker:
        """Return who speaks in `conversation`. Raises CapabilityRefused."""
        capability = self.core.capabilities.verify(token)
        if capability.conversation != conversation:
            raise CapabilityRefused
        return self.core.sessions.speaker(transaction, capability)

    def ask(self, action: str, token: object, conversation: str, words: Words) -> Said:
        """Run one action as far as the policy lets it. Raises DatabaseAway, KeyProviderError, SealBroken: nothing was done then."""
        return self._guarded(token, conversation, lambda transaction, speaker: self._ask(transaction, speaker, action, words))

    def cancel(self, token: object, conversation: str) -> Said:
        """End what waits in this session. Raises like `ask`."""
        return self._guarded(token, conversation, self._cancel)

    def resume(self, token: object, conversation: str) -> Said:
        """Do the act that this session proved, from the core's own record. Raises like `ask`."""
        return self._guarded(token, conversation, self._resume)

    def _guarded(self, token: object, conversation: str, step: Callable[[Connection, Speaker], Said]) -> Said:
        try:
            with self.core.transaction() as transaction:
                speaker = self.speaker(transaction, token, conversation)
                said = step(transaction, speaker)
                # After its end, or once it was told as "nothing", a turn changes nothing any more: no challenge, no cancelling.
                self.core.effects.check_open(transaction, speaker)
                return said
        except CapabilityRefused:
            self.note(Event.CAPABILITY_REFUSED)
            return Said(NOT_ALLOWED)
        except ActTampered:
            self.note(Event.ACT_TAMPERED)
            return Said(NOT_ALLOWED)
        except (DeadlinePassed, TurnClosed):
            # The transaction is rolled back. The customer hears how the turn ended from the gateway, which asks the core.
            return Said(NOT_NOW)

    def note(self, event: Event) -> None:
        """Audit something that leaves no effect behind, in a transaction of its own."""
        with self.core.transaction() as transaction:
            self.core.audit.append(transaction, event)

    def _ask(self, transaction: Connection, speaker: Speaker, action: str, words: Words) -> Said:
        rule, deed = self.core.policy.rule(action), self.deeds.get(action)
        if rule is None or deed is None:
            return self._refuse(transaction, speaker, action, "no_rule", NOT_ALLOWED)
        refusal = self._first_factor(rule, speaker)
        if refusal:
            return self._refuse(transaction, speaker, action, refusal, SIGN_IN_FIRST)
        proposed = deed.propose(transaction, speaker, words)
        if isinstance(proposed, Reply):
            self.core.audit.append(transaction, Event.ACTION_ALLOWED, subject=speaker.subject, session=speaker.root, action=action)
            return self._say(transaction, speaker, proposed)
        if rule.bound or speaker.level(self.core.clock(), rule.max_age) < rule.level:
            return self._challenge(transaction, speaker, action, rule, proposed)
        return self._perform(transaction, speaker, deed, proposed, None)

    def _refuse(self, transaction: Connection, speaker: Speaker, action: str, reason: str, response: str) -> Said:
        self.core.audit.append(
            transaction, Event.ACTION_REFUSED, subject=speaker.subject, session=speaker.root, action=action[:64], reason=reason
        )
        return Said(response)

    @staticmethod
    def _first_factor(rule: Rule, speaker: Speaker) -> str | None:
        if rule.level is Level.ANONYMOUS:
            return None
        if speaker.subject is None:
            return "not_signed_in"
        return None if speaker.method in rule.methods else "method"

    def _challenge(self, transaction: Connection, speaker: Speaker, action: str, rule: Rule, proposal: Proposal) -> Said:
        assert speaker.subject is not None
        if "enrolment" in rule.factors:
            proof, factor = "enrolment", str(proposal.parameters["factor"])
        else:
            proof, factor = "totp", self.core.factors.active(transaction, speaker.subject) or ""
            if not factor and self.core.factors.disabled(transaction, speaker.subject):
                return self._refuse(transaction, speaker, action, "factor_disabled", FACTOR_DISABLED)
            if not factor:
                return self._refuse(transaction, speaker, action, "no_factor", FACTOR_NEEDED)
        earlier = self.core.acts.waiting(transaction, speaker)
        act = self.core.acts.open(
            transaction, speaker, action, proposal, proof=proof, factor=factor, lifetime=rule.max_age
        )
        self.core.audit.append(
            transaction, Event.ACT_OPENED, subject=speaker.subject, session=speaker.root, action=action, act=act.id, proof=proof
        )
        return Said(
            SCAN if proof == "enrolment" else PROVE_IT, card=Card(card_type(act), act.id), waits=True, closed=(earlier.id,) if earlier else ()
        )

    def _resume(self, transaction: Connection, speaker: Speaker) -> Said:
        act = self.core.acts.waiting(transaction, speaker)
        if act is None:
            return self._nothing_waiting(transaction, speaker)
        if act.state is not State.PROVEN:
            return Said(STILL_UNPROVED)
        rule, deed = self.core.policy.rule(act.action), self.deeds.get(act.action)
        if rule is None or deed is None or self._first_factor(rule, speaker):
            return self._refuse(transaction, speaker, act.action, "no_rule", NOT_ALLOWED)
        return self._perform(transaction, speaker, deed, act.proposal, act)

    def _nothing_waiting(self, transaction: Connection, speaker: Speaker) -> Said:
        """Say so, or what was done just now: somebody who did not hear of it must not be led to ask for it once more."""
        done = self.core.effects.recent(transaction, speaker, proved=True)
        if not done:
            return Said(NOTHING_WAITING)
        return self._say(transaction, speaker, Reply(DONE_ALREADY, {"what": Value("ACT", done[0])}))

    def _cancel(self, transaction: Connection, speaker: Speaker) -> Said:
        act = self.core.acts.waiting(transaction, speaker)
        if act is None:
            return Said(NOTHING_TO_CANCEL)
        self.core.effects.claim(transaction, speaker, f"cancelled: {act.proposal.title}", None)
        self.core.acts.close_all(transaction, speaker, State.CANCELLED)
        self.core.audit.append(transaction, Event.ACT_CANCELLED, subject=speaker.subject, session=speaker.root, action=act.action, act=act.id)
        return Said(CANCELLED, closed=(act.id,))

    def _perform(self, transaction: Connection, speaker: Speaker, deed: Question, proposal: Proposal, act: Act | None) -> Said:
        """One effect, one transaction: act consumed, turn taken, effect applied, audited, all or nothing."""
        if not isinstance(deed, Deed):
            raise TypeError(f"{deed.name} proposes an effect and has none")
        if act is not None and not self.core.acts.claim(transaction, act):
            return Said(NOTHING_WAITING)
        facts = {"action": deed.name} | ({"act": act.id} if act else {})
        try:
            with transaction.begin_nested():
                self.core.effects.claim(transaction, speaker, proposal.title, act.id if act else None)
                reply = deed.perform(transaction, speaker, proposal.parameters)
                self.core.audit.append(transaction, Event.EFFECT_DONE, subject=speaker.subject, session=speaker.root, **facts)
        except Declined as declined:
            reply = declined.reply
            self.core.audit.append(transaction, Event.EFFECT_DECLINED, subject=speaker.subject, session=speaker.root, **facts)
        return self._say(transaction, speaker, reply)

    def _say(self, transaction: Connection, speaker: Speaker, reply: Reply) -> Said:
        tokens = {name: self.core.grants.grant(transaction, speaker, value) for name, value in reply.values.items()}
        return Said(reply.response, tokens, options=reply.options)

