"""Signing in and out: cookies, tabs, conversations."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from confide.gateway import pages, sentences
from confide.gateway.access import Access
from confide.gateway.capabilities import Capabilities
from confide.gateway.peers import PeerRefused
from confide.gateway.sessions import Session, Sessions, derive_sid, is_secret
from confide.gateway.sockets import COOKIE
from confide.identity.capability import CapabilityIssuer
from tests.unit.gateway.stand import Chat, Stand, Turn, says


async def sign_in(stand: Stand, secret: str | None) -> str:
    response = await stand.post("/chat/sign-in", {"login_token": "good-token"}, secret)
    assert response.status_code == 200
    assert response.json() == {"level": "identified", "kept": stand.core.kept}
    return stand.secret_in(response)


async def test_the_cookie_is_the_strict_kind(stand: Stand) -> None:
    response = await stand.get("/")
    parts = {part.strip().lower() for part in response.headers["set-cookie"].split(";")[1:]}
    assert parts == {"httponly", "secure", "samesite=strict", "path=/"}
    assert response.headers["set-cookie"].startswith(f"{COOKIE}=")


async def test_a_browser_with_a_cookie_keeps_it(stand: Stand) -> None:
    assert "set-cookie" not in (await stand.get("/", await stand.visit())).headers


async def test_a_page_that_was_opened_by_a_link_gets_its_cookie_with_its_first_question(stand: Stand) -> None:
    response = await stand.get("/chat/session", **{"Sec-Fetch-Site": "same-origin"})
    assert response.json() == {"level": "anonymous"}
    assert is_secret(stand.secret_in(response))
    assert "set-cookie" not in (await stand.get("/chat/session", **{"Sec-Fetch-Site": "cross-site"})).headers


async def test_a_cookie_that_died_long_ago_is_replaced(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    old = await stand.visit()
    await sign_in(stand, old)
    monkeypatch.setattr(pages, "GRACE", -1.0)
    assert "set-cookie" in (await stand.get("/chat/session", old)).headers


async def test_a_link_from_another_site_does_not_overwrite_the_cookie_it_came_without(stand: Stand) -> None:
    assert "set-cookie" not in (await stand.get("/", **{"Sec-Fetch-Site": "cross-site"})).headers
    assert "set-cookie" in (await stand.get("/", **{"Sec-Fetch-Site": "none"})).headers


async def test_the_host_sites_login(stand: Stand) -> None:
    right = await stand.post("/bank/sign-in", {"customer_number": "1001", "password": "sesame"})
    assert right.json() == {"login_token": "good-token", "name": "Ada Example"}
    wrong = await stand.post("/bank/sign-in", {"customer_number": "1001", "password": "guess"})
    assert (wrong.status_code, wrong.json()["error"]) == (401, "login_refused")
    for broken in ({}, {"customer_number": 1001, "password": "x"}, {"customer_number": "1\x00", "password": "x"},
                   {"customer_number": "1", "password": "\ud800"}, {"customer_number": "", "password": "x"}):
        assert (await stand.post("/bank/sign-in", broken)).status_code == 400
    assert (await stand.post("/bank/sign-in", {"customer_number": "1" * 129, "password": "x"})).status_code == 413


async def test_signing_in_changes_the_cookie_and_kills_the_old_one(stand: Stand) -> None:
    old = await stand.visit()
    new = await sign_in(stand, old)
    assert new != old
    assert stand.session(new).level == "identified"
    assert (await stand.get("/chat/session", new)).json() == {"level": "identified"}
    assert (await stand.get("/chat/session", old)).json() == {"level": "anonymous"}
    assert (await stand.post("/demo/outbox", {}, old)).status_code == 401
    chat = await stand.chat(old)
    assert await chat.open() != stand.session(new).conversation


async def test_a_request_under_a_cookie_that_just_died_does_not_overwrite_the_new_one(stand: Stand) -> None:
    old = await stand.visit()
    await sign_in(stand, old)
    for path in ("/", "/chat/session"):
        assert "set-cookie" not in (await stand.get(path, old)).headers


async def test_a_conversation_that_is_kept_goes_on_in_every_tab(stand: Stand) -> None:
    secret = await stand.visit()
    first, second = await stand.chat(secret), await stand.chat(secret)
    name = await first.open()
    await second.open()
    new = await sign_in(stand, secret)
    assert await first.next("session_changed") == await second.next("session_changed") == {"level": "identified"}
    await first.say("hello", session_id=name)
    assert await second.texts(1) == ["You said: hello"]
    assert stand.rasa.turns[-1].capability.session == derive_sid(new)
    assert stand.rasa.turns[-1].conversation == name


async def test_a_new_conversation_starts_empty_and_the_tabs_are_in_it(stand: Stand) -> None:
    stand.core.kept = False
    secret = await stand.visit()
    stand.rasa.script = says({"text": "Sure?", "buttons": [{"title": "Yes", "payload": "/affirm"}]})
    chat = await stand.chat(secret)
    old_name = await chat.open()
    await chat.say("pay")
    await chat.texts(1)
    new = await sign_in(stand, secret)
    await chat.next("session_changed")
    assert (await chat.say("hello", session_id=old_name))["code"] == "foreign_session"
    name = await chat.open(last_seq=0)
    assert name == stand.session(new).conversation != old_name
    await chat.say("/affirm")
    await chat.texts(1)
    assert stand.rasa.turns[-1].text == "affirm"  # what the old conversation offered is void
    assert stand.rasa.turns[-1].conversation == name
    assert len(chat.got["bot_uttered"]) == 2  # nothing of the old conversation came again


async def test_signing_out_ends_everything_of_the_customer(stand: Stand) -> None:
    secret = await sign_in(stand, await stand.visit())
    chat = await stand.chat(secret)
    name = await chat.open()
    response = await stand.post("/chat/sign-out", {}, secret)
    assert (response.status_code, response.json()) == (200, {})
    new = stand.secret_in(response)
    assert await chat.next("session_changed") == {"level": "anonymous"}
    assert await chat.open() == stand.session(new).conversation != name
    assert (await stand.get("/chat/session", new)).json() == {"level": "anonymous"}
    assert (await stand.get("/chat/session", secret)).json() == {"level": "anonymous"}
    assert stand.session(secret).ended


async def test_an_answer_for_a_conversation_that_is_over_reaches_nobody(stand: Stand) -> None:
    gate, running = asyncio.Event(), asyncio.Event()

    async def slow(turn: Turn) -> dict[str, Any]:
        if turn.text == "balance":
            running.set()
            await gate.wait()
        buttons = [{"title": "Yes", "payload": f"/confirm_{turn.text}"}]
        return {"messages": [{"text": f"the answer to {turn.text}", "buttons": buttons}], "failed": None}

    stand.rasa.script = slow
    secret = await sign_in(stand, await stand.visit())
    chat = await stand.chat(secret)
    await chat.say("balance")
    await running.wait()
    await chat.say("waiting in the lane")
    await stand.post("/chat/sign-out", {}, secret)
    await chat.next("session_changed")
    gate.set()
    await chat.open()
    await chat.say("hello")
    assert await chat.texts(1) == ["the answer to hello"]
    await chat.say("/confirm_balance")
    await chat.texts(1)
    assert stand.rasa.texts == ["balance", "hello", "confirm_balance"]  # what it offered is void too


async def test_a_bad_login_token_changes_nothing(stand: Stand) -> None:
    secret = await stand.visit()
    response = await stand.post("/chat/sign-in", {"login_token": "bad"}, secret)
    assert (response.status_code, response.json()["error"]) == (401, "login_refused")
    assert "set-cookie" not in response.headers
    assert (await stand.get("/chat/session", secret)).json() == {"level": "anonymous"}


async def test_signing_in_without_a_cookie_gives_one(stand: Stand) -> None:
    secret = await sign_in(stand, None)
    assert (await stand.get("/chat/session", secret)).json() == {"level": "identified"}


async def test_signing_in_after_the_answer_to_an_earlier_try_was_lost(stand: Stand) -> None:
    secret = await stand.visit()
    chat = await stand.chat(secret)
    await chat.open()
    await chat.say("hello")
    await chat.texts(1)
    stand.session(secret).ended = True  # the core has done it; the gateway has not heard
    new = await sign_in(stand, secret)
    assert (await stand.get("/chat/session", new)).json() == {"level": "identified"}


async def test_when_the_core_is_away_nothing_changes_and_nothing_is_claimed(stand: Stand) -> None:
    secret = await sign_in(stand, await stand.visit())
    stand.core.broken = {"/core/session/sign-out": 503, "/core/session/state": 503, "/core/bank/sign-in": 500}
    out = await stand.post("/chat/sign-out", {}, secret)
    assert (out.status_code, out.json()["error"]) == (503, "away")
    assert "signed in here" in out.json()["text"]
    assert (await stand.get("/chat/session", secret)).status_code == 503
    assert (await stand.post("/bank/sign-in", {"customer_number": "1", "password": "x"})).status_code == 503
    stand.core.broken.clear()
    assert (await stand.post("/chat/sign-out", {}, secret)).status_code == 200


async def test_a_customer_stays_signed_in_over_a_restart_of_the_gateway(stand: Stand) -> None:
    secret = await sign_in(stand, await stand.visit())
    await stand.gateway.stop()
    await stand.gateway.start()
    assert (await stand.get("/chat/session", secret)).json() == {"level": "identified"}
    assert "set-cookie" not in (await stand.get("/", secret)).headers


async def test_a_dead_cookie_stays_dead_over_a_restart_of_the_gateway(stand: Stand) -> None:
    old = await stand.visit()
    await stand.post("/demo/outbox", {}, old)
    new = await sign_in(stand, old)
    await stand.gateway.stop()
    await stand.gateway.start()
    chat = await stand.chat(old)
    assert await chat.open() != stand.session(new).conversation
    response = await stand.get("/chat/session", old)
    assert response.json() == {"level": "anonymous"}
    stand.rasa.script, stand.core.values = says({"text": "AMOUNT_7K2QX4MD"}), {"AMOUNT_7K2QX4MD": "nothing"}
    await chat.say("hello")
    assert await chat.texts(1) == ["nothing"]  # a session that the core takes, and not the one it has ended


async def talking(stand: Stand) -> tuple[str, Chat]:
    """Return a signed-in browser's secret and a tab in which something was said."""
    secret = await sign_in(stand, await stand.visit())
    chat = await stand.chat(secret)
    await chat.open()
    await chat.say("hello")
    await chat.texts(1)
    return secret, chat


