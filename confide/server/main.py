"""Starts the action server on loopback: `python -m confide.server`."""

from __future__ import annotations

import importlib
import os
import sys

import uvicorn

from confide.internal.signing import Verifier
from confide.pack import build_guard
from confide.server.app import build_app
from confide.server.core_api import CoreApi
from confide.startup import CannotStart, start
from confide.storage.keyring import KeyProviderError, read_private


def main() -> int:
    """Run until SIGTERM; 1 when it cannot start, with the reason on stderr."""
    try:
        started = start(os.environ)
        keys = started.settings.keys
        verifier = Verifier({"rasa": read_private(keys / "rasa-actions.key"), "gateway": read_private(keys / "gateway-actions.key")})
    except (CannotStart, KeyProviderError) as error:
        print(f"actions: {error}", file=sys.stderr)
        return 1
    guard = build_guard(started.core, started.pack)
    actions = importlib.import_module(started.settings.actions).build(guard)
    app = build_app(started.core, CoreApi(started.core, started.pack), actions, verifier)
    uvicorn.run(
        app, host=started.settings.host, port=started.settings.port, access_log=False, server_header=False, log_level="warning", lifespan="off"
    )
    return 0
