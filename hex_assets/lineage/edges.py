"""From the query history, the cells and the catalog to lineage edges, and what was not linked."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import polars as pl

from hex_assets.frames import (
    COLUMNS_READ,
    EVIDENCE_DISAGREEMENTS,
    HEX_CELLS,
    HEX_COMPONENT_IMPORTS,
    HEX_DATA_CONNECTIONS,
    HEX_QUERIED_TABLES,
    LINEAGE_EDGES,
    NAMES,
    UNRESOLVED_REFERENCES,
    Frame,
)
from hex_assets.lineage.cells import CellReads, Miss, cell_texts, read_cells
from hex_assets.lineage.names import Name, Session, TableName, session_of
from hex_assets.lineage.parse import MAX_CHARACTERS, Reference, References, Script
from hex_assets.lineage.parse_store import Key, ParseStore, key_of
from hex_assets.lineage.parser_processes import Limits, ParserProcesses, Text
from hex_assets.lineage.queries import USAGES, usage_words
from hex_assets.lineage.resolve import (
    CatalogTable,
    Reason,
    Resolution,
    Resolved,
    TableIndex,
    Unresolved,
)

CELL_SQL = "cell_sql"
QUERIED_TABLES = "queried_tables"
QUERY_HISTORY = "query_history"
WAREHOUSE_RESOLVED = "warehouse_resolved"

_SCOPE = ["service", "dialect", "sql_key", "database", "schema"]


@dataclass(frozen=True)
class LineageFigures:
    """What the run did.

    Attributes:
        executions: executions in the history.
        statements: distinct statements parsed.
        unparsed: those of them that were not understood, wholly or in part.
        references: distinct references, by service and session; the sum of the next four.
        exact: linked by name and session.
        inferred: linked because only one table within the prefixes fitted, or by tolerant
            reading of a statement that was not understood.
        unresolved: not linked.
        system: of the warehouse's own tables, which are neither linked nor reported.
    """

    executions: int
    statements: int
    unparsed: int
    references: int
    exact: int
    inferred: int
    unresolved: int
    system: int


@dataclass(frozen=True)
class Lineage:
    """Edges, what was not linked, where the evidence disagrees, and figures."""

    edges: Frame
    unresolved: Frame
    disagreements: Frame
    figures: LineageFigures


class _Key(NamedTuple):
    """What makes an edge."""

    project_id: str
    cell_id: str | None
    table: CatalogTable
    component_id: str | None = None


@dataclass
class _Edge:
    """One edge and what its witnesses say."""

    columns: dict[str, int]
    evidence: set[str]
    resolution: Resolution
    executions: int = 0
    users: int = 0
    last_seen: datetime | None = None
    sql: str | None = None
    shown: tuple[Any, ...] = ()


def build_edges(
    history: Frame,
    catalog_tables: Frame,
    prefixes: Sequence[str],
    max_characters: int = MAX_CHARACTERS,
    progress: Callable[[int, int], None] | None = None,
    *,
    cells: Frame | None = None,
    connections: Frame | None = None,
    imports: Frame | None = None,
    queried_tables: Frame | None = None,
    catalog_schemas: Frame | None = None,
    store: ParseStore | None = None,
    processes: ParserProcesses | None = None,
) -> Lineage:
    """Link projects and cells to the tables and columns they read.

    Each distinct statement is parsed once, and resolved once for each session it ran in. The gaps
    of all inputs are those of all results.

    Args:
        history: a frame of ``WAREHOUSE_QUERY_HISTORY``.
        catalog_tables: a frame of ``CATALOG_TABLES``.
        prefixes: ``dbServicePrefixes`` of the recipe; empty means no restriction.
        max_characters: longer statements are not parsed, but reported.
        progress: called with statements parsed so far and in all.
        cells: a frame of ``HEX_CELLS``.
        connections: a frame of ``HEX_DATA_CONNECTIONS``.
        imports: a frame of ``HEX_COMPONENT_IMPORTS``.
        queried_tables: a frame of ``HEX_QUERIED_TABLES``.
        catalog_schemas: a frame of ``CATALOG_SCHEMAS``, which tells of which schemas the tables are
            there; None means of all.
        store: parse results of earlier runs, which need no parse; None parses all.
        processes: parse what is not stored, within their limits rather than ``max_characters``;
            the caller closes them. None means own ones, as many as there are processors.

    Raises:
        ParserProcessError: processes that parse are needed, and cannot be started.
        ValueError: a prefix is malformed, or sqlglot does not know a dialect of the inputs.
    """
    cells = cells or HEX_CELLS.empty()
    connections = connections or HEX_DATA_CONNECTIONS.empty()
    imports = imports or HEX_COMPONENT_IMPORTS.empty()
    queried_tables = queried_tables or HEX_QUERIED_TABLES.empty()
    inputs = (history, catalog_tables, cells, connections, imports, queried_tables)
    gaps = tuple(dict.fromkeys(gap for frame in inputs for gap in frame.gaps))
    schemas = None if catalog_schemas is None else catalog_schemas.rows
    index = TableIndex(catalog_tables.rows, prefixes, schemas)
    merging = _Merging(index, _inlined(cells.rows))
    with ExitStack() as closing:
        closing.enter_context(_without_cyclic_collector())
        if processes is None:
            processes = closing.enter_context(ParserProcesses(Limits(characters=max_characters)))
        parsing = _Parsing(processes, store)
        scripts = _link_statements(history.rows, parsing, merging, progress)
        merging.read_history(history.rows)
        parsing.parse(cell_texts(cells.rows, connections.rows))
        reads, misses = read_cells(
            cells.rows,
            connections.rows,
            imports.rows,
            merging.index,
            parsing.parsed,
        )
    parsing.keep()
    merging.read_cells(cells.rows, reads, misses)
    merging.read_queried_tables(queried_tables.rows, connections.rows)
    disagreements = list(merging.disagreements())
    merging.follow_imports(imports.rows)
    unresolved = sum(merging.unresolved_by_scope)
    return Lineage(
        edges=LINEAGE_EDGES.frame(merging.edge_rows(), gaps),
        unresolved=UNRESOLVED_REFERENCES.frame(merging.unresolved_rows(), gaps),
        disagreements=EVIDENCE_DISAGREEMENTS.frame(disagreements, gaps),
        figures=LineageFigures(
            executions=int(history.rows["executions"].sum()),
            statements=len(scripts),
            unparsed=sum(not script.parsed for script in scripts.values()),
            references=merging.exact + merging.inferred + unresolved + merging.system,
            exact=merging.exact,
            inferred=merging.inferred,
            unresolved=unresolved,
            system=merging.system,
        ),
    )


@contextmanager
def _without_cyclic_collector() -> Iterator[None]:
    """It would search all that is gathered, again and again, for a quarter of the time.

    Trees are cyclic, but of those only the few of a small batch are made in this process.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Parsing:
    """Parses each distinct text once, and not at all if an earlier run did."""

    def __init__(self, processes: ParserProcesses, store: ParseStore | None) -> None:
        self._processes = processes
        self._store = store
        self._used: dict[Key, Script] = {}

    def parse(self, texts: Iterable[Text]) -> None:
        """Parse all of them, so that ``parsed`` has them at hand."""
        for _ in self.each(texts):
            pass

    def each(
        self, texts: Iterable[Text], progress: Callable[[int, int], None] | None = None
    ) -> Iterator[tuple[Key, Script]]:
        """Each distinct text with its script, the stored ones first, then as they are parsed."""
        keyed = {key_of(text.dialect, text.sql): text for text in texts}
        new: list[tuple[Key, Text]] = []
        for key, text in keyed.items():
            stored = self._used.get(key)
            within = len(text.sql) <= self._processes.limits.characters
            if stored is None and self._store is not None and within:
                stored = self._store.get(key)
            if stored is not None:
                self._used[key] = stored
                yield key, stored
            else:
                new.append((key, text))
        done = len(keyed) - len(new)
        if progress is not None and done:
            progress(done, len(keyed))
        for place, script in self._processes.parse([text for _, text in new]):
            key = new[place][0]
            self._used[key] = script
            done += 1
            yield key, script
            if progress is not None:
                progress(done, len(keyed))

    def parsed(self, sql: str, dialect: str) -> Script:
        key = key_of(dialect, sql)
        if key not in self._used:
            self.parse([Text(dialect, sql)])
        return self._used[key]

    def keep(self) -> None:
        """Store what was used."""
        if self._store is not None:
            self._store.keep(self._used)


