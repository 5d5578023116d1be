"""Keeps a handful of processes running: starts them, waits until they answer, names and restarts what dies, stops them in order.

Each process leads a session of its own, so that Ctrl-C reaches the supervisor alone and the order of stopping is ours; each is on a leash
(leash.py), so that none outlives a supervisor that is killed. Their output goes straight into their log files.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confide.cli import leash, logs
from confide.cli.probing import answers
from confide.cli.services import Probe, Service

Say = Callable[[str], None]


class GaveUp(Exception):
    """The whole was stopped because one part does not run. The message names it and says why."""


@dataclass(frozen=True)
class Patience:
    """How long to try. Times in seconds."""

    #: A process that worked is restarted at most this often in `window` seconds; one that never answered, less often: it will not change.
    restarts: int = 5
    restarts_unready: int = 2
    window: float = 120.0
    #: The first wait before a restart; it doubles with each restart in the window.
    back_off: float = 1.0
    back_off_most: float = 30.0
    #: From SIGTERM to SIGKILL.
    stop: float = 10.0
    #: Between two questions whether a process answers.
    ask_every: float = 0.2
    #: A process without a probe counts as ready when it has lived this long.
    settle: float = 1.0


@dataclass
class _Running:
    service: Service
    started: float
    process: Process
    log_offset: int


@dataclass
class Supervisor:
    """Runs `services` until told to stop. One use."""

    services: Sequence[Service]
    log_folder: Path
    say: Say
    patience: Patience = Patience()
    clock: Callable[[], float] = time.monotonic
    ask: Callable[[Probe], Awaitable[bool]] = answers
    _running: dict[str, _Running] = field(default_factory=dict)
    _restarts: dict[str, deque[float]] = field(default_factory=dict)
    _was_ready: set[str] = field(default_factory=set)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, when_ready: Callable[[], None]) -> None:
        """Start all, call `when_ready` once when all answer, and come back when SIGINT, SIGTERM or SIGHUP has stopped them.

        Raises GaveUp when a part cannot be kept running; everything is stopped by then too.
        """
        loop = asyncio.get_running_loop()
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup: go on without the terminal
            numbers.append(signal.SIGHUP)
        for number in numbers:
            loop.add_signal_handler(number, self.stop)
        try:
            await self._until_stopped(when_ready)
        finally:
            await self._stop_all()
            for number in numbers:
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        """Have `run` stop everything and come back. The second time (an impatient Ctrl-C) nothing is waited for any more."""
        if self._stop.is_set():
            self._kill_all()
        self._stop.set()

    async def _until_stopped(self, when_ready: Callable[[], None]) -> None:
        jobs: list[asyncio.Task[Any]] = [asyncio.create_task(self._keep(service)) for service in self.services]
        jobs += [asyncio.create_task(self._announce(when_ready)), asyncio.create_task(self._stop.wait())]
        pending = set(jobs)
        try:
            while not self._stop.is_set():
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for job in done:
                    job.result()  # raises GaveUp
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)

    async def _announce(self, when_ready: Callable[[], None]) -> None:
        for service in self.services:
            while service.name not in self._was_ready:
                await asyncio.sleep(self.patience.ask_every)
        when_ready()

    async def _keep(self, service: Service) -> None:
        while True:
            running = await self._start(service)
            watch = asyncio.create_task(self._wait_ready(running))
            try:
                code = await self._exit_or_late(running, watch)
            finally:
                watch.cancel()
            await self._before_restart(running, code)

    async def _start(self, service: Service) -> _Running:
        offset = logs.prepare(self.log_folder, service.name)
        with logs.open_for_append(self.log_folder, service.name) as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", leash.__file__, str(os.getpid()), *service.command,
                stdin=DEVNULL, stdout=log, stderr=log, env=dict(service.environment), start_new_session=True,
            )
        running = _Running(service, self.clock(), process, offset)
        self._running[service.name] = running
        return running

    async def _wait_ready(self, running: _Running) -> None:
        service = running.service
        if service.probe is not None:
            self.say(f"  {service.name}: waiting until it answers (up to {service.ready_within:.0f} s)")
            while not await self.ask(service.probe):
                await asyncio.sleep(self.patience.ask_every)
        else:
            await asyncio.sleep(self.patience.settle)
        self.say(f"  {service.name}: running after {self.clock() - running.started:.1f} s")
        self._was_ready.add(service.name)

    async def _exit_or_late(self, running: _Running, watch: asyncio.Task[None]) -> int:
        """Return the exit code when the process ends. Raises GaveUp when it runs but does not answer in time."""
        ended = asyncio.create_task(running.process.wait())
        try:
            limit = max(0.0, running.started + running.service.ready_within - self.clock())
            await asyncio.wait({ended, watch}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done() and not watch.done():
                raise GaveUp(self._report(running, f"{running.service.name} runs but does not answer."))
            if watch.done():
                watch.result()
            return await ended
        finally:
            ended.cancel()

    async def _before_restart(self, running: _Running, code: int) -> None:
        name, now = running.service.name, self.clock()
        what = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        history = self._restarts.setdefault(name, deque())
        while history and history[0] < now - self.patience.window:
            history.popleft()
        limit = self.patience.restarts if name in self._was_ready else self.patience.restarts_unready
        if len(history) >= limit:
            often = f"{len(history) + 1} times in {self.patience.window:.0f} s" if name in self._was_ready else "again and never got ready"
            raise GaveUp(self._report(running, f"{name} died {often} ({what})."))
        wait = min(self.patience.back_off * 2 ** len(history), self.patience.back_off_most)
        history.append(now)
        self.say(self._report(running, f"{name} died ({what}); starting it again in {wait:g} s."))
        await asyncio.sleep(wait)

    def _report(self, running: _Running, sentence: str) -> str:
        name = running.service.name
        lines = logs.tail(self.log_folder, name, running.log_offset)
        return "\n".join([sentence, *(f"  | {line}" for line in lines), f"  The whole log: {logs.path(self.log_folder, name)}"])

    async def _stop_all(self) -> None:
        """Stop one after the other, last started first: the public door before what it needs."""
        for service in reversed(self.services):
            running = self._running.get(service.name)
            if running is not None and running.process.returncode is None:
                await self._stop_one(running)

    async def _stop_one(self, running: _Running) -> None:
        _signal(running.process, signal.SIGTERM)
        try:
            await asyncio.wait_for(running.process.wait(), self.patience.stop)
        except TimeoutError:
            self.say(f"  {running.service.name}: did not stop within {self.patience.stop:g} s; killed")
            _signal(running.process, signal.SIGKILL)
            await running.process.wait()

    def _kill_all(self) -> None:
        for running in self._running.values():
            _signal(running.process, signal.SIGKILL)


def _signal(process: Process, number: signal.Signals) -> None:
    """Signal the process; with SIGKILL everything in its session's group, which it leads."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        if number == signal.SIGKILL:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
