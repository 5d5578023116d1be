"""Cards: what is typed into them goes to the core and nowhere else."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from pathlib import Path
from typing import Any

import pytest

from confide.gateway import sentences
from confide.gateway.cards import Submission, parse_submission
from confide.gateway.errors import Code, Refusal
from confide.gateway.limits import DEFAULT_RATES, Kind, Rates
from confide.gateway.main import quiet_libraries
from confide.gateway.sessions import derive_sid
from tests.unit.gateway.stand import CARD, QUICK, Chat, Stand, Turn, echo, open_stand, says

SHOWN = {"type": "confirm", "ref": CARD, "title": "Pay", "text": "Pay €5", "expires_at": 4_000_000_000}
CODE = "314159"


async def with_card(stand: Stand) -> tuple[str, Chat]:
    """Return a browser's secret and a tab in which the card is shown."""
    stand.core.cards[CARD] = SHOWN
    stand.rasa.script = says({"custom": {"type": "confirm", "ref": CARD}})
    secret = await stand.visit()
    chat = await stand.chat(secret)
    await chat.open()
    await chat.say("pay")
    assert (await chat.next("bot_uttered"))["ref"] == CARD
    stand.rasa.script = echo
    return secret, chat


async def submit(stand: Stand, secret: str, **body: Any) -> Any:
    return await stand.post("/chat/card", {"ref": CARD, "act": "submit", "value": CODE} | body, secret)


async def test_an_accepted_card_goes_on_by_the_socket_under_a_new_cookie(stand: Stand) -> None:
    secret, chat = await with_card(stand)
    response = await submit(stand, secret)
    assert response.json() == {"outcome": "accepted", "text": "Thank you."}
    new = stand.secret_in(response)
    assert await chat.next("card_update") == {"ref": CARD, "state": "accepted"}
    assert await chat.texts(1) == ["You said: /confide_resume"]
    turn = stand.rasa.turns[-1]
    assert turn.capability.session == derive_sid(new)
    assert turn.capability.turn > stand.rasa.turns[0].capability.turn
    assert (await stand.get("/chat/session", new)).status_code == 200
    assert (await submit(stand, secret)).status_code == 404  # the old cookie is dead once the new one was shown


async def test_a_lost_answer_to_an_accepted_code_does_not_sign_the_customer_out(stand: Stand) -> None:
    secret, chat = await with_card(stand)
    stand.session(secret).level = "identified"
    name = stand.session(secret).conversation
    await submit(stand, secret)  # the browser never gets this answer
    await chat.close()
    back = await stand.chat(secret)
    assert await back.open(last_seq=0) == name
    assert await back.texts(1) == ["You said: /confide_resume"]
    response = await stand.get("/chat/session", secret)
    assert response.json() == {"level": "identified"}
    new = stand.secret_in(response)
    stand.core.answer = {"outcome": "closed", "text": "That is done already.", "resume": False}
    stand.core.rotate = False
    assert stand.secret_in(await submit(stand, secret)) == new
    assert "set-cookie" not in (await stand.get("/chat/session", new)).headers  # from here on the browser has it
    assert (await submit(stand, secret)).status_code == 404
    assert await (await stand.chat(secret)).open() != name


@pytest.mark.parametrize("path", ["/", "/page.js", "/demo/outbox", "/nothing-here"])
async def test_whatever_the_browser_asks_for_under_the_old_cookie_it_is_given_the_new_one(stand: Stand, path: str) -> None:
    secret, _ = await with_card(stand)
    new = stand.secret_in(await submit(stand, secret))
    assert [stand.secret_in(await stand.get(path, secret)) for _ in range(2)] == [new, new]
    refused = await stand.post("/chat/card", {"ref": "short"}, secret)
    assert (refused.status_code, stand.secret_in(refused)) == (400, new)


async def test_a_socket_that_comes_back_with_the_new_cookie_kills_the_old_one(stand: Stand) -> None:
    secret, _ = await with_card(stand)
    name = stand.session(secret).conversation
    new = stand.secret_in(await submit(stand, secret))
    assert await (await stand.chat(new)).open() == name
    assert (await submit(stand, secret)).status_code == 404


