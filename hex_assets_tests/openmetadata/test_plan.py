"""The plan, rule by rule: what is ours and follows Hex, what is theirs and stays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hex_assets.openmetadata.actual import Actual, PlanOptions
from hex_assets.openmetadata.changes import (
    Change,
    CreateService,
    DeleteDashboard,
    PutDashboard,
    PutEdge,
    PutTag,
)
from hex_assets.openmetadata.entities import Desired, DesiredDashboard, DesiredEdge, DesiredTag
from hex_assets.openmetadata.models import (
    Classification,
    Dashboard,
    DashboardService,
    EntityReference,
    LineageDetails,
    Tag,
)
from hex_assets.openmetadata.plan import DELETION_GUARD, Completeness, make_plan
from hex_assets.openmetadata.publications import correction_patch
from hex_assets.openmetadata.source_hash import SourceHash, digest
from hex_assets_tests.openmetadata.workspaces import project_id

ONE = project_id(1)
ANA, BEN, CLEO = (EntityReference(id=name, type="user", name=name) for name in ("a", "b", "c"))
OWNERS = {"ana@x": ANA, "ben@x": BEN}
SERVICE = DashboardService(id="s", name="hex", service_type="Hex")
OVERRIDE = PlanOptions(override_metadata=True)

HEX = DesiredDashboard(ONE, "Title", "Words.", "ana@x", "https://url")
"""What Hex says in the tests below."""


def said(hex_says: DesiredDashboard = HEX) -> str:
    """The sourceHash we left when Hex said this."""
    owner = OWNERS.get((hex_says.owner_email or "").lower())
    return str(
        SourceHash(
            digest(hex_says.title),
            digest(hex_says.description),
            digest(owner.id if owner else None),
            digest(hex_says.life_cycle.significant()),
        )
    )


def stored(**over: Any) -> dict[str, Any]:
    """A dashboard as we left it when Hex said HEX, in the API's JSON."""
    return {
        "id": "d1",
        "name": ONE,
        "fullyQualifiedName": f"hex.{ONE}",
        "displayName": "Title",
        "description": "Words.",
        "sourceUrl": "https://url",
        "sourceHash": said(),
        "owners": [{"id": "a", "type": "user"}],
        **over,
    }


def plan(
    hex_says: DesiredDashboard = HEX,
    found: dict[str, Any] | None = None,
    options: PlanOptions | None = None,
    **actual: Any,
) -> Change:
    """The change of the one dashboard."""
    dashboards = {} if found is None else {ONE: Dashboard.model_validate(found)}
    state = Actual(service=SERVICE, dashboards=dashboards, owners=OWNERS, **actual)
    desired = Desired("hex", _tags_of(hex_says), (hex_says,))
    changes = make_plan(desired, state, Completeness(), options or PlanOptions())
    (change,) = [change for change in changes if change.kind == "dashboard"]
    return change


def _tags_of(dashboard: DesiredDashboard) -> tuple[DesiredTag, ...]:
    named = [tag.split(".", 1) for tag in dashboard.tags]
    return tuple(DesiredTag(parts[0], parts[1], parts[1], "-") for parts in named)


def body(change: Change) -> dict[str, Any]:
    assert isinstance(change.request, PutDashboard)
    return dict(change.request.body)


def patch(change: Change, found: dict[str, Any]) -> list[dict[str, Any]]:
    assert isinstance(change.request, PutDashboard)
    if change.request.correction is None:
        return []
    return correction_patch(change.request.correction, Dashboard.model_validate(found))


def test_a_new_dashboard_is_created_with_everything() -> None:
    change = plan(replace(HEX, owner_email="ANA@X"))
    assert (change.action, change.reason) == ("create", "does not exist")
    assert change.needs == (("service", "hex"),)
    assert body(change) == {
        "name": ONE,
        "service": "hex",
        "displayName": "Title",
        "description": "Words.",
        "sourceUrl": "https://url",
        "owners": [{"id": "a", "type": "user"}],
        "sourceHash": said(replace(HEX, owner_email="ana@x")),
    }


