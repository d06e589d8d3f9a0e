"""The truth of the corpus, asked of the servers themselves where they run here.

PostgreSQL keeps on which columns a view depends, so a query made a view tells what it reads.
DuckDB tells that its statements are valid, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import psycopg
import pytest

from benchmarks.lineage.corpus import Statement, own_statements
from hex_assets_tests.warehouse import servers

TYPES = {
    **dict.fromkeys(["order_id", "customer_id", "id", "employee_id", "manager_id"], "int"),
    **dict.fromkeys(["q1", "q2", "q3", "q4", "target"], "int"),
    **dict.fromkeys(["ordered_at", "occurred_at"], "timestamp"),
    "amount": "numeric",
}
POSTGRES_TYPES = {**TYPES, "tags": "text[]", "payload": "jsonb", "attributes": "jsonb"}
DUCKDB_TYPES = {
    **TYPES,
    "tags": "text[]",
    "payload": "json",
    "attributes": "struct(address struct(city text, zip text))",
    "items": "struct(sku text, quantity int)[]",
}

OF_ANOTHER_SERVER = {"understood as Redshift"}
NAMES_A_TABLE = {"catalogs of the server"}
"""``'orders'::regclass`` reads no row of the table."""

WHOLE_ROWS = {"whole row and parameters"}
"""PostgreSQL keeps the table only."""

NEEDS_FILES = {"files", "other database"}

READS = """
    SELECT DISTINCT n.nspname || '.' || t.relname, a.attname
    FROM pg_depend d
    JOIN pg_rewrite r ON r.oid = d.objid
    JOIN pg_class t ON t.oid = d.refobjid
    JOIN pg_namespace n ON n.oid = t.relnamespace
    LEFT JOIN pg_attribute a
      ON a.attrelid = t.oid AND a.attnum = d.refobjsubid AND d.refobjsubid > 0
    WHERE r.ev_class = 'asked'::regclass AND t.oid <> r.ev_class
      AND n.nspname NOT IN ('pg_catalog', 'information_schema')
"""


def of(dialect: str, without: set[str]) -> list[Statement]:
    return [s for s in own_statements() if s.dialect == dialect and s.name not in without]


POSTGRES = of("postgres", OF_ANOTHER_SERVER | NAMES_A_TABLE)


@pytest.fixture(scope="module")
def postgres() -> Iterator[psycopg.Connection]:
    """A database with the tables of the corpus."""
    with servers.postgres() as (port, _):
        address = f"host=127.0.0.1 port={port} user=postgres"
        with psycopg.connect(f"{address} dbname=postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE app")
        with psycopg.connect(f"{address} dbname=app") as connection:
            connection.execute("CREATE SCHEMA raw")
            connection.execute("CREATE EXTENSION dblink")
            for name, columns in POSTGRES[0].catalog.items():
                _, schema, table = name.split(".")
                typed = [f'"{column}" {POSTGRES_TYPES.get(column, "text")}' for column in columns]
                # ON CONFLICT needs it.
                key = ["UNIQUE (customer_id)"] if table == "customers" else []
                connection.execute(
                    f'CREATE TABLE {schema}."{table}" ({", ".join(typed + key)})'.encode()
                )
            connection.commit()
            yield connection


@pytest.mark.parametrize("statement", POSTGRES, ids=lambda statement: statement.name)
def test_postgres_agrees(statement: Statement, postgres: psycopg.Connection) -> None:
    *before, asked = statement.sql.strip().split(";")
    asked = asked.replace("$1", "'a'").replace("$2", "1")
    try:
        for sql in before:
            postgres.execute(sql.encode())
        if before or not asked.lstrip("(").startswith(("select", "with recursive", "with orders")):
            # A view cannot be made of it, or depends on tables that the text makes.
            postgres.execute(asked.encode())
            return
        postgres.execute(f"CREATE VIEW asked AS {asked}".encode())
        reads = postgres.execute(READS.encode()).fetchall()
    finally:
        postgres.rollback()
    assert {f"app.{table}" for table, _ in reads} == set(statement.reads)
    columns = {(f"app.{table}", column) for table, column in reads if column is not None}
    if statement.name not in WHOLE_ROWS:
        assert columns == {(t, column) for t, names in statement.reads.items() for column in names}


@pytest.mark.parametrize(
    "statement", of("duckdb", NEEDS_FILES), ids=lambda statement: statement.name
)
def test_duckdb_understands(statement: Statement) -> None:
    with duckdb.connect() as connection:
        connection.execute("ATTACH ':memory:' AS lake; ATTACH ':memory:' AS raw")
        connection.execute("CREATE SCHEMA raw.landing")
        for name, columns in statement.catalog.items():
            typed = [f"{column} {DUCKDB_TYPES.get(column, 'text')}" for column in columns]
            connection.execute(f"CREATE TABLE {name} ({', '.join(typed)})")
        connection.execute("USE lake.main")
        for parsed in connection.extract_statements(statement.sql):
            connection.execute(parsed, dict.fromkeys(parsed.named_parameters, 1))
