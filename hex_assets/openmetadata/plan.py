"""The difference between what OpenMetadata should hold and what it holds; pure, no IO.

Ours are: the dashboards of our service that are named like a Hex project, the ``Automated`` tags
of our classifications on them, and edges into them with source ``DashboardLineage``. Everything
else is somebody else's and stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from hex_assets.openmetadata import fqn
from hex_assets.openmetadata.actual import Actual, PlanOptions
from hex_assets.openmetadata.changes import (
    Action,
    Change,
    CreateService,
    DeleteDashboard,
    Key,
    PutClassification,
    PutEdge,
    PutTag,
)
from hex_assets.openmetadata.dashboards import existing_dashboard, new_dashboard
from hex_assets.openmetadata.desired import (
    CLASSIFICATIONS,
    Desired,
    DesiredDashboard,
    DesiredEdge,
    DesiredTag,
)
from hex_assets.openmetadata.models import DashboardService, LineageDetails

DELETION_GUARD = "hexAssets.deletionGuardPercent"
"""Named by the reason of every deletion that the guard holds back."""

EDGE_SOURCE = "DashboardLineage"

_PROJECT_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def make_plan(
    desired: Desired, actual: Actual, complete: bool, options: PlanOptions
) -> tuple[Change, ...]:
    """One change per entity, in an order in which they can be sent.

    Args:
        complete: whether all projects of the workspace were read; nothing is deleted else.
    """
    tags = desired.tags if options.include_tags else ()
    tag_changes = [_tag_change(tag, actual) for tag in tags]
    usable = {change.fqn for change in tag_changes if change.action != "skip"}
    published = {dashboard.project_id for dashboard in desired.dashboards}
    return (
        _service_change(desired.service, actual.service),
        *_classification_changes(tags, actual),
        *tag_changes,
        *(_dashboard_change(one, desired, usable, actual, options) for one in desired.dashboards),
        *(_edge_change(edge, desired, published, actual, options) for edge in desired.edges),
        *_deletions(desired, published, actual, complete, options),
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


def _dashboard_change(
    wanted: DesiredDashboard,
    desired: Desired,
    usable_tags: set[str],
    actual: Actual,
    options: PlanOptions,
) -> Change:
    service = fqn.quote(desired.service)
    tags = [tag for tag in wanted.tags if tag in usable_tags]
    owner = actual.owners.get(wanted.owner_email.casefold()) if wanted.owner_email else None
    stored = actual.dashboards.get(wanted.project_id)
    if stored is None:
        return new_dashboard(wanted, service, tags, owner)
    return existing_dashboard(wanted, service, tags, owner, stored, options)


def _edge_change(
    wanted: DesiredEdge,
    desired: Desired,
    published: set[str],
    actual: Actual,
    options: PlanOptions,
) -> Change:
    """Compare one edge; a Manual edge, or one of another source, is never overwritten."""
    stored = actual.dashboards.get(wanted.project_id)
    dashboard_fqn = (
        stored.fully_qualified_name if stored else desired.dashboard_fqn(wanted.project_id)
    )
    edge_fqn = f"{wanted.table_fqn} -> {dashboard_fqn}"
    if wanted.project_id not in published:
        why = desired.not_published.get(wanted.project_id, "was not among the projects read")
        return Change("edge", edge_fqn, "skip", f"its project {why}")
    found = actual.edges.get((wanted.table_id, stored.id)) if stored else None
    if found is not None and found.source != EDGE_SOURCE:
        reason = f"an edge with source {found.source} is there already and stays"
        return Change("edge", edge_fqn, "skip", reason)
    details = _edge_details(wanted, found, options)
    if details == found:
        return Change("edge", edge_fqn, "unchanged", wanted.description)
    request = PutEdge(wanted.table_id, dashboard_fqn, stored.id if stored else None, details)
    if found is None:
        action: Action = "create"
        reason = wanted.description
    else:
        action = "update"
        changed = [
            name
            for name in LineageDetails.model_fields
            if getattr(details, name) != getattr(found, name)
        ]
        reason = f"changed: {', '.join(changed)}"
    return Change("edge", edge_fqn, action, reason, request, (("dashboard", dashboard_fqn),))


def _edge_details(
    wanted: DesiredEdge, found: LineageDetails | None, options: PlanOptions
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
        columns_lineage=() if options.override_lineage else before.columns_lineage,
        pipeline=before.pipeline,
    )


def _deletions(
    desired: Desired,
    published: set[str],
    actual: Actual,
    complete: bool,
    options: PlanOptions,
) -> Iterator[Change]:
    """Soft deletions of what left Hex, all or none of them."""
    live = {
        name: dashboard
        for name, dashboard in actual.dashboards.items()
        if _PROJECT_ID.fullmatch(name) and not dashboard.deleted
    }
    unpublished = {name: live[name] for name in sorted(live.keys() - published)}
    leaving = {
        name: dashboard
        for name, dashboard in unpublished.items()
        if name in desired.leaving or name not in desired.not_published
    }
    unseen = "is gone from Hex" if complete else "was not among the projects read"
    held_back = _held_back(len(leaving), len(live), complete, options)
    for name, dashboard in unpublished.items():
        why = desired.not_published.get(name, unseen)
        if name not in leaving:
            reason = f"{why}; kept as it is, delete it in OpenMetadata if it should go"
            yield Change("dashboard", dashboard.fully_qualified_name, "skip", reason)
        elif held_back:
            reason = f"{why}; {held_back}"
            yield Change("dashboard", dashboard.fully_qualified_name, "skip", reason)
        else:
            request = DeleteDashboard(dashboard.id)
            yield Change("dashboard", dashboard.fully_qualified_name, "delete", why, request)


def _held_back(leaving: int, live: int, complete: bool, options: PlanOptions) -> str:
    """Why nothing may be deleted; empty if it may."""
    if not options.mark_deleted_dashboards:
        return "kept because markDeletedDashboards is false"
    if not complete:
        return "kept because not all projects could be read"
    if leaving * 100 > options.deletion_guard_percent * live:
        return (
            f"kept because {leaving} of {live} dashboards would be deleted at once, more than the "
            f"{options.deletion_guard_percent:g} % of {DELETION_GUARD}. If they really left Hex, "
            "raise workflowConfig.config.hexAssets.deletionGuardPercent for one run"
        )
    return ""
