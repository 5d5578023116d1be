"""What a business brings: its deeds, how to reach its customers, its tables, and perhaps a login of its own for a demo."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from confide.core import Core
from confide.guard.core_deeds import Directory, core_deeds
from confide.guard.deed import Question
from confide.guard.guard import Guard
from confide.storage.outbox import Parcel

#: A call that the host site of a demo makes through the gateway: body in, body out; None refuses.
SiteCall = Callable[[Mapping[str, Any]], Mapping[str, Any] | None]


class Receiver(Protocol):
    """Takes what the outbox delivers. It must act once for one key, however often it is called with it."""

    def deliver(self, parcel: Parcel) -> None:
        """Raises anything when it could not take it; it is brought again later."""


@dataclass(frozen=True)
class Pack:
    """One business."""

    deeds: Sequence[Question]
    directory: Directory
    #: Where tickets for people go.
    staff_address: str
    #: Kind of parcel (mail) → who takes it.
    receivers: Mapping[str, Receiver]
    #: `/core/bank/<name>` → call.
    site: Mapping[str, SiteCall] = field(default_factory=dict)


def load_pack(module: str, core: Core) -> Pack:
    """Return the pack that `module` (a dotted name with a function `build`) makes."""
    pack: Pack = importlib.import_module(module).build(core)
    return pack


def build_guard(core: Core, pack: Pack) -> Guard:
    """Return the guard over all deeds of core and business. Raises ValueError when two share a name."""
    deeds: dict[str, Question] = {}
    for deed in (*core_deeds(core, pack.directory, pack.staff_address), *pack.deeds):
        if deed.name in deeds:
            raise ValueError(f"two deeds are called {deed.name}")
        deeds[deed.name] = deed
    return Guard(core, deeds)
