"""A part of us is slow or away: the customer hears something, and only what is true."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from confide.gateway import sentences
from confide.gateway.aftermath import Patience
from confide.gateway.turns import MAX_UNSETTLED, Timing
from tests.unit.gateway.stand import CARD, PATIENCE, QUICK, Stand, Turn, echo, open_stand, says

DONE = {"outcome": "done", "text": "That took longer than it should have, but it's done: pay NAME_AAAAAAAA €5.00."}
OUTCOME = "/core/turn/outcome"


@pytest.fixture
async def impatient(tmp_path: Path) -> AsyncIterator[Stand]:
    """Return a stand that says after a moment that it is still working, and gives Rasa one second."""
    tuning = dataclasses.replace(QUICK, timing=Timing(progress=0.2, progress_at_least=0.2), deadline=1.0)
    async with open_stand(tmp_path, tuning) as stand:
        yield stand


def status(code: int) -> Any:
    async def script(_turn: Turn) -> Response:
        return JSONResponse({"error": "internal"}, code)

    return script


async def hang(_turn: Turn) -> Response:
    await asyncio.Event().wait()
    raise AssertionError


async def unreadable(_turn: Turn) -> Response:
    return Response(b"<html>")


async def huge(_turn: Turn) -> Response:
    return Response(b" " * 2_000_000 + b"{}")


async def not_a_list_of_messages(_turn: Turn) -> dict[str, Any]:
    return {"messages": [{"attachment": {"type": []}}, 5, None, {"text": 7}], "failed": None}


FAILURES = {
    "odd": not_a_list_of_messages,
    "busy": status(429), "store": status(503), "internal": status(500), "action": says({"text": "Done! The money is gone."}, failed="action"),
    "unreadable": unreadable, "huge": huge, "silent": says(),
    "card": says({"text": "Before money leaves…"}, {"custom": {"type": "confirm", "ref": CARD}}),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_nothing_was_done_is_said_when_the_core_says_so(stand: Stand, name: str) -> None:
    chat = await stand.chat(await stand.visit())
    stand.rasa.script = FAILURES[name]
    await chat.say("pay")
    assert await chat.texts(1) == [sentences.NOTHING_DONE]
    assert stand.core.outcomes == [stand.rasa.turns[0].capability.turn]
    stand.rasa.script = echo
    await chat.say("hello")
    assert await chat.texts(1) == ["You said: hello"]


async def test_what_was_done_after_all_is_said(stand: Stand) -> None:
    stand.core.outcome, stand.core.values = DONE, {"NAME_AAAAAAAA": "Maria Huber"}
    stand.rasa.script = status(500)
    chat = await stand.chat(await stand.visit())
    await chat.say("pay")
    assert await chat.texts(1) == ["That took longer than it should have, but it's done: pay Maria Huber €5.00."]


async def test_rasa_is_stopped_and_comes_back(stand: Stand) -> None:
    chat = await stand.chat(await stand.visit())
    await chat.open()
    await stand.rasa_server.stop()
    await chat.say("hello")
    assert await chat.texts(1) == [sentences.NOTHING_DONE]
    await stand.rasa_server.start()
    await chat.say("again")
    assert await chat.texts(1) == ["You said: again"]


async def test_values_that_cannot_be_fetched_are_a_failed_turn(stand: Stand) -> None:
    chat = await stand.chat(await stand.visit())
    stand.rasa.script = says({"text": "You have AMOUNT_7K2QX4MD."})
    stand.core.broken["/core/reveal"] = 503
    await chat.say("balance")
    assert await chat.texts(1) == [sentences.NOTHING_DONE]


async def test_with_core_and_rasa_away_nothing_is_claimed_until_the_core_is_back(stand: Stand) -> None:
    chat = await stand.chat(await stand.visit())
    await chat.open()
    await stand.core_server.stop()
    await stand.rasa_server.stop()
    await chat.say("pay")
    assert await chat.texts(1) == [sentences.UNKNOWN]
    await stand.rasa_server.start()
    await chat.say("hello")  # harmless talk goes on
    assert await chat.texts(1) == ["You said: hello"]
    await stand.core_server.start()
    assert await chat.texts(1) == [sentences.NOTHING_DONE_LATE]


async def test_what_was_done_is_told_when_the_core_is_back(stand: Stand) -> None:
    stand.core.broken[OUTCOME], stand.core.outcome = 503, DONE
    stand.rasa.script = says({"text": "Done."}, failed="action")
    chat = await stand.chat(await stand.visit())
    await chat.say("pay")
    assert await chat.texts(1) == [sentences.UNKNOWN]
    del stand.core.broken[OUTCOME]
    assert (await chat.texts(1))[0].endswith(f"pay {sentences.HIDDEN} €5.00.")


async def test_several_turns_that_did_nothing_are_one_sentence(tmp_path: Path) -> None:
    tuning = dataclasses.replace(QUICK, patience=Patience(pauses=(3_600.0,)))
    async with open_stand(tmp_path, tuning) as stand:
        stand.core.broken[OUTCOME], stand.rasa.script = 503, status(500)
        chat = await stand.chat(await stand.visit())
        for text in ("one", "two", "three"):
            await chat.say(text)
        assert await chat.texts(3) == [sentences.UNKNOWN] * 3
        del stand.core.broken[OUTCOME]
        stand.rasa.script = echo
        await chat.say("hello")  # a turn that worked is a reason to ask again at once
        assert await chat.texts(2) == ["You said: hello", sentences.NOTHING_DONE_LATE]
        await chat.say("bye")
        assert await chat.texts(1) == ["You said: bye"]
        assert stand.core.outcomes == [turn.capability.turn for turn in stand.rasa.turns[:3]]


async def test_an_outcome_that_the_core_will_not_tell_is_not_made_up(stand: Stand) -> None:
    stand.core.broken[OUTCOME], stand.rasa.script = 403, status(500)
    chat = await stand.chat(await stand.visit())
    await chat.say("pay")
    assert await chat.texts(2) == [sentences.UNKNOWN, sentences.GAVE_UP]


async def test_a_session_that_the_core_has_ended_starts_over_instead_of_giving_up(stand: Stand) -> None:
    secret = await stand.visit()
    chat = await stand.chat(secret)
    name = await chat.open()
    await chat.say("hello")
    await chat.texts(1)
    stand.session(secret).ended, stand.rasa.script = True, status(500)
    await chat.say("pay")
    assert await chat.next("session_changed") == {"level": "anonymous"}
    stand.rasa.script = echo
    assert await chat.open(last_seq=0) != name
    await chat.say("hello again")
    await chat.say("and again")
    heard = [message["text"] for message in chat.got["bot_uttered"][1:]] + await chat.texts(2)
    assert sentences.GAVE_UP not in heard
    assert sentences.UNKNOWN not in heard


async def test_an_unknown_outcome_in_a_session_that_the_core_has_ended_starts_over(stand: Stand) -> None:
    secret = await stand.visit()
    chat = await stand.chat(secret)
    await chat.open()
    stand.core.broken[OUTCOME], stand.rasa.script = 503, status(500)
    await chat.say("pay")
    assert await chat.texts(1) == [sentences.UNKNOWN]
    stand.session(secret).ended = True
    del stand.core.broken[OUTCOME]
    assert await chat.next("session_changed") == {"level": "anonymous"}
    back = await stand.chat(secret)
    await back.open()
    assert await back.texts(1) == [sentences.STARTED_OVER]


async def test_after_a_long_time_the_customer_is_told_what_to_do(tmp_path: Path) -> None:
    tuning = dataclasses.replace(QUICK, patience=Patience(pauses=(0.02,), give_up=0.2))
    async with open_stand(tmp_path, tuning) as stand:
        stand.core.broken[OUTCOME], stand.rasa.script = 503, status(500)
        chat = await stand.chat(await stand.visit())
        await chat.say("pay")
        assert await chat.texts(2) == [sentences.UNKNOWN, sentences.GAVE_UP]


async def test_too_many_unknown_outcomes_stop_new_turns(tmp_path: Path) -> None:
    async with open_stand(tmp_path, dataclasses.replace(QUICK, rates={})) as stand:
        stand.core.broken[OUTCOME], stand.rasa.script = 503, status(500)
        chat = await stand.chat(await stand.visit())
        for n in range(MAX_UNSETTLED):
            await chat.say(f"m{n}")
            await chat.texts(1)
        await chat.say("one more")
        assert await chat.texts(1) == [sentences.NOT_STARTED]
        assert "one more" not in stand.rasa.texts


async def test_a_slow_answer_is_announced(impatient: Stand) -> None:
    gate = asyncio.Event()

    async def slow(turn: Turn) -> dict[str, Any]:
        await gate.wait()
        return await echo(turn)

    impatient.rasa.script = slow
    chat = await impatient.chat(await impatient.visit())
    await chat.say("hello")
    assert await chat.texts(1) == [sentences.STILL_WORKING]
    gate.set()
    assert await chat.texts(1) == ["You said: hello"]


async def test_a_turn_that_never_ends_is_settled_at_its_deadline(impatient: Stand) -> None:
    impatient.rasa.script = hang
    chat = await impatient.chat(await impatient.visit())
    await chat.say("hello")
    assert await chat.texts(2) == [sentences.STILL_WORKING, sentences.NOTHING_DONE]


async def test_when_all_hang_the_customer_hears_early_that_nothing_is_known(impatient: Stand) -> None:
    gate = asyncio.Event()
    impatient.core.hanging = {"/health/ready": gate, OUTCOME: gate}
    impatient.rasa.script = hang
    chat = await impatient.chat(await impatient.visit())
    await chat.say("pay")
    assert await chat.texts(1) == [sentences.UNKNOWN]
    gate.set()
    impatient.core.hanging.clear()
    assert (await chat.texts(1))[0] in {sentences.NOTHING_DONE, sentences.NOTHING_DONE_LATE}
    assert len(chat.got["bot_uttered"]) == 2  # not told twice that nothing is known


async def test_the_customer_is_told_once_that_nothing_is_known(impatient: Stand) -> None:
    impatient.core.broken = {"/health/ready": 503, OUTCOME: 503}
    impatient.rasa.script = hang
    chat = await impatient.chat(await impatient.visit())
    await chat.say("pay")
    async with asyncio.timeout(PATIENCE):
        while impatient.core.calls.count(OUTCOME) < 3:  # asked in the turn, and again in the background
            await asyncio.sleep(0.01)
    impatient.core.broken.clear()
    assert await chat.texts(2) == [sentences.UNKNOWN, sentences.NOTHING_DONE_LATE]


@pytest.mark.parametrize("text", [sentences.UNKNOWN, sentences.STILL_WORKING, sentences.GAVE_UP, sentences.CARD_AWAY])
def test_a_sentence_that_knows_nothing_claims_nothing(text: str) -> None:
    assert "othing was" not in text
    assert "done" not in text
