"""The trained model of the conversation, once for all tests here."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog

if TYPE_CHECKING:
    from rasa.core.agent import Agent

    from tests.rasa.stubs import StubEndpoint, Talk, World

ROOT = Path(__file__).parents[2]
#: Signs the model of the tests, which no process of ours ever loads.
_TEST_KEY = b"\0" * 32


@pytest.fixture(scope="package", autouse=True)
def quiet() -> Iterator[None]:
    """Without this, Rasa in another process than its own prints every message and slot. Other tests get their logging back."""
    from rasa.utils.log_utils import configure_structlog

    before = structlog.get_config() if structlog.is_configured() else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RASA_TELEMETRY_ENABLED", "false")
        configure_structlog(logging.ERROR)
        yield
    structlog.configure(**before) if before else structlog.reset_defaults()


@pytest.fixture(scope="package")
def model(quiet: None, pytestconfig: pytest.Config) -> Path:
    """The model of the files as they are now: CONFIDE_TEST_MODEL, or trained once and kept in pytest's cache."""
    from confide.rasa.train import ensure

    given = os.environ.get("CONFIDE_TEST_MODEL")
    return Path(given) if given else ensure(ROOT, pytestconfig.cache.mkdir("rasa-models"), _TEST_KEY)


@pytest.fixture(scope="package")
def endpoint(quiet: None) -> StubEndpoint:
    """The stubbed action server, for every custom action of the domain."""
    from rasa.shared.core.domain import Domain

    from tests.rasa.stubs import StubEndpoint

    domain = Domain.load(str(ROOT / "domain.yml"))
    return StubEndpoint(name for name in domain.user_actions if not name.startswith("utter_"))


@pytest.fixture(scope="package")
def agent(model: Path, endpoint: StubEndpoint) -> Agent:
    """The trained model with an in-memory tracker store."""
    from rasa.core.agent import Agent

    return Agent.load(str(model), action_endpoint=endpoint)


@pytest.fixture
def talk(agent: Agent, endpoint: StubEndpoint, request: pytest.FixtureRequest) -> Callable[..., Talk]:
    """Start a conversation: `talk(challenges=..., ...)` takes the fields of World."""
    from tests.rasa.stubs import Talk, World

    def start(world: World | None = None) -> Talk:
        return Talk(agent, endpoint, request.node.name, world or World())

    return start