async def starts_over(stand: Stand, secret: str, chat: Chat) -> None:
    """Check that the tab is told, and that all goes on in a session that the core takes."""
    assert await chat.next("session_changed") == {"level": "anonymous"}
    back = await stand.chat(secret)
    await back.open(last_seq=0)
    assert await back.texts(1) == [sentences.STARTED_OVER]
    await back.say("hello again")
    assert await back.texts(1) == ["You said: hello again"]
    response = await stand.get("/chat/session", secret)
    assert response.json() == {"level": "anonymous"}
    new = stand.secret_in(response)
    assert stand.rasa.turns[-1].conversation == stand.session(new).conversation
    assert not stand.session(new).ended
    assert "set-cookie" not in (await stand.get("/chat/session", new)).headers


async def test_a_session_that_the_core_has_ended_starts_over_when_the_page_is_opened(stand: Stand) -> None:
    secret, chat = await talking(stand)
    stand.session(secret).ended = True
    assert (await stand.get("/chat/session", secret)).json() == {"level": "anonymous"}
    await starts_over(stand, secret, chat)


async def test_a_session_that_the_core_has_ended_starts_over_at_the_outbox(stand: Stand) -> None:
    secret, chat = await talking(stand)
    stand.session(secret).ended = True
    assert (await stand.post("/demo/outbox", {}, secret)).status_code == 401
    await starts_over(stand, secret, chat)


