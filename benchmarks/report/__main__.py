"""``python -m benchmarks.report``: the report of a large company, from frames to a usable page."""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from benchmarks.impact.company import EDGES, PROJECTS, TABLES, write_company
from hex_assets.report.page import write_report

REPEATS = 3


def main() -> None:
    """Print a Markdown table."""
    with tempfile.TemporaryDirectory(prefix="hex-assets-benchmark-") as folder:
        frames, page = Path(folder) / "frames", Path(folder) / "report.html"
        write_company(frames)
        print(f"{PROJECTS:,} projects, {TABLES:,} tables, {EDGES:,} edges\n")
        print("| step | s |\n|---|---:|")
        began = time.perf_counter()
        write_report(str(frames), None, page)
        print(f"| write the page | {time.perf_counter() - began:.2f} |", flush=True)
        for name, seconds in _in_a_browser(page).items():
            print(f"| {name} | {min(seconds):.2f} |", flush=True)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        size = page.stat().st_size / 2**20
        print(f"\nThe file has {size:.1f} MiB; writing it took at most {peak:.0f} MiB of memory.")


def _in_a_browser(file: Path) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"]
        )
        for _ in range(REPEATS):
            page = browser.new_page()
            steps: dict[str, Callable[[], None]] = {
                "open it until it can be searched": partial(_open, page, file),
                "search a table among all": partial(_search, page, "table_77"),
                "draw the neighbourhood of one": partial(_focus, page),
            }
            for name, step in steps.items():
                began = time.perf_counter()
                step()
                found.setdefault(name, []).append(time.perf_counter() - began)
            page.close()
        browser.close()
    return found


def _open(page: Page, file: Path) -> None:
    page.goto(file.as_uri())
    page.locator("#results b").first.wait_for()


def _search(page: Page, text: str) -> None:
    page.locator("#search").fill(text)
    page.locator("#results b").filter(has_text=text.upper()).first.wait_for()


def _focus(page: Page) -> None:
    page.locator("#results b").first.click()
    page.locator("#view-status").filter(has_text="Drawn: 1 table").wait_for()


if __name__ == "__main__":
    main()
