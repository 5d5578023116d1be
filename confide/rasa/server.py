"""The HTTP server of the Rasa process: one channel, loopback, nothing of Rasa's own API.

Built from Rasa's parts instead of `rasa run`, which binds all addresses, opens CORS, and puts safety nets under its stores that lose data.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import sanic
from jsonschema.protocols import Validator
from rasa.core.channels.channel import register
from rasa.core.nlg.response import TemplatedNaturalLanguageGenerator
from sanic import HTTPResponse, Request, Sanic
from sanic.config import Config
from sanic.exceptions import SanicException
from sanic.response import json as answer

from confide.internal.signing import Signer, Verifier
from confide.rasa.action_endpoint import SignedActionEndpoint
from confide.rasa.agent import SafeAgent, SafeProcessor, answer_validator, speed_up
from confide.rasa.channel import ConfideInput
from confide.rasa.lock import FifoLockStore
from confide.rasa.tracker_records import Records
from confide.rasa.tracker_store import WINDOW_TURNS, ConfideTrackerStore

logger = logging.getLogger(__name__)

#: Bytes. A message of 10,000 characters and its capability fit; megabytes of text would block every conversation for seconds.
MAX_BODY = 65_536
App = Sanic[Config, SimpleNamespace]

ROUTES = frozenset({"", "webhooks/confide/webhook", "webhooks/confide/health"})


class SelfCheckFailed(Exception):
    """The live agent is not put together as it must be. The message says which part."""


@dataclass(frozen=True)
class Parts:
    """What the process is made of."""

    agent: SafeAgent
    store: ConfideTrackerStore
    lanes: FifoLockStore
    endpoint: SignedActionEndpoint
    channel: ConfideInput


def assemble(records: Records, model: Path, actions_url: str, signer: Signer, gateway_key: bytes) -> Parts:
    """Load the verified `model` and connect it. Raises SelfCheckFailed and whatever Rasa raises on loading."""
    speed_up()
    validator: Validator = answer_validator()
    store, lanes = ConfideTrackerStore(records=records), FifoLockStore()
    endpoint = SignedActionEndpoint(actions_url.rstrip("/") + "/webhook", signer, validator)
    agent = SafeAgent(tracker_store=store, lock_store=lanes, action_endpoint=endpoint)
    agent.load_model(model)
    endpoint.use_domain(agent.domain)
    channel = ConfideInput(Verifier({"gateway": gateway_key}), store.probe)
    parts = Parts(agent, store, lanes, endpoint, channel)
    check(parts)
    return parts


def check(parts: Parts) -> None:
    """Look at the live agent: our parts, unwrapped, in every place, and a model whose memory fits our window. Raises SelfCheckFailed."""
    agent, processor = parts.agent, parts.agent.processor
    _require(type(processor) is SafeProcessor, "the processor is not ours")
    _require(agent.tracker_store is parts.store and processor.tracker_store is parts.store, "the tracker store is replaced or wrapped")
    _require(type(parts.store) is ConfideTrackerStore, "the tracker store is not ours")
    _require(agent.lock_store is parts.lanes and processor.lock_store is parts.lanes, "the lock store is replaced")
    _require(agent.action_endpoint is parts.endpoint and processor.action_endpoint is parts.endpoint, "the action endpoint is replaced")
    _require(type(agent.nlg) is TemplatedNaturalLanguageGenerator, "responses come from elsewhere")
    outside = (agent.model_server, agent.remote_storage, agent.http_interpreter, processor.http_interpreter)
    _require(outside == (None,) * len(outside), "a model or NLU server is configured")
    for node in processor.model_metadata.predict_schema.nodes.values():
        config = {**node.uses.get_default_config(), **node.config}
        history = config.get("max_history", 0)
        _require(
            history is not None and history <= WINDOW_TURNS,
            f"{node.uses.__name__} looks back without end or further than {WINDOW_TURNS} turns; set its max_history in config.yml",
        )


def build_app(parts: Parts) -> App:
    """Return the app with the channel's routes and an empty `/` that says the process lives. Raises SelfCheckFailed."""
    app = Sanic("confide-rasa", config=_config(), configure_logging=False)
    app.ctx.agent = parts.agent
    register([parts.channel], app, route="/webhooks/")
    app.add_route(_alive, "/", methods=["GET"])
    app.error_handler.add(Exception, _error)

    @app.before_server_stop
    async def finish(*_arguments: object) -> None:
        await parts.channel.drain()
        await parts.endpoint.close()

    _require({route.path for route in app.router.routes} == ROUTES, "the server has other routes than the protocol's")
    return app


def serve(app: App, host: str, port: int, started: float, clock: Callable[[], float] = time.monotonic) -> None:
    """Answer until SIGTERM or SIGINT; running turns are finished and saved first."""
    _require(host == "127.0.0.1", "Rasa listens on loopback alone")

    @app.after_server_start
    async def say_ready(*_arguments: object) -> None:
        logger.info("ready on http://%s:%s after %.1f s", host, port, clock() - started)

    app.run(host=host, port=port, single_process=True, access_log=False, debug=False, motd=False)


def _config() -> Config:
    config = Config(env_prefix="")  # a SANIC_ variable must not reopen anything
    config.update({
        "REQUEST_MAX_SIZE": MAX_BODY, "RESPONSE_TIMEOUT": 60, "KEEP_ALIVE_TIMEOUT": 120, "ACCESS_LOG": False, "MOTD": False,
        "AUTO_EXTEND": False, "NOISY_EXCEPTIONS": False, "FALLBACK_ERROR_FORMAT": "json", "GRACEFUL_SHUTDOWN_TIMEOUT": 12.0,
    })
    return config


async def _alive(_request: Request) -> HTTPResponse:
    return answer({"status": "live"})


async def _error(_request: Request, error: Exception) -> HTTPResponse:
    """Answer a failure by its code alone; Sanic's own pages echo the request."""
    if isinstance(error, sanic.exceptions.NotFound):
        return answer({"error": "not_found"}, 404)
    if isinstance(error, SanicException) and error.status_code < 500:
        return answer({"error": "too_long" if error.status_code == 413 else "malformed"}, error.status_code)
    logger.error("a request failed (%s)", type(error).__name__)
    return answer({"error": "internal"}, 500)


def _require(condition: bool, fault: str) -> None:
    if not condition:
        raise SelfCheckFailed(fault)