def test_nothing_is_sent_when_nothing_differs() -> None:
    change = plan(found=stored())
    assert (change.action, change.reason, change.request) == ("unchanged", "nothing differs", None)


# Titles, descriptions, links and owners: Hex says, stored, options -> end state

OTHER = EntityReference(id="zoe", type="user")


@pytest.mark.parametrize(
    ("hex_says", "found", "options", "sent"),
    [
        pytest.param(
            replace(HEX, title="New"),
            stored(),
            None,
            {"displayName": "New"},
            id="a new title is sent",
        ),
        pytest.param(
            replace(HEX, title="New"),
            stored(displayName="Theirs"),
            None,
            {"displayName": "New"},
            id="a new title wins over an edited one",
        ),
        pytest.param(
            HEX,
            stored(displayName="Theirs"),
            None,
            None,
            id="an edited title is left until Hex changes it",
        ),
        pytest.param(
            HEX,
            stored(displayName="Theirs"),
            OVERRIDE,
            None,
            id="an edited title is not sent for ever, override or not",
        ),
        pytest.param(
            replace(HEX, url="https://new"),
            stored(displayName="Theirs", description="Theirs."),
            None,
            {"displayName": "Theirs", "description": "Theirs.", "sourceUrl": "https://new"},
            id="a request for another field repeats what people wrote",
        ),
        pytest.param(
            HEX,
            stored(sourceUrl="https://old"),
            None,
            {"sourceUrl": "https://url"},
            id="a wrong link is mended",
        ),
        pytest.param(
            replace(HEX, url=None), stored(), None, None, id="an unknown link keeps the stored one"
        ),
        pytest.param(
            HEX, stored(description="Theirs."), None, None, id="an edited description stays"
        ),
        pytest.param(
            HEX, stored(description=None), None, None, id="a removed description stays removed"
        ),
        pytest.param(
            replace(HEX, description="New."),
            stored(description="Theirs."),
            None,
            {"description": "Theirs."},
            id="an edited description stays when Hex changes its own, which is noted",
        ),
        pytest.param(
            HEX,
            stored(description="Theirs."),
            OVERRIDE,
            {"description": "Words."},
            id="override replaces an edited description",
        ),
        pytest.param(
            replace(HEX, description=None),
            stored(description="Theirs.", sourceHash=said(replace(HEX, description=None))),
            OVERRIDE,
            None,
            id="override with nothing to say replaces nothing",
        ),
        pytest.param(
            replace(HEX, owner_email="ben@x"),
            stored(),
            None,
            {"owners": [{"id": "b", "type": "user"}]},
            id="a new owner replaces the one we set",
        ),
        pytest.param(
            replace(HEX, owner_email="ben@x"),
            stored(owners=[{"id": "c", "type": "user"}, {"id": "a", "type": "user"}]),
            None,
            {"owners": [{"id": "c", "type": "user"}, {"id": "b", "type": "user"}]},
            id="a new owner leaves other owners",
        ),
        pytest.param(
            replace(HEX, owner_email="ben@x"),
            stored(owners=[{"id": "c", "type": "user"}]),
            None,
            {"owners": None},
            id="owners that people set stay when Hex changes its own",
        ),
        pytest.param(
            HEX, stored(owners=[{"id": "c", "type": "user"}]), None, None, id="other owners stay"
        ),
        pytest.param(
            HEX,
            stored(owners=[{"id": "c", "type": "user"}]),
            OVERRIDE,
            {"owners": [{"id": "a", "type": "user"}]},
            id="override replaces other owners",
        ),
        pytest.param(
            HEX, stored(owners=[]), None, None, id="an owner that people removed stays removed"
        ),
        pytest.param(
            HEX,
            stored(owners=[], sourceHash=said(replace(HEX, owner_email=None))),
            None,
            {"owners": [{"id": "a", "type": "user"}]},
            id="an owner that became known is set",
        ),
        pytest.param(
            HEX,
            stored(
                owners=[{"id": "c", "type": "team", "inherited": True}],
                sourceHash=said(replace(HEX, owner_email=None)),
            ),
            None,
            {"owners": [{"id": "a", "type": "user"}]},
            id="an inherited owner is none",
        ),
        pytest.param(
            replace(HEX, owner_email="gone@x"),
            stored(),
            None,
            None,
            id="an owner without a user changes nothing",
        ),
        pytest.param(
            HEX,
            stored(sourceHash="0" * 32, displayName="Old", description="Theirs.", owners=[]),
            None,
            {
                "displayName": "Title",
                "description": "Theirs.",
                "owners": [{"id": "a", "type": "user"}],
            },
            id="an entry of OpenMetadata's connector is adopted",
        ),
        pytest.param(
            HEX,
            stored(sourceHash=None, owners=[{"id": "c", "type": "user"}]),
            None,
            {"owners": None},
            id="owners of an adopted entry stay",
        ),
    ],
)
def test_end_state(
    hex_says: DesiredDashboard,
    found: dict[str, Any],
    options: PlanOptions | None,
    sent: dict[str, Any] | None,
) -> None:
    change = plan(hex_says, found, options)
    if sent is None:
        assert (change.action, change.request) == ("unchanged", None)
        return
    assert change.action == "update"
    request = body(change)
    assert {name: request.get(name) for name in sent} == sent
    # What a server makes of the request is left alone by the next plan.
    after = {**found, **request, "tags": found.get("tags", ())}
    again = plan(hex_says, after, options)
    assert (again.action, again.request) == ("unchanged", None)


