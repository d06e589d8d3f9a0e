"""Published Hex projects as external assets, downstream of the tables that they read.

Made from stored frames, so that a code location loads without a server: what the last run of
each workspace found is what the graph shows.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from hex_assets.errors import FrameError, NothingStored
from hex_assets.hex.schedules import periods
from hex_assets.openmetadata import fqn

if TYPE_CHECKING:
    from hex_assets.translator import DagsterHexTranslator

PROJECTS_GROUP = "hex_projects"

_TABLE_NAME = "dagster/table_name"
_UNTIL_READ = timedelta(days=1)
"""A run in Hex is known here after the next run of the assets, by default within a day."""

_OWNER = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}")
"""The addresses that Dagster accepts as owners."""

_LONGEST_TAG = 63
_LONGEST_SLUG = 60


@dataclass(frozen=True)
class WarehouseTable:
    """A table that a Hex project reads.

    Attributes:
        service: database service of OpenMetadata that holds it.
        database: its database, exact case.
        schema: its schema, exact case.
        table: its name, exact case.
    """

    service: str
    database: str
    schema: str
    table: str

    @classmethod
    def of(cls, table_fqn: str) -> "WarehouseTable":
        """The table of a fully qualified name in OpenMetadata."""
        service, database, schema, table = map(fqn.decode, fqn.split(table_fqn))
        return cls(service, database, schema, table)

    @property
    def names(self) -> tuple[tuple[str, ...], ...]:
        """What ``dagster/table_name`` may call it, in lower-case parts, the whole name first."""
        parts = tuple(part.lower() for part in (self.database, self.schema, self.table))
        return parts, parts[1:]


@dataclass(frozen=True)
class TableRead:
    """What one cell reads of one table.

    Attributes:
        table: the table.
        cell: label of the cell, or its id; None where the evidence names no cell.
        columns: names in exact case, sorted; empty when unknown.
    """

    table: WarehouseTable
    cell: str | None
    columns: Sequence[str]


@dataclass(frozen=True)
class HexProject:
    """A published Hex project, as the last run of its workspace found it.

    Attributes:
        workspace: its Hex workspace, which is the partition of the assets.
        id: UUID, lower case.
        title: as shown in Hex; not unique.
        description: Markdown; None without one.
        owner_email: None when unknown.
        status: name of its status; None without one.
        categories: names, sorted.
        collections: names, sorted.
        schedules: enabled ones, in words such as ``DAILY 06:30 +00:00``.
        url: its page in Hex; None when unknown.
        last_published_at: when it was published last.
        last_viewed_at: last view of the app; None without one.
        views_30_days: views of the app; None when unknown.
        reads: tables read, by cell.
    """

    workspace: str
    id: str
    title: str
    description: str | None
    owner_email: str | None
    status: str | None
    categories: Sequence[str]
    collections: Sequence[str]
    schedules: Sequence[str]
    url: str | None
    last_published_at: datetime
    last_viewed_at: datetime | None
    views_30_days: int | None
    reads: Sequence[TableRead]


def load_hex_project_specs(
    storage: str,
    table_assets: Iterable[dg.AssetsDefinition | dg.AssetSpec] = (),
    *,
    key_prefix: Sequence[str] = (),
    translator: "DagsterHexTranslator | None" = None,
) -> list[dg.AssetSpec]:
    """One external asset per published Hex project of the stored frames.

    A project depends on each of the assets whose ``dagster/table_name`` names a table it reads,
    in any letter case, as ``database.schema.table`` or ``schema.table``. A name that several
    of the tables read have, in two database services for example, makes no dependency.

    Args:
        storage: local path or object-store URL of the stored frames.
        table_assets: your tables: dbt models, Snowflake tables and so on.
        key_prefix: before the keys.
        translator: by default ``DagsterHexTranslator()``.

    Returns:
        No assets, and a warning, while there are no frames, or only some of another version.

    Raises:
        DagsterInvalidDefinitionError: the translator gave two projects the same key.
    """
    found = project_assets(storage, table_assets, key_prefix=key_prefix, translator=translator)
    return [spec for _, spec in found]


def project_assets(
    storage: str,
    table_assets: Iterable[dg.AssetsDefinition | dg.AssetSpec] = (),
    *,
    key_prefix: Sequence[str] = (),
    translator: "DagsterHexTranslator | None" = None,
) -> list[tuple[HexProject, dg.AssetSpec]]:
    """As ``load_hex_project_specs``, each with the project it stands for."""
    from hex_assets.translator import DagsterHexTranslator

    translator = translator or DagsterHexTranslator()
    try:
        projects = read_projects(storage)
    except (NothingStored, FrameError) as error:
        dg.get_dagster_logger("hex_assets").warning(f"No Hex projects in the asset graph: {error}")
        return []
    tables = _TableAssets(table_assets, [read.table for one in projects for read in one.reads])
    found = [
        (one, translator.get_project_spec(_spec(one, key_prefix, tables, translator), one))
        for one in projects
    ]
    counts = Counter(spec.key for _, spec in found)
    repeated = next((key for key, count in counts.items() if count > 1), None)
    if repeated is not None:
        ids = ", ".join(project.id for project, spec in found if spec.key == repeated)
        raise dg.DagsterInvalidDefinitionError(
            f"Several Hex projects have the key {repeated.to_user_string()}: {ids}. Give each its "
            "own in DagsterHexTranslator.get_project_spec, or in `project_translation`."
        )
    return found


def read_projects(storage: str) -> list[HexProject]:
    """The published projects of all workspaces, by workspace and title.

    Raises:
        NothingStored: there is no lineage yet.
        FrameError: a frame is of another version.
    """
    from hex_assets.impact.readers import project_state
    from hex_assets.impact.stored import read_stored

    stored = read_stored(storage)
    reads: dict[tuple[str, str], list[TableRead]] = defaultdict(list)
    labels = stored.cells.select("workspace", "project_id", "cell_id", "label")
    read = (
        stored.edges.join(labels, on=["workspace", "project_id", "cell_id"], how="left")
        .select(
            "workspace",
            "project_id",
            "table_fqn",
            pl.coalesce("label", "cell_id"),
            pl.col("columns").list.eval(pl.element().struct.field("name")),
        )
        .sort("table_fqn", "label")
    )
    for workspace, project_id, table_fqn, cell, columns in read.iter_rows():
        table = WarehouseTable.of(table_fqn)
        reads[workspace, project_id].append(TableRead(table, cell, columns))
    rows = stored.projects.sort("workspace", "title", "id").iter_rows(named=True)
    return [
        HexProject(
            **{name: row[name] for name in HexProject.__dataclass_fields__ if name != "reads"},
            reads=reads[row["workspace"], row["id"]],
        )
        for row in rows
        if row["type"] == "PROJECT" and project_state(row) == "published"
    ]


class _TableAssets:
    """Which assets are which of the tables that are read."""

    def __init__(
        self,
        assets: Iterable[dg.AssetsDefinition | dg.AssetSpec],
        tables: Iterable[WarehouseTable],
    ) -> None:
        self._keys: dict[tuple[str, ...], set[dg.AssetKey]] = defaultdict(set)
        for asset in assets:
            for spec in asset.specs if isinstance(asset, dg.AssetsDefinition) else (asset,):
                name = _table_name(spec)
                if name:
                    self._keys[name].add(spec.key)
        self._bearers = Counter(name for table in set(tables) for name in table.names)

    def keys(self, table: WarehouseTable) -> frozenset[dg.AssetKey]:
        """The assets with a name that this table has, and no other table that is read."""
        for name in table.names:
            if name in self._keys and self._bearers[name] == 1:
                return frozenset(self._keys[name])
        return frozenset()


def _table_name(spec: dg.AssetSpec) -> tuple[str, ...]:
    """The parts of its table's name, unquoted and in lower case."""
    value = spec.metadata.get(_TABLE_NAME)
    text = value.value if isinstance(value, dg.TextMetadataValue) else value
    if not isinstance(text, str):
        return ()
    quoted = re.sub(r"[`\[\]]", '"', text.lower())
    try:
        return tuple(fqn.split(quoted))
    except ValueError:
        return ()