def _link_statements(
    history: pl.DataFrame,
    parsing: _Parsing,
    merging: _Merging,
    progress: Callable[[int, int], None] | None,
) -> Mapping[tuple[str, str], Script]:
    """The script of each distinct statement, by dialect and ``sql_key``.

    Each is linked for all its sessions as soon as it is parsed, while workers parse the next.
    """
    sessions: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in history.unique(_SCOPE, keep="any").sort(_SCOPE).iter_rows(named=True):
        sessions.setdefault((row["dialect"], row["sql_key"]), []).append(row)
    statements: dict[Key, list[tuple[str, str]]] = {}
    texts = []
    for (dialect, sql_key), (row, *_) in sessions.items():
        statements.setdefault(key_of(dialect, row["sql"]), []).append((dialect, sql_key))
        texts.append(Text(dialect, row["sql"]))
    scripts: dict[tuple[str, str], Script] = {}
    for key, script in parsing.each(texts, progress):
        for statement in statements[key]:
            scripts[statement] = script
            for row in sessions[statement]:
                merging.link(row, script)
    return scripts


def _scope(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in _SCOPE)


def _hidden(sql_key: str, references: References) -> Iterator[tuple[str, str, str]]:
    """What the text does not say; all that was not parsed of one statement is one miss."""
    not_parsed = []
    for unread in references.unread:
        if unread.reason is Reason.NOT_PARSED:
            not_parsed.append(unread.detail)
        else:
            yield unread.reference, unread.reason.value, unread.detail
    if not_parsed:
        yield sql_key, Reason.NOT_PARSED.value, "; ".join(not_parsed[:3])


