"""Enrolment, hand-off and cards of the core. On SQLite and PostgreSQL."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlparse

import pyotp
import pytest
import segno

from confide.guard import guard as guard_module
from confide.guard.cards import Cards
from confide.identity import otp
from confide.pack import build_guard
from confide.storage.schema import handoffs, totp_factors
from tests.unit.kit import Customer, Kit


def enrol(customer: Customer) -> dict[str, object]:
    said = customer.ask("set_up_2fa")
    assert said.response == "utter_2fa_scan" and said.card is not None and said.card.type == "qr"
    card = Cards(customer.kit.core).show(customer.capability(), said.card.ref)
    assert card is not None
    return card


def test_enrolment_counts_once_a_code_was_typed_back(kit: Kit) -> None:
    customer = kit.customer().sign_in("1002")
    assert customer.pay("10").response == "utter_factor_needed"
    card = enrol(customer)
    customer.phone = pyotp.TOTP(str(card["key"]).replace(" ", ""))
    assert customer.pay("10").response == "utter_factor_needed", "scanned is not enough"
    card = enrol(customer)
    customer.phone = pyotp.TOTP(str(card["key"]).replace(" ", ""))
    assert customer.type(str(card["ref"]), customer.code()).outcome == "accepted"
    assert customer.resume().response == "utter_2fa_on"
    assert kit.parcels() and kit.parcels()[0].startswith("factor:")
    payment = customer.pay("10").card
    assert payment is not None
    assert customer.type(payment.ref, customer.code()).outcome == "refused", "the set-up code is used up"
    kit.clock.forward(30)
    assert customer.type(payment.ref, customer.code()).outcome == "accepted"


def test_the_card_has_a_code_that_reads_as_the_same_secret(kit: Kit) -> None:
    card = enrol(kit.customer().sign_in("1002"))
    secret = otp.secret_of(str(card["key"]))
    uri = otp.provisioning_uri(secret, "chat", "Harbour Bank")
    assert parse_qs(urlparse(uri).query)["secret"] == [str(card["key"]).replace(" ", "")]
    drawn = card["qr"]
    assert isinstance(drawn, dict)
    matrix = segno.make(uri, error="m", micro=False).matrix
    assert len(re.findall("M", drawn["path"])) == sum(bool(dark) for row in matrix for dark in row)
    assert drawn["size"] == len(matrix) + 8


def test_a_closed_card_shows_no_secret(kit: Kit) -> None:
    customer = kit.customer().sign_in("1002")
    card = enrol(customer)
    customer.phone = pyotp.TOTP(str(card["key"]).replace(" ", ""))
    customer.type(str(card["ref"]), customer.code())
    customer.resume()
    assert Cards(kit.core).show(customer.capability(), str(card["ref"])) is None


def test_a_second_authenticator_is_not_added_over_the_first(kit: Kit) -> None:
    assert kit.customer().sign_in().ask("set_up_2fa").response == "utter_2fa_already_on"


def test_two_enrolments_that_race_leave_one_factor(kit: Kit) -> None:
    one, two = kit.customer().sign_in("1002"), kit.customer().sign_in("1002")
    first = enrol(one)
    one.phone = pyotp.TOTP(str(first["key"]).replace(" ", ""))
    assert one.type(str(first["ref"]), one.code()).outcome == "accepted"
    second = enrol(two)
    two.phone = pyotp.TOTP(str(second["key"]).replace(" ", ""))
    assert two.type(str(second["ref"]), two.code()).outcome == "accepted"
    assert [one.resume().response, two.resume().response] == ["utter_2fa_already_on", "utter_2fa_on"]
    assert [row.state for row in kit.rows(totp_factors) if row.subject == "1002"] == ["active"]


def test_no_secret_is_stored_in_clear(kit: Kit) -> None:
    card = enrol(kit.customer().sign_in("1002"))
    secret = otp.secret_of(str(card["key"]))
    assert all(secret not in row.sealed_secret for row in kit.rows(totp_factors))


@pytest.mark.parametrize(("topic", "response"), [("human_handoff", "utter_handoff"), ("delete_my_data", "utter_not_built_yet")])
def test_a_hand_off_has_a_reference_a_ticket_and_a_mail_without_personal_values(kit: Kit, topic: str, response: str) -> None:
    stranger = kit.customer()
    said = stranger.ask("human_handoff", topic=topic)
    assert said.response == response
    reference = stranger.reveal(said)["reference"]
    assert re.fullmatch(r"H-[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{4}", reference)
    assert [(row.reference, row.topic) for row in kit.rows(handoffs)] == [(reference, topic)]
    with kit.core.transaction() as transaction:
        payload = kit.core.outbox.due(transaction, 10)[0][0].payload
    assert payload["to"] == "help@harbour.example" and reference in payload["subject"]


def test_asking_for_a_person_again_gets_the_same_reference_and_no_second_mail(kit: Kit) -> None:
    stranger = kit.customer()
    first, second = (stranger.reveal(stranger.ask("human_handoff", topic="human_handoff")) for _ in range(2))
    assert first == second and len(kit.parcels()) == 1
    other = stranger.reveal(stranger.ask("human_handoff", topic="delete_my_data"))
    assert other != first and len(kit.parcels()) == 2


@pytest.mark.parametrize("topic", ["", "No intent", "x" * 65, "1"])
def test_what_is_no_intent_is_no_topic(kit: Kit, topic: str) -> None:
    assert kit.customer().ask("human_handoff", topic=topic).response == "utter_handoff"


def test_two_deeds_of_one_name_are_refused(kit: Kit) -> None:
    with pytest.raises(ValueError, match="two deeds"):
        build_guard(kit.core, type(kit.pack)([kit.pack.deeds[0]] * 2, kit.pack.directory, "x", {}))


def test_a_question_that_proposes_an_effect_is_a_mistake_of_ours(kit: Kit) -> None:
    class Odd:
        name = "freeze_card"

        def propose(self, *arguments: object) -> object:
            return kit.guard.deeds["freeze_card"].propose(*arguments)  # type: ignore[arg-type]

    odd = guard_module.Guard(kit.core, {"freeze_card": Odd()})  # type: ignore[dict-item]
    customer = kit.customer().sign_in("1002")
    with pytest.raises(TypeError, match="has none"):
        odd.ask("freeze_card", customer.capability(), customer.conversation, {})
