"""What the processes of the core (actions, worker) do first: log, read settings, open core and business, or say why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from confide.core import Core, open_core
from confide.pack import Pack, load_pack
from confide.policy.load import PolicyError
from confide.settings import CoreSettings, SettingsError
from confide.storage.database import DatabaseAway
from confide.storage.keyring import KeyProviderError


class CannotStart(Exception):
    """The process cannot start. The message says why and what to do."""


@dataclass(frozen=True)
class Started:
    """What a process of the core works with."""

    settings: CoreSettings
    core: Core
    pack: Pack


def start(environ: Mapping[str, str]) -> Started:
    """Configure logging and open everything. Raises CannotStart."""
    structlog.configure(processors=[
        structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True), structlog.processors.JSONRenderer(),
    ])
    try:
        settings = CoreSettings.read(environ)
        core = open_core(settings)
        core.create_tables()
        return Started(settings, core, load_pack(settings.pack, core))
    except (SettingsError, PolicyError, KeyProviderError, DatabaseAway) as error:
        raise CannotStart(str(error)) from None