def test_a_request_repeats_what_a_put_would_remove() -> None:
    def link(fqn: str, **over: Any) -> dict[str, Any]:
        return {"id": fqn, "type": "chart", "fullyQualifiedName": fqn, **over}

    found = stored(
        charts=[link("hex.c1"), link("hex.c2", deleted=True)],
        dataModels=[link("hex.model.m")],
        dataProducts=[link("product")],
        project="Growth",
        dashboardType="Report",
        owners=None,
        tags=None,
    )
    request = body(plan(replace(HEX, title="New"), found))
    assert request["charts"] == ["hex.c1"]
    assert request["dataModels"] == ["hex.model.m"]
    assert request["dataProducts"] == ["product"]
    assert (request["project"], request["dashboardType"]) == ("Growth", "Report")


@pytest.mark.parametrize(
    ("description", "operation"),
    [
        ("New.", {"op": "replace", "path": "/description", "value": "New."}),
        (None, {"op": "remove", "path": "/description"}),
    ],
)
def test_our_own_description_takes_a_patch(
    description: str | None, operation: dict[str, str]
) -> None:
    """A PUT by a bot keeps a stored description."""
    change = plan(replace(HEX, description=description), stored())
    test = {"op": "test", "path": "/description", "value": "Words."}
    assert patch(change, stored()) == [test, operation]
    assert body(change).get("description") == description
    assert patch(change, stored(description="A person was faster.")) == []


def test_a_first_description_takes_no_patch() -> None:
    found = stored(description="", sourceHash=said(replace(HEX, description=None)))
    change = plan(found=found)
    assert body(change)["description"] == "Words."
    assert patch(change, found) == []


# Tags


def label(tag_fqn: str, label_type: str = "Automated", source: str = "Classification") -> Any:
    return {"tagFQN": tag_fqn, "labelType": label_type, "source": source, "state": "Suggested"}


LABELS = [
    label("HexStatus.Old"),
    label("PII.Sensitive"),
    label("HexStatus.Draft"),
    label("HexCategories.Old"),
    label("HexStatus.ByHand", "Manual"),
    label("HexStatus.Term", source="Glossary"),
]
TAGGED = replace(HEX, tags=("HexStatus.Draft", "HexStatus.New"))


