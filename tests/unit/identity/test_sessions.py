"""Who speaks: sessions, conversations, turns. On SQLite and PostgreSQL."""

from __future__ import annotations

import threading

import pytest

from confide.guard import sentences
from confide.identity import login_token
from confide.identity.capability import CapabilityRefused
from confide.identity.login_token import LoginRefused
from confide.server.core_api import NotFound
from tests.unit.kit import Kit, new_id


def level(kit: Kit, customer: object) -> str:
    return str(kit.api.session_state({"capability": customer.capability()})["level"])  # type: ignore[attr-defined]


def test_a_new_session_is_anonymous_and_a_login_identifies_it(kit: Kit) -> None:
    customer = kit.customer()
    assert level(kit, customer) == "anonymous"
    conversation = customer.conversation
    assert level(kit, customer.sign_in()) == "identified"
    assert customer.conversation == conversation, "an anonymous conversation goes on"


def test_nobody_walks_into_another_conversation(kit: Kit) -> None:
    customer, thief = kit.customer().sign_in(), kit.customer()
    level(kit, thief)
    thief.conversation = customer.conversation
    thief.turn = customer.turn + 5
    with pytest.raises(CapabilityRefused):
        level(kit, thief)
    fresh = kit.customer()
    fresh.conversation, fresh.turn = customer.conversation, customer.turn + 5
    with pytest.raises(CapabilityRefused):
        level(kit, fresh)


def test_the_guard_refuses_a_capability_of_another_conversation_and_audits_it(kit: Kit) -> None:
    customer, thief = kit.customer().sign_in(), kit.customer().sign_in("1002")
    said = kit.guard.ask("check_balance", thief.capability(), customer.conversation, {})
    assert said.response == "utter_not_allowed"
    assert kit.events()[-1] == "core:capability:refused"
    assert kit.guard.ask("check_balance", None, customer.conversation, {}).response == "utter_not_allowed"