async def test_the_gateway_dies_after_an_accepted_code_and_the_customer_hears(stand: Stand) -> None:
    secret, chat = await with_card(stand)
    name, turn = stand.session(secret).conversation, stand.rasa.turns[0].capability.turn
    stand.core.lost = {"/core/cards/act"}
    assert (await submit(stand, secret)).status_code == 503
    await stand.gateway.stop()
    stand.core.lost.clear()
    stand.core.news, stand.core.values = ["Done meanwhile: NAME_AAAAAAAA.", "One request waits."], {"NAME_AAAAAAAA": "Maria Huber"}
    stand.core.newest[name] = ahead = turn + 10_000_000_000  # as of a machine whose clock was fast
    await stand.gateway.start()
    assert (await stand.get("/chat/session", secret)).status_code == 200  # nobody listens yet
    back, second = await stand.chat(secret), await stand.chat(secret)
    assert await back.open(session_id=name, last_seq=chat.got["bot_uttered"][-1]["seq"]) == name
    assert await back.texts(2) == ["Done meanwhile: Maria Huber.", "One request waits."]
    await second.open(last_seq=0)
    assert await second.texts(2) == ["Done meanwhile: Maria Huber.", "One request waits."]
    await back.say("thanks")
    assert await back.texts(1) == await second.texts(1) == ["You said: thanks"]  # said once, and kept like any other
    assert stand.rasa.turns[-1].capability.turn > ahead


async def test_what_was_done_is_not_said_again_to_a_session_that_has_fallen(stand: Stand) -> None:
    secret, chat = await with_card(stand)
    stand.session(secret).level = "identified"
    await stand.gateway.stop()
    stand.core.news = ["Done meanwhile: Pay €5.00 to Maria Huber."]
    await stand.gateway.start()
    back = await stand.chat(secret)
    await back.open(last_seq=chat.got["bot_uttered"][-1]["seq"])
    assert await back.texts(1) == stand.core.news
    stand.session(secret).level = "anonymous"
    later = await stand.chat(secret)
    await later.open(last_seq=0)
    await later.say("hello")
    assert await later.texts(1) == ["You said: hello"]


async def test_the_conversation_keeps_its_name_after_a_proof(stand: Stand) -> None:
    secret, chat = await with_card(stand)
    await submit(stand, secret)
    await chat.texts(1)
    await chat.say("and now?", session_id=stand.rasa.turns[0].conversation)
    assert await chat.texts(1) == ["You said: and now?"]


async def test_a_refused_code_stays_open(stand: Stand) -> None:
    stand.core.rotate, stand.core.answer = False, {"outcome": "refused", "text": "That code didn't work.", "tries_left": 4}
    secret, chat = await with_card(stand)
    response = await submit(stand, secret)
    assert response.json() == {"outcome": "refused", "text": "That code didn't work.", "tries_left": 4}
    assert "set-cookie" not in response.headers
    await chat.say("hm")
    await chat.texts(1)
    assert "card_update" not in chat.got
    assert stand.rasa.texts == ["pay", "hm"]


async def test_a_cancelled_card_is_said_in_the_chat(stand: Stand) -> None:
    stand.core.rotate, stand.core.answer = False, {"outcome": "cancelled", "text": "Cancelled. Nothing was sent."}
    secret, chat = await with_card(stand)
    assert (await submit(stand, secret, act="cancel", value="ignored")).json()["outcome"] == "cancelled"
    assert await chat.next("card_update") == {"ref": CARD, "state": "cancelled"}
    assert await chat.texts(1) == ["Cancelled. Nothing was sent."]
    assert "value" not in stand.core.acts[0]


async def test_a_closed_card_is_closed_in_every_tab(stand: Stand) -> None:
    stand.core.rotate, stand.core.answer = False, {"outcome": "closed", "text": "Too late."}
    secret, chat = await with_card(stand)
    other = await stand.chat(secret)
    await other.open()
    await submit(stand, secret)
    assert await chat.next("card_update") == await other.next("card_update") == {"ref": CARD, "state": "closed"}


async def test_a_closed_card_is_not_sent_again_to_a_tab_that_comes_back(stand: Stand) -> None:
    secret, chat = await with_card(stand)
    new = stand.secret_in(await submit(stand, secret))
    await chat.texts(1)
    back = await stand.chat(new)
    await back.open(last_seq=0)
    assert await back.texts(1) == ["You said: /confide_resume"]


async def test_a_card_waits_for_its_turn_in_the_lane(stand: Stand) -> None:
    secret, chat = await with_card(stand)
    gate, running, order = asyncio.Event(), asyncio.Event(), list[str]()

    async def slow(turn: Turn) -> dict[str, Any]:
        order.append(f"{turn.text} with {len(stand.core.acts)} acts")
        running.set()
        await gate.wait()
        return await echo(turn)

    stand.rasa.script = slow
    await chat.say("slow one")
    await running.wait()
    pending = asyncio.create_task(submit(stand, secret))
    gate.set()
    assert (await pending).status_code == 200
    await chat.texts(2)
    assert order == ["slow one with 0 acts", "/confide_resume with 1 acts"]


