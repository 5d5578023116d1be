"""Puts values and cards into what Rasa answered, and sends it."""

from __future__ import annotations

from dataclasses import dataclass

from confide.gateway.capabilities import Capabilities, Turn
from confide.gateway.delivery import Deliveries
from confide.gateway.peers import CorePeer, PeerAway
from confide.gateway.render import CLOSED_TYPE, RESERVED_TYPES, CardReference, Payload, fill, find_tokens, offered_payloads
from confide.gateway.sessions import Session

#: Tokens the core reveals in one call.
_TOKENS_A_CALL = 50


@dataclass(frozen=True)
class Completion:
    """What a turn shows, made whole for one session."""

    core: CorePeer
    capabilities: Capabilities
    deliveries: Deliveries

    async def complete(self, session: Session, turn: Turn, parts: list[Payload | CardReference]) -> list[Payload]:
        """Return `parts` with this session's values and cards. Raises PeerError."""
        values: dict[str, str] = {}
        tokens = find_tokens(parts)
        for start in range(0, len(tokens), _TOKENS_A_CALL):
            values |= await self.core.reveal(self.capabilities.sign(session, turn), tokens[start : start + _TOKENS_A_CALL])
        return [
            await self._card(session, turn, part.ref) if isinstance(part, CardReference) else fill(part, values) for part in parts
        ]

    async def deliver(self, session: Session, turn: Turn, parts: list[Payload]) -> None:
        """Send `parts` to the turn's conversation, unless the session has left it: then nobody may read on in it."""
        for part in parts:
            if session.conversation != turn.conversation:
                return
            if part.get("type") == CLOSED_TYPE:
                await self.deliveries.close_card(turn.conversation, part["ref"], "closed")
                continue
            for payload in offered_payloads(part):
                session.offer(payload)
            await self.deliveries.say(turn.conversation, part)

    async def _card(self, session: Session, turn: Turn, ref: str) -> Payload:
        card = await self.core.show_card(self.capabilities.sign(session, turn), ref)
        if card is None or card.get("type") not in RESERVED_TYPES or card.get("ref") != ref:
            raise PeerAway("no such card")
        return card