def test_labels_are_added_by_put_and_ours_removed_by_patch() -> None:
    change = plan(TAGGED, stored(tags=LABELS))
    assert change.reason == "changed: tags"
    assert [one["tagFQN"] for one in body(change)["tags"]] == ["HexStatus.New"]
    assert patch(change, stored(tags=LABELS)) == [
        {"op": "test", "path": "/tags/3/tagFQN", "value": "HexCategories.Old"},
        {"op": "remove", "path": "/tags/3"},
        {"op": "test", "path": "/tags/0/tagFQN", "value": "HexStatus.Old"},
        {"op": "remove", "path": "/tags/0"},
    ]
    assert ("tag", "HexStatus.New") in change.needs


def test_without_include_tags_labels_are_left_alone() -> None:
    change = plan(TAGGED, stored(tags=LABELS), PlanOptions(include_tags=False))
    assert change.action == "unchanged"


@pytest.mark.parametrize(
    ("classification", "tag", "action", "labelled"),
    [
        ({}, None, "create", True),
        ({}, {}, "unchanged", True),
        ({}, {"deleted": True}, "restore", True),
        ({}, {"disabled": True}, "skip", False),
        ({"disabled": True}, {}, "skip", False),
        ({"deleted": True}, {"deleted": True}, "restore", True),
        (None, None, "create", True),
    ],
)
def test_a_tag_is_made_before_it_is_used_unless_it_is_disabled(
    classification: dict[str, Any] | None,
    tag: dict[str, Any] | None,
    action: str,
    labelled: bool,
) -> None:
    known, tags = {}, {}
    if classification is not None:
        found = {"id": "k", "name": "HexStatus", **classification}
        known["HexStatus"] = Classification.model_validate(found)
    if tag is not None:
        found = {"id": "t", "name": "A", "fullyQualifiedName": "HexStatus.A", **tag}
        tags["HexStatus.A"] = Tag.model_validate(found)
    desired = Desired(
        "hex", (DesiredTag("HexStatus", "A", "A", "-"),), (replace(HEX, tags=("HexStatus.A",)),)
    )
    actual = Actual(service=SERVICE, classifications=known, tags=tags)
    changes = {
        change.key: change for change in make_plan(desired, actual, Completeness(), PlanOptions())
    }
    assert changes["tag", "HexStatus.A"].action == action
    assert ("tags" in body(changes["dashboard", f"hex.{ONE}"])) is labelled


def test_a_label_of_a_disabled_tag_is_left_on() -> None:
    tag = Tag(id="t", name="New", fully_qualified_name="HexStatus.New", disabled=True)
    found = stored(tags=[label("HexStatus.New")])
    change = plan(replace(HEX, tags=("HexStatus.New",)), found, tags={"HexStatus.New": tag})
    assert change.action == "unchanged"


def test_an_encoded_tag_shows_its_own_name() -> None:
    tag = DesiredTag("HexStatus", "a__reserved__colon__b", "a::b", "Told.")
    (change,) = [
        change
        for change in make_plan(Desired("hex", (tag,)), Actual(), Completeness(), PlanOptions())
        if change.kind == "tag"
    ]
    assert isinstance(change.request, PutTag)
    assert change.request.body == {
        "name": "a__reserved__colon__b",
        "displayName": "a::b",
        "classification": "HexStatus",
        "description": "Told.",
    }
    assert change.needs == (("classification", "HexStatus"),)


def test_the_service_is_created_only_if_it_is_missing() -> None:
    missing = make_plan(Desired("my.hex"), Actual(), Completeness(), PlanOptions())
    assert [(one.fqn, one.action, one.request) for one in missing] == [
        ('"my.hex"', "create", CreateService("my.hex"))
    ]
    there = make_plan(Desired("hex"), Actual(service=SERVICE), Completeness(), PlanOptions())
    assert [(one.action, one.request) for one in there] == [("unchanged", None)]


# Edges

TABLE = "s.d.p.t"
WANTED = DesiredEdge(ONE, "t1", TABLE, "Seen.", ("SELECT best", "SELECT other"))
EDGE = {"source": "DashboardLineage", "sqlQuery": "SELECT best", "description": "Seen."}
MAPPING = {"fromColumns": [f"{TABLE}.c"], "toColumn": "hex.chart"}


