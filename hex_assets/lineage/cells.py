"""What the sources of Hex cells read: tables, and through dataframes what other cells read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import polars as pl

from hex_assets.lineage.columns import Derived
from hex_assets.lineage.names import Name, Session, alias_folding, fold, session_of
from hex_assets.lineage.parse import Reference, Script
from hex_assets.lineage.parser_processes import Text
from hex_assets.lineage.queries import Usage
from hex_assets.lineage.resolve import CatalogTable, Reason, Resolution, Resolved, TableIndex

_DATAFRAMES = "duckdb"
"""Hex runs SQL over dataframes in DuckDB."""


class Miss(NamedTuple):
    """A reference of a cell that was not linked."""

    project_id: str
    reference: str
    reason: str
    detail: str


class CellStatement(NamedTuple):
    """The SQL of a cell, and the defaults of the connection that it runs on.

    Attributes:
        text: the text to parse.
        database: default database of the connection; null when it has none.
        schema: default schema of the connection; null when it has none.
    """

    text: Text
    database: str | None
    schema: str | None


class CellTable(NamedTuple):
    """A table that the SQL of a cell names."""

    project_id: str
    cell_id: str
    service: str
    dialect: str
    reference: Reference


@dataclass
class CellReads:
    """What one cell reads, itself or through dataframes.

    Attributes:
        tables: each with the resolution and the columns used (bits of ``Usage``).
        output: where the columns of its dataframe come from; None when not all are known.
    """

    tables: dict[CatalogTable, tuple[Resolution, dict[str, int]]] = field(default_factory=dict)
    output: Derived | None = None

    def add(self, table: CatalogTable, resolution: Resolution, columns: Mapping[str, int]) -> None:
        known, used = self.tables.setdefault(table, (resolution, {}))
        if resolution.surer_than(known):
            self.tables[table] = (resolution, used)
        for column, usage in columns.items():
            used[column] = used.get(column, 0) | usage


def read_cells(
    cells: pl.DataFrame,
    connections: pl.DataFrame,
    imports: pl.DataFrame,
    index: TableIndex,
    parse: Callable[[str, str], Script],
) -> tuple[dict[tuple[str, str], CellReads], list[Miss]]:
    """What each cell reads, by project and cell, and what could not be told.

    Args:
        cells: rows of ``HEX_CELLS``.
        connections: rows of ``HEX_DATA_CONNECTIONS``.
        imports: rows of ``HEX_COMPONENT_IMPORTS``.
        index: the catalog's tables.
        parse: text and dialect to the parsed text.
    """
    by_id = _by_id(connections)
    reads: dict[tuple[str, str], CellReads] = {}
    misses: dict[Miss, None] = {}
    for project, rows, imported in _projects(cells, imports):
        found = _Project(project, rows, by_id, imported, index, parse)
        for cell_id in found.order():
            reads[project, cell_id] = found.read(cell_id)
        misses.update(dict.fromkeys(found.misses))
    return reads, list(misses)


def cell_tables(
    cells: pl.DataFrame,
    connections: pl.DataFrame,
    imports: pl.DataFrame,
    references: Callable[[CellStatement], Iterable[Reference]],
) -> Iterator[CellTable]:
    """The names in cells that ``read_cells`` is going to look up in the catalog.

    Args:
        cells: rows of ``HEX_CELLS``.
        connections: rows of ``HEX_DATA_CONNECTIONS``.
        imports: rows of ``HEX_COMPONENT_IMPORTS``.
        references: what the statement of a cell reads.
    """
    by_id = _by_id(connections)
    for project, rows, imported in _projects(cells, imports):
        found = _Cells(rows, by_id, imported)
        for cell_id, row in found.cells.items():
            service = found.service(row)
            if not row["sql"] or service is None:
                continue
            for reference in references(_statement(row, by_id)):
                if found.is_table(cell_id, reference):
                    dialect = _dialect(row, by_id)
                    yield CellTable(project, cell_id, service, dialect, reference)


def _projects(
    cells: pl.DataFrame, imports: pl.DataFrame
) -> Iterator[tuple[str, pl.DataFrame, set[str]]]:
    """Each project, its cells, and the dataframes that components write which it imports."""
    outputs: dict[str, set[str]] = {}
    for project_id, output in cells.select("project_id", "output_dataframe").iter_rows():
        if output:
            outputs.setdefault(project_id, set()).add(output)
    imported: dict[str, set[str]] = {}
    for project_id, component_id in imports.select("project_id", "component_id").iter_rows():
        imported.setdefault(project_id, set()).update(outputs.get(component_id, ()))
    for (project,), rows in cells.group_by(["project_id"], maintain_order=True):
        yield str(project), rows, imported.get(str(project), set())


def _by_id(connections: pl.DataFrame) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in connections.iter_rows(named=True)}


def cell_texts(cells: pl.DataFrame, connections: pl.DataFrame) -> list[Text]:
    """What ``read_cells`` is going to have parsed."""
    return [statement.text for statement in cell_statements(cells, connections)]


def cell_statements(cells: pl.DataFrame, connections: pl.DataFrame) -> list[CellStatement]:
    """The SQL of all cells that have some, by project and cell."""
    by_id = _by_id(connections)
    rows = cells.filter(pl.col("sql").is_not_null() & (pl.col("sql") != "")).sort(
        "project_id", "cell_id"
    )
    return [_statement(row, by_id) for row in rows.iter_rows(named=True)]


def _statement(
    row: Mapping[str, Any], connections: Mapping[str, Mapping[str, Any]]
) -> CellStatement:
    connection = connections.get(row["data_connection_id"] or "", {})
    text = Text(_dialect(row, connections), row["sql"])
    return CellStatement(text, connection.get("database"), connection.get("schema"))


def _dialect(row: Mapping[str, Any], connections: Mapping[str, Mapping[str, Any]]) -> str:
    if row["data_connection_id"] is None:
        return _DATAFRAMES
    connection = connections.get(row["data_connection_id"], {})
    return str(row["dialect"] or connection.get("dialect") or _DATAFRAMES)


class _Cells:
    """The cells of one project, and which names in them mean tables."""

    def __init__(
        self,
        rows: pl.DataFrame,
        connections: Mapping[str, Mapping[str, Any]],
        imported: Iterable[str],
    ) -> None:
        self.connections = connections
        self.imported = {Name(dataframe) for dataframe in imported}
        self.cells = {row["cell_id"]: row for row in rows.sort("cell_id").iter_rows(named=True)}
        self.writers: dict[str, list[str]] = {}
        for cell_id, row in self.cells.items():
            if row["output_dataframe"]:
                self.writers.setdefault(row["output_dataframe"], []).append(cell_id)

    def _dialect(self, row: Mapping[str, Any]) -> str:
        return _dialect(row, self.connections)

    def _session(self, row: Mapping[str, Any]) -> Session:
        statement = _statement(row, self.connections)
        return session_of(statement.text.dialect, statement.database, statement.schema)

    def connection(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is known of the data connection of a cell."""
        return self.connections.get(row["data_connection_id"] or "", {})

    def service(self, row: Mapping[str, Any]) -> str | None:
        """The database service that a cell runs on; None for dataframes, and when not known."""
        service: str | None = self.connection(row).get("service")
        return service

    def writers_of(self, cell_id: str, reference: Reference) -> list[str]:
        """The other cells whose dataframe an unqualified name means."""
        if len(reference.table.parts) > 1:
            return []
        folding = alias_folding(self._dialect(self.cells[cell_id]))
        wanted = fold(reference.table.parts[0], folding)
        return [
            writer
            for dataframe, writers in self.writers.items()
            if fold(Name(dataframe), folding) == wanted
            for writer in writers
            if writer != cell_id
        ]

    def is_imported(self, cell_id: str, reference: Reference) -> bool:
        """Whether an unqualified name means a dataframe that an imported component writes."""
        if len(reference.table.parts) > 1:
            return False
        folding = alias_folding(self._dialect(self.cells[cell_id]))
        wanted = fold(reference.table.parts[0], folding)
        return any(fold(dataframe, folding) == wanted for dataframe in self.imported)

    def is_built(self, cell_id: str, reference: Reference) -> bool:
        """Whether a part of the name is built by Jinja."""
        built = {name.lower() for name in self.cells[cell_id]["jinja_names"] or ()}
        return any(part.text.lower() in built for part in reference.table.parts)

    def is_table(self, cell_id: str, reference: Reference) -> bool:
        """Whether the name means a table, and which one only the catalog can tell."""
        return not (
            self.writers_of(cell_id, reference)
            or self.is_imported(cell_id, reference)
            or self.is_built(cell_id, reference)
        )


