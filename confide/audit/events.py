"""What can be audited: a closed set of `source:subject:action` names. Retired names stay listed as comments."""

from __future__ import annotations

from enum import StrEnum


class Event(StrEnum):
    """Every audit event there is."""

    CAPABILITY_REFUSED = "core:capability:refused"
    SESSION_SIGNED_IN = "core:session:signed_in"
    SESSION_SIGN_IN_REFUSED = "core:session:sign_in_refused"
    SESSION_SIGNED_OUT = "core:session:signed_out"
    ACTION_ALLOWED = "core:action:allowed"
    ACTION_REFUSED = "core:action:refused"
    ACT_OPENED = "core:act:opened"
    ACT_PROVED = "core:act:proved"
    ACT_CANCELLED = "core:act:cancelled"
    ACT_STOPPED = "core:act:stopped"
    ACT_TAMPERED = "core:act:tampered"
    EFFECT_DONE = "core:effect:done"
    EFFECT_DECLINED = "core:effect:declined"
    TURN_CLOSED = "core:turn:closed"
    FACTOR_ENROLMENT_STARTED = "core:factor:enrolment_started"
    FACTOR_ACTIVATED = "core:factor:activated"
    FACTOR_CODE_REFUSED = "core:factor:code_refused"
    FACTOR_DISABLED = "core:factor:disabled"
    OUTBOX_BROKEN = "core:outbox:broken"
    HANDOFF_OPENED = "core:handoff:opened"
    GATEWAY_CARD_DROPPED = "gateway:card:dropped"
    GATEWAY_RESERVED_INTENT = "gateway:intent:reserved"
    GATEWAY_FOREIGN_SESSION = "gateway:session:foreign"
    GATEWAY_FLOOD = "gateway:limit:exceeded"


#: What the gateway may report by itself; it cannot write history in the core's name.
GATEWAY_EVENTS = frozenset(event for event in Event if event.value.startswith("gateway:"))
