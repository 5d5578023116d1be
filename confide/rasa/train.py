"""`python -m confide.rasa.train`: train the model once for each state of the training files, and sign it.

Trains from config.yml, domain.yml (or domain/) and data/ of the folder it is started in, into `models/` (CONFIDE_MODEL).
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from confide.rasa.model_archive import archive_name, fingerprint, is_signed, prune, sign
from confide.settings import RasaSettings, SettingsError
from confide.storage.keyring import KeyProviderError, read_private, write_private

#: Raise it when a model made by an older version of this trainer must not be used any more.
TRAINER_VERSION = 1

#: Lines of Rasa's output that are shown when it fails.
_SHOWN_LINES = 40

#: Trains the files below a root into an archive at a path.
Train = Callable[[Path, Path], None]


class TrainingFailed(Exception):
    """Rasa made no model. What was wrong stands above in Rasa's own words."""


def main(arguments: list[str] | None = None) -> int:
    """Train when needed; return 0 when a signed model of the current files is there, 1 when not, 2 for a wrong call."""
    if sys.argv[1:] if arguments is None else arguments:
        print("usage: python -m confide.rasa.train   (it takes no arguments; CONFIDE_MODEL names another models folder)", file=sys.stderr)
        return 2
    os.environ.update({"RASA_TELEMETRY_ENABLED": "false", "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"})
    try:
        settings = RasaSettings.read()
        ensure(Path.cwd(), _folder(settings.model), _model_key(settings.keys / "model.key"))
    except (SettingsError, KeyProviderError, TrainingFailed) as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    return 0


def ensure(root: Path, models: Path, key: bytes, train: Train | None = None, clock: Callable[[], float] = time.monotonic) -> Path:
    """Return the signed archive for the training files below `root`, training it when there is none. Raises TrainingFailed."""
    archive = models / archive_name(fingerprint(root, _versions()))
    if is_signed(archive, key):
        os.utime(archive)  # the newest archive is the one that is loaded
        print(f"train: {archive} is up to date")
        return archive
    print(f"train: training {archive} from {root} (10 to 60 seconds)", flush=True)
    started = clock()
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=models, prefix=".training-") as folder:
        made = Path(folder) / archive.name
        (train or _train)(root, made)
        os.replace(made, archive)
    sign(archive, key)
    for old in prune(models):
        print(f"train: removed {old}")
    print(f"train: done in {clock() - started:.1f} s")
    return archive


def _train(root: Path, archive: Path) -> None:
    """Run Rasa's own command. What it prints (warnings by the page) is shown only when it fails."""
    domain = root / "domain.yml" if (root / "domain.yml").is_file() else root / "domain"
    command = [
        sys.executable, "-m", "rasa", "train", "--domain", domain, "--config", root / "config.yml", "--data", root / "data",
        "--out", archive.parent.resolve(), "--fixed-model-name", archive.name.removesuffix(".tar.gz"),
    ]
    quiet = {"RASA_TELEMETRY_ENABLED": "false", "TF_CPP_MIN_LOG_LEVEL": "3", "TQDM_DISABLE": "1"}
    result = subprocess.run(
        list(map(str, command)), cwd=root, env={**os.environ, **quiet}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False,
    )
    if result.returncode or not archive.is_file():
        print("\n".join(result.stdout.splitlines()[-_SHOWN_LINES:]), file=sys.stderr)
        raise TrainingFailed("Rasa made no model; its last words are above")


def _versions() -> str:
    return f"rasa {importlib.metadata.version('rasa')} trainer {TRAINER_VERSION}"


def _folder(model: Path) -> Path:
    return model.parent if model.name.endswith(".tar.gz") else model


def _model_key(path: Path) -> bytes:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(path, os.urandom(32))
    return read_private(path)


if __name__ == "__main__":
    raise SystemExit(main())
