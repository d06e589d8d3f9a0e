"""The difference between what OpenMetadata should hold and what it holds; pure, no IO.

Ours are: the dashboards of our service that are named like a Hex project, the charts that carry
our ``sourceHash``, the ``Automated`` tags of our classifications on both, and edges into our
dashboards that say so (``PUBLISHED_BY``). Everything else is somebody else's and stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hex_assets.openmetadata import fqn
from hex_assets.openmetadata.actual import Actual, PlanOptions
from hex_assets.openmetadata.changes import (
    AddColumns,
    AddProperty,
    Change,
    CreateService,
    DeleteChart,
    DeleteDashboard,
    DeleteEdge,
    Key,
    Kind,
    PutClassification,
    PutEdge,
    PutTag,
)
from hex_assets.openmetadata.charts import (
    PUBLISHED_BY,
    is_chart_name,
    is_project_id,
    owner_of_chart,
)
from hex_assets.openmetadata.desired import CLASSIFICATIONS
from hex_assets.openmetadata.entities import (
    Desired,
    DesiredChart,
    DesiredDashboard,
    DesiredEdge,
    DesiredTag,
)
from hex_assets.openmetadata.models import Chart, ColumnLineage, DashboardService, LineageDetails
from hex_assets.openmetadata.properties import PROPERTIES
from hex_assets.openmetadata.publications import existing_publication, new_publication
from hex_assets.openmetadata.source_hash import SourceHash

DELETION_GUARD = "hexAssets.deletionGuardPercent"
"""Named by the reason of every deletion that the guard holds back."""

EDGE_SOURCE = "DashboardLineage"


@dataclass(frozen=True)
class Completeness:
    """What was read to its end; nothing is deleted on the strength of a part.

    Attributes:
        projects: all projects of the workspace.
        lineage: all evidence of which tables are read.
    """

    projects: bool = True
    lineage: bool = True


def make_plan(
    desired: Desired, actual: Actual, complete: Completeness, options: PlanOptions
) -> tuple[Change, ...]:
    """One change per entity, in an order in which they can be sent."""
    tags = desired.tags if options.include_tags else ()
    tag_changes = [_tag_change(tag, actual) for tag in tags]
    usable = {change.fqn for change in tag_changes if change.action != "skip"}
    published = {dashboard.name for dashboard in desired.dashboards}
    deletions = tuple(_deletions(desired, published, actual, complete, options))
    guarded = next((one.reason for one in deletions if DELETION_GUARD in one.reason), "")
    return (
        _service_change(desired.service, actual.service),
        *_classification_changes(tags, actual),
        *tag_changes,
        *(_property_changes(actual) if options.custom_properties else ()),
        *(_publication(one, desired, usable, actual, options) for one in desired.charts),
        *(_publication(one, desired, usable, actual, options) for one in desired.dashboards),
        *(_edge_change(edge, desired, published, actual, options) for edge in desired.edges),
        *_ended_edges(desired, published, actual, complete, options),
        *_chart_deletions(desired, published, actual, complete, options, guarded),
        *deletions,
    )


def _service_change(name: str, service: DashboardService | None) -> Change:
    service_fqn = fqn.quote(name)
    if service is not None:
        return Change("service", service_fqn, "unchanged", "exists")
    reason = "does not exist; created without connection or token"
    return Change("service", service_fqn, "create", reason, CreateService(name))


def _classification_changes(tags: Sequence[DesiredTag], actual: Actual) -> Iterator[Change]:
    for name in sorted({tag.classification for tag in tags}):
        found = actual.classifications.get(name)
        body = {"name": name, "description": CLASSIFICATIONS[name]}
        if found is None:
            reason = "does not exist"
            yield Change("classification", name, "create", reason, PutClassification(body))
        elif found.deleted:
            reason = "was soft deleted"
            yield Change("classification", name, "restore", reason, PutClassification(body))
        elif found.disabled:
            yield Change("classification", name, "skip", "is disabled in OpenMetadata")
        else:
            yield Change("classification", name, "unchanged", "exists")


def _tag_change(tag: DesiredTag, actual: Actual) -> Change:
    classification = actual.classifications.get(tag.classification)
    found = actual.tags.get(tag.fqn)
    body = {
        "name": tag.name,
        "classification": tag.classification,
        "description": tag.description,
    }
    if tag.display_name != tag.name:
        body["displayName"] = tag.display_name
    needs: tuple[Key, ...] = (("classification", tag.classification),)
    if classification is not None and classification.disabled:
        return Change("tag", tag.fqn, "skip", "its classification is disabled in OpenMetadata")
    if found is None:
        return Change("tag", tag.fqn, "create", "does not exist", PutTag(body), needs)
    if found.deleted:
        return Change("tag", tag.fqn, "restore", "was soft deleted", PutTag(body), needs)
    if found.disabled:
        return Change("tag", tag.fqn, "skip", "is disabled in OpenMetadata")
    return Change("tag", tag.fqn, "unchanged", "exists")


def _property_changes(actual: Actual) -> Iterator[Change]:
    for one in PROPERTIES:
        if one.name in actual.properties:
            yield Change("property", one.name, "unchanged", "exists")
        else:
            body = {"name": one.name, "displayName": one.title, "description": one.description}
            request = AddProperty(body, one.type)
            yield Change("property", one.name, "create", "does not exist", request)


def _publication(
    wanted: DesiredDashboard | DesiredChart,
    desired: Desired,
    usable_tags: set[str],
    actual: Actual,
    options: PlanOptions,
) -> Change:
    service = fqn.quote(desired.service)
    tags = [tag for tag in wanted.tags if tag in usable_tags]
    owner = actual.owners.get(wanted.owner_email.casefold()) if wanted.owner_email else None
    name = fqn.encode(wanted.name)
    stored = (
        actual.dashboards.get(name)
        if isinstance(wanted, DesiredDashboard)
        else actual.charts.get(name)
    )
    if stored is None:
        return new_publication(wanted, service, tags, owner)
    return existing_publication(wanted, service, tags, owner, stored, options)


def _edge_change(
    wanted: DesiredEdge,
    desired: Desired,
    published: set[str],
    actual: Actual,
    options: PlanOptions,
) -> Change:
    """Compare one edge; a Manual edge, or one of another source, is never overwritten."""
    stored = actual.dashboards.get(wanted.project_id)
    dashboard_fqn = stored.fully_qualified_name if stored else desired.fqn_of(wanted.project_id)
    edge_fqn = f"{wanted.table_fqn} -> {dashboard_fqn}"
    if wanted.project_id not in published:
        why = desired.not_published.get(wanted.project_id, "was not among the projects read")
        return Change("edge", edge_fqn, "skip", f"its project {why}")
    found = actual.edges.get((wanted.table_id, stored.id)) if stored else None
    needs: tuple[Key, ...] = (("dashboard", dashboard_fqn),)
    if found is not None and found.source != EDGE_SOURCE:
        return _edge_of_another(
            wanted, edge_fqn, desired, found, stored.id if stored else "", needs
        )
    details = _edge_details(wanted, desired, found, options)
    if found is not None and details == normal(found):
        return Change("edge", edge_fqn, "unchanged", wanted.description)
    request = PutEdge(wanted.table_id, dashboard_fqn, stored.id if stored else None, details)
    after = _edge_in_short(details)
    if found is None:
        return Change("edge", edge_fqn, "create", wanted.description, request, needs, after=after)
    before = normal(found)
    changed = [
        name
        for name in LineageDetails.model_fields
        if getattr(details, name) != getattr(before, name)
    ]
    reason = f"changed: {', '.join(changed)}"
    return Change("edge", edge_fqn, "update", reason, request, needs, _edge_in_short(found), after)


def _edge_of_another(
    wanted: DesiredEdge,
    edge_fqn: str,
    desired: Desired,
    found: LineageDetails,
    dashboard_id: str,
    needs: tuple[Key, ...],
) -> Change:
    """Somebody else's edge keeps all it has, and gets our columns beside its own."""
    stays = f"an edge with source {found.source} is there already and stays"
    mappings = _mappings(wanted, desired, found, keep_theirs=True)
    if not wanted.columns or mappings == normal(found).columns_lineage:
        return Change("edge", edge_fqn, "skip", stays)
    details = found.model_copy(update={"columns_lineage": mappings})
    return Change(
        "edge",
        edge_fqn,
        "update",
        f"{stays}; our columns are added to it",
        AddColumns(wanted.table_id, dashboard_id, details),
        needs,
        _edge_in_short(found),
        _edge_in_short(details),
    )


