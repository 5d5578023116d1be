"""The action server's ASGI app: signed callers only, bounded bodies, errors that say nothing of what was sent.

The SDK's own server authenticates nobody, allows any origin and echoes the request on an exception (rasa-facts.md 0.3, section 4);
only its executor is used. OWASP ASVS 5.0 13.2.1, 16.5.1; requirements.md S2, S3.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from rasa_sdk import Action
from rasa_sdk.executor import ActionExecutor
from rasa_sdk.interfaces import ActionExecutionRejection, ActionNotFoundException
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from confide.core import Core
from confide.identity.capability import CapabilityRefused
from confide.identity.login_token import LoginRefused
from confide.internal.signing import Unauthenticated, Verifier
from confide.server.core_api import CoreApi, Malformed, NotFound
from confide.storage.database import DatabaseAway
from confide.storage.envelope import SealBroken
from confide.storage.keyring import KeyProviderError

#: Bytes of a body: a tracker slice from Rasa, a small object from the gateway.
MAX_WEBHOOK, MAX_CORE = 2_000_000, 64_000

Handler = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
log = structlog.get_logger("confide.server")

_STATUS: dict[type[Exception], tuple[int, str]] = {
    Unauthenticated: (401, "unauthenticated"), LoginRefused: (401, "login_refused"), CapabilityRefused: (403, "capability_refused"),
    NotFound: (404, "not_found"), Malformed: (400, "malformed"), DatabaseAway: (503, "away"), KeyProviderError: (503, "away"),
    SealBroken: (503, "away"), ActionNotFoundException: (404, "unknown_action"), ActionExecutionRejection: (400, "rejected"),
}


@dataclass(frozen=True)
class Endpoint:
    """One path: who may call it, how much they may send, and what runs."""

    caller: str
    max_bytes: int
    handler: Handler
    verifier: Verifier

    async def __call__(self, request: Request) -> Response:
        try:
            body = await _read(request, self.max_bytes)
            caller = self.verifier.verify(request.method, request.url.path, body, request.headers)
            if caller != self.caller:
                raise Unauthenticated
            return JSONResponse(await self.handler(_parse(body) if request.method == "POST" else {}))
        except Exception as error:  # noqa: BLE001 - one place turns every failure into an answer that tells nothing
            return _failure(error)


def build_app(core: Core, api: CoreApi, actions: Sequence[Action], verifier: Verifier) -> Starlette:
    """Return the app: Rasa's webhook, the gateway's calls, and health."""
    executor = ActionExecutor()
    for action in actions:
        executor.register_action(action)

    async def webhook(body: Mapping[str, Any]) -> Mapping[str, Any]:
        result: Mapping[str, Any] = await executor.run(dict(body)) or {"events": [], "responses": []}
        return result

    def in_thread(call: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Handler:
        async def run(body: Mapping[str, Any]) -> Mapping[str, Any]:
            return await asyncio.to_thread(call, body)

        return run

    async def live(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    routes = [Route("/health/live", live)]
    routes.append(_route("/webhook", Endpoint("rasa", MAX_WEBHOOK, webhook, verifier)))
    routes.append(_route("/health/ready", Endpoint("gateway", MAX_CORE, in_thread(lambda _body: core.health()), verifier), "GET"))
    routes += [_route(path, Endpoint("gateway", MAX_CORE, in_thread(call), verifier)) for path, call in api.routes().items()]
    return Starlette(routes=routes)


def _route(path: str, endpoint: Endpoint, method: str = "POST") -> Route:
    async def handle(request: Request) -> Response:
        return await endpoint(request)

    return Route(path, handle, methods=[method])


async def _read(request: Request, limit: int) -> bytes:
    body = bytearray()
    if request.headers.get("content-encoding"):
        raise Malformed("content-encoding")  # no inflating: a small bomb would be a large body
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise Malformed("body")
    return bytes(body)


def _parse(body: bytes) -> Mapping[str, Any]:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("body") from None
    if not isinstance(parsed, dict):
        raise Malformed("body")
    return parsed


def _failure(error: Exception) -> Response:
    status, code = _STATUS.get(type(error), (500, "internal"))
    # The type and where it came from, never its text: exception texts carry what was being handled.
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{place.tb_lineno}" if place else "?"
    (log.error if status >= 500 else log.info)("call_failed", code=code, error=type(error).__name__, where=where)
    return JSONResponse({"error": code}, status_code=status)
