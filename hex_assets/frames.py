"""The frames that cross a room boundary: their columns, types and meaning.

All instants are UTC with microseconds. A frame travels with the gaps of the read it came from,
so that nothing downstream mistakes a part for the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from hex_assets.errors import FrameError

INSTANT = pl.Datetime("us", "UTC")
NAMES = pl.List(pl.String)
TABLES_READ = pl.List(
    pl.Struct({"database": pl.String, "schema": pl.String, "table": pl.String, "columns": NAMES})
)
"""Tables and columns as a warehouse names them; a part that it does not tell is null."""

COLUMNS_READ = pl.List(pl.Struct({"name": pl.String, "usage": NAMES}))
"""Columns of one table, each with what it is used for: output, filter, join, group, order."""


@dataclass(frozen=True)
class FrameSchema:
    """Name, columns and meaning of one frame.

    Attributes:
        name: the asset that produces it.
        columns: column name to (Polars type, meaning), in order.
    """

    name: str
    columns: Mapping[str, tuple[Any, str]]

    @property
    def types(self) -> dict[str, Any]:
        return {column: dtype for column, (dtype, _) in self.columns.items()}

    def frame(
        self, rows: Iterable[Mapping[str, Any]] | pl.DataFrame, gaps: Sequence[str] = ()
    ) -> Frame:
        """Rows (mappings, or a DataFrame with exactly these columns) as a checked frame.

        Raises:
            FrameError: a column is missing, unknown or of another type.
        """
        table = (
            rows
            if isinstance(rows, pl.DataFrame)
            else pl.DataFrame(list(rows), schema=self.types, orient="row")
        )
        self.check(table)
        return Frame(self, table, tuple(gaps))

    def empty(self) -> Frame:
        return self.frame([])

    def check(self, table: pl.DataFrame) -> None:
        """Raise FrameError unless the table has exactly these columns and types, in order."""
        wanted, found = self.types, dict(table.schema)
        if list(found.items()) == list(wanted.items()):
            return
        faults = [f"{name} is missing" for name in wanted if name not in found]
        faults += [f"{name} is unknown" for name in found if name not in wanted]
        faults += [
            f"{name} is {found[name]}, not {wanted[name]}"
            for name in wanted
            if name in found and found[name] != wanted[name]
        ]
        raise FrameError(
            f"{self.name}: {'; '.join(faults) or 'columns are in another order'}. "
            "If the file is from an older version, materialize the asset again."
        )


@dataclass(frozen=True)
class Frame:
    """Rows and what is known to be missing from them.

    Attributes:
        schema: what the columns mean.
        rows: the data, with exactly the columns of the schema.
        gaps: what could not be read, in words; empty when the read was complete.
    """

    schema: FrameSchema
    rows: pl.DataFrame
    gaps: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        return not self.gaps


HEX_PROJECTS = FrameSchema(
    "hex_projects",
    {
        "id": (pl.String, "UUID of the project or component, lower case"),
        "type": (pl.String, "PROJECT or COMPONENT (an open set)"),
        "title": (pl.String, "title as shown in Hex; not unique; the id when Hex has none"),
        "description": (pl.String, "description, Markdown; null when empty"),
        "owner_email": (pl.String, "owner; null when unknown"),
        "creator_email": (pl.String, "creator; null when unknown"),
        "status": (pl.String, "workspace-defined status name; null when none"),
        "categories": (NAMES, "category names, sorted"),
        "category_descriptions": (NAMES, "descriptions in the order of categories; null when none"),
        "collections": (NAMES, "collection names from sharing, sorted"),
        "collection_descriptions": (NAMES, "in the order of collections; null when none"),
        "groups": (NAMES, "names of the groups it is shared with, sorted"),
        "reviews_required": (pl.Boolean, "publishing needs a review; null when unknown"),
        "created_at": (INSTANT, "when it was created"),
        "last_edited_at": (INSTANT, "last edit of the draft"),
        "last_published_at": (INSTANT, "last publication; null when never published"),
        "archived_at": (INSTANT, "when it was archived; null when not"),
        "trashed_at": (INSTANT, "when it was trashed; null when not"),
        "results_updated_at": (INSTANT, "when the app's results were last run; null when never"),
        "last_viewed_at": (INSTANT, "last view of the published app"),
        "views_all_time": (pl.Int64, "app views ever"),
        "views_7_days": (pl.Int64, "app views of the last 7 days"),
        "views_14_days": (pl.Int64, "app views of the last 14 days"),
        "views_30_days": (pl.Int64, "app views of the last 30 days"),
        "schedules": (NAMES, "enabled schedules in words, for example 'DAILY 06:30 +00:00'"),
        "url": (pl.String, "page of the project in Hex; null when the org id is unknown"),
    },
)

HEX_CELLS = FrameSchema(
    "hex_cells",
    {
        "project_id": (pl.String, "project or component that holds the cell"),
        "cell_id": (pl.String, "static id, stable across versions, lower case"),
        "type": (pl.String, "SQL, CODE, MARKDOWN... (an open set)"),
        "label": (pl.String, "label as shown in Hex; null when none"),
        "data_connection_id": (pl.String, "connection of a SQL cell; null for dataframe SQL"),
        "sql": (
            pl.String,
            "source of a SQL cell, Jinja neutralised, literals masked; null otherwise",
        ),
        "dialect": (pl.String, "sqlglot dialect of the SQL; null without SQL"),
        "jinja_names": (NAMES, "identifiers in the SQL that stand for names built by Jinja"),
        "output_dataframe": (pl.String, "dataframe a SQL cell writes; null otherwise"),
        "source_dataframe": (pl.String, "dataframe that a chart or display cell shows; else null"),
        "parent_cell_id": (pl.String, "section that holds the cell; null at the top, or unknown"),
        "component_id": (
            pl.String,
            "component that an import cell imports, or that an inlined cell belongs to; else null",
        ),
        "markdown": (pl.String, "source of a Markdown cell; null otherwise"),
        "version": (pl.String, "draft or published"),
    },
)

HEX_DATA_CONNECTIONS = FrameSchema(
    "hex_data_connections",
    {
        "id": (pl.String, "id of the data connection, lower case"),
        "name": (pl.String, "name as shown in Hex"),
        "type": (pl.String, "snowflake, bigquery, postgres... (an open set)"),
        "database": (pl.String, "default database of a query; null when the type has none"),
        "schema": (pl.String, "default schema of a query; null when none is set"),
        "dialect": (pl.String, "sqlglot dialect of its SQL; null when the type is unknown"),
        "service": (pl.String, "OpenMetadata database service it reads; null when not known"),
    },
)

HEX_COMPONENT_IMPORTS = FrameSchema(
    "hex_component_imports",
    {
        "project_id": (pl.String, "project or component that imports"),
        "component_id": (pl.String, "component that is imported, lower case"),
        "cell_id": (pl.String, "cell that imports it; null when the source names none"),
        "component_version": (pl.String, "version of the component that is pinned; null if none"),
    },
)

HEX_QUERIED_TABLES = FrameSchema(
    "hex_queried_tables",
    {
        "project_id": (pl.String, "project or component that queried the table"),
        "data_connection_id": (pl.String, "data connection it used, lower case"),
        "table_name": (pl.String, "name as Hex reports it: one to three parts, any case"),
    },
)

HEX_RUNS = FrameSchema(
    "hex_runs",
    {
        "project_id": (pl.String, "project that ran"),
        "trigger": (pl.String, "API, SCHEDULED, APP_REFRESH (an open set)"),
        "status": (pl.String, "outcome of the latest run: COMPLETED, ERRORED... (an open set)"),
        "started_at": (INSTANT, "start of the latest run; null when it did not start"),
        "ended_at": (INSTANT, "its end; null while it runs"),
        "url": (pl.String, "page of the latest run"),
        "runs": (pl.Int64, "runs that the next columns are taken from"),
        "success_rate": (pl.Float64, "share of the ended ones that completed, 0 to 1; else null"),
        "median_seconds": (pl.Float64, "median duration of those that completed"),
        "last_success_at": (INSTANT, "start of the latest completed one; null when none was seen"),
    },
)

HEX_COVERAGE = FrameSchema(
    "hex_coverage",
    {
        "project_id": (pl.String, "project or component that is not in the trash"),
        "detail": (pl.String, "cells, queried_tables or runs"),
        "state": (
            pl.String,
            "current; stale: changed in Hex since it was read; never read; "
            "not available: the token or the plan does not allow it; not applicable",
        ),
        "read_at": (INSTANT, "when it was read; null when never"),
        "version": (pl.String, "draft or published for cells; null otherwise"),
        "problem": (pl.String, "why it is not current; null when it is, or not reached yet"),
    },
)

HEX_WORKSPACE = FrameSchema(
    "hex_workspace",
    {
        "org_id": (pl.String, "id of the Hex organization; null when Hex does not tell it"),
        "token_kind": (pl.String, "personal, workspace, or unknown"),
        "token_expires_at": (INSTANT, "when the token dies; null for never, or unknown"),
        "missing_scopes": (NAMES, "scopes that the token was found to lack, sorted"),
    },
)

WAREHOUSE_QUERY_HISTORY = FrameSchema(
    "warehouse_query_history",
    {
        "service": (pl.String, "OpenMetadata database service"),
        "dialect": (pl.String, "sqlglot dialect of the SQL"),
        "database": (pl.String, "session database at execution; null when unknown"),
        "schema": (pl.String, "session schema at execution; null when unknown"),
        "project_id": (pl.String, "Hex project named by the comment, lower case"),
        "cell_id": (pl.String, "Hex cell named by the comment; null when it names none"),
        "sql": (pl.String, "statement without the Hex comment, literals masked"),
        "sql_key": (pl.String, "SHA-256 of the masked statement, hexadecimal"),
        "executions": (pl.Int64, "how often it ran in the window"),
        "first_seen": (INSTANT, "first execution in the window"),
        "last_seen": (INSTANT, "last execution in the window"),
        "contexts": (NAMES, "Hex contexts it ran in (SCHEDULED_RUN, ...), sorted"),
        "users": (pl.Int64, "distinct users that ran it"),
        "sample_query_id": (pl.String, "warehouse id of one execution; null when the log has none"),
        "resolved": (
            TABLES_READ,
            "tables and columns the warehouse recorded for the last execution for which it did; "
            "null when it recorded none",
        ),
    },
)

TABLE_REFERENCES = FrameSchema(
    "table_references",
    {
        "service": (pl.String, "OpenMetadata database service on which the name is looked up"),
        "dialect": (pl.String, "sqlglot dialect of what names it"),
        "database": (pl.String, "session database; null when unknown"),
        "schemas": (NAMES, "session schema, or search path in order; empty when unknown"),
        "name": (NAMES, "parts of the table's name as written, unquoted, the table last"),
        "statements": (
            pl.Int64,
            "distinct statements, cells and entries of Hex's list of queried tables that name it",
        ),
    },
)

CATALOG_TABLES = FrameSchema(
    "catalog_tables",
    {
        "service": (pl.String, "database service, unquoted"),
        "database": (pl.String, "database, unquoted, exact case"),
        "schema": (pl.String, "schema, unquoted, exact case"),
        "table": (pl.String, "table or view, unquoted, exact case"),
        "table_fqn": (pl.String, "fully qualified name, quoted where OpenMetadata quotes"),
        "table_id": (pl.String, "UUID in OpenMetadata"),
        "columns": (NAMES, "column names in exact case, in the table's order"),
    },
)

CATALOG_SCHEMAS = FrameSchema(
    "catalog_schemas",
    {
        "service": (pl.String, "database service, unquoted"),
        "database": (pl.String, "database, unquoted, exact case"),
        "schema": (pl.String, "schema, unquoted, exact case"),
        "schema_fqn": (pl.String, "fully qualified name, quoted where OpenMetadata quotes"),
        "read_at": (
            INSTANT,
            "when its tables were listed, which are those of catalog_tables; null when nothing "
            "that is named can be in it, so that it was not read",
        ),
    },
)

LINEAGE_EDGES = FrameSchema(
    "lineage_edges",
    {
        "project_id": (pl.String, "Hex project that reads the table"),
        "cell_id": (pl.String, "cell that reads it; null when the evidence names none"),
        "service": (pl.String, "database service of the table"),
        "table_fqn": (pl.String, "table that is read"),
        "table_id": (pl.String, "its UUID in OpenMetadata"),
        "component_id": (
            pl.String,
            "component through which the project reads it; null when it reads it itself",
        ),
        "columns": (
            COLUMNS_READ,
            "columns read, exact case, sorted; empty when unknown; one without usage is selected "
            "by a subquery and not taken up from there, or its usage is not told",
        ),
        "evidence": (
            NAMES,
            "what shows the edge, sorted: cell_sql, queried_tables, query_history, "
            "warehouse_resolved",
        ),
        "executions": (pl.Int64, "executions seen"),
        "users": (
            pl.Int64,
            "people who ran it, at least: the most of any one statement, for who ran two "
            "statements is counted, not kept; 0 without query history",
        ),
        "last_seen": (INSTANT, "latest execution seen; null without query history"),
        "sql": (pl.String, "one masked statement that shows the edge"),
        "resolution": (
            pl.String,
            "exact; inferred: a part of the name was unknown and only this table fitted; or "
            "tolerant: the statement was not understood, and the name stood behind FROM or JOIN",
        ),
    },
)

UNRESOLVED_REFERENCES = FrameSchema(
    "unresolved_references",
    {
        "project_id": (pl.String, "Hex project that holds the reference"),
        "reference": (
            pl.String,
            "table name as written, or the statement's key if it did not parse",
        ),
        "reason": (pl.String, "why it was not linked, from a closed set (lineage/resolve.py)"),
        "detail": (pl.String, "candidates, parser position or what else helps to mend it"),
        "executions": (pl.Int64, "executions seen"),
        "last_seen": (INSTANT, "latest execution seen"),
    },
)

EVIDENCE_DISAGREEMENTS = FrameSchema(
    "evidence_disagreements",
    {
        "project_id": (pl.String, "Hex project"),
        "cell_id": (pl.String, "cell; null where the witness knows projects only"),
        "table_fqn": (pl.String, "table that one witness saw and another should have seen"),
        "column": (pl.String, "column, where both saw the table; else null"),
        "seen_by": (pl.String, "evidence that shows it"),
        "missed_by": (pl.String, "evidence that should have shown it and does not"),
        "executions": (pl.Int64, "executions in which it was missed; 0 if none are counted"),
    },
)

OPENMETADATA_ENTITIES = FrameSchema(
    "openmetadata_entities",
    {
        "kind": (
            pl.String,
            "service, classification, tag, property, chart, dashboard, edge, usage",
        ),
        "fqn": (pl.String, "fully qualified name; an edge reads 'table_fqn -> dashboard_fqn'"),
        "action": (pl.String, "create, update, unchanged, delete, restore, skip"),
        "reason": (pl.String, "why this action: changed fields, what was missing, which guard"),
        "outcome": (pl.String, "done, planned, unchanged, skipped: <why>, or failed: <error>"),
        "before": (pl.String, "what is replaced, in short; empty when nothing is"),
        "after": (pl.String, "what replaces it, in short; empty when nothing does"),
    },
)
