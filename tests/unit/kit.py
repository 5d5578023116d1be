"""What the core's tests share: an installation in a temporary folder, the gateway's and the customer's hands."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyotp
from argon2 import PasswordHasher
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlalchemy import select

from bank import demo
from bank.pack import build as build_bank
from confide.cli.keyring_setup import complete
from confide.core import Core, open_core
from confide.guard.cards import Answer, Cards
from confide.guard.guard import Guard, Said
from confide.identity import login_token
from confide.identity.capability import Capability, CapabilityIssuer
from confide.pack import Pack, build_guard
from confide.server.core_api import CoreApi
from confide.settings import CoreSettings
from confide.storage.schema import audit_events, outbox

#: Argon2 at its cheapest: these tests are about who may sign in, not about what a guess costs.
FAST = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Clock:
    """Unix time that moves only when told to."""

    now: float = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


def new_id() -> str:
    return secrets.token_hex(16)


@dataclass
class Customer:
    """One browser: a session in a conversation, and perhaps a phone with an authenticator."""

    kit: Kit
    session: str = field(default_factory=new_id)
    conversation: str = field(default_factory=new_id)
    turn: int = 0
    phone: pyotp.TOTP | None = None
    #: Seconds from a turn's start to its deadline.
    patience: float = 10.0

    def capability(self, *, same_turn: bool = False) -> str:
        self.turn += 0 if same_turn else 1
        capability = Capability(self.session, self.conversation, self.turn, self.kit.clock() + self.patience)
        return self.kit.issuer.issue(capability)

    def sign_in(self, subject: str = "1001") -> Customer:
        body = {
            "capability": self.capability(), "login_token": login_token.issue(self.kit.login_key, subject, self.kit.clock()),
            "new_session": (session := new_id()), "new_conversation": new_id(),
        }
        answer = self.kit.api.sign_in(body)
        self.session, self.conversation = session, answer["conversation"]
        self.phone = self.kit.phones.get(subject)
        return self

    def ask(self, action: str, **words: str) -> Said:
        return self.kit.guard.ask(action, self.capability(), self.conversation, {name.replace("__", "."): word for name, word in words.items()})

    def pay(self, amount: str = "520", payee: str = "maria huber", reference: str = "rent november") -> Said:
        return self.ask("make_payment", amount=amount, payee=payee, reference=reference)

    def resume(self) -> Said:
        return self.kit.guard.resume(self.capability(), self.conversation)

    def code(self, steps: int = 0) -> str:
        assert self.phone is not None
        return self.phone.at(int(self.kit.clock()) + 30 * steps)

    def type(self, ref: str, code: str) -> Answer:
        answer = Cards(self.kit.core).act(self.capability(), ref, "submit", code, (session := new_id()))
        assert answer is not None
        if answer.outcome == "accepted" and answer.session == session:
            self.session = session
        return answer

    def cancel(self, ref: str) -> Answer:
        answer = Cards(self.kit.core).act(self.capability(), ref, "cancel", "", new_id())
        assert answer is not None
        return answer

    def reveal(self, said: Said) -> dict[str, str]:
        body = {"capability": self.capability(same_turn=True), "tokens": list(said.tokens.values())}
        values: Mapping[str, str] = self.kit.api.reveal(body)["values"]
        return {name: values[token] for name, token in said.tokens.items() if token in values}


@dataclass
class Kit:
    """One installation."""

    core: Core
    pack: Pack
    guard: Guard
    api: CoreApi
    clock: Clock
    issuer: CapabilityIssuer
    login_key: Ed25519PrivateKey
    phones: dict[str, pyotp.TOTP]
    var: Path

    @classmethod
    def make(cls, folder: Path, clock: Clock, url: str | None) -> Kit:
        var = folder / "var"
        complete(var / "keys")
        environ = {"CONFIDE_VAR": str(var), "CONFIDE_POLICY": str(ROOT / "privacy.yml")} | ({"CONFIDE_DATABASE_URL": url} if url else {})
        core = open_core(CoreSettings.read(environ), clock)
        core.create_tables()
        demo.prepare(core, environ, FAST)
        pack = build_bank(core, environ, FAST)
        return cls(
            core, pack, build_guard(core, pack), CoreApi(core, pack), clock,
            CapabilityIssuer(_private_key(var / "keys/gateway/capability.pem"), clock), _private_key(var / "keys/bank/login.pem"),
            {person.number: pyotp.TOTP(person.authenticator_key.replace(" ", "")) for person in demo.customers(environ) if person.authenticator_key},
            var,
        )

    def customer(self) -> Customer:
        return Customer(self)

    def close(self) -> None:
        self.core.database.dispose()
        self.core.keystore.engine.dispose()

    def rows(self, table: Any) -> list[Any]:
        with self.core.transaction() as transaction:
            return list(transaction.execute(select(table)).all())

    def events(self) -> list[str]:
        return [row.event for row in self.rows(audit_events)]

    def parcels(self) -> list[str]:
        return [row.key for row in self.rows(outbox)]


def _private_key(path: Path) -> Ed25519PrivateKey:
    key = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    return key
