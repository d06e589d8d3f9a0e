"""Which table of the catalog a name means, given the session and the prefixes."""

from __future__ import annotations

import pytest

from hex_assets.lineage.parse import table_references
from hex_assets.lineage.resolve import Reason, Resolved, TableIndex, Unresolved
from hex_assets_tests.lineage.catalogs import catalog


def answer(
    dialect: str,
    name: str,
    tables: str,
    session: str = "",
    prefixes: tuple[str, ...] = ("s",),
) -> Resolved | Unresolved | None:
    """What ``SELECT * FROM name`` reads in a session written ``database.schema``."""
    database, _, schema = session.partition(".")
    index = TableIndex(catalog(*tables.split()).rows, prefixes)
    references = table_references(
        f"select * from {name}", dialect, database or None, schema or None
    )
    (reference,) = references.tables
    return index.resolve("s", dialect, reference.table, reference.session)


def outcome(found: Resolved | Unresolved | None) -> str:
    if found is None:
        return "system"
    if isinstance(found, Resolved):
        return f"{found.resolution.value} {found.table.table_fqn}"
    return found.reason.value


@pytest.mark.parametrize(
    ("name", "session", "tables", "expected"),
    [
        # Snowflake: unquoted is upper case, quoted is exact
        ("db.sch.t", "", "s.DB.SCH.T", "exact s.DB.SCH.T"),
        ("sch.t", "DB.X", "s.DB.SCH.T", "exact s.DB.SCH.T"),
        ("t", "DB.SCH", "s.DB.SCH.T s.DB.OTHER.T", "exact s.DB.SCH.T"),
        ('db.sch."t"', "", "s.DB.SCH.t s.DB.SCH.T", "exact s.DB.SCH.t"),
        ('db.sch."t"', "", "s.DB.SCH.T", "not in the catalog"),
        ("db.sch.t", "", "s.DB.SCH.t", "not in the catalog"),
        ('"db".sch.t', "", "s.db.SCH.T s.DB.SCH.T", "exact s.db.SCH.T"),
        ("db..t", "", "s.DB.PUBLIC.T s.DB.SCH.T", "exact s.DB.PUBLIC.T"),
        # A session as stored, or as somebody wrote it into a file
        ("t", "db.sch", "s.db.sch.T s.DB.SCH.T", "exact s.db.sch.T"),
        ("t", "db.sch", "s.DB.SCH.T", "exact s.DB.SCH.T"),
        # PUBLIC comes after the current schema, which the catalog may not have in full
        ("t", "DB.SCH", "s.DB.PUBLIC.T s.DB.SCH.T", "exact s.DB.SCH.T"),
        ("t", "DB.SCH", "s.DB.PUBLIC.T", "inferred s.DB.PUBLIC.T"),
        ("t", "DB.PUBLIC", "s.DB.PUBLIC.T", "exact s.DB.PUBLIC.T"),
        ("sch.t", "DB.SCH", "s.DB.PUBLIC.T", "not in the catalog"),
        # What the session does not say is not guessed
        ("t", "", "s.DB.SCH.T", "inferred s.DB.SCH.T"),
        ("t", "", "s.DB.SCH.T s.DB.OTHER.T", "no session schema"),
        ("sch.t", "", "s.DB.SCH.T s.DB2.SCH.T", "no session schema"),
        ("sch.t", "", "s.DB.SCH.T s.DB2.SCH.U", "inferred s.DB.SCH.T"),
        ("t", "DB", "s.DB.SCH.T s.DB2.SCH.T", "inferred s.DB.SCH.T"),
        ("t", "DB", "s.DB.SCH.T s.DB.SCH2.T", "no session schema"),
        ("t", "", "s.DB.SCH.U", "not in the catalog"),
        ("t", "DB.SCH", "other.DB.SCH.T", "not in the catalog"),
        ("information_schema.tables", "DB.SCH", "s.DB.SCH.T", "system"),
        ("snowflake.account_usage.query_history", "", "s.DB.SCH.T", "system"),
        (
            "snowflake.account_usage.tables",
            "",
            "s.SNOWFLAKE.ACCOUNT_USAGE.TABLES",
            "exact s.SNOWFLAKE.ACCOUNT_USAGE.TABLES",
        ),
    ],
)
def test_snowflake(name: str, session: str, tables: str, expected: str) -> None:
    assert outcome(answer("snowflake", name, tables, session)) == expected