def _spec(
    project: HexProject,
    key_prefix: Sequence[str],
    tables: _TableAssets,
    translator: "DagsterHexTranslator",
) -> dg.AssetSpec:
    keys = {
        table: tables.keys(table) or _elsewhere(table, translator)
        for table in {read.table for read in project.reads}
    }
    owner = project.owner_email if _OWNER.fullmatch(project.owner_email or "") else None
    return dg.AssetSpec(
        key=[*key_prefix, project.workspace, project_name(project)],
        deps=sorted(set().union(*keys.values())),
        description="\n\n".join(filter(None, [project.title, project.description])),
        group_name=PROJECTS_GROUP,
        kinds={"hex"},
        owners=[owner] if owner else [],
        tags={"hex_assets/workspace": _tag(project.workspace)},
        metadata={**_metadata(project), **_column_lineage(project, keys)},
        freshness_policy=_freshness(project.schedules),
    )


def _elsewhere(table: WarehouseTable, translator: "DagsterHexTranslator") -> frozenset[dg.AssetKey]:
    key = translator.get_table_key(table)
    return frozenset() if key is None else frozenset({key})


def project_name(project: HexProject) -> str:
    """Readable in the graph, and the same whatever else has this title."""
    slug = re.sub(r"\W+", "_", project.title.lower()).strip("_")[:_LONGEST_SLUG]
    return f"{slug}_{project.id[:8]}" if slug else project.id


