"""`confide keys`: make and check the key folders."""

from __future__ import annotations

import os
from pathlib import Path

import click

from confide.cli import keyring_setup
from confide.cli.output import FINDING, emit, json_option, table


@click.group()
def keys() -> None:
    """Make and check the key folders (var/keys).

    Each process has a folder with the keys that it may use, and no other. Keep a copy of var/keys somewhere safe and offline: without
    core/kek.json and rasa/kek.json nothing that is stored can be read again, by anyone.
    """


def _root() -> Path:
    return Path(os.environ.get("CONFIDE_VAR", "var")).resolve() / "keys"


@keys.command()
@json_option
def init(as_json: bool) -> None:
    """Make the keys that are missing. A key that exists is never changed."""
    made = keyring_setup.complete(_root())
    text = "\n".join(["Made:", *(f"  {name}" for name in made)]) if made else "Every key is there; nothing was changed."
    emit({"made": list(made), "folder": str(_root())}, text, as_json)


@keys.command()
@json_option
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> None:
    """Say which keys are there and whether they are usable; exit code 1 when one is missing or wrong."""
    root = _root()
    faults = {fault.name: fault.problem for fault in keyring_setup.inspect(root)}
    rows = [(key.name, key.kind, _state(root, key, faults)) for key in keyring_setup.RING]
    text = "\n".join([table(rows), *faults.values()])
    if any(state == "missing" for *_, state in rows):
        text += "\nTo make what is missing: confide keys init"
    emit({"keys": [{"name": name, "kind": kind, "state": state} for name, kind, state in rows], "problems": list(faults.values())}, text, as_json)
    if faults or any(state != "present" for *_, state in rows):
        ctx.exit(FINDING)


def _state(root: Path, key: keyring_setup.Key, faults: dict[str, str]) -> str:
    return "wrong" if key.name in faults else keyring_setup.state(root, key)
