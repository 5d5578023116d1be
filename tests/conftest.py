"""What all kinds of tests share: the trained model, made once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: Signs the model of the tests; each stack signs its copy with its own key.
_TEST_KEY = b"\0" * 32


@pytest.fixture(scope="session")
def trained_model(pytestconfig: pytest.Config) -> Path:
    """The model of the files as they are now: CONFIDE_TEST_MODEL (scripts/test sets it), or trained once and kept in pytest's cache."""
    from confide.rasa.train import ensure

    given = os.environ.get("CONFIDE_TEST_MODEL")
    return Path(given) if given else ensure(ROOT, pytestconfig.cache.mkdir("rasa-models"), _TEST_KEY)
