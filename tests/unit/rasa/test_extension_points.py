"""endpoints.yml and credentials.yml: Rasa's way in, without the holes."""

from __future__ import annotations

from pathlib import Path

import pytest

from confide.rasa.extension_points import CHANNEL, LOCK_STORE, TRACKER_STORE, ExtensionPointError, check
from tests.unit.rasa.project_kit import HOME


def test_our_own_files_are_in_order() -> None:
    check(HOME)
    assert TRACKER_STORE in (HOME / "endpoints.yml").read_text()
    assert LOCK_STORE in (HOME / "endpoints.yml").read_text()
    assert CHANNEL in (HOME / "credentials.yml").read_text()


@pytest.mark.parametrize("dotted", [TRACKER_STORE, LOCK_STORE, CHANNEL])
def test_the_names_in_them_exist(dotted: str) -> None:
    from rasa.shared.utils.common import class_from_module_path

    assert class_from_module_path(dotted).__name__ == dotted.rsplit(".", 1)[1]


def test_missing_and_empty_files_say_nothing(tmp_path: Path) -> None:
    check(tmp_path)
    (tmp_path / "endpoints.yml").write_text("# nothing\n")
    check(tmp_path)


@pytest.mark.parametrize(("file", "content"), [
    ("endpoints.yml", "nlg: {url: 'http://elsewhere'}"),
    ("endpoints.yml", "nlu: {url: 'http://elsewhere'}"),
    ("endpoints.yml", "models: {url: 'http://elsewhere'}"),
    ("endpoints.yml", "event_broker: {type: file}"),
    ("endpoints.yml", "tracker_store: {type: SQL, dialect: sqlite}"),
    ("endpoints.yml", "tracker_store:"),
    ("endpoints.yml", "lock_store: {type: in_memory}"),
    ("endpoints.yml", "[a list]"),
    ("endpoints.yml", "{"),
    ("credentials.yml", "rest:"),
    ("credentials.yml", f"{CHANNEL}:\nsocketio:\n"),
])
def test_a_hole_is_refused_with_its_file_named(tmp_path: Path, file: str, content: str) -> None:
    (tmp_path / file).write_text(content)
    with pytest.raises(ExtensionPointError, match=file):
        check(tmp_path)
