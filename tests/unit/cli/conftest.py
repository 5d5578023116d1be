"""Helpers of the command-line tests."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

#: Seconds after which a condition that should come true is called a failure.
PATIENCE = 30.0


@pytest.fixture
def empty_port() -> Iterator[int]:
    """A port of this machine on which nothing listens."""
    with closing(socket.socket()) as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


async def eventually(condition: Callable[[], object]) -> None:
    """Wait until `condition` is true; fail when it never is."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "the condition never came true"
        await asyncio.sleep(0.01)


def wait_until(condition: Callable[[], object]) -> None:
    asyncio.run(eventually(condition))


def gone(pid: int) -> bool:
    """Say whether a process has ended (a zombie that nobody has collected yet has)."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def program() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a Python program in a process group of its own; whatever is left of it is ended after the test."""
    started: list[subprocess.Popen[str]] = []

    def start(source: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", source, *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for what the program writes; every other setting of ours is at its default."""
    for name in [name for name in os.environ if name.startswith("CONFIDE_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "var"
    monkeypatch.setenv("CONFIDE_VAR", str(folder))
    return folder


@pytest.fixture
def free_ports(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our three ports moved to ones that nothing listens on."""
    holders = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    for variable, holder in zip(("CONFIDE_PORT", "CONFIDE_RASA_PORT", "CONFIDE_ACTIONS_PORT"), holders, strict=True):
        monkeypatch.setenv(variable, str(holder.getsockname()[1]))
        holder.close()
