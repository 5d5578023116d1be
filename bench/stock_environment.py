"""Stock Rasa's own environment and model: made once, from a hashed lock and the project's training files, and kept in `.tools/`."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from confide.rasa.model_archive import fingerprint

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "bench" / "stock" / "requirements.lock"
TOOLS = ROOT / ".tools"
#: What training and running may see of the caller's environment.
_PASSED = ("PATH", "LANG", "LC_ALL", "TZ")


class StockUnavailable(Exception):
    """Stock Rasa cannot be installed or trained here. The message says what to do."""


@dataclass(frozen=True)
class StockRasa:
    """An installed stock Rasa and a model it trained."""

    python: Path
    model: Path

    @classmethod
    def ensure(cls) -> StockRasa:
        """Return it, installing and training what is missing (minutes the first time). Raises StockUnavailable."""
        python = _install(TOOLS / "stock")
        return cls(python, _train(python, TOOLS / "stock-models"))


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a stock process: telemetry off and loopback only, otherwise as it comes."""
    passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
    return {**passed, "HOME": str(home), "RASA_TELEMETRY_ENABLED": "false", "SANIC_HOST": "127.0.0.1"}


def _install(folder: Path) -> Path:
    python, stamp = folder / "bin" / "python", folder / "bench-stamp"
    want = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == want:
        return python
    uv, base = _find_uv(), _find_python()
    print(f"bench: installing stock Rasa with {_version(base)} (about 2 GB; minutes on the first run)", flush=True)
    _run(uv, "venv", "--quiet", "--clear", "--python", base, str(folder))
    # Some old packages exist only as source: they are built with the tools that the lock names.
    _run(uv, "pip", "sync", "--quiet", "--python", str(python), "--require-hashes", "--build-constraints", str(LOCK), str(LOCK))
    stamp.write_text(want)
    return python


def _find_uv() -> str:
    own = TOOLS / "bin" / "uv"
    found = str(own) if own.exists() else shutil.which("uv")
    if found is None:
        raise StockUnavailable("the installer is missing; run: make setup")
    return found


def _find_python() -> str:
    """Return a Python 3.10: Rasa's metadata asks for one, and some of its pins (matplotlib below 3.6) exist for no newer one."""
    for candidate in _candidates():
        if _version(candidate).startswith("Python 3.10."):
            return candidate
    raise StockUnavailable(
        "stock Rasa's own pins need Python 3.10, and none was found. Install one (.tools/bin/uv python install 3.10) or name it: "
        "CONFIDE_BENCH_PYTHON=/path/to/python3.10 make bench"
    )


def _candidates() -> Iterator[str]:
    for named in (os.environ.get("CONFIDE_BENCH_PYTHON"), shutil.which("python3.10")):
        if named:
            yield named
    yield from _output(_find_uv(), "python", "find", "--no-project", "3.10").splitlines()[:1]
    if shutil.which("pyenv"):
        for version in _output("pyenv", "versions", "--bare").split():
            if version.startswith("3.10."):
                yield f"{_output('pyenv', 'prefix', version).strip()}/bin/python"


def _version(python: str) -> str:
    return _output(python, "--version").strip()


def _output(*command: str) -> str:
    """Return what a command prints; nothing when it fails, as a pyenv shim of a version that is not chosen does."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=ROOT, check=False)
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""


def _run(*command: str) -> None:
    if subprocess.run(command, cwd=ROOT, env={**os.environ, "UV_PYTHON_DOWNLOADS": "never"}, check=False).returncode:
        raise StockUnavailable(f"{Path(command[0]).name} {command[1]} failed; its own words stand above")


def _train(python: Path, models: Path) -> Path:
    """Return stock Rasa's model of the project's training files, unchanged, training it when there is none."""
    model = models / f"stock-{fingerprint(ROOT, LOCK.read_text())[:16]}.tar.gz"
    if model.exists():
        return model
    print("bench: training the same files with stock Rasa (10 to 60 seconds)", flush=True)
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("config.yml", "domain.yml"):
            shutil.copy(ROOT / name, root)
        shutil.copytree(ROOT / "data", root / "data")
        command = [str(python), "-m", "rasa", "train", "--quiet", "--out", "models", "--fixed-model-name", "stock"]
        done = subprocess.run(command, cwd=root, env=environment(root), capture_output=True, text=True, check=False)
        if done.returncode or not (root / "models" / "stock.tar.gz").exists():
            raise StockUnavailable(f"stock Rasa did not train: {done.stderr[-2000:]}")
        shutil.move(root / "models" / "stock.tar.gz", model)
    return model
