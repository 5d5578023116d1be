"""Starts the worker: `python -m confide.worker`. It serves no port."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import threading

import structlog

from confide.core import Core
from confide.startup import CannotStart, start
from confide.storage.database import DatabaseAway
from confide.storage.lease import Lease
from confide.worker.delivery import BATCH, Delivery

log = structlog.get_logger("confide.worker")

#: Seconds between rounds when there is nothing to do; seconds a lease lasts without renewal.
IDLE, LEASE = 0.5, 10.0


def main() -> int:
    """Run until SIGTERM; 1 when it cannot start, with the reason on stderr."""
    try:
        started = start(os.environ)
    except CannotStart as error:
        print(f"worker: {error}", file=sys.stderr)
        return 1
    core = started.core
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    lease = Lease("outbox", secrets.token_hex(16), LEASE, core.clock)
    _work(Delivery(core, started.pack.receivers, lease), stop)
    _release(core, lease)
    return 0


def _work(delivery: Delivery, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            delivered = delivery.round()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next round may do better; the text may hold what was delivered
            log.warning("round_failed", error=type(error).__name__)
            delivered = 0
        if delivered < BATCH:
            stop.wait(IDLE)


def _release(core: Core, lease: Lease) -> None:
    try:
        with core.transaction() as transaction:
            lease.release(transaction)
    except DatabaseAway:
        log.warning("lease_not_released")  # it runs out by itself