@pytest.mark.parametrize(
    ("dialect", "name", "session", "tables", "expected"),
    [
        # BigQuery heeds case; a name without project is of the job's project
        ("bigquery", "`p.ds.t`", "", "s.p.ds.t s.p.ds.T", "exact s.p.ds.t"),
        ("bigquery", "`p.ds.T`", "", "s.p.ds.t", "not in the catalog"),
        ("bigquery", "ds.t", "p", "s.p.ds.t s.q.ds.t", "exact s.p.ds.t"),
        ("bigquery", "ds.t", "", "s.p.ds.t s.q.ds.t", "no session schema"),
        ("bigquery", "t", "p.ds", "s.p.ds.t", "exact s.p.ds.t"),
        ("bigquery", "`p.ds.t$20240101`", "", "s.p.ds.t", "exact s.p.ds.t"),
        ("bigquery", "`p.ds.e_*`", "", "s.p.ds.e_1 s.p.ds.e_2 s.p.ds.f s.q.ds.e_3", "wildcard"),
        ("bigquery", "`p.ds.e_*`", "", "s.p.ds.e_1 s.p.ds.f s.q.ds.e_3", "inferred s.p.ds.e_1"),
        ("bigquery", "`p.ds.e_*`", "", "s.p.ds.f", "wildcard"),
        ("bigquery", "`p.region-us.INFORMATION_SCHEMA.JOBS`", "", "s.p.ds.t", "system"),
        ("bigquery", "ds.INFORMATION_SCHEMA.TABLES", "p", "s.p.ds.t", "system"),
        # Case never counts, quoted or not
        ("databricks", "Main.S.`T`", "", "s.main.s.t", "exact s.main.s.t"),
        ("databricks", "s.t", "main.x", "s.main.s.t s.dev.s.t", "exact s.main.s.t"),
        ("databricks", "hive_metastore.s.t", "", "s.default.s.t", "exact s.default.s.t"),
        ("databricks", "hive_metastore.s.t", "", "s.main.s.t s.dev.s.t", "not in the catalog"),
        (
            "databricks",
            "hive_metastore.s.t",
            "",
            "s.main.s.t s.hive_metastore.s.t",
            "exact s.hive_metastore.s.t",
        ),
        ("databricks", "system.query.history", "", "s.main.s.t", "system"),
        ("redshift", 'Dev.Public."T"', "", "s.dev.public.t", "exact s.dev.public.t"),
        # ... unless the catalog shows that the cluster was told to heed it
        ("redshift", 'dev.public."T"', "", "s.dev.public.t s.dev.public.T", "exact s.dev.public.T"),
        ("redshift", "dev.public.T", "", "s.dev.public.t s.dev.public.T", "exact s.dev.public.t"),
        ("redshift", "t", "dev", "s.dev.public.t", "inferred s.dev.public.t"),
        ("redshift", "t", "dev", "s.dev.public.t s.dev.b.t", "no session schema"),
        ("redshift", "pg_catalog.pg_class", "dev", "s.dev.public.t", "system"),
        ("redshift", "svv_table_info", "dev", "s.dev.public.t", "system"),
        ("trino", 'c.s."T"', "", "s.c.s.t", "exact s.c.s.t"),
        ("trino", "t", "c.s", "s.c.s.t s.c.s2.t", "exact s.c.s.t"),
        ("trino", 's."t$partitions"', "c", "s.c.s.t", "exact s.c.s.t"),
        ("trino", 's."t$partitions"', "c", "s.c.s.u", "not in the catalog"),
        ("presto", "C.S.T", "", "s.c.s.t", "exact s.c.s.t"),
        ("duckdb", 'm."S".t', "", "s.m.S.T", "exact s.m.S.T"),
        # Athena: the catalog is no part of OpenMetadata's name
        ("athena", "db.t", "", "s.default.db.t", "exact s.default.db.t"),
        ("athena", "t", "awsdatacatalog.db", "s.default.db.t", "exact s.default.db.t"),
        ("athena", '"AwsDataCatalog"."db"."t"', "", "s.lake.db.t", "exact s.lake.db.t"),
        (
            "athena",
            "awsdatacatalog.db.t",
            "",
            "s.default.db.t s.dynamo.db.t",
            "exact s.default.db.t",
        ),
        (
            "athena",
            "db.t",
            "AwsDataCatalog",
            "s.default.db.t s.dynamo.db.t",
            "exact s.default.db.t",
        ),
        ("athena", "awsdatacatalog.db.t", "", "s.lake.db.t s.dynamo.db.t", "not in the catalog"),
        ("athena", "other.db.t", "", "s.default.db.t", "not in the catalog"),
        # Two levels: OpenMetadata's database is whatever the service was given
        ("clickhouse", "db.t", "", "s.default.db.t", "exact s.default.db.t"),
        ("clickhouse", "db.T", "", "s.default.db.t", "not in the catalog"),
        ("clickhouse", "t", ".db", "s.any.db.t s.any.db2.t", "exact s.any.db.t"),
        ("clickhouse", "t", "db", "s.any.db.t s.any.db2.t", "exact s.any.db.t"),
        ("clickhouse", "t", "", "s.any.db.t s.any.db2.t", "no session schema"),
        ("clickhouse", "system.query_log", "", "s.any.db.t", "system"),
        ("mysql", "`db`.`T`", "", "s.default.db.T s.default.db.t", "exact s.default.db.T"),
        ("mysql", "t", ".db", "s.default.db.t", "exact s.default.db.t"),
        ("mysql", "Db.t", "", "s.default.db.t", "not in the catalog"),
        # PostgreSQL: unquoted is lower case, quoted is exact; three tables of one name
        ("postgres", "App.S.T", "", "s.app.s.t", "exact s.app.s.t"),
        ("postgres", 's."T"', "app", "s.app.s.t s.app.s.T", "exact s.app.s.T"),
        ("postgres", "s.t", "app", "s.app.s.t", "exact s.app.s.t"),
        ("postgres", "t", "app", "s.app.s.t s.app.public.t", "no session schema"),
        ("postgres", "pg_class", "app", "s.app.s.t", "system"),
        ("tsql", "srv.db.dbo.t", "", "s.db.dbo.t", "not in the catalog"),
        ("tsql", "db..t", "", "s.db.dbo.t", "exact s.db.dbo.t"),
    ],
)
def test_dialects(dialect: str, name: str, session: str, tables: str, expected: str) -> None:
    assert outcome(answer(dialect, name, tables, session)) == expected


