"""Talking over real sockets: sessions, cookies, tabs, and what is refused."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from pathlib import Path
from typing import Any

import pytest
import socketio.exceptions

from confide.gateway import delivery
from confide.gateway.delivery import Deliveries
from confide.gateway.limits import DEFAULT_RATES, Kind, Rates
from confide.gateway.main import quiet_libraries
from confide.gateway.sentences import HIDDEN, NOTHING_DONE
from tests.unit.gateway.stand import CARD, PATIENCE, QUICK, Stand, Turn, echo, open_stand, says

FOREIGN = "f" * 32


async def test_a_message_is_answered(stand: Stand) -> None:
    chat = await stand.chat(await stand.visit())
    name = await chat.open()
    assert await chat.say("hello", id="m1", metadata={"capability": "forged"}, session_id=name) == {"ok": True, "id": "m1"}
    assert await chat.texts(1) == ["You said: hello"]
    turn = stand.rasa.turns[0]
    assert turn.conversation == turn.capability.conversation == name
    assert list(turn.metadata) == ["capability"]
    assert turn.capability.deadline > turn.capability.turn / 1000 + 9


async def test_turns_rise(stand: Stand) -> None:
    chat = await stand.chat(await stand.visit())
    for text in ("one", "two", "three"):
        await chat.say(text)
    await chat.texts(3)
    turns = [turn.capability.turn for turn in stand.rasa.turns]
    assert turns == sorted(set(turns))
    assert stand.rasa.texts == ["one", "two", "three"]


async def test_typing_is_shown_and_ends(stand: Stand) -> None:
    chat = await stand.chat(await stand.visit())
    await chat.say("hello")
    assert [await chat.next("bot_typing"), await chat.next("bot_typing")] == [{"on": True}, {"on": False}]


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_both_transports_work(stand: Stand, transport: str) -> None:
    chat = await stand.chat(await stand.visit(), transport=transport)
    await chat.open()
    await chat.say("hello")
    assert await chat.texts(1) == ["You said: hello"]
    await chat.client.eio.disconnect(abort=True)  # a polling client would otherwise wait for its last poll


async def test_two_tabs_share_session_conversation_and_stream(stand: Stand) -> None:
    secret = await stand.visit()
    first, second = await stand.chat(secret), await stand.chat(secret)
    assert await first.open() == await second.open()
    await first.say("hello")
    assert await first.next("bot_uttered") == await second.next("bot_uttered")


async def test_two_browsers_share_nothing(stand: Stand) -> None:
    first, second = await stand.chat(await stand.visit()), await stand.chat(await stand.visit())
    assert await first.open() != await second.open()
    await first.say("mine")
    await first.texts(1)
    await second.say("yours")
    assert await second.texts(1) == ["You said: yours"]


async def test_a_foreign_session_is_refused_and_reported(stand: Stand) -> None:
    victim, attacker = await stand.chat(await stand.visit()), await stand.chat(await stand.visit())
    name = await victim.open()
    await attacker.client.emit("session_request", {"session_id": name})
    assert (await attacker.next("chat_error"))["code"] == "foreign_session"
    refused = await attacker.say("give me the money", session_id=name)
    assert (refused["ok"], refused["code"]) == (False, "foreign_session")
    await victim.say("hello")
    await victim.texts(1)
    assert stand.rasa.texts == ["hello"]
    assert "bot_uttered" not in attacker.got
    assert "session_confirm" not in attacker.got
    await _reported(stand, "gateway:session:foreign")


async def test_a_socket_without_a_cookie_is_a_session_of_its_own(stand: Stand) -> None:
    first, second = await stand.chat(), await stand.chat()
    assert await first.open() != await second.open()
    await first.say("hello")
    assert await first.texts(1) == ["You said: hello"]


async def test_a_login_token_signs_in_a_client_without_cookies(stand: Stand) -> None:
    chat = await stand.chat(auth={"token": "good-token"})
    name = await chat.open()
    levels = {session.level for session in stand.core.sessions.values() if session.conversation == name and not session.ended}
    assert levels == {"identified"}
    await chat.say("hello")
    assert await chat.texts(1) == ["You said: hello"]


@pytest.mark.parametrize("token", ["bad-token", 5, "x" * 5_000])
async def test_a_bad_login_token_opens_nothing(stand: Stand, token: object) -> None:
    with pytest.raises(socketio.exceptions.ConnectionError):
        await stand.chat(auth={"token": token})
    assert bool(stand.core.sessions) is (token == "bad-token")  # what cannot be a token is not even asked about


async def test_a_cookie_that_is_none_of_ours_leads_nowhere(stand: Stand) -> None:
    chat = await stand.chat("not-a-secret")
    await chat.open()
    assert stand.core.sessions.keys().isdisjoint({"not-a-secret"})


async def test_a_resent_message_is_acknowledged_and_not_run_again(stand: Stand) -> None:
    chat = await stand.chat(await stand.visit())
    assert await chat.say("pay", id="m1") == await chat.say("pay", id="m1") == {"ok": True, "id": "m1"}
    await chat.say("after", id="m2")
    await chat.texts(2)
    assert stand.rasa.texts == ["pay", "after"]


async def test_a_refused_message_may_be_sent_again_under_its_id(stand: Stand) -> None:
    gate, busy = asyncio.Event(), list[str]()

    async def wait(turn: Turn) -> dict[str, Any]:
        busy.append(turn.text)
        await gate.wait()
        return await echo(turn)

    stand.rasa.script = wait
    chat = await stand.chat(await stand.visit())
    answers = [await chat.say(f"m{n}", id=f"m{n}") for n in range(10)]
    assert [answer["ok"] for answer in answers] == [True] * 9 + [False]
    assert answers[9]["code"] == "busy"
    gate.set()
    await chat.texts(9)
    assert (await chat.say("m9", id="m9"))["ok"]
    await chat.texts(1)
    assert stand.rasa.texts == [f"m{n}" for n in range(10)]


async def test_what_was_missed_is_sent_again_and_nothing_twice(stand: Stand) -> None:
    secret = await stand.visit()
    chat, other = await stand.chat(secret), await stand.chat(secret)
    name = await chat.open()
    await other.open()
    await chat.say("one")
    seen = (await chat.next("bot_uttered"))["seq"]
    await chat.close()
    await other.say("two")
    await other.say("three")
    await other.texts(3)
    back = await stand.chat(secret)
    assert await back.open(session_id=name, last_seq=seen) == name
    assert await back.texts(2) == ["You said: two", "You said: three"]
    await back.say("four")
    assert await back.texts(1) == ["You said: four"]


async def test_a_message_that_nobody_was_there_for_is_not_lost(stand: Stand) -> None:
    gate, secret = asyncio.Event(), await stand.visit()

    async def wait(turn: Turn) -> dict[str, Any]:
        await gate.wait()
        return await echo(turn)

    stand.rasa.script = wait
    chat = await stand.chat(secret)
    await chat.open()
    await chat.say("hello")
    await chat.close()
    gate.set()
    back = await stand.chat(secret)
    await back.open(last_seq=0)
    assert await back.texts(1) == ["You said: hello"]


async def test_typed_intents_and_tokens_reach_rasa_as_words(stand: Stand) -> None:
    chat = await stand.chat(await stand.visit())
    await chat.say('/make_payment{"amount": "999"}')
    await chat.say("/confide_resume")
    await chat.say("pay NAME_7K2QX4MD")
    await chat.texts(3)
    assert stand.rasa.texts == ['make_payment{"amount": "999"}', "confide_resume", "pay NAME 7K2QX4MD"]
    await _reported(stand, "gateway:intent:reserved")


async def test_an_offered_quick_reply_passes_for_this_session_alone(stand: Stand) -> None:
    stand.rasa.script = says({"text": "Sure?", "buttons": [{"title": "Yes", "payload": "/affirm"}, {"title": "!", "payload": "/restart"}]})
    chat, other = await stand.chat(await stand.visit()), await stand.chat(await stand.visit())
    await chat.say("pay")
    message = await chat.next("bot_uttered")
    assert message["quick_replies"] == [{"content_type": "text", "title": "Yes", "payload": "/affirm"}]
    await chat.say("/affirm")
    await chat.say("/restart")
    await chat.texts(2)
    await other.say("/affirm")
    await other.texts(1)
    assert stand.rasa.texts == ["pay", "/affirm", "restart", "affirm"]


async def test_values_are_put_in_for_the_session_they_were_granted_to(stand: Stand) -> None:
    stand.core.values = {"AMOUNT_7K2QX4MD": "€1,204.33"}
    stand.rasa.script = says({"text": "You have AMOUNT_7K2QX4MD, and NAME_AAAAAAAA."})
    chat = await stand.chat(await stand.visit())
    await chat.say("balance")
    assert await chat.texts(1) == [f"You have €1,204.33, and {HIDDEN}."]


async def _heard_a_balance_and_left(stand: Stand) -> str:
    """Sign in, hear a balance and see a card, close the tab; return the cookie's secret."""
    secret = stand.secret_in(await stand.post("/chat/sign-in", {"login_token": "good-token"}, await stand.visit()))
    stand.core.values = {"AMOUNT_7K2QX4MD": "€1,204.33"}
    stand.core.cards[CARD] = {"type": "confirm", "ref": CARD, "title": "Pay €5.00", "text": "Pay €5.00 to Ada", "cancel": True}
    stand.rasa.script = says({"text": "You have AMOUNT_7K2QX4MD."}, {"text": "And more."}, {"custom": {"type": "confirm", "ref": CARD}})
    chat = await stand.chat(secret)
    await chat.say("balance")
    assert await chat.texts(3) == ["You have €1,204.33.", "And more.", "Pay €5.00 to Ada"]
    await chat.close()
    stand.rasa.script = echo
    return secret


