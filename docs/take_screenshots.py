"""Take the pictures of the documentation from the real UI, in headless Chromium.

    uv run python docs/take_screenshots.py

Needs Debian's chromium package (or CHROMIUM=/path/to/chromium). Runs ``hex-assets demo --ui`` in
a temporary folder, takes the pictures, and stops it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

DOCS = Path(__file__).parent

_DRAWN = 4000
"""Milliseconds after which the graph, which is laid out by a worker, stands still."""


@contextmanager
def running_demo(folder: Path) -> Iterator[tuple[str, str]]:
    """Run the demo with its UI; yields the addresses of Dagster and of the catalog page."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hex_assets", "demo", "--ui", "--folder", str(folder)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        addresses: dict[str, str] = {}
        assert process.stdout is not None
        for line in process.stdout:
            found = re.match(r"(Dagster UI|Catalog page)\s+(http\S+)", line.strip())
            if found:
                addresses[found[1]] = found[2]
            if len(addresses) == 2:
                break
        yield addresses["Dagster UI"], addresses["Catalog page"]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


def take_asset_graph(page: Page, url: str) -> None:
    """The graph of the job's assets with every group opened."""
    page.goto(f"{url}/locations/hex_assets.definitions/jobs/publish_hex_to_openmetadata")
    page.get_by_text("lineage").first.wait_for()
    page.wait_for_timeout(_DRAWN)
    page.mouse.click(1200, 1000)
    page.keyboard.press("Alt+KeyE")
    page.wait_for_timeout(_DRAWN)
    page.reload()  # Dagster then fits the opened groups into the window.
    page.get_by_text("lineage_edges").first.wait_for()
    page.wait_for_timeout(_DRAWN)
    page.screenshot(path=DOCS / "asset-graph.png")


def take_catalog(page: Page, url: str) -> None:
    """The sandbox catalog's page."""
    page.goto(url)
    page.screenshot(path=DOCS / "catalog.png")


def take_report(page: Page, url: str) -> None:
    """The report, with the most-read table in focus."""
    page.goto(f"{url}/report")
    page.locator("#results li.table").first.click()
    page.locator("#view-status").filter(has_text="Drawn: 1 table").wait_for()
    page.wait_for_timeout(_DRAWN)
    page.screenshot(path=DOCS / "report.png")


def take_lineage_asset(page: Page, url: str) -> None:
    """The page of an asset with its checks, figures and tables."""
    page.goto(f"{url}/assets/lineage_edges")
    page.get_by_text("most_read_tables").first.wait_for()
    page.wait_for_timeout(_DRAWN)
    page.screenshot(path=DOCS / "lineage-edges.png")


def main() -> None:
    """Take all pictures."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_demo(Path(folder) / "demo") as (dagster, catalog),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_page(viewport={"width": 2200, "height": 1400})
        take_asset_graph(page, dagster)
        page.set_viewport_size({"width": 1600, "height": 1100})
        take_lineage_asset(page, dagster)
        take_catalog(page, catalog)
        take_report(page, catalog)
        browser.close()


if __name__ == "__main__":
    main()
