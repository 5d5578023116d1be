"""The files that make a fresh machine ready: the locks, the Makefile, the scripts."""

from __future__ import annotations

import re
import stat
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LOCKS = ["requirements.lock", "scripts/tools.lock"]
SCRIPTS = [*sorted(str(path.relative_to(ROOT)) for path in (ROOT / "scripts").iterdir() if path.suffix == ""), ".ci/run"]


def entries(lock: str) -> list[str]:
    """Return the requirements of a lock file, each with its continuation lines."""
    text = re.sub(r"^#.*\n", "", (ROOT / lock).read_text(), flags=re.MULTILINE)
    return [entry for entry in re.split(r"\n(?! )", text.strip())]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_one_version_and_a_hash(lock: str) -> None:
    for entry in entries(lock):
        assert re.match(r"[a-z0-9][a-z0-9.-]*(\[[a-z,]+\])?==[^ ;]+", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), entry


@pytest.mark.parametrize("name", [*LOCKS, "Makefile", ".github/workflows/ci.yml", *SCRIPTS])
def test_no_file_names_where_packages_come_from(name: str) -> None:
    text = (ROOT / name).read_text()
    assert not re.search(r"https?://(?!localhost\b)|--(extra-)?index-url[ =]\S|--find-links", text)


def test_make_alone_lists_every_target() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    listed = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert set(targets) >= {"run", "test", "soak", "bench", "train", "lint", "web", "lock", "clean"}
    assert re.findall(r"^  make ([a-z]+) +\S", listed, flags=re.MULTILINE) == targets
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert phony
    assert phony[1].split() == targets


def test_make_clean_keeps_keys_and_data() -> None:
    said = subprocess.run(["make", "--dry-run", "clean"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert not re.search(r"\bvar\b", said)


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_executable_strict_and_short(script: str) -> None:
    path = ROOT / script
    assert path.stat().st_mode & stat.S_IXUSR
    assert path.read_text().startswith("#!/usr/bin/env bash\n")
    assert "\nset -euo pipefail\n" in path.read_text()
    assert len(path.read_text().splitlines()) <= 70
    assert subprocess.run(["bash", "-n", path], check=False).returncode == 0
