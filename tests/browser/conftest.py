"""Everything here needs Chromium; without one it is reported as skipped, with the way to get it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.browser.widget_page import CHROMIUM


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = pytest.mark.skip(reason="needs Chromium: apt-get install chromium, or CONFIDE_CHROMIUM=/path/to/it")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if shutil.which(CHROMIUM) is None:
                item.add_marker(missing)
