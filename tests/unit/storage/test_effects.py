"""What a turn did is known exactly, whatever is slow or killed. On SQLite and PostgreSQL."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Connection, select

from bank import schema
from confide.guard import sentences
from confide.guard.guard import Guard
from confide.storage.database import DatabaseAway
from tests.unit.kit import Customer, Kit


def balance(kit: Kit) -> int:
    with kit.core.transaction() as transaction:
        return transaction.execute(select(schema.accounts.c.balance_minor).where(schema.accounts.c.id == "1001-1")).scalar_one()


def proved(kit: Kit, patience: float = 10.0) -> Customer:
    customer = kit.customer().sign_in()
    customer.patience = patience
    card = customer.pay("100").card
    assert card is not None and customer.type(card.ref, customer.code()).outcome == "accepted"
    return customer


def outcome(kit: Kit, customer: Customer) -> dict[str, Any]:
    return dict(kit.api.turn_outcome({"capability": customer.capability(same_turn=True)}))


@dataclass(frozen=True)
class Slow:
    """The payment with something that happens just before its commit."""

    deed: Any
    before_commit: Any
    name: str = "make_payment"

    def propose(self, *arguments: Any) -> Any:
        return self.deed.propose(*arguments)

    def perform(self, transaction: Connection, *arguments: Any) -> Any:
        reply = self.deed.perform(transaction, *arguments)
        self.before_commit()
        return reply


def slowed(kit: Kit, before_commit: Any) -> Guard:
    return Guard(kit.core, {**kit.guard.deeds, "make_payment": Slow(kit.guard.deeds["make_payment"], before_commit)})


def test_the_outcome_of_a_turn_that_did_something_is_told(kit: Kit) -> None:
    customer = proved(kit)
    customer.resume()
    assert outcome(kit, customer) == {"outcome": "done", "text": sentences.done_after_all("Pay €100.00 to Maria Huber")}


def test_a_turn_told_as_nothing_can_never_do_anything(kit: Kit) -> None:
    customer = proved(kit)
    late = customer.capability()
    assert outcome(kit, customer)["outcome"] == "nothing"
    assert kit.guard.resume(late, customer.conversation).response == "utter_not_now"
    assert balance(kit) == 1_204_33 and kit.parcels() == []
    assert outcome(kit, customer)["outcome"] == "nothing", "asked twice, said twice"
    assert customer.resume().response == "utter_payment_sent", "in a later turn the proof still stands"
    assert balance(kit) == 1_104_33


def test_an_old_turn_can_be_asked_about_but_not_acted_in(kit: Kit) -> None:
    customer = proved(kit)
    customer.resume()
    turn = customer.turn
    customer.ask("check_balance")
    customer.turn = turn
    assert outcome(kit, customer)["outcome"] == "done"


@pytest.mark.parametrize(("seconds", "moved"), [(9.9, True), (10.0, False), (11.0, False)])
def test_a_commit_around_the_deadline(kit: Kit, seconds: float, moved: bool) -> None:
    customer = proved(kit)
    guard = slowed(kit, lambda: kit.clock.forward(seconds))
    said = guard.resume(customer.capability(), customer.conversation)
    assert said.response == ("utter_payment_sent" if moved else "utter_not_now")
    assert outcome(kit, customer)["outcome"] == ("done" if moved else "nothing")
    assert balance(kit) == (1_104_33 if moved else 1_204_33)


def test_a_death_before_the_commit_leaves_nothing_and_the_act_can_be_resumed(kit: Kit) -> None:
    customer = proved(kit)

    def die() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        slowed(kit, die).resume(customer.capability(), customer.conversation)
    assert outcome(kit, customer)["outcome"] == "nothing"
    assert balance(kit) == 1_204_33 and kit.parcels() == [] and "core:effect:done" not in kit.events()
    assert customer.resume().response == "utter_payment_sent"


def test_the_question_asked_while_the_effect_is_about_to_commit_waits_for_it_or_is_refused(kit: Kit) -> None:
    customer = proved(kit)
    inside, answers = threading.Event(), []
    token = customer.capability()
    question = {"capability": customer.capability(same_turn=True)}

    def ask() -> None:
        inside.wait()
        try:
            answers.append(kit.api.turn_outcome(question)["outcome"])
        except DatabaseAway:
            answers.append("away")

    asker = threading.Thread(target=ask)
    asker.start()

    def linger() -> None:
        inside.set()
        asker.join(0.3)  # the question is on its way to the same key; it must not be answered from outside
        assert answers == []

    said = slowed(kit, linger).resume(token, customer.conversation)
    asker.join()
    assert said.response == "utter_payment_sent" and answers in (["done"], ["away"])
    assert outcome(kit, customer)["outcome"] == "done"


def test_a_turn_told_as_nothing_opens_no_challenge_and_cancels_nothing(kit: Kit) -> None:
    customer = proved(kit)
    for step in (lambda token: kit.guard.cancel(token, customer.conversation),
                 lambda token: kit.guard.ask("verify_identity", token, customer.conversation, {}),
                 lambda token: kit.guard.ask("human_handoff", token, customer.conversation, {})):
        late = customer.capability()
        assert outcome(kit, customer)["outcome"] == "nothing"
        assert step(late).response == "utter_not_now"
    assert kit.parcels() == []
    assert customer.resume().response == "utter_payment_sent", "what was proved still stands"


def test_a_turn_past_its_deadline_opens_no_challenge(kit: Kit) -> None:
    customer = proved(kit)
    late = customer.capability()
    kit.clock.forward(10)
    assert kit.guard.ask("verify_identity", late, customer.conversation, {}).response == "utter_not_now"
    assert customer.resume().response == "utter_payment_sent"


def test_a_cancel_whose_answer_was_lost_is_told_as_done(kit: Kit) -> None:
    customer = proved(kit)
    kit.guard.cancel(customer.capability(), customer.conversation)
    assert outcome(kit, customer) == {"outcome": "done", "text": sentences.done_after_all("cancelled: Pay €100.00 to Maria Huber")}


def test_one_turn_has_one_effect(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    token = customer.capability()
    assert kit.guard.ask("freeze_card", token, customer.conversation, {"heard.card": "debit"}).response == "utter_card_frozen"
    assert kit.guard.ask("freeze_card", token, customer.conversation, {"heard.card": "credit"}).response == "utter_not_now"
    with kit.core.transaction() as transaction:
        frozen = transaction.execute(select(schema.cards.c.kind).where(schema.cards.c.frozen_at.is_not(None))).scalars().all()
    assert frozen == ["debit"]
