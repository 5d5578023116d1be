"""endpoints.yml and credentials.yml, checked: Rasa's own way in stays, but nothing may be added that opens a hole.

Each endpoint that Rasa knows besides ours sends conversations elsewhere (nlg, nlu, event_broker) or loads code from elsewhere (models);
each other channel takes messages that no capability comes with.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

TRACKER_STORE = "confide.rasa.tracker_store.ConfideTrackerStore"
LOCK_STORE = "confide.rasa.lock.FifoLockStore"
CHANNEL = "confide.rasa.channel.ConfideInput"

_ENDPOINTS: Mapping[str, str | None] = {"tracker_store": TRACKER_STORE, "lock_store": LOCK_STORE, "action_endpoint": None}


class ExtensionPointError(Exception):
    """A file names an endpoint or a channel that this process must not have. The message names it and the fix."""


def check(root: Path) -> None:
    """Refuse what endpoints.yml and credentials.yml below `root` must not say. A missing file says nothing. Raises ExtensionPointError."""
    _check_endpoints(root / "endpoints.yml")
    _check_credentials(root / "credentials.yml")


def _check_endpoints(path: Path) -> None:
    for name, endpoint in _read(path).items():
        if name not in _ENDPOINTS:
            raise ExtensionPointError(f"{path}: {name} is not allowed here; it would send conversations or load code elsewhere. Remove it.")
        expected = _ENDPOINTS[name]
        if expected is not None and (not isinstance(endpoint, Mapping) or endpoint.get("type") != expected):
            raise ExtensionPointError(f"{path}: {name} must have the type {expected}")


def _check_credentials(path: Path) -> None:
    for name in _read(path):
        if name != CHANNEL:
            raise ExtensionPointError(f"{path}: the channel {name} is not allowed; only {CHANNEL}, which the gateway calls. Remove it.")


def _read(path: Path) -> Mapping[str, Any]:
    if not path.exists():
        return {}
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
    except (OSError, ValueError, YAMLError):
        raise ExtensionPointError(f"{path} cannot be read as YAML") from None
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise ExtensionPointError(f"{path} should be a mapping of names")
    return content
