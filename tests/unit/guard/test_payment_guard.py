"""A payment through the guard: who, proved how, bound to what, moved once. On SQLite and PostgreSQL."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from bank import schema
from confide.guard import sentences
from confide.identity import binding
from confide.identity.acts import State
from confide.storage.schema import acts, sessions, totp_factors
from tests.unit.kit import Customer, Kit


def balance(kit: Kit, account: str = "1001-1") -> int:
    with kit.core.transaction() as transaction:
        return transaction.execute(select(schema.accounts.c.balance_minor).where(schema.accounts.c.id == account)).scalar_one()


def paid(customer: Customer, amount: str = "520") -> str:
    """Ask for a payment and prove it; return the card's reference."""
    card = customer.pay(amount).card
    assert card is not None
    assert customer.type(card.ref, customer.code()).outcome == "accepted"
    return card.ref


def test_money_moves_once_after_the_code(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    before = balance(kit)
    said = customer.pay("520")
    assert (said.response, said.waits) == ("utter_prove_it", True) and said.card is not None and said.card.type == "confirm"
    assert balance(kit) == before, "nothing moves before the proof"
    answer = customer.type(said.card.ref, customer.code())
    assert (answer.outcome, answer.resume) == ("accepted", True)
    done = customer.resume()
    assert done.response == "utter_payment_sent"
    assert customer.reveal(done) == {"amount": "€520.00", "payee": "Maria Huber"}
    assert balance(kit) == before - 520_00
    assert customer.resume().response == "utter_done_already"
    assert balance(kit) == before - 520_00
    assert [key.split(":")[0] for key in kit.parcels()] == ["payment"]
    assert kit.events()[-1] != "" and kit.events().count("core:effect:done") == 1


def test_a_stranger_is_asked_to_sign_in(kit: Kit) -> None:
    stranger = kit.customer()
    for action in ("check_balance", "list_transactions", "make_payment", "freeze_card", "set_up_2fa", "verify_identity", "payees"):
        assert stranger.ask(action).response == "utter_sign_in_first"
    assert set(kit.events()) == {"core:action:refused"}


def test_an_action_without_a_policy_entry_is_refused(kit: Kit) -> None:
    assert kit.customer().sign_in().ask("transfer_everything").response == "utter_not_allowed"
    assert "core:action:refused" in kit.events()


def test_an_action_whose_rule_is_removed_is_refused_even_when_proved(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    paid(customer)
    actions = {name: rule for name, rule in kit.core.policy.actions.items() if name != "make_payment"}
    closed = replace(kit.guard, core=replace(kit.core, policy=replace(kit.core.policy, actions=actions)))
    assert closed.resume(customer.capability(), customer.conversation).response == "utter_not_allowed"
    assert balance(kit) == 1_204_33


def test_wrong_replayed_and_stale_codes_get_one_sentence_and_move_nothing(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    used = customer.code()
    first = customer.pay()
    assert first.card is not None and customer.type(first.card.ref, used).outcome == "accepted"
    customer.resume()
    before = balance(kit)
    texts = []
    for wrong in (used, "000000", customer.code(-2), customer.code(5), "12345", "١٢٣٤٥٦"):
        said = customer.pay("10")
        assert said.card is not None
        answer = customer.type(said.card.ref, wrong)
        assert (answer.outcome, answer.tries_left, answer.resume) == ("refused", 4, False)
        texts.append(answer.text)
        assert customer.resume().response == "utter_still_unproved"
        kit.clock.forward(3600 if len(texts) >= 4 else 0)
        customer = customer.sign_in() if len(texts) >= 4 else customer
    assert set(texts) == {sentences.wrong_code(4)}
    assert balance(kit) == before


def test_the_code_of_the_step_before_counts_and_then_an_older_one_does_not(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    now, before = customer.code(), customer.code(-1)
    card = customer.pay("1").card
    assert card is not None and customer.type(card.ref, now).outcome == "accepted"
    card = customer.pay("1").card
    assert card is not None and customer.type(card.ref, before).outcome == "refused", "A, B, then A again"


def test_five_wrong_codes_stop_the_request_and_make_the_factor_rest(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    card = customer.pay().card
    assert card is not None
    answers = [customer.type(card.ref, "000000") for _ in range(5)]
    assert [answer.tries_left for answer in answers] == [4, 3, 2, 1, 0]
    assert (answers[-1].outcome, answers[-1].text) == ("closed", sentences.STOPPED)
    assert customer.type(card.ref, customer.code()).text == sentences.STOPPED
    again = customer.pay().card
    assert again is not None
    resting = customer.type(again.ref, customer.code())
    assert resting.outcome == "wait" and "Wait 3" in resting.text, "a new challenge does not reset the counter"
    kit.clock.forward(31)
    assert customer.type(again.ref, customer.code()).outcome == "accepted"


def test_a_hundred_wrong_codes_disable_the_factor(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    outcomes = []
    for _ in range(100):
        card = customer.pay().card
        assert card is not None
        outcomes.append(customer.type(card.ref, "000000").text)
        kit.clock.forward(3601)
        customer.sign_in()
    assert outcomes[-1] == sentences.DISABLED and outcomes[-2] != sentences.DISABLED
    assert customer.pay().response == "utter_factor_disabled"
    assert customer.ask("set_up_2fa").response == "utter_factor_disabled", "who guessed a hundred codes must not simply enrol a phone"
    with kit.core.transaction() as transaction:
        factor, _secret = kit.core.factors.start(transaction, "1001")
        assert not kit.core.factors.activate(transaction, factor)


def test_a_card_that_was_open_when_the_factor_was_disabled_takes_no_right_code(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    card = customer.pay().card
    assert card is not None
    with kit.core.transaction() as transaction:
        transaction.execute(update(totp_factors).where(totp_factors.c.subject == "1001").values(state="disabled"))
    assert customer.type(card.ref, customer.code()).text == sentences.DISABLED
    assert customer.resume().response == "utter_nothing_waiting"


def test_a_pending_act_cannot_be_claimed_nor_found_by_half_of_its_owner(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    card = customer.pay().card
    assert card is not None
    with kit.core.transaction() as transaction:
        speaker = kit.core.sessions.speaker(transaction, kit.core.capabilities.verify(customer.capability()))
        act = kit.core.acts.find(transaction, speaker, card.ref)
        assert act is not None and not kit.core.acts.claim(transaction, act), "unproved"
        for other in (replace(speaker, conversation="c" * 32), replace(speaker, subject="1002"), replace(speaker, root="r" * 32), replace(speaker, subject=None)):
            assert kit.core.acts.find(transaction, other, card.ref) is None


def test_a_proof_does_not_outlive_a_way_of_signing_in_that_no_longer_counts(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    paid(customer)
    stricter = {**kit.core.policy.actions, "make_payment": replace(kit.core.policy.actions["make_payment"], methods=frozenset())}
    guard = replace(kit.guard, core=replace(kit.core, policy=replace(kit.core.policy, actions=stricter)))
    assert guard.resume(customer.capability(), customer.conversation).response == "utter_not_allowed"
    assert balance(kit) == 1_204_33


def test_asking_again_after_it_was_done_is_told_that_it_was_done(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    paid(customer)
    customer.resume()
    said = customer.resume()
    assert said.response == "utter_done_already" and customer.reveal(said) == {"what": "Pay €520.00 to Maria Huber"}
    assert balance(kit) == 1_204_33 - 520_00
    kit.clock.forward(290)
    customer.ask("check_balance")
    kit.clock.forward(290)
    customer.ask("check_balance")
    kit.clock.forward(21)
    assert customer.resume().response == "utter_nothing_waiting"


def test_cancel_has_its_own_sentence_and_moves_nothing(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    card = customer.pay().card
    assert card is not None
    assert customer.cancel(card.ref).text == sentences.CANCELLED
    assert customer.type(card.ref, customer.code()).text == sentences.CANCELLED
    assert customer.resume().response == "utter_nothing_waiting"
    assert balance(kit) == 1_204_33


def test_cancel_by_word_ends_what_waits_even_when_proved(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    ref = paid(customer)
    said = kit.guard.cancel(customer.capability(), customer.conversation)
    assert (said.response, said.closed) == ("utter_cancelled", (ref,))
    assert customer.resume().response == "utter_nothing_waiting"
    assert kit.guard.cancel(customer.capability(), customer.conversation).response == "utter_nothing_to_cancel"
    assert balance(kit) == 1_204_33


def test_an_expired_card_has_its_own_sentence_and_moves_nothing(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    card = customer.pay().card
    assert card is not None
    kit.clock.forward(299)
    late = customer.pay().card
    kit.clock.forward(1)
    assert late is not None and customer.type(card.ref, customer.code()).text == sentences.REPLACED
    kit.clock.forward(298)
    customer.sign_in()
    card = customer.pay().card
    assert card is not None
    kit.clock.forward(200)
    customer.ask("check_balance")
    kit.clock.forward(100)
    assert customer.type(card.ref, customer.code()).text == sentences.EXPIRED
    assert balance(kit) == 1_204_33


def test_a_proof_runs_out_too(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    paid(customer)
    for _ in range(2):
        kit.clock.forward(150)
        customer.ask("check_balance")
    assert customer.resume().response == "utter_nothing_waiting"
    assert balance(kit) == 1_204_33


def test_a_changed_amount_makes_a_new_act_and_the_old_card_void(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    first = customer.pay("250").card
    assert first is not None
    changed = customer.ask("change_payment", heard__amount="520")
    assert changed.card is not None and changed.closed == (first.ref,)
    assert customer.type(first.ref, customer.code()).text == sentences.REPLACED
    assert customer.resume().response == "utter_still_unproved"
    assert customer.type(changed.card.ref, customer.code()).outcome == "accepted"
    assert customer.reveal(customer.resume())["amount"] == "€520.00"
    assert balance(kit) == 1_204_33 - 520_00


def test_changing_nothing_is_answered(kit: Kit) -> None:
    assert kit.customer().sign_in().ask("change_payment", heard__amount="5").response == "utter_no_payment_waiting"


def test_another_session_cannot_see_prove_or_resume_the_act(kit: Kit) -> None:
    customer, thief = kit.customer().sign_in(), kit.customer().sign_in("1002")
    card = customer.pay().card
    assert card is not None
    twin = kit.customer().sign_in()
    for other in (thief, twin, kit.customer()):
        body = {"capability": other.capability(), "ref": card.ref, "act": "submit", "value": customer.code(), "new_session": "x" * 32}
        with pytest.raises(Exception, match="^$"):
            kit.api.card_act(body)
        with pytest.raises(Exception, match="^$"):
            kit.api.card_show({"capability": other.capability(), "ref": card.ref})
    customer.type(card.ref, customer.code())
    assert twin.resume().response == "utter_nothing_waiting"
    assert thief.resume().response == "utter_nothing_waiting"


@pytest.mark.parametrize("field", ["subject", "root", "conversation", "action", "proof", "factor", "nonce", "expires_at"])
def test_a_stored_act_with_any_field_changed_is_refused(kit: Kit, field: str) -> None:
    customer = kit.customer().sign_in()
    ref = paid(customer)
    with kit.core.transaction() as transaction:
        row = transaction.execute(select(acts).where(acts.c.id == ref)).one()
        value = row.expires_at + 60 if field == "expires_at" else getattr(row, field)[:-1] + "_"
        transaction.execute(update(acts).where(acts.c.id == ref).values({field: value}))
        if field == "root":  # whoever can write one table can write the other
            transaction.execute(update(sessions).where(sessions.c.root == row.root).values(root=value))
    said = customer.resume()
    assert said.response in {"utter_not_allowed", "utter_nothing_waiting"}
    assert said.response == "utter_not_allowed" or field in {"subject", "conversation"}
    assert balance(kit) == 1_204_33


def test_a_stored_act_with_swapped_content_is_refused(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    small = customer.pay("1").card
    assert small is not None
    with kit.core.transaction() as transaction:
        content = transaction.execute(select(acts.c.sealed_content).where(acts.c.id == small.ref)).scalar_one()
    ref = paid(customer, "900")
    with kit.core.transaction() as transaction:
        transaction.execute(update(acts).where(acts.c.id == ref).values(sealed_content=content))
    assert customer.resume().response == "utter_not_allowed"
    assert "core:act:tampered" in kit.events()
    assert balance(kit) == 1_204_33


def test_a_forged_state_without_a_proof_does_not_help_when_the_time_is_over(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    card = customer.pay().card
    assert card is not None
    kit.clock.forward(290)
    customer.ask("check_balance")
    kit.clock.forward(11)
    with kit.core.transaction() as transaction:
        transaction.execute(update(acts).values(state=State.PROVEN))
    assert customer.resume().response == "utter_nothing_waiting"


def test_without_funds_nothing_moves_and_the_reply_says_what_there_is(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    said = customer.pay("9999")
    assert said.response == "utter_insufficient_funds" and customer.reveal(said) == {"available": "€1,204.33"}


def test_funds_that_went_away_between_card_and_code_decline_the_payment(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    paid(customer, "1000")
    with kit.core.transaction() as transaction:
        transaction.execute(update(schema.accounts).where(schema.accounts.c.id == "1001-1").values(balance_minor=500))
    said = customer.resume()
    assert said.response == "utter_insufficient_funds" and customer.reveal(said) == {"available": "€5.00"}
    assert balance(kit) == 500 and kit.parcels() == []
    assert "core:effect:declined" in kit.events() and "core:effect:done" not in kit.events()
    assert customer.resume().response == "utter_nothing_waiting", "a declined act is used up"


def test_two_resumes_that_race_move_the_money_once(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    paid(customer, "100")
    tokens = [customer.capability() for _ in range(8)]
    barrier, replies = threading.Barrier(8), []

    def run(token: str) -> None:
        barrier.wait()
        replies.append(kit.guard.resume(token, customer.conversation).response)

    threads = [threading.Thread(target=run, args=(token,)) for token in tokens]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert replies.count("utter_payment_sent") == 1, replies
    assert balance(kit) == 1_204_33 - 100_00


def test_one_code_for_two_cards_that_race_is_accepted_once(kit: Kit) -> None:
    one, two = kit.customer().sign_in(), kit.customer().sign_in()
    cards = [(customer, card.ref) for customer in (one, two) if (card := customer.pay("10").card)]
    code, barrier, outcomes = one.code(), threading.Barrier(2), []

    def run(customer: Customer, ref: str) -> None:
        barrier.wait()
        outcomes.append(customer.type(ref, code).outcome)

    threads = [threading.Thread(target=run, args=pair) for pair in cards]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["accepted", "refused"]


def test_a_payment_mail_and_no_more_is_queued(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    paid(customer)
    customer.resume()
    with kit.core.transaction() as transaction:
        parcels, _broken = kit.core.outbox.due(transaction, 10)
    assert [parcel.payload["to"] for parcel in parcels] == ["ada.brandt@example.com"]
    assert "€520.00" in parcels[0].payload["subject"]


def test_parameters_that_are_no_text_and_no_integer_are_refused() -> None:
    bound = binding.Binding("s", "r", "c", "a", {"amount": 1.5}, "totp", "f", "n", 1)  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="neither text nor an integer"):
        binding.mac(b"k" * 32, bound)
