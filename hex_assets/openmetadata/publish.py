"""Publishing one workspace: read what OpenMetadata holds, plan what differs, send only that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel

from hex_assets.errors import PlanOutdated, PublishError, RecipeError
from hex_assets.frames import HEX_RUNS, OPENMETADATA_ENTITIES, Frame
from hex_assets.openmetadata import fqn
from hex_assets.openmetadata.actual import Actual, PlanOptions
from hex_assets.openmetadata.apply import Applied, Progress, apply_plan
from hex_assets.openmetadata.changes import (
    AddColumns,
    Change,
    DeleteEdge,
    Key,
    PutEdge,
    Request,
    SetUsage,
)
from hex_assets.openmetadata.client import OpenMetadataClient
from hex_assets.openmetadata.desired import CLASSIFICATIONS, desired_state
from hex_assets.openmetadata.entities import Desired
from hex_assets.openmetadata.models import (
    Chart,
    Dashboard,
    DashboardService,
    EntityReference,
    LineageDetails,
    Person,
    Tag,
)
from hex_assets.openmetadata.plan import Completeness, make_plan
from hex_assets.openmetadata.published import LastPublished, PublishedFiles, Upstream
from hex_assets.openmetadata.source_hash import SourceHash
from hex_assets.openmetadata.usage import Views, usage_changes, views_today

if TYPE_CHECKING:
    from hex_assets.recipe import Recipe

_SERVICE_TYPES = ("Hex", "CustomDashboard")
_NAMED_FAILURES = 10

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Sources:
    """What Hex and the lineage say; frames of one workspace.

    Attributes:
        projects: ``hex_projects``; with gaps, nothing is deleted.
        edges: ``lineage_edges``; with gaps, no edge and no chart is.
        cells: ``hex_cells``, for the labels of charts.
        imports: ``hex_component_imports``.
        tables: ``catalog_tables``: columns that they lack are not told.
        runs: ``hex_runs``, for custom properties.
    """

    projects: Frame
    edges: Frame
    cells: Frame | None = None
    imports: Frame | None = None
    tables: Frame | None = None
    runs: Frame | None = None

    @property
    def completeness(self) -> Completeness:
        lineage = (self.edges, self.cells, self.imports, self.tables)
        return Completeness(
            self.projects.complete, all(one is None or one.complete for one in lineage)
        )


@dataclass(frozen=True)
class Plan:
    """What publishing would do.

    Attributes:
        frame: ``openmetadata_entities`` with the outcomes ``planned`` and ``unchanged``.
        fingerprint: digest of all that would be sent, usage apart, which grows by itself.
    """

    frame: Frame
    fingerprint: str


@dataclass(frozen=True)
class _Prepared:
    """A plan, and what it was made from.

    Attributes:
        upstream: the edges of dashboards as they are, by the dashboard's id.
        views: by the id of the project, before anything is sent.
        usage: the changes that tell them, by the id of the project.
    """

    changes: tuple[Change, ...]
    upstream: Mapping[str, Upstream]
    views: Mapping[str, Views]
    usage: Mapping[str, Change]
    now: datetime


def plan_publication(
    client: OpenMetadataClient,
    recipe: Recipe,
    sources: Sources,
    files: PublishedFiles | None = None,
    *,
    reconcile: bool = False,
    clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
) -> Plan:
    """Say what ``publish`` would do with the same arguments; only reads.

    Raises:
        RequestError: what OpenMetadata holds could not be read.
        RecipeError: the dashboard service cannot be used.
    """
    prepared = _prepared(client, recipe, sources, files, reconcile, clock())
    outcomes = {
        change.key: "planned" if change.request else "unchanged" for change in prepared.changes
    }
    return Plan(_frame(prepared.changes, outcomes), _fingerprint(prepared.changes))


def publish(
    client: OpenMetadataClient,
    recipe: Recipe,
    sources: Sources,
    files: PublishedFiles | None = None,
    *,
    reconcile: bool = False,
    reviewed: str | None = None,
    progress: Progress = lambda done, total: None,
    clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
) -> Frame:
    """Bring OpenMetadata to what Hex and the lineage say.

    Applied twice it sends nothing the second time, and a run that was killed is completed by
    the next one.

    Args:
        files: what the last run left; without them everything is read from OpenMetadata, and no
            usage is told.
        reconcile: read everything from OpenMetadata, whatever the last run left.
        reviewed: fingerprint of the only plan that may be applied.
        progress: called with the number of requests done and the number of all.

    Returns:
        ``openmetadata_entities``, one row per entity, also the unchanged ones.

    Raises:
        PublishError: some entities were not published; it holds the frame.
        PlanOutdated: what was reviewed is not what would be done; nothing was sent.
        RequestError: what OpenMetadata holds could not be read; nothing was sent.
        RecipeError: the dashboard service cannot be used.
    """
    prepared = _prepared(client, recipe, sources, files, reconcile, clock())
    changes, upstream = prepared.changes, prepared.upstream
    if reviewed is not None and reviewed != _fingerprint(changes):
        raise PlanOutdated()
    touched = _dashboards_of_changed_edges(changes)
    if files and touched:
        # What is about to change is forgotten first: after a kill it is read again.
        files.save_upstream({key: one for key, one in upstream.items() if key not in touched})
    if files and prepared.usage:
        files.save_views(prepared.views)
    concurrency = recipe.hex_assets.concurrency
    applied = apply_plan(client, changes, concurrency=concurrency, progress=progress)
    if files:
        files.save_upstream(_upstream_now(changes, applied, upstream, prepared.now))
        files.save_views(_views_now(prepared.views, prepared.usage, applied))
    frame = _frame(changes, applied.outcomes)
    if applied.errors:
        raise _failure(changes, applied, frame) from applied.errors[0]
    return frame


def _prepared(
    client: OpenMetadataClient,
    recipe: Recipe,
    sources: Sources,
    files: PublishedFiles | None,
    reconcile: bool,
    now: datetime,
) -> _Prepared:
    settings, options = recipe.hex_assets, _options(recipe)
    desired = _desired(recipe, sources)
    last = files.load() if files else LastPublished()
    trusted = {} if reconcile else last.trusted(now, settings.reconcile_days)
    complete = sources.completeness
    actual, upstream = read_actual(client, desired, options, now, trusted, settings.concurrency)
    changes = make_plan(desired, actual, complete, options)
    touched = _dashboards_of_changed_edges(changes)
    remembered = {key for key, one in upstream.items() if one is trusted.get(key)}
    doubtful = [one for one in actual.dashboards.values() if one.id in touched & remembered]
    if doubtful:
        fresh = _read_upstream(client, doubtful, desired, {}, settings.concurrency, now)
        upstream = {**upstream, **fresh}
        actual = _with_edges(actual, upstream)
        changes = make_plan(desired, actual, complete, options)
    if not (files and recipe.source_config.include_usage):
        return _Prepared(tuple(changes), upstream, last.views, {}, now)
    counted = list(views_today(sources.projects.rows, last.views, now.date()))
    usage = dict(usage_changes(desired, counted))
    views = {project_id: known for project_id, known, _ in counted}
    return _Prepared((*changes, *usage.values()), upstream, views, usage, now)


def _fingerprint(changes: Iterable[Change]) -> str:
    sent = sorted(
        f"{change.kind} {change.fqn} {change.action} {_canonical(change.request)}"
        for change in changes
        if change.request is not None and change.kind != "usage"
    )
    return hashlib.sha256("\n".join(sent).encode()).hexdigest()


def _canonical(request: Request) -> str:
    """The same text for the same request in every process; sets have no order of their own."""

    def plain(value: object) -> object:
        if isinstance(value, BaseModel):
            return value.model_dump(mode="json")
        if isinstance(value, frozenset):
            return sorted(value)
        raise TypeError(f"a request holds a {type(value).__name__}")

    return json.dumps(asdict(request), sort_keys=True, default=plain)


def _options(recipe: Recipe) -> PlanOptions:
    source, settings = recipe.source_config, recipe.hex_assets
    return PlanOptions(
        mark_deleted_dashboards=source.mark_deleted_dashboards,
        mark_deleted_charts=source.mark_deleted_charts,
        deletion_guard_percent=settings.deletion_guard_percent,
        include_tags=source.include_tags and recipe.hex.include_tags,
        override_metadata=source.override_metadata,
        override_lineage=source.override_lineage,
        custom_properties=settings.custom_properties,
    )


def _desired(recipe: Recipe, sources: Sources) -> Desired:
    return desired_state(
        recipe.service_name,
        sources.projects.rows,
        sources.edges.rows,
        recipe.publishes,
        cells=sources.cells.rows if sources.cells else None,
        imports=sources.imports.rows if sources.imports else None,
        tables=sources.tables.rows if sources.tables else None,
        runs=(sources.runs or HEX_RUNS.empty()) if recipe.hex_assets.custom_properties else None,
        publishes_chart=recipe.publishes_chart,
    )


def _dashboards_of_changed_edges(changes: Iterable[Change]) -> set[str]:
    requests = (change.request for change in changes)
    return {
        request.dashboard_id
        for request in requests
        if isinstance(request, PutEdge | AddColumns | DeleteEdge)
        and request.dashboard_id is not None
    }


def _upstream_now(
    changes: Iterable[Change],
    applied: Applied,
    upstream: Mapping[str, Upstream],
    now: datetime,
) -> dict[str, Upstream]:
    """The edges as the requests left them; of a dashboard with a failed one, nothing is known."""
    edges = {key: dict(one.edges) for key, one in upstream.items()}
    tables = {key: dict(one.tables) for key, one in upstream.items()}
    read_at = {key: one.read_at for key, one in upstream.items()}
    for made in applied.dashboard_ids.values():
        read_at.setdefault(made, now)
    unknown: set[str] = set()
    for change in changes:
        request = change.request
        if not isinstance(request, PutEdge | AddColumns | DeleteEdge):
            continue
        dashboard_id: str | None = request.dashboard_id
        if isinstance(request, PutEdge) and dashboard_id is None:
            dashboard_id = applied.dashboard_ids.get(request.dashboard_fqn)
        if dashboard_id is None:
            continue
        settled = applied.outcomes[change.key].startswith(("done", "skipped: this server"))
        if not settled or dashboard_id not in read_at:
            unknown.add(dashboard_id)
        elif isinstance(request, DeleteEdge):
            edges.setdefault(dashboard_id, {}).pop(request.table_id, None)
        else:
            edges.setdefault(dashboard_id, {})[request.table_id] = request.details
            table = change.fqn.split(" -> ")[0]
            tables.setdefault(dashboard_id, {})[request.table_id] = table
    return {
        key: Upstream(at, edges.get(key, {}), tables.get(key, {}))
        for key, at in read_at.items()
        if key not in unknown
    }


def _views_now(
    views: Mapping[str, Views], usage: Mapping[str, Change], applied: Applied
) -> dict[str, Views]:
    now = dict(views)
    for project_id, change in usage.items():
        if applied.outcomes[change.key] == "done" and isinstance(change.request, SetUsage):
            now[project_id] = replace(now[project_id], sent=change.request.count)
    return now


def read_actual(
    client: OpenMetadataClient,
    desired: Desired,
    options: PlanOptions,
    now: datetime,
    trusted: Mapping[str, Upstream] = MappingProxyType({}),
    concurrency: int = 4,
) -> tuple[Actual, dict[str, Upstream]]:
    """Read what OpenMetadata holds, in bulk where its API allows.

    Args:
        trusted: the edges that are known, by the id of the dashboard; not believed of those
            that somebody else published last.

    Returns:
        What it holds, and the edges of each dashboard that has or should have some.

    Raises:
        RequestError: a request failed; a part is never returned for the whole.
        IncompleteRead: a listing repeats itself.
        RecipeError: the service is deleted, or of another product.
    """
    service = _usable(client.dashboard_service(fqn.quote(desired.service)), desired.service)
    dashboards: dict[str, Dashboard] = {}
    charts: dict[str, Chart] = {}
    if service is not None:
        listed = client.dashboards(fqn.quote(desired.service))
        dashboards = {dashboard.name.lower(): dashboard for dashboard in listed}
        charts = {chart.name.lower(): chart for chart in client.charts(fqn.quote(desired.service))}
    names = {tag.classification for tag in desired.tags} if options.include_tags else set()
    found = [one for one in client.classifications() if one.name in names] if names else []
    tags = [tag for one in found for tag in client.tags(one.name)]
    published = {one.name for one in desired.dashboards}
    of_interest = [one for name, one in dashboards.items() if name in published]
    # Who published a dashboard after us, as OpenMetadata's connector does, may have had its edges.
    last_by_us = {one.id for one in of_interest if SourceHash.parse(one.source_hash)}
    known = {key: one for key, one in trusted.items() if key in last_by_us}
    upstream = _read_upstream(client, of_interest, desired, known, concurrency, now)
    actual = Actual(
        service,
        {classification.name: classification for classification in found},
        _in_our_classifications(tags),
        dashboards,
        _owners(client, desired),
        charts=charts,
        properties=(
            frozenset(one.name for one in client.dashboard_type().custom_properties)
            if options.custom_properties
            else frozenset()
        ),
    )
    return _with_edges(actual, upstream), upstream


def _with_edges(actual: Actual, upstream: Mapping[str, Upstream]) -> Actual:
    return replace(
        actual,
        edges={
            (table_id, dashboard_id): details
            for dashboard_id, one in upstream.items()
            for table_id, details in one.edges.items()
        },
        names={key: name for one in upstream.values() for key, name in one.tables.items()},
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
    published = (*desired.dashboards, *desired.charts)
    wanted = {one.owner_email.casefold() for one in published if one.owner_email}
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


def _read_upstream(
    client: OpenMetadataClient,
    dashboards: Sequence[Dashboard],
    desired: Desired,
    trusted: Mapping[str, Upstream],
    concurrency: int,
    now: datetime,
) -> dict[str, Upstream]:
    """Stored edges of dashboards, by their id.

    OpenMetadata answers the whole lineage of a live dashboard at once, but of a soft-deleted one
    only a single edge; so of such a one those are asked for that it should have.

    Args:
        trusted: what need not be read.
    """
    wanted: dict[str, dict[str, str]] = {}
    for edge in desired.edges:
        wanted.setdefault(edge.project_id, {})[edge.table_id] = edge.table_fqn

    def stored(dashboard: Dashboard) -> Upstream:
        if dashboard.deleted:
            tables = wanted.get(dashboard.name.lower(), {})
            found = {table: client.lineage_edge(table, dashboard.id) for table in tables}
            edges = {table: details for table, details in found.items() if details is not None}
            return Upstream(datetime.min.replace(tzinfo=timezone.utc), edges, tables)
        lineage = client.upstream_lineage(dashboard.id)
        names = {node.id: node.fully_qualified_name or node.id for node in lineage.nodes}
        edges = {
            edge.from_entity: edge.lineage_details or LineageDetails()
            for edge in lineage.upstream_edges
            if edge.to_entity == dashboard.id
        }
        return Upstream(now, edges, {table: names.get(table, table) for table in edges})

    known = {one.id: trusted[one.id] for one in dashboards if one.id in trusted and not one.deleted}
    unread = [one for one in dashboards if one.id not in known]
    read = _in_parallel(stored, unread, concurrency)
    return {**known, **{one.id: edges for one, edges in zip(unread, read, strict=True)}}


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
            "before": change.before,
            "after": change.after,
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
