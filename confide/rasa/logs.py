"""Logs of the Rasa process: where and what kind, never what was said.

Rasa writes messages, slots and whole trackers into its own log lines and into the text of its exceptions, at ERROR too, and its lines are
formatted before a filter sees them. So the text of a line is printed only when our own code wrote it; of all others the place, the level
and, for a failure, the kinds and places of the exceptions. ASVS 5.0 16.2.5.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from typing import Any, TextIO

import structlog

_OURS = "confide"


class WithheldFormatter(logging.Formatter):
    """Prints a record without any text that is not ours."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s")

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage() if _is_ours(record.name) else "(text withheld)"
        lines = [f"{self.formatTime(record)} {record.levelname} {record.name}:{record.lineno} {text}"]
        if record.exc_info and record.exc_info[1] is not None:
            lines += [f"  {line}" for line in describe(record.exc_info[1])]
        return "\n".join(lines)


def describe(error: BaseException) -> Iterator[str]:
    """Yield the kinds and places of `error` and of what caused it; the text of our own exceptions alone."""
    seen: BaseException | None = error
    while seen is not None:
        kind = type(seen)
        yield f"{kind.__module__}.{kind.__qualname__}" + (f": {seen}" if _is_ours(kind.__module__) else "")
        for frame in traceback.extract_tb(seen.__traceback__)[-4:]:
            yield f"  at {frame.filename}:{frame.lineno} {frame.name}"
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)


def configure(stream: TextIO = sys.stderr) -> None:
    """Send every log line and warning of this process through WithheldFormatter. To be called before rasa.core is imported."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(WithheldFormatter())
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(logging.WARNING)
    logging.getLogger(_OURS).setLevel(logging.INFO)
    logging.captureWarnings(True)
    structlog.configure(
        processors=[_event_only], wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.stdlib.LoggerFactory(), cache_logger_on_first_use=False,
    )


def _event_only(_logger: Any, _method: str, fields: Any) -> str:
    """Drop the fields of a structlog line: Rasa puts messages, slots and events into them."""
    return str(fields.get("event", ""))


def _is_ours(name: str) -> bool:
    return name == _OURS or name.startswith(f"{_OURS}.")
