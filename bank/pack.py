"""The demo business as Confide takes it (confide/pack.py)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from argon2 import PasswordHasher
from sqlalchemy import Connection, select

from bank.accounts import CheckBalance, ListTransactions
from bank.cards import FreezeCard
from bank.mailbox import DemoMailbox
from bank.payments import ChangePayment, FindPayee, MakePayment
from bank.schema import customers
from bank.site import open_site
from confide.core import Core
from confide.pack import Pack

STAFF_ADDRESS = "help@harbour.example"


@dataclass(frozen=True)
class CustomerDirectory:
    """Where the bank reaches its customers."""

    def email(self, transaction: Connection, subject: str) -> str | None:
        return transaction.execute(select(customers.c.email).where(customers.c.number == subject)).scalar()


def build(core: Core, environ: Mapping[str, str] = os.environ, hasher: PasswordHasher | None = None) -> Pack:
    """Return the bank."""
    payment = MakePayment(core.outbox, core.clock)
    key_file = Path(environ.get("CONFIDE_VAR", "var")).resolve() / "keys" / "bank" / "login.pem"
    site, mailbox = open_site(core, key_file, hasher or PasswordHasher()), DemoMailbox(core)
    return Pack(
        deeds=[CheckBalance(), ListTransactions(), FindPayee(), payment, ChangePayment(payment, core.acts), FreezeCard(core.clock)],
        directory=CustomerDirectory(), staff_address=STAFF_ADDRESS, receivers={"mail": mailbox},
        site={"sign-in": site.sign_in, "outbox": mailbox.show},
    )
