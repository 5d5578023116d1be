"""The trained model in whole talks: what the form does when it is interrupted, challenged, corrected and cancelled."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.rasa.stubs import Talk, World

pytestmark = pytest.mark.rasa
Start = Callable[..., Talk]

PAYEE_ASKED = {"payee": None, "requested_slot": "payee", "loop": "payment_form"}
#: An interruption and what answers it.
INTERRUPTIONS = [
    ("/help", "utter_help"),
    ("/greet", "utter_greet"),
    ("/thank", "utter_thank"),
    ("/goodbye", "utter_goodbye"),
    ("/bot_challenge", "utter_bot_challenge"),
    ("/why_verify", "utter_why_verify"),
    ("/repeat", "action_repeat"),
    ("/check_balance", "action_check_balance"),
    ("/list_transactions", "action_list_transactions"),
    ("/freeze_card", "action_freeze_card"),
    ("/set_up_2fa", "action_set_up_2fa"),
    ("/verify_identity", "action_verify_identity"),
    ("/try_again", "action_resume"),
    ("/confide_resume", "action_resume"),
    ("/human_handoff", "action_human_handoff"),
    ("/access_my_data", "action_human_handoff"),
    ("/delete_my_data", "action_human_handoff"),
    ("/ask_who_accessed", "action_human_handoff"),
    ("/report_lost_phone", "action_human_handoff"),
    ("/sign_out", "action_human_handoff"),
    ("/make_payment", "utter_payment_in_hand"),
    ("/change_payment", "utter_change_how"),
]


async def test_a_payment_asks_for_what_is_missing_and_ends_in_the_guarded_action(talk: Start) -> None:
    conversation = talk()
    assert await conversation.say("/make_payment") == ["payment_form"]
    assert (await conversation.form())["requested_slot"] == "payee"
    assert await conversation.say("Maria Huber") == ["payment_form"]
    assert await conversation.say("250") == ["payment_form"]
    assert await conversation.say("rent november") == ["payment_form", "action_make_payment"]
    assert {name: conversation.world.slots[name] for name in ("payee", "amount", "reference")} == {
        "payee": "Maria Huber", "amount": "250", "reference": "rent november",
    }
    assert (await conversation.form())["loop"] is None


async def test_a_payment_said_in_one_sentence_asks_nothing(talk: Start) -> None:
    conversation = talk()
    assert await conversation.say("send 250 to my landlord Maria Huber, rent november") == ["payment_form", "action_make_payment"]
    assert conversation.world.slots["payee"] == "Maria Huber"
    assert conversation.world.slots["amount"] == "250"
    assert conversation.world.slots["reference"] == "rent november"


async def test_a_stranger_is_asked_nothing(talk: Start) -> None:
    conversation = talk(World(signed_in=False))
    assert await conversation.say("/make_payment") == ["payment_form", "action_make_payment"]


async def test_a_token_of_the_gateway_is_a_payee(talk: Start) -> None:
    conversation = talk()
    await conversation.say("send 99 to PERSON_R4T2W6XZ for the tickets")
    assert conversation.world.slots["payee"] == "PERSON_R4T2W6XZ"


@pytest.mark.parametrize(("message", "answer"), INTERRUPTIONS)
async def test_an_interruption_is_answered_and_the_form_asks_again(talk: Start, message: str, answer: str) -> None:
    conversation = talk()
    await conversation.say("/make_payment")
    asked = await conversation.last_words()
    ran = await conversation.say(message)
    assert ran[-2:] == [answer, "payment_form"]
    assert (await conversation.form()).items() >= PAYEE_ASKED.items()
    assert await conversation.last_words() == asked


@pytest.mark.parametrize("question", ["payee", "amount", "reference"])
@pytest.mark.parametrize("message", ["/confide_resume", "/delete_my_data", "/cancel", "/why_verify", "hello", "what do you know about me"])
async def test_what_is_no_answer_never_becomes_one(talk: Start, question: str, message: str) -> None:
    conversation = talk()
    await conversation.say("/make_payment")
    for answer in {"payee": [], "amount": ["Maria Huber"], "reference": ["Maria Huber", "250"]}[question]:
        await conversation.say(answer)
    assert (await conversation.form())["requested_slot"] == question
    await conversation.say(message)
    assert (await conversation.form())[question] is None


async def test_after_a_challenge_in_the_form_the_form_hears_the_next_answer(talk: Start) -> None:
    conversation = talk(World(challenges=frozenset({"action_check_balance"})))
    await conversation.say("/make_payment")
    assert (await conversation.say("/check_balance"))[-1] == "action_check_balance"
    assert await conversation.last_words() == "action_check_balance"
    await conversation.say("Maria Huber")
    assert (await conversation.form()).items() >= {"payee": "Maria Huber", "requested_slot": "amount"}.items()


@pytest.mark.parametrize("renews", [True, False])
async def test_after_a_challenge_in_the_form_the_proof_is_followed_by_the_question(talk: Start, renews: bool) -> None:
    conversation = talk(World(challenges=frozenset({"action_verify_identity"}), guard_renews_loop=renews))
    await conversation.say("/make_payment")
    asked = await conversation.last_words()
    assert (await conversation.say("/verify_identity"))[-1] == "action_verify_identity"
    assert (await conversation.say("/confide_resume"))[-2:] == ["action_resume", "payment_form"]
    assert await conversation.last_words() == asked
    assert (await conversation.form()).items() >= PAYEE_ASKED.items()
    await conversation.say("Maria Huber")
    assert (await conversation.form()).items() >= {"payee": "Maria Huber", "requested_slot": "amount"}.items()


async def test_a_payment_is_challenged_and_resumed(talk: Start) -> None:
    conversation = talk(World(challenges=frozenset({"action_make_payment"})))
    await conversation.say("send 250 to Maria Huber for rent")
    assert await conversation.last_words() == "action_make_payment"
    assert await conversation.say("/why_verify") == ["utter_why_verify"]
    assert await conversation.say("/change_payment") == ["action_change_payment"]
    assert await conversation.say("/confide_resume") == ["action_resume"]


async def test_an_unknown_payee_is_asked_for_again(talk: Start) -> None:
    conversation = talk()
    await conversation.say("/make_payment")
    assert await conversation.say("Nobody Known") == ["payment_form"]
    assert (await conversation.form()).items() >= PAYEE_ASKED.items()


async def test_a_correction_in_the_form_fills_the_slot_it_names(talk: Start) -> None:
    conversation = talk()
    await conversation.say("send 250 to Maria Huber")
    assert await conversation.say("sorry 520") == ["payment_form"]
    assert (await conversation.form()).items() >= {"amount": "520", "payee": "Maria Huber", "requested_slot": "reference"}.items()
    await conversation.say("other payee: Jonas Weber")
    assert (await conversation.form()).items() >= {"amount": "520", "payee": "Jonas Weber", "requested_slot": "reference"}.items()


async def test_cancel_ends_the_form_first(talk: Start) -> None:
    conversation = talk()
    await conversation.say("/make_payment")
    assert (await conversation.say("/cancel"))[-2:] == ["action_deactivate_loop", "action_cancel"]
    assert (await conversation.form())["loop"] is None
    assert await conversation.say("/cancel") == ["action_cancel"]


@pytest.mark.parametrize("message", ["/check_balance", "/freeze_card", "/delete_my_data", "/report_suspicious_activity"])
async def test_names_and_numbers_in_other_business_do_not_become_a_payment(talk: Start, message: str) -> None:
    conversation = talk()
    await conversation.say(f'{message}{{"payee": "Maria", "amount": "4410", "reference": "x", "currency": "USD"}}')
    assert (await conversation.form()).items() >= {"payee": None, "amount": None, "reference": None}.items()


@pytest.mark.parametrize(("message", "answer"), [
    ("/affirm", "utter_affirm_nothing"), ("/deny", "utter_deny_nothing"), ("/inform", "utter_inform_nothing"),
    ("/out_of_scope", "utter_out_of_scope"), ("/nlu_fallback", "utter_default"),
])
async def test_with_nothing_pending_the_answer_is_friendly(talk: Start, message: str, answer: str) -> None:
    assert await talk().say(message) == [answer]


@pytest.mark.parametrize("message", ["Maria Huber", "yes", "no", "qwxz vbnm", "/out_of_scope"])
async def test_after_a_challenge_that_left_the_form_waiting_the_question_comes_back(talk: Start, message: str) -> None:
    conversation = talk(World(challenges=frozenset({"action_verify_identity"}), guard_renews_loop=False))
    await conversation.say("/make_payment")
    asked = await conversation.last_words()
    await conversation.say("/verify_identity")
    assert await conversation.say(message) == ["payment_form"]
    assert await conversation.last_words() == asked
    await conversation.say("Maria Huber")
    assert (await conversation.form()).items() >= {"payee": "Maria Huber", "requested_slot": "amount"}.items()


@pytest.mark.parametrize("reference", ["invoice 99812", "dinner with Maria Huber", "Rent December 2026"])
async def test_an_answer_changes_no_earlier_one(talk: Start, reference: str) -> None:
    conversation = talk()
    for message in ("/make_payment", "Jonas Weber", "250"):
        await conversation.say(message)
    assert await conversation.say(reference) == ["payment_form", "action_make_payment"]
    assert {name: conversation.world.slots[name] for name in ("payee", "amount")} == {"payee": "Jonas Weber", "amount": "250"}
    assert conversation.world.slots["reference"] in reference


@pytest.mark.parametrize(("message", "currency"), [("250$", "$"), ("$250", "$"), ("250 dollars", "dollars"), ("50 francs", "francs"), ("250", None)])
async def test_a_currency_is_heard_wherever_it_stands(talk: Start, message: str, currency: str | None) -> None:
    conversation = talk()
    await conversation.say(f"send {message} to Maria Huber for rent")
    assert conversation.world.slots["currency"] == currency


async def test_the_customers_words_are_kept_as_written(talk: Start) -> None:
    conversation = talk()
    await conversation.say("pay Tom 35 for Dinner")
    assert (conversation.world.slots["payee"], conversation.world.slots["reference"]) == ("Tom", "Dinner")
