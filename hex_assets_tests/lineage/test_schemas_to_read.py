"""Which schemas have to be read for names to resolve as they do against the whole catalog."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hex_assets.frames import CATALOG_SCHEMAS, TABLE_REFERENCES, Frame
from hex_assets.lineage.names import Name, Session, TableName
from hex_assets.lineage.resolve import Reason, Resolved, TableIndex, Unresolved
from hex_assets.lineage.schemas_to_read import schemas_to_read
from hex_assets_tests.lineage.catalogs import NOON, catalog

DIALECTS = (
    *("athena", "bigquery", "clickhouse", "databricks", "duckdb", "mysql", "postgres", "presto"),
    *("redshift", "snowflake", "trino", "tsql"),
)
SERVICES = ("s", "other")
DATABASES = ("db", "DB", "awsdatacatalog", "default", "hive_metastore")
SCHEMAS = ("a", "A", "b", "PUBLIC")
TABLES = ("t", "T", "t1", "u")


class Reference(NamedTuple):
    service: str
    dialect: str
    table: TableName
    session: Session


def schema_rows(names: Sequence[str], read: set[str] | None = None) -> pl.DataFrame:
    """Rows for schemas named ``service.database.schema``; all are read unless told which."""

    def row(name: str) -> dict[str, str | datetime | None]:
        service, database, schema = name.split(".")
        at = NOON if read is None or name in read else None
        return {
            "service": service,
            "database": database,
            "schema": schema,
            "schema_fqn": name,
            "read_at": at,
        }

    return CATALOG_SCHEMAS.frame([row(name) for name in sorted(names)]).rows


def reference_rows(*references: Reference) -> pl.DataFrame:
    rows = [
        {
            "service": one.service,
            "dialect": one.dialect,
            "database": one.session.database,
            "schemas": list(one.session.schemas),
            "name": [part.text for part in one.table.parts],
            "statements": 1,
        }
        for one in references
    ]
    return TABLE_REFERENCES.frame(rows).rows


def references(services: Sequence[str]) -> st.SearchStrategy[Reference]:
    names = st.builds(Name, st.sampled_from((*TABLES, "T$files", "t*", "a", "db")), st.booleans())
    schemas = st.builds(Name, st.sampled_from((*SCHEMAS, "nowhere")), st.booleans())
    databases = st.builds(
        Name, st.sampled_from((*DATABASES, "AwsDataCatalog", "spark_catalog")), st.booleans()
    )
    tables = st.one_of(
        st.tuples(names),
        st.tuples(names),
        st.tuples(schemas, names),
        st.tuples(databases, schemas, names),
        st.tuples(databases, databases, schemas, names),
    )
    sessions = st.builds(
        Session,
        st.none() | st.sampled_from(DATABASES),
        st.lists(st.sampled_from((*SCHEMAS, "nowhere")), max_size=3).map(tuple),
        st.integers(0, 1),
    )
    return st.builds(
        Reference,
        st.sampled_from(services),
        st.sampled_from(DIALECTS),
        tables.map(TableName),
        sessions,
    )


def prefixes_of(tables: Sequence[str]) -> st.SearchStrategy[list[str]]:
    parts = [table.split(".") for table in tables]
    possible = sorted({".".join(one[:depth]) for one in parts for depth in (1, 2, 3)})
    return st.lists(st.sampled_from(possible), min_size=1, max_size=3)


def within(table: str, prefixes: Sequence[str]) -> bool:
    return any(table.startswith(f"{prefix}.") for prefix in prefixes)


def answers(index: TableIndex, wanted: Sequence[Reference]) -> list[object]:
    """What they resolve to; without hints at what the catalog has instead."""

    def plain(answer: Resolved | Unresolved | None) -> object:
        hint = isinstance(answer, Unresolved) and answer.detail.startswith(("sim", "elsewhere"))
        return Unresolved(Reason.NOT_IN_CATALOG) if hint else answer

    return [plain(index.resolve(*one)) for one in wanted]


@settings(max_examples=400)
@given(data=st.data())
def test_fewer_schemas_answer_as_all_of_them(data: st.DataObject) -> None:
    databases = data.draw(st.lists(st.sampled_from(DATABASES), min_size=1, max_size=3))
    place = st.tuples(*map(st.sampled_from, (SERVICES, databases, SCHEMAS, TABLES)))
    tables = data.draw(st.lists(place.map(".".join), min_size=1, max_size=12, unique=True))
    prefixes = data.draw(prefixes_of(tables))
    there = [table for table in tables if within(table, prefixes)]
    services = sorted({table.split(".")[0] for table in there})
    wanted = data.draw(st.lists(references(services), min_size=1, max_size=4))
    schemas = {table.rpartition(".")[0] for table in there}
    read = schemas_to_read(reference_rows(*wanted), schema_rows([*schemas]))
    assert read <= schemas
    fewer = [table for table in there if table.rpartition(".")[0] in read]
    reduced = TableIndex(catalog(*fewer).rows, prefixes, schema_rows([*schemas], read))
    whole = TableIndex(catalog(*there).rows, prefixes)
    assert answers(reduced, wanted) == answers(whole, wanted)


ALL = ("s.db.a", "s.db.b", "s.DB.a", "s.prod.b", "other.db.a")


@pytest.mark.parametrize(
    ("dialect", "name", "session", "read"),
    [
        ("snowflake", "db.a.t", Session(), {"s.db.a", "s.DB.a"}),
        ("snowflake", "PROD.B.t", Session("db", ("a",)), {"s.prod.b"}),
        ("snowflake", "b.t", Session("db"), {"s.db.b"}),
        ("snowflake", "b.t", Session(), {"s.db.b", "s.prod.b"}),
        ("snowflake", "t", Session("prod", ("a", "b")), {"s.prod.b"}),
        ("snowflake", "t", Session("prod"), {"s.prod.b"}),
        ("snowflake", "t", Session(), {"s.db.a", "s.db.b", "s.DB.a", "s.prod.b"}),
        ("snowflake", "far.db.a.t", Session(), set()),
        ("bigquery", "prod.b.t*", Session(), {"s.prod.b"}),
        ("mysql", "b.t", Session(), {"s.db.b", "s.prod.b"}),
        ("athena", "b.t", Session("awsdatacatalog"), {"s.db.b", "s.prod.b"}),
        ("databricks", "hive_metastore.b.t", Session(), {"s.db.b", "s.prod.b"}),
        ("databricks", "nowhere.b.t", Session(), set()),
    ],
)
def test_only_what_can_hold_the_name_is_read(
    dialect: str, name: str, session: Session, read: set[str]
) -> None:
    table = TableName(tuple(Name(part) for part in name.split(".")))
    rows = reference_rows(Reference("s", dialect, table, session))
    assert schemas_to_read(rows, schema_rows(ALL)) == read


def test_nothing_named_reads_nothing() -> None:
    assert schemas_to_read(TABLE_REFERENCES.empty().rows, schema_rows(ALL)) == set()


def test_a_name_whose_schema_was_not_read_is_unresolved_not_inferred() -> None:
    tables: Frame = catalog("s.db.a.t")
    index = TableIndex(tables.rows, [], schema_rows(ALL, {"s.db.a"}))
    name = TableName((Name("t"),))
    answer = index.resolve("s", "snowflake", name, Session())
    assert isinstance(answer, Unresolved)
    assert answer.reason is Reason.NOT_IN_CATALOG
    assert "was not read: materialize catalog_tables again" in answer.detail
    found = index.resolve("s", "duckdb", name, Session("db", ("a",)))
    assert isinstance(found, Resolved)
