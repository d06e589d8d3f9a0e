"""Which tables statements, cells, the warehouses' records and Hex's own list name, and from where.

That is all that may be asked of the catalog later, and takes nothing of it. What a text names in a
session is kept between runs, so that no script of a known statement is looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from upath import UPath

from hex_assets.frame_files import read_known, write_table
from hex_assets.frames import NAMES, TABLE_REFERENCES, Frame
from hex_assets.lineage.cells import CellStatement, cell_statements, cell_tables
from hex_assets.lineage.links import SCOPE
from hex_assets.lineage.names import Name, Session, TableName, listed_parts, session_of
from hex_assets.lineage.parse import Reference, Script
from hex_assets.lineage.parse_batches import ParseBatches
from hex_assets.lineage.parse_store import Key, ParseStore, key_of, parser_version
from hex_assets.lineage.parser_processes import ParserProcesses, Text

_TEXT_SCOPE = ["dialect", "text", "database", "schema"]
"""A text, by its hash, and the session that it runs in; decides which tables it reads."""

_VERSION_KEY = "hex_assets.parser"
_PARTS = pl.List(pl.Struct({"text": pl.String, "quoted": pl.Boolean}))
_TABLES = pl.List(pl.Struct({"parts": _PARTS, "database": pl.String, "schemas": NAMES}))
_NAMED: dict[str, Any] = {
    "dialect": pl.String,
    "text": pl.String,
    "database": pl.String,
    "schema": pl.String,
    "parsed": pl.Boolean,
    "tables": _TABLES,
}
_COLUMNS = [*(name for name in TABLE_REFERENCES.columns if name != "statements"), "named_by"]


@dataclass(frozen=True)
class Evidence:
    """What names tables.

    Attributes:
        history: a frame of ``WAREHOUSE_QUERY_HISTORY``.
        cells: a frame of ``HEX_CELLS``.
        connections: a frame of ``HEX_DATA_CONNECTIONS``.
        imports: a frame of ``HEX_COMPONENT_IMPORTS``.
        queried_tables: a frame of ``HEX_QUERIED_TABLES``.
    """

    history: Frame
    cells: Frame
    connections: Frame
    imports: Frame
    queried_tables: Frame

    @property
    def gaps(self) -> tuple[str, ...]:
        """Those of all frames, each once."""
        frames = (self.history, self.cells, self.connections, self.imports, self.queried_tables)
        return tuple(dict.fromkeys(gap for frame in frames for gap in frame.gaps))


@dataclass(frozen=True)
class TableReferences:
    """Which tables are named, and what was done to know it.

    Attributes:
        frame: a frame of ``TABLE_REFERENCES``.
        texts: distinct texts of statements and cells.
        parsed: those of them that were parsed just now, here or by steps of their own.
        not_parsed: those of them that were not understood, wholly or in part.
        steps: steps of their own that parsed some of them.
    """

    frame: Frame
    texts: int
    parsed: int
    not_parsed: int
    steps: int


def new_texts(
    history: pl.DataFrame, cells: pl.DataFrame, connections: pl.DataFrame, store: ParseStore
) -> list[Text]:
    """The distinct texts of statements and cells of which nothing is stored.

    Args:
        history: rows of ``WAREHOUSE_QUERY_HISTORY``.
        cells: rows of ``HEX_CELLS``.
        connections: rows of ``HEX_DATA_CONNECTIONS``.
        store: parse results of earlier runs.
    """
    texts = _Texts(history, cell_statements(cells, connections))
    return [text for key, text in texts.by_key.items() if key not in store]


def parse_batch(
    batches: ParseBatches,
    name: str,
    processes: ParserProcesses,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Parse the texts of one batch, and store what they read as a part beside it.

    Raises:
        ParserProcessError: processes that parse cannot be started.
        ValueError: sqlglot does not know a dialect of the texts.
    """
    batches.keep(name, _parsed(batches.read(name), processes, progress))