def _edge_in_short(details: LineageDetails) -> str:
    columns = len({column for one in details.columns_lineage for column in one.from_columns})
    return f"{columns} columns"


def _edge_details(
    wanted: DesiredEdge, desired: Desired, found: LineageDetails | None, options: PlanOptions
) -> LineageDetails:
    """What the edge is to say; a stored statement that is still among the evidence is kept."""
    before = found or LineageDetails(source=EDGE_SOURCE)
    sql = wanted.statements[0] if wanted.statements else None
    if before.sql_query in wanted.statements or (sql is None and not options.override_lineage):
        sql = before.sql_query
    return LineageDetails(
        source=EDGE_SOURCE,
        sql_query=sql,
        description=wanted.description,
        columns_lineage=_mappings(
            wanted, desired, before, keep_theirs=not options.override_lineage
        ),
        pipeline=before.pipeline,
    )


def normal(details: LineageDetails) -> LineageDetails:
    """The same with its mappings in order, which says nothing."""
    return details.model_copy(update={"columns_lineage": _in_order(details.columns_lineage)})


def _mappings(
    wanted: DesiredEdge, desired: Desired, before: LineageDetails, *, keep_theirs: bool
) -> tuple[ColumnLineage, ...]:
    """Our column mappings, and those to targets that are not charts of ours."""
    theirs = [one for one in before.columns_lineage if keep_theirs and not _to_our_chart(one)]
    ours = [
        ColumnLineage(from_columns=columns, to_column=desired.fqn_of(chart))
        for chart, columns in wanted.columns.items()
    ]
    return _in_order([*theirs, *ours])


