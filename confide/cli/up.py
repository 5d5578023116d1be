"""`confide up`: the whole on one machine, with one command."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from confide.cli.output import Finding

if TYPE_CHECKING:
    from confide.cli.services import Plan


@click.command()
def up() -> None:
    """Start everything on this machine and keep it running.

    Makes what is missing (keys, a certificate for localhost, the databases with the demo bank's customers), then starts the actions,
    Rasa, the worker and the gateway, and restarts what dies. Ctrl-C stops it. Runs in the folder with privacy.yml and models/.
    """
    from confide.cli.services import Plan

    os.umask(0o077)  # whatever the processes write is their owner's alone
    plan = Plan.read(os.environ)
    with _only_one(plan.var):
        _check(plan)
        _prepare(plan)
        _run(plan)


def say(line: str) -> None:
    """Print a line; a terminal that has gone away must not keep us from stopping what runs."""
    with contextlib.suppress(OSError):
        click.echo(line)


@contextlib.contextmanager
def _only_one(var: Path) -> Iterator[None]:
    """Hold a lock that goes when this process goes, however it ends. Raises Finding when another has it."""
    var.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (var / "up.lock").open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise Finding(f"Confide runs here already (process {file.read(20).strip()}); stop that one first.") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _check(plan: Plan) -> None:
    """Find what would keep a process from starting while nothing has been changed yet. Raises Finding, PolicyError."""
    from confide.cli.probing import busy_ports
    from confide.policy.load import load_policy

    load_policy(plan.core.policy)
    if busy := list(busy_ports(plan.ports())):
        raise Finding("\n".join(busy))
    if not (plan.rasa.model.is_file() or any(plan.rasa.model.glob("*.tar.gz"))):
        raise Finding(f"there is no trained model in {plan.rasa.model}; run: make train")


def _prepare(plan: Plan) -> None:
    from confide.cli import certificates, keyring_setup
    from confide.server.setup import prepare

    if made := keyring_setup.complete(plan.var / "keys"):
        say(f"Made {len(made)} keys in {plan.var / 'keys'}; keep a copy of it somewhere safe.")
    if "CONFIDE_TLS_CERTIFICATE" not in plan.environ:
        files = certificates.TlsFiles(plan.var)
        if done := certificates.ensure(files, datetime.now(UTC)):
            say(f"{done}\n{how_to_trust(files.authority)}")
    started = time.monotonic()
    prepare(plan.core)
    say(f"Databases are ready ({time.monotonic() - started:.1f} s).")


def how_to_trust(authority: Path) -> str:
    """Return how to make a browser accept the certificate without a warning."""
    return (
        f"Your browser will warn until it trusts {authority}: import it in the browser's settings under certificate authorities,\n"
        f'or for Chromium: certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n "Confide local" -i {authority}\n'
        "The authority can vouch for localhost and for nothing else."
    )


def _run(plan: Plan) -> None:
    from confide.cli.supervisor import GaveUp, Supervisor

    say("Starting:")
    supervisor = Supervisor(plan.services(), plan.var / "log", say)
    try:
        asyncio.run(supervisor.run(lambda: say(_welcome(plan))))
    except GaveUp as error:
        raise Finding(f"{error}\nEverything was stopped.") from None
    say("Stopped.")


def _welcome(plan: Plan) -> str:
    from confide.cli.demo import describe, people_of

    people = people_of(plan.core)
    with_app = next((person.number for person in people if person.authenticator_key), "CUSTOMER")
    names = describe(people).replace("\n", "\n  ")
    return f"""
Confide is ready: {plan.address}

  {names}

  A code from a customer's authenticator app:  .venv/bin/confide demo code {with_app}
  Logs: {plan.var / "log"}
  To stop: Ctrl-C
"""