@dataclass
class _Linked:
    """What one statement reads when it runs in one session."""

    tables: dict[CatalogTable, tuple[Resolution, dict[str, int]]]
    misses: dict[tuple[str, str], str | None]


class _Merging:
    """Edges being gathered from one witness after the other."""

    def __init__(self, index: TableIndex, inlined: Mapping[tuple[str, str | None], str]) -> None:
        self.index = index
        self.inlined = inlined
        self.linked: dict[tuple[Any, ...], _Linked] = {}
        self.edges: dict[_Key, _Edge] = {}
        self.missed: dict[tuple[str, str, str], tuple[str | None, int, Any, tuple[Any, ...]]] = {}
        self.exact = self.inferred = self.system = 0
        self.unresolved_by_scope: list[int] = []
        self.ran: set[tuple[str, str | None]] = set()
        self.differences: dict[tuple[Any, ...], int] = {}
        self.listed: set[str] = set()
        self.services: set[str] = set()

    def _key(self, project: str, cell: str | None, table: CatalogTable) -> _Key:
        """What a cell reads itself, or for the component whose cell it is."""
        return _Key(project, cell, table, self.inlined.get((project, cell)))

    def _witness(
        self, key: _Key, evidence: str, resolution: Resolution, columns: Mapping[str, int]
    ) -> _Edge:
        edge = self.edges.get(key)
        if edge is None:
            edge = self.edges[key] = _Edge({}, set(), resolution)
        edge.evidence.add(evidence)
        if resolution.surer_than(edge.resolution):
            edge.resolution = resolution
        for column, usage in columns.items():
            edge.columns[column] = edge.columns.get(column, 0) | usage
        return edge

    def _miss(
        self,
        project: str,
        reference: str,
        reason: str,
        detail: str | None,
        executions: int = 0,
        last_seen: datetime | None = None,
        order: tuple[Any, ...] = (),
    ) -> None:
        key = project, reference, reason
        old = self.missed.get(key)
        if old is None:
            self.missed[key] = detail, executions, last_seen, order
            return
        known, count, seen, before = old
        seen = max((at for at in (seen, last_seen) if at is not None), default=None)
        newer = order >= before
        self.missed[key] = (
            detail if newer else known,
            count + executions,
            seen,
            order if newer else before,
        )

    # Query history and the warehouse's own record

    def link(self, row: Mapping[str, Any], script: Script) -> None:
        """Link one statement in the session of the row."""
        self.linked[_scope(row)] = self._link(row, script)

    def read_history(self, rows: pl.DataFrame) -> None:
        """Add the executions of statements that are linked."""
        for row in rows.sort([*_SCOPE, "project_id", "cell_id"]).iter_rows(named=True):
            self._read_execution(row, self.linked[_scope(row)])

    def _link(self, row: Mapping[str, Any], script: Script) -> _Linked:
        service, dialect = row["service"], row["dialect"]
        session = session_of(dialect, row["database"], row["schema"])
        references = script.references(session)
        found: dict[Reference, Resolved] = {}
        linked = _Linked({}, {})
        count = 0
        for hidden, reason, detail in _hidden(row["sql_key"], references):
            linked.misses.setdefault((hidden, reason), detail)
            count += 1
        for reference in references.tables:
            answer = self.index.resolve(service, dialect, reference.table, reference.session)
            if answer is None:
                self.system += 1
            elif isinstance(answer, Resolved):
                found[reference] = answer
                resolution = Resolution.TOLERANT if reference.tolerant else answer.resolution
                self.exact += resolution is Resolution.EXACT
                self.inferred += resolution is not Resolution.EXACT
                old = linked.tables.get(answer.table)
                if old is None or resolution.surer_than(old[0]):
                    linked.tables[answer.table] = resolution, old[1] if old else {}
            elif not reference.tolerant:
                written = reference.table.written(dialect)
                linked.misses.setdefault((written, answer.reason.value), answer.detail or None)
                count += 1
        self.unresolved_by_scope.append(count)
        used, _ = script.columns(session, lambda r: found[r].columns if r in found else None)
        for origin, columns in used.items():
            if isinstance(origin, Reference) and origin in found:
                table = found[origin].table
                merged = linked.tables[table][1]
                for column, usage in columns.items():
                    if not table.columns or column in table.columns:
                        merged[column] = merged.get(column, 0) | usage
        return linked

    def _read_execution(self, row: Mapping[str, Any], linked: _Linked) -> None:
        project, cell = row["project_id"], row["cell_id"]
        executions, seen = row["executions"], row["last_seen"]
        self.ran.add((project, cell))
        self.services.add(row["service"])
        order = (seen, row["sql_key"], *(row[name] or "" for name in _SCOPE))
        for table, (resolution, columns) in linked.tables.items():
            edge = self._witness(
                self._key(project, cell, table), QUERY_HISTORY, resolution, columns
            )
            edge.executions += executions
            edge.users = max(edge.users, row["users"])
            if edge.last_seen is None or order > edge.shown:
                edge.last_seen, edge.sql, edge.shown = seen, row["sql"], order
        for (reference, reason), detail in linked.misses.items():
            self._miss(project, reference, reason, detail, executions, seen, order)
        if row["resolved"] is not None:
            self._read_resolved(row, linked)

    def _read_resolved(self, row: Mapping[str, Any], linked: _Linked) -> None:
        project, cell, executions = row["project_id"], row["cell_id"], row["executions"]
        recorded: dict[CatalogTable, set[str]] = {}
        for record in row["resolved"]:
            parts = [record[part] for part in ("database", "schema", "table") if record[part]]
            answer = _as_stored(self.index, row["service"], row["dialect"], parts)
            if isinstance(answer, Resolved):
                table = answer.table
                names = {column.lower(): column for column in table.columns}
                columns = {names.get(c.lower(), c) for c in record["columns"] or ()}
                recorded.setdefault(table, set()).update(columns)
                edge = self._witness(
                    self._key(project, cell, table),
                    WAREHOUSE_RESOLVED,
                    answer.resolution,
                    dict.fromkeys(columns, 0),
                )
                if QUERY_HISTORY not in edge.evidence:
                    edge.executions += executions
                    edge.users = max(edge.users, row["users"])
                    edge.last_seen, edge.sql = edge.last_seen or row["last_seen"], row["sql"]
        for table in recorded.keys() - linked.tables.keys():
            self._differ(project, cell, table, None, WAREHOUSE_RESOLVED, QUERY_HISTORY, executions)
        for table in linked.tables.keys() - recorded.keys():
            self._differ(project, cell, table, None, QUERY_HISTORY, WAREHOUSE_RESOLVED, executions)
        for table in recorded.keys() & linked.tables.keys():
            ours, theirs = set(linked.tables[table][1]), recorded[table]
            if theirs and table.columns:
                for column in theirs - ours:
                    self._differ(
                        project, cell, table, column, WAREHOUSE_RESOLVED, QUERY_HISTORY, executions
                    )
                for column in ours - theirs:
                    self._differ(
                        project, cell, table, column, QUERY_HISTORY, WAREHOUSE_RESOLVED, executions
                    )

    # Cells, Hex's own list, components

    def read_cells(
        self,
        rows: pl.DataFrame,
        reads: Mapping[tuple[str, str], CellReads],
        misses: Iterable[Miss],
    ) -> None:
        sql = {
            (p, c): text for p, c, text in rows.select("project_id", "cell_id", "sql").iter_rows()
        }
        for (project, cell), found in reads.items():
            for table, (resolution, columns) in found.tables.items():
                edge = self._witness(self._key(project, cell, table), CELL_SQL, resolution, columns)
                edge.sql = edge.sql or sql[project, cell]
        for miss in misses:
            self._miss(*miss[:3], miss.detail or None)

    def read_queried_tables(self, rows: pl.DataFrame, connections: pl.DataFrame) -> None:
        """Add what Hex itself lists, to all edges of the project into the table."""
        by_id = {row["id"]: row for row in connections.iter_rows(named=True)}
        edges_of: dict[tuple[str, CatalogTable], list[_Key]] = {}
        for key in self.edges:
            edges_of.setdefault((key.project_id, key.table), []).append(key)
        for project, connection_id, name in rows.select(
            "project_id", "data_connection_id", "table_name"
        ).iter_rows():
            self.listed.add(project)
            connection = by_id.get(connection_id, {})
            service, dialect = connection.get("service"), connection.get("dialect")
            if service is None or dialect is None:
                named = f"data connection {connection.get('name') or connection_id}"
                detail = (
                    f"map {connection_id} to a database service of OpenMetadata in the recipe, so "
                    "that its cells' tables can be linked"
                )
                self._miss(project, named, Reason.UNMAPPED_CONNECTION.value, detail)
                continue
            session = session_of(dialect, connection["database"], connection["schema"])
            answer = _as_stored(self.index, service, dialect, _parts(name), session)
            if isinstance(answer, Resolved):
                table = answer.table
                for key in edges_of.get((project, table)) or [_Key(project, None, table)]:
                    self._witness(key, QUERIED_TABLES, answer.resolution, {})
            elif answer is not None:
                self._miss(project, name, answer.reason.value, answer.detail or None)

    def follow_imports(self, rows: pl.DataFrame) -> None:
        """Credit the tables of a component to all that import it, directly or not, once each.

        Where its cells stand inlined in the project, they have credited it already.
        """
        credited = {(key.project_id, key.component_id, key.table) for key in self.edges}
        imported: dict[str, dict[str, str | None]] = {}
        for project, component, cell in (
            rows.select("project_id", "component_id", "cell_id").sort(pl.all()).iter_rows()
        ):
            imported.setdefault(project, {}).setdefault(component, cell)
        own: dict[str, list[tuple[_Key, _Edge]]] = {}
        for key, edge in self.edges.items():
            if key.component_id is None:
                own.setdefault(key.project_id, []).append((key, edge))
        for project in imported:
            reached: dict[str, str | None] = {}
            waiting = list(imported[project].items())
            while waiting:
                component, cell = waiting.pop()
                if component != project and component not in reached:
                    reached[component] = cell
                    waiting += [(inner, cell) for inner in imported.get(component, {})]
            for component, cell in reached.items():
                for key, edge in own.get(component, ()):
                    if (project, component, key.table) in credited:
                        continue
                    through = _Key(project, cell, key.table, component)
                    for evidence in edge.evidence:
                        copy = self._witness(through, evidence, edge.resolution, edge.columns)
                    copy.executions += edge.executions
                    copy.users = max(copy.users, edge.users)
                    copy.sql = copy.sql or edge.sql
                    if edge.last_seen and (not copy.last_seen or edge.last_seen > copy.last_seen):
                        copy.last_seen = edge.last_seen

    # Disagreement

    def _differ(
        self,
        project: str,
        cell: str | None,
        table: CatalogTable,
        column: str | None,
        seen_by: str,
        missed_by: str,
        executions: int = 0,
    ) -> None:
        key = project, cell, table.table_fqn, column, seen_by, missed_by
        self.differences[key] = self.differences.get(key, 0) + executions

    def disagreements(self) -> Iterator[dict[str, Any]]:
        """Each edge that a witness should have seen and did not; ``docs/lineage.md`` says when."""
        parsed_cells = {
            (k.project_id, k.cell_id) for k, e in self.edges.items() if CELL_SQL in e.evidence
        }
        projects = {project for project, _ in self.ran}
        seen = {
            (k.project_id, k.table) for k, e in self.edges.items() if QUERY_HISTORY in e.evidence
        }
        for key, edge in self.edges.items():
            cell = key.project_id, key.cell_id
            ran = QUERY_HISTORY in edge.evidence
            if ran and CELL_SQL not in edge.evidence and cell in parsed_cells:
                self._differ(*cell, key.table, None, QUERY_HISTORY, CELL_SQL, edge.executions)
            if (
                CELL_SQL in edge.evidence
                and not ran
                and cell in self.ran
                and key.table.service in self.services
            ):
                self._differ(*cell, key.table, None, CELL_SQL, QUERY_HISTORY)
            listed = QUERIED_TABLES in edge.evidence
            if ran and not listed and key.project_id in self.listed:
                self._differ(
                    key.project_id,
                    None,
                    key.table,
                    None,
                    QUERY_HISTORY,
                    QUERIED_TABLES,
                    edge.executions,
                )
            if listed and key.project_id in projects and key.table.service in self.services:
                if (key.project_id, key.table) not in seen:
                    self._differ(
                        key.project_id, None, key.table, None, QUERIED_TABLES, QUERY_HISTORY
                    )
        names = list(EVIDENCE_DISAGREEMENTS.columns)
        for entry in sorted(self.differences, key=lambda key: [part or "" for part in key]):
            yield dict(zip(names, (*entry, self.differences[entry]), strict=True))

    # Results

    def edge_rows(self) -> pl.DataFrame:
        names = ("project_id", "cell_id", "service", "table_fqn", "component_id")
        rows = [
            (
                key.project_id,
                key.cell_id,
                key.table.service,
                key.table.table_fqn,
                key.table.table_id,
                key.component_id,
                sorted(edge.evidence),
                edge.executions,
                edge.users,
                edge.last_seen,
                edge.sql,
                edge.resolution.value,
            )
            for key, edge in self.edges.items()
        ]
        schema = {name: type_ for name, type_ in LINEAGE_EDGES.types.items() if name != "columns"}
        return (
            pl.DataFrame(rows, schema=schema, orient="row")
            .with_columns(_columns_read([edge.columns for edge in self.edges.values()]))
            .select(*LINEAGE_EDGES.columns)
            .sort(*names, nulls_last=False)
        )

    def unresolved_rows(self) -> list[dict[str, Any]]:
        rows = [
            {
                "project_id": project,
                "reference": reference,
                "reason": reason,
                "detail": detail,
                "executions": executions,
                "last_seen": seen,
            }
            for (project, reference, reason), (detail, executions, seen, _) in self.missed.items()
        ]
        return sorted(rows, key=lambda row: (row["project_id"], row["reason"], row["reference"]))


