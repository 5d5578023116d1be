"""The real processes on free ports in a temporary folder, started and stopped one by one."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyotp

from bank import demo
from confide.cli.certificates import TlsFiles, ensure
from confide.cli.keyring_setup import complete
from confide.cli.services import Plan, Service
from confide.rasa.model_archive import sign
from confide.server.setup import prepare
from confide.storage.keyring import read_private
from tests.integration.chat import Chat

ROOT = Path(__file__).resolve().parents[2]
START_ORDER = ("actions", "rasa", "worker", "gateway")


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _copy(model: Path, folder: Path) -> Path:
    folder.mkdir()
    return Path(shutil.copy(model, folder))


@dataclass
class Stack:
    """One installation with its processes."""

    var: Path
    plan: Plan
    environ: dict[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @classmethod
    def make(cls, var: Path, model: Path, **extra: str) -> Stack:
        """Make keys, certificates and data; `model` is a trained archive, signed here anew."""
        gateway, rasa, actions = free_ports(3)
        complete(var / "keys")
        environ = {
            "PATH": os.environ["PATH"], "HOME": str(var), "CONFIDE_VAR": str(var), "CONFIDE_PORT": str(gateway), "CONFIDE_RASA_PORT": str(rasa),
            "CONFIDE_ACTIONS_PORT": str(actions), "CONFIDE_MODEL": str(var / "models"), "CONFIDE_POLICY": str(ROOT / "privacy.yml"),
            "CONFIDE_ASSETS": str(ROOT / "webchat" / "dist"), **extra,
        }
        plan = Plan.read(environ)
        ensure(TlsFiles(var), datetime.now(UTC))
        sign(_copy(model, var / "models"), read_private(var / "keys/rasa/model.key"))
        prepare(plan.core, environ)
        return cls(var, plan, environ)

    @property
    def address(self) -> str:
        return self.plan.address

    @property
    def authority(self) -> Path:
        return self.var / "tls" / "ca.pem"

    def chat(self, **options: object) -> Chat:
        return Chat(self.address, self.authority, **options)  # type: ignore[arg-type]

    def people(self) -> dict[str, demo.DemoCustomer]:
        return {person.number: person for person in demo.customers(self.environ)}

    def phone(self, number: str = "1001") -> pyotp.TOTP:
        key = self.people()[number].authenticator_key
        assert key is not None
        return pyotp.TOTP(key.replace(" ", ""))

    def start(self, *names: str, **extra: str) -> None:
        """Start processes (all, without names) and wait until they answer."""
        services = {service.name: service for service in self.plan.services()}
        for name in names or START_ORDER:
            self.processes[name] = self._spawn(services[name], extra)
        for name in names or START_ORDER:
            self._wait(services[name])

    def start_unready(self, name: str) -> None:
        """Start a process that is not expected to come up."""
        self.processes[name] = self._spawn(next(each for each in self.plan.services() if each.name == name), {})

    def _spawn(self, service: Service, extra: Mapping[str, str]) -> subprocess.Popen[bytes]:
        log = self.var / "log" / f"{service.name}.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("ab") as output:
            return subprocess.Popen(
                service.command, cwd=ROOT, env={**service.environment, **extra}, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def _wait(self, service: Service) -> None:
        process, end = self.processes[service.name], time.monotonic() + 180
        while service.probe is not None:
            assert process.poll() is None, f"{service.name} ended: {self.log(service.name)[-2000:]}"
            assert time.monotonic() < end, f"{service.name} does not answer: {self.log(service.name)[-2000:]}"
            if answers(service.probe.url, self.authority):
                return
            time.sleep(0.1)

    def stop(self, *names: str, number: int = signal.SIGTERM) -> None:
        """End processes (all, without names), by the ids of those we started."""
        for name in names or reversed(START_ORDER):
            process = self.processes.pop(name, None)
            if process is not None and process.poll() is None:
                process.send_signal(number)
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(5)

    def log(self, name: str) -> str:
        path = self.var / "log" / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def logs(self) -> str:
        return "".join(self.log(name) for name in START_ORDER)


@contextmanager
def running(folder: Path, model: Path, **extra: str) -> Iterator[Stack]:
    """A stack of its own below `folder`, started, and stopped at the end whatever happens."""
    stack = Stack.make(folder / "var", model, **extra)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


def answers(url: str, authority: Path) -> bool:
    """Say whether GET `url` gives 200."""
    context = ssl.create_default_context(cafile=str(authority)) if url.startswith("https") else None
    try:
        with urllib.request.urlopen(url, timeout=2, context=context) as response:
            return bool(response.status == 200)
    except OSError:
        return False