async def test_a_card_that_waits_while_the_customer_signs_out_is_not_handed_in(stand: Stand) -> None:
    secret, chat = await with_card(stand)
    gate, running = asyncio.Event(), asyncio.Event()

    async def slow(turn: Turn) -> dict[str, Any]:
        running.set()
        await gate.wait()
        return await echo(turn)

    stand.rasa.script = slow
    await chat.say("slow one")
    await running.wait()
    pending = asyncio.create_task(submit(stand, secret))
    while not stand.received("/chat/card"):
        await asyncio.sleep(0.01)
    await stand.post("/chat/sign-out", {}, secret)
    gate.set()
    assert (await pending).status_code == 404
    assert stand.core.acts == []


@pytest.mark.parametrize("card", [{"type": "carousel", "ref": CARD}, {"type": "confirm", "ref": "B" * 26}, {}])
async def test_what_is_not_that_card_is_not_shown(stand: Stand, card: dict[str, Any]) -> None:
    stand.core.cards[CARD] = card or {"title": "no type"}
    stand.rasa.script = says({"custom": {"type": "confirm", "ref": CARD}})
    chat = await stand.chat(await stand.visit())
    await chat.say("pay")
    assert await chat.texts(1) == [sentences.NOTHING_DONE]


@pytest.mark.parametrize(("body", "status"), [
    ({"ref": "short"}, 400), ({"ref": 5}, 400), ({"act": "steal"}, 400), ({"value": 123456}, 400), ({"value": ""}, 400),
    ({"value": None}, 400), ({"value": "\x00123456"}, 400), ({"value": "\ud800"}, 400), ({"value": "x" * 65}, 413), ({"ref": "B" * 26}, 404),
])
async def test_what_is_no_submission_is_refused(stand: Stand, body: dict[str, Any], status: int) -> None:
    secret, _ = await with_card(stand)
    assert (await submit(stand, secret, **body)).status_code == status


async def test_without_a_session_there_is_no_card(stand: Stand) -> None:
    assert (await stand.post("/chat/card", {"ref": CARD, "act": "submit", "value": CODE})).status_code == 404
    assert stand.core.acts == []


async def test_when_the_core_is_away_the_card_may_be_sent_again(stand: Stand) -> None:
    secret, chat = await with_card(stand)
    stand.core.broken["/core/cards/act"] = 503
    response = await submit(stand, secret)
    assert (response.status_code, response.json()["error"]) == (503, "away")
    assert "othing" not in response.json()["text"]  # whether the code was used up is not known
    stand.core.broken.clear()
    assert (await submit(stand, secret)).json()["outcome"] == "accepted"
    assert await chat.texts(1) == ["You said: /confide_resume"]


async def test_guessing_is_slowed_down(tmp_path: Path) -> None:
    tuning = dataclasses.replace(QUICK, rates=DEFAULT_RATES | {Kind.CARD: Rates("3/hour")})
    async with open_stand(tmp_path, tuning) as stand:
        stand.core.rotate, stand.core.answer = False, {"outcome": "refused", "text": "No."}
        secret, _ = await with_card(stand)
        assert [(await submit(stand, secret)).status_code for _ in range(4)] == [200, 200, 200, 429]
        assert len(stand.core.acts) == 3


async def test_the_value_is_in_no_log_and_never_reaches_rasa(
    stand: Stand, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    quiet_libraries()
    secret, chat = await with_card(stand)
    for status in (503, 500):
        stand.core.broken["/core/cards/act"] = status
        await submit(stand, secret)
    stand.core.broken.clear()
    await submit(stand, secret)
    await chat.texts(1)
    captured = capfd.readouterr()
    ours = "".join(record.getMessage() for record in caplog.records if record.name.startswith(("confide", "aiohttp", "asyncio", "uvicorn")))
    assert CODE not in ours + captured.out + captured.err + repr(stand.rasa.turns) + repr(chat.got)


def test_a_submission_does_not_show_its_value() -> None:
    assert CODE not in repr(Submission(CARD, "submit", CODE))


@pytest.mark.parametrize("body", [{}, {"ref": CARD}, {"ref": CARD, "act": ["submit"]}, {"ref": CARD, "act": "submit"}])
def test_a_submission_needs_all_its_parts(body: dict[str, object]) -> None:
    with pytest.raises(Refusal) as refused:
        parse_submission(body)
    assert refused.value.code is Code.MALFORMED