async def test_after_a_lost_answer_to_a_sign_out_the_next_message_finds_out(stand: Stand) -> None:
    secret, chat = await talking(stand)
    stand.core.lost = {"/core/session/sign-out"}
    assert (await stand.post("/chat/sign-out", {}, secret)).status_code == 503
    await chat.say("pay")  # Rasa would say "not allowed" to it, for ever
    await starts_over(stand, secret, chat)
    assert "pay" not in stand.rasa.texts


async def test_after_a_lost_answer_to_a_sign_in_the_tab_that_joins_finds_out(stand: Stand) -> None:
    secret = await stand.visit()
    chat = await stand.chat(secret)
    stand.core.lost = {"/core/session/sign-in"}
    assert (await stand.post("/chat/sign-in", {"login_token": "good-token"}, secret)).status_code == 503
    await chat.open()
    await starts_over(stand, secret, chat)


async def test_after_a_lost_answer_to_a_sign_in_the_page_that_is_opened_finds_out(stand: Stand) -> None:
    secret = await stand.visit()
    stand.core.lost = {"/core/session/sign-in"}
    await stand.post("/chat/sign-in", {"login_token": "good-token"}, secret)
    new = stand.secret_in(await stand.get("/chat/session", secret))
    stand.core.lost.clear()
    assert await sign_in(stand, new) != new


