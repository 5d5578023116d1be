"""Facts about the machine and the code that a figure means nothing without. No host name, no path."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # psutil has no types

from bench.stock_environment import LOCK, ROOT

#: What a run writes itself.
_WRITTEN = (":(exclude)bench/results", ":(exclude)docs/benchmarks.md")
_OURS = ("rasa", "rasa-sdk", "sanic", "SQLAlchemy", "aiohttp", "python-socketio", "uvicorn", "cryptography")


def facts(stock_python: Path) -> dict[str, Any]:
    """Return the machine, the versions of both sides and the commit."""
    return {
        "cpu": _cpu(), "cores": os.cpu_count(), "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": f"{platform.system()} {platform.release()}", "load_average_at_start": [round(load, 2) for load in os.getloadavg()],
        "commit": _git("rev-parse", "--short", "HEAD"), "uncommitted_changes": bool(_git("status", "--porcelain", "--", ".", *_WRITTEN)),
        "ours": {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in _OURS}},
        "stock": {"python": _ask(str(stock_python), "-c", "import platform; print(platform.python_version())"), **_locked()},
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _locked() -> dict[str, str]:
    wanted = {"rasa", "rasa-sdk", "sanic", "sqlalchemy", "aiohttp", "jsonschema"}
    return {name: version for name, version in re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", LOCK.read_text(), re.MULTILINE) if name in wanted}


def _git(*arguments: str) -> str:
    return _ask("git", *arguments)


def _ask(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False).stdout.strip()
