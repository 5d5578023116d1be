"""The demo's customers. Passwords and the contents of their "phones" are made at the first start, in an owner-only file; none is in the source."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from sqlalchemy import Connection, insert, select

from bank import schema
from confide.core import Core
from confide.identity import otp
from confide.storage.keyring import read_private, write_private


@dataclass(frozen=True)
class DemoCustomer:
    """What the terminal prints about one of them. `authenticator_key` is base32 text, as it would sit in their phone."""

    number: str
    name: str
    password: str
    note: str
    authenticator_key: str | None


_PEOPLE: tuple[dict[str, Any], ...] = (
    {"number": "1001", "name": "Ada Brandt", "email": "ada.brandt@example.com", "note": "has an authenticator app", "enrolled": True,
     "balance": 1_204_33, "savings": 8_250_00, "debit": "4417", "credit": "9026"},
    {"number": "1002", "name": "Noor Haddad", "email": "noor.haddad@example.com", "note": "has none yet: say \"set up two-factor\"",
     "enrolled": False, "balance": 312_08, "savings": 90_00, "debit": "2231", "credit": None},
)
#: Payees with made-up accounts of a bank code that does not exist.
_PAYEES = (("Maria Huber", "0000441001"), ("City Energy", "0000771200"), ("Leo Okafor", "0000903355"))
_HISTORY = (
    (-1, -42_90, "Green Grocer", "card payment"), (-3, -15_00, "Leo Okafor", "cinema"), (-6, -88_40, "City Energy", "October"),
    (-9, 2_350_00, "Northwind Studio", "salary"), (-12, -61_25, "Rail Company", "ticket"), (-20, -9_99, "Film Club", "monthly"),
)


def iban(account: str, bank: str = "99000000", country: str = "DE") -> str:
    """Return a formally valid IBAN (ISO 13616, check digits by ISO 7064 mod 97-10)."""
    body = f"{bank}{account}"
    digits = "".join(str(int(character, 36)) for character in f"{body}{country}00")
    return f"{country}{98 - int(digits) % 97:02d}{body}"


def customers(environ: Mapping[str, str] = os.environ) -> list[DemoCustomer]:
    """Return the demo customers of this installation; empty before the first start. Raises KeyProviderError for a file others may read."""
    path = _secrets_file(environ)
    if not path.exists():
        return []
    return [DemoCustomer(**entry) for entry in json.loads(read_private(path))]


def prepare(core: Core, environ: Mapping[str, str] = os.environ, hasher: PasswordHasher | None = None) -> None:
    """Create the bank's tables and, in an empty bank, its customers."""
    schema.metadata.create_all(core.database)
    people = customers(environ) or _invent(environ)
    with core.transaction() as transaction:
        if transaction.execute(select(schema.customers.c.number)).first() is None:
            for person, made in zip(_PEOPLE, people, strict=True):
                _add(core, transaction, person, made, hasher or PasswordHasher())


def _secrets_file(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("CONFIDE_VAR", "var")).resolve() / "demo" / "customers.json"


def _invent(environ: Mapping[str, str]) -> list[DemoCustomer]:
    people = [
        DemoCustomer(
            person["number"], person["name"], f"{secrets.choice('abcdefghkmnprstuvwxyz')}{secrets.token_hex(4)}", person["note"],
            otp.text_key(otp.new_secret()) if person["enrolled"] else None,
        )
        for person in _PEOPLE
    ]
    path = _secrets_file(environ)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(path, json.dumps([asdict(person) for person in people], indent=1).encode())
    return people


def _add(core: Core, transaction: Connection, person: Mapping[str, Any], made: DemoCustomer, hasher: PasswordHasher) -> None:
    number, now = str(person["number"]), time.time()
    transaction.execute(insert(schema.customers).values(
        number=number, name=person["name"], email=person["email"], password_hash=hasher.hash(made.password)
    ))
    transaction.execute(insert(schema.accounts), [
        {"id": f"{number}-1", "customer": number, "name": "Current account", "iban": iban(f"00{number}0001"), "currency": "EUR",
         "balance_minor": person["balance"]},
        {"id": f"{number}-2", "customer": number, "name": "Savings", "iban": iban(f"00{number}0002"), "currency": "EUR",
         "balance_minor": person["savings"]},
    ])
    transaction.execute(insert(schema.payees), [
        {"id": f"{number}-p{place}", "customer": number, "name": name, "iban": iban(account)} for place, (name, account) in enumerate(_PAYEES)
    ])
    transaction.execute(insert(schema.transactions), [
        {"id": f"{number}-t{place}", "account": f"{number}-1", "at": now + days * 86400, "amount_minor": minor, "counterparty": name,
         "iban": iban(f"00005500{place:02d}"), "reference": reference}
        for place, (days, minor, name, reference) in enumerate(_HISTORY)
    ])
    transaction.execute(insert(schema.cards), [
        {"id": f"{number}-{kind}", "customer": number, "kind": kind, "last4": person[kind], "frozen_at": None}
        for kind in ("debit", "credit") if person[kind]
    ])
    if made.authenticator_key:
        factor, _secret = core.factors.start(transaction, number, otp.secret_of(made.authenticator_key))
        core.factors.activate(transaction, factor)
