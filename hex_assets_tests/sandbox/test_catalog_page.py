"""The page for people: what it shows, and that nothing in it runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hex_assets.sandbox.catalog.app import create_catalog
from hex_assets.sandbox.server import serve
from hex_assets_tests.sandbox.catalog_api import (
    ORDERS,
    Stage,
    add_service,
    add_tags,
    label,
    ok,
    owner,
    put_dashboard,
)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage.open() as opened:
        yield opened


@pytest.fixture
def api(stage: Stage, tmp_path: Path) -> Iterator[httpx.Client]:
    with stage.catalog(tmp_path / "catalog.db") as client:
        yield client


def page(api: httpx.Client) -> str:
    response = httpx.get(
        f"{api.base_url.scheme}://{api.base_url.netloc.decode()}/", trust_env=False
    )
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    return response.text


def test_an_empty_catalog(api: httpx.Client) -> None:
    html = page(api)
    assert "Nothing has been published yet." in html
    assert "3 tables known" in html


def test_what_was_published(api: httpx.Client) -> None:
    add_service(api)
    add_tags(api, "Draft")
    made = put_dashboard(
        api,
        displayName="Weekly sales",
        sourceUrl="https://app.hex.tech/x?a=1&b=2",
        owners=[owner(api, "ana")],
        tags=[label("HexStatus.Draft")],
        status=201,
    )
    source = ok(api.get(f"/tables/name/{ORDERS}"))["id"]
    edge = {
        "fromEntity": {"id": source, "type": "table"},
        "toEntity": {"id": made["id"], "type": "dashboard"},
    }
    ok(api.put("/lineage", json={"edge": edge}))
    put_dashboard(api, "a-gone", displayName="A former one", status=201)
    ok(api.delete("/dashboards/name/hex.a-gone"))

    html = page(api)
    assert '<a href="https://app.hex.tech/x?a=1&amp;b=2">Weekly sales</a>' in html
    for shown in ("Ana", "HexStatus.Draft", ORDERS, "1 dashboards"):
        assert shown in html
    assert html.index("Weekly sales") < html.index('class="deleted"') < html.index("A former one")


def test_titles_do_not_run(api: httpx.Client) -> None:
    add_service(api)
    put_dashboard(
        api, displayName="<script>alert(1)</script>", sourceUrl="javascript:alert(2)", status=201
    )
    put_dashboard(api, "d2", displayName="Broken link", sourceUrl="http://[", status=201)
    html = page(api)
    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "javascript:" not in html
    assert "Broken link" in html


def test_the_report_is_served_and_linked(tmp_path: Path) -> None:
    reports: list[str | None] = [None, "<title>Lineage</title>"]
    catalog = create_catalog(tmp_path / "catalog.db", jwt="x", report=lambda: reports.pop(0))
    with serve(catalog) as url, httpx.Client(base_url=url, trust_env=False) as client:
        assert 'href="/report"' in client.get("/").text
        assert client.get("/report").status_code == 404
        assert client.get("/report").text == "<title>Lineage</title>"


def test_without_a_report_there_is_no_link(api: httpx.Client) -> None:
    assert "/report" not in page(api)
    root = f"{api.base_url.scheme}://{api.base_url.netloc.decode()}"
    assert httpx.get(f"{root}/report", trust_env=False).status_code == 404
