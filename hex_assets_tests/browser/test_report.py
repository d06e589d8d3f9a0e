"""The report as people use it: searched, filtered, focused, by mouse and by keyboard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hex_assets.report.page import render_report
from hex_assets_tests.impact.stores import NOON, ORDERS, WORKSPACE, edge, project
from hex_assets_tests.report.stores import HOSTILE, store_company

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

Open = Callable[..., "Page"]


@pytest.fixture
def open_report(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Opens the report of the company; afterwards nothing was fetched and no script failed."""
    problems: list[str] = []
    contexts = []

    def opened(fragment: str = "", scheme: Any = "light", **frames: Any) -> Page:
        root = store_company(tmp_path / "frames", **frames)
        file = tmp_path / "report.html"
        file.write_text(render_report(root, None, NOON), encoding="utf-8")
        context = browser.new_context(
            viewport={"width": 1400, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(5_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text))
        page.on("request", lambda request: _only(request.url, file, problems))
        page.goto(f"{file.as_uri()}{fragment}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []


def _only(url: str, file: Path, problems: list[str]) -> None:
    if url.partition("#")[0] != file.as_uri():
        problems.append(f"fetched {url}")


def results(page: Page) -> list[str]:
    return page.locator("#results b").all_inner_texts()


def test_it_starts_with_an_overview(open_report: Open) -> None:
    from playwright.sync_api import expect

    page = open_report()
    expect(page.locator("#view-title")).to_have_text("Who reads what")
    expect(page.locator("#view-status")).to_contain_text("Schemas, and the owners")
    expect(page.locator("#details")).to_contain_text("Where to begin")
    assert results(page)[0] == "ORDERS"


@pytest.mark.parametrize(
    ("query", "first", "kind"),
    [
        ("core.ord", "ORDERS", "table"),
        ("amount", "AMOUNT", "column"),
        ("weekly", "Weekly revenue", "project"),
        ("by region", "orders by region", "cell"),
        ("Daily.Sales", '"daily.sales"', "table"),
    ],
)
def test_search_finds_every_kind(open_report: Open, query: str, first: str, kind: str) -> None:
    from playwright.sync_api import expect

    page = open_report()
    page.locator("#search").fill(query)
    option = page.locator("#results li").first
    expect(option.locator("b")).to_have_text(first)
    expect(option).to_have_class(kind)
    option.click()
    expect(page.locator("#details h3")).to_have_text(first)
    expect(page.locator("#details .what")).to_have_text(kind)


def test_a_focused_table_shows_who_reads_it_and_how(open_report: Open) -> None:
    from playwright.sync_api import expect

    page = open_report()
    page.locator("#results li").filter(has_text="ORDERS").first.click()
    expect(page.locator("#view-status")).to_have_text(
        "Drawn: 1 table, 3 columns, 3 cells, 4 projects"
    )
    details = page.locator("#details")
    expect(details.locator(".path")).to_have_text(ORDERS)
    expect(details).to_contain_text("Read by (4)")
    details.get_by_role("link", name="REGION").click()
    expect(details.locator(".what")).to_have_text("column")
    expect(details.get_by_role("listitem").first).to_contain_text("filter, group")
    details.get_by_role("link", name="Weekly revenue").click()
    expect(details).to_contain_text("stale: runs DAILY 06:30 +00:00")
    expect(details.get_by_role("link", name="Open in Hex")).to_have_attribute(
        "href", "https://app.hex.tech/org/app/1"
    )
    page.go_back()
    expect(details.locator(".what")).to_have_text("column")


def test_detail_and_expansion(open_report: Open) -> None:
    from playwright.sync_api import expect

    page = open_report(f"#table={ORDERS}")
    page.get_by_label("Detail", exact=True).select_option("projects")
    status = page.locator("#view-status")
    expect(status).to_have_text("Drawn: 1 table, 4 projects")
    # The hostile project reads another table, which its expansion brings in.
    page.locator("#graph").press("ArrowRight")
    title = page.locator("#details h3")
    for _ in range(4):
        if title.inner_text() == HOSTILE:
            break
        page.locator("#graph").press("ArrowUp")
    expect(title).to_have_text(HOSTILE)
    page.locator("#graph").press("e")
    expect(status).to_have_text("Drawn: 2 tables, 4 projects")


@pytest.mark.parametrize(
    ("label", "choice", "drawn"),
    [
        ("Owner", "bo@shop.example", ["Scratch"]),
        ("Status", "published", ["Weekly revenue", HOSTILE]),
        ("Status", "stale", ["Weekly revenue", HOSTILE]),
        ("Status", "Endorsed", ["Weekly revenue"]),
        ("Status", "archived", ["Old board"]),
        ("Evidence", "cell sql", ["Weekly revenue"]),
    ],
)
def test_filters(open_report: Open, label: str, choice: str, drawn: list[str]) -> None:
    from playwright.sync_api import expect

    page = open_report(f"#table={ORDERS}")
    page.get_by_label(label, exact=True).select_option(choice)
    readers = page.locator("#details").get_by_text("Read by").locator("xpath=..").locator("a")
    expect(readers).to_have_count(len(drawn))
    assert sorted(readers.all_inner_texts()) == sorted(drawn)
    page.get_by_role("button", name="Clear").click()
    expect(readers).to_have_count(4)


def test_everything_by_keyboard(open_report: Open) -> None:
    from playwright.sync_api import expect

    page = open_report()
    page.keyboard.press("/")
    search = page.locator("#search")
    expect(search).to_be_focused()
    page.keyboard.type("or")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    chosen = page.locator("#results [aria-selected=true]")
    expect(search).to_have_attribute("aria-activedescendant", "result-1")
    name = chosen.locator("b").inner_text()
    page.keyboard.press("Enter")
    title = page.locator("#details h3")
    expect(title).to_have_text(name)
    page.keyboard.press("Escape")
    expect(search).to_have_value("")
    page.keyboard.press("Escape")
    expect(page.locator("#view-title")).to_have_text("Who reads what")
    page.keyboard.press("Tab")
    expect(search).not_to_be_focused()
    page.locator("#graph").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#details .what")).to_have_text("schema")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#details .what")).to_have_text("owner")


def test_links_of_the_lists_lead_into_the_graph(open_report: Open) -> None:
    from playwright.sync_api import expect

    page = open_report()
    page.locator("#troubled").get_by_role("link", name="Broken", exact=True).click()
    expect(page.locator("#details h3")).to_have_text("Broken")
    expect(page.locator("#details")).to_be_in_viewport()
    expect(page.locator("#details .failing")).to_have_text("failing: latest run ended ERRORED")


def test_an_address_may_name_the_workspace(open_report: Open) -> None:
    from playwright.sync_api import expect

    page = open_report(f"#workspace={WORKSPACE}")
    expect(page.locator("#workspace")).to_have_value(WORKSPACE)


def test_hostile_titles_do_nothing(open_report: Open) -> None:
    from playwright.sync_api import expect

    page = open_report(f"#project={project(4, '')['id']}")
    expect(page.locator("#details h3")).to_have_text(HOSTILE)
    expect(page).to_have_title(f"Hex lineage: {WORKSPACE}")
    expect(page.locator("img")).to_have_count(0)
    expect(page.get_by_role("link", name="Open in Hex")).to_have_count(0)


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_light_and_dark(open_report: Open, scheme: str, dark: bool) -> None:
    page = open_report(scheme=scheme)
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)")
    ink = page.evaluate("getComputedStyle(document.body).color.match(/\\d+/g)")
    assert (sum(map(int, paper)) < 200) is dark
    assert abs(sum(map(int, paper)) - sum(map(int, ink))) > 450


def test_print_shows_the_lists_whole(open_report: Open) -> None:
    from playwright.sync_api import expect

    page = open_report(scheme="dark")
    page.emulate_media(media="print")
    expect(page.locator("#explore")).to_be_hidden()
    expect(page.locator("nav")).to_be_hidden()
    expect(page.locator("#most-read tbody tr").last).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_many_readers_are_drawn_bit_by_bit(open_report: Open) -> None:
    from playwright.sync_api import expect

    page = open_report(
        f"#table={ORDERS}",
        hex_projects=[project(number, f"Report {number}") for number in range(300)],
        lineage_edges=[edge(number, ORDERS, {"ID": ["output"]}) for number in range(300)],
    )
    status = page.locator("#view-status")
    expect(status).to_contain_text("Drawn: 1 table, 59 projects")
    expect(status).to_contain_text("241 more reads are not drawn")
    page.get_by_role("button", name="Draw more").click()
    expect(status).to_contain_text("Drawn: 1 table, 119 projects")
