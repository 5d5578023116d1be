"""Logs of the Rasa process: what is ours is printed, everything else only by place and kind."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator

import pytest
import structlog

from confide.rasa import logs
from confide.rasa.action_endpoint import ActionCallFailed


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    handlers, level = logging.root.handlers[:], logging.root.level
    stream = io.StringIO()
    logs.configure(stream)
    yield stream
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def test_rasas_own_text_is_withheld_at_every_level(stream: io.StringIO) -> None:
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        logging.getLogger("rasa.core.processor").log(level, "slot %s", "canary")
        logging.getLogger("confidence").log(level, "canary")  # a name that only begins like ours
    assert "canary" not in stream.getvalue()
    assert "rasa.core.processor" in stream.getvalue()


def test_a_failure_is_told_by_kind_and_place(stream: io.StringIO) -> None:
    try:
        try:
            raise KeyError("inner canary")
        except KeyError as inner:
            raise ValueError("canary in a tracker") from inner
    except ValueError:
        logging.getLogger("rasa.core.processor").exception("canary %s", "canary")
    text = stream.getvalue()
    assert "builtins.ValueError" in text
    assert "builtins.KeyError" in text
    assert "test_rasa_logs.py" in text
    assert "canary" not in text


def test_our_own_text_is_printed(stream: io.StringIO) -> None:
    try:
        raise ActionCallFailed("the action server answered 500")
    except ActionCallFailed:
        logging.getLogger("rasa.core.processor").exception("canary")
    logging.getLogger("confide.rasa.server").info("ready")
    assert "ActionCallFailed: the action server answered 500" in stream.getvalue()
    assert "ready" in stream.getvalue()
    assert "canary" not in stream.getvalue()


def test_warnings_and_structured_lines_are_withheld_too(stream: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logs.configure(stream)
        warnings.warn("canary in a message", UserWarning, stacklevel=1)
    structlog.get_logger("rasa").error("processor.slots", values="canary")
    structlog.get_logger("confide.rasa").error("an event of ours", values="canary")
    structlog.get_logger("rasa").debug("processor.debug", values="canary")
    assert "canary" not in stream.getvalue() + capsys.readouterr().err
    assert "py.warnings" in stream.getvalue()
    assert "an event of ours" in stream.getvalue()
    assert "processor.debug" not in stream.getvalue()
