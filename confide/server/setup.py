"""What has to be there before the action server starts: tables, and the pack's demo data."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping

from confide.core import open_core
from confide.settings import CoreSettings


def prepare(settings: CoreSettings, environ: Mapping[str, str] = os.environ) -> None:
    """Create tables and demo data; harmless when they are there. Raises PolicyError, KeyProviderError, DatabaseAway."""
    core = open_core(settings)
    core.create_tables()
    importlib.import_module(settings.demo).prepare(core, environ)
    core.database.dispose()
    core.keystore.engine.dispose()
