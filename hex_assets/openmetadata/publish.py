"""Publishing one workspace: read what OpenMetadata holds, plan what differs, send only that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from hex_assets.errors import PublishError, RecipeError
from hex_assets.frames import OPENMETADATA_ENTITIES, Frame
from hex_assets.openmetadata import fqn
from hex_assets.openmetadata.actual import Actual, PlanOptions
from hex_assets.openmetadata.apply import Applied, Progress, apply_plan
from hex_assets.openmetadata.changes import Change, Key
from hex_assets.openmetadata.client import OpenMetadataClient
from hex_assets.openmetadata.desired import (
    CLASSIFICATIONS,
    Desired,
    DesiredEdge,
    desired_state,
)
from hex_assets.openmetadata.models import (
    Dashboard,
    DashboardService,
    EntityReference,
    LineageDetails,
    Person,
    Tag,
)
from hex_assets.openmetadata.plan import make_plan

if TYPE_CHECKING:
    from hex_assets.recipe import Recipe

_SERVICE_TYPES = ("Hex", "CustomDashboard")
_NAMED_FAILURES = 10

Item = TypeVar("Item")
Result = TypeVar("Result")


def publish(
    client: OpenMetadataClient,
    recipe: Recipe,
    projects: Frame,
    edges: Frame,
    *,
    progress: Progress = lambda done, total: None,
    dry_run: bool = False,
) -> Frame:
    """Bring OpenMetadata to what Hex and the lineage say.

    Applied twice it sends nothing the second time, and a run that was killed is completed by
    the next one. Edges whose evidence ended are kept.

    Args:
        projects: ``hex_projects``; with gaps, nothing is deleted.
        edges: ``lineage_edges``.
        progress: called with the number of requests done and the number of all.
        dry_run: plan only; outcomes read ``planned``.

    Returns:
        ``openmetadata_entities``, one row per entity, also the unchanged ones.

    Raises:
        PublishError: some entities were not published; it holds the frame.
        RequestError: what OpenMetadata holds could not be read; nothing was sent.
        RecipeError: the dashboard service cannot be used.
    """
    source, settings = recipe.source_config, recipe.hex_assets
    options = PlanOptions(
        mark_deleted_dashboards=source.mark_deleted_dashboards,
        deletion_guard_percent=settings.deletion_guard_percent,
        include_tags=source.include_tags and recipe.hex.include_tags,
        override_metadata=source.override_metadata,
        override_lineage=source.override_lineage,
    )
    desired = desired_state(recipe.service_name, projects.rows, edges.rows, recipe.publishes)
    actual = read_actual(client, desired, options, settings.concurrency)
    changes = make_plan(desired, actual, projects.complete, options)
    if dry_run:
        return _frame(changes, {c.key: "planned" if c.request else "unchanged" for c in changes})
    applied = apply_plan(client, changes, concurrency=settings.concurrency, progress=progress)
    frame = _frame(changes, applied.outcomes)
    if applied.errors:
        raise _failure(changes, applied, frame) from applied.errors[0]
    return frame


def read_actual(
    client: OpenMetadataClient, desired: Desired, options: PlanOptions, concurrency: int = 4
) -> Actual:
    """Read what OpenMetadata holds, in bulk where its API allows.

    Raises:
        RequestError: a request failed; a part is never returned for the whole.
        IncompleteRead: a listing repeats itself.
        RecipeError: the service is deleted, or of another product.
    """
    service = _usable(client.dashboard_service(fqn.quote(desired.service)), desired.service)
    dashboards: dict[str, Dashboard] = {}
    if service is not None:
        listed = client.dashboards(fqn.quote(desired.service))
        dashboards = {dashboard.name.lower(): dashboard for dashboard in listed}
    names = {tag.classification for tag in desired.tags} if options.include_tags else set()
    found = [one for one in client.classifications() if one.name in names] if names else []
    tags = [tag for one in found for tag in client.tags(one.name)]
    return Actual(
        service,
        {classification.name: classification for classification in found},
        _in_our_classifications(tags),
        dashboards,
        _owners(client, desired),
        _edges(client, desired, dashboards, concurrency),
    )


def _usable(service: DashboardService | None, name: str) -> DashboardService | None:
    if service is None:
        return None
    if service.deleted:
        raise RecipeError(
            f"source.serviceName: the dashboard service {name} is soft deleted in OpenMetadata. "
            "Restore it there, or choose another name."
        )
    if service.service_type not in _SERVICE_TYPES:
        raise RecipeError(
            f"source.serviceName: the dashboard service {name} of OpenMetadata is of type "
            f"{service.service_type}, not {' or '.join(_SERVICE_TYPES)}. Choose another name; "
            "this one belongs to another product."
        )
    return service


def _in_our_classifications(tags: Iterable[Tag]) -> dict[str, Tag]:
    ours = tuple(f"{classification}." for classification in CLASSIFICATIONS)
    return {
        tag.fully_qualified_name: tag for tag in tags if tag.fully_qualified_name.startswith(ours)
    }


def _owners(client: OpenMetadataClient, desired: Desired) -> dict[str, EntityReference]:
    """Users and groups by email without regard to letter case.

    OpenMetadata has no lookup by email that ignores case, and addresses in Hex and OpenMetadata
    often differ in it; so the users are listed once, and the teams if an address is left.
    """
    wanted = {one.owner_email.casefold() for one in desired.dashboards if one.owner_email}
    if not wanted:
        return {}
    owners = _by_email(client.users(), "user", wanted)
    if wanted - owners.keys():
        groups = [team for team in client.teams() if team.team_type == "Group"]
        owners = {**_by_email(groups, "team", wanted), **owners}
    return owners


def _by_email(people: Sequence[Person], kind: str, wanted: set[str]) -> dict[str, EntityReference]:
    return {
        person.email.casefold(): EntityReference(id=person.id, type=kind, name=person.name)
        for person in people
        if person.email and person.email.casefold() in wanted
    }


def _edges(
    client: OpenMetadataClient,
    desired: Desired,
    dashboards: Mapping[str, Dashboard],
    concurrency: int,
) -> dict[tuple[str, str], LineageDetails]:
    """Stored edges, by the ids of table and dashboard, of the dashboards that should have some.

    OpenMetadata answers the whole lineage of a live dashboard at once, but of a soft-deleted one
    only a single edge.
    """
    published = {dashboard.project_id for dashboard in desired.dashboards}
    wanted: dict[str, list[DesiredEdge]] = {}
    for edge in desired.edges:
        if edge.project_id in published and edge.project_id in dashboards:
            wanted.setdefault(edge.project_id, []).append(edge)

    def stored(project_id: str) -> dict[tuple[str, str], LineageDetails]:
        dashboard = dashboards[project_id]
        if dashboard.deleted:
            ends = [(edge.table_id, dashboard.id) for edge in wanted[project_id]]
            found = {end: client.lineage_edge(*end) for end in ends}
            return {end: details for end, details in found.items() if details is not None}
        lineage = client.upstream_lineage(dashboard.id)
        return {
            (edge.from_entity, edge.to_entity): edge.lineage_details or LineageDetails()
            for edge in lineage.upstream_edges
        }

    return {
        ends: details
        for edges in _in_parallel(stored, list(wanted), concurrency)
        for ends, details in edges.items()
    }


def _in_parallel(
    work: Callable[[Item], Result], items: Sequence[Item], concurrency: int
) -> list[Result]:
    """Results in the order of the items; the first error cancels what has not begun."""
    with ThreadPoolExecutor(max_workers=concurrency, thread_name_prefix="read") as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()


def _frame(changes: Sequence[Change], outcomes: Mapping[Key, str]) -> Frame:
    return OPENMETADATA_ENTITIES.frame(
        {
            "kind": change.kind,
            "fqn": change.fqn,
            "action": change.action,
            "reason": change.reason,
            "outcome": outcomes[change.key],
        }
        for change in changes
    )


def _failure(changes: Sequence[Change], applied: Applied, frame: Frame) -> PublishError:
    outcomes = applied.outcomes
    failed = [change for change in changes if outcomes[change.key].startswith("failed")]
    skipped = sum(outcome.startswith("skipped") for outcome in outcomes.values())
    text = f"{len(failed)} of {len(changes)} entities could not be published"
    text += f", {skipped} more were not tried" if skipped else ""
    named = [f"{c.kind} {c.fqn}: {outcomes[c.key]}" for c in failed[:_NAMED_FAILURES]]
    more = f"\n- and {len(failed) - len(named)} more" if len(failed) > len(named) else ""
    lines = "".join(f"\n- {line}" for line in named)
    transient = any(error.transient for error in applied.errors)
    return PublishError(f"{text}:{lines}{more}", frame, transient)
