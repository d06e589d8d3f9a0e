"""The places that a generated log is put into, each read as a recipe would have it read.

The servers are those of the tests: private ones on 127.0.0.1, which live as long as a measurement.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from hex_assets.warehouse.clickhouse import Clickhouse
from hex_assets.warehouse.mysql import MariaDB
from hex_assets.warehouse.postgres import Postgres
from hex_assets.warehouse.query_log import QueryLog
from hex_assets.warehouse.reader import HistoryReader
from hex_assets_tests.warehouse import servers
from hex_assets_tests.warehouse.environments import python_of, running
from hex_assets_tests.warehouse.test_clickhouse import ENGINE as CHDB

GROUPED, STREAMING = "grouped", "streaming"

_SERVICE = "warehouse"
_ROWS_PER_INSERT = 2_000
_CLICKHOUSE = Path(servers.__file__).with_name("fake_clickhouse.py")


class Engine(ABC):
    """One place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def loaded(self, frames: Iterable[pl.DataFrame]) -> Any:
        """A context in which the frames are there to be read."""

    @abstractmethod
    def readers(self) -> Mapping[str, HistoryReader]:
        """A reader by how it reads: grouped at the source, or streaming. Used in a process of
        its own.
        """

    @property
    def _address(self) -> Path:
        return self.folder / "port"

    @property
    def _port(self) -> int:
        return int(self._address.read_text())


class ParquetLog(Engine):
    """Files, which can only be streamed."""

    @contextmanager
    def loaded(self, frames: Iterable[pl.DataFrame]) -> Iterator[None]:
        files = []
        try:
            for number, frame in enumerate(frames):
                files.append(self.folder / f"{number:05}.parquet")
                frame.write_parquet(files[-1])
            yield
        finally:
            for file in files:
                file.unlink()

    def readers(self) -> Mapping[str, HistoryReader]:
        path = str(self.folder / "*.parquet")
        log = QueryLog(type="QueryLog", path=path, dialect="snowflake")
        return {STREAMING: log.of(_SERVICE)}


class MariaDBLog(Engine):
    """A table with the columns of mysql.slow_log."""

    @contextmanager
    def loaded(self, frames: Iterable[pl.DataFrame]) -> Iterator[None]:
        import pymysql

        with servers.mariadb() as port:
            self._address.write_text(str(port))
            session = pymysql.connect(host="127.0.0.1", port=port, user="root", autocommit=True)
            with closing(session), session.cursor() as cursor:
                cursor.execute("SET GLOBAL general_log = 0")
                cursor.execute("SET GLOBAL slow_query_log = 0")
                cursor.execute("SET time_zone = '+00:00'")
                cursor.execute("CREATE DATABASE audit")
                cursor.execute(
                    "CREATE TABLE audit.log (start_time TIMESTAMP(6), user_host MEDIUMTEXT, "
                    "db VARCHAR(512), sql_text MEDIUMTEXT) ENGINE = MyISAM"
                )
                for frame in frames:
                    rows = frame.select(
                        pl.col("start_time").dt.replace_time_zone(None),
                        pl.lit("hex[hex] @ host []"),
                        "schema_name",
                        "query_text",
                    )
                    for part in rows.iter_slices(_ROWS_PER_INSERT):
                        cursor.executemany(
                            "INSERT INTO audit.log VALUES (%s, %s, %s, %s)", part.rows()
                        )
            yield

    def readers(self) -> Mapping[str, HistoryReader]:
        known: dict[str, Any] = {
            "type": "MariaDB",
            "username": "root",
            "host_port": f"127.0.0.1:{self._port}",
            "query_history_table": "audit.log",
        }
        single = (
            "SELECT CONVERT(sql_text USING utf8mb4) AS query_text, start_time, db AS schema_name, "
            "SUBSTRING_INDEX(user_host, '[', 1) AS user_name FROM audit.log "
            "WHERE start_time >= %(start)s AND start_time < %(end)s "
            "AND sql_text LIKE CONCAT('%%hex query ', 'metadata%%')"
        )
        return {
            GROUPED: MariaDB(**known).of(_SERVICE),
            STREAMING: MariaDB(**known, history_statement=single).of(_SERVICE),
        }


