"""Where the time of our turn goes, coarsely: the same turn as a whole, from Rasa on, and in the actions alone, called one after another."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from statistics import median
from typing import Any, TypeVar

from bench.inside import PATIENCE, Inside
from bench.our_side import OurSide, OurTalk
from bench.talk import BALANCE, HI, WrongAnswer
from confide.gateway.render import find_tokens
from tests.integration.chat import Chat

Result = TypeVar("Result")


@dataclass
class Hops:
    """Seconds of each hop of an utter turn and of an action turn."""

    utter: list[float] = field(default_factory=list)
    utter_rasa: list[float] = field(default_factory=list)
    action: list[float] = field(default_factory=list)
    action_rasa: list[float] = field(default_factory=list)
    action_alone: list[float] = field(default_factory=list)
    reveal: list[float] = field(default_factory=list)

    def parts(self) -> dict[str, dict[str, float]]:
        """Return the medians in milliseconds; `rest`, what neither Rasa nor the core accounts for, is the gateway with TLS, socket and client.

        Each part is the median of its own differences, call by call, so the parts add up to the whole only nearly.
        """
        nothing = [0.0] * len(self.utter)
        return {
            "utter": _medians(self.utter, self.utter_rasa, nothing, nothing),
            "action": _medians(self.action, self.action_rasa, self.action_alone, self.reveal),
        }


def _medians(whole: list[float], rasa: list[float], actions: list[float], reveal: list[float]) -> dict[str, float]:
    parts = {
        "whole": whole, "actions": actions, "rasa": [inner - outer for inner, outer in zip(rasa, actions, strict=True)], "reveal": reveal,
        "rest": [all_ - inner - values for all_, inner, values in zip(whole, rasa, reveal, strict=True)],
    }
    return {name: median(seconds) * 1000 for name, seconds in parts.items()}


async def measure(ours: OurSide, talks: int) -> Hops:
    """Time every hop four times in each of `talks` new conversations, after a round that does not count. Raises WrongAnswer, PeerError."""
    hops = Hops()
    for _ in range(talks):
        talk = await ours.open()
        for times in (Hops(), hops, hops, hops, hops):
            await _once(times, talk, ours.inside)
        await talk.close()
    return hops


async def _once(hops: Hops, talk: OurTalk, inside: Inside) -> None:
    chat = talk.chat
    hops.utter.append(await talk.say(HI))
    hops.utter_rasa.append((await _timed(inside.ask_rasa(chat, HI.text)))[0])
    hops.action.append(await talk.say(BALANCE))
    seconds, messages = await _timed(inside.ask_rasa(chat, BALANCE.text))
    hops.action_rasa.append(seconds)
    tokens = find_tokens([{"text": message["text"]} for message in messages])
    seconds, answer = await _timed(inside.core.post("/core/reveal", {"capability": inside.capability(chat), "tokens": tokens}, PATIENCE))
    if BALANCE.expected not in str(answer):
        raise WrongAnswer("the core revealed nothing")
    hops.reveal.append(seconds)
    hops.action_alone.append((await _timed(inside.actions.post("/webhook", _call(chat, inside), PATIENCE)))[0])


def _call(chat: Chat, inside: Inside) -> dict[str, Any]:
    """Return what Rasa sends to run the action, without a history."""
    message = {
        "text": BALANCE.text, "intent": {"name": "check_balance"}, "entities": [], "metadata": {"capability": inside.capability(chat)},
    }
    tracker = {
        "sender_id": chat.session_id, "slots": {}, "latest_message": message, "events": [], "paused": False, "active_loop": {},
        "latest_action_name": "action_listen",
    }
    return {"next_action": "action_check_balance", "sender_id": chat.session_id, "tracker": tracker, "domain": {}, "version": "3.6.21"}


async def _timed(call: Awaitable[Result]) -> tuple[float, Result]:
    started = time.perf_counter()
    result = await call
    return time.perf_counter() - started, result
