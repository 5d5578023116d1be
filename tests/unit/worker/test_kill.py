"""A worker killed with -9, again and again, loses no mail and doubles none. A real process on a real database."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from bank.schema import mails
from tests.unit.kit import ROOT, Clock, Kit

#: The worker is killed each time it has delivered that many more.
MAILS, STRIDE = 120, 25


@pytest.mark.integration
def test_kill_nine_never_loses_or_doubles_a_mail(tmp_path: Path) -> None:
    clock = Clock(time.time())
    kit = Kit.make(tmp_path, clock, None)
    with kit.core.transaction() as transaction:
        for number in range(MAILS):
            payload = {"to": "a@example.com", "subject": f"mail {number}", "body": "b"}
            kit.core.outbox.queue(transaction, key=f"m{number}", kind="mail", owner="subject:1001", payload=payload)
    environment = {"PATH": os.environ["PATH"], "CONFIDE_VAR": str(kit.var), "CONFIDE_POLICY": str(ROOT / "privacy.yml"), "PYTHONPATH": str(ROOT)}
    kills, deadline = 0, time.monotonic() + 120
    while delivered(kit) < MAILS and time.monotonic() < deadline:
        before = delivered(kit)
        with subprocess.Popen([sys.executable, "-m", "confide.worker"], cwd=ROOT, env=environment) as worker:
            while delivered(kit) < min(before + STRIDE, MAILS) and worker.poll() is None and time.monotonic() < deadline:
                time.sleep(0.002)
            worker.send_signal(signal.SIGKILL)
            kills += 1
        with kit.core.transaction() as transaction:  # the dead worker's lease runs out; here the clock is not waited for
            transaction.exec_driver_sql("UPDATE leases SET expires_at = 0")
    subjects = Counter(row.subject for row in kit.rows(mails))
    kit.close()
    assert subjects == Counter(f"mail {number}" for number in range(MAILS))
    assert kills >= 2, "the worker was killed in the middle at least once"


def delivered(kit: Kit) -> int:
    """Count without taking SQLite's write lock, so that the watcher does not hold the worker up."""
    with closing(sqlite3.connect(f"file:{kit.core.database.url.database}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM outbox WHERE delivered_at IS NOT NULL").fetchone()[0])
