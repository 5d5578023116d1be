"""Freezing a card: at once for a signed-in customer, because waiting would help only a thief."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from bank.schema import cards
from confide.guard.deed import Declined, Reply, Words
from confide.identity.acts import Proposal
from confide.identity.binding import Parameters
from confide.identity.levels import Speaker
from confide.vault.grants import Value


@dataclass(frozen=True)
class FreezeCard:
    """Stops all payments with one card."""

    clock: Callable[[], float] = time.time
    name: str = "freeze_card"

    def propose(self, transaction: Connection, speaker: Speaker, words: Words) -> Proposal | Reply:
        rows = transaction.execute(select(cards).where(cards.c.customer == speaker.subject).order_by(cards.c.id)).all()
        said = words.get("heard.card", "").lower()
        digits = re.search(r"\d{4}", said)
        chosen = [row for row in rows if (digits and row.last4 == digits[0]) or (not digits and row.kind in said)]
        usable = [row for row in rows if row.frozen_at is None]
        if not said and len(usable) > 1:
            return Reply("utter_which_card", options=tuple(
                (f"{row.kind.capitalize()} card", f'/freeze_card{{"card": "{row.kind}"}}') for row in usable
            ))
        for row in chosen or ([] if said else usable or rows):
            label = f"{row.kind} card ending {row.last4}"
            if row.frozen_at is not None:
                return Reply("utter_card_already_frozen", {"card": Value("CARD", label)})
            return Proposal({"card": row.id, "label": label}, f"Freeze your {label}")
        return Reply("utter_no_card")

    def perform(self, transaction: Connection, speaker: Speaker, parameters: Parameters) -> Reply:
        frozen = transaction.execute(
            update(cards).where(cards.c.id == parameters["card"], cards.c.customer == speaker.subject, cards.c.frozen_at.is_(None))
            .values(frozen_at=self.clock())
        ).rowcount
        label = {"card": Value("CARD", str(parameters["label"]))}
        if not frozen:
            raise Declined(Reply("utter_card_already_frozen", label))
        return Reply("utter_card_frozen", label)
