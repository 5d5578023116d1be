"""docs/coverage.md and docs/threats.md name tests that exist."""

from __future__ import annotations

import ast
import re

import pytest

from tests.unit.kit import ROOT


def named_tests(page: str) -> list[tuple[str, str | None]]:
    """Return (file, test) of each test a page names; `::test_x` alone belongs to the file named last."""
    found, last = [], ""
    for match in re.finditer(r"`(tests/[\w/]+\.py)?(?:::(test_\w+))?`", (ROOT / "docs" / page).read_text()):
        last = match[1] or last
        found.append((last, match[2]))
    return found


@pytest.mark.parametrize("page", ["coverage.md", "threats.md"])
def test_every_named_test_exists(page: str) -> None:
    named = named_tests(page)
    assert len(named) >= 5
    for file, test in named:
        functions = {node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert test is None or test in functions, f"docs/{page} names {file}::{test}"


def test_every_claimed_row_names_a_test() -> None:
    rows = [line for line in (ROOT / "docs" / "coverage.md").read_text().splitlines() if re.match(r"\| [SP]\d+ \|", line)]
    assert rows and all("::test_" in row for row in rows)