class _Project(_Cells):
    """What the cells of one project read."""

    def __init__(
        self,
        project: str,
        rows: pl.DataFrame,
        connections: Mapping[str, Mapping[str, Any]],
        imported: Iterable[str],
        index: TableIndex,
        parse: Callable[[str, str], Script],
    ) -> None:
        super().__init__(rows, connections, imported)
        self.project = project
        self.index = index
        self.misses: list[Miss] = []
        self.reads: dict[str, CellReads] = {}
        self.scripts: dict[str, tuple[Script, list[Reference]]] = {}
        for cell_id, row in self.cells.items():
            if row["sql"]:
                script = parse(row["sql"], self._dialect(row))
                self.scripts[cell_id] = script, list(script.references(self._session(row)).tables)

    def order(self) -> Iterator[str]:
        """Each cell after those it reads from; a cycle is entered where it is met first."""
        begun: set[str] = set()
        done: set[str] = set()
        for start in self.cells:
            stack = [start]
            while stack:
                cell_id = stack[-1]
                waiting = [n for n in self._needed(cell_id) if n not in begun]
                begun.add(cell_id)
                if waiting:
                    stack += waiting
                    continue
                stack.pop()
                if cell_id not in done:
                    done.add(cell_id)
                    yield cell_id

    def _needed(self, cell_id: str) -> list[str]:
        if cell_id in self.scripts:
            references = self.scripts[cell_id][1]
            return [w for reference in references for w in self.writers_of(cell_id, reference)]
        return self.writers.get(self.cells[cell_id]["source_dataframe"] or "", [])

    def read(self, cell_id: str) -> CellReads:
        row = self.cells[cell_id]
        reads = self.reads[cell_id] = CellReads()
        if cell_id in self.scripts:
            self._read_sql(cell_id, row, reads)
        elif row["source_dataframe"]:
            writers = self.writers.get(row["source_dataframe"], [])
            if len(writers) == 1 and writers[0] in self.reads:
                shown = self.reads[writers[0]]
                self._inherit(reads, shown)
                for _, origins in shown.output.columns if shown.output else ():
                    for table, column in origins:
                        if isinstance(table, CatalogTable):
                            resolution = reads.tables[table][0]
                            reads.add(table, resolution, {column: int(Usage.OUTPUT)})
        return reads

    def _inherit(self, reads: CellReads, other: CellReads) -> None:
        """The tables of a cell that is read from; columns count as far as they are taken up."""
        for table, (resolution, used) in other.tables.items():
            reads.add(table, resolution, dict.fromkeys(used, 0))

    def _read_sql(self, cell_id: str, row: Mapping[str, Any], reads: CellReads) -> None:
        script, references = self.scripts[cell_id]
        dialect = self._dialect(row)
        connection = self.connection(row)
        service = self.service(row)
        session = self._session(row)
        resolved: dict[Reference, Resolved] = {}
        derived: dict[Reference, Derived] = {}
        unmapped = row["data_connection_id"] is not None and service is None
        if unmapped:
            named = connection.get("name") or row["data_connection_id"]
            detail = (
                f"map {row['data_connection_id']} to a database service of OpenMetadata in the "
                "recipe, so that its cells' tables can be linked"
            )
            self._miss(f"data connection {named}", Reason.UNMAPPED_CONNECTION, detail)
        for reference in references:
            written = reference.table.written(dialect)
            writers = self.writers_of(cell_id, reference)
            if len(writers) == 1:
                upstream = self.reads.get(writers[0])
                if upstream is not None:
                    self._inherit(reads, upstream)
                    if upstream.output is not None:
                        derived[reference] = upstream.output
            elif writers:
                names = ", ".join(sorted(writers))
                self._miss(written, Reason.AMBIGUOUS, f"cells that write it: {names}")
            elif self.is_imported(cell_id, reference):
                continue  # The component's tables are credited through the import.
            elif self.is_built(cell_id, reference):
                self._miss(written, Reason.BUILT_BY_JINJA, f"cell {cell_id}")
            elif row["data_connection_id"] is None:
                continue  # A dataframe that Python made: no warehouse is reached.
            elif service is not None:
                answer = self.index.resolve(service, dialect, reference.table, reference.session)
                if isinstance(answer, Resolved):
                    resolved[reference] = answer
                    sure = Resolution.TOLERANT if reference.tolerant else answer.resolution
                    reads.add(answer.table, sure, {})
                elif answer is not None and not reference.tolerant:
                    self._miss(written, answer.reason, answer.detail)
        for unread in () if unmapped else script.references(session).unread:
            what = unread.reference or f"cell {cell_id}"
            self._miss(what, unread.reason, unread.detail)

        def known(reference: Reference) -> Any:
            if reference in derived:
                return derived[reference]
            found = resolved.get(reference)
            return found.columns if found is not None else None

        used, last = script.columns(session, known)
        output = last.result() if last is not None else None
        for origin, columns in used.items():
            if isinstance(origin, CatalogTable):
                reads.add(origin, reads.tables[origin][0], columns)
            elif isinstance(origin, Reference) and origin in resolved:
                answer = resolved[origin]
                sure = reads.tables[answer.table][0]
                reads.add(answer.table, sure, _in_catalog(answer.table, columns))
        if output is not None:
            reads.output = Derived(
                tuple((name, _origins(origins, resolved)) for name, origins in output.columns)
            )

    def _miss(self, reference: str, reason: Reason, detail: str) -> None:
        self.misses.append(Miss(self.project, reference, reason.value, detail))


def _origins(
    origins: frozenset[tuple[object, str]], resolved: Mapping[Reference, Resolved]
) -> frozenset[tuple[object, str]]:
    found = set()
    for origin, column in origins:
        if isinstance(origin, Reference) and origin in resolved:
            found.add((resolved[origin].table, column))
        elif isinstance(origin, CatalogTable):
            found.add((origin, column))
    return frozenset(found)


def _in_catalog(table: CatalogTable, columns: Mapping[str, int]) -> Mapping[str, int]:
    """Columns as the catalog spells them; all, where it knows none of the table."""
    if not table.columns:
        return columns
    return {column: usage for column, usage in columns.items() if column in table.columns}
