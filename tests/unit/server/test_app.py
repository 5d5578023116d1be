"""The action server over real HTTP: signed callers only, and errors that say nothing. Rows S2 and S3."""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from rasa_sdk import Action

import actions
from confide.internal.signing import Signer, Verifier
from confide.server.app import MAX_CORE, build_app
from tests.unit.kit import Clock, Kit, new_id

RASA, GATEWAY = b"r" * 32, b"g" * 32
CANARY = "canary-5c1f-maria"


class Broken(Action):
    def name(self) -> str:
        return "action_broken"

    async def run(self, dispatcher: Any, tracker: Any, domain: Any) -> list[dict[str, Any]]:
        raise RuntimeError(f"could not handle {CANARY}")


@contextmanager
def serving(kit: Kit, clock: Clock) -> Iterator[str]:
    app = build_app(kit.core, kit.api, [*actions.build(kit.guard), Broken()], Verifier({"rasa": RASA, "gateway": GATEWAY}, clock))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def url(sqlite_kit: Kit, clock: Clock) -> Iterator[str]:
    with serving(sqlite_kit, clock) as address:
        yield address


def call(url: str, clock: Clock, path: str, body: Any, caller: str = "gateway", key: bytes = GATEWAY, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    signed = Signer(caller, key, clock).headers("POST", path, content)
    return httpx.post(url + path, content=content, headers=signed | headers)


def webhook(conversation: str, action: str, token: object, **slots: object) -> dict[str, Any]:
    message = {"text": CANARY, "intent": {"name": "x"}, "entities": [], "metadata": {"capability": token}}
    tracker = {"sender_id": conversation, "slots": slots, "latest_message": message, "events": [], "paused": False,
               "latest_action_name": None, "active_loop": {}, "followup_action": None, "latest_input_channel": "confide"}
    return {"next_action": action, "sender_id": conversation, "tracker": tracker, "domain": {}, "version": "3.6.21"}


def test_an_unsigned_a_wrongly_signed_and_a_replayed_call_are_401(url: str, clock: Clock) -> None:
    body = json.dumps({}).encode()
    assert httpx.post(url + "/webhook", content=body).status_code == 401
    assert call(url, clock, "/webhook", {}, "rasa", GATEWAY).status_code == 401
    headers = Signer("rasa", RASA, clock).headers("POST", "/webhook", body)
    statuses = [httpx.post(url + "/webhook", content=body, headers=headers).status_code for _ in range(2)]
    assert statuses == [200, 401]
    clock.forward(31)
    late = Signer("rasa", RASA, lambda: clock() - 31).headers("POST", "/webhook", body)
    answer = httpx.post(url + "/webhook", content=body, headers=late)
    assert (answer.status_code, answer.json()) == (401, {"error": "unauthenticated"})


def test_rasa_may_not_call_the_core_nor_the_gateway_the_webhook(url: str, clock: Clock) -> None:
    assert call(url, clock, "/core/reveal", {"capability": "x", "tokens": []}, "rasa", RASA).status_code == 401
    assert call(url, clock, "/webhook", {}, "gateway", GATEWAY).status_code == 401


def test_an_exception_is_not_echoed_nor_logged(logged: list[str], url: str, clock: Clock, capfd: pytest.CaptureFixture[str]) -> None:
    answer = call(url, clock, "/webhook", webhook("c" * 32, "action_broken", None, secret=CANARY), "rasa", RASA)
    assert (answer.status_code, answer.json()) == (500, {"error": "internal"})
    printed = capfd.readouterr()
    assert CANARY not in printed.out + printed.err + "".join(logged)
    assert len(logged) == 1 and "'RuntimeError'" in logged[0], "the kind is logged, the words are not"


def test_bodies_are_bounded_and_never_inflated(url: str, clock: Clock) -> None:
    assert call(url, clock, "/core/report", b" " * (MAX_CORE + 1)).json() == {"error": "malformed"}
    bomb = zlib.compress(b" " * 50_000_000)
    assert call(url, clock, "/core/report", bomb, **{"content-encoding": "deflate"}).json() == {"error": "malformed"}


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 30_000, b'"x"'])
def test_odd_bodies_are_malformed(url: str, clock: Clock, body: bytes) -> None:
    answer = call(url, clock, "/core/report", body)
    assert (answer.status_code, answer.json()) == (400, {"error": "malformed"})


@pytest.mark.parametrize(("path", "body", "status"), [
    ("/core/reveal", {"capability": None, "tokens": []}, 403), ("/core/session/resume", {"session": "../x"}, 400),
    ("/core/session/resume", {"session": "a" * 32}, 404), ("/core/report", {"event": "core:effect:done"}, 400),
    ("/core/report", {"event": "gateway:card:dropped", "detail": "a b"}, 400), ("/core/report", {"event": "gateway:card:dropped", "detail": "confirm"}, 200),
    ("/core/bank/sign-in", {"customer_number": "1001", "password": "no"}, 401), ("/core/nothing", {}, 404),
    ("/core/turn/outcome", {"capability": "x"}, 403), ("/core/session/sign-in", {"capability": None}, 403),
])
def test_answers_by_kind(url: str, clock: Clock, path: str, body: dict[str, Any], status: int) -> None:
    assert call(url, clock, path, body).status_code == status