def read_table_references(
    evidence: Evidence,
    store: ParseStore,
    batches: ParseBatches,
    known: UPath,
    processes: ParserProcesses,
    progress: Callable[[int, int], None] | None = None,
) -> TableReferences:
    """Which tables are named, after parsing what nobody has parsed yet.

    Parse results are stored, those that steps found first.

    Args:
        evidence: what names tables.
        store: parse results of earlier runs.
        batches: what steps were given to parse; they are deleted with what was found.
        known: the file that keeps what texts name between runs.
        processes: parse what is not stored.
        progress: called with texts parsed here so far, and in all.

    Raises:
        ParserProcessError: processes that parse are needed, and cannot be started.
        ValueError: sqlglot does not know a dialect of the inputs.
    """
    cells = cell_statements(evidence.cells.rows, evidence.connections.rows)
    texts = _Texts(evidence.history.rows, cells)
    parts = batches.parts()
    store.add({}, parts)
    kept = read_known(known, _NAMED, _VERSION_KEY, parser_version())
    named = texts.scopes.join(kept, on=_TEXT_SCOPE, how="inner", nulls_equal=True)
    new = texts.scopes.join(named, on=_TEXT_SCOPE, how="anti", nulls_equal=True).rows()
    wanted = {(dialect, text) for dialect, text, *_ in new}
    stored = {key: script for key in wanted if (script := store.get(key)) is not None}
    missing = [
        text
        for key, text in texts.by_key.items()
        if key not in store or (key in wanted and key not in stored)
    ]
    parsed = _parsed(missing, processes, progress)
    store.add(parsed)
    batches.clear()
    if new or named.height != kept.height:
        named = pl.concat([named, _named(new, {**stored, **parsed})])
        write_table(known, named, {_VERSION_KEY: parser_version()})
    by_steps = {key for part in parts for key in part.entries}
    return TableReferences(
        frame=TABLE_REFERENCES.frame(_counted(evidence, texts, named), evidence.gaps),
        texts=len(texts.by_key),
        parsed=len(texts.by_key.keys() & (by_steps | parsed.keys())),
        not_parsed=named.filter(~pl.col("parsed")).unique(["dialect", "text"]).height,
        steps=sum(bool(part.entries) for part in parts),
    )


class _Texts:
    """Statements and the SQL of cells, each distinct text once.

    Attributes:
        by_key: the texts.
        statements: service, dialect, ``sql_key``, text (its hash), session database and schema.
        of_cells: the scopes of cells.
        scopes: those of statements and of cells, each once.
    """

    def __init__(self, history: pl.DataFrame, cells: Sequence[CellStatement]) -> None:
        self.by_key: dict[Key, Text] = {}
        statements = history.select(*SCOPE, "sql").unique(SCOPE, keep="any")
        # One text for each key, as lineage parses it: unmasked texts differ by literals.
        rows = statements.sort(SCOPE).with_columns(pl.col("sql").first().over("dialect", "sql_key"))
        texts = [self._add(Text(*row)) for row in rows.select("dialect", "sql").iter_rows()]
        self.statements = rows.with_columns(text=pl.Series(texts, dtype=pl.String)).drop("sql")
        self.of_cells = pl.DataFrame(
            [(cell.text.dialect, self._add(cell.text), *cell[1:]) for cell in cells],
            schema=dict.fromkeys(_TEXT_SCOPE, pl.String),
            orient="row",
        )
        self.scopes = pl.concat([self.statements.select(_TEXT_SCOPE), self.of_cells]).unique(
            maintain_order=True
        )

    def _add(self, text: Text) -> str:
        key = key_of(*text)
        self.by_key.setdefault(key, text)
        return key[1]


def _parsed(
    texts: Sequence[Text],
    processes: ParserProcesses,
    progress: Callable[[int, int], None] | None,
) -> dict[Key, Script]:
    parsed: dict[Key, Script] = {}
    for place, script in processes.parse(texts):
        parsed[key_of(*texts[place])] = script
        if progress is not None:
            progress(len(parsed), len(texts))
    return parsed


def _named(scopes: Iterable[tuple[Any, ...]], scripts: Mapping[Key, Script]) -> pl.DataFrame:
    """What is kept of the scopes: the tables that they name."""
    rows = []
    for dialect, text, database, schema in scopes:
        script = scripts[dialect, text]
        references = script.references(session_of(dialect, database, schema)).tables
        tables = [
            {
                "parts": [part._asdict() for part in reference.table.parts],
                "database": reference.session.database,
                "schemas": list(reference.session.schemas),
            }
            for reference in references
        ]
        rows.append((dialect, text, database, schema, script.parsed, tables))
    return pl.DataFrame(rows, schema=_NAMED, orient="row")


