"""Query history as files: what any warehouse can export, as Parquet, CSV or JSON lines."""

from __future__ import annotations

import glob
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import Field, field_validator
from upath import UPath

from hex_assets.errors import WarehouseError
from hex_assets.frames import INSTANT, TABLES_READ
from hex_assets.section import free_form
from hex_assets.warehouse.comment import MARKER, USER_EMAIL
from hex_assets.warehouse.connection import WarehouseConnection
from hex_assets.warehouse.reader import STATEMENT_TYPES, HistoryBatch, Window
from hex_assets.warehouse.tables_read import tables_read

LogColumn = Literal[
    "query_text",
    "start_time",
    "database_name",
    "schema_name",
    "user_name",
    "query_id",
    "execution_status",
    "resolved",
    "executions",
    "last_seen",
]

COLUMNS: Mapping[LogColumn, str] = {
    "query_text": "statement as logged, with its comments; required",
    "start_time": "start of the execution; required",
    "database_name": "session database",
    "schema_name": "session schema",
    "user_name": "warehouse user",
    "query_id": "warehouse id of the execution",
    "execution_status": "outcome; failed, cancelled and unfinished executions are left out",
    "resolved": "tables and columns that it read, as JSON (see ``tables_read``)",
    "executions": "how often it ran, where a row stands for several executions",
    "last_seen": "start of the last of several executions",
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
    r"(?i)^(fail|error|fatal|panic|cancel|abort|incident|exception|kill|time.?out|running|queued"
    r"|querystart)"
)
"""Statuses of the warehouses' logs that mean no result, or not yet one."""

_TIME = (
    r"^\s*(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d+)?)"
    r"\s*(?:Z|UTC|GMT|([+-])(\d\d):?(\d\d)?)?\s*$"
)
_CSVLOG = (
    "log_time user_name database_name process_id connection_from session_id session_line_num "
    "command_tag session_start_time virtual_transaction_id transaction_id error_severity "
    "sql_state_code message detail hint internal_query internal_query_pos context query query_pos "
    "location application_name backend_type leader_pid query_id"
).split()
"""Columns of PostgreSQL's csvlog, which has no header; older versions lack the last ones."""

_PRESETS: Mapping[str, Mapping[LogColumn, str]] = {
    "postgres-csvlog": {
        "query_text": "message",
        "start_time": "log_time",
        "query_id": "session_id",
        "execution_status": "error_severity",
    },
    "postgres-jsonlog": {
        "query_text": "message",
        "start_time": "timestamp",
        "database_name": "dbname",
        "user_name": "user",
        "query_id": "session_id",
        "execution_status": "error_severity",
    },
}

