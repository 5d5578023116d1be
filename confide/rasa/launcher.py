"""`python -m confide.rasa`: start Rasa 3.6.21 made safe, from the environment (RasaSettings), or say why not.

The order matters: the logs are closed and the fence is up before the first line of Rasa is imported; the model is verified before it is
loaded; the live agent is inspected before a port is open.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import make_url

from confide.internal.signing import Signer
from confide.rasa import extension_points, logs, model_archive
from confide.rasa.fence import Fence
from confide.rasa.file_guard import guard_file
from confide.rasa.tracker_records import ConversationKeys, Records, StoreAway
from confide.settings import RasaSettings, SettingsError
from confide.storage.database import DatabaseAway, open_database
from confide.storage.keyring import KeyProviderError, open_key_provider, read_private

_USAGE = """\
python -m confide.rasa takes no arguments: what Rasa may do here is fixed, and where things are comes from the environment.
Rasa's own switches stay closed: --enable-api and --cors open conversations to whoever can connect, --debug writes them to the log.
To train: python -m confide.rasa.train. To try a conversation: make run."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped. Returns 0 after a clean stop, 1 when it could not start, 2 for a wrong call."""
    if sys.argv[1:] if arguments is None else arguments:
        print(_USAGE, file=sys.stderr)
        return 2
    started = time.monotonic()
    try:
        _run(RasaSettings.read(), started)
    except _REFUSALS as error:
        print(f"rasa: {error}", file=sys.stderr)
        return 1
    return 0


class StartRefused(Exception):
    """Rasa could not be started safely. The message says what to do."""


#: Folders of other processes below the shared one (docs/protocol.md, section 1).
_OTHERS = ("core", "core-keys", "keys/core", "keys/gateway", "keys/bank")

_REFUSALS = (
    SettingsError, KeyProviderError, DatabaseAway, StoreAway, StartRefused,
    model_archive.ModelRefused, extension_points.ExtensionPointError,
)


def fence(settings: RasaSettings) -> Fence:
    """Return the fence for this process: of the folder that all processes share, its own files alone; of the network, the actions.

    Raises StartRefused when a setting makes a file of another process its own.
    """
    var = settings.keys.parent.parent
    paths = [settings.keys, settings.model, *map(_file, (settings.tracker_url, settings.tracker_keystore_url))]
    own = [Path(os.path.realpath(path)) for path in paths if path is not None]
    others = [Path(os.path.realpath(var / name)) for name in _OTHERS]
    for path in own:
        if any(path.is_relative_to(other) for other in others):
            raise StartRefused(f"{path} belongs to another process; Rasa keeps its data, its keys and its models elsewhere")
    actions = urlsplit(settings.actions_url)
    return Fence(
        closed=(os.path.realpath(var),), own=tuple(map(str, own)), peers=frozenset({(actions.hostname or "", actions.port or 80)})
    )


def open_records(settings: RasaSettings) -> Records:
    """Open the tracker store's database and key store. Raises KeyProviderError, DatabaseAway, StoreAway."""
    keystore = guard_file(open_database(settings.tracker_keystore_url, "TRUNCATE"))
    records = Records(
        data=guard_file(open_database(settings.tracker_url)),
        keys=ConversationKeys(keystore, open_key_provider(settings.key_provider)),
        pseudonym_key=read_private(settings.keys / "pseudonym.key"),
    )
    records.create_tables()
    records.probe()
    return records


def _run(settings: RasaSettings, started: float) -> None:
    os.environ.update({"RASA_TELEMETRY_ENABLED": "false", "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"})
    logs.configure()
    _make_folders(settings)
    fence(settings).install()
    extension_points.check(Path.cwd())
    signer = Signer("rasa", read_private(settings.keys / "rasa-actions.key"))
    gateway_key, model_key = (read_private(settings.keys / name) for name in ("gateway-rasa.key", "model.key"))
    records = open_records(settings)
    with model_archive.verified_copy(model_archive.newest(settings.model), model_key) as model:
        from confide.rasa import server  # imports Rasa: only now

        try:
            parts = server.assemble(records, model, settings.actions_url, signer, gateway_key)
            app = server.build_app(parts)
        except server.SelfCheckFailed as error:
            raise StartRefused(f"self-check: {error}") from None
    server.serve(app, settings.host, settings.port, started)


def _make_folders(settings: RasaSettings) -> None:
    for path in map(_file, (settings.tracker_url, settings.tracker_keystore_url)):
        if path is not None:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)


def _file(url: str) -> Path | None:
    """Return the file of an SQLite address, None for another database."""
    parsed = make_url(url)
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None