def _tag(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)[:_LONGEST_TAG]


def _metadata(project: HexProject) -> dict[str, dg.MetadataValue[Any]]:
    tables = sorted({read.table for read in project.reads}, key=lambda table: table.names)
    metadata: dict[str, dg.MetadataValue[Any]] = {
        "hex/project_id": dg.MetadataValue.text(project.id),
        "hex/last_published_at": dg.MetadataValue.timestamp(project.last_published_at),
        "hex/tables_read": dg.MetadataValue.int(len(tables)),
    }
    if tables:
        lines = [f"- {fqn.join(one.database, one.schema, one.table)}" for one in tables]
        metadata["hex/tables"] = dg.MetadataValue.md("\n".join(lines))
    if project.url:
        metadata["hex/url"] = dg.MetadataValue.url(project.url)
    if project.status:
        metadata["hex/status"] = dg.MetadataValue.text(project.status)
    for name, values in (
        ("categories", project.categories),
        ("collections", project.collections),
        ("schedules", project.schedules),
    ):
        if values:
            metadata[f"hex/{name}"] = dg.MetadataValue.text(", ".join(values))
    if project.last_viewed_at:
        metadata["hex/last_viewed_at"] = dg.MetadataValue.timestamp(project.last_viewed_at)
    if project.views_30_days is not None:
        metadata["hex/views_30_days"] = dg.MetadataValue.int(project.views_30_days)
    return metadata


def _column_lineage(
    project: HexProject, keys: Mapping[WarehouseTable, Iterable[dg.AssetKey]]
) -> dict[str, dg.MetadataValue[Any]]:
    """The columns that each cell reads, as the columns of the project that come of them."""
    deps: dict[str, set[dg.TableColumnDep]] = defaultdict(set)
    for read in project.reads:
        deps[read.cell or project.title] |= {
            dg.TableColumnDep(asset_key=key, column_name=column)
            for key in keys[read.table]
            for column in read.columns
        }
    of_cells = {
        cell: sorted(found, key=lambda dep: (dep.asset_key, dep.column_name))
        for cell, found in sorted(deps.items())
        if found
    }
    if not of_cells:
        return {}
    lineage = dg.TableColumnLineage(deps_by_column=of_cells)
    return {"dagster/column_lineage": dg.MetadataValue.column_lineage(lineage)}


def _freshness(schedules: Sequence[str]) -> dg.FreshnessPolicy | None:
    """Of the most frequent schedule; none where a cron expression tells only Hex when it fires."""
    known = periods(schedules)
    if not known:
        return None
    return dg.FreshnessPolicy.time_window(
        warn_window=min(known) + _UNTIL_READ, fail_window=2 * min(known) + _UNTIL_READ
    )
