"""The processes of one machine: what each runs, and the environment it may see.

Each gets an allow-list, never the caller's environment: Rasa must not learn where the business database or its keys are, the gateway
must not learn of any database, and no cloud credential of whoever typed `make run` reaches any of them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from confide.settings import CoreSettings, GatewaySettings, RasaSettings

_COMMON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ")
_CORE = (
    "CONFIDE_DATABASE_URL", "CONFIDE_KEYSTORE_URL", "CONFIDE_KEY_PROVIDER", "CONFIDE_POLICY", "CONFIDE_PACK", "CONFIDE_ACTIONS", "CONFIDE_DEMO",
)
#: What a process may see besides _COMMON and CONFIDE_VAR (docs/architecture.md).
OWN: Mapping[str, tuple[str, ...]] = {
    "actions": ("CONFIDE_ACTIONS_PORT", *_CORE),
    "rasa": (
        "CONFIDE_RASA_PORT", "CONFIDE_TRACKER_URL", "CONFIDE_TRACKER_KEYSTORE_URL", "CONFIDE_TRACKER_KEY_PROVIDER",
        "CONFIDE_ACTIONS_URL", "CONFIDE_MODEL",
    ),
    "worker": _CORE,
    "gateway": (
        "CONFIDE_HOST", "CONFIDE_PORT", "CONFIDE_ORIGINS", "CONFIDE_ASSETS", "CONFIDE_TLS_CERTIFICATE", "CONFIDE_TLS_KEY",
        "CONFIDE_RASA_URL", "CONFIDE_ACTIONS_URL", "CONFIDE_REDIS_URL",
    ),
}


@dataclass(frozen=True)
class Probe:
    """How to see that a process answers: GET `url` gives 200. `authority` is the certificate that an https one must chain to."""

    url: str
    authority: Path | None = None


@dataclass(frozen=True)
class Service:
    """One process to run."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    #: None: it serves no port and counts as ready when it runs.
    probe: Probe | None = None
    #: Seconds from its start until it must answer.
    ready_within: float = 60.0


@dataclass(frozen=True)
class Port:
    """An address that one of the processes listens on, and the variable that moves it."""

    service: str
    host: str
    port: int
    variable: str


@dataclass(frozen=True)
class Plan:
    """Everything `confide up` runs, read once from one environment."""

    var: Path
    gateway: GatewaySettings
    rasa: RasaSettings = field(repr=False)  # database addresses may hold passwords
    core: CoreSettings = field(repr=False)
    environ: Mapping[str, str] = field(repr=False)

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Plan:
        """Return the plan. Where Rasa and the actions are follows from their ports unless it is set. Raises SettingsError."""
        rasa, core = RasaSettings.read(environ), CoreSettings.read(environ)
        var = Path(environ.get("CONFIDE_VAR", "var")).resolve()
        full = {
            "CONFIDE_RASA_URL": f"http://{rasa.host}:{rasa.port}", "CONFIDE_ACTIONS_URL": f"http://{core.host}:{core.port}",
            **environ, "CONFIDE_VAR": str(var),
        }
        return cls(var=var, gateway=GatewaySettings.read(full), rasa=rasa, core=core, environ=full)

    @property
    def address(self) -> str:
        """The page's address, as a person types it."""
        return self.gateway.origins[0]

    def ports(self) -> tuple[Port, ...]:
        return (
            Port("actions", self.core.host, self.core.port, "CONFIDE_ACTIONS_PORT"),
            Port("rasa", self.rasa.host, self.rasa.port, "CONFIDE_RASA_PORT"),
            Port("gateway", self.gateway.host, self.gateway.port, "CONFIDE_PORT"),
        )

    def probes(self) -> Mapping[str, Probe]:
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.gateway.host, self.gateway.host)
        authority = self.gateway.certificate if "CONFIDE_TLS_CERTIFICATE" in self.environ else self.var / "tls" / "ca.pem"
        return {
            "actions": Probe(f"http://{self.core.host}:{self.core.port}/health/live"),
            "rasa": Probe(f"http://{self.rasa.host}:{self.rasa.port}/"),
            "gateway": Probe(f"https://{host}:{self.gateway.port}/health/live", authority),
        }

    def services(self) -> tuple[Service, ...]:
        """Return the processes in the order in which they start; they stop in the other."""
        probes = self.probes()
        return (
            Service("actions", _module("confide.server"), self.environment("actions"), probes["actions"]),
            Service("rasa", _module("confide.rasa"), self.environment("rasa"), probes["rasa"], ready_within=180.0),
            Service("worker", _module("confide.worker"), self.environment("worker")),
            Service("gateway", _module("confide.gateway"), self.environment("gateway"), probes["gateway"]),
        )

    def environment(self, name: str) -> dict[str, str]:
        """Return all that the process `name` may see."""
        allowed = (*_COMMON, "CONFIDE_VAR", *OWN[name])
        return {variable: self.environ[variable] for variable in allowed if variable in self.environ} | {"PYTHONUNBUFFERED": "1"}


def _module(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", name)
