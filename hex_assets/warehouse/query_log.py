"""Query history as files: what any warehouse can export, as Parquet, CSV or JSON lines."""

from __future__ import annotations

import glob
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import Field
from upath import UPath

from hex_assets.errors import WarehouseError
from hex_assets.frames import INSTANT, TABLES_READ
from hex_assets.section import free_form
from hex_assets.warehouse.connection import WarehouseConnection
from hex_assets.warehouse.reader import MARKER, STATEMENT_TYPES, HistoryBatch, Window, grouped

LogColumn = Literal[
    "query_text",
    "start_time",
    "database_name",
    "schema_name",
    "user_name",
    "query_id",
    "execution_status",
]

COLUMNS: Mapping[LogColumn, str] = {
    "query_text": "statement as logged, with its comments; required",
    "start_time": "start of the execution; required",
    "database_name": "session database",
    "schema_name": "session schema",
    "user_name": "warehouse user",
    "query_id": "warehouse id of the execution",
    "execution_status": "outcome; failed, cancelled and unfinished executions are left out",
}
"""Our name of each column of a log, and the name it is looked for under by default."""

_REQUIRED = ("query_text", "start_time")
_ROWS_PER_BATCH = 10_000
_ROWS_TO_KNOW_COLUMNS = 1_000
_FORMATS = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}
_MAGIC = re.compile(r"[*?\[]")

_UNSUCCESSFUL = (
    r"(?i)^(fail|error|cancel|abort|incident|exception|kill|time.?out|running|queued|querystart)"
)
"""Statuses of the warehouses' logs that mean no result, or not yet one."""

_TIME = (
    r"^\s*(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d+)?)"
    r"\s*(?:Z|UTC|GMT|([+-])(\d\d):?(\d\d)?)?\s*$"
)
_EPOCH = r"^\s*(\d{9,19})(?:\.\d*)?\s*$"


_POSTGRES_STATEMENT = r"^(?:duration: [\d.]+ ms  )?(?:statement|execute [^:]*): "
_POSTGRES_STEP = r"^(?:duration: [\d.]+ ms  )?(?:(?:parse|bind) [^:]*|execute fetch from [^:]*): "


