"""A confirmation covers every field: change any, and the MAC no longer holds."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from confide.identity.binding import Binding, mac, matches

KEY = b"k" * 32
TEXT = st.text(max_size=12)
VALUE = st.one_of(TEXT, st.integers(-(2**63), 2**63))
BINDING = st.builds(
    Binding, subject=TEXT, root=TEXT, conversation=TEXT, action=TEXT, parameters=st.dictionaries(TEXT, VALUE, max_size=4), proof=TEXT,
    factor=TEXT, nonce=TEXT, expires_at=st.integers(0, 2**40), shown=TEXT,
)


@given(BINDING, BINDING, st.sampled_from([field.name for field in fields(Binding)]))
def test_any_changed_field_breaks_it(bound: Binding, other: Binding, name: str) -> None:
    changed: Any = {name: getattr(other, name)}
    assume(getattr(bound, name) != changed[name] or type(getattr(bound, name)) is not type(changed[name]))
    assert matches(KEY, bound, mac(KEY, bound))
    assert not matches(KEY, replace(bound, **changed), mac(KEY, bound))


@given(BINDING, st.data())
def test_any_changed_parameter_breaks_it(bound: Binding, data: st.DataObject) -> None:
    assume(bound.parameters)
    name = data.draw(st.sampled_from(sorted(bound.parameters)))
    value = data.draw(VALUE)
    assume(value != bound.parameters[name])
    assert mac(KEY, replace(bound, parameters={**bound.parameters, name: value})) != mac(KEY, bound)
    assert mac(KEY, replace(bound, parameters={key: each for key, each in bound.parameters.items() if key != name})) != mac(KEY, bound)


def test_text_and_number_differ_and_large_numbers_are_not_folded() -> None:
    base = Binding("s", "r", "c", "a", {"amount": 5}, "totp", "f", "n", 1)
    assert mac(KEY, base) != mac(KEY, replace(base, parameters={"amount": "5"}))
    assert mac(KEY, replace(base, parameters={"amount": 2**53})) != mac(KEY, replace(base, parameters={"amount": 2**53 + 1}))


def test_another_key_does_not_match() -> None:
    bound = Binding("s", "r", "c", "a", {}, "totp", "f", "n", 1)
    assert not matches(b"x" * 32, bound, mac(KEY, bound))
