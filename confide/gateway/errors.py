"""What the gateway refuses: a closed list of codes, each with its HTTP status and its sentence for the customer."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """Every reason there is. Named in docs/protocol.md, sections 4 and 5."""

    MALFORMED = "malformed"
    TOO_LONG = "too_long"
    TOO_FAST = "too_fast"
    BINARY = "binary"
    BUSY = "busy"
    FOREIGN_SESSION = "foreign_session"
    LOGIN_REFUSED = "login_refused"
    ORIGIN = "origin"
    NOT_FOUND = "not_found"
    AWAY = "away"
    INTERNAL = "internal"


_STATUS = {
    Code.MALFORMED: 400, Code.TOO_LONG: 413, Code.TOO_FAST: 429, Code.BINARY: 400, Code.BUSY: 429, Code.FOREIGN_SESSION: 403,
    Code.LOGIN_REFUSED: 401, Code.ORIGIN: 403, Code.NOT_FOUND: 404, Code.AWAY: 503, Code.INTERNAL: 500,
}

_SENTENCES = {
    Code.MALFORMED: "I couldn't read that. Please try again in plain text.",
    Code.TOO_LONG: "That's too long for me. Please say it in fewer words.",
    Code.TOO_FAST: "That was a lot at once. Give me a moment, then try again.",
    Code.BINARY: "I can only read text here. Please write it out.",
    Code.BUSY: "I'm still busy with your last messages. Please send that one again in a moment.",
    Code.FOREIGN_SESSION: "This chat belongs to somebody else. Reload the page to start your own.",
    Code.LOGIN_REFUSED: "That sign-in didn't work. Check what you typed and try again.",
    Code.ORIGIN: "This request didn't come from our own site, so I've refused it.",
    Code.NOT_FOUND: "There's nothing here under that name, or it has run out.",
    Code.AWAY: "I can't reach a part of our system right now. I haven't passed this on. Please try again in a minute.",
    Code.INTERNAL: "Something went wrong on our side. Please try again in a minute.",
}


class Refusal(Exception):
    """A request or event is refused. Carries a code only, never what was in the request."""

    def __init__(self, code: Code, text: str | None = None) -> None:
        super().__init__(code.value)
        self.code = code
        self.text = text or _SENTENCES[code]

    @property
    def status(self) -> int:
        """The HTTP status of this refusal."""
        return _STATUS[self.code]

    def for_socket(self) -> dict[str, str]:
        """Return the payload of `chat_error`."""
        return {"code": self.code.value, "text": self.text}

    def for_http(self) -> dict[str, str]:
        """Return the body of the HTTP answer."""
        return {"error": self.code.value, "text": self.text}
