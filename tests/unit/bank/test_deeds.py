"""The bank's deeds through the guard. On SQLite and PostgreSQL."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from bank import demo, schema
from bank.site import Site
from confide.guard.cards import Cards
from tests.unit.kit import Kit


def test_transactions_are_listed_newest_first_and_a_new_account_has_none(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    said = customer.ask("list_transactions")
    lines = customer.reveal(said)["transactions"].splitlines()
    assert len(lines) == 5 and "Green Grocer" in lines[0] and "-€42.90" in lines[0]
    with kit.core.transaction() as transaction:
        transaction.execute(schema.transactions.delete())
    assert customer.ask("list_transactions").response == "utter_no_transactions"


@pytest.mark.parametrize(("words", "response"), [
    ({"amount": "20", "payee": "maria"}, "utter_prove_it"), ({"amount": "20", "payee": "MARIA  HUBER"}, "utter_prove_it"),
    ({"amount": "20", "payee": "nobody"}, "utter_payee_unknown"), ({"amount": "20"}, "utter_payee_unknown"),
    ({"amount": "lots", "payee": "leo"}, "utter_amount_unclear"), ({"payee": "leo"}, "utter_amount_unclear"),
    ({"amount": "0", "payee": "leo"}, "utter_amount_not_allowed"), ({"amount": "10001", "payee": "leo"}, "utter_amount_not_allowed"),
    ({"amount": "20 usd", "payee": "leo"}, "utter_currency_unknown"), ({"amount": "20", "currency": "pounds", "payee": "leo"}, "utter_currency_unknown"),
    ({"amount": "20", "currency": "francs", "payee": "leo"}, "utter_currency_unknown"), ({"amount": "20", "currency": "euro", "payee": "leo"}, "utter_prove_it"),
    ({"amount": "5000", "payee": "leo"}, "utter_insufficient_funds"),
])
def test_what_a_payment_needs(kit: Kit, words: dict[str, str], response: str) -> None:
    assert kit.customer().sign_in().ask("make_payment", **words).response == response


def test_a_change_keeps_the_currency_unless_another_is_named(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    customer.pay("20")
    assert customer.ask("change_payment", heard__amount="30").response == "utter_prove_it"
    assert customer.ask("change_payment", heard__amount="30", heard__currency="francs").response == "utter_currency_unknown"
    assert customer.ask("change_payment", heard__payee="leo").response == "utter_prove_it"


def test_a_name_that_two_payees_share_is_not_guessed(kit: Kit) -> None:
    with kit.core.transaction() as transaction:
        transaction.execute(schema.payees.insert().values(id="x", customer="1001", name="Maria Okafor", iban=demo.iban("0000000001")))
    customer = kit.customer().sign_in()
    assert customer.ask("payees", payee="maria").response == "utter_payee_unknown"
    assert customer.ask("payees", payee="maria okafor").response == ""
    assert customer.ask("payees", payee="maria huber").response == ""


def test_a_payee_of_somebody_else_is_unknown(kit: Kit) -> None:
    with kit.core.transaction() as transaction:
        transaction.execute(schema.payees.insert().values(id="x", customer="1002", name="Secret Friend", iban=demo.iban("0000000001")))
    customer = kit.customer().sign_in()
    said = customer.ask("payees", payee="secret friend")
    assert said.response == "utter_payee_unknown" and "Secret" not in customer.reveal(said)["payees"]


def test_the_card_shows_everything_that_is_bound_in_full(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    card = customer.pay("520", reference="rent  november " + "x" * 200).card
    assert card is not None
    shown = Cards(kit.core).show(customer.capability(), card.ref)
    assert shown is not None and shown["title"] == "Pay €520.00 to Maria Huber"
    lines = {line["label"]: line["value"] for line in shown["lines"]}
    assert lines["To"] == "Maria Huber" and lines["Amount"] == "€520.00" and lines["Reference"].startswith("rent november xxx")
    assert lines["Account"].replace(" ", "") == demo.iban("0000441001")
    assert len(lines["Reference"]) == 140 and shown["expires_at"] == int(kit.clock()) + 300


@pytest.mark.parametrize(("said", "response", "label"), [
    ("debit", "utter_card_frozen", "debit card ending 4417"), ("the one ending 9026", "utter_card_frozen", "credit card ending 9026"),
    ("", "utter_which_card", None), ("1234", "utter_no_card", None), ("library card", "utter_no_card", None),
])
def test_freezing(kit: Kit, said: str, response: str, label: str | None) -> None:
    customer = kit.customer().sign_in()
    answer = customer.ask("freeze_card", heard__card=said)
    assert answer.response == response
    assert customer.reveal(answer).get("card") == label


def test_with_one_card_left_there_is_nothing_to_ask(kit: Kit) -> None:
    customer = kit.customer().sign_in()
    assert customer.ask("freeze_card").options == (
        ("Credit card", '/freeze_card{"card": "credit"}'), ("Debit card", '/freeze_card{"card": "debit"}'),
    )
    assert customer.ask("freeze_card", heard__card="credit").response == "utter_card_frozen"
    assert customer.reveal(customer.ask("freeze_card")) == {"card": "debit card ending 4417"}


def test_a_frozen_card_is_told_as_such(kit: Kit) -> None:
    customer = kit.customer().sign_in("1002")
    assert customer.ask("freeze_card").response == "utter_card_frozen"
    assert customer.ask("freeze_card").response == "utter_card_already_frozen"
    assert customer.ask("freeze_card", heard__card="debit").response == "utter_card_already_frozen"


def test_a_customer_without_a_card(kit: Kit) -> None:
    with kit.core.transaction() as transaction:
        transaction.execute(schema.cards.delete())
    assert kit.customer().sign_in().ask("freeze_card").response == "utter_no_card"


def test_a_card_frozen_by_somebody_else_in_between_is_declined(kit: Kit) -> None:
    customer = kit.customer().sign_in("1002")
    deed = kit.guard.deeds["freeze_card"]
    with kit.core.transaction() as transaction:
        speaker = kit.core.sessions.speaker(transaction, kit.core.capabilities.verify(customer.capability()))
        proposal = deed.propose(transaction, speaker, {})
        transaction.execute(update(schema.cards).values(frozen_at=1.0))
        with pytest.raises(Exception, match="utter_card_already_frozen"):
            deed.perform(transaction, speaker, proposal.parameters)  # type: ignore[attr-defined,union-attr]


def test_demo_customers_have_made_up_secrets_and_valid_ibans(kit: Kit) -> None:
    environ = {"CONFIDE_VAR": str(kit.var)}
    people = demo.customers(environ)
    assert [person.number for person in people] == ["1001", "1002"] and len({person.password for person in people}) == 2
    assert (kit.var / "demo/customers.json").stat().st_mode & 0o777 == 0o600
    rearranged = demo.iban("0000441001")[4:] + demo.iban("0000441001")[:4]
    assert int("".join(str(int(character, 36)) for character in rearranged)) % 97 == 1
    demo.prepare(kit.core, environ)
    assert demo.customers(environ) == people and demo.customers({"CONFIDE_VAR": str(kit.var / "none")}) == []


def test_the_bank_login_answers_alike_to_a_wrong_password_and_an_unknown_number(kit: Kit) -> None:
    sign_in = kit.pack.site["sign-in"]
    person = demo.customers({"CONFIDE_VAR": str(kit.var)})[0]
    for body in ({}, {"customer_number": "1001", "password": "wrong"}, {"customer_number": "9999", "password": "wrong"},
                 {"customer_number": 5, "password": None}, {"customer_number": "1001", "password": "x" * 201}):
        assert sign_in(body) is None
    answer = sign_in({"customer_number": "1001", "password": person.password})
    assert answer is not None and answer["name"] == "Ada Brandt"
    assert kit.core.logins.verify(answer["login_token"], kit.clock()).subject == "1001"


def test_an_unknown_number_costs_a_hash_too(kit: Kit) -> None:
    class Counting:
        calls = 0

        def verify(self, *_arguments: object) -> bool:
            self.calls += 1
            return True

    hasher = Counting()
    site = Site(kit.core, kit.login_key, hasher, "decoy")  # type: ignore[arg-type]
    assert site.sign_in({"customer_number": "9999", "password": "x"}) is None and hasher.calls == 1


def test_the_outbox_page_shows_the_signed_in_customers_mail_only(kit: Kit) -> None:
    with kit.core.transaction() as transaction:
        for key, recipient in (("a", "ada.brandt@example.com"), ("b", "noor.haddad@example.com")):
            transaction.execute(schema.mails.insert().values(key=key, recipient=recipient, subject=key, body="", at=1.0))
    show = kit.pack.site["outbox"]
    assert [mail["subject"] for mail in show({"capability": kit.customer().sign_in().capability()})["mails"]] == ["a"]  # type: ignore[index]
    assert show({"capability": kit.customer().capability()}) is None