@pytest.mark.parametrize(
    ("name", "session", "prefixes", "expected"),
    [
        ("db.sch.t", "", ("s",), "exact s.DB.SCH.T"),
        ("db.sch.t", "", ("s.DB",), "exact s.DB.SCH.T"),
        ("db.sch.t", "", ("s.DB.SCH",), "exact s.DB.SCH.T"),
        ("db.sch.t", "", (), "exact s.DB.SCH.T"),
        ("db.sch.t", "", ("s.OTHER", "s.DB.SCH"), "exact s.DB.SCH.T"),
        ("db.sch.t", "", ("s.db",), "outside the prefixes"),
        ("db.sch.t", "", ("s.DB.SCH2",), "outside the prefixes"),
        ("db.sch.t", "", ("other",), "outside the prefixes"),
        ("raw.sch.t", "", ("s.DB",), "outside the prefixes"),
        ("t", "RAW.SCH", ("s.DB",), "outside the prefixes"),
        ("db.sch.missing", "", ("s.DB",), "not in the catalog"),
        # An incomplete name is looked for within the prefixes only
        ("t", "", ("s.DB.SCH",), "inferred s.DB.SCH.T"),
        ("t", "", ("s.DB",), "no session schema"),
    ],
)
def test_prefixes(name: str, session: str, prefixes: tuple[str, ...], expected: str) -> None:
    tables = "s.DB.SCH.T s.DB.SCH2.T s.DB2.SCH.T"
    assert outcome(answer("snowflake", name, tables, session, prefixes)) == expected


def test_a_prefix_may_quote_a_part_that_holds_a_dot() -> None:
    index = TableIndex(catalog("s.DB.SCH.T").rows, ['"my.service".DB'])
    assert index.permits("my.service", "DB", "X")
    assert not index.permits("my", "service")


def test_a_malformed_prefix_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a fully qualified name"):
        TableIndex(catalog().rows, ["s..t"])


@pytest.mark.parametrize(
    ("name", "session", "detail"),
    [
        ("t", "", "s.DB.A.T, s.DB.B.T"),
        ('a."t"', "DB", "similar: s.DB.A.T"),
        ("c.t", "DB", "elsewhere: s.DB.A.T, s.DB.B.T"),
        ("nothing", "DB", ""),
        ("raw.a.t", "", "RAW.A"),
    ],
)
def test_the_detail_helps_to_mend_it(name: str, session: str, detail: str) -> None:
    found = answer("snowflake", name, "s.DB.A.T s.DB.B.T", session, prefixes=("s.DB",))
    assert isinstance(found, Unresolved)
    assert found.detail == detail


def test_many_candidates_are_counted() -> None:
    tables = " ".join(f"s.DB.A{i}.T" for i in range(8))
    found = answer("snowflake", "t", tables)
    assert isinstance(found, Unresolved)
    assert found.reason is Reason.NO_SESSION_SCHEMA
    assert found.detail == "s.DB.A0.T, s.DB.A1.T, s.DB.A2.T, s.DB.A3.T, s.DB.A4.T and 3 more"


def test_a_search_path_takes_the_first_schema_that_has_the_table() -> None:
    index = TableIndex(catalog("s.app.b.t", "s.app.c.t").rows, [])
    references = table_references("set search_path to a, b, c; select * from t", "postgres", "app")
    (reference,) = references.tables
    assert outcome(index.resolve("s", "postgres", reference.table, reference.session)) == (
        "exact s.app.b.t"
    )


def test_two_tables_that_differ_by_case_are_ambiguous_where_case_never_counts() -> None:
    found = answer("databricks", "main.s.tAb", "s.main.s.TAB s.main.s.Tab")
    assert outcome(found) == "ambiguous"
    assert isinstance(found, Unresolved)
    assert found.detail == "s.main.s.TAB, s.main.s.Tab"
