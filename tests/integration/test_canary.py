"""Distinctive values sent through a whole talk, then searched in every byte the run wrote and in every decrypted tracker event.

Row S16 of shared/requirements.md. What a person types as free text may still reach the tracker: the storage issue turns those off, and
each is an expected failure here, with its reason, so that it is seen when it does.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pyotp
import pytest

from confide.identity import otp
from tests.integration.chat import card_of
from tests.integration.stack import Stack

pytestmark = pytest.mark.integration

#: What the customer types as free text.
EMAIL, CARD, NAME, PHONE = "quillfeather.canary@example.com", "4929 1234 5678 9010", "Zebulon Quillfeather", "+49 30 90182736"
TYPED = {"e-mail": EMAIL, "card": CARD, "name": NAME, "phone": PHONE}


@dataclass(frozen=True)
class Run:
    """What a talk left behind."""

    #: Values that may be nowhere: code, wrong code, secret, text key, QR.
    secrets: dict[str, str]
    #: What the bot said from the bank's records.
    supplied: dict[str, str]
    #: Every event of every conversation, decrypted, as JSON.
    tracker: str
    files: dict[Path, bytes]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, trained_model: Path) -> Iterator[Run]:
    stack = Stack.make(tmp_path_factory.mktemp("canary") / "var", trained_model)
    try:
        stack.start()
        secrets = asyncio.run(talk(stack))
        stack.stop()
        yield Run(secrets, supplied(stack), tracker_events(stack), read_all(stack.var))
    finally:
        stack.stop()


async def talk(stack: Stack) -> dict[str, str]:
    async with stack.chat() as chat:
        await chat.sign_in("1002", stack.people()["1002"].password)
        qr = card_of(await chat.say("set up two factor authentication"), "qr")
        phone = pyotp.TOTP(qr["key"].replace(" ", ""))
        before = len(chat.heard)
        set_up = phone.now()
        assert (await chat.card(qr["ref"], set_up))["outcome"] == "accepted"
        await chat.answer(before)
        for text in (f"my name is {NAME}", f"mail me at {EMAIL}", f"my card is {CARD}", f"call {PHONE}", "what's my balance",
                     "show my last payments", "send 3.21 to Maria Huber"):
            await chat.say(text)
        payment = card_of(await chat.say("canary rent"), "confirm")
        wrong = "271828" if phone.now() != "271828" else "314159"
        await chat.card(payment["ref"], wrong)
        await chat.card(payment["ref"], "letters-canary-77")
        used = await next_code(phone, set_up)
        before = len(chat.heard)
        assert (await chat.card(payment["ref"], used))["outcome"] == "accepted"
        await chat.answer(before)
        stack.stop("actions")
        await chat.say("what's my balance")
        status, _answer = await chat.post("/chat/card", {"ref": payment["ref"], "act": "submit", "value": "161803"})
        assert status == 503
        stack.start("actions")
        await chat.say("freeze my card")
    key = qr["key"].replace(" ", "")
    return {
        "set-up code": set_up, "code": used, "wrong code": wrong, "typed letters": "letters-canary-77", "code while away": "161803",
        "text key": key, "spaced key": qr["key"], "qr path": qr["qr"]["path"][:200], "secret": otp.secret_of(key).hex(),
        "password": stack.people()["1002"].password, "login password file": "",
    }


async def next_code(phone: pyotp.TOTP, used: str) -> str:
    while phone.now() == used:
        await asyncio.sleep(0.2)
    return str(phone.now())


def supplied(stack: Stack) -> dict[str, str]:
    with closing(sqlite3.connect(stack.var / "core/confide.sqlite")) as connection:
        ibans = [row[0] for row in connection.execute("SELECT iban FROM bank_accounts UNION SELECT iban FROM bank_payees")]
    return {"balance": "312.08", "savings": "€90.00", "customer": "Noor Haddad", "counterparty": "Northwind Studio", "e-mail on file": "noor.haddad",
            **{f"iban {place}": iban for place, iban in enumerate(ibans)}}


def tracker_events(stack: Stack) -> str:
    """Decrypt every conversation with the tracker store itself."""
    from tests.integration.trackers import read_events

    events = read_events(stack)
    assert len(events) > 40, "the talk is in the tracker"
    return json.dumps(events, ensure_ascii=False)


def read_all(var: Path) -> dict[Path, bytes]:
    """Every file the run produced, but the one that is the demo customers' own phone and memory."""
    return {path: path.read_bytes() for path in var.rglob("*") if path.is_file() and path.parent.name != "demo"}


def forms(value: str) -> list[bytes]:
    """The value as it could lie in a file: plain, as bytes of hex, in base64, compact."""
    shapes = {value, value.replace(" ", ""), base64.b64encode(value.encode()).decode().rstrip("=")[:-1]}
    if re.fullmatch(r"[0-9a-f]{40}", value):
        shapes |= {base64.b64encode(bytes.fromhex(value)).decode().rstrip("=")[:-1]}
        return [bytes.fromhex(value), *(shape.encode() for shape in shapes if len(shape) > 4)]
    return [shape.encode() for shape in shapes if len(shape) > 4]


#: Digits that a number of other things (a time, a sequence) may contain: looked for as a word of their own.
def found(value: str, content: bytes) -> bool:
    if re.fullmatch(r"\d{6}", value):
        return re.search(rb"(?<![0-9a-fA-F.])" + value.encode() + rb"(?![0-9a-fA-F])", content) is not None
    return any(form in content for form in forms(value))


def test_the_search_finds_what_is_there(run: Run) -> None:
    assert found("271828", b'{"value": "271828"}') and found("ab" * 20, bytes.fromhex("ab" * 20)) and not found("271828", b"1271828.5")
    text = run.tracker
    assert "canary rent" in text, "what may be in the tracker is found in it, so what is not found is not there"


def test_no_secret_is_in_any_file_log_or_tracker_event(run: Run) -> None:
    places = {**{str(path): content for path, content in run.files.items()}, "tracker": run.tracker.encode()}
    leaks = [(name, place) for name, value in run.secrets.items() if value for place, content in places.items() if found(value, content)]
    assert leaks == []


def test_what_the_bot_says_from_the_banks_records_is_not_in_the_tracker(run: Run) -> None:
    assert [name for name, value in run.supplied.items() if value in run.tracker] == []


def test_nothing_typed_lies_in_clear_in_rasas_files_or_in_a_log(run: Run) -> None:
    ours = {path: content for path, content in run.files.items() if path.parent.name in {"rasa", "rasa-keys", "log"}}
    assert len(ours) >= 6
    leaks = [(name, path.name) for name, value in TYPED.items() for path, content in ours.items() if found(value, content)]
    assert leaks == []
    words = [b"check_balance", b"action_make_payment", b"canary rent", b"make_payment"]
    assert [(word, path.name) for word in words for path, content in ours.items() if word in content and path.parent.name != "log"] == []


@pytest.mark.xfail(reason="free text reaches Rasa as typed until the storage issue puts tokens in its place; it is sealed at rest", strict=True)
@pytest.mark.parametrize("name", sorted(TYPED))
def test_nothing_typed_is_in_the_tracker(run: Run, name: str) -> None:
    assert TYPED[name] not in run.tracker


@pytest.mark.xfail(reason="the bank's own records lie in clear in its database until the storage issue seals them", strict=True)
def test_no_personal_value_lies_in_clear_in_the_banks_database(run: Run) -> None:
    database = next(content for path, content in run.files.items() if path.name == "confide.sqlite")
    assert b"Noor Haddad" not in database
