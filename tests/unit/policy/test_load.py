"""privacy.yml: what is right loads, and what is wrong is told with file, line and fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from confide.identity.levels import Level
from confide.policy.load import PolicyError, load_policy
from tests.unit.kit import ROOT, Kit

GOOD = """version: 1
business: {name: Harbour Bank}
sessions: {idle: 5m, overall: 12h}
actions:
  check_balance: {level: identified, methods: [login]}
  make_payment:
    level: verified
    bound: true
    max_age: 90s
    factors: [totp]
"""


def load(tmp_path: Path, content: str) -> object:
    path = tmp_path / "privacy.yml"
    path.write_text(content, encoding="utf-8")
    return load_policy(path)


def test_the_projects_own_policy_loads_and_every_deed_has_a_rule(sqlite_kit: Kit) -> None:
    policy = load_policy(ROOT / "privacy.yml")
    assert policy.business == "Harbour Bank" and policy.sessions.idle == 300
    assert set(sqlite_kit.guard.deeds) <= set(policy.actions), "a deed without a rule could never run"
    payment = policy.rule("make_payment")
    assert payment is not None and payment.bound and payment.level is Level.VERIFIED and payment.factors == ("totp",)
    assert policy.rule("anything_else") is None


def test_values_are_read(tmp_path: Path) -> None:
    policy = load(tmp_path, GOOD)
    assert policy.rule("make_payment").max_age == 90 and policy.sessions.overall == 43200  # type: ignore[attr-defined]


@pytest.mark.parametrize(("wrong", "right", "line", "said"), [
    ("version: 1", "version: 2", 1, "should be 1"),
    ("version: 1\n", "", 1, "lacks 'version'"),
    ("business: {name: Harbour Bank}", "business: {title: x}", 2, "known are name"),
    ("business: {name: Harbour Bank}", "business: {name: 5}", 2, "should be a text"),
    ("business: {name: Harbour Bank}", "business: bank", 2, "should be a mapping"),
    ("business: {name: Harbour Bank}\n", "", 1, "lacks 'business'"), ("idle: 5m", "idle: 5\x00m", 1, "not valid YAML"),
    ("idle: 5m", "idle: 5", 3, "like 5m"),
    ("idle: 5m", "idle: 2d", 3, "longer than overall"),
    ("idle: 5m, ", "", 3, "lacks 'idle'"),
    ("level: identified, methods", "level: knwon, methods", 5, "one of anonymous, identified, verified"),
    ("level: identified, methods", "level: IDENTIFIED, methods", 5, "one of anonymous"),
    ("methods: [login]", "methods: [guess]", 5, "list of login"),
    ("methods: [login]", "methods: []", 5, "list of login"),
    ("methods: [login]", "method: [login]", 5, "has no setting 'method'"),
    ("    bound: true", "    bound: maybe", 8, "true or false"),
    ("max_age: 90s", "max_age: 10m", 9, "300 s at the most"),
    ("    factors: [totp]\n", "", 6, "add factors"),
    ("factors: [totp]", "factors: [sms]", 10, "list of enrolment, totp"),
    ("factors: [totp]", "factors: [enrolment]", 10, "use level identified"),
    ("level: verified", "level: anonymous", 10, "an anonymous person has no factor"),
    ("level: identified, methods: [login]", "level: identified, bound: true", 5, "add factors: [totp], or remove bound"),
    ("actions:", "actions: [", 4, "not valid YAML"),
    ("actions:", "actons:", 4, "no setting 'actons'"),
])
def test_mistakes_are_told_with_line_and_fix(tmp_path: Path, wrong: str, right: str, line: int, said: str) -> None:
    assert wrong in GOOD
    with pytest.raises(PolicyError) as raised:
        load(tmp_path, GOOD.replace(wrong, right, 1))
    place, _, rest = str(raised.value).partition(": ")
    assert said in rest
    assert place.startswith(str(tmp_path)) and abs(int(place.rsplit(":", 1)[1]) - line) <= (8 if "YAML" in said else 1)


def test_a_repeated_action_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="check_balance"):
        load(tmp_path, GOOD + "  check_balance: {level: anonymous}\n")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="CONFIDE_POLICY"):
        load_policy(tmp_path / "none.yml")
    (tmp_path / "latin.yml").write_bytes(b"version: \xff")
    with pytest.raises(PolicyError, match="UTF-8"):
        load_policy(tmp_path / "latin.yml")
    (tmp_path / "empty.yml").write_text("")
    with pytest.raises(PolicyError, match="mapping"):
        load_policy(tmp_path / "empty.yml")
