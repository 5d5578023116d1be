"""Starts the action server on loopback: `python -m confide.server`."""

from __future__ import annotations

import importlib
import sys

import structlog
import uvicorn

from confide.core import open_core
from confide.internal.signing import Verifier
from confide.pack import build_guard, load_pack
from confide.policy.load import PolicyError
from confide.server.app import build_app
from confide.server.core_api import CoreApi
from confide.settings import CoreSettings, SettingsError
from confide.storage.database import DatabaseAway
from confide.storage.keyring import KeyProviderError, read_private


def main() -> int:
    """Run until SIGTERM; 1 when it cannot start, with the reason on stderr."""
    structlog.configure(processors=[structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True),
                                    structlog.processors.JSONRenderer()])
    try:
        settings = CoreSettings.read()
        core = open_core(settings)
        core.create_tables()
        pack = load_pack(settings.pack, core)
        guard = build_guard(core, pack)
        actions = importlib.import_module(settings.actions).build(guard)
        verifier = Verifier({
            "rasa": read_private(settings.keys / "rasa-actions.key"), "gateway": read_private(settings.keys / "gateway-actions.key")
        })
    except (SettingsError, PolicyError, KeyProviderError, DatabaseAway) as error:
        print(f"actions: {error}", file=sys.stderr)
        return 1
    app = build_app(core, CoreApi(core, pack), actions, verifier)
    uvicorn.run(app, host=settings.host, port=settings.port, access_log=False, server_header=False, log_level="warning", lifespan="off")
    return 0
