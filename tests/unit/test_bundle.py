"""The committed web chat: small, licensed, free of dynamic code and third parties, and really built from its source."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

WEBCHAT = Path(__file__).parents[2] / "webchat"
DIST, SOURCE = WEBCHAT / "dist", WEBCHAT / "src"
BUNDLE_LIMIT = 25_000
#: Namespaces that name a vocabulary and are never fetched.
NAMESPACE = re.compile(r"https?://www\.w3\.org/")
ADDRESS = re.compile(r"(?:https?|wss?):?//[A-Za-z0-9][^\s\"'`)<>]*")
DYNAMIC = re.compile(
    r"\b(?:innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|srcdoc|setHTMLUnsafe)\b"
    r"|\beval\s*\(|\bFunction\s*\(|\bset(?:Timeout|Interval)\(\s*[\"'`]|javascript:",
)
INLINE = re.compile(r"\sstyle\s*=|\son[a-z]+\s*=\s*[\"']|<style|<script(?![^>]*\ssrc=)")

WRITTEN = sorted(path for folder in (SOURCE, DIST) for path in folder.rglob("*") if path.suffix in {".ts", ".js", ".css", ".html", ".svg"})
PAGES = sorted(path for path in WRITTEN if path.suffix in {".html", ".svg"})


def code_of(path: Path) -> str:
    """The file without its comments, where a word may be named to say why it is not used."""
    text = path.read_text(encoding="utf-8")
    return re.sub(r"/\*.*?\*/|(?m:^\s*//.*$)", "", text, flags=re.DOTALL) if path.is_relative_to(SOURCE) else text


def test_the_bundle_is_small() -> None:
    assert len(gzip.compress((DIST / "confide-chat.js").read_bytes(), 9)) <= BUNDLE_LIMIT


def test_every_page_and_asset_is_there() -> None:
    names = {path.name for path in DIST.iterdir()}
    scripts = {"confide-chat.js", "confide-chat.js.LICENSES.txt", "page.js", "outbox.js"}
    assert names == scripts | {"confide-chat.css", "page.css", "index.html", "outbox.html", "icon.svg"}
    for page in (DIST / "index.html", DIST / "outbox.html"):
        used = set(re.findall(r'(?:src|href)="/([a-z-]+\.[a-z]+)"', page.read_text(encoding="utf-8")))
        assert used
        assert used <= names


def test_the_notices_carry_the_licence_of_every_package_in_the_bundle() -> None:
    notices = (DIST / "confide-chat.js.LICENSES.txt").read_text(encoding="utf-8")
    lock = json.loads((WEBCHAT / "package-lock.json").read_text(encoding="utf-8"))
    for name in ("socket.io-client", "engine.io-client", "socket.io-parser", "engine.io-parser", "@socket.io/component-emitter"):
        assert f"{name} {lock['packages'][f'node_modules/{name}']['version']} (MIT)" in notices
    assert notices.count("Permission is hereby granted") == 5


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_code_is_made_from_text(path: Path) -> None:
    assert DYNAMIC.findall(code_of(path)) == []


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_third_party_is_named(path: Path) -> None:
    assert [address for address in ADDRESS.findall(code_of(path)) if not NAMESPACE.match(address)] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_pages_hold_no_inline_script_or_style(path: Path) -> None:
    assert INLINE.findall(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("name", ["confide-chat.js", "page.js", "outbox.js"])
def test_nothing_is_kept_in_the_browser(name: str) -> None:
    used = re.findall(r"localStorage|sessionStorage|indexedDB|document\.cookie", (DIST / name).read_text(encoding="utf-8"))
    assert used == []


def test_the_lock_pins_every_package_and_names_no_registry() -> None:
    text = (WEBCHAT / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in text
    packages = json.loads(text)["packages"]
    assert all(entry["integrity"].startswith("sha512-") for name, entry in packages.items() if name)


def check_fresh_build(webchat: Path, folder: Path) -> None:
    """Build `webchat` into `folder` and compare. Without the tools: fails where .ci/run set CONFIDE_BUNDLE_CHECK, skips elsewhere.

    `failed` says that `npm ci` did not succeed: tools left from an earlier run are not those of the lock file.
    """
    node, demanded = shutil.which("node"), os.environ.get("CONFIDE_BUNDLE_CHECK")
    if node is None or demanded == "failed" or not (webchat / "node_modules").is_dir():
        reason = "needs node and `npm ci` in webchat/ to build again"
        if demanded:
            pytest.fail(reason)
        pytest.skip(reason)
    subprocess.run([node, "build.mjs", "--outdir", str(folder)], cwd=webchat, check=True, timeout=120)
    fresh = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert fresh == {path.name: path.read_bytes() for path in (webchat / "dist").iterdir()}


def test_a_fresh_build_is_what_is_committed(tmp_path: Path) -> None:
    check_fresh_build(WEBCHAT, tmp_path / "dist")


@pytest.mark.parametrize(
    ("missing", "demanded", "ends"),
    [
        ("node", "required", pytest.fail.Exception), ("node_modules", "required", pytest.fail.Exception),
        ("nothing", "failed", pytest.fail.Exception),
        ("node", None, pytest.skip.Exception), ("node_modules", None, pytest.skip.Exception),
    ],
)
def test_without_the_build_tools_it_fails_where_it_is_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, demanded: str | None, ends: type[BaseException]
) -> None:
    monkeypatch.delenv("CONFIDE_BUNDLE_CHECK", raising=False)
    if demanded:
        monkeypatch.setenv("CONFIDE_BUNDLE_CHECK", demanded)
    if missing != "node_modules":
        (tmp_path / "node_modules").mkdir()
    monkeypatch.setattr(shutil, "which", lambda name: None if name == missing else f"/nowhere/{name}")
    with pytest.raises(ends, match="npm ci"):
        check_fresh_build(tmp_path, tmp_path / "out")
