"""The `confide` command. Its groups are loaded when they are used, so that --help is quick and no command pays for another."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from confide.cli.output import Away, Finding
from confide.settings import SettingsError

#: Command → where it is, and the line that --help shows without loading it.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "up": ("confide.cli.up:up", "Start everything on this machine and keep it running."),
    "doctor": ("confide.cli.doctor:doctor", "Check keys, certificates, ports, databases, policy and processes."),
    "keys": ("confide.cli.keys:keys", "Make and check the key folders."),
    "demo": ("confide.cli.demo:demo", "The demo customers and their authenticator codes."),
    "lint": ("confide.cli.lint:lint", "Check the conversation files and the policy before they go live."),
}


class LazyGroup(click.Group):
    """A group that imports a command when it runs, and says in one place what our errors mean."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            raise click.UsageError(str(error), ctx) from None
        except Exception as error:
            if told := _explained(error):
                raise told from None
            raise


def _explained(error: Exception) -> click.ClickException | None:
    """Return what the caller is told when the error is one of ours. They are known by name: importing them would slow every command."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if "DatabaseAway" in names:
        return Away(f"{error}. Is the database running, and may it be reached from here?")
    if names & {"KeyProviderError", "KeyRingError", "PolicyError"}:
        return Finding(str(error))
    return None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="confide")
def main() -> None:
    """Confide: a Rasa assistant that a business can let its customers trust with their accounts.

    Settings are environment variables (CONFIDE_PORT, CONFIDE_DATABASE_URL, ...); each has a default that works on one machine.

    Exit codes: 0 all well, 1 something is wrong, 2 the command was not understood, 3 something needed is away.
    """
