"""What should be in OpenMetadata, from the frames of Hex and of the lineage."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from hex_assets.errors import RecipeError
from hex_assets.openmetadata.desired import desired_state
from hex_assets.openmetadata.entities import Desired, LifeCycle
from hex_assets.openmetadata.source_hash import SourceHash, digest
from hex_assets_tests.openmetadata.workspaces import (
    CREATED,
    edge,
    edges,
    project,
    project_id,
    projects,
    recipe,
)


def desired(*rows: dict[str, object], edge_rows: tuple[dict[str, object], ...] = ()) -> Desired:
    return desired_state("hex", projects(*rows).rows, edges(*edge_rows).rows)


@pytest.mark.parametrize(
    ("over", "why", "leaves"),
    [
        ({"type": "MODEL"}, "is a MODEL in Hex", False),
        ({"archived_at": CREATED}, "was archived in Hex on 2026-03-01", True),
        ({"trashed_at": CREATED}, "was trashed in Hex on 2026-03-01", True),
        ({"type": "COMPONENT", "trashed_at": CREATED}, "was trashed in Hex on 2026-03-01", True),
        ({"title": "tmp 1"}, "is filtered out by dashboardFilterPattern", False),
    ],
)
def test_what_is_not_published_says_why(over: dict[str, object], why: str, leaves: bool) -> None:
    by = recipe(dashboardFilterPattern={"excludes": ["TMP"]})
    found = desired_state("hex", projects(project(1, **over)).rows, edges().rows, by.publishes)
    assert found.dashboards == ()
    assert found.tags == ()
    assert found.not_published == {project_id(1): why}
    assert found.leaving == ({project_id(1)} if leaves else set())


def test_the_owner_is_the_owner_else_the_creator() -> None:
    found = desired(
        project(1),
        project(2, owner_email=None),
        project(3, owner_email="", creator_email=""),
    )
    assert [one.owner_email for one in found.dashboards] == [
        "ana@shop.example",
        "ben@shop.example",
        None,
    ]


def test_a_tag_has_the_description_that_any_project_gives_its_category() -> None:
    found = desired(
        project(1, status=None, categories=["A", "B"], category_descriptions=[None, "First."]),
        project(2, status=None, categories=["A", "B"], category_descriptions=["Told.", "Second."]),
    )
    assert {tag.fqn: tag.description for tag in found.tags} == {
        "HexCategories.A": "Told.",
        "HexCategories.B": "First.",
    }


def test_a_status_and_a_category_of_one_name_are_two_tags() -> None:
    found = desired(
        project(1, status="A", categories=["A", " "], category_descriptions=[], collections=["A"])
        | {"category_descriptions": None}
    )
    assert found.dashboards[0].tags == ("HexCategories.A", "HexCollections.A", "HexStatus.A")


def test_edges_of_cells_become_one_edge_of_the_project() -> None:
    found = desired(
        edge_rows=(
            edge(1, "s.d.p.t", "t1", cell_id="a", sql="SELECT 1", executions=1),
            edge(1, "s.d.p.t", "t1", cell_id="b", sql="SELECT 2", executions=7),
            edge(1, "s.d.p.t", "t1", cell_id="c", sql="SELECT 2", executions=None),
            edge(1, "s.d.p.t", "t1", cell_id="d", sql=None, evidence=["new_kind"]),
            edge(2, "s.d.p.t", "t1"),
        )
    )
    assert len(found.edges) == 2
    first = found.edges[0]
    assert first.statements == ("SELECT 2", "SELECT 1")
    assert first.description == (
        "Read by this Hex project, as shown by new_kind and the warehouse's query history. "
        "Published by hex-assets."
    )


def test_a_service_name_that_openmetadata_cannot_have_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"source\.serviceName"):
        desired_state('my "hex"', projects().rows, edges().rows)


def test_a_service_name_with_a_dot_is_quoted() -> None:
    found = desired_state("my.hex", projects().rows, edges().rows)
    assert found.fqn_of("abc") == '"my.hex".abc'


def test_a_later_view_on_the_same_day_is_not_significant() -> None:
    def viewed(day: int, hour: int) -> LifeCycle:
        at = datetime(2026, 5, day, hour, tzinfo=timezone.utc)
        return desired(project(1, last_viewed_at=at)).dashboards[0].life_cycle

    assert viewed(1, 0).significant() == viewed(1, 23).significant()
    assert viewed(1, 0).significant() != viewed(2, 0).significant()
    assert viewed(1, 1).events()["accessed"] == {"timestamp": 1777597200000}
    assert LifeCycle().events() == {}


def test_a_source_hash_is_read_back() -> None:
    said = SourceHash(digest("a"), digest("b"), digest(None), digest("c"))
    assert len(str(said)) == 32
    assert SourceHash.parse(str(said)) == said
    assert digest(None) == digest("")


@pytest.mark.parametrize("text", [None, "", "0" * 32, "ha1-", "ha2-" + "a" * 28])
def test_another_publishers_hash_is_none_of_ours(text: str | None) -> None:
    assert SourceHash.parse(text) is None
