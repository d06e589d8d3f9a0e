"""From the query history, the cells and the catalog to lineage edges, and what was not linked."""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import Any, NamedTuple

import polars as pl

from hex_assets.frame_files import NOTED_AFTER
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
from hex_assets.lineage.links import (
    COUNTS,
    LINKS,
    SCOPE,
    Link,
    LinkStore,
    links_frame,
    misses_of,
    resolution_of,
    tables_of,
)
from hex_assets.lineage.names import Name, Session, TableName, listed_parts, session_of
from hex_assets.lineage.parse import MAX_CHARACTERS, Reference, References, Script
from hex_assets.lineage.parse_store import Key, ParseStore, key_of
from hex_assets.lineage.parser_processes import Limits, ParserProcesses, Text
from hex_assets.lineage.queries import USAGES, usage_words
from hex_assets.lineage.resolve import (
    ANY_NAME,
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


_OF_EXECUTIONS = ["project_id", "cell_id", "sql", "executions", "users", "last_seen", "resolved"]


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
    """One edge and what its witnesses say.

    Attributes:
        linked: rows of ``tables_of`` the links, whose columns are the edge's, too.
    """

    columns: dict[str, int]
    evidence: set[str]
    resolution: Resolution
    linked: list[int] = field(default_factory=list)
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
    links: LinkStore | None = None,
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
        links: links of earlier runs, which need no look at the script; None links all.
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
    with ExitStack() as closing:
        closing.enter_context(_without_cyclic_collector())
        if processes is None:
            processes = closing.enter_context(ParserProcesses(Limits(characters=max_characters)))
        parsing = _Parsing(processes, store)
        linked = _links(history.rows, index, links, parsing, progress)
        merging = _Merging(index, _inlined(cells.rows), linked)
        merging.read_history(history.rows)
        parsing.parse(cell_texts(cells.rows, connections.rows))
        reads, misses = read_cells(
            cells.rows,
            connections.rows,
            imports.rows,
            index,
            parsing.parsed,
        )
    parsing.keep()
    if links is not None:
        links.keep(linked)
    merging.read_cells(cells.rows, reads, misses)
    merging.read_queried_tables(queried_tables.rows, connections.rows)
    disagreements = list(merging.disagreements())
    merging.follow_imports(imports.rows)
    statements = linked.unique(["dialect", "sql_key"])
    counts = {name: int(linked[name].sum()) for name in COUNTS}
    return Lineage(
        edges=LINEAGE_EDGES.frame(merging.edge_rows(), gaps),
        unresolved=UNRESOLVED_REFERENCES.frame(merging.unresolved_rows(), gaps),
        disagreements=EVIDENCE_DISAGREEMENTS.frame(disagreements, gaps),
        figures=LineageFigures(
            executions=int(history.rows["executions"].sum()),
            statements=statements.height,
            unparsed=int((~statements["parsed"]).sum()),
            references=sum(counts.values()),
            **counts,
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
        self._needed: set[Key] = set()

    def need(self, key: Key) -> None:
        """Keep what is stored of a text, though nobody asks for it now."""
        self._needed.add(key)

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
            self._store.keep(self._used, self._needed)


def _links(
    history: pl.DataFrame,
    index: TableIndex,
    store: LinkStore | None,
    parsing: _Parsing,
    progress: Callable[[int, int], None] | None,
) -> pl.DataFrame:
    """The links of all statements, with the columns of ``LINKS``, in the order of ``SCOPE``.

    A statement is linked in all sessions that are new as soon as it is parsed, while workers parse
    the next.
    """
    today = date.today() if store is None else store.today()
    known = pl.DataFrame(schema=LINKS) if store is None else store.valid(index)
    scopes = history.unique(SCOPE, keep="any")
    known = known.join(scopes, on=SCOPE, how="semi", nulls_equal=True)
    for dialect, sql in _fading(known, scopes, today):
        parsing.need(key_of(dialect, sql))
    new = scopes.join(known, on=SCOPE, how="anti", nulls_equal=True).sort(SCOPE)
    sessions: dict[Key, list[dict[str, Any]]] = {}
    texts = []
    for row in new.iter_rows(named=True):
        text = Text(row["dialect"], row["sql"])
        sessions.setdefault(key_of(*text), []).append(row)
        texts.append(text)
    found = {
        tuple(row[name] for name in SCOPE): _link(row, script, index)
        for key, script in parsing.each(texts, progress)
        for row in sessions[key]
    }
    return pl.concat([known, links_frame(found, index, today)]).sort(SCOPE)


def _fading(known: pl.DataFrame, scopes: pl.DataFrame, today: date) -> Iterator[tuple[str, str]]:
    """Dialect and text of statements that are linked, but whose use was last noted long ago."""
    fading = known.filter(pl.col("last_used") < today - NOTED_AFTER)
    found = scopes.join(fading, on=SCOPE, how="semi", nulls_equal=True)
    yield from found.select("dialect", "sql").iter_rows()


def _link(row: Mapping[str, Any], script: Script, index: TableIndex) -> Link:
    """What one statement reads in the session of the row."""
    service, dialect = row["service"], row["dialect"]
    session = session_of(dialect, row["database"], row["schema"])
    references = script.references(session)
    found: dict[Reference, Resolved] = {}
    link = Link(parsed=script.parsed)
    for hidden, reason, detail in _hidden(row["sql_key"], references):
        link.misses.setdefault((hidden, reason), detail)
        link.unresolved += 1
    for reference in references.tables:
        link.names |= index.looked_up(dialect, reference.table)
        answer = index.resolve(service, dialect, reference.table, reference.session)
        if answer is None:
            link.system += 1
        elif isinstance(answer, Resolved):
            found[reference] = answer
            resolution = Resolution.TOLERANT if reference.tolerant else answer.resolution
            link.exact += resolution is Resolution.EXACT
            link.inferred += resolution is not Resolution.EXACT
            old = link.tables.get(answer.table)
            if old is None or resolution.surer_than(old[0]):
                link.tables[answer.table] = resolution, old[1] if old else {}
        elif not reference.tolerant:
            written = reference.table.written(dialect)
            link.misses.setdefault((written, answer.reason.value), answer.detail or None)
            link.unresolved += 1
        if isinstance(answer, Unresolved) and answer.provisional:
            link.names.add(ANY_NAME)
    used, _ = script.columns(session, lambda r: found[r].columns if r in found else None)
    for origin, columns in used.items():
        if isinstance(origin, Reference) and origin in found:
            table = found[origin].table
            merged = link.tables[table][1]
            for column, usage in columns.items():
                if not table.columns or column in table.columns:
                    merged[column] = merged.get(column, 0) | usage
    return link


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


class _Merging:
    """Edges being gathered from one witness after the other."""

    def __init__(
        self,
        index: TableIndex,
        inlined: Mapping[tuple[str, str | None], str],
        links: pl.DataFrame,
    ) -> None:
        self.index = index
        self.inlined = inlined
        self.links = links
        self.tables = tables_of(links)
        self.edges: dict[_Key, _Edge] = {}
        self.missed: dict[tuple[str, str, str], tuple[str | None, int, Any, tuple[Any, ...]]] = {}
        self.ran: set[tuple[str, str | None]] = set()
        self.differences: dict[tuple[Any, ...], int] = {}
        self.listed: set[str] = set()
        self.services: set[str] = set()

    @cached_property
    def column_names(self) -> list[list[str]]:
        """Of each row of ``tables``."""
        names = pl.element().struct.field("name")
        found: list[list[str]] = self.tables["columns"].list.eval(names).to_list()
        return found

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
        if resolution is not edge.resolution and resolution.surer_than(edge.resolution):
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

    def read_history(self, rows: pl.DataFrame) -> None:
        """Add the executions of statements, by what they link to."""
        tables: list[list[tuple[CatalogTable, Resolution, int]]]
        tables = [[] for _ in range(self.links.height)]
        listed = self.tables.select("link", "table_id", "resolution").iter_rows()
        for place, (link, table_id, resolution) in enumerate(listed):
            table = self.index.by_id(table_id)
            tables[link].append((table, resolution_of(resolution), place))
        misses: dict[int, list[tuple[str, str, str | None]]] = {}
        for link, *miss in misses_of(self.links).iter_rows():
            misses.setdefault(link, []).append(tuple(miss))
        numbered = self.links.select(SCOPE).with_row_index("link")
        history = rows.select(*SCOPE, *_OF_EXECUTIONS).join(numbered, on=SCOPE, nulls_equal=True)
        for row in history.sort([*SCOPE, "project_id", "cell_id"]).iter_rows(named=True):
            link = row["link"]
            self._read_execution(row, tables[link], misses.get(link, ()))

    def _read_execution(
        self,
        row: Mapping[str, Any],
        tables: Sequence[tuple[CatalogTable, Resolution, int]],
        misses: Iterable[tuple[str, str, str | None]],
    ) -> None:
        project, cell = row["project_id"], row["cell_id"]
        executions, seen = row["executions"], row["last_seen"]
        self.ran.add((project, cell))
        self.services.add(row["service"])
        order = (seen, row["sql_key"], *(row[name] or "" for name in SCOPE))
        component = self.inlined.get((project, cell))
        for table, resolution, place in tables:
            key = _Key(project, cell, table, component)
            edge = self._witness(key, QUERY_HISTORY, resolution, {})
            edge.linked.append(place)
            edge.executions += executions
            edge.users = max(edge.users, row["users"])
            if edge.last_seen is None or order > edge.shown:
                edge.last_seen, edge.sql, edge.shown = seen, row["sql"], order
        for reference, reason, detail in misses:
            self._miss(project, reference, reason, detail, executions, seen, order)
        if row["resolved"] is not None:
            self._read_resolved(row, {table: place for table, _, place in tables})

    def _read_resolved(self, row: Mapping[str, Any], linked: Mapping[CatalogTable, int]) -> None:
        """Add the warehouse's own record of a statement, and compare it with the tables linked."""
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
        for table in recorded.keys() - linked.keys():
            self._differ(project, cell, table, None, WAREHOUSE_RESOLVED, QUERY_HISTORY, executions)
        for table in linked.keys() - recorded.keys():
            self._differ(project, cell, table, None, QUERY_HISTORY, WAREHOUSE_RESOLVED, executions)
        for table in recorded.keys() & linked.keys():
            ours, theirs = set(self.column_names[linked[table]]), recorded[table]
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
            answer = _as_stored(self.index, service, dialect, listed_parts(name), session)
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
        if rows.is_empty():
            return
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
                    copy.linked += edge.linked
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
        keys, edges = list(self.edges), list(self.edges.values())
        # Lists in rows would each become a series first; there are few different ones.
        witnesses = sorted({tuple(sorted(edge.evidence)) for edge in edges})
        places = {evidence: place for place, evidence in enumerate(witnesses)}
        evidence = [places[tuple(sorted(edge.evidence))] for edge in edges]
        values: dict[str, Any] = {
            "project_id": [key.project_id for key in keys],
            "cell_id": [key.cell_id for key in keys],
            "service": [key.table.service for key in keys],
            "table_fqn": [key.table.table_fqn for key in keys],
            "table_id": [key.table.table_id for key in keys],
            "component_id": [key.component_id for key in keys],
            "executions": [edge.executions for edge in edges],
            "users": [edge.users for edge in edges],
            "last_seen": [edge.last_seen for edge in edges],
            "sql": [edge.sql for edge in edges],
            "resolution": [edge.resolution.value for edge in edges],
        }
        return (
            pl.DataFrame(values, schema={name: LINEAGE_EDGES.types[name] for name in values})
            .with_columns(
                _columns_read(edges, self.tables["columns"]),
                pl.Series("evidence", witnesses, NAMES).gather(evidence),
            )
            .select(*LINEAGE_EDGES.columns)
            .sort(
                *("project_id", "cell_id", "service", "table_fqn", "component_id"),
                nulls_last=False,
            )
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


def _columns_read(edges: Collection[_Edge], linked: pl.Series) -> pl.Series:
    """Columns of edges as a series of ``COLUMNS_READ``.

    Args:
        edges: in the order of the result.
        linked: columns and usages of the rows that edges refer to as ``linked``.
    """
    of_links = [(place, row) for place, edge in enumerate(edges) for row in set(edge.linked)]
    places = pl.DataFrame(of_links, schema={"place": pl.Int64, "row": pl.UInt32}, orient="row")
    by_history = (
        places.select("place", columns=linked.gather(places["row"]))
        .explode("columns")
        .filter(pl.col("columns").is_not_null())
        .unnest("columns")
    )
    by_others = pl.DataFrame(
        [(place, *column) for place, edge in enumerate(edges) for column in edge.columns.items()],
        schema=by_history.schema,
        orient="row",
    )
    words = pl.Series([usage_words(bits) for bits in range(1 << len(USAGES))], dtype=NAMES)
    used = (
        pl.concat([by_history, by_others])
        .group_by("place", "name")
        .agg(pl.col("usage").bitwise_or())
        .sort("place", "name")
    )
    lists = (
        used.select("place", columns=pl.struct("name", usage=words.gather(used["usage"])))
        .group_by("place", maintain_order=True)
        .agg("columns")
    )
    return (
        pl.DataFrame({"place": range(len(edges))}, schema={"place": pl.Int64})
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