def _columns_read(columns: Sequence[Mapping[str, int]]) -> pl.Series:
    """Columns with the bits of their usages as a series of ``COLUMNS_READ``."""
    flat = pl.DataFrame(
        [(place, name, used[name]) for place, used in enumerate(columns) for name in sorted(used)],
        schema={"place": pl.Int64, "name": pl.String, "usage": pl.Int64},
        orient="row",
    )
    words = pl.Series([usage_words(bits) for bits in range(1 << len(USAGES))], dtype=NAMES)
    lists = (
        flat.select("place", columns=pl.struct("name", usage=words.gather(flat["usage"])))
        .group_by("place")
        .agg("columns")
    )
    return (
        pl.DataFrame({"place": range(len(columns))}, schema={"place": pl.Int64})
        .join(lists, on="place", how="left", maintain_order="left")
        .select(pl.col("columns").fill_null([]).cast(COLUMNS_READ))
        .to_series()
    )


def _inlined(cells: pl.DataFrame) -> dict[tuple[str, str | None], str]:
    """Component of each cell with SQL that stands inlined in a project that imports it."""
    rows = cells.filter(pl.col("component_id").is_not_null() & pl.col("sql").is_not_null())
    return {
        (project, cell): component
        for project, cell, component in rows.select(
            "project_id", "cell_id", "component_id"
        ).iter_rows()
    }


def _parts(name: str) -> list[str]:
    """The parts of a name as Hex lists it; a part with a dot is in quotes."""
    quoted = name.replace('"', "`").split("`")
    parts = [""]
    for place, text in enumerate(quoted):
        if place % 2:
            parts[-1] += text
            continue
        first, *others = text.split(".")
        parts[-1] += first
        parts += others
    return [part for part in parts if part][-3:]


def _as_stored(
    index: TableIndex,
    service: str,
    dialect: str,
    parts: Sequence[str],
    session: Session | None = None,
) -> Resolved | Unresolved | None:
    """The table of a name that is written as stored, else as somebody would type it."""
    session = session or Session()
    answer: Resolved | Unresolved | None = None
    for quoted in (True, False):
        name = TableName(tuple(Name(part, quoted) for part in parts))
        answer = index.resolve(service, dialect, name, session)
        if isinstance(answer, Resolved):
            break
    return answer