async def _sees_again(stand: Stand, secret: str) -> list[str]:
    """Return what a reload of the page shows."""
    back = await stand.chat(secret)
    await back.open(last_seq=0)
    await back.say("the end")
    texts = list[str]()
    while "You said: the end" not in texts:
        texts += await back.texts(1)
    return texts[:-1]


async def test_who_is_still_signed_in_sees_all_of_it_again(stand: Stand) -> None:
    secret = await _heard_a_balance_and_left(stand)
    assert await _sees_again(stand, secret) == ["You have €1,204.33.", "And more.", "Pay €5.00 to Ada"]


async def test_a_session_that_fell_to_anonymous_sees_no_values_and_cards_again(stand: Stand) -> None:
    secret = await _heard_a_balance_and_left(stand)
    stand.session(secret).level = "anonymous"
    assert await _sees_again(stand, secret) == [f"You have {HIDDEN}.", "And more."]


async def test_while_the_core_is_away_nobody_sees_values_and_cards_again(stand: Stand) -> None:
    secret = await _heard_a_balance_and_left(stand)
    stand.core.broken = {"/core/session/state": 503, "/core/session/resume": 503}
    assert await _sees_again(stand, secret) == [f"You have {HIDDEN}.", "And more."]


async def test_what_was_revealed_while_the_core_did_not_tell_the_level_is_not_shown_again(stand: Stand) -> None:
    stand.core.broken = {"/core/session/state": 503}
    secret = await _heard_a_balance_and_left(stand)
    stand.core.broken = {}
    assert await _sees_again(stand, secret) == [f"You have {HIDDEN}.", "And more."]


