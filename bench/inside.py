"""Confide from the inside, with the gateway's and Rasa's own keys: to time one hop at a time, and to make conversations long."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bench.talk import WrongAnswer
from confide.gateway.peers import Peer, RasaPeer
from confide.gateway.sessions import derive_sid
from confide.gateway.sockets import COOKIE
from confide.identity.capability import Capability, CapabilityIssuer
from confide.internal.signing import Signer
from confide.storage.keyring import read_private
from tests.integration.chat import Chat
from tests.integration.stack import Stack

#: Seconds any one call may take.
PATIENCE = 30.0


@dataclass
class Inside:
    """The gateway's keys and connections, to time one hop at a time and to fill conversations."""

    rasa: RasaPeer
    core: Peer
    actions: Peer
    issuer: CapabilityIssuer

    @classmethod
    def of(cls, stack: Stack) -> Inside:
        keys = stack.var / "keys"
        signing = load_pem_private_key(read_private(keys / "gateway" / "capability.pem"), password=None)
        assert isinstance(signing, Ed25519PrivateKey)
        address = {port.service: f"http://{port.host}:{port.port}" for port in stack.plan.ports()}
        gateway = keys / "gateway"
        return cls(
            RasaPeer(Peer(address["rasa"], Signer("gateway", read_private(gateway / "gateway-rasa.key")))),
            Peer(address["actions"], Signer("gateway", read_private(gateway / "gateway-actions.key"))),
            Peer(address["actions"], Signer("rasa", read_private(keys / "rasa" / "rasa-actions.key"))),
            CapabilityIssuer(signing),
        )

    def open(self) -> None:
        for peer in (self.rasa.peer, self.core, self.actions):
            peer.open()

    async def close(self) -> None:
        for peer in (self.rasa.peer, self.core, self.actions):
            await peer.close()

    def capability(self, chat: Chat) -> str:
        """Return one for a new turn of this chat's session, as the gateway would sign it."""
        secret = next(cookie.value for cookie in chat.http.cookie_jar if cookie.key == COOKIE)
        now = time.time()
        return self.issuer.issue(Capability(derive_sid(secret), chat.session_id, int(now * 1000), now + 10))

    async def ask_rasa(self, chat: Chat, text: str) -> list[Any]:
        """Run one turn in Rasa and return its messages, values still as tokens. Raises PeerError, WrongAnswer."""
        answer = await self.rasa.answer(chat.session_id, text, self.capability(chat), PATIENCE)
        if answer.failed or not answer.messages:
            raise WrongAnswer(f"Rasa gave no answer to {text!r}")
        return answer.messages
