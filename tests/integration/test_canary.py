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
from tests.integration.stack import START_ORDER, Stack, running

pytestmark = pytest.mark.integration

#: What the customer types as free text.
EMAIL, CARD, NAME, PHONE = "quillfeather.canary@example.com", "4929 1234 5678 9010", "Zebulon Quillfeather", "+49 30 90182736"
IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")
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
    #: Every message and card the customer was sent, as JSON.
    heard: str
    files: dict[Path, bytes]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, trained_model: Path) -> Iterator[Run]:
    with running(tmp_path_factory.mktemp("canary"), trained_model) as stack:
        secrets, heard = asyncio.run(talk(stack))
        stack.stop()
        yield Run(secrets, supplied(stack), tracker_events(stack), heard, read_all(stack.var))


async def talk(stack: Stack) -> tuple[dict[str, str], str]:
    """Have the whole talk; return the secrets of it, and what was heard."""
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
        heard = json.dumps(chat.heard, ensure_ascii=False)
    key = qr["key"].replace(" ", "")
    return {
        "set-up code": set_up, "code": used, "wrong code": wrong, "typed letters": "letters-canary-77", "code while away": "161803",
        "text key": key, "spaced key": qr["key"], "qr path": qr["qr"]["path"][:200], "secret": otp.secret_of(key).hex(),
        "password": stack.people()["1002"].password,
    }, heard


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


def inner_base64(content: bytes) -> set[str]:
    """What base64 surely shows of `content` wherever it stands in what was encoded: for each of three alignments, in both alphabets.

    Characters at the ends that share bits with a neighbour are left out (RFC 4648 section 4: three bytes are four characters).
    """
    shown = set()
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + content + bytes(-(before + len(content)) % 3)).decode()
        whole = encoded[-(-before * 8 // 6) : (before + len(content)) * 8 // 6]
        shown |= {whole, whole.translate(str.maketrans("+/", "-_"))}
    return shown


def forms(value: str) -> list[bytes]:
    """The value as it could lie in a file: as it is, compact, in fours, escaped as in JSON, in hex, in base64; hex also as its bytes."""
    compact = value.replace(" ", "")
    shapes = {value, compact, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], value.encode().hex()}
    shapes |= inner_base64(value.encode()) | inner_base64(compact.encode())
    if IBAN.fullmatch(compact):
        shapes |= {grouped(compact)} | inner_base64(grouped(compact).encode())
    found_as = [shape.encode() for shape in shapes if len(shape) > 4]
    if not re.fullmatch(r"[0-9a-f]{40}", value):
        return found_as
    raw = bytes.fromhex(value)
    return [*found_as, raw, *(shape.encode() for shape in inner_base64(raw))]


def grouped(compact: str) -> str:
    """An IBAN in groups of four, as it is printed (ISO 13616)."""
    return " ".join(compact[place : place + 4] for place in range(0, len(compact), 4))


def found(value: str, content: bytes) -> bool:
    # Digits that a number of other things (a time, a sequence) may contain: looked for as a word of their own.
    if re.fullmatch(r"\d{6}", value):
        return re.search(rb"(?<![0-9a-fA-F.])" + value.encode() + rb"(?![0-9a-fA-F])", content) is not None
    return any(form in content for form in forms(value))


def leaks(values: dict[str, str], places: dict[str, bytes]) -> list[tuple[str, str]]:
    """Which value lies where: the names of both."""
    return [(name, place) for name, value in values.items() for place, content in places.items() if found(value, content)]


@pytest.mark.parametrize("value", ["GB82WEST12345698765432", "Noor Haddad", "€312.08", "ab" * 20, "4929 1234 5678 9010"])
@pytest.mark.parametrize("before", [b"", b"x", b"xy", b"xyz"])
def test_the_search_sees_through_base64_at_every_alignment(value: str, before: bytes) -> None:
    contents = [value.encode(), *([bytes.fromhex(value)] if re.fullmatch(r"[0-9a-f]{40}", value) else [])]
    for content in contents:
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            assert found(value, encode(before + content + b"~?~")), encode
            assert found(value, encode(before + content).rstrip(b"=")), encode
    assert not found(value, base64.b64encode(before + b"something else that is long enough to hold it"))


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("GB82WEST12345698765432", b"to GB82WEST12345698765432."), ("GB82WEST12345698765432", b"to GB82 WEST 1234 5698 7654 32."),
        ("GB82 WEST 1234 5698 7654 32", b"GB82WEST12345698765432"), ("GB82WEST12345698765432", base64.b64encode(b"is GB82 WEST 1234 5698 7654 32")),
        ("4929 1234 5678 9010", b"4929123456789010"), ("€90.00", '{"a": "€90.00"}'.encode()), ("€90.00", b'{"a": "\\u20ac90.00"}'),
        ("Noor Haddad", b"4e6f6f7220486164646164"), ("ab" * 20, bytes.fromhex("00" + "ab" * 20)), ("ab" * 20, b"key=" + b"ab" * 20),
        ("271828", b'{"value": "271828"}'),
    ],
)
def test_the_search_finds_each_form(value: str, content: bytes) -> None:
    assert found(value, content)
    assert not found(value, content[: len(content) // 2])
    assert not found(value, b"1271828.5 GB82WEST12345698765433 4929 1234 5678 9011 \xe2\x82\xac90.01")


def test_the_search_reads_what_the_talk_wrote(run: Run) -> None:
    assert "canary rent" in run.tracker, "what may be in the tracker is found in it, so what is not found is not there"
    assert {path.parent.name for path in run.files} >= {"rasa", "rasa-keys", "log", "core", "core-keys"}


def test_no_secret_is_in_any_file_log_or_tracker_event(run: Run) -> None:
    places = {**{str(path): content for path, content in run.files.items()}, "tracker": run.tracker.encode()}
    assert leaks(run.secrets, places) == []


def test_the_customer_was_told_what_is_searched_for(run: Run) -> None:
    told = [name for name, value in run.supplied.items() if found(value, run.heard.encode())]
    assert set(told) >= {"balance", "savings", "counterparty"} and any(name.startswith("iban") for name in told), told


def test_what_the_bot_says_from_the_banks_records_is_nowhere_at_rasa_and_in_no_log(run: Run) -> None:
    places = {path.name: content for path, content in rasas_files_and_logs(run).items()} | {"tracker": run.tracker.encode()}
    assert leaks(run.supplied, places) == []


def rasas_files_and_logs(run: Run) -> dict[Path, bytes]:
    ours = {path: content for path, content in run.files.items() if path.parent.name in {"rasa", "rasa-keys", "log"}}
    assert len(ours) >= 6 and {path.name for path in ours} >= {f"{name}.log" for name in START_ORDER}
    return ours


def test_nothing_typed_lies_in_clear_in_rasas_files_or_in_a_log(run: Run) -> None:
    ours = rasas_files_and_logs(run)
    assert leaks(TYPED, {path.name: content for path, content in ours.items()}) == []
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
