"""Stock Rasa as its documentation sets it up: `rasa run` with the REST channel, SQLTrackerStore on SQLite, the SDK's action server, plain HTTP."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from bench.stock_environment import ROOT, StockRasa, StockUnavailable, environment
from bench.talk import HI, Line, WrongAnswer
from tests.integration.stack import answers, free_ports

_READY_WITHIN = 180.0


@dataclass
class StockTalk:
    """One conversation over the REST channel: the caller names the sender, and is believed."""

    http: aiohttp.ClientSession
    url: str
    sender: str

    async def say(self, line: Line) -> float:
        """See Talk. The answer is there when the call returns, as over this channel it always is."""
        started = time.perf_counter()
        async with self.http.post(self.url, json={"sender": self.sender, "message": line.text}) as response:
            messages = await response.json()
        seconds = time.perf_counter() - started
        said = "\n".join(str(message.get("text", "")) for message in messages)
        if line.expected not in said:
            raise WrongAnswer(f"stock Rasa answered {said!r} to {line.text!r}")
        return seconds

    async def fill(self, turns: int) -> None:
        for _ in range(turns):
            await self.say(HI)

    async def close(self) -> None:
        await self.http.close()


@dataclass
class StockSide:
    """Stock Rasa and its action server, below a folder of their own."""

    rasa: StockRasa
    folder: Path
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _talks: int = 0

    def __post_init__(self) -> None:
        self._rasa_port, self._actions_port = free_ports(2)
        self.folder.mkdir(parents=True)
        shutil.copy(ROOT / "bench" / "stock" / "actions.py", self.folder)
        (self.folder / "credentials.yml").write_text("rest:\n")
        (self.folder / "endpoints.yml").write_text(
            f"action_endpoint:\n  url: http://127.0.0.1:{self._actions_port}/webhook\n"
            f"tracker_store:\n  type: SQL\n  dialect: sqlite\n  db: {self.folder / 'tracker.db'}\n"
        )

    def start(self) -> None:
        run = ("-m", "rasa", "run", "-i", "127.0.0.1", "-p", str(self._rasa_port), "--model", str(self.rasa.model),
               "--endpoints", "endpoints.yml", "--credentials", "credentials.yml")
        self._spawn("actions", ("-m", "rasa_sdk", "--actions", "actions", "-p", str(self._actions_port)))
        self._spawn("rasa", run)
        self._wait("actions", f"http://127.0.0.1:{self._actions_port}/health")
        self._wait("rasa", f"http://127.0.0.1:{self._rasa_port}/webhooks/rest/")

    def _spawn(self, name: str, arguments: tuple[str, ...]) -> None:
        with (self.folder / f"{name}.log").open("ab") as output:
            self._processes[name] = subprocess.Popen(
                (str(self.rasa.python), *arguments), cwd=self.folder, env=environment(self.folder),
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )

    def _wait(self, name: str, url: str) -> None:
        end = time.monotonic() + _READY_WITHIN
        while not answers(url, self.folder):
            if self._processes[name].poll() is not None or time.monotonic() > end:
                raise StockUnavailable(f"stock {name} did not start: {(self.folder / f'{name}.log').read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
        self._processes.clear()

    def processes(self) -> dict[str, int]:
        return {name: process.pid for name, process in self._processes.items()}

    async def open(self, *, signed_in: bool = True) -> StockTalk:
        """See Side. Nobody signs in: stock Rasa does not know who is speaking."""
        self._talks += 1
        return StockTalk(aiohttp.ClientSession(), f"http://127.0.0.1:{self._rasa_port}/webhooks/rest/webhook", f"talk-{self._talks}")
