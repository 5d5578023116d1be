"""What the gateway itself says in the chat: only when a part of us is slow or away, and only what is known to be true.

"Nothing was sent or changed" belongs to the core's word `nothing`, and to a message that the gateway never passed on.
"""

from __future__ import annotations

STILL_WORKING = "Still working on it. One moment, please."

#: Said at the progress mark when the core does not answer, and when a turn ends and the core cannot say how.
UNKNOWN = (
    "I can't reach the part of our system that handles your account right now. I don't know yet whether your last request went through. "
    "I'll tell you here as soon as I know. Please don't repeat it until then."
)

#: The core made sure of it.
NOTHING_DONE = (
    "I'm sorry, I couldn't answer that: a part of our system isn't working right now. Nothing was sent or changed. "
    "Please try again in a minute."
)

#: The core made sure of it, later, after UNKNOWN was said.
NOTHING_DONE_LATE = (
    "I can reach our system again. Your earlier request did not go through: nothing was sent or changed. You can try again now."
)

#: For an effect whose own sentence the core did not send.
DONE = "That took longer than it should have, but it's done."

GAVE_UP = (
    "I still can't find out whether your earlier request went through. Before you try again, please look at your account, "
    "or call us and we'll look for you."
)

#: The core has ended the session without our hearing of it (an answer was lost on its way).
STARTED_OVER = (
    "Your session here has ended, so I've started a new one. Please sign in again if it's about your account. "
    "If a request was still open, please look there first whether it went through."
)

#: For a message that was not passed on at all, because too many earlier ones have no known outcome.
NOT_STARTED = "I can't reach our system right now, so I haven't started on that. Nothing was sent or changed by it. Please try again later."

#: In place of a value that this session may not see (any more).
HIDDEN = "•••"

#: The core could not be reached while it was to check what was typed into a card.
CARD_AWAY = "I can't check that right now. Please send it again in a moment."

SIGN_IN_AWAY = "I can't reach our system to sign you in. Please try again in a minute."

SIGN_OUT_AWAY = "I can't reach our system to sign you out, so you may still be signed in here. Please try again in a minute."

SIGN_IN_FIRST = "Sign in first, then I can show you that."

CARD_GONE = "This request isn't open any more. Ask again and I'll make a new one."
