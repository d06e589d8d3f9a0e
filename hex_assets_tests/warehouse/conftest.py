"""A local Snowflake for the tests of its reader."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from hex_assets.warehouse.snowflake import Snowflake
from hex_assets_tests.warehouse.environments import absent, python_of, running

SERVER_PACKAGES = ("fakesnow[server]==0.12.1", "snowflake-connector-python==4.8.1")
"""fakesnow needs connector 4, the project takes 5: hence an environment of its own."""

COLUMNS = {
    "query_id": "VARCHAR",
    "query_text": "VARCHAR",
    "database_name": "VARCHAR",
    "schema_name": "VARCHAR",
    "user_name": "VARCHAR",
    "start_time": "TIMESTAMP_LTZ",
    "execution_status": "VARCHAR",
}

MakeReader = Callable[..., Snowflake]


def pytest_configure(config: pytest.Config) -> None:
    for marker in (
        "athena_fake: needs the local Athena (moto)",
        "bigquery_emulator: needs the local BigQuery (bqemulator)",
        "clickhouse_engine: needs the local ClickHouse (chdb)",
        "mariadb: needs the binaries of MariaDB",
        "postgres: needs the binaries of PostgreSQL",
        "snowflake_fake: needs the local Snowflake (fakesnow)",
    ):
        config.addinivalue_line("markers", marker)


@pytest.fixture(scope="session")
def snowflake_port() -> Iterator[int]:
    """Port of a Snowflake on 127.0.0.1, which lives as long as the session.

    Without it the test is skipped, or fails where ``HEX_ASSETS_REQUIRE_SERVERS`` is 1.
    """
    try:
        python = python_of("fakesnow-0.12.1-connector-4.8.1", SERVER_PACKAGES)
    except (OSError, subprocess.SubprocessError) as error:
        absent(f"fakesnow cannot be installed: {error}")
    with running(python, Path(__file__).with_name("fake_snowflake.py")) as port:
        yield port


@pytest.fixture
def make_reader(snowflake_port: int) -> MakeReader:
    """A reader of the local Snowflake; its settings may be overridden."""

    def make(**settings: Any) -> Snowflake:
        known: dict[str, Any] = {
            "account": "fakesnow",
            "username": "reader",
            "password": SecretStr("s3cr3t-password"),
            "warehouse": "READING",
            "connection_arguments": {
                "host": "127.0.0.1",
                "port": snowflake_port,
                "protocol": "http",
                "login_timeout": 20,
            },
        }
        return Snowflake(**({"type": "Snowflake"} | known | settings)).of("snowflake_prod")

    return make


@pytest.fixture
def fill(make_reader: MakeReader) -> Callable[[str, list[dict[str, Any]]], None]:
    """Makes ``QUERY_HISTORY`` in a schema and puts rows into it."""

    def filled(schema: str, rows: list[dict[str, Any]]) -> None:
        definition = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        places = ", ".join(["%s"] * len(COLUMNS))
        values = [tuple(row[name] for name in COLUMNS) for row in rows]
        assert all(isinstance(row["start_time"], datetime) for row in rows)
        with make_reader()._cursor() as cursor:
            cursor.execute(f"CREATE DATABASE IF NOT EXISTS {schema.partition('.')[0]}")
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            cursor.execute(f"CREATE OR REPLACE TABLE {schema}.QUERY_HISTORY ({definition})")
            cursor.executemany(f"INSERT INTO {schema}.QUERY_HISTORY VALUES ({places})", values)

    return filled
