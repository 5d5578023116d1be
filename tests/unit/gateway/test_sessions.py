"""Cookies' secrets and the sessions they lead to."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from confide.gateway.errors import Code, Refusal
from confide.gateway.sessions import IDLE, MAX_OFFERED, Session, Sessions, derive_sid, is_secret
from confide.gateway.sockets import Sockets, _Socket


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def secret_of(session: Session) -> str:
    assert session.handout is not None
    return session.handout


def test_the_id_is_derived_as_the_protocol_says() -> None:
    digest = hashlib.sha256(b"confide-session:secret").digest()
    assert derive_sid("secret") == base64.b32encode(digest).decode()[:32].lower()


def test_secrets_are_32_random_bytes() -> None:
    sessions = Sessions(random_bytes=lambda size: b"\xff" * size)
    assert sessions.new_secret() == "_" * 42 + "8"
    assert is_secret(sessions.new_secret())
    assert not any(map(is_secret, ["", "x" * 42, "x" * 44, "x" * 42 + "\n", "é" * 43, None, 5]))


def test_the_secret_is_not_kept_once_the_browser_has_it() -> None:
    sessions = Sessions()
    session = sessions.begin(has_cookie=True)
    secret = secret_of(session)
    assert sessions.find(secret) is session
    assert session.handout is None
    assert secret not in repr(vars(session)) + repr(vars(sessions))


def test_a_replaced_secret_is_dead_at_once() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    session = sessions.begin(has_cookie=True)
    old, new = secret_of(session), sessions.new_secret()
    sessions.rotate(session, new)
    assert sessions.find(old) is None
    assert sessions.died(old) == clock.now
    assert session.handout == new
    assert sessions.find(new) is session
    assert session.sid == derive_sid(new)


def test_after_a_proof_the_old_secret_leads_to_the_session_until_the_browser_shows_the_new_one() -> None:
    sessions = Sessions(Clock())
    session = sessions.begin(has_cookie=True)
    old, unseen, new = secret_of(session), sessions.new_secret(), sessions.new_secret()
    sessions.find(old)
    sessions.rotate(session, unseen, keep_old=True)
    sessions.rotate(session, new, keep_old=True)
    assert sessions.find(old) is session
    assert secret_of(session) == new  # it is given with every answer until it is shown
    assert sessions.find(new) is session
    assert session.handout is None
    for dead in (old, unseen):
        assert sessions.find(dead) is None
        assert sessions.died(dead) is not None


def test_signing_in_or_out_kills_what_a_proof_had_left() -> None:
    sessions = Sessions()
    session = sessions.begin(has_cookie=True)
    old = secret_of(session)
    sessions.rotate(session, sessions.new_secret(), keep_old=True)
    sessions.rotate(session, sessions.new_secret())
    assert sessions.find(old) is None
    assert sessions.died(old) is not None


def test_renewing_leads_the_old_secret_to_the_new_session_until_the_browser_has_the_new_one() -> None:
    sessions = Sessions()
    session = sessions.adopt("s" * 43)
    sessions.renew(session)
    assert sessions.find("s" * 43) is session
    assert session.sid != derive_sid("s" * 43)
    assert sessions.find(secret_of(session)) is session


def test_a_session_without_a_cookie_has_no_secret_to_steal() -> None:
    session = Sessions().begin(has_cookie=False)
    assert session.handout is None
    assert not session.keys


def test_idle_sessions_go_and_those_with_a_tab_stay() -> None:
    clock, gone = Clock(), list[Session]()
    sessions = Sessions(clock, on_gone=gone.append)
    idle, open_tab = sessions.begin(has_cookie=True), sessions.begin(has_cookie=True)
    open_tab.sockets.add("tab")
    clock.now += IDLE + 1
    sessions.begin(has_cookie=True)
    assert gone == [idle]


def test_when_all_is_full_the_oldest_anonymous_one_makes_room_and_a_customer_does_not() -> None:
    gone = list[Session]()
    sessions = Sessions(Clock(), on_gone=gone.append, max_sessions=2)
    customer, visitor = sessions.begin(has_cookie=True), sessions.begin(has_cookie=True)
    customer.level = "identified"
    latest = sessions.begin(has_cookie=True)
    assert gone == [visitor]
    latest.level = "identified"
    with pytest.raises(Refusal) as refused:
        sessions.begin(has_cookie=True)
    assert refused.value.code is Code.BUSY


def full_of_customers(count: int, gone: list[Session]) -> Sessions:
    """Return a table with room for one more, in which the oldest are all customers."""
    sessions = Sessions(Clock(), on_gone=gone.append, max_sessions=count + 1)
    for _ in range(count):
        sessions.set_level(sessions.begin(has_cookie=True), "identified")
    return sessions


def test_however_many_customers_are_older_a_visitor_makes_room_for_the_next() -> None:
    gone = list[Session]()
    sessions = full_of_customers(100, gone)
    visitors = [sessions.begin(has_cookie=True) for _ in range(5)]
    assert gone == visitors[:4]


def test_a_visitor_with_a_tab_stays_until_the_tab_is_gone() -> None:
    gone = list[Session]()
    sessions = full_of_customers(100, gone)
    visitor = sessions.begin(has_cookie=False)
    visitor.sockets.add("tab")
    with pytest.raises(Refusal):
        sessions.begin(has_cookie=True)
    visitor.sockets.discard("tab")
    sessions.file(visitor)
    sessions.begin(has_cookie=True)
    assert gone == [visitor]


async def test_a_visitor_whose_tab_was_closed_makes_room() -> None:
    gone = list[Session]()
    sessions = full_of_customers(100, gone)
    nothing: Any = None
    sockets = Sockets(nothing, sessions, nothing, nothing, nothing, nothing)
    visitor = sessions.begin(has_cookie=True)
    visitor.sockets.add("tab")
    sockets._sockets["tab"] = _Socket("tab", visitor, "192.0.2.1")
    with pytest.raises(Refusal):
        sessions.begin(has_cookie=True)
    await sockets._disconnect("tab")
    sessions.begin(has_cookie=True)
    assert gone == [visitor]


def test_who_signed_out_makes_room_and_who_signed_in_does_not() -> None:
    gone = list[Session]()
    sessions = full_of_customers(100, gone)
    visitor = sessions.begin(has_cookie=True)
    customer = next(iter(sessions._all))
    sessions.set_level(customer, "anonymous")
    sessions.set_level(visitor, "identified")
    sessions.begin(has_cookie=True)
    assert gone == [customer]


def test_a_renewed_session_makes_room() -> None:
    gone = list[Session]()
    sessions = full_of_customers(100, gone)
    sessions.set_level(sessions.begin(has_cookie=True), "identified")
    ended = next(iter(sessions._all))
    sessions.renew(ended)
    sessions.begin(has_cookie=True)
    assert gone == [ended]


def test_leaving_a_conversation_voids_what_was_offered_in_it() -> None:
    session = Sessions().begin(has_cookie=True)
    session.offer("/affirm")
    session.move(session.where)
    assert "/affirm" in session.offered
    session.move("another")
    assert not session.offered


def test_offers_are_bounded() -> None:
    session = Sessions().begin(has_cookie=True)
    for n in range(MAX_OFFERED + 5):
        session.offer(f"/x{n}")
    assert len(session.offered) == MAX_OFFERED
    assert "/x0" not in session.offered


def test_a_session_from_before_a_restart_is_nowhere_until_the_core_has_spoken() -> None:
    session = Sessions().adopt("s" * 43)
    with pytest.raises(Refusal) as refused:
        assert session.where
    assert refused.value.code is Code.AWAY