async def test_a_sign_out_whose_answer_was_lost_can_be_repeated(stand: Stand) -> None:
    secret, chat = await talking(stand)
    stand.core.lost = {"/core/session/sign-out"}
    await stand.post("/chat/sign-out", {}, secret)
    stand.core.lost.clear()
    new = stand.secret_in(await stand.post("/chat/sign-out", {}, secret))
    assert await chat.next("session_changed") == {"level": "anonymous"}
    await chat.say("hello again")
    assert await chat.texts(1) == ["You said: hello again"]
    assert stand.rasa.turns[-1].capability.session == derive_sid(new)


async def test_a_lost_answer_that_ended_nothing_changes_nothing(stand: Stand) -> None:
    secret, chat = await talking(stand)
    stand.core.broken = {"/core/session/sign-out": 503}
    assert (await stand.post("/chat/sign-out", {}, secret)).status_code == 503
    await chat.say("balance")
    assert await chat.texts(1) == ["You said: balance"]
    assert "session_changed" not in chat.got
    assert (await stand.get("/chat/session", secret)).json() == {"level": "identified"}


@pytest.mark.parametrize(("path", "body", "core_path", "status"), [
    ("/demo/outbox", {}, "/core/bank/outbox", 401), ("/chat/sign-out", {}, "/core/session/sign-out", 503),
    ("/chat/sign-in", {"login_token": "good-token"}, "/core/session/sign-in", 503),
])
async def test_a_refusal_of_an_older_turn_does_not_end_the_session(
    stand: Stand, path: str, body: dict[str, str], core_path: str, status: int
) -> None:
    secret, chat = await talking(stand)
    stand.core.broken = {core_path: 403}
    assert (await stand.post(path, body, secret)).status_code == status
    stand.core.broken.clear()
    assert (await stand.get("/chat/session", secret)).json() == {"level": "identified"}
    await chat.say("balance")
    assert await chat.texts(1) == ["You said: balance"]
    assert "session_changed" not in chat.got


@dataclass
class Racing:
    """A core that meets a newer turn before the first question for the state arrives; it refuses that question."""

    session: Session
    ended: bool
    asked: int = 0

    async def level(self, _capability: str) -> str:
        self.asked += 1
        if self.asked == 1:
            self.session.turn += 1
        if self.asked == 1 or self.ended:
            raise PeerRefused(403, "capability_refused")
        return "identified"


@pytest.mark.parametrize("ended", [True, False])
async def test_a_newer_turn_in_between_is_no_sign_that_the_session_has_ended(ended: bool) -> None:
    async def ignore(*_: object) -> None:
        return None

    sessions = Sessions()
    session = sessions.begin(has_cookie=True)
    core: Any = Racing(session, ended)
    access = Access(sessions, core, Capabilities(CapabilityIssuer(Ed25519PrivateKey.generate())), ignore, ignore)
    assert not await access.renew_ended(session, PeerRefused(401, "unauthenticated"))
    assert await access.renew_ended(session, PeerRefused(403, "capability_refused")) is ended
    assert core.asked == 2
    assert session.level == ("anonymous" if ended else "identified")


async def test_the_outbox_needs_a_session_and_shows_its_mails(stand: Stand) -> None:
    assert (await stand.post("/demo/outbox", {})).status_code == 401
    assert (await stand.post("/demo/outbox", {}, await stand.visit())).json()["error"] == "login_refused"
    secret = await sign_in(stand, await stand.visit())
    assert (await stand.post("/demo/outbox", {}, secret)).json()["mails"][0]["subject"] == "Hello"
    assert "Outbox" in (await stand.get("/demo/outbox")).text


async def test_calls_beside_the_lane_do_not_make_the_running_turn_old(stand: Stand) -> None:
    running, gate = asyncio.Event(), asyncio.Event()

    async def slow(_turn: Turn) -> dict[str, Any]:
        running.set()
        await gate.wait()
        return {"messages": [{"text": "AMOUNT_7K2QX4MD"}], "failed": None}

    stand.rasa.script = slow
    stand.core.values = {"AMOUNT_7K2QX4MD": "€5"}
    secret = await sign_in(stand, await stand.visit())
    chat = await stand.chat(secret)
    await chat.say("balance")
    await running.wait()
    assert (await stand.post("/demo/outbox", {}, secret)).status_code == 200
    assert (await stand.get("/chat/session", secret)).json() == {"level": "identified"}  # asking for the level neither
    gate.set()
    assert await chat.texts(1) == ["€5"]
