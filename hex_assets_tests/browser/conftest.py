"""A headless Chromium for the tests that look at pages as people do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from hex_assets_tests.warehouse.environments import absent

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_NAMES = ("chromium", "chromium-browser", "google-chrome")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "browser: needs Chromium (and Playwright, a dev dependency)")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, one per module: Playwright keeps an event loop in the thread while it is open.

    Without it the test is skipped, or fails where ``HEX_ASSETS_REQUIRE_SERVERS`` is 1.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        absent("Playwright is not installed; it is in the dependency group dev")
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        absent("Chromium is not installed (Debian's package chromium), nor named in CHROMIUM")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield chromium
        chromium.close()
