"""How Rasa calls the actions: signed, kept alive, bounded in time and size, and silent about what went wrong.

Replaces rasa.utils.endpoints.EndpointConfig.request, which opens a connection per call, signs nothing, and puts the answer of a failed
call, with the whole tracker in it, into an exception that Rasa logs.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import jsonschema
from rasa.shared.core.domain import Domain
from rasa.utils.endpoints import ClientResponseError, EndpointConfig

from confide.internal.signing import Signer
from confide.rasa.action_payload import trim
from confide.rasa.turn import note_call, note_failure

#: Seconds for one call, below the turn's deadline of ten.
TOTAL_TIMEOUT = 9.0
#: Seconds an idle connection is kept; below the server's own, so that it never closes one under a call.
KEEP_ALIVE = 15.0
MAX_ANSWER = 1_000_000
MAX_CALL = 1_000_000


class ActionCallFailed(Exception):
    """A call to the action server failed. Says a status or a kind, never a body, an argument or an id."""


class SignedActionEndpoint(EndpointConfig):
    """The action server at `url` (`http://host:port/webhook`)."""

    def __init__(self, url: str, signer: Signer, validator: jsonschema.protocols.Validator) -> None:
        # selective_domain keeps Rasa from serialising the domain for every call; we send the two parts that forms need
        super().__init__(url=url, selective_domain=True)
        self._path = urlsplit(url).path or "/"
        self._signer = signer
        self._validator = validator
        self._domain: Mapping[str, Any] = {}
        self._session: aiohttp.ClientSession | None = None

    def use_domain(self, domain: Domain) -> None:
        """Take the forms and slots that calls carry from the loaded model's domain."""
        self._domain = domain.as_dict()

    async def request(
        self, method: str = "post", subpath: str | None = None, content_type: str | None = "application/json",
        compress: bool = False, **kwargs: Any,
    ) -> Any:
        """Run one action and return its answer, checked against Rasa's schema.

        Raises ClientResponseError (400, without Rasa's own text) when the action rejects to run, which is a normal outcome, and
        ActionCallFailed for all else; the turn is then noted as failed.
        """
        call: Mapping[str, Any] = kwargs["json"]
        note_call()
        try:
            async with asyncio.timeout(TOTAL_TIMEOUT):
                status, body = await self._post(trim(call, self._domain))
            return self._answer(call, status, body)
        except ClientResponseError:
            raise
        except ActionCallFailed:
            note_failure()
            raise
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            note_failure()
            raise ActionCallFailed(f"the action server did not answer ({type(error).__name__})") from None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _post(self, call: Mapping[str, Any]) -> tuple[int, bytes]:
        body = json.dumps(call).encode()
        if len(body) > MAX_CALL:
            raise ActionCallFailed("the call is too large")
        headers = {
            "Content-Type": "application/json", "Accept-Encoding": "identity", **self._signer.headers("POST", self._path, body),
        }
        async with self._connections().post(self.url, data=body, headers=headers, allow_redirects=False) as response:
            return response.status, await _read(response)

    def _connections(self) -> aiohttp.ClientSession:
        if self._session is None:  # made here, because it belongs to the running loop
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=64, keepalive_timeout=KEEP_ALIVE), auto_decompress=False, trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=TOTAL_TIMEOUT, connect=2.0),
            )
        return self._session

    def _answer(self, call: Mapping[str, Any], status: int, body: bytes) -> Any:
        try:
            answer = json.loads(body)
        except ValueError:
            raise ActionCallFailed(f"the action server answered {status} without JSON") from None
        if status == 400 and isinstance(answer, dict) and answer.get("action_name") == call["next_action"]:
            raise ClientResponseError(400, "rejected", json.dumps({"action_name": call["next_action"]}))
        if status != 200:
            raise ActionCallFailed(f"the action server answered {status}")
        if not self._validator.is_valid(answer):
            raise ActionCallFailed("the answer does not follow the schema")
        return answer


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER:
            raise ActionCallFailed("the answer is too large")
    return bytes(body)