def test_a_capability_of_an_earlier_turn_is_refused(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    old = customer.capability()
    assert kit.guard.ask("check_balance", old, customer.conversation, {}).response == "utter_balance"
    assert kit.guard.ask("check_balance", old, customer.conversation, {}).response == "utter_balance", "one turn may ask twice"
    customer.ask("check_balance")
    assert kit.guard.ask("check_balance", old, customer.conversation, {}).response == "utter_not_allowed"


def test_the_old_session_is_dead_after_sign_in_and_after_sign_out(kit: Kit) -> None:
    customer = kit.customer()
    level(kit, customer)
    before = customer.session
    customer.sign_in()
    now, customer.session = customer.session, before
    with pytest.raises(CapabilityRefused):
        level(kit, customer)
    customer.session = now
    conversation = customer.conversation
    answer = kit.api.sign_out({"capability": customer.capability(), "new_session": (new := new_id()), "new_conversation": (other := new_id())})
    assert answer == {"conversation": other}
    with pytest.raises(CapabilityRefused):
        level(kit, customer)
    customer.session, customer.conversation = new, other
    assert level(kit, customer) == "anonymous" and other != conversation


def test_a_second_person_gets_a_conversation_of_their_own(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    first = customer.conversation
    customer.sign_in("1001")
    assert customer.conversation == first, "the same person goes on"
    customer.sign_in("1002")
    assert customer.conversation != first


def test_pending_acts_and_grants_end_with_the_session(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    said = customer.ask("check_balance")
    card = customer.pay().card
    assert card is not None
    customer.sign_in("1001")
    assert customer.resume().response == "utter_nothing_waiting"
    assert customer.reveal(said) == {}


def test_a_login_token_counts_once(kit: Kit) -> None:
    customer = kit.customer()
    token = login_token.issue(kit.login_key, "1001", kit.clock())
    ids = {"new_session": new_id(), "new_conversation": new_id()}
    kit.api.sign_in({"capability": customer.capability(), "login_token": token, **ids})
    with pytest.raises(LoginRefused):
        kit.api.sign_in({"capability": kit.customer().capability(), "login_token": token, "new_session": new_id(), "new_conversation": new_id()})
    assert "core:session:sign_in_refused" in kit.events()


def test_a_session_ends_when_idle_and_at_its_overall_end(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    kit.clock.forward(299)
    customer.ask("check_balance")
    assert level(kit, customer) == "identified"
    kit.clock.forward(300)
    assert level(kit, customer) == "anonymous"
    kit.clock.forward(-300)
    customer = kit.customer().sign_in()
    for _ in range(150):
        kit.clock.forward(290)
        customer.ask("check_balance")
    assert level(kit, customer) == "anonymous", "twelve hours are over, however busy it was"


def test_a_proof_rotates_the_session_and_the_old_id_lives_until_the_new_one_is_seen(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    old = customer.session
    card = customer.pay().card
    assert card is not None
    customer.type(card.ref, customer.code())
    new = customer.session
    assert new != old
    customer.session = old  # the answer with the new id was lost on its way
    assert level(kit, customer) == "identified"
    customer.session = new
    assert level(kit, customer) == "identified"
    customer.session = old
    with pytest.raises(CapabilityRefused):
        level(kit, customer)


def test_a_gateway_that_restarted_finds_the_conversation_of_an_open_session_only(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    answer = kit.api.session_resume({"session": customer.session})
    assert (answer["conversation"], answer["level"], answer["news"]) == (customer.conversation, "identified", [])
    customer.turn = answer["turn"]
    old = customer.session
    kit.api.sign_out({"capability": customer.capability(), "new_session": new_id(), "new_conversation": new_id()})
    for unknown in (old, new_id()):
        with pytest.raises(NotFound):
            kit.api.session_resume({"session": unknown})


def test_after_a_restart_what_was_on_its_way_is_stopped_and_what_was_done_is_told(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    for amount in ("100", "50"):
        kit.clock.forward(30)
        card = customer.pay(amount).card
        assert card is not None and customer.type(card.ref, customer.code()).outcome == "accepted"
        if amount == "100":
            assert customer.resume().response == "utter_payment_sent"
    on_its_way = customer.capability()
    answer = kit.api.session_resume({"session": customer.session})
    assert answer["news"] == [
        sentences.done_meanwhile("Pay €100.00 to Maria Huber"), sentences.proved_and_waiting("Pay €50.00 to Maria Huber"),
    ]
    assert kit.guard.resume(on_its_way, customer.conversation).response == "utter_not_allowed", "its turn is old now"
    customer.turn = answer["turn"]
    assert customer.resume().response == "utter_payment_sent"


def test_news_are_for_a_customer_who_is_still_signed_in(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    customer.ask("freeze_card", heard__card="debit")
    kit.clock.forward(300)
    answer = kit.api.session_resume({"session": customer.session})
    assert (answer["level"], answer["news"]) == ("anonymous", [])


def test_asking_for_the_state_keeps_nobody_signed_in(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    kit.clock.forward(290)
    assert level(kit, customer) == "identified"
    kit.clock.forward(290)
    assert level(kit, customer) == "anonymous"


def test_a_login_token_is_not_good_again_in_its_last_moment(kit: Kit) -> None:
    token = login_token.issue(kit.login_key, "1001", kit.clock())
    login = kit.core.logins.verify(token, kit.clock())
    customer = kit.customer()
    kit.clock.forward(120)  # it was checked in time, and then waited for the database
    with pytest.raises(LoginRefused), kit.core.transaction() as transaction:
        speaker = kit.core.sessions.speaker(transaction, kit.core.capabilities.verify(customer.capability()))
        kit.core.sessions.sign_in(transaction, speaker, login, new_id(), new_id())


def test_a_sign_out_and_an_act_of_the_same_session_do_not_cross(kit: Kit) -> None:
    """On PostgreSQL two transactions run at once: either the act is first and the sign-out waits, or the other way round."""
    customer = kit.customer().sign_in()
    card = customer.pay("10").card
    assert card is not None and customer.type(card.ref, customer.code()).outcome == "accepted"
    token, out = customer.capability(), {"capability": customer.capability(same_turn=True), "new_session": new_id(), "new_conversation": new_id()}
    order: list[str] = []

    def sign_out() -> None:
        kit.api.sign_out(out)
        order.append("signed out")

    leaving = threading.Thread(target=sign_out)
    with kit.core.transaction() as transaction:
        speaker = kit.guard.speaker(transaction, token, customer.conversation)
        leaving.start()
        leaving.join(0.5)
        assert order == [], "the sign-out waits for the transaction that found the session alive"
        assert kit.guard._resume(transaction, speaker).response == "utter_payment_sent"
    leaving.join()
    assert order == ["signed out"]


def test_verify_identity_raises_the_level_for_its_time_only(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    said = customer.ask("verify_identity")
    assert said.card is not None and said.card.type == "secure_input"
    assert customer.type(said.card.ref, customer.code()).outcome == "accepted"
    assert customer.resume().response == "utter_identity_verified"
    with kit.core.transaction() as transaction:
        speaker = kit.core.sessions.speaker(transaction, kit.core.capabilities.verify(customer.capability()))
    assert str(speaker.level(kit.clock(), 300)) == "verified"
    assert str(speaker.level(kit.clock() + 300, 300)) == "identified"
    assert customer.pay().response == "utter_prove_it", "a bound act is proved anew all the same"


def test_the_capability_of_an_expired_session_cannot_use_its_card(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    card = customer.pay().card
    assert card is not None
    kit.clock.forward(301)
    with pytest.raises(NotFound):
        kit.api.card_show({"capability": customer.capability(), "ref": card.ref})
