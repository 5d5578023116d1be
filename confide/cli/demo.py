"""`confide demo`: what a visitor of the demo bank needs, above all codes without a phone at hand."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from typing import Protocol

import click

from confide.cli.output import Finding, emit, json_option, table
from confide.settings import CoreSettings

#: RFC 6238 with the defaults every authenticator app has: SHA-1, 6 digits, 30 seconds.
STEP = 30
_KEY = re.compile(r"[A-Z2-7]{16,128}")


class Customer(Protocol):
    """What the demo business says about one of its customers (CONFIDE_DEMO, bank/demo.py)."""

    @property
    def number(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def password(self) -> str: ...
    @property
    def note(self) -> str: ...
    @property
    def authenticator_key(self) -> str | None: ...


@click.group()
def demo() -> None:
    """The demo customers and their authenticator codes. Demo data only: a real customer's key is in no file."""


def people_of(settings: CoreSettings) -> list[Customer]:
    """Return the customers of an installation's demo; none before its first start."""
    people: list[Customer] = import_module(settings.demo).customers()
    return people


def listed() -> list[Customer]:
    """Return the customers of this installation's demo. Raises Finding when there are none yet, SettingsError."""
    people = people_of(CoreSettings.read())
    if not people:
        raise Finding("there are no demo customers yet; they are made at the first start: make run")
    return people


@demo.command()
@json_option
def customers(as_json: bool) -> None:
    """List the demo customers, how to sign in as them, and what each is there to show."""
    people = listed()
    data = [{"number": person.number, "name": person.name, "password": person.password, "note": person.note} for person in people]
    emit({"customers": data}, describe(people), as_json)


def describe(people: Sequence[Customer]) -> str:
    """Return the customers as a table."""
    rows = [("number", "password", "name", "")]
    rows += [(person.number, person.password, person.name, person.note) for person in people]
    return table(rows)


@demo.command()
@click.argument("customer")
@json_option
def code(customer: str, as_json: bool) -> None:
    """Print the authenticator code that CUSTOMER (a number like 1001) would see now."""
    person = next((person for person in listed() if person.number == customer), None)
    if person is None:
        raise click.BadParameter(f"there is no demo customer {customer!r}; see: confide demo customers", param_hint="CUSTOMER")
    if person.authenticator_key is None:
        raise Finding(
            f"{person.name} has no authenticator yet. Say \"set up two-factor\" in the chat, then give the key that it shows to: "
            "confide demo authenticator KEY"
        )
    _emit_code(person.authenticator_key, as_json)


@demo.command()
@click.argument("key", nargs=-1, required=True)
@json_option
def authenticator(key: tuple[str, ...], as_json: bool) -> None:
    """Stand in for an authenticator app: print the code for the text KEY that the chat shows beside its QR code.

    The key may be typed as it is shown, with blanks. A lone - reads it from standard input.
    """
    text = sys.stdin.readline() if key == ("-",) else "".join(key)
    if not _KEY.fullmatch(_without_blanks(text)):
        raise click.BadParameter("an authenticator key is letters A to Z and digits 2 to 7; copy it as the chat shows it", param_hint="KEY")
    _emit_code(text, as_json)


def code_at(key: str, now: float) -> tuple[str, int]:
    """Return the code for a base32 `key` (blanks do not count) at `now` (Unix seconds) and the whole seconds that it is still shown."""
    from pyotp import TOTP

    return TOTP(_without_blanks(key)).at(int(now)), STEP - int(now) % STEP


def _without_blanks(key: str) -> str:
    return re.sub(r"[\s-]", "", key).upper()


def _emit_code(key: str, as_json: bool) -> None:
    current, left = code_at(key, time.time())
    emit({"code": current, "seconds_left": left}, f"{current}  (for {left} more seconds)", as_json)
