"""Signing in and out: cookies, tabs, conversations."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from confide.gateway import pages
from confide.gateway.sessions import derive_sid, is_secret
from confide.gateway.sockets import COOKIE
from tests.unit.gateway.stand import Stand, Turn, says


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
    stand.core.broken = {"/core/session/sign-out": 503, "/core/session/resume": 503, "/core/bank/sign-in": 500}
    out = await stand.post("/chat/sign-out", {}, secret)
    assert (out.status_code, out.json()["error"]) == (503, "away")
    assert "signed in here" in out.json()["text"]
    assert (await stand.get("/chat/session", secret)).status_code == 503
    assert (await stand.post("/bank/sign-in", {"customer_number": "1", "password": "x"})).status_code == 503
    stand.core.broken.clear()
    assert (await stand.post("/chat/sign-out", {}, secret)).status_code == 200


@pytest.mark.parametrize("told", [True, False])
async def test_a_customer_stays_signed_in_over_a_restart_of_the_gateway(stand: Stand, told: bool) -> None:
    stand.core.resume_tells_level = told
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
    gate.set()
    assert await chat.texts(1) == ["€5"]
