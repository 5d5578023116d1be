"""Cards at their edges: answers that were lost, acts that were changed, time that runs out in between. On SQLite and PostgreSQL."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import delete, update

from confide.guard import sentences
from confide.guard.cards import Cards
from confide.guard.deed import Deed
from confide.identity.acts import State
from confide.storage.schema import acts, totp_factors
from tests.unit.kit import Customer, Kit, new_id


def proved(customer: Customer) -> str:
    card = customer.pay("20").card
    assert card is not None and customer.type(card.ref, customer.code()).outcome == "accepted"
    return card.ref


def test_a_lost_answer_to_an_accepted_code_can_be_had_again_and_still_moves_money_once(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    ref = proved(customer)
    again = customer.type(ref, "anything")
    assert (again.outcome, again.resume, again.session) == ("accepted", True, customer.session)
    assert customer.resume().response == "utter_payment_sent"
    assert customer.type(ref, "anything").text == sentences.CONSUMED
    assert customer.resume().response == "utter_done_already"


def test_a_proof_that_ran_out_is_told_as_such(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    ref = proved(customer)
    kit.clock.forward(200)
    customer.ask("check_balance")
    kit.clock.forward(101)
    assert customer.type(ref, "anything").text == sentences.EXPIRED


def test_a_changed_act_shows_no_card_takes_no_code_and_is_audited(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    card = customer.pay("20").card
    assert card is not None
    with kit.core.transaction() as transaction:
        transaction.execute(update(acts).values(action="change_payment"))
    assert Cards(kit.core).show(customer.capability(), card.ref) is None
    assert Cards(kit.core).act(customer.capability(), card.ref, "submit", customer.code(), new_id()) is None
    assert kit.events().count("core:act:tampered") == 2


def test_a_code_that_arrives_as_the_time_ends_is_too_late(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    card = customer.pay("20").card
    assert card is not None
    with kit.core.transaction() as transaction:
        act = kit.core.acts.find(transaction, kit.core.sessions.speaker(transaction, kit.core.capabilities.verify(customer.capability())), card.ref)
    assert act is not None
    kit.clock.forward(300)
    with kit.core.transaction() as transaction:
        assert not kit.core.acts.prove(transaction, act)
        speaker = kit.core.sessions.speaker(transaction, kit.core.capabilities.verify(customer.capability()))
        assert Cards(kit.core)._accept(transaction, speaker, act, new_id()).text == sentences.EXPIRED


def test_an_enrolment_card_without_its_factor_shows_nothing(kit: Kit) -> None:
    customer = kit.customer().sign_in("1002")
    card = customer.ask("set_up_2fa").card
    assert card is not None
    with kit.core.transaction() as transaction:
        transaction.execute(delete(totp_factors))
    assert Cards(kit.core).show(customer.capability(), card.ref) is None
    assert customer.type(card.ref, "123456").text == sentences.DISABLED


def test_a_factor_that_became_active_elsewhere_declines_the_enrolment(kit: Kit) -> None:
    customer = kit.customer().sign_in("1002")
    with kit.core.transaction() as transaction:
        first, _secret = kit.core.factors.start(transaction, "1002")
        assert kit.core.factors.activate(transaction, first)
        second, _secret = kit.core.factors.start(transaction, "1002")
        assert not kit.core.factors.activate(transaction, second), "the database itself allows one"
    assert customer.ask("set_up_2fa").response == "utter_2fa_already_on"


def test_an_act_needs_somebody(kit: Kit) -> None:
    stranger = kit.customer()
    with pytest.raises(ValueError, match="subject"), kit.core.transaction() as transaction:
        speaker = kit.core.sessions.speaker(transaction, kit.core.capabilities.verify(stranger.capability()))
        proposal = kit.guard.deeds["verify_identity"].propose(transaction, speaker, {})
        kit.core.acts.open(transaction, speaker, "x", proposal, proof="totp", factor="f", lifetime=1)  # type: ignore[arg-type]


def test_an_act_that_is_gone_when_it_is_claimed_moves_nothing(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    ref = proved(customer)
    with kit.core.transaction() as transaction:
        speaker = kit.core.sessions.speaker(transaction, kit.core.capabilities.verify(customer.capability()))
        act = kit.core.acts.find(transaction, speaker, ref)
        assert act is not None
        transaction.execute(update(acts).values(state=State.CONSUMED))
        deed = kit.guard.deeds["make_payment"]
        assert isinstance(deed, Deed)
        assert kit.guard._perform(transaction, speaker, deed, act.proposal, act).response == "utter_nothing_waiting"


def test_without_an_address_the_factor_is_added_without_a_mail(kit: Kit) -> None:
    class Nobody:
        def email(self, *_arguments: object) -> None:
            return None

    deed = kit.guard.deeds["set_up_2fa"]
    silent = replace(deed, directory=Nobody())  # type: ignore[type-var]
    customer = kit.customer().sign_in("1002")
    with kit.core.transaction() as transaction:
        speaker = kit.core.sessions.speaker(transaction, kit.core.capabilities.verify(customer.capability()))
        factor, _secret = kit.core.factors.start(transaction, "1002")
        assert silent.perform(transaction, speaker, {"factor": factor}).response == "utter_2fa_on"
    assert kit.parcels() == []


def test_waits_are_told_in_seconds_and_in_minutes() -> None:
    assert "31 seconds" in sentences.wait(30) and "61 minutes" in sentences.wait(3600) and "One try left" in sentences.wrong_code(1)
