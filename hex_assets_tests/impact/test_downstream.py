"""``--depth``: readers of what is made of a table, through the lineage that OpenMetadata has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from hex_assets.cli import app
from hex_assets_tests.impact.stores import edge, project, store
from hex_assets_tests.openmetadata.catalogs import JWT, Catalog, Stage
from hex_assets_tests.openmetadata.workspaces import document

RAW, STAGED, MART, OTHER = (f"snow.SHOP.PUBLIC.T{number}" for number in range(4))


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage.open() as opened:
        yield opened


@pytest.fixture
def catalog(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Catalog]:
    """T0 -> T1 -> T2 by columns, and T0 -> T3 without any; projects read T2, T3 and T0."""
    monkeypatch.setenv("HEX_ASSETS_STORAGE", str(tmp_path / "frames"))
    monkeypatch.setenv("COLUMNS", "250")
    read = (10, 2, 3)
    store(
        tmp_path / "frames",
        hex_projects=[project(number, f"Reads T{number % 10}") for number in read],
        hex_cells=[],
        hex_runs=[],
        lineage_edges=[
            edge(number, f"snow.SHOP.PUBLIC.T{number % 10}", {"ID": ["output"]}) for number in read
        ],
        catalog_tables=[],
    )
    with stage.catalog(tmp_path / "catalog.sqlite") as catalog:
        lead(catalog, RAW, STAGED, "ID")
        lead(catalog, STAGED, MART, "ID")
        lead(catalog, RAW, OTHER)
        yield catalog


def lead(catalog: Catalog, source: str, target: str, column: str | None = None) -> None:
    mapping = {"fromColumns": [f"{source}.{column}"], "toColumn": f"{target}.{column}"}
    body = {
        "fromEntity": {"id": catalog.table_id(source), "type": "table"},
        "toEntity": {"id": catalog.table_id(target), "type": "table"},
        "lineageDetails": {"columnsLineage": [mapping] if column else []},
    }
    catalog.put("/lineage", {"edge": body})


@pytest.fixture
def recipe(catalog: Catalog, tmp_path: Path) -> Path:
    server = {"hostPort": f"{catalog.url}/api", "securityConfig": {"jwtToken": JWT}}
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(document(server, service="hex_finance")))
    return file


def ask(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def readers(recipe: Path, name: str, depth: int) -> dict[str, dict[str, Any]]:
    result = ask("impact", name, "--depth", str(depth), "-c", recipe, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["projects"]
    return {one["title"]: one["cells"][0] for one in found}


def test_without_depth_nothing_is_asked(catalog: Catalog, recipe: Path) -> None:
    assert list(readers(recipe, "public.t0", 0)) == ["Reads T0"]
    assert catalog.faults.requests == []


def test_each_step_finds_what_is_made_of_the_table(catalog: Catalog, recipe: Path) -> None:
    assert set(readers(recipe, "public.t0", 1)) == {"Reads T0", "Reads T3"}
    assert len(catalog.faults.requests) == 1
    found = readers(recipe, "public.t0", 2)
    assert set(found) == {"Reads T0", "Reads T2", "Reads T3"}
    assert found["Reads T0"]["via"] == []
    assert found["Reads T2"]["via"] == [RAW, STAGED]
    assert found["Reads T2"]["target"] == MART


def test_a_column_is_followed_and_an_edge_without_columns_is_not_certain(recipe: Path) -> None:
    found = readers(recipe, "public.t0.id", 3)
    assert (found["Reads T2"]["target"], found["Reads T2"]["certain"]) == (f"{MART}.ID", True)
    assert (found["Reads T3"]["target"], found["Reads T3"]["certain"]) == (OTHER, False)


def test_a_circle_ends(catalog: Catalog, recipe: Path) -> None:
    lead(catalog, MART, RAW, "ID")
    assert set(readers(recipe, "public.t0", 3)) == {"Reads T0", "Reads T2", "Reads T3"}


def test_people_see_the_way_and_a_change_follows_it(recipe: Path, tmp_path: Path) -> None:
    shown = ask("impact", "public.t0", "--depth", "2", "-c", recipe).output
    assert f"through {MART}" in shown
    dropped = tmp_path / "dropped.txt"
    dropped.write_text("public.t0.id\n")
    comment = ask("impact", "--changed", dropped, "--depth", "2", "-c", recipe, "--markdown")
    assert comment.exit_code == 3
    assert "breaks 3 projects" in comment.stdout
    csv = ask("impact", "public.t0", "--depth", "2", "-c", recipe, "--csv").stdout
    assert f"{RAW}; {STAGED}" in csv


def test_depth_needs_a_recipe_and_a_server_that_answers(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEX_ASSETS_RECIPES", raising=False)
    refused = ask("impact", "public.t0", "--depth", "1")
    assert refused.exit_code == 2
    assert "name a recipe with -c" in refused.output
    monkeypatch.setenv("HEX_ASSETS_RECIPES", str(recipe))
    assert ask("impact", "public.t0", "--depth", "1").exit_code == 0
    recipe.write_text(recipe.read_text().replace(JWT, "wrong"))
    refused = ask("impact", "public.t0", "--depth", "1")
    assert refused.exit_code == 2
    assert "HTTP 401" in refused.output
    assert ask("impact", "public.t0", "--depth", "4").exit_code == 2
