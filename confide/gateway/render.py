"""From what Rasa answered to what a browser gets. Pure functions; values and cards are fetched by `turns`.

Rasa is not trusted here: a message is rebuilt field by field, never passed on as a whole, so that nothing in it can choose a room, a
sequence number or the look of a confirmation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from confide.gateway.inbox import is_reserved
from confide.gateway.sentences import HIDDEN

#: Card types whose content comes from the core alone (docs/protocol.md section 6).
RESERVED_TYPES = frozenset({"secure_input", "qr", "passkey", "confirm", "consent", "download", "receipt"})
#: `TYPE_` and 8 base32 characters (RFC 4648).
TOKEN = re.compile(r"(?<![A-Za-z0-9_])[A-Z]{2,16}_[A-Z2-7]{8}(?![A-Za-z0-9_])")

MAX_MESSAGES = 30
MAX_TEXT = 8_000
_MAX_BUTTONS = 20
_MAX_TITLE = 200
_MAX_PAYLOAD = 1_000
_REFERENCE = re.compile(r"[A-Za-z2-7]{26}")
_TYPE_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
#: What stands together between spaces, and what makes software turn that into a link, which can be followed without anybody's click.
_RUN = re.compile(r"[^ \t\n\r\f\v]+")
_LINK = re.compile(r"//|\b(?:www\.|mailto:)", re.IGNORECASE)
_PARAGRAPHS = re.compile(r"\n[^\S\n]*\n\s*")
_ATTACHMENT_TYPES = frozenset({"image", "video", "audio", "file"})
_MAX_DEPTH, _MAX_ITEMS = 5, 50

Payload = dict[str, Any]


#: Says that a card no longer counts; the page closes it. It shows nothing, so it needs no content of the core's.
CLOSED_TYPE = "card_closed"


@dataclass(frozen=True)
class CardReference:
    """A card that Rasa names; its content is the core's."""

    ref: str


@dataclass
class Rendered:
    """What one turn shows, in order, and what had to be dropped from it."""

    parts: list[Payload | CardReference] = field(default_factory=list)
    #: Card types that came with content of their own, or without a proper reference.
    dropped_cards: list[str] = field(default_factory=list)


def render(messages: Iterable[object]) -> Rendered:
    """Return the payloads of Rasa's messages (without `seq`), tokens not yet replaced."""
    rendered = Rendered()
    for message in messages:
        if isinstance(message, dict):
            _add(rendered, message)
        if len(rendered.parts) >= MAX_MESSAGES:
            break
    del rendered.parts[MAX_MESSAGES:]
    return rendered


def find_tokens(parts: Iterable[Payload | CardReference]) -> list[str]:
    """Return the tokens in what people read, each once, in order. Button payloads keep theirs: they go back to Rasa.

    None inside an address: whoever can choose where a browser loads from must not be handed a value to send there.
    """
    found: dict[str, None] = {}
    for part in parts:
        if not isinstance(part, CardReference):
            for text in _texts(part):
                found.update((token, None) for run in _RUN.findall(text) if not _LINK.search(run) for token in TOKEN.findall(run))
    return list(found)


def fill(part: Payload, values: Mapping[str, str]) -> Payload:
    """Return `part` with its tokens replaced, once (a value is never searched for tokens); what has no value is hidden."""
    return {key: value if key == "type" else _filled(value, values) for key, value in part.items()}


def offered_payloads(part: Payload) -> list[str]:
    """Return the quick-reply payloads in `part`."""
    return [reply["payload"] for reply in part.get("quick_replies", ())]


def _add(rendered: Rendered, message: Mapping[str, object]) -> None:
    paragraphs = _paragraphs(message.get("text"))
    replies = _quick_replies(message.get("buttons") or message.get("quick_replies"))
    parts: list[Payload] = [{"text": text} for text in paragraphs] or ([{}] if replies else [])
    if replies:
        parts[-1]["quick_replies"] = replies
    rendered.parts += parts
    for attachment in (_image(message.get("image")), _attachment(message.get("attachment"))):
        if attachment:
            rendered.parts.append({"attachment": attachment})
    _add_custom(rendered, message.get("custom"))


def _paragraphs(text: object) -> list[str]:
    if not isinstance(text, str):
        return []
    return [paragraph.strip() for paragraph in _PARAGRAPHS.split(text[:MAX_TEXT]) if paragraph.strip()]


