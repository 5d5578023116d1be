"""Puts values and cards into what Rasa answered, and sends it. What carries either is marked, so that it is not shown to just anybody again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from confide.gateway.capabilities import Capabilities, Turn
from confide.gateway.delivery import Deliveries, Private
from confide.gateway.peers import CorePeer, PeerAway, PeerError
from confide.gateway.render import CLOSED_TYPE, RESERVED_TYPES, CardReference, Payload, fill, find_tokens, offered_payloads
from confide.gateway.sessions import Session
from confide.identity.levels import Level

#: Tokens the core reveals in one call.
_TOKENS_A_CALL = 50


@dataclass(frozen=True)
class Completion:
    """What a turn shows, made whole for one session."""

    core: CorePeer
    capabilities: Capabilities
    deliveries: Deliveries

    async def complete(
        self, session: Session, turn: Turn, parts: Sequence[Payload | CardReference], *, by_core: bool = False
    ) -> list[Payload | Private]:
        """Return `parts` with this session's values and cards. `by_core`: they are sentences of the core's, private as a whole.

        Raises PeerError.
        """
        values: dict[str, str] = {}
        tokens = find_tokens(parts)
        # Before anything is revealed: should the level fall meanwhile, what is kept asks for too much rather than too little.
        private = by_core or tokens or any(isinstance(part, CardReference) for part in parts)
        level = await self._level(session, turn) if private else None
        for start in range(0, len(tokens), _TOKENS_A_CALL):
            values |= await self.core.reveal(self.capabilities.sign(session, turn), tokens[start : start + _TOKENS_A_CALL])
        return [
            Private(await self._card(session, turn, part.ref), level) if isinstance(part, CardReference)
            else Private(fill(part, values), level) if by_core else _filled(part, values, level)
            for part in parts
        ]

    async def deliver(self, session: Session, turn: Turn, parts: Sequence[Payload | Private]) -> None:
        """Send `parts` to the turn's conversation, unless the session has left it: then nobody may read on in it."""
        for part in parts:
            if session.conversation != turn.conversation or not (session.has_cookie or session.sockets):
                return  # in another conversation, or without a cookie and gone with its socket: nobody can ever ask for it
            payload = part.payload if isinstance(part, Private) else part
            if payload.get("type") == CLOSED_TYPE:
                await self.deliveries.close_card(turn.conversation, payload["ref"], "closed")
                continue
            for offered in offered_payloads(payload):
                session.offer(offered)
            await self.deliveries.say(turn.conversation, part)

    async def _level(self, session: Session, turn: Turn) -> Level | None:
        """Return the session's level as the core says it, which is more than ours may be: a card can have raised it."""
        try:
            return Level.of(await self.core.level(self.capabilities.sign(session, turn)))
        except (PeerError, KeyError):
            return None

    async def _card(self, session: Session, turn: Turn, ref: str) -> Payload:
        card = await self.core.show_card(self.capabilities.sign(session, turn), ref)
        if card is None or card.get("type") not in RESERVED_TYPES or card.get("ref") != ref:
            raise PeerAway("no such card")
        return card


def _filled(part: Payload, values: Mapping[str, str], level: Level | None) -> Payload | Private:
    filled, masked = fill(part, values), fill(part, {})
    return filled if filled == masked else Private(filled, level, masked)
