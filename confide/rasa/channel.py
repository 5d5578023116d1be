"""Rasa's input channel for the gateway alone: docs/protocol.md, section 3.

A signed call carries one message; the answer carries what the bot said and whether an action failed. Nothing of a message is logged.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from rasa.core.channels.channel import CollectingOutputChannel, InputChannel, UserMessage
from rasa.shared.exceptions import RasaException
from sanic import Blueprint, HTTPResponse, Request
from sanic.response import json as answer

from confide.internal.signing import Unauthenticated, Verifier
from confide.rasa.lock import LaneFull
from confide.rasa.tracker_records import StoreError
from confide.rasa.turn import CURRENT, Turn

logger = logging.getLogger(__name__)

NAME = "confide"
#: Characters. The gateway takes 2,000 from a person; tokens in place of personal values make a text longer.
MAX_TEXT = 10_000
_CONVERSATION = re.compile(r"[0-9a-f]{32}")

OnMessage = Callable[[UserMessage], Awaitable[Any]]


class Collector(CollectingOutputChannel):
    """Collects what the bot says; named like the channel, so that responses written for it are chosen."""

    @classmethod
    def name(cls) -> str:
        return NAME


class Malformed(Exception):
    """The body is not what the protocol says."""


@dataclass(frozen=True)
class Message:
    """One message of the gateway."""

    conversation: str
    text: str
    metadata: dict[str, str]

    @classmethod
    def parse(cls, body: bytes) -> Message:
        """Raises Malformed."""
        try:
            fields = json.loads(body)
            message = cls(fields["conversation"], fields["text"], {"capability": fields["metadata"]["capability"]})
        except (ValueError, KeyError, TypeError, RecursionError):
            raise Malformed from None
        texts = (message.conversation, message.text, message.metadata["capability"])
        if not all(isinstance(text, str) for text in texts) or len(message.text) > MAX_TEXT:
            raise Malformed
        if not _CONVERSATION.fullmatch(message.conversation):
            raise Malformed
        return message


class ConfideInput(InputChannel):
    """The only channel of our Rasa."""

    def __init__(self, verifier: Verifier, probe: Callable[[], Awaitable[None]]) -> None:
        """`probe` raises StoreError while the tracker store is away."""
        self._verifier = verifier
        self._probe = probe
        self._running: set[asyncio.Task[HTTPResponse]] = set()

    @classmethod
    def name(cls) -> str:
        return NAME

    @classmethod
    def from_credentials(cls, credentials: dict[str, Any] | None) -> ConfideInput:
        """Turn plain `rasa run` away: it would start Rasa with its stores falling back to memory and its logs open."""
        raise RasaException("this channel opens only in `python -m confide.rasa` (make run), not in plain `rasa run`")

    def blueprint(self, on_new_message: OnMessage) -> Blueprint:
        """Return the two routes of the protocol."""
        routes = Blueprint("confide_input")

        async def webhook(request: Request) -> HTTPResponse:
            if not self._authentic(request):
                return answer({"error": "unauthenticated"}, 401)
            return await self._finish(self._turn(request.body, on_new_message))

        async def health(request: Request) -> HTTPResponse:
            if not self._authentic(request):
                return answer({"error": "unauthenticated"}, 401)
            return await self._health()

        routes.add_route(webhook, "/webhook", methods=["POST"])
        routes.add_route(health, "/health", methods=["GET"])
        return routes

    async def drain(self) -> None:
        """Wait until the turns that are running have been saved."""
        await asyncio.gather(*self._running, return_exceptions=True)

    def _authentic(self, request: Request) -> bool:
        try:
            self._verifier.verify(request.method, request.path, request.body, request.headers)
        except Unauthenticated:
            return False
        return True

    async def _finish(self, turn: Any) -> HTTPResponse:
        """Run a turn to its end even when the gateway hangs up: half a turn would forget what an action has already done."""
        task = asyncio.create_task(turn)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _turn(self, body: bytes, on_new_message: OnMessage) -> HTTPResponse:
        turn, collector = Turn(), Collector()
        CURRENT.set(turn)
        try:
            message = Message.parse(body)
            await on_new_message(
                UserMessage(message.text, collector, message.conversation, input_channel=NAME, metadata=dict(message.metadata))
            )
        except Malformed:
            return answer({"error": "malformed"}, 400)
        except LaneFull:
            return answer({"error": "busy"}, 429)
        except StoreError as error:
            return _store_failed(error, turn)
        except Exception as error:  # noqa: BLE001 - the customer never meets silence, nor the text of a failure
            logger.error("a turn failed (%s)", type(error).__name__)
            return answer({"error": "internal"}, 500)
        return answer({"messages": [_public(said) for said in collector.messages], "failed": "action" if turn.failed else None})

    async def _health(self) -> HTTPResponse:
        try:
            await self._probe()
        except StoreError:
            return answer({"store": "away"}, 503)
        return answer({"store": "ok"})


def _store_failed(error: StoreError, turn: Turn) -> HTTPResponse:
    """503 promises that the turn did nothing. When an action was already called that is not known: the gateway asks the core."""
    logger.error("a turn was refused: %s", error)
    return answer({"error": "internal"}, 500) if turn.called else answer({"error": "store"}, 503)


def _public(said: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if name != "recipient_id"}
