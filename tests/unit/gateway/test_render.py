"""From Rasa's messages to payloads."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confide.gateway.render import MAX_MESSAGES, RESERVED_TYPES, CardReference, fill, find_tokens, offered_payloads, render
from confide.gateway.sentences import HIDDEN

REF = "ABCDEFGHIJKLMNOPQRSTUVWX27"


def parts_of(*messages: object) -> list[Any]:
    return render(messages).parts


def test_text_is_split_on_blank_lines_and_buttons_stay_with_the_last() -> None:
    message = {"recipient_id": "x", "text": "One.\n\nTwo\nlines.\n \n\nThree?", "buttons": [{"title": "Yes", "payload": "/affirm"}]}
    assert parts_of(message) == [
        {"text": "One."}, {"text": "Two\nlines."},
        {"text": "Three?", "quick_replies": [{"content_type": "text", "title": "Yes", "payload": "/affirm"}]},
    ]


def test_buttons_without_text_and_without_payload() -> None:
    assert parts_of({"buttons": [{"title": "Yes"}, {"payload": "/x"}, "no", {"title": " "}]}) == [
        {"quick_replies": [{"content_type": "text", "title": "Yes", "payload": "Yes"}]}
    ]


@pytest.mark.parametrize("payload", ["/confide_resume", "/restart", "/session_start{}"])
def test_a_button_for_a_reserved_intent_is_dropped(payload: str) -> None:
    assert parts_of({"text": "?", "buttons": [{"title": "Go", "payload": payload}]}) == [{"text": "?"}]


@pytest.mark.parametrize("kind", sorted(RESERVED_TYPES))
def test_a_card_is_a_type_and_a_reference_and_nothing_else(kind: str) -> None:
    assert parts_of({"custom": {"type": kind, "ref": REF}}) == [CardReference(REF)]


@pytest.mark.parametrize("custom", [
    {"type": "confirm", "title": "Pay €1.00 to you"}, {"type": "confirm", "ref": REF, "title": "Pay"}, {"type": "confirm", "ref": "short"},
    {"type": "confirm", "ref": 5}, {"type": " Confirm ", "title": "x"}, {"type": "QR", "qr": {}}, {"type": "confirm"},
])
def test_a_card_with_content_of_its_own_is_dropped_and_reported(custom: dict[str, Any]) -> None:
    rendered = render([{"custom": custom}, {"text": "after"}])
    assert rendered.parts == [{"text": "after"}]
    assert rendered.dropped_cards == [custom["type"].strip().lower()]


def test_a_designers_payload_cannot_number_itself_or_name_a_card() -> None:
    custom = {"type": "carousel", "seq": 1, "ref": REF, "elements": [{"title": "A"}], "room": "someone else"}
    assert parts_of({"custom": custom}) == [{"type": "carousel", "elements": [{"title": "A"}], "room": "someone else"}]


@pytest.mark.parametrize("custom", [None, "x", 5, [], {}, {"type": 5}, {"type": "bad type"}, {"type": "confirm\u0000"}, {"room": "x"}])
def test_custom_without_a_proper_type_is_nothing(custom: object) -> None:
    assert parts_of({"custom": custom}) == []


@pytest.mark.parametrize(("source", "shown"), [
    ("https://bank.example/a.png", True), ("/a.png", True), ("//evil.example/a.png", False), ("javascript:alert(1)", False),
    ("http://bank.example/a.png", False), ("data:image/png;base64,AA", False), ("https://", False), ("/\\evil.example", False),
    ("\tjavascript:x", False), (5, False), ("https://[", False),
])
def test_only_safe_addresses_are_shown(source: object, shown: bool) -> None:
    assert bool(parts_of({"image": source})) is shown
    assert bool(parts_of({"attachment": {"type": "file", "payload": {"src": source, "title": "T", "onclick": "x"}}})) is shown


def test_an_attachment_is_rebuilt() -> None:
    attachment = {"type": "image", "payload": {"src": "/a.png", "title": "A", "srcdoc": "<b>"}, "room": "x"}
    assert parts_of({"attachment": attachment}) == [{"attachment": {"type": "image", "payload": {"src": "/a.png", "title": "A"}}}]


def test_tokens_are_found_once_and_replaced_once() -> None:
    parts = parts_of({"text": "You have AMOUNT_7K2QX4MD, NAME_AAAAAAAA. AMOUNT_7K2QX4MD!",
                      "buttons": [{"title": "Pay NAME_BBBBBBBB", "payload": "/pay{\"to\": \"NAME_BBBBBBBB\"}"}]})
    assert find_tokens(parts) == ["AMOUNT_7K2QX4MD", "NAME_AAAAAAAA", "NAME_BBBBBBBB"]
    filled = fill(parts[0], {"AMOUNT_7K2QX4MD": "€5 NAME_AAAAAAAA", "NAME_BBBBBBBB": "Ada"})
    assert filled["text"] == f"You have €5 NAME_AAAAAAAA, {HIDDEN}. €5 NAME_AAAAAAAA!"
    assert filled["quick_replies"][0]["title"] == "Pay Ada"
    assert offered_payloads(filled) == ["/pay{\"to\": \"NAME_BBBBBBBB\"}"]


@pytest.mark.parametrize("text", ["amount_7k2qx4md", "XAMOUNT_7K2QX4MDX", "AMOUNT_7K2QX4M", "AMOUNT_7K2QX4M1", "A_7K2QX4MD", "_AB_7K2QX4MD"])
def test_what_is_no_token(text: str) -> None:
    assert find_tokens([{"text": text}]) == []


@pytest.mark.parametrize("link", [
    "https://evil.example/?x={}", "(https://evil.example/{})", "HTTPS://evil.example/{}", "evil.example://{}", "www.evil.example/{}",
    "[hi](www.evil.example/{})", "mailto:{}@evil.example", "//evil.example/{}", "https://evil.example/\u00a0{}",
])
def test_a_value_is_never_put_into_a_link(link: str) -> None:
    text = f"See {link.format('AMOUNT_7K2QX4MD')} or NAME_AAAAAAAA"
    part = {"text": text, "type": "carousel", "elements": [{"url": link.format("AMOUNT_7K2QX4MD")}]}
    assert find_tokens([part]) == ["NAME_AAAAAAAA"]
    filled = fill(part, {"AMOUNT_7K2QX4MD": "€5", "NAME_AAAAAAAA": "Ada"})
    assert filled["text"] == f"See {link.format(HIDDEN)} or Ada"
    assert filled["elements"] == [{"url": link.format(HIDDEN)}]


def test_a_value_is_never_put_behind_another_that_is_a_link() -> None:
    values = {"NAME_AAAAAAAA": "https://evil.example/?", "AMOUNT_7K2QX4MD": "€5"}
    assert fill({"text": "NAME_AAAAAAAA&AMOUNT_7K2QX4MD."}, values) == {"text": f"{HIDDEN}&{HIDDEN}."}
    assert fill({"text": "From NAME_AAAAAAAA: AMOUNT_7K2QX4MD"}, values) == {"text": "From https://evil.example/?: €5"}


@pytest.mark.parametrize("source", ["https://evil.example/AMOUNT_7K2QX4MD.png", "/AMOUNT_7K2QX4MD"])
def test_no_value_is_put_into_the_address_of_a_picture(source: str) -> None:
    parts = parts_of({"image": source}, {"attachment": {"type": "file", "payload": {"src": source}}},
                     {"custom": {"type": "carousel", "elements": [{"src": source}]}})
    assert find_tokens(parts) == []
    assert [fill(part, {"AMOUNT_7K2QX4MD": "5"}) for part in parts] == parts


def test_a_designers_quick_replies_and_attachment_are_rebuilt_like_any_other() -> None:
    replies = [{"title": "Yes", "payload": "/affirm", "onclick": "x"}, {"title": "Go", "payload": "/confide_resume"}, 5, {}]
    custom = {"type": "survey", "quick_replies": replies, "attachment": {"type": "image", "payload": {"src": "/a.png", "srcdoc": "x"}}}
    assert parts_of({"custom": custom}) == [{
        "type": "survey", "quick_replies": [{"content_type": "text", "title": "Yes", "payload": "/affirm"}],
        "attachment": {"type": "image", "payload": {"src": "/a.png"}},
    }]


@pytest.mark.parametrize("odd", [5, "x", {"a": 1}, [5], [{"payload": 5}], [{"title": "T", "payload": "/restart"}], None])
def test_odd_quick_replies_and_attachments_of_a_designer_are_left_out(odd: object) -> None:
    part, = parts_of({"custom": {"type": "survey", "quick_replies": odd, "attachment": odd}})
    assert part == {"type": "survey"}
    assert offered_payloads(part) == []


def test_the_number_of_messages_is_bounded() -> None:
    assert len(parts_of(*[{"text": "a\n\nb"}] * 100)) == MAX_MESSAGES


def test_a_value_that_is_no_json_number_is_dropped() -> None:
    assert parts_of({"custom": {"type": "chart", "y": float("nan")}}) == [{"type": "chart", "y": None}]


KEYS = st.sampled_from([
    "quick_replies", "elements", "text", "buttons", "image", "attachment", "custom", "type", "ref", "title", "payload", "src", "seq", "room", "to",
])
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
                   st.sampled_from(["confirm", "qr", REF, "NAME_AAAAAAAA", "carousel", "https://a.example/", "/confide_resume"]))
MESSAGES = st.lists(st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=20))


@given(MESSAGES)
def test_whatever_rasa_says_becomes_harmless_json(messages: list[object]) -> None:
    rendered = render(messages)
    payloads = [part for part in rendered.parts if not isinstance(part, CardReference)]
    tokens = find_tokens(rendered.parts)
    for payload in payloads:
        assert payload.get("type", "text") not in RESERVED_TYPES
        assert not {"seq", "ref"} & set(payload)
        filled = fill(payload, dict.fromkeys(tokens, "a value"))
        json.dumps(filled, allow_nan=False)
        assert find_tokens([filled]) == []
        assert all(not offered.startswith("/confide_resume") for offered in offered_payloads(filled))


def test_a_closed_card_is_a_reference_and_nothing_else() -> None:
    good = render([{"custom": {"type": "card_closed", "ref": "a" * 26, "text": "Pay now", "seq": 1}}])
    assert good.parts == [{"type": "card_closed", "ref": "a" * 26}]
    for reference in (None, 5, "short", "A" * 27):
        assert render([{"custom": {"type": "card_closed", "ref": reference}}]).parts == []