def _in_order(mappings: Sequence[ColumnLineage]) -> tuple[ColumnLineage, ...]:
    ordered = (
        one.model_copy(update={"from_columns": tuple(sorted(one.from_columns))}) for one in mappings
    )
    return tuple(sorted(ordered, key=lambda one: (one.to_column or "", one.from_columns)))


def _to_our_chart(mapping: ColumnLineage) -> bool:
    try:
        return is_chart_name(fqn.split(mapping.to_column or "")[-1])
    except ValueError:
        return False


def _ended_edges(
    desired: Desired,
    published: set[str],
    actual: Actual,
    complete: Completeness,
    options: PlanOptions,
) -> Iterator[Change]:
    """Edges into published dashboards that nothing shows any more."""
    live = {
        one.id: one
        for name, one in actual.dashboards.items()
        if name in published and not one.deleted
    }
    wanted = {(edge.table_id, edge.project_id) for edge in desired.edges}
    ours = {
        ends: details
        for ends, details in actual.edges.items()
        if ends[1] in live and _goes_without_evidence(details, options)
    }
    ended = [ends for ends in ours if (ends[0], live[ends[1]].name.lower()) not in wanted]
    held_back = _held_back(
        "edges", len(ended), len(ours), complete.projects and complete.lineage, options
    )
    for table_id, dashboard_id in sorted(ended):
        table = actual.names.get(table_id, table_id)
        edge_fqn = f"{table} -> {live[dashboard_id].fully_qualified_name}"
        before = _edge_in_short(ours[table_id, dashboard_id])
        request = DeleteEdge(table_id, dashboard_id)
        reason = "no evidence shows it any more"
        yield _deletion("edge", edge_fqn, reason, held_back, request, before)


def _goes_without_evidence(details: LineageDetails, options: PlanOptions) -> bool:
    if details.source != EDGE_SOURCE:
        return False
    return options.override_lineage or (details.description or "").endswith(PUBLISHED_BY)