def _counted(evidence: Evidence, texts: _Texts, named: pl.DataFrame) -> pl.DataFrame:
    """Rows of ``TABLE_REFERENCES``.

    Args:
        named: what is kept of all scopes.
    """
    of_cells = named.join(texts.of_cells, on=_TEXT_SCOPE, how="semi", nulls_equal=True)
    rows = pl.concat(
        [
            _by_statements(texts.statements, named),
            _by_warehouses(evidence.history.rows),
            _by_cells(evidence, of_cells),
            _by_list(evidence.queried_tables.rows, evidence.connections.rows),
        ]
    )
    *names, named_by = _COLUMNS
    return (
        rows.group_by(names)
        .agg(statements=pl.col(named_by).n_unique().cast(pl.Int64))
        .sort(names, nulls_last=False)
    )


def _by_statements(statements: pl.DataFrame, named: pl.DataFrame) -> pl.DataFrame:
    return (
        statements.join(named, on=_TEXT_SCOPE, how="inner", nulls_equal=True)
        .select("service", "dialect", "tables", named_by=pl.format("statement {}", "sql_key"))
        .explode("tables")
        .filter(pl.col("tables").is_not_null())
        .unnest("tables")
        .with_columns(name=pl.col("parts").list.eval(pl.element().struct.field("text")))
        .select(_COLUMNS)
    )


def _by_warehouses(history: pl.DataFrame) -> pl.DataFrame:
    """Tables that warehouses recorded, named as they stand, whatever the session was."""
    parts = pl.concat_list("database", "schema", "table")
    return (
        history.select(
            "service",
            "dialect",
            "resolved",
            named_by=pl.format("statement {}", "sql_key"),
        )
        .explode("resolved")
        .filter(pl.col("resolved").is_not_null())
        .unnest("resolved")
        .with_columns(name=parts.list.eval(pl.element().filter(pl.element() != "")))
        .filter(pl.col("name").list.len() > 0)
        .with_columns(database=pl.lit(None, pl.String), schemas=pl.lit([], pl.List(pl.String)))
        .select(_COLUMNS)
    )


def _by_cells(evidence: Evidence, named: pl.DataFrame) -> pl.DataFrame:
    """What cells name, without dataframes of other cells and of components.

    Args:
        named: what is kept of the texts of cells.
    """
    tables = {
        tuple(scope): found for *scope, found in named.select(*_TEXT_SCOPE, "tables").iter_rows()
    }

    def references(cell: CellStatement) -> Iterator[Reference]:
        dialect, text = key_of(*cell.text)
        for found in tables[dialect, text, cell.database, cell.schema]:
            name = TableName(tuple(Name(**part) for part in found["parts"]))
            yield Reference(name, Session(found["database"], tuple(found["schemas"])))

    found = cell_tables(
        evidence.cells.rows, evidence.connections.rows, evidence.imports.rows, references
    )
    return _rows(
        (
            cell.service,
            cell.dialect,
            cell.reference.session,
            cell.reference.table,
            f"cell {cell.project_id} {cell.cell_id}",
        )
        for cell in found
    )


def _by_list(queried_tables: pl.DataFrame, connections: pl.DataFrame) -> pl.DataFrame:
    """What Hex lists of data connections whose service is known."""
    by_id = {row["id"]: row for row in connections.iter_rows(named=True)}

    def rows() -> Iterator[tuple[str, str, Session, TableName, str]]:
        names = ["project_id", "data_connection_id", "table_name"]
        for project, connection_id, listed in queried_tables.select(names).iter_rows():
            connection = by_id.get(connection_id, {})
            service, dialect = connection.get("service"), connection.get("dialect")
            table = _table(listed_parts(listed))
            if service and dialect and table.parts:
                session = session_of(dialect, connection["database"], connection["schema"])
                yield service, dialect, session, table, f"list {project} {connection_id} {listed}"

    return _rows(rows())


def _table(parts: Iterable[str]) -> TableName:
    return TableName(tuple(Name(part) for part in parts))


def _rows(found: Iterable[tuple[str, str, Session, TableName, str]]) -> pl.DataFrame:
    """Service, dialect, session, name, and what names it, as rows."""
    return pl.DataFrame(
        [
            (
                service,
                dialect,
                session.database,
                list(session.schemas),
                [part.text for part in table.parts],
                named_by,
            )
            for service, dialect, session, table, named_by in found
        ],
        schema={name: TABLE_REFERENCES.types.get(name, pl.String) for name in _COLUMNS},
        orient="row",
    )
