"""`confide lint`: what plain Rasa tools do not see in the conversation files."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import click

from confide.cli.output import FINDING, emit, json_option

#: Intents that only we send; no button, story of a designer or customer may.
RESERVED = ("confide_resume",)


@click.command()
@click.argument("root", default=".", type=click.Path(exists=True, file_okay=False, path_type=Path))
@json_option
@click.pass_context
def lint(ctx: click.Context, root: Path, as_json: bool) -> None:
    """Check the conversation files below ROOT and the policy.

    Finds what would weaken the protection or leak data: a step after a guarded action, a form field that swallows a privacy request, a
    secret in a slot, a false confirmation in a response, personal data in examples. docs/designers.md explains each.
    """
    from confide.policy.load import load_policy
    from confide.rasa.story_lint import lint as check

    policy = load_policy(root / os.environ.get("CONFIDE_POLICY", "privacy.yml"))
    guarded = [f"action_{name}" for name in policy.actions]
    findings = check(root, guarded=guarded, reserved=RESERVED)
    lines = [f"{_place(finding.file, finding.line)}: [{finding.rule}] {finding.message} {finding.fix}" for finding in findings]
    text = "\n".join([*lines, f"{len(findings)} findings." if findings else "The conversation files and the policy are in order."])
    emit({"findings": [{**asdict(finding), "file": str(finding.file)} for finding in findings]}, text, as_json)
    if findings:
        ctx.exit(FINDING)


def _place(file: object, line: int | None) -> str:
    return f"{file}:{line}" if line else str(file)