def edge_change(
    found: dict[str, Any] | None,
    wanted: DesiredEdge = WANTED,
    options: PlanOptions | None = None,
    **desired: Any,
) -> Change:
    edges = {} if found is None else {("t1", "d1"): LineageDetails.model_validate(found)}
    dashboards = {ONE: Dashboard.model_validate(stored())}
    actual = Actual(service=SERVICE, dashboards=dashboards, owners=OWNERS, edges=edges)
    whole = Desired(**{"service": "hex", "dashboards": (HEX,), "edges": (wanted,), **desired})
    changes = make_plan(whole, actual, Completeness(), options or PlanOptions())
    (change,) = [change for change in changes if change.kind == "edge"]
    return change


@pytest.mark.parametrize(
    ("found", "wanted", "options", "action", "details"),
    [
        pytest.param(None, WANTED, None, "create", EDGE, id="a new edge"),
        pytest.param(EDGE, WANTED, None, "unchanged", None, id="the same edge"),
        pytest.param(
            {**EDGE, "sqlQuery": "SELECT other", "updatedBy": "bot"},
            WANTED,
            None,
            "unchanged",
            None,
            id="another statement of the same evidence stays",
        ),
        pytest.param(
            {**EDGE, "sqlQuery": "SELECT stale"}, WANTED, None, "update", EDGE, id="a stale one"
        ),
        pytest.param(
            EDGE, replace(WANTED, statements=()), None, "unchanged", None, id="no new statement"
        ),
        pytest.param(
            EDGE,
            replace(WANTED, statements=()),
            PlanOptions(override_lineage=True),
            "update",
            {"source": "DashboardLineage", "description": "Seen."},
            id="no new statement, with override",
        ),
        pytest.param(
            {**EDGE, "description": "Old.", "columnsLineage": [MAPPING]},
            WANTED,
            None,
            "update",
            {**EDGE, "columnsLineage": [MAPPING]},
            id="column mappings stay",
        ),
        pytest.param(
            {**EDGE, "columnsLineage": [MAPPING]},
            WANTED,
            PlanOptions(override_lineage=True),
            "update",
            EDGE,
            id="column mappings with override",
        ),
        pytest.param({"source": "Manual"}, WANTED, None, "skip", None, id="a person's edge"),
        pytest.param({}, WANTED, None, "skip", None, id="an edge without a source is a person's"),
        pytest.param(
            {"source": "Manual"},
            WANTED,
            PlanOptions(override_lineage=True),
            "skip",
            None,
            id="a person's edge, with override",
        ),
        pytest.param({"source": "OpenLineage"}, WANTED, None, "skip", None, id="another program's"),
    ],
)
def test_edges(
    found: dict[str, Any] | None,
    wanted: DesiredEdge,
    options: PlanOptions | None,
    action: str,
    details: dict[str, Any] | None,
) -> None:
    change = edge_change(found, wanted, options)
    assert change.fqn == f"{TABLE} -> hex.{ONE}"
    assert change.action == action
    if details is None:
        assert change.request is None
        return
    assert isinstance(change.request, PutEdge)
    assert change.request.details == LineageDetails.model_validate(details)
    assert (change.request.table_id, change.request.dashboard_id) == ("t1", "d1")
    assert change.needs == (("dashboard", f"hex.{ONE}"),)
    again = edge_change(change.request.details.model_dump(by_alias=True), wanted, options)
    assert again.action == "unchanged"


@pytest.mark.parametrize(
    ("not_published", "why"),
    [
        ({ONE: "is a COMPONENT in Hex"}, "its project is a COMPONENT in Hex"),
        ({}, "its project was not among the projects read"),
    ],
)
def test_an_edge_to_what_is_not_published_is_skipped(
    not_published: dict[str, str], why: str
) -> None:
    change = edge_change(None, dashboards=(), not_published=not_published)
    assert (change.action, change.reason, change.request) == ("skip", why, None)