class QueryLog(WarehouseConnection):
    """Query history as files: what any warehouse can export."""

    type: Literal["QueryLog"] = Field(description="Always QueryLog.")
    path: str = Field(
        min_length=1,
        description="File, glob or fsspec URL, for example s3://logs/hex/*.parquet; `.gz` is "
        "unpacked for CSV and JSON lines.",
    )
    dialect: str = Field(
        min_length=1, description="SQL dialect by its sqlglot name, for example bigquery."
    )
    format: Literal["parquet", "csv", "jsonl"] | None = Field(
        default=None, description="File format; by default told from the suffix of the path."
    )
    columns: dict[LogColumn, str] = Field(
        default_factory=dict,
        description="The log's own name of a column by ours, where the two differ. Needed are "
        "query_text and start_time (UTC unless it says otherwise).",
    )
    storage_options: dict[str, Any] = free_form("Options of the fsspec file system, e.g. key.")

    @property
    def sql_dialect(self) -> str:
        return self.dialect

    def read(self, window: Window) -> Iterator[HistoryBatch]:
        """See ``HistoryReader.read``; one row per execution.

        A time is taken for UTC unless it says otherwise. Numbers are seconds, milli-, micro- or
        nanoseconds since 1970, by their size. Executions at unreadable times are a gap.
        """
        for location in self._files():
            with self._local(location) as file:
                yield from self._read_file(file, location.name, window)

    def check(self) -> str:
        """See ``HistoryReader.check``."""
        files = self._files()
        with self._local(files[-1]) as file:
            if not self._is_empty(file, files[-1].name):
                self._scan(file, files[-1].name)
        return f"{len(files)} file{'s' if len(files) > 1 else ''} found, columns are there"

    def _files(self) -> list[UPath]:
        """The files that the path names, at least one, in order of their names."""
        with self._storage_errors():
            location = UPath(self.path, **self.storage_options)
            matches = [location.path]
            if _MAGIC.search(self.path) and not location.is_file():
                matches = sorted(location.fs.glob(location.path))
            protocol = location.protocol or "file"
            found = [UPath(match, protocol=protocol, **self.storage_options) for match in matches]
            files = [file for file in found if file.is_file()]
        if not files:
            raise WarehouseError(
                self.service,
                f"there is no query log file at {self._shown_path}",
                "Correct `path`; a folder needs a pattern behind it, for example logs/*.parquet",
            )
        return files

    @property
    def _shown_path(self) -> str:
        """The path without what signs it."""
        return self.path.partition("?")[0] if "://" in self.path else self.path

    @contextmanager
    def _local(self, location: UPath) -> Iterator[Path]:
        """The file on this machine: itself, or a copy for as long as it is read."""
        if location.protocol in ("", "file", "local"):
            yield Path(location.path)
            return
        with tempfile.TemporaryDirectory(prefix="hex-assets-") as folder:
            copy = Path(folder) / location.name
            with self._storage_errors():
                location.fs.get_file(location.path, str(copy))
            yield copy

    @contextmanager
    def _storage_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ImportError, ValueError) as error:
            # The error's own text may hold a signed address.
            raise WarehouseError(
                self.service,
                f"the query log at {self._shown_path} cannot be reached ({type(error).__name__})",
                "Check `path` and `storageOptions`; object stores need their fsspec package, for "
                "example s3fs, gcsfs or adlfs",
            ) from None

    def _read_file(self, file: Path, name: str, window: Window) -> Iterator[HistoryBatch]:
        if self._is_empty(file, name):
            return
        log = self._scan(file, name).filter(
            pl.col("query_text").str.contains(MARKER),
            pl.col("execution_status").str.contains(_UNSUCCESSFUL).not_().fill_null(True),
            pl.col("start_time").is_null()
            | pl.col("start_time").is_between(window.start, window.end, closed="left"),
        )
        if self.dialect == "postgres":
            log = _postgres_statements(log)
        undated = 0
        with self._unreadable(name):
            for rows in log.collect_batches(chunk_size=_ROWS_PER_BATCH):
                dated = rows.filter(pl.col("start_time").is_not_null())
                undated += rows.height - dated.height
                if dated.height:
                    yield HistoryBatch(grouped(_executions(dated)))
        if undated:
            gap = f"{self.service}: {undated} executions in {name} have no readable start_time"
            yield HistoryBatch(pl.DataFrame(schema=STATEMENT_TYPES), gaps=(gap,))

    def _is_empty(self, file: Path, name: str) -> bool:
        """No lines are no statements; the other formats have a header."""
        return self._format(name) == "jsonl" and file.stat().st_size == 0

    def _scan(self, file: Path, name: str) -> pl.LazyFrame:
        """The log with our column names; texts as strings, times as instants."""
        with self._unreadable(name):
            if self._format(name) == "parquet":
                log = pl.scan_parquet(file, glob=False, low_memory=True)
            elif self._format(name) == "csv":
                log = pl.scan_csv(file, infer_schema=False, glob=False)
            else:
                log = pl.scan_ndjson(
                    glob.escape(str(file)), infer_schema_length=_ROWS_TO_KNOW_COLUMNS
                )
            types = log.collect_schema()
        there = self._columns_there(list(types), name)
        if self._format(name) == "jsonl":
            # A key may come up, or change its type, after the rows that the types are told from.
            log = pl.scan_ndjson(
                glob.escape(str(file)), schema=dict.fromkeys(there.values(), pl.String)
            )
            types = pl.Schema(dict.fromkeys(there.values(), pl.String))
        absent = [column for column in COLUMNS if column not in there]
        return log.select(
            *(
                (
                    _instant(source, types[source]) if column == "start_time" else _text(source)
                ).alias(column)
                for column, source in there.items()
            ),
            *(pl.lit(None, pl.String).alias(column) for column in absent),
        )

    def _format(self, name: str) -> str:
        if self.format:
            return self.format
        suffixes = [suffix.lower() for suffix in Path(name).suffixes if suffix.lower() != ".gz"]
        known = _FORMATS.get(suffixes[-1]) if suffixes else None
        if known is None:
            raise WarehouseError(
                self.service,
                f"the format of {name} cannot be told from its suffix",
                "Set `format` to parquet, csv or jsonl",
            )
        return known

    def _columns_there(self, present: list[str], name: str) -> dict[str, str]:
        """Our name to the log's own name of each column that the log has."""
        there: dict[str, str] = {}
        missing = []
        for column in COLUMNS:
            wanted = self.columns.get(column, column)
            same = [one for one in present if one == wanted] or [
                one for one in present if one.lower() == wanted.lower()
            ]
            if same:
                there[column] = same[0]
            elif column in _REQUIRED or column in self.columns:
                missing.append(wanted)
        if missing:
            raise WarehouseError(
                self.service,
                f"query log {name} has no column {', '.join(missing)}; "
                f"it has {', '.join(present[:50])}",
                "Name the log's own columns in `columns`, for example "
                f"columns: {{{', '.join(f'{column}: ...' for column in _REQUIRED)}}}",
            )
        return there

    @contextmanager
    def _unreadable(self, name: str) -> Iterator[None]:
        try:
            yield
        except (pl.exceptions.PolarsError, OSError) as error:
            # The error's own text may quote a statement.
            raise WarehouseError(
                self.service,
                f"query log {name} is damaged, cut short, or of another format "
                f"({type(error).__name__})",
                "Export it again, or set `format` to parquet, csv or jsonl",
            ) from None