def test_readiness_is_for_the_gateway_alone(url: str, clock: Clock) -> None:
    assert httpx.get(url + "/health/ready").status_code == 401
    answer = httpx.get(url + "/health/ready", headers=Signer("gateway", GATEWAY, clock).headers("GET", "/health/ready", b""))
    assert answer.json() == {"database": "ok", "keystore": "ok"}


def test_malformed_fields_of_good_callers(url: str, clock: Clock, sqlite_kit: Kit) -> None:
    customer = sqlite_kit.customer().sign_in()
    for path, body in (
        ("/core/reveal", {"tokens": "x"}), ("/core/reveal", {"tokens": [5]}), ("/core/cards/show", {"ref": 5}),
        ("/core/cards/act", {"ref": "a" * 26, "act": "approve", "new_session": "a" * 32}),
        ("/core/cards/act", {"ref": "a" * 26, "act": "submit", "value": "x" * 65, "new_session": "a" * 32}),
        ("/core/cards/act", {"ref": "a" * 26, "act": "submit", "value": 5, "new_session": "a" * 32}),
        ("/core/session/sign-out", {"new_session": "x", "new_conversation": "y" * 32}),
    ):
        assert call(url, clock, path, {"capability": customer.capability()} | body).status_code == 400, path


def test_the_webhook_runs_guarded_actions(url: str, clock: Clock, sqlite_kit: Kit) -> None:
    customer = sqlite_kit.customer().sign_in()
    answer = call(url, clock, "/webhook", webhook(customer.conversation, "action_check_balance", customer.capability()), "rasa", RASA)
    said = answer.json()["responses"][0]
    assert said["response"] == "utter_balance" and said["accounts"].startswith("ACCOUNTS_")
    slots = {"payee": "maria", "amount": "20", "reference": "x", "is_verified": True, "auth_level": "high"}
    answer = call(url, clock, "/webhook", webhook(customer.conversation, "action_make_payment", customer.capability(), **slots), "rasa", RASA)
    assert [(each.get("response"), (each.get("custom") or {}).get("type")) for each in answer.json()["responses"]] == [
        ("utter_prove_it", None), (None, "confirm"),
    ]
    events = answer.json()["events"]
    assert {event["name"] for event in events if event["event"] == "slot"} == {"payee", "amount", "currency", "reference"}
    assert events[-1] == {"event": "followup", "timestamp": None, "name": "action_listen"}
    inside = webhook(customer.conversation, "action_verify_identity", customer.capability())
    inside["tracker"]["active_loop"] = {"name": "payment_form"}
    events = call(url, clock, "/webhook", inside, "rasa", RASA).json()["events"]
    assert [(event["event"], event["name"]) for event in events] == [("active_loop", "payment_form"), ("followup", "action_listen")]
    assert call(url, clock, "/webhook", webhook("c" * 32, "action_unknown", None), "rasa", RASA).status_code == 404


def test_the_whole_of_the_gateways_calls(url: str, clock: Clock, sqlite_kit: Kit) -> None:
    customer = sqlite_kit.customer().sign_in()
    card = customer.pay("10").card
    assert card is not None
    shown = call(url, clock, "/core/cards/show", {"capability": customer.capability(), "ref": card.ref}).json()
    assert shown["type"] == "confirm"
    body = {"ref": card.ref, "act": "submit", "value": customer.code(), "new_session": (new := new_id())}
    acted = call(url, clock, "/core/cards/act", {"capability": customer.capability()} | body).json()
    assert acted == {"outcome": "accepted", "text": "Thank you, that's you.", "session": new, "resume": True}
    customer.session = new
    resumed = call(url, clock, "/webhook", webhook(customer.conversation, "action_resume", customer.capability()), "rasa", RASA).json()
    assert resumed["responses"][0]["response"] == "utter_payment_sent"
    outcome = call(url, clock, "/core/turn/outcome", {"capability": customer.capability(same_turn=True)}).json()
    assert outcome["outcome"] == "done"


def test_a_database_that_is_away_is_503_and_health_says_so(clock: Clock, sqlite_kit: Kit) -> None:
    import sqlite3

    with serving(sqlite_kit, clock) as address:
        holder = sqlite3.connect(str(sqlite_kit.core.database.url.database), isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        body = webhook("c" * 32, "action_check_balance", sqlite_kit.customer().capability())
        answer = call(address, clock, "/webhook", body, "rasa", RASA)
        assert (answer.status_code, answer.json()) == (503, {"error": "away"})
        holder.execute("ROLLBACK")
        assert httpx.get(address + "/health/live").json() == {"status": "ok"}
