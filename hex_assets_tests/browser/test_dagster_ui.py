"""The demo as people meet it: Dagster's UI, the catalog's page and the report, by clicking."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

import pytest

from hex_assets.demo import clean_folder, dagster_ui, demo_location
from hex_assets.sandbox.world import wire_instant
from hex_assets_tests.impact.stores import NOON

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

GROWTH = "hex_growth"
JOB = "publish_hex_to_openmetadata"
WAIT_MS = 60_000
"""A run starts a process of its own, which takes its time on a busy machine."""


def materialize(page: Page, location: str, workspace: str) -> None:
    """Materialize one partition of all assets by clicking."""
    from playwright.sync_api import expect

    page.goto(f"{location}/jobs/{JOB}")
    page.get_by_role("button", name="Materialize all").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Select a partition or create one").click()
    page.locator("span").filter(has_text=re.compile(f"^{workspace}$")).click()
    page.get_by_role("button", name="Launch 1 run").click()
    expect(dialog.filter(has_text="Launch runs")).to_be_hidden(timeout=WAIT_MS)


def test_from_a_click_to_the_catalog(browser: Browser, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    home = clean_folder(tmp_path / "demo")
    with demo_location(home) as (sandbox, settings), dagster_ui(settings, home) as dagster:
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.set_default_timeout(WAIT_MS)
        location = f"{dagster}/locations/__repository__@hex_assets.definitions"

        materialize(page, location, GROWTH)
        page.goto(f"{dagster}/runs")
        run = page.get_by_role("row").filter(has_text=f"partition: {GROWTH}")
        expect(run).to_contain_text("Success", timeout=WAIT_MS)

        page.goto(f"{dagster}/assets/lineage_edges?view=events")
        expect(page.get_by_text("most_read_tables").first).to_be_visible(timeout=WAIT_MS)
        report_url = f"{sandbox.catalog_url}/report#workspace={GROWTH}"
        link = page.get_by_role("link", name=report_url).first
        expect(link).to_have_attribute("href", report_url, timeout=WAIT_MS)

        page.goto(f"{location}/sensors/changed_hex_projects")
        page.get_by_role("row", name="Running").locator("label").click()
        # The first look only records what there is; then a project appears.
        expect(page.get_by_role("row", name="Cursor")).to_contain_text(GROWTH, timeout=WAIT_MS)
        state = sandbox.hex_state
        pattern = next(one for one in state.workspace(GROWTH).projects if one["lastPublishedAt"])
        state.put_project(
            GROWTH,
            {
                **pattern,
                "id": str(uuid5(UUID(int=3), "browser")),
                "title": "Made while you watch",
                "lastEditedAt": wire_instant(NOON),
                "lastPublishedAt": wire_instant(NOON),
            },
        )
        page.goto(f"{dagster}/runs")
        requested = page.get_by_role("row").filter(has_text="changed_hex_projects")
        expect(requested).to_contain_text(f"partition: {GROWTH}", timeout=WAIT_MS)
        expect(requested).to_contain_text("Success", timeout=WAIT_MS)

        page.goto(sandbox.catalog_url)
        expect(page.get_by_role("link", name="Made while you watch")).to_be_visible(timeout=WAIT_MS)
        page.get_by_role("link", name="Lineage report").click()
        page.locator("#search").fill("made while")
        expect(page.locator("#results li").first).to_contain_text(
            "Made while you watch", timeout=WAIT_MS
        )
        page.close()
