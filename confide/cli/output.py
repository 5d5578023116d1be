"""How commands answer: text for people, JSON for programs, and an exit code that means something."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

OK, FINDING, USAGE, AWAY = 0, 1, 2, 3


class Finding(click.ClickException):
    """Something is wrong that the caller should look at (exit code 1)."""

    exit_code = FINDING


class Away(click.ClickException):
    """Something that is needed cannot be reached (exit code 3)."""

    exit_code = AWAY


json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for programs.")


def emit(data: Any, text: str, as_json: bool) -> None:
    """Print `data` as JSON or `text`, as the caller wants it."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False) if as_json else text)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as columns, two spaces apart."""
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
