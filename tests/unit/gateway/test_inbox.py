"""What a browser sends is checked and cleaned."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confide.gateway import inbox
from confide.gateway.errors import Code, Refusal
from confide.gateway.inbox import clean, is_reserved, parse_requested, parse_uttered
from confide.gateway.render import TOKEN

NAME = "0123456789abcdef" * 2
#: Text of the kind an attacker would try: slashes, tokens and invisible characters close together.
PIECES = [*"/ \t\n\u200b\u200d\u202e\u2028AB27_{}@x\ud800\x00\u0301", "AMOUNT_7K2QX4MD", "_7K2QX4MD", "/restart"]
HOSTILE = st.lists(st.sampled_from(PIECES)).map("".join)
ANYTHING = st.one_of(HOSTILE, st.text())


def refusal_of(call: object, *arguments: object) -> Code:
    with pytest.raises(Refusal) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.code


def test_client_metadata_is_left_behind() -> None:
    uttered = parse_uttered({"message": "hi", "id": "a-1", "session_id": NAME, "metadata": {"capability": "x"}, "customData": {}})
    assert uttered == inbox.Uttered("hi", NAME, "a-1")


@pytest.mark.parametrize("data", [None, "hi", 7, [], {}, {"message": None}, {"message": 5}, {"message": "x", "id": 5},
                                  {"message": "x", "id": ""}, {"message": "x", "id": "a" * 65}, {"message": "x", "id": "a b"}])
def test_malformed_messages_are_refused(data: object) -> None:
    assert refusal_of(parse_uttered, data) is Code.MALFORMED


@pytest.mark.parametrize("data", [b"x", {"message": b"x"}, {"message": "x", "more": [{"deep": b"x"}]}, [b"x"]])
def test_binary_is_refused(data: object) -> None:
    assert refusal_of(parse_uttered, data) is Code.BINARY


def test_length_is_bounded_before_and_after_cleaning() -> None:
    assert parse_uttered({"message": "x" * 2000}).message == "x" * 2000
    assert refusal_of(parse_uttered, {"message": "x" * 2001}) is Code.TOO_LONG
    grows = "\ufb2c" * 1000  # one character that NFC makes three
    assert len(unicodedata.normalize("NFC", grows)) == 3000
    assert refusal_of(clean, grows, ()) is Code.TOO_LONG


@pytest.mark.parametrize("name", ["", "x", NAME.upper(), NAME + "0", 5, ["a"], {"room": "x"}])
def test_a_session_id_that_cannot_be_ours_is_foreign(name: object) -> None:
    assert refusal_of(parse_requested, {"session_id": name}) is Code.FOREIGN_SESSION


@pytest.mark.parametrize("last_seq", [-1, 2**53, 1.5, "3", True, [1]])
def test_a_last_seq_is_a_count(last_seq: object) -> None:
    assert refusal_of(parse_requested, {"last_seq": last_seq}) is Code.MALFORMED


def test_a_request_may_be_empty() -> None:
    assert parse_requested(None) == parse_requested({}) == inbox.Requested(None, None)


@pytest.mark.parametrize(("typed", "read"), [
    ("/greet", "greet"), ("  / / /greet", "greet"), ("//greet", "greet"), ("/pay{\"amount\": \"9\"}", "pay{\"amount\": \"9\"}"),
    ("\u200b/restart", "restart"), ("\x00/restart", "restart"), ("1/2", "1/2"), ("a\x07b", "a b"), ("\u202egnp", "gnp"),
    ("cafe\u0301", "café"), ("to AMOUNT_7K2QX4MD", "to AMOUNT 7K2QX4MD"), ("EMAIL_\u200b7K2QX4MD", "EMAIL 7K2QX4MD"),
    ("x\ud800y", "xy"), ("one\r\ntwo", "one \ntwo"), ("john_fletcher@example.org", "john_fletcher@example.org"),
])
def test_what_rasa_reads(typed: str, read: str) -> None:
    assert clean(typed, ()).text == read


@pytest.mark.parametrize("typed", ["", "   ", "/", "///", "\u200b", "\x00\x01"])
def test_nothing_left_is_malformed(typed: str) -> None:
    assert refusal_of(clean, typed, ()) is Code.MALFORMED


def test_an_offered_payload_passes_exactly_as_it_is() -> None:
    offered = ['/choose{"payee": "NAME_7K2QX4MD"}']
    assert clean(offered[0], offered).text == offered[0]
    assert clean(offered[0] + " ", offered).text == 'choose{"payee": "NAME 7K2QX4MD"}'


@pytest.mark.parametrize("payload", ["/confide_resume", "/restart", "/session_start", "/back", "/Restart", "/restart{}", "/back@1.0",
                                     " /confide_resume", '/confide_resume{"a": "b"}'])
def test_a_reserved_intent_never_passes_even_when_offered(payload: str) -> None:
    cleaned = clean(payload, [payload])
    assert cleaned.reserved
    assert not cleaned.text.startswith("/")


def test_only_intent_messages_are_reserved() -> None:
    assert not is_reserved("restart")
    assert not is_reserved("/restarted")
    assert not is_reserved("please /restart")


@given(ANYTHING)
def test_nothing_typed_is_an_intent_or_a_token(typed: str) -> None:
    try:
        text = clean(typed, ()).text
    except Refusal as refusal:
        assert refusal.code in {Code.MALFORMED, Code.TOO_LONG}
        return
    assert not text.strip().startswith("/")
    assert not TOKEN.search(text)
    assert not re.search(r"[A-Z]_[A-Z2-7]{8}", text)
    assert len(text) <= inbox.MAX_MESSAGE
    assert text == text.strip() != ""
    assert {unicodedata.category(character) for character in text if character not in "\n\u200c\u200d"} & {"Cc", "Cf", "Cs"} == set()
    text.encode()


@given(ANYTHING)
def test_cleaning_is_settled(typed: str) -> None:
    try:
        once = clean(typed, ()).text
    except Refusal:
        return
    assert clean(once, ()).text == once


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["message", "id", "session_id", "last_seq", "x"]), inner), max_leaves=12,
)


@given(JSON)
def test_every_payload_is_read_or_refused(data: object) -> None:
    for parse in (parse_uttered, parse_requested):
        try:
            parse(data)
        except Refusal as refusal:
            assert refusal.code in {Code.MALFORMED, Code.BINARY, Code.TOO_LONG, Code.FOREIGN_SESSION}