class PostgresLog(Engine):
    """A table with the columns of PostgreSQL's CSV log that are read."""

    @contextmanager
    def loaded(self, frames: Iterable[pl.DataFrame]) -> Iterator[None]:
        import psycopg

        with servers.postgres() as (port, _):
            self._address.write_text(str(port))
            address = f"host=127.0.0.1 port={port} user=postgres dbname=postgres"
            with closing(psycopg.connect(address, autocommit=True)) as session:
                session.execute(
                    "CREATE UNLOGGED TABLE log (log_time timestamptz(3), user_name text, "
                    "database_name text, session_id text, session_line_num bigint, "
                    "error_severity text, message text, query text)"
                )
                number = 0
                for frame in frames:
                    with session.cursor().copy("COPY log FROM STDIN") as copy:
                        for text, at, database, user in frame.select(
                            "query_text", "start_time", "database_name", "user_name"
                        ).iter_rows():
                            number += 1
                            message = f"duration: 1.5 ms  statement: {text}"
                            copy.write_row((at, user, database, "s", number, "LOG", message, None))
            yield

    def readers(self) -> Mapping[str, HistoryReader]:
        known: dict[str, Any] = {
            "type": "Postgres",
            "username": "postgres",
            "host_port": f"127.0.0.1:{self._port}",
            "database": "postgres",
            "query_log_table": "log",
        }
        single = (
            "SELECT substring(message from 'statement: (.*)$') AS query_text, "
            "log_time AS start_time, database_name, user_name FROM log "
            "WHERE log_time >= %(start)s AND log_time < %(end)s "
            "AND message ILIKE '%%hex query ' || 'metadata%%'"
        )
        return {
            GROUPED: Postgres(**known).of(_SERVICE),
            STREAMING: Postgres(**known, history_statement=single).of(_SERVICE),
        }


class ClickHouseLog(Engine):
    """A table with the columns of system.query_log that are read, in chdb."""

    @contextmanager
    def loaded(self, frames: Iterable[pl.DataFrame]) -> Iterator[None]:
        with running(python_of("chdb-4.4.0", CHDB, dependencies=False), _CLICKHOUSE) as port:
            self._address.write_text(str(port))
            reader = Clickhouse(type="Clickhouse", host_port=f"127.0.0.1:{port}").of(_SERVICE)
            with reader._client() as client:
                client.command("CREATE DATABASE audit")
                client.command(
                    "CREATE TABLE audit.log (query String, query_id String, current_database "
                    "String, user String, query_start_time_microseconds DateTime64(6, 'UTC'), "
                    "event_date Date, type String, is_initial_query UInt8, "
                    "tables Array(String), columns Array(String)) "
                    "ENGINE = MergeTree ORDER BY event_date"
                )
                for frame in frames:
                    rows = frame.select(
                        pl.col("query_text").alias("query"),
                        "query_id",
                        pl.col("schema_name").alias("current_database"),
                        pl.col("user_name").alias("user"),
                        pl.col("start_time")
                        .dt.strftime("%Y-%m-%d %H:%M:%S%.6f")
                        .alias("query_start_time_microseconds"),
                        pl.col("start_time").dt.strftime("%Y-%m-%d").alias("event_date"),
                        pl.lit("QueryFinish").alias("type"),
                        pl.lit(1).alias("is_initial_query"),
                    )
                    for part in rows.iter_slices(10_000):
                        lines = "\n".join(json.dumps(row) for row in part.to_dicts())
                        client.command(f"INSERT INTO audit.log FORMAT JSONEachRow\n{lines}")
            yield

    def readers(self) -> Mapping[str, HistoryReader]:
        known: dict[str, Any] = {
            "type": "Clickhouse",
            "host_port": f"127.0.0.1:{self._port}",
            "query_log_table": "audit.log",
        }
        single = (
            "SELECT query AS query_text, query_start_time_microseconds AS start_time, "
            "current_database AS schema_name, user AS user_name, query_id FROM audit.log "
            "WHERE start_time >= {start:DateTime64(6, 'UTC')} "
            "AND start_time < {end:DateTime64(6, 'UTC')}"
        )
        return {
            GROUPED: Clickhouse(**known).of(_SERVICE),
            STREAMING: Clickhouse(**known, history_statement=single).of(_SERVICE),
        }


ENGINES: Mapping[str, type[Engine]] = {
    "parquet": ParquetLog,
    "mariadb": MariaDBLog,
    "postgres": PostgresLog,
    "clickhouse": ClickHouseLog,
}
