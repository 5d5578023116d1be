"""Payments: what is proposed comes from the customer's words, what is bound and done from the bank's own records."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from bank.money import Money, parse_currency, parse_minor
from bank.schema import accounts, customers, payees, transactions
from confide.guard.deed import Declined, Reply, Words
from confide.identity.acts import Acts, Proposal
from confide.identity.binding import Parameters
from confide.identity.levels import Speaker
from confide.storage.outbox import Outbox
from confide.vault.grants import Value

#: The most one payment in the chat may move, in minor units.
LIMIT_MINOR = 10_000_00
DEFAULT_CURRENCY = "EUR"
_MAX_REFERENCE = 140


@dataclass(frozen=True)
class FindPayee:
    """Says whether a name is one of the customer's payees; the payment form asks it."""

    name: str = "payees"

    def propose(self, transaction: Connection, speaker: Speaker, words: Words) -> Reply:
        if find_payee(transaction, speaker, words.get("payee", "")):
            return Reply("")
        return _unknown_payee(transaction, speaker)


@dataclass(frozen=True)
class MakePayment:
    """Moves money to a saved payee, once."""

    outbox: Outbox
    clock: Callable[[], float] = time.time
    name: str = "make_payment"

    def propose(self, transaction: Connection, speaker: Speaker, words: Words) -> Proposal | Reply:
        payee = find_payee(transaction, speaker, words.get("payee", ""))
        if payee is None:
            return _unknown_payee(transaction, speaker)
        minor = parse_minor(words.get("amount", ""))
        if minor is None:
            return Reply("utter_amount_unclear")
        named = words.get("currency", "")
        currency = parse_currency(words.get("amount", "")) or (parse_currency(named) if named else DEFAULT_CURRENCY)
        if currency is None:
            return Reply("utter_currency_unknown")
        reference = " ".join(words.get("reference", "").split())[:_MAX_REFERENCE]
        return _propose(transaction, speaker, payee, Money(minor, currency), reference)

    def perform(self, transaction: Connection, speaker: Speaker, parameters: Parameters) -> Reply:
        money = Money(int(parameters["amount_minor"]), str(parameters["currency"]))
        self._take(transaction, str(parameters["account"]), money)
        transaction.execute(insert(transactions).values(
            id=(payment := secrets.token_hex(16)), account=parameters["account"], at=self.clock(), amount_minor=-money.minor,
            counterparty=parameters["payee_name"], iban=parameters["iban"], reference=parameters["reference"],
        ))
        self._notify(transaction, speaker, payment, money, str(parameters["payee_name"]))
        return Reply("utter_payment_sent", {"amount": Value("AMOUNT", str(money)), "payee": Value("PAYEE", str(parameters["payee_name"]))})

    @staticmethod
    def _take(transaction: Connection, account: str, money: Money) -> None:
        taken = transaction.execute(
            update(accounts).where(accounts.c.id == account, accounts.c.currency == money.currency, accounts.c.balance_minor >= money.minor)
            .values(balance_minor=accounts.c.balance_minor - money.minor)
        ).rowcount
        if not taken:
            balance = transaction.execute(select(accounts.c.balance_minor).where(accounts.c.id == account)).scalar() or 0
            raise Declined(_no_funds(Money(int(balance), money.currency)))

    def _notify(self, transaction: Connection, speaker: Speaker, payment: str, money: Money, payee: str) -> None:
        address = transaction.execute(select(customers.c.email).where(customers.c.number == speaker.subject)).scalar_one()
        self.outbox.queue(transaction, key=f"payment:{payment}", kind="mail", owner=speaker.owner, payload={
            "to": address, "subject": f"You sent {money} to {payee}",
            "body": f"{money} is on its way to {payee}. If this was not you, freeze your card in the chat and call us at once.",
        })


@dataclass(frozen=True)
class ChangePayment:
    """Changes the payment that waits for its code: a new act with the new details, the old one no longer counts."""

    payment: MakePayment
    acts: Acts
    name: str = "change_payment"

    def propose(self, transaction: Connection, speaker: Speaker, words: Words) -> Proposal | Reply:
        waiting = self.acts.waiting(transaction, speaker)
        if waiting is None or waiting.action not in (self.name, self.payment.name):
            return Reply("utter_no_payment_waiting")
        return self.payment.propose(transaction, speaker, _changed(waiting.proposal.parameters, words))

    def perform(self, transaction: Connection, speaker: Speaker, parameters: Parameters) -> Reply:
        return self.payment.perform(transaction, speaker, parameters)


def find_payee(transaction: Connection, speaker: Speaker, said: str) -> Row[Any] | None:
    """Return the saved payee that `said` names: the whole name, or a part of it that only one payee has."""
    wanted = " ".join(said.lower().split())
    rows = transaction.execute(select(payees).where(payees.c.customer == speaker.subject)).all()
    exact = [row for row in rows if row.name.lower() == wanted]
    partly = [row for row in rows if wanted and set(row.name.lower().split()) & set(wanted.split())]
    found = exact or partly
    return found[0] if len(found) == 1 else None


def _changed(parameters: Parameters, words: Words) -> dict[str, str]:
    money = Money(int(parameters["amount_minor"]), str(parameters["currency"]))
    before = {"payee": str(parameters["payee_name"]), "amount": str(money), "reference": str(parameters["reference"])}
    heard = {name: words[f"heard.{name}"] for name in ("payee", "amount", "reference") if words.get(f"heard.{name}")}
    if "amount" in heard and not parse_currency(heard["amount"]):
        heard["currency"] = words.get("heard.currency", money.currency)
    return before | heard


def _propose(transaction: Connection, speaker: Speaker, payee: Row[Any], money: Money, reference: str) -> Proposal | Reply:
    if not 0 < money.minor <= LIMIT_MINOR:
        reason = "it has to be more than nothing" if money.minor <= 0 else f"{Money(LIMIT_MINOR, money.currency)} is the most for one payment"
        return Reply("utter_amount_not_allowed", {"reason": Value("REASON", reason)})
    account = transaction.execute(
        select(accounts).where(accounts.c.customer == speaker.subject, accounts.c.currency == money.currency).order_by(accounts.c.id)
    ).first()
    if account is None:
        return Reply("utter_currency_unknown")
    if account.balance_minor < money.minor:
        return _no_funds(Money(account.balance_minor, account.currency))
    lines = [("To", payee.name), ("Account", grouped(payee.iban)), ("Amount", str(money)), ("From", f"{account.name}, {grouped(account.iban)}")]
    if reference:
        lines.append(("Reference", reference))
    return Proposal(
        {"account": account.id, "payee_name": payee.name, "iban": payee.iban, "amount_minor": money.minor, "currency": money.currency,
         "reference": reference},
        f"Pay {money} to {payee.name}", tuple(lines),
    )


def _unknown_payee(transaction: Connection, speaker: Speaker) -> Reply:
    names = transaction.execute(select(payees.c.name).where(payees.c.customer == speaker.subject).order_by(payees.c.name)).scalars()
    return Reply("utter_payee_unknown", {"payees": Value("PAYEES", ", ".join(names) or "nobody yet")})


def _no_funds(available: Money) -> Reply:
    return Reply("utter_insufficient_funds", {"available": Value("AMOUNT", str(available))})


def grouped(iban: str) -> str:
    """Return an IBAN as people read it, in groups of four."""
    return " ".join(iban[i : i + 4] for i in range(0, len(iban), 4))