# Deletions


def deletions(
    live: int,
    desired: Desired,
    complete: bool = True,
    options: PlanOptions | None = None,
    **more: dict[str, Any],
) -> list[Change]:
    """Changes of dashboards, of which ``live`` are stored under the numbers from 0 on."""
    bodies = [stored(id=str(n), name=project_id(n), fullyQualifiedName=str(n)) for n in range(live)]
    bodies += more.values()
    dashboards = {one["name"]: Dashboard.model_validate(one) for one in bodies}
    actual = Actual(service=SERVICE, dashboards=dashboards, owners=OWNERS)
    changes = make_plan(desired, actual, Completeness(complete), options or PlanOptions())
    return [change for change in changes if change.kind == "dashboard"]


def keeping(*numbers: int, **over: Any) -> Desired:
    dashboards = tuple(replace(HEX, name=project_id(number)) for number in numbers)
    return Desired(**{"service": "hex", "dashboards": dashboards, **over})


def sent_deletions(changes: list[Change]) -> list[str]:
    return [
        change.request.dashboard_id
        for change in changes
        if isinstance(change.request, DeleteDashboard)
    ]


@pytest.mark.parametrize(
    ("live", "gone", "percent", "deleted"),
    [
        (10, 2, 20, 2),
        (10, 3, 20, 0),
        (4, 1, 20, 0),
        (4, 1, 25, 1),
        (4, 4, 100, 4),
        (4, 4, 99, 0),
        (4, 1, 0, 0),
        (4, 0, 0, 0),
    ],
)
def test_the_guard_lets_all_deletions_through_or_none(
    live: int, gone: int, percent: float, deleted: int
) -> None:
    options = PlanOptions(deletion_guard_percent=percent)
    changes = deletions(live, keeping(*range(live - gone)), options=options)
    assert len(sent_deletions(changes)) == deleted
    held = [change for change in changes if DELETION_GUARD in change.reason]
    assert len(held) == (0 if deleted else gone)
    assert all(change.action == "skip" for change in held)
    assert all(f"{gone} of {live} dashboards" in change.reason for change in held)


@pytest.mark.parametrize(
    ("complete", "options", "why"),
    [
        (False, None, "was not among the projects read; kept because not all projects"),
        (
            True,
            PlanOptions(mark_deleted_dashboards=False),
            "is gone from Hex; kept because markDeletedDashboards is false",
        ),
    ],
)
def test_what_else_holds_deletions_back(
    complete: bool, options: PlanOptions | None, why: str
) -> None:
    changes = deletions(10, keeping(*range(9)), complete, options)
    assert sent_deletions(changes) == []
    assert changes[-1].reason.startswith(why)


def test_archived_goes_and_filtered_out_stays() -> None:
    reasons = {project_id(8): "is filtered out", project_id(9): "was archived"}
    desired = keeping(*range(8), not_published=reasons, leaving=frozenset({project_id(9)}))
    changes = deletions(10, desired)
    assert sent_deletions(changes) == ["9"]
    assert [(change.action, change.reason) for change in changes[-2:]] == [
        ("skip", "is filtered out; kept as it is, delete it in OpenMetadata if it should go"),
        ("delete", "was archived"),
    ]


def test_what_is_deleted_or_is_no_project_of_hex_is_not_deleted() -> None:
    changes = deletions(
        0,
        keeping(),
        options=PlanOptions(deletion_guard_percent=100),
        gone=stored(deleted=True),
        theirs=stored(name="kpi board", fullyQualifiedName="hex.kpi board"),
    )
    assert changes == []


def test_what_comes_back_is_restored_even_if_nothing_else_differs() -> None:
    change = plan(found=stored(deleted=True))
    assert change.action == "restore"
    assert change.reason == "is back in Hex"
    assert isinstance(change.request, PutDashboard)
    assert change.request.correction is not None
    assert change.request.correction.deleted