# What PostgreSQL writes before a statement, by log_statement or log_min_duration_statement, with
# or without the prefix of a line. The other messages that may quote a statement (parse, bind,
# auto_explain, pgaudit, portals fetched again) are no executions of their own.
_LINE = r"(?s)\A(?:.{0,500}?LOG:  )?"
_POSTGRES_PREFIX = _LINE + r"(?:duration: [0-9.]+ ms  )?(?:statement|execute [^:\n]*): "
_POSTGRES_OTHER = _LINE + (
    r"(?:(?:duration: [0-9.]+ ms  )?execute fetch from|duration: [0-9.]+ ms  (?:parse|bind|plan)"
    r"|AUDIT: )"
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
    preset: Literal["postgres-csvlog", "postgres-jsonlog"] | None = Field(
        default=None,
        description="A known layout: sets format and columns, which `columns` may still change.",
    )
    csv_columns: list[str] = Field(
        default_factory=list, description="Names of the columns of a CSV without header, in order."
    )
    text_prefix: str | None = Field(
        default=None,
        description="Regular expression of what precedes the statement in query_text; texts "
        "without it are passed over. For dialect postgres, what its log writes is removed anyway.",
    )
    late_by_days: int = Field(
        default=8,
        ge=0,
        le=90,
        description="Days after which a file of executions may still arrive. The files have to "
        "reach back so far, since those days are read anew by each run.",
    )
    storage_options: dict[str, Any] = free_form("Options of the fsspec file system, e.g. key.")

    @field_validator("text_prefix")
    @classmethod
    def _is_pattern(cls, pattern: str | None) -> str | None:
        try:
            pl.Series([""]).str.contains(pattern or "")
        except pl.exceptions.ComputeError:
            raise ValueError(
                "is not a regular expression of Rust's dialect, which has no look-around"
            ) from None
        return pattern

    @property
    def latency(self) -> timedelta:
        return timedelta(days=self.late_by_days)

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
        log = (
            self._scan(file, name)
            .filter(
                pl.col("query_text").str.contains(MARKER),
                self._is_statement(),
                pl.col("execution_status").str.contains(_UNSUCCESSFUL).not_().fill_null(True),
                pl.col("start_time").is_null()
                | pl.col("start_time").is_between(window.start, window.end, closed="left"),
            )
            .with_columns(self._without_prefix())
        )
        if self.dialect == "postgres":
            log = _postgres_statements(log)
        undated = 0
        with self._unreadable(name):
            for rows in log.collect_batches(chunk_size=_ROWS_PER_BATCH):
                dated = rows.filter(pl.col("start_time").is_not_null())
                undated += rows.height - dated.height
                single = dated.filter(pl.col("executions").is_null())
                several = dated.filter(pl.col("executions").is_not_null())
                if single.height:
                    yield HistoryBatch(_executions(single))
                if several.height:
                    yield HistoryBatch(_groups(several))
        if undated:
            gap = f"{self.service}: {undated} executions in {name} have no readable start_time"
            yield HistoryBatch(pl.DataFrame(schema=STATEMENT_TYPES), gaps=(gap,))

    def _is_statement(self) -> pl.Expr:
        text = pl.col("query_text")
        if self.text_prefix is not None:
            return text.str.contains(self.text_prefix)
        if self.dialect == "postgres":
            return text.str.contains(_POSTGRES_OTHER).not_()
        return pl.lit(True)

    def _without_prefix(self) -> pl.Expr:
        prefix = self.text_prefix
        if prefix is None and self.dialect == "postgres":
            prefix = _POSTGRES_PREFIX
        text = pl.col("query_text")
        return text if prefix is None else text.str.replace(prefix, "")

    def _is_empty(self, file: Path, name: str) -> bool:
        """No lines are no statements; the other formats have a header."""
        return self._format(name) == "jsonl" and file.stat().st_size == 0

    def _scan(self, file: Path, name: str) -> pl.LazyFrame:
        """The log with our column names; texts as strings, times as instants."""
        with self._unreadable(name):
            if self._format(name) == "parquet":
                log = pl.scan_parquet(file, glob=False, low_memory=True)
            elif self._format(name) == "csv":
                names = self.csv_columns or (_CSVLOG if self.preset == "postgres-csvlog" else [])
                log = pl.scan_csv(file, infer_schema=False, glob=False, has_header=not names)
                if names:
                    given = log.collect_schema().names()
                    log = log.rename(dict(zip(given, names, strict=False)), strict=False)
            else:
                log = pl.scan_ndjson(
                    glob.escape(str(file)), infer_schema_length=_ROWS_TO_KNOW_COLUMNS
                )
            types = log.collect_schema()
        there = self._columns_there(types, name)
        if self._format(name) == "jsonl":
            # A key may come up, or change its type, after the rows that the types are told from.
            types = pl.Schema({path[0]: pl.String() for path in there.values()})
            log = pl.scan_ndjson(glob.escape(str(file)), schema=types)
        return log.select(
            _column(column, there[column], types)
            if column in there
            else pl.lit(None, _TYPES.get(column, pl.String)).alias(column)
            for column in COLUMNS
        )

    def _format(self, name: str) -> str:
        if self.format:
            return self.format
        if self.preset:
            return "csv" if self.preset == "postgres-csvlog" else "jsonl"
        suffixes = [suffix.lower() for suffix in Path(name).suffixes if suffix.lower() != ".gz"]
        known = _FORMATS.get(suffixes[-1]) if suffixes else None
        if known is None:
            raise WarehouseError(
                self.service,
                f"the format of {name} cannot be told from its suffix",
                "Set `format` to parquet, csv or jsonl",
            )
        return known

    def _columns_there(self, types: pl.Schema, name: str) -> dict[LogColumn, tuple[str, ...]]:
        """Our name to the path of each column that the log has: its name, and keys inside it."""
        present = list(types)
        named = {**_PRESETS.get(self.preset or "", {}), **self.columns}
        there: dict[LogColumn, tuple[str, ...]] = {}
        missing = []
        for column in COLUMNS:
            wanted = named.get(column, column)
            same = [one for one in present if one == wanted] or [
                one for one in present if one.lower() == wanted.lower()
            ]
            root, *keys = wanted.split(".")
            if same:
                there[column] = (same[0],)
            elif keys and root in present:
                there[column] = (root, *keys)
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
        pl.Series("resolved", [tables_read(text) for text in rows["resolved"]], TABLES_READ),
    )


def _groups(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows that the export has grouped, as rows of ``STATEMENTS``."""
    comment = pl.col("query_text").str.extract("(?is)(hex query metadata.*)$")
    user = pl.coalesce(comment.str.extract(USER_EMAIL), "user").str.to_lowercase()
    return (
        _executions(rows)
        .with_columns(
            pl.concat_list(user).list.drop_nulls().alias("users"),
            rows["executions"],
            pl.col("started_at").alias("first_seen"),
            pl.max_horizontal("started_at", rows["last_seen"]).alias("last_seen"),
            pl.col("query_id").alias("sample_query_id"),
        )
        .select(*STATEMENT_TYPES)
    )


_TYPES: Mapping[str, Any] = {"start_time": INSTANT, "last_seen": INSTANT, "executions": pl.Int64}


def _column(column: str, path: tuple[str, ...], types: pl.Schema) -> pl.Expr:
    """One of our columns from where the log has it."""
    root, *keys = path
    value = pl.col(root)
    dtype: Any = types[root]
    for at, key in enumerate(keys):
        if not isinstance(dtype, pl.Struct):
            value = value.str.json_path_match("$." + ".".join(keys[at:]))
            dtype = pl.String()
            break
        value = value.struct.field(key)
        dtype = dict(dtype.to_schema()).get(key, pl.String())
    if column in ("start_time", "last_seen"):
        return _instant(value, dtype).alias(column)
    if column == "executions":
        return value.cast(pl.Int64, strict=False).alias(column)
    if isinstance(dtype, pl.List):
        value = pl.struct(value.alias("all")).struct.json_encode().str.json_path_match("$.all")
    text = value.cast(pl.String, strict=False)
    return pl.when(text != "").then(text).alias(column)


def _instant(value: pl.Expr, dtype: Any) -> pl.Expr:
    """Instants from whatever a log keeps them as; null where unreadable."""
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
