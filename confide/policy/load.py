"""Reads privacy.yml and says, with file, line and fix, what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from confide.identity.levels import Level
from confide.policy.model import FACTORS, METHODS, Policy, Rule, SessionRule

_DURATION = re.compile(r"([1-9][0-9]{0,5})(s|m|h|d)")
_T = TypeVar("_T")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
#: The longest a confirmation may stay open (OWASP Transaction Authorization 2.8; design.md "Binding").
MAX_BOUND_AGE = 300


class PolicyError(Exception):
    """privacy.yml cannot be used. The message is `file:line: what is wrong; what to do`."""


class _Finding(Exception):
    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


def load_policy(path: Path) -> Policy:
    """Return the policy in `path`. Raises PolicyError."""
    try:
        document = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
        return _policy(_Node(document, "the file", 1))
    except OSError as error:
        raise PolicyError(f"{path}: cannot be read ({error.strerror}); set CONFIDE_POLICY or restore the file") from None
    except UnicodeDecodeError:
        raise PolicyError(f"{path}: is not UTF-8 text; save it as UTF-8") from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PolicyError(f"{path}:{line}: not valid YAML ({error.problem}); check indentation, colons and quotes near this line") from None
    except YAMLError:
        raise PolicyError(f"{path}:1: not valid YAML; check indentation, colons and quotes") from None
    except _Finding as finding:
        raise PolicyError(f"{path}:{finding.line}: {finding}") from None


class _Node:
    """A mapping of the document with the line of each of its keys."""

    def __init__(self, value: Any, name: str, line: int) -> None:
        if not isinstance(value, Mapping):
            raise _Finding(f"{name} should be a mapping of names to values", line)
        self.value, self.name, self.start = value, name, line

    def line(self, key: str) -> int:
        marks = getattr(self.value, "lc", None)
        return int(marks.data[key][0]) + 1 if marks is not None and key in marks.data else self.start

    def only(self, allowed: set[str]) -> None:
        for key in self.value:
            if key not in allowed:
                raise _Finding(f"{self.name} has no setting {key!r}; known are {', '.join(sorted(allowed))}", self.line(key))

    def child(self, key: str) -> _Node:
        if key not in self.value:
            raise _Finding(f"{self.name} lacks {key!r}; add it", self.start)
        return _Node(self.value[key], f"{key}", self.line(key))

    def read(self, key: str, parse: Callable[[Any], _T], default: _T | None = None) -> _T:
        if key not in self.value:
            if default is None:
                raise _Finding(f"{self.name} lacks {key!r}; add it", self.start)
            return default
        try:
            return parse(self.value[key])
        except ValueError as error:
            raise _Finding(f"{self.name}: {key} {error}", self.line(key)) from None


def _policy(root: _Node) -> Policy:
    root.only({"version", "business", "sessions", "actions"})
    root.read("version", _version)
    business, sessions, actions = root.child("business"), root.child("sessions"), root.child("actions")
    business.only({"name"})
    sessions.only({"idle", "overall"})
    idle, overall = sessions.read("idle", _duration), sessions.read("overall", _duration)
    if idle > overall:
        raise _Finding("sessions: idle is longer than overall; make it shorter", sessions.line("idle"))
    return Policy(
        business=business.read("name", _text), sessions=SessionRule(idle=idle, overall=overall),
        actions={str(name): _rule(actions.child(name)) for name in actions.value},
    )


def _rule(node: _Node) -> Rule:
    node.only({"level", "methods", "bound", "max_age", "factors"})
    level = node.read("level", _level)
    rule = Rule(
        level=level,
        methods=frozenset(node.read("methods", _subset_of(METHODS), tuple(METHODS))),
        bound=node.read("bound", _boolean, False),
        max_age=node.read("max_age", _duration, MAX_BOUND_AGE),
        factors=node.read("factors", _subset_of(FACTORS), ()),
    )
    if level is Level.VERIFIED and not rule.factors:
        raise _Finding(f"{node.name} needs level verified but names no factors; add factors: [totp]", node.start)
    if rule.bound and not rule.factors:
        raise _Finding(f"{node.name} is bound but names no factors; add factors: [totp], or remove bound", node.start)
    if rule.bound and rule.max_age > MAX_BOUND_AGE:
        raise _Finding(f"{node.name}: a confirmation stays open for {MAX_BOUND_AGE} s at the most; lower max_age", node.line("max_age"))
    if level is Level.VERIFIED and "enrolment" in rule.factors:
        raise _Finding(f"{node.name}: a factor being added proves nothing yet; use level identified for enrolment", node.line("factors"))
    if level is Level.ANONYMOUS and rule.factors:
        raise _Finding(f"{node.name}: an anonymous person has no factor; raise the level or remove factors", node.line("factors"))
    return rule


def _version(value: Any) -> int:
    if type(value) is not int or value != 1:
        raise ValueError("should be 1, the only version there is")
    return 1


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("should be a text")
    return str(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("should be true or false")  # noqa: TRY004 - `read` takes ValueError for "not what this setting takes"
    return value


def _level(value: Any) -> Level:
    try:
        return Level.of(value)
    except (KeyError, AttributeError):
        raise ValueError(f"is {value!r}; it should be one of {', '.join(str(level) for level in Level)}") from None


def _duration(value: Any) -> int:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"is {value!r}; write a number and s, m, h or d, like 5m")
    return int(match[1]) * _SECONDS[match[2]]


def _subset_of(known: frozenset[str]) -> Callable[[Any], tuple[str, ...]]:
    def parse(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not value or not set(map(str, value)) <= known:
            raise ValueError(f"should be a list of {', '.join(sorted(known))}")
        return tuple(map(str, value))

    return parse