def _executions(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(
        "query_text",
        pl.col("database_name").alias("database"),
        pl.col("schema_name").alias("schema"),
        pl.col("user_name").alias("user"),
        pl.col("start_time").alias("started_at"),
        "query_id",
        pl.lit(None, TABLES_READ).alias("resolved"),
    )


def _text(column: str) -> pl.Expr:
    text = pl.col(column).cast(pl.String, strict=False)
    return pl.when(text != "").then(text)


def _instant(column: str, dtype: pl.DataType) -> pl.Expr:
    """Instants from whatever a log keeps them as; null where unreadable."""
    value = pl.col(column)
    if isinstance(dtype, pl.Datetime):
        zoned = (
            value.dt.convert_time_zone("UTC")
            if dtype.time_zone
            else (value.dt.replace_time_zone("UTC"))
        )
        return zoned.cast(INSTANT)
    text = value.cast(pl.String, strict=False)
    part = text.str.extract
    seconds = (
        part(_TIME, 4).cast(pl.Int64) * 3600 + part(_TIME, 5).fill_null("0").cast(pl.Int64) * 60
    )
    offset = pl.when(part(_TIME, 3) == "-").then(-seconds).otherwise(seconds).fill_null(0)
    clock = pl.concat_str(part(_TIME, 1), part(_TIME, 2), separator="T").str.to_datetime(
        "%Y-%m-%dT%H:%M:%S%.f", time_unit="us", time_zone="UTC", strict=False
    )
    return pl.coalesce(clock - pl.duration(seconds=offset), _since_epoch(part(_EPOCH, 1)))


def _since_epoch(digits: pl.Expr) -> pl.Expr:
    number = digits.cast(pl.Int64)
    microseconds = (
        pl.when(number < 10**11)
        .then(number * 10**6)
        .when(number < 10**14)
        .then(number * 10**3)
        .when(number < 10**17)
        .then(number)
        .otherwise(number // 10**3)
    )
    return pl.from_epoch(microseconds, time_unit="us").dt.replace_time_zone("UTC")


def _postgres_statements(log: pl.LazyFrame) -> pl.LazyFrame:
    """Statements of PostgreSQL's server log, if it is one, without what the server puts before.

    Steps of the extended protocol that repeat the text of what is executed are left out.
    """
    text = pl.col("query_text")
    return log.filter(text.str.contains(_POSTGRES_STEP).not_()).with_columns(
        text.str.replace(_POSTGRES_STATEMENT, "")
    )
