"""The real process over HTTP: `python -m confide.rasa` with a tiny model, signed calls, and a signed action server of our own."""

from __future__ import annotations

import json
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from confide.internal.signing import Signer, Unauthenticated, Verifier
from confide.rasa.train import ensure
from tests.unit.rasa.project_kit import environment

pytestmark = pytest.mark.rasa

@dataclass
class Actions:
    """A stand-in for the action server: it checks signatures and answers by the name of the action."""

    verifier: Verifier
    calls: list[dict[str, Any]] = field(default_factory=list)
    before_answering: Callable[[], object] | None = None

    def answer(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        try:
            self.verifier.verify("POST", path, body, headers)
        except Unauthenticated:
            return 401, {"error": "unauthenticated"}
        call = json.loads(body)
        self.calls.append(call)
        if self.before_answering:
            self.before_answering()
        if call["next_action"] == "action_broken":
            return 500, {"error": "boom", "request_body": call}
        amount = call["tracker"]["slots"]["amount"]
        return 200, {"events": [], "responses": [{"text": f"paid {amount}"}]}


@dataclass
class Process:
    """The Rasa process of one test and what is around it."""

    root: Path
    databases: Path
    environ: dict[str, str]
    port: int
    gateway: Signer
    actions: Actions
    running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = (self.root / "rasa.log").open("ab")
        self.running = subprocess.Popen(
            [sys.executable, "-m", "confide.rasa"], cwd=self.root, env=self.environ, stdout=log, stderr=log
        )
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline and self.running.poll() is None:
            try:
                httpx.get(f"http://127.0.0.1:{self.port}/", timeout=1)
                return
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError((self.root / "rasa.log").read_text())

    def stop(self) -> int:
        assert self.running is not None
        self.running.send_signal(signal.SIGTERM)
        return self.running.wait(30)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", headers=self.gateway.headers("GET", path, b""), timeout=10)

    def say(self, conversation: str, text: str) -> httpx.Response:
        body = json.dumps({"conversation": conversation, "text": text, "metadata": {"capability": "capability-canary"}}).encode()
        return self.post("/webhooks/confide/webhook", body)

    def post(self, path: str, body: bytes, *, signed: bool = True) -> httpx.Response:
        headers = self.gateway.headers("POST", path, body) if signed else {}
        return httpx.post(f"http://127.0.0.1:{self.port}{path}", content=body, headers=headers, timeout=20)

    def logged(self) -> str:
        return (self.root / "rasa.log").read_text()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def actions(project_keys: dict[str, bytes]) -> Iterator[tuple[Actions, int]]:
    served = Actions(Verifier({"rasa": project_keys["rasa-actions.key"]}))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = served.answer(self.path, body, {name.lower(): value for name, value in self.headers.items()})
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield served, server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def process(
    project: Path, project_keys: dict[str, bytes], actions: tuple[Actions, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Process]:
    """One process for the tests of this file: each has a conversation of its own and leaves the store as it found it."""
    databases = tmp_path_factory.mktemp("databases")
    port = _free_port()
    environ = environment(project) | {
        "CONFIDE_RASA_PORT": str(port), "CONFIDE_ACTIONS_URL": f"http://127.0.0.1:{actions[1]}",
        "CONFIDE_TRACKER_URL": f"sqlite:///{databases}/rasa/tracker.sqlite",
        "CONFIDE_TRACKER_KEYSTORE_URL": f"sqlite:///{databases}/rasa-keys/keystore.sqlite",
    }
    (project / "rasa.log").unlink(missing_ok=True)
    started = Process(project, databases, environ, port, Signer("gateway", project_keys["gateway-rasa.key"]), actions[0])
    started.start()
    yield started
    if started.running is not None and started.running.poll() is None:
        started.running.kill()
        started.running.wait()


def test_a_conversation_through_the_process(process: Process) -> None:
    talk = secrets.token_hex(16)

    assert process.get("/webhooks/confide/health").json() == {"store": "ok"}
    assert process.say(talk, "hello").json() == {"messages": [{"text": "hello in the chat"}], "failed": None}
    assert process.say(talk, "pay").json() == {"messages": [{"text": "to whom"}], "failed": None}
    assert process.say(talk, "maria canary").json() == {"messages": [{"text": "how much"}], "failed": None}

    # a restart keeps the conversation, in the middle of a form
    assert process.stop() == 0
    process.start()
    assert process.say(talk, "ninety canaries").json() == {"messages": [{"text": "paid ninety canaries"}], "failed": None}

    call = process.actions.calls[-1]
    assert call["sender_id"] == talk
    assert call["tracker"]["latest_message"]["metadata"]["capability"] == "capability-canary"
    assert set(call["domain"]) == {"forms", "slots"}
    assert "capability-canary" not in json.dumps(call["tracker"]["slots"])

    # a failed action is said to have failed, and its answer, with the whole request in it, is nowhere in the log
    assert process.say(talk, "boom").json() == {"messages": [], "failed": "action"}
    assert "the action server answered 500" in process.logged()

    stored = b"".join(path.read_bytes() for path in process.databases.rglob("*") if path.is_file())
    for canary in (talk, "ninety canaries", "maria canary", "action_paid", "greet", "capability-canary"):
        assert canary not in process.logged()
        assert canary.encode() not in stored


def test_who_may_call_what(process: Process) -> None:
    talk, path = secrets.token_hex(16), "/webhooks/confide/webhook"
    body = json.dumps({"conversation": talk, "text": "hello", "metadata": {"capability": "x"}}).encode()

    assert process.post(path, body, signed=False).status_code == 401
    assert httpx.get(f"http://127.0.0.1:{process.port}/webhooks/confide/health").status_code == 401
    headers = process.gateway.headers("POST", path, body)
    first = httpx.post(f"http://127.0.0.1:{process.port}{path}", content=body, headers=headers, timeout=20)
    again = httpx.post(f"http://127.0.0.1:{process.port}{path}", content=body, headers=headers, timeout=20)
    assert (first.status_code, again.status_code) == (200, 401)
    assert again.json() == {"error": "unauthenticated"}

    for closed in ("/conversations", f"/conversations/{talk}/tracker", "/model/parse", "/version", "/status", "/webhooks/rest/webhook"):
        assert process.get(closed).status_code == 404, closed
        assert process.post(closed, b"{}").status_code == 404, closed
    assert process.get("/conversations").json() == {"error": "not_found"}

    for wrong in (b"{", b"[]", b'{"conversation": "x"}', json.dumps({"conversation": "a" * 32, "text": 1, "metadata": {}}).encode()):
        assert process.post(path, wrong).json() == {"error": "malformed"}
    assert process.post(path, b"x" * 70_000).status_code == 413


@pytest.mark.parametrize("broken", ["rasa/tracker.sqlite", "rasa-keys/keystore.sqlite"])
def test_a_store_that_breaks_is_seen_and_nothing_is_kept_in_memory(process: Process, broken: str) -> None:
    talk = secrets.token_hex(16)
    assert process.say(talk, "pay").status_code == 200
    database = process.databases / broken
    kept, calls = database.rename(database.with_suffix(".away")), len(process.actions.calls)
    database.mkdir()

    refused = process.say(talk, "boom")

    assert (refused.status_code, refused.json()) == (503, {"error": "store"})
    assert process.get("/webhooks/confide/health").status_code == 503
    assert len(process.actions.calls) == calls  # the turn was not run
    database.rmdir()
    kept.rename(database)
    assert process.get("/webhooks/confide/health").json() == {"store": "ok"}
    assert process.say(talk, "maria").json()["messages"] == [{"text": "how much"}]  # still in the form


def test_a_store_that_breaks_after_an_action_does_not_claim_that_nothing_happened(process: Process) -> None:
    talk, database = secrets.token_hex(16), process.databases / "rasa" / "tracker.sqlite"
    for text in ("pay", "maria"):
        assert process.say(talk, text).status_code == 200
    process.actions.before_answering = lambda: database.rename(database.with_suffix(".away"))

    refused = process.say(talk, "five")

    process.actions.before_answering = None
    database.with_suffix(".away").rename(database)
    assert (refused.status_code, refused.json()) == (500, {"error": "internal"})


def test_a_changed_model_is_not_loaded(project: Path, project_keys: dict[str, bytes]) -> None:
    archive = ensure(project, project / "models", project_keys["model.key"])
    content = archive.read_bytes()
    archive.write_bytes(content + b"\0")
    try:
        refused = subprocess.run(
            [sys.executable, "-m", "confide.rasa"], cwd=project, env=environment(project), capture_output=True, text=True, timeout=60,
            check=False,
        )
    finally:
        archive.write_bytes(content)
    assert refused.returncode == 1
    assert "a model is code" in refused.stderr
