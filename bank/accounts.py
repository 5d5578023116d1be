"""Questions a customer asks about their accounts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select

from bank.money import Money
from bank.schema import accounts, transactions
from confide.guard.deed import Reply, Words
from confide.identity.levels import Speaker
from confide.vault.grants import Value

#: How many transactions the chat lists.
LISTED = 5


@dataclass(frozen=True)
class CheckBalance:
    """Says what is in each account."""

    name: str = "check_balance"

    def propose(self, transaction: Connection, speaker: Speaker, words: Words) -> Reply:
        rows = transaction.execute(select(accounts).where(accounts.c.customer == speaker.subject).order_by(accounts.c.id)).all()
        lines = [f"{row.name}: {Money(row.balance_minor, row.currency)}" for row in rows]
        return Reply("utter_balance", {"accounts": Value("ACCOUNTS", "\n".join(lines))})


@dataclass(frozen=True)
class ListTransactions:
    """Says what came and went lately."""

    name: str = "list_transactions"

    def propose(self, transaction: Connection, speaker: Speaker, words: Words) -> Reply:
        rows = _latest(transaction, speaker)
        if not rows:
            return Reply("utter_no_transactions")
        return Reply("utter_transactions", {"transactions": Value("TRANSACTIONS", "\n".join(map(_line, rows)))})


def _latest(transaction: Connection, speaker: Speaker) -> Sequence[Row[Any]]:
    return transaction.execute(
        select(transactions, accounts.c.currency).join(accounts, accounts.c.id == transactions.c.account)
        .where(accounts.c.customer == speaker.subject).order_by(transactions.c.at.desc()).limit(LISTED)
    ).all()


def _line(row: Row[Any]) -> str:
    day = time.strftime("%d %b", time.gmtime(row.at))
    note = f", \"{row.reference}\"" if row.reference else ""
    return f"{day}  {Money(row.amount_minor, row.currency)}  {row.counterparty}{note}"
