"""What comes from a browser: checked and cleaned before anything else sees it. Pure functions.

Threats: `/intent{...}` typed by a person is obeyed by Rasa with confidence 1.0; a token typed by a person could be granted to
somebody; control, bidirectional and zero-width characters make a text that people and programs read differently.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass

from confide.gateway.errors import Code, Refusal

#: Characters of a message, before and after cleaning.
MAX_MESSAGE = 2_000
MAX_ID = 64
#: Intents that only we may send. Rasa acts on the last three by itself.
RESERVED_INTENTS = frozenset({"confide_resume", "restart", "session_start", "back"})

_CLIENT_ID = re.compile(rf"[A-Za-z0-9_.:-]{{1,{MAX_ID}}}")
_CONVERSATION = re.compile(r"[0-9a-f]{32}")
#: The `_` of anything in the shape of a token, wherever it stands.
_TOKEN_JOINT = re.compile(r"(?<=[A-Z0-9])_(?=[A-Z2-7]{8})")
_INTENT_NAME = re.compile(r"/\s*([^{@\s]*)")
#: Joiners that scripts and emoji need; every other format character goes.
_KEPT_FORMAT = {"\u200c", "\u200d"}


@dataclass(frozen=True)
class Uttered:
    """A `user_uttered` event in which everything has the right type and size; the message is as it came."""

    message: str
    session_id: str | None
    id: str | None


@dataclass(frozen=True)
class Requested:
    """A `session_request` event."""

    session_id: str | None
    last_seq: int | None


@dataclass(frozen=True)
class Cleaned:
    """A message for Rasa. `reserved` says that it asked for an intent that only we may send."""

    text: str
    reserved: bool = False


def parse_uttered(data: object) -> Uttered:
    """Return the event's content; client metadata is left behind. Raises Refusal: malformed, binary, too_long."""
    payload = _payload(data)
    message, client_id = payload.get("message"), payload.get("id")
    if not isinstance(message, str):
        raise Refusal(Code.MALFORMED)
    if len(message) > MAX_MESSAGE:
        raise Refusal(Code.TOO_LONG)
    if client_id is not None and not (isinstance(client_id, str) and _CLIENT_ID.fullmatch(client_id)):
        raise Refusal(Code.MALFORMED)
    return Uttered(message=message, session_id=_session_id(payload), id=client_id)


def parse_requested(data: object) -> Requested:
    """Return the event's content. Raises Refusal: malformed, binary, foreign_session (an id that is none of ours)."""
    payload = {} if data is None else _payload(data)
    last_seq = payload.get("last_seq")
    if last_seq is not None and not (type(last_seq) is int and 0 <= last_seq < 2**53):
        raise Refusal(Code.MALFORMED)
    return Requested(session_id=_session_id(payload), last_seq=last_seq)


def clean(message: str, offered: Collection[str]) -> Cleaned:
    """Return what Rasa may read.

    `offered` are the quick-reply payloads this session was shown: one of them, exactly, is passed on as it is unless its intent is
    reserved. Raises Refusal: malformed when nothing is left, too_long.
    """
    if message in offered and not is_reserved(message):
        return Cleaned(message)
    text = _without_invisible(unicodedata.normalize("NFC", message))
    reserved = is_reserved(text)
    text = _TOKEN_JOINT.sub(" ", _without_slashes(text))
    if not text:
        raise Refusal(Code.MALFORMED)
    if len(text) > MAX_MESSAGE:
        raise Refusal(Code.TOO_LONG)
    return Cleaned(text, reserved)


def is_reserved(text: str) -> bool:
    """Say whether `text` would be an intent message of a reserved intent. Case is ignored: nobody else needs a name that close."""
    match = _INTENT_NAME.match(text.strip())
    return match is not None and match.group(1).lower() in RESERVED_INTENTS


def _payload(data: object) -> dict[str, object]:
    if contains_binary(data):
        raise Refusal(Code.BINARY)
    if not isinstance(data, dict):
        raise Refusal(Code.MALFORMED)
    return data


def contains_binary(data: object, depth: int = 4) -> bool:
    """Say whether bytes hide in an event. Only as deep as our events go: deeper levels are never read."""
    if isinstance(data, bytes | bytearray):
        return True
    if depth and isinstance(data, dict):
        return any(contains_binary(value, depth - 1) for value in data.values())
    if depth and isinstance(data, list | tuple):
        return any(contains_binary(value, depth - 1) for value in data)
    return False


def _session_id(payload: dict[str, object]) -> str | None:
    value = payload.get("session_id")
    if value is None:
        return None
    if not isinstance(value, str) or not _CONVERSATION.fullmatch(value):
        raise Refusal(Code.FOREIGN_SESSION)
    return value


def _without_invisible(text: str) -> str:
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character == "\n" or character in _KEPT_FORMAT:
        return character
    category = unicodedata.category(character)
    if category == "Cc" or category in {"Zl", "Zp"}:
        return " "
    return "" if category in {"Cf", "Cs"} else character


def _without_slashes(text: str) -> str:
    stripped = text.strip()
    while stripped.startswith("/"):
        stripped = stripped.lstrip("/").strip()
    return stripped
