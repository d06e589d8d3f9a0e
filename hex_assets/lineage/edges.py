"""From the query history and the catalog to lineage edges and what could not be linked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from hex_assets.frames import COLUMNS_READ, LINEAGE_EDGES, UNRESOLVED_REFERENCES, Frame
from hex_assets.lineage.names import session_of
from hex_assets.lineage.parse import MAX_CHARACTERS, References, Script, parse
from hex_assets.lineage.parse_store import ParseStore, key_of
from hex_assets.lineage.resolve import Reason, Resolved, TableIndex

QUERY_HISTORY = "query_history"
"""The evidence of every edge that is built here."""

_STATEMENT = ["dialect", "sql_key"]
_SCOPE = ["service", "dialect", "sql_key", "database", "schema"]

_LINKS = {
    "scope": pl.UInt32,
    "service": pl.String,
    "table_fqn": pl.String,
    "table_id": pl.String,
    "resolution": pl.String,
}
_MISSES = {
    "scope": pl.UInt32,
    "reference": pl.String,
    "reason": pl.String,
    "detail": pl.String,
}


@dataclass(frozen=True)
class LineageFigures:
    """What the run did.

    Attributes:
        executions: executions in the history.
        statements: distinct statements parsed.
        unparsed: those of them that were not understood, wholly or in part.
        references: distinct references, by service and session; the sum of the next four.
        exact: linked by name and session.
        inferred: linked because only one table within the prefixes fitted.
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
    """Edges, what was not linked, and figures."""

    edges: Frame
    unresolved: Frame
    figures: LineageFigures


def build_edges(
    history: Frame,
    catalog_tables: Frame,
    prefixes: Sequence[str],
    max_characters: int = MAX_CHARACTERS,
    progress: Callable[[int, int], None] | None = None,
    store: ParseStore | None = None,
) -> Lineage:
    """Link what the projects ran to the tables it read.

    Each distinct statement is parsed once, and resolved once for each session it ran in. The gaps
    of both inputs are those of both results.

    Args:
        history: a frame of ``WAREHOUSE_QUERY_HISTORY``.
        catalog_tables: a frame of ``CATALOG_TABLES``.
        prefixes: ``dbServicePrefixes`` of the recipe; empty means no restriction.
        max_characters: longer statements are not parsed, but reported.
        progress: called with statements parsed so far and in all.
        store: parse results of earlier runs, which need no parse; None parses all.

    Raises:
        ValueError: a prefix is malformed, or sqlglot does not know a dialect of the history.
    """
    scopes = history.rows.select(_SCOPE).unique().sort(_SCOPE).with_row_index("scope")
    texts = history.rows.unique(_STATEMENT, keep="any").select(*_STATEMENT, "sql")
    scripts = _parse_all(texts.sort(_STATEMENT), max_characters, progress, store)
    index = TableIndex(catalog_tables.rows, prefixes)
    links: list[tuple[Any, ...]] = []
    misses: list[tuple[Any, ...]] = []
    system = 0
    for scope, service, dialect, sql_key, database, schema in scopes.iter_rows():
        script = scripts[dialect, sql_key]
        references = script.references(session_of(dialect, database, schema))
        misses += _hidden(scope, sql_key, references)
        for reference in references.tables:
            answer = index.resolve(service, dialect, reference.table, reference.session)
            if answer is None:
                system += 1
            elif isinstance(answer, Resolved):
                table = answer.table
                resolution = answer.resolution.value
                links.append((scope, table.service, table.table_fqn, table.table_id, resolution))
            else:
                written = reference.table.written(dialect)
                misses.append((scope, written, answer.reason.value, answer.detail or None))
    found = pl.DataFrame(links, schema=_LINKS, orient="row")
    missed = pl.DataFrame(misses, schema=_MISSES, orient="row")
    executed = history.rows.drop("sql").join(scopes, on=_SCOPE, nulls_equal=True)
    gaps = tuple(dict.fromkeys((*history.gaps, *catalog_tables.gaps)))
    exact = found.filter(pl.col("resolution") == "exact").height
    return Lineage(
        edges=LINEAGE_EDGES.frame(_edges(executed, found, texts), gaps),
        unresolved=UNRESOLVED_REFERENCES.frame(_unresolved(executed, missed), gaps),
        figures=LineageFigures(
            executions=int(history.rows["executions"].sum()),
            statements=len(scripts),
            unparsed=sum(not script.parsed for script in scripts.values()),
            references=found.height + missed.height + system,
            exact=exact,
            inferred=found.height - exact,
            unresolved=missed.height,
            system=system,
        ),
    )


def _parse_all(
    texts: pl.DataFrame,
    max_characters: int,
    progress: Callable[[int, int], None] | None,
    store: ParseStore | None,
) -> Mapping[tuple[str, str], Script]:
    known = store.known() if store is not None else {}
    used = {}
    for done, (dialect, sql_key, sql) in enumerate(texts.iter_rows(), start=1):
        key = key_of(dialect, sql_key, sql)
        too_long = len(sql) > max_characters
        script = None if too_long else known.get(key)
        used[key] = parse(sql, dialect, max_characters) if script is None else script
        if progress is not None:
            progress(done, texts.height)
    if store is not None:
        store.keep(used)
    return {(dialect, sql_key): script for (dialect, sql_key, _), script in used.items()}


def _hidden(scope: int, sql_key: str, references: References) -> list[tuple[Any, ...]]:
    """What the text does not say; all that was not parsed of one statement is one miss."""
    not_parsed = [u.detail for u in references.unread if u.reason is Reason.NOT_PARSED]
    rows: list[tuple[Any, ...]] = [
        (scope, unread.reference, unread.reason.value, unread.detail)
        for unread in references.unread
        if unread.reason is not Reason.NOT_PARSED
    ]
    if not_parsed:
        rows.append((scope, sql_key, Reason.NOT_PARSED.value, "; ".join(not_parsed[:3])))
    return rows


_BY_EXECUTION = ["last_seen", "sql_key", "scope"]


def _edges(executed: pl.DataFrame, found: pl.DataFrame, texts: pl.DataFrame) -> pl.DataFrame:
    key = ["project_id", "cell_id", "service", "table_fqn"]
    # A statement may name a table in several ways; in the alphabet exact comes before inferred.
    once = found.sort("resolution").unique(["scope", "table_fqn"], keep="first")
    return (
        executed.drop("service")
        .join(once, on="scope")
        .sort(_BY_EXECUTION)
        .group_by(key)
        .agg(
            pl.col("table_id").last(),
            pl.lit(None, pl.String).first().alias("component_id"),
            pl.lit([], dtype=COLUMNS_READ).first().alias("columns"),
            pl.col("executions").sum(),
            pl.col("last_seen").max(),
            pl.col(_STATEMENT).last(),
            pl.col("resolution").min(),
        )
        .join(texts, on=_STATEMENT)
        .with_columns(evidence=pl.lit([QUERY_HISTORY], dtype=pl.List(pl.String)))
        .sort(key)
        .select(*LINEAGE_EDGES.columns)
    )


def _unresolved(executed: pl.DataFrame, missed: pl.DataFrame) -> pl.DataFrame:
    key = ["project_id", "reference", "reason"]
    once = missed.unique(["scope", "reference", "reason"], keep="first", maintain_order=True)
    return (
        executed.join(once, on="scope")
        .sort(_BY_EXECUTION)
        .group_by(key)
        .agg(
            pl.col("detail").last(),
            pl.col("executions").sum(),
            pl.col("last_seen").max(),
        )
        .sort("project_id", "reason", "reference")
        .select(*UNRESOLVED_REFERENCES.columns)
    )