def _chart_deletions(
    desired: Desired,
    published: set[str],
    actual: Actual,
    complete: Completeness,
    options: PlanOptions,
    guarded: str,
) -> Iterator[Change]:
    """Soft deletions of charts whose cell has no lineage any more, or whose component is gone.

    The charts of a project that is not published go, or stay, with its dashboard.

    Args:
        guarded: why the guard holds dashboards back; what lost those cannot be trusted to say
            that components are gone.
    """
    wanted = {fqn.encode(chart.name) for chart in desired.charts}
    live = {name: one for name, one in actual.charts.items() if _is_our_live_chart(one)}
    leaving = {
        name: one
        for name, one in sorted(live.items())
        if name not in wanted and _may_go(name, desired, published)
    }
    if not options.mark_deleted_charts:
        held_back = "kept because markDeletedCharts is false"
    elif guarded:
        held_back = f"kept as the dashboards are: {guarded}"
    else:
        held_back = _held_back(
            "charts", len(leaving), len(live), complete.projects and complete.lineage, options
        )
    for name, chart in leaving.items():
        component = is_project_id(name)
        reason = "its component left Hex" if component else "its cell has no lineage any more"
        request = DeleteChart(chart.id)
        before = chart.display_name or ""
        yield _deletion("chart", chart.fully_qualified_name, reason, held_back, request, before)


def _is_our_live_chart(chart: Chart) -> bool:
    ours = is_chart_name(chart.name) and SourceHash.parse(chart.source_hash) is not None
    return ours and not chart.deleted


def _may_go(chart: str, desired: Desired, published: set[str]) -> bool:
    owner = owner_of_chart(chart)
    if owner != chart:
        return owner in published
    return owner in desired.leaving or owner not in desired.not_published


def _deletions(
    desired: Desired,
    published: set[str],
    actual: Actual,
    complete: Completeness,
    options: PlanOptions,
) -> Iterator[Change]:
    """Soft deletions of what left Hex, all or none of them."""
    live = {
        name: dashboard
        for name, dashboard in actual.dashboards.items()
        if is_project_id(name) and not dashboard.deleted
    }
    unpublished = {name: live[name] for name in sorted(live.keys() - published)}
    leaving = {
        name: dashboard
        for name, dashboard in unpublished.items()
        if name in desired.leaving or name not in desired.not_published
    }
    unseen = "is gone from Hex" if complete.projects else "was not among the projects read"
    if not options.mark_deleted_dashboards:
        held_back = "kept because markDeletedDashboards is false"
    else:
        held_back = _held_back("dashboards", len(leaving), len(live), complete.projects, options)
    for name, dashboard in unpublished.items():
        why = desired.not_published.get(name, unseen)
        if name not in leaving:
            reason = f"{why}; kept as it is, delete it in OpenMetadata if it should go"
            yield Change("dashboard", dashboard.fully_qualified_name, "skip", reason)
        else:
            request = DeleteDashboard(dashboard.id)
            yield _deletion("dashboard", dashboard.fully_qualified_name, why, held_back, request)


def _deletion(
    kind: Kind,
    name: str,
    reason: str,
    held_back: str,
    request: DeleteEdge | DeleteChart | DeleteDashboard,
    before: str = "",
) -> Change:
    """The deletion, or what is told in its place when it is held back."""
    if held_back:
        return Change(kind, name, "skip", f"{reason}; {held_back}", before=before)
    return Change(kind, name, "delete", reason, request, before=before)


def _held_back(what: str, leaving: int, live: int, complete: bool, options: PlanOptions) -> str:
    """Why none of them may be deleted; empty if they may."""
    if not complete:
        unread = "projects" if what == "dashboards" else "projects and evidence"
        return f"kept because not all {unread} could be read"
    if leaving * 100 > options.deletion_guard_percent * live:
        return (
            f"kept because {leaving} of {live} {what} would be deleted at once, more than the "
            f"{options.deletion_guard_percent:g} % of {DELETION_GUARD}. If they really are gone, "
            "raise workflowConfig.config.hexAssets.deletionGuardPercent for one run"
        )
    return ""
