"""What each process reads from its environment. Each gets only what it may use (docs/architecture.md)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


class SettingsError(Exception):
    """An environment variable is missing or wrong. The message names it and what it should be."""


@dataclass(frozen=True)
class GatewaySettings:
    """The public edge: its own keys, where Rasa and the actions listen, the certificate. No database."""

    host: str
    port: int
    keys: Path
    rasa_url: str
    actions_url: str
    certificate: Path
    certificate_key: Path
    #: Origins from which pages may open the chat; the page's own origin is always among them.
    origins: tuple[str, ...]
    assets: Path

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> GatewaySettings:
        """Raises SettingsError."""
        host, port, var = environ.get("CONFIDE_HOST", "127.0.0.1"), _port(environ, "CONFIDE_PORT", 8443), _var(environ)
        own = f"https://{'localhost' if host in {'127.0.0.1', '::1'} else host}:{port}"
        extra = tuple(filter(None, environ.get("CONFIDE_ORIGINS", "").split()))
        return cls(
            host=host, port=port, keys=var / "keys" / "gateway",
            rasa_url=environ.get("CONFIDE_RASA_URL", "http://127.0.0.1:5105"),
            actions_url=environ.get("CONFIDE_ACTIONS_URL", "http://127.0.0.1:5155"),
            certificate=Path(environ.get("CONFIDE_TLS_CERTIFICATE", var / "tls" / "server.pem")),
            certificate_key=Path(environ.get("CONFIDE_TLS_KEY", var / "tls" / "server.key")),
            origins=(own, f"https://127.0.0.1:{port}", *extra),
            assets=Path(environ.get("CONFIDE_ASSETS", "webchat/dist")),
        )


@dataclass(frozen=True)
class RasaSettings:
    """Rasa's process: its own database, key store and key, and no other."""

    host: str
    port: int
    keys: Path
    tracker_url: str = field(repr=False)  # may hold a password
    tracker_keystore_url: str = field(repr=False)  # may hold a password
    key_provider: str
    actions_url: str
    model: Path

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> RasaSettings:
        """Raises SettingsError."""
        var = _var(environ)
        keys = var / "keys" / "rasa"
        return cls(
            host="127.0.0.1", port=_port(environ, "CONFIDE_RASA_PORT", 5105), keys=keys,
            tracker_url=environ.get("CONFIDE_TRACKER_URL", f"sqlite:///{var}/rasa/tracker.sqlite"),
            tracker_keystore_url=environ.get("CONFIDE_TRACKER_KEYSTORE_URL", f"sqlite:///{var}/rasa-keys/keystore.sqlite"),
            key_provider=environ.get("CONFIDE_TRACKER_KEY_PROVIDER", f"file:{keys}/kek.json"),
            actions_url=environ.get("CONFIDE_ACTIONS_URL", "http://127.0.0.1:5155"),
            model=Path(environ.get("CONFIDE_MODEL", "models")),
        )


@dataclass(frozen=True)
class CoreSettings:
    """The actions and the worker: the business database, its key store and keys."""

    host: str
    port: int
    keys: Path
    database_url: str = field(repr=False)  # may hold a password
    keystore_url: str = field(repr=False)  # may hold a password
    key_provider: str
    policy: Path
    #: Python modules of the business: its pack, its actions, its demo data.
    pack: str
    actions: str
    demo: str

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> CoreSettings:
        """Raises SettingsError."""
        var = _var(environ)
        keys = var / "keys" / "core"
        return cls(
            host="127.0.0.1", port=_port(environ, "CONFIDE_ACTIONS_PORT", 5155), keys=keys,
            database_url=environ.get("CONFIDE_DATABASE_URL", f"sqlite:///{var}/core/confide.sqlite"),
            keystore_url=environ.get("CONFIDE_KEYSTORE_URL", f"sqlite:///{var}/core-keys/keystore.sqlite"),
            key_provider=environ.get("CONFIDE_KEY_PROVIDER", f"file:{keys}/kek.json"),
            policy=Path(environ.get("CONFIDE_POLICY", "privacy.yml")),
            pack=environ.get("CONFIDE_PACK", "bank.pack"), actions=environ.get("CONFIDE_ACTIONS", "actions"),
            demo=environ.get("CONFIDE_DEMO", "bank.demo"),
        )


def _var(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("CONFIDE_VAR", "var")).resolve()


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, str(default))
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise SettingsError(f"{name} is {text!r}; it should be a port from 1 to 65535")
    return int(text)
