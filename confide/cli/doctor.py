"""`confide doctor`: is everything as it should be, and if not, what to do."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from confide.cli.output import AWAY, FINDING, OK, emit, json_option, table

if TYPE_CHECKING:
    from confide.cli.services import Plan

State = Literal["ok", "finding", "away"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at, and what to do about it (empty when it is well)."""

    name: str
    state: State
    detail: str = ""


@click.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check keys, certificates, ports, databases, policy and processes. Changes nothing.

    Exit code 1 when something is wrong, 3 when a database or a process that should run cannot be reached.
    """
    from confide.cli.services import Plan

    plan = Plan.read(os.environ)
    checks = [*_keys(plan), *_certificate(plan, datetime.now(UTC)), *_policy(plan), *_databases(plan), *_processes(plan)]
    text = table([(check.state.upper() if check.state != "ok" else "ok", check.name, check.detail) for check in checks])
    emit({"checks": [asdict(check) for check in checks]}, text, as_json)
    states = {check.state for check in checks}
    ctx.exit(AWAY if "away" in states else FINDING if "finding" in states else OK)


def _keys(plan: Plan) -> Iterator[Check]:
    from confide.cli import keyring_setup

    root = plan.var / "keys"
    faults = list(keyring_setup.inspect(root))
    yield from (Check("keys", "finding", fault.problem) for fault in faults)
    wrong = {fault.name for fault in faults}
    missing = [key.name for key in keyring_setup.RING if key.name not in wrong and keyring_setup.state(root, key) == "missing"]
    if missing:
        yield Check("keys", "finding", f"missing: {', '.join(missing)}; run: confide keys init")
    elif not faults:
        yield Check("keys", "ok", f"{len(keyring_setup.RING)} keys in {root}")


def _certificate(plan: Plan, now: datetime) -> Iterator[Check]:
    from confide.cli.certificates import read_certificate

    path = plan.gateway.certificate
    certificate = read_certificate(path)
    if certificate is None:
        yield Check("certificate", "finding", f"{path} cannot be read; confide up makes one for localhost")
        return
    end = certificate.not_valid_after_utc
    if not certificate.not_valid_before_utc <= now < end:
        yield Check("certificate", "finding", f"{path} is not valid now (until {end:%d %B %Y}); restart with confide up to renew it")
    elif end - now < timedelta(days=14):
        yield Check("certificate", "finding", f"{path} ends on {end:%d %B %Y}; restart with confide up to renew it")
    else:
        yield Check("certificate", "ok", f"good until {end:%d %B %Y}")


def _policy(plan: Plan) -> Iterator[Check]:
    from confide.policy.load import PolicyError, load_policy

    try:
        actions = len(load_policy(plan.core.policy).actions)
    except PolicyError as error:
        yield Check("policy", "finding", str(error))
    else:
        yield Check("policy", "ok", f"{plan.core.policy}: {actions} actions")


def _databases(plan: Plan) -> Iterator[Check]:
    yield _database("database", plan.core.database_url)
    yield _database("key store", plan.core.keystore_url)
    yield _database("tracker store", plan.rasa.tracker_url)
    yield _database("tracker key store", plan.rasa.tracker_keystore_url)


def _database(name: str, url: str) -> Check:
    """Ask the database one question. Its address may hold a password, so it is not printed."""
    from sqlalchemy import make_url, text
    from sqlalchemy.exc import SQLAlchemyError

    from confide.storage.database import open_database

    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists():
            return Check(name, "finding", "there is none yet; confide up makes it")
        journal: Literal["WAL", "TRUNCATE"] = "TRUNCATE" if "key" in name else "WAL"
        with open_database(url, journal).connect() as connection:
            connection.execute(text("SELECT 1"))
    except (SQLAlchemyError, OSError, ValueError):
        return Check(name, "away", "cannot be reached; see its log, and the address in the environment")
    return Check(name, "ok", f"{parsed.get_backend_name()} answers")


def _processes(plan: Plan) -> Iterator[Check]:
    from confide.cli.probing import answers, busy_ports

    running = {name: asyncio.run(answers(probe)) for name, probe in plan.probes().items()}
    for port in plan.ports():
        where = f"{port.host}:{port.port}"
        if running[port.service]:
            yield Check(port.service, "ok", f"answers on {where}")
        elif any(busy_ports([port])):
            yield Check(port.service, "finding", f"{where} is taken, but what is there does not answer as {port.service}; change {port.variable}?")
        elif any(running.values()):
            yield Check(port.service, "away", f"does not run while others do; see {plan.var / 'log' / port.service}.log")
        else:
            yield Check(port.service, "ok", f"does not run; {where} is free")