def _quick_replies(buttons: object) -> list[Payload]:
    if not isinstance(buttons, list):
        return []
    return [reply for button in buttons[:_MAX_BUTTONS] if (reply := _quick_reply(button))]


def _quick_reply(button: object) -> Payload | None:
    if not isinstance(button, dict):
        return None
    title, payload = button.get("title"), button.get("payload")
    if not isinstance(title, str) or not title.strip():
        return None
    payload = payload if isinstance(payload, str) and payload else title
    if is_reserved(payload) or len(payload) > _MAX_PAYLOAD:
        return None
    return {"content_type": "text", "title": title[:_MAX_TITLE], "payload": payload}


def _image(source: object) -> Payload | None:
    return {"type": "image", "payload": {"src": source}} if _is_safe_address(source) else None


def _attachment(attachment: object) -> Payload | None:
    if not isinstance(attachment, dict):
        return None
    kind = attachment.get("type")
    if not isinstance(kind, str) or kind not in _ATTACHMENT_TYPES:
        return None
    content = attachment.get("payload")
    if not isinstance(content, dict) or not _is_safe_address(content.get("src")):
        return None
    title = content.get("title")
    named = {"title": title[:_MAX_TITLE]} if isinstance(title, str) else {}
    return {"type": kind, "payload": {"src": content["src"], **named}}


def _is_safe_address(address: object) -> bool:
    """Say whether a browser may load it: https, or a path on our own origin. `//host` and `javascript:` are neither."""
    if not isinstance(address, str) or len(address) > 2_000 or "\\" in address or any(c <= " " for c in address):
        return False
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    if parts.scheme:
        return parts.scheme == "https" and bool(parts.hostname)
    return address.startswith("/") and not parts.netloc


def _add_custom(rendered: Rendered, custom: object) -> None:
    if not isinstance(custom, dict) or not isinstance(custom.get("type"), str):
        return
    kind, reference = custom["type"].strip().lower(), custom.get("ref")
    named = isinstance(reference, str) and _REFERENCE.fullmatch(reference) is not None
    if kind == CLOSED_TYPE:
        rendered.parts += [{"type": CLOSED_TYPE, "ref": reference}] if named else []
        return
    if kind not in RESERVED_TYPES:
        if _TYPE_NAME.fullmatch(custom["type"]):
            rendered.parts.append(_designed(custom))
        return
    if set(custom) == {"type", "ref"} and named:
        rendered.parts.append(CardReference(str(reference)))
    else:
        rendered.dropped_cards.append(kind)


def _designed(custom: Mapping[str, object]) -> Payload:
    """Return a designer's own payload. What the page knows in it is rebuilt as in any other message; the rest is plain JSON."""
    plain = _plain(custom, 0)
    part = {key: value for key, value in plain.items() if key not in {"seq", "ref", "quick_replies", "attachment"}}
    if replies := _quick_replies(plain.get("quick_replies")):
        part["quick_replies"] = replies
    if attachment := _attachment(plain.get("attachment")):
        part["attachment"] = attachment
    return part


def _plain(value: Any, depth: int) -> Any:
    """Return a designer's own payload as bounded plain JSON."""
    if isinstance(value, dict) and depth < _MAX_DEPTH:
        return {key[:64]: _plain(item, depth + 1) for key, item in list(value.items())[:_MAX_ITEMS] if isinstance(key, str)}
    if isinstance(value, list) and depth < _MAX_DEPTH:
        return [_plain(item, depth + 1) for item in value[:_MAX_ITEMS]]
    if isinstance(value, str):
        return value[:MAX_TEXT]
    return value if isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)) else None


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            if not _is_for_machines(key, item):
                yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _RUN.sub(lambda run: _filled_run(run.group(), values), value)
    if isinstance(value, dict):
        return {key: item if _is_for_machines(key, item) else _filled(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, values) for item in value]
    return value


def _filled_run(run: str, values: Mapping[str, str]) -> str:
    tokens = TOKEN.findall(run)
    # A value can be a link itself: a stranger chose the text of a payment. Nothing of ours is hung onto it.
    linked = _LINK.search(run) or (len(tokens) > 1 and any(_LINK.search(values.get(token, "")) for token in tokens))
    return TOKEN.sub(lambda match: HIDDEN if linked else values.get(match.group(), HIDDEN), run)


def _is_for_machines(key: str, item: object) -> bool:
    """Say whether nobody reads `item`: what a button sends, and where a picture is loaded from. Values never go into these."""
    return key in {"payload", "src"} and isinstance(item, str)