@pytest.mark.parametrize("odd", [5, "x", [{"title": 5}], {"payload": "/x"}])
async def test_an_odd_payload_of_a_designer_does_not_silence_the_bot(stand: Stand, odd: object) -> None:
    stand.rasa.script = says({"custom": {"type": "survey", "quick_replies": odd}}, {"text": "And more."})
    chat = await stand.chat(await stand.visit())
    await chat.say("hello")
    assert await chat.texts(2) == ["", "And more."]


async def test_an_answer_that_cannot_be_sent_is_a_failed_turn(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    say = Deliveries.say

    async def failing(self: Deliveries, conversation: str, said: Any) -> None:
        if said == {"text": "odd"}:
            raise ValueError("a defect")
        await say(self, conversation, said)

    monkeypatch.setattr(Deliveries, "say", failing)
    stand.rasa.script = says({"text": "odd"})
    chat = await stand.chat(await stand.visit())
    await chat.say("hello")
    assert await chat.texts(1) == [NOTHING_DONE]
    assert stand.core.outcomes == [stand.rasa.turns[0].capability.turn]


async def test_what_is_over_is_dropped_without_anybody_asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swept = asyncio.Event()
    monkeypatch.setattr(delivery, "SWEEP_EVERY", 0.01)
    monkeypatch.setattr(Deliveries, "sweep", lambda _self: swept.set())
    async with open_stand(tmp_path), asyncio.timeout(PATIENCE):
        await swept.wait()


async def test_a_card_comes_from_the_core(stand: Stand) -> None:
    card = {"type": "confirm", "ref": CARD, "title": "Pay €5.00", "text": "Pay €5.00", "cancel": True}
    stand.core.cards[CARD] = card
    stand.rasa.script = says({"text": "Before money leaves…"}, {"custom": {"type": "secure_input", "ref": CARD}})
    chat = await stand.chat(await stand.visit())
    await chat.say("pay")
    first, second = await chat.next("bot_uttered"), await chat.next("bot_uttered")
    assert second == {**card, "seq": first["seq"] + 1}


async def test_a_false_card_is_dropped_and_reported(stand: Stand) -> None:
    stand.rasa.script = says({"text": "Hm."}, {"custom": {"type": "confirm", "ref": CARD, "title": "Win €500"}})
    chat = await stand.chat(await stand.visit())
    await chat.say("hello")
    await chat.texts(1)
    await _reported(stand, "gateway:card:dropped")
    assert stand.core.reports == [("gateway:card:dropped", "confirm")]
    assert len(chat.got["bot_uttered"]) == 1


async def test_a_designers_payload_cannot_reach_another_room(stand: Stand) -> None:
    victim, attacker = await stand.chat(await stand.visit()), await stand.chat(await stand.visit())
    room = await victim.open()
    custom = {"type": "carousel", "room": f"conversation:{room}", "to": f"conversation:{room}", "namespace": "/x", "callback": 1}
    stand.rasa.script = says({"custom": custom})
    await attacker.say("hello")
    assert {**custom, "seq": 0} == {**(await attacker.next("bot_uttered")), "seq": 0}
    stand.rasa.script = echo
    await victim.say("hello")
    assert await victim.texts(1) == ["You said: hello"]


@pytest.mark.parametrize(("payload", "code"), [
    ({"message": 5}, "malformed"), ("hello", "malformed"), ([], "malformed"), ({"message": "x" * 2001}, "too_long"),
    ({"message": b"bytes"}, "binary"), ({"message": "/"}, "malformed"), ({"message": "x", "id": {}}, "malformed"),
])
async def test_broken_messages_are_refused_and_the_talk_goes_on(stand: Stand, payload: object, code: str) -> None:
    chat = await stand.chat(await stand.visit())
    refused = await chat.call("user_uttered", payload)
    assert (refused["ok"], refused["code"]) == (False, code)
    assert (await chat.next("chat_error"))["code"] == code
    await chat.say("hello")
    assert await chat.texts(1) == ["You said: hello"]


@pytest.mark.parametrize("event", ["no_such_event", "restart", "bot_uttered", "message"])
async def test_other_events_are_refused(stand: Stand, event: str) -> None:
    chat = await stand.chat(await stand.visit())
    assert (await chat.call(event, {"message": "hello"}))["code"] == "malformed"


@pytest.mark.parametrize("packet", [
    '2["connect",{"asgi.scope":{}}]', '2["disconnect"]', '2[{"message":"x"}]', "2[]", "2{}", '2"x"', "2", "9", "x", '2["user_uttered"',
    '51-["user_uttered",{"_placeholder":true,"num":7}]', "2999999", "4{}", '2["' + "e" * 100 + '"]',
])
async def test_broken_packets_are_refused_without_a_trace(stand: Stand, packet: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    chat = await stand.chat(await stand.visit())
    name = await chat.open()
    await chat.client.eio.send(packet)
    if packet.startswith("51-"):
        await chat.client.eio.send(b"attachment")
    assert (await chat.next("chat_error"))["code"] in {"malformed", "binary"}
    assert await chat.open() == name
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING and record.name != "asyncio"]


async def test_too_many_messages_are_refused_kindly_and_a_flood_ends(tmp_path: Path) -> None:
    rates = DEFAULT_RATES | {Kind.MESSAGE: Rates("3/hour"), Kind.EVENT: Rates("20/hour")}
    async with open_stand(tmp_path, dataclasses.replace(QUICK, rates=rates)) as stand:
        chat = await stand.chat(await stand.visit())
        codes = [(await chat.say(f"m{n}")).get("code") for n in range(5)]
        assert codes == [None, None, None, "too_fast", "too_fast"]
        assert (await chat.next("chat_error"))["code"] == "too_fast"
        await chat.texts(3)
        for _ in range(300):
            await chat.client.emit("user_uttered", {"message": "flood"})
        async with asyncio.timeout(PATIENCE):
            await chat.client.wait()
        assert len(stand.rasa.turns) == 3
        await _reported(stand, "gateway:limit:exceeded")


async def test_too_many_events_of_any_kind_are_refused(tmp_path: Path) -> None:
    async with open_stand(tmp_path, dataclasses.replace(QUICK, rates={Kind.EVENT: Rates("3/hour")})) as stand:
        chat = await stand.chat(await stand.visit())
        for _ in range(3):
            await chat.open()
        assert (await chat.call("session_request", {}))["code"] == "too_fast"
        assert (await chat.call("nonsense", {}))["code"] == "too_fast"


async def test_a_session_goes_on_after_the_gateway_was_restarted(stand: Stand) -> None:
    secret = await stand.visit()
    chat = await stand.chat(secret)
    name = await chat.open()
    await chat.say("hello")
    await chat.texts(1)
    await _until(lambda: stand.core.sessions)
    await stand.gateway.stop()
    await stand.gateway.start()
    back = await stand.chat(secret)
    assert await back.open(session_id=name, last_seq=chat.got["bot_uttered"][0]["seq"]) == name
    await back.say("again")
    message = await back.next("bot_uttered")
    assert message["text"] == "You said: again"
    assert message["seq"] > chat.got["bot_uttered"][0]["seq"]
    assert stand.rasa.turns[1].capability.turn > stand.rasa.turns[0].capability.turn


async def test_after_a_restart_while_the_core_is_away_the_socket_waits_and_needs_not_come_back(stand: Stand) -> None:
    secret = await stand.visit()
    name = await (await stand.chat(secret)).open()
    await _until(lambda: stand.core.sessions)
    await stand.gateway.stop()
    stand.core.broken["/core/session/resume"] = 503
    await stand.gateway.start()
    chat = await stand.chat(secret)
    await chat.client.emit("session_request", {"session_id": name})
    assert (await chat.next("chat_error"))["code"] == "away"
    assert (await chat.say("hello"))["code"] == "away"
    del stand.core.broken["/core/session/resume"]
    assert await chat.next("session_confirm") == name
    await chat.say("hello")
    assert await chat.texts(1) == ["You said: hello"]


async def test_nothing_that_was_said_is_logged(stand: Stand, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.DEBUG)
    quiet_libraries()
    chat = await stand.chat(await stand.visit())
    stand.rasa.script = says({"text": "a canary from Rasa"})
    for payload in ({"message": "canary"}, {"message": {"canary": "canary"}}, {"message": "canary" * 900}, "canary", {"canary": b"canary"}):
        await chat.call("user_uttered", payload)
    await chat.client.eio.send('2["canary')
    await chat.texts(1)
    captured = capfd.readouterr()
    ours = "".join(record.getMessage() for record in caplog.records if not record.name.startswith(("socketio.client", "engineio.client")))
    assert "canary" not in ours + captured.out + captured.err


async def _until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


async def _reported(stand: Stand, event: str) -> None:
    await _until(lambda: event in {name for name, _ in stand.core.reports})
