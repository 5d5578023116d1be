"""The supervisor, with small programs in place of ours."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from confide.cli.services import Probe, Service
from confide.cli.supervisor import GaveUp, Patience, Supervisor

from .conftest import eventually, gone, wait_until

QUICK = Patience(back_off=0.01, back_off_most=0.02, stop=20.0, ask_every=0.01, settle=0.01)
PROBE = Probe("http://127.0.0.1:1/")
#: Says that it lives, in the file named by its first argument, and waits to be stopped.
LIVES = "import os, pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text(str(os.getpid())); time.sleep(600)"


def service(name: str, source: str, *arguments: object, probe: Probe | None = None, ready_within: float = 20.0) -> Service:
    command = (sys.executable, "-c", source, *map(str, arguments))
    return Service(name, command, {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"}, probe, ready_within)


async def yes(_probe: Probe) -> bool:
    return True


async def no(_probe: Probe) -> bool:
    return False


class Running:
    """A supervisor that runs in the background of a test."""

    def __init__(self, folder: Path, *services: Service, patience: Patience = QUICK, ask: Callable[..., object] = yes) -> None:
        self.said: list[str] = []
        self.ready = asyncio.Event()
        self.supervisor = Supervisor(services, folder / "log", self.said.append, patience, ask=ask)  # type: ignore[arg-type]
        self.task = asyncio.create_task(self.supervisor.run(self.ready.set))

    def has_said(self, text: str) -> bool:
        return any(text in line for line in self.said)

    async def stop(self) -> None:
        self.supervisor.stop()
        await self.task


async def test_a_process_that_dies_is_named_with_its_last_words_and_started_again(tmp_path: Path) -> None:
    source = (
        "import pathlib, sys, time; mark = pathlib.Path(sys.argv[1])\n"
        "if mark.exists(): (mark.parent / 'second').touch(); time.sleep(600)\n"
        "mark.touch(); print('the disk is full'); sys.exit(7)"
    )
    running = Running(tmp_path, service("teller", source, tmp_path / "first"))
    await eventually((tmp_path / "second").exists)
    await asyncio.wait_for(running.ready.wait(), 20)
    await running.stop()
    report = next(line for line in running.said if "died" in line)
    assert report.startswith("teller died (exit code 7); starting it again")
    assert "  | the disk is full" in report
    assert str(tmp_path / "log" / "teller.log") in report


async def test_a_process_killed_from_outside_is_started_again(tmp_path: Path) -> None:
    running = Running(tmp_path, service("teller", LIVES, tmp_path / "pid"))
    await asyncio.wait_for(running.ready.wait(), 20)
    await eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    first = (tmp_path / "pid").read_text()
    os.kill(int(first), signal.SIGKILL)
    await eventually(lambda: (tmp_path / "pid").read_text() not in {"", first})
    await running.stop()
    assert running.has_said("teller died (killed by SIGKILL)")


async def test_a_process_that_keeps_dying_stops_the_whole(tmp_path: Path) -> None:
    source = (
        "import pathlib, sys, time; here = pathlib.Path(sys.argv[1])\n"
        "with (here / 'starts').open('a') as file: file.write('x')\n"
        "while not (here / 'die').exists(): time.sleep(0.01)\n"
        "sys.exit(1)"
    )
    bystander = service("bystander", LIVES, tmp_path / "pid")
    running = Running(tmp_path, bystander, service("teller", source, tmp_path))
    await eventually(lambda: running.has_said("teller: running") and running.has_said("bystander: running"))
    await eventually((tmp_path / "pid").exists)
    (tmp_path / "die").touch()
    with pytest.raises(GaveUp, match=r"teller died 6 times in 120 s \(exit code 1\)"):
        await running.task
    assert (tmp_path / "starts").read_text() == "x" * (1 + QUICK.restarts)
    assert gone(int((tmp_path / "pid").read_text()))


async def test_the_wait_before_a_restart_doubles(tmp_path: Path) -> None:
    patience = Patience(back_off=0.01, back_off_most=0.05, restarts_unready=4, ask_every=0.01)
    running = Running(tmp_path, service("teller", "raise SystemExit(1)", probe=PROBE), patience=patience, ask=no)
    with pytest.raises(GaveUp):
        await running.task
    waits = [line.split(" in ")[1].split(" s.")[0] for line in running.said if "starting it again" in line]
    assert waits == ["0.01", "0.02", "0.04", "0.05"]


async def test_a_process_that_never_gets_ready_is_given_up_sooner(tmp_path: Path) -> None:
    running = Running(tmp_path, service("teller", "print('no such key file'); raise SystemExit(2)", probe=PROBE), ask=no)
    with pytest.raises(GaveUp, match="never got ready") as caught:
        await running.task
    assert "  | no such key file" in str(caught.value)
    assert sum("starting it again" in line for line in running.said) == QUICK.restarts_unready


async def test_a_process_that_runs_but_does_not_answer_stops_the_whole(tmp_path: Path) -> None:
    running = Running(tmp_path, service("teller", LIVES, tmp_path / "pid", probe=PROBE, ready_within=0.3), ask=no)
    with pytest.raises(GaveUp, match="teller runs but does not answer"):
        await running.task
    assert not running.ready.is_set()


async def test_ready_is_told_once_when_all_answer(tmp_path: Path) -> None:
    open_doors: set[str] = set()

    async def ask(probe: Probe) -> bool:
        return probe.url in open_doors

    services = [service(name, LIVES, tmp_path / name, probe=Probe(name)) for name in ("one", "two")]
    running = Running(tmp_path, *services, ask=ask)
    open_doors.add("one")
    await eventually(lambda: running.has_said("one: running"))
    assert not running.ready.is_set()
    open_doors.add("two")
    await asyncio.wait_for(running.ready.wait(), 20)
    await running.stop()


async def test_they_stop_one_after_the_other_the_last_started_first(tmp_path: Path) -> None:
    source = (
        "import pathlib, signal, sys, time; here, name = pathlib.Path(sys.argv[1]), sys.argv[2]\n"
        "def bye(*_):\n"
        "    with (here / 'order').open('a') as file: file.write(name + ' ')\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, bye); (here / name).touch(); time.sleep(600)"
    )
    names = ("actions", "rasa", "worker", "gateway")
    running = Running(tmp_path, *(service(name, source, tmp_path, name) for name in names))
    await eventually(lambda: all((tmp_path / name).exists() for name in names))
    await running.stop()
    assert (tmp_path / "order").read_text().split() == ["gateway", "worker", "rasa", "actions"]


DEAF = "import pathlib, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"


async def test_a_process_that_will_not_stop_is_killed_and_named(tmp_path: Path) -> None:
    patience = Patience(stop=0.05, ask_every=0.01, settle=0.01)
    running = Running(tmp_path, service("teller", DEAF, tmp_path / "deaf"), patience=patience)
    await eventually((tmp_path / "deaf").exists)
    await running.stop()
    assert running.has_said("teller: did not stop within 0.05 s; killed")


async def test_a_second_request_to_stop_waits_for_nothing(tmp_path: Path) -> None:
    patience = Patience(stop=3600, ask_every=0.01, settle=0.01)
    running = Running(tmp_path, service("teller", DEAF, tmp_path / "deaf"), patience=patience)
    await eventually((tmp_path / "deaf").exists)
    running.supervisor.stop()
    running.supervisor.stop()
    await asyncio.wait_for(running.task, 20)


async def test_a_child_sees_its_own_environment_and_nothing_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFIDE_DATABASE_URL", "postgresql://secret")
    source = "import json, os, pathlib, sys; pathlib.Path(sys.argv[1]).write_text(json.dumps(dict(os.environ))); import time; time.sleep(600)"
    running = Running(tmp_path, service("teller", source, tmp_path / "seen"))
    await eventually(lambda: (tmp_path / "seen").exists() and (tmp_path / "seen").read_text())
    await running.stop()
    seen = json.loads((tmp_path / "seen").read_text())
    assert set(seen) - {"LC_CTYPE"} == {"PATH", "PYTHONUNBUFFERED"}  # LC_CTYPE: CPython sets it itself (PEP 538)


#: A supervisor of two children in a process of its own. Arguments: the folder.
DRIVER = """
import asyncio, pathlib, sys
from confide.cli.services import Service
from confide.cli.supervisor import Patience, Supervisor
here = pathlib.Path(sys.argv[1])
child = '''
import os, pathlib, signal, sys, time
mark = pathlib.Path(sys.argv[1])
signal.signal(signal.SIGINT, lambda *_: mark.with_suffix(".interrupted").touch())
mark.write_text(str(os.getpid()))
time.sleep(120)
'''
services = [Service(name, (sys.executable, "-c", child, str(here / name)), {}) for name in ("one", "two")]
supervisor = Supervisor(services, here / "log", print, Patience(settle=0.01, ask_every=0.01))
asyncio.run(supervisor.run(lambda: print("ready", flush=True)))
print("stopped", flush=True)
"""


def children(folder: Path) -> list[int]:
    files = [folder / "one", folder / "two"]
    wait_until(lambda: all(file.exists() and file.read_text() for file in files))
    return [int(file.read_text()) for file in files]


def test_ctrl_c_stops_all_and_only_the_supervisor_hears_it(tmp_path: Path, program: Callable[..., subprocess.Popen[str]]) -> None:
    driver = program(DRIVER, str(tmp_path))
    pids = children(tmp_path)
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does: to everything in its group
    output, _ = driver.communicate(timeout=30)
    assert driver.returncode == 0
    assert output.endswith("stopped\n")
    assert all(gone(pid) for pid in pids)
    assert not list(tmp_path.glob("*.interrupted"))


def test_sigterm_stops_all(tmp_path: Path, program: Callable[..., subprocess.Popen[str]]) -> None:
    driver = program(DRIVER, str(tmp_path))
    pids = children(tmp_path)
    driver.terminate()
    assert driver.wait(30) == 0
    assert all(gone(pid) for pid in pids)


def test_a_supervisor_that_is_killed_leaves_no_orphans(tmp_path: Path, program: Callable[..., subprocess.Popen[str]]) -> None:
    driver = program(DRIVER, str(tmp_path))
    pids = children(tmp_path)
    driver.kill()
    driver.wait(30)
    wait_until(lambda: all(gone(pid) for pid in pids))


def test_a_leash_whose_parent_is_gone_already_runs_nothing(tmp_path: Path) -> None:
    from confide.cli import leash

    mark = tmp_path / "ran"
    command = [sys.executable, "-I", leash.__file__, "1", sys.executable, "-c", "import pathlib, sys; pathlib.Path(sys.argv[1]).touch()", mark]
    assert subprocess.run(command, check=False, timeout=30).returncode == 1
    assert not mark.exists()
