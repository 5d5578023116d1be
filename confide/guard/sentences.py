"""What the core itself says to a customer, on a card or about a turn. Wrong, replayed and stale codes share one sentence."""

from __future__ import annotations

_NUMBERS = {0: "No", 1: "One", 2: "Two", 3: "Three", 4: "Four"}

EXPIRED = "This request has run out of time. Nothing was sent or changed. Ask again and I'll make a new one."
REPLACED = "The details have changed, so this request no longer counts. Please use the newer one."
CANCELLED = "Cancelled. Nothing was sent or changed."
CONSUMED = "This has been done already, so it doesn't need a code any more."
STOPPED = "That was one wrong code too many, so I've stopped this request. Nothing was sent or changed. You can ask again."
PROVED = "Thank you, that's you."
DISABLED = "This authenticator can't be used any more. Nothing was sent or changed. Say \"talk to a person\" and we'll help you."
NOTHING_DONE = "That didn't go through. Nothing was sent or changed. Say \"try again\" when you're ready."


def wrong_code(tries_left: int) -> str:
    """Return the one sentence for a code that does not count, whatever the reason."""
    tries = "try" if tries_left == 1 else "tries"
    return f"That code didn't work. Use the next one your app shows. {_NUMBERS.get(tries_left, str(tries_left))} {tries} left."


def wait(seconds: float) -> str:
    """Return what is said while a factor is resting after too many wrong codes."""
    rest = f"{int(seconds // 60) + 1} minutes" if seconds > 90 else f"{max(1, int(seconds) + 1)} seconds"
    return f"There were too many wrong codes. Wait {rest}, then use the next code your app shows."


def done_meanwhile(summary: str) -> str:
    """Return what is said of something done lately to a customer who was cut off and may not have heard of it."""
    return f"We were cut off. So that you know: this was done, once: {summary}."


def proved_and_waiting(title: str) -> str:
    """Return what is said of an act that was proved and then cut off."""
    return f"We were cut off. Your code was right, but this has not been done yet: {title}. Say \"try again\" and I'll do it, or \"cancel\"."


def done_after_all(summary: str) -> str:
    """Return what is said when the outcome of a slow turn is known, and it happened."""
    return f"That took longer than it should have, but it's done: {summary}."
