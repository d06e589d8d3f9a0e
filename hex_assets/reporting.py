"""What an asset tells Dagster: failures that say what to do, progress, readable metadata."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any
from urllib.parse import quote

import dagster as dg
import polars as pl

from hex_assets.errors import HexAssetsError
from hex_assets.frames import Frame

STEP_RETRIES = 2
"""The clients have retried each request by then; this outlives an outage of some minutes."""

_ROWS_SHOWN = 15
_GAPS_SHOWN = 10
_BAR_WIDTH = 20
_SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def failures(context: dg.AssetExecutionContext, retry_seconds: int) -> Iterator[None]:
    """Turn our errors into what Dagster does next: see ``step_failure``.

    Anything else is a mistake in this package, passes, and is not retried.
    """
    try:
        yield
    except HexAssetsError as error:
        raise step_failure(context, retry_seconds, error) from error


def step_failure(
    context: dg.AssetExecutionContext,
    retry_seconds: int,
    error: HexAssetsError,
    metadata: Mapping[str, Any] | None = None,
) -> dg.RetryRequested | dg.Failure:
    """A request to try the step again if the error is transient, else its failure.

    A retry policy of the asset would do the same to errors that no retry can mend.

    Args:
        retry_seconds: wait before the first retry; the second waits twice as long.
        metadata: shown beside the failure.
    """
    if error.transient and context.retry_number < STEP_RETRIES:
        wait = retry_seconds * (context.retry_number + 1)
        context.log.warning(f"{error} Trying again in {wait} s.")
        return dg.RetryRequested(STEP_RETRIES, wait)
    return dg.Failure(str(error), metadata=metadata, allow_retries=False)


def log_progress(
    log: Callable[[str], None], what: str, clock: Callable[[], float] = monotonic
) -> Callable[[int, int], None]:
    """A callback ``(done, total)`` that logs every ten seconds and at the end."""
    started = clock()
    last = started

    def progress(done: int, total: int) -> None:
        nonlocal last
        now = clock()
        if done < total and now - last < _SECONDS_BETWEEN_LINES:
            return
        last = now
        left = f", about {(now - started) / done * (total - done):.0f} s left" if done else ""
        log(f"{what}: {done} of {total}{left if done < total else ''}")

    return progress


@dataclass(frozen=True)
class Change:
    """Rows of a frame that came, went or changed since the last materialization."""

    added: pl.DataFrame
    removed: pl.DataFrame
    changed: pl.DataFrame

    @property
    def counts(self) -> dict[str, int]:
        return {
            "added": self.added.height,
            "removed": self.removed.height,
            "changed": self.changed.height,
        }


def change_since(last: Frame | None, now: Frame, key: Sequence[str]) -> Change:
    """Compare with what the last run stored; before the first run, every row was added."""
    before = last.rows if last is not None else now.schema.empty().rows
    options: dict[str, Any] = {"on": list(key), "nulls_equal": True}
    both = now.rows.join(before, how="semi", **options)
    return Change(
        added=now.rows.join(before, how="anti", **options),
        removed=before.join(now.rows, how="anti", **options),
        changed=_rows_not_in(both, before),
    )


def _rows_not_in(rows: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    digest = pl.struct(pl.all()).hash()
    known = others.select(digest.alias("digest"))["digest"]
    return rows.filter(~digest.is_in(known.implode()))


def change_metadata(change: Change) -> dict[str, Any]:
    """Counts as numbers (Dagster plots them over runs) and a table of them with bars."""
    table = bars([(name, count) for name, count in change.counts.items()])
    return {"change_since_last_run": dg.MetadataValue.md(table), **change.counts}


def gaps_metadata(frame: Frame) -> dict[str, Any]:
    """Nothing for a complete frame, else the first gaps and their number."""
    if frame.complete:
        return {}
    shown = [f"- {gap}" for gap in frame.gaps[:_GAPS_SHOWN]]
    if len(frame.gaps) > _GAPS_SHOWN:
        shown.append(f"- and {len(frame.gaps) - _GAPS_SHOWN} more")
    return {"gaps": dg.MetadataValue.md("\n".join(shown)), "gap_count": len(frame.gaps)}


def report_metadata(url: str, workspace: str) -> dict[str, Any]:
    """A link to the workspace in the report that is served at the URL; nothing without one."""
    return {"report": dg.MetadataValue.url(f"{url}#workspace={quote(workspace)}")} if url else {}


def bars(counts: Sequence[tuple[str, int]]) -> str:
    """A Markdown table of labels, counts and bars, the longest bar for the largest count."""
    largest = max((count for _, count in counts), default=0)
    lines = ["| | count | |", "|---|---:|---|"]
    for label, count in counts:
        bar = "█" * (round(_BAR_WIDTH * count / largest) if largest else 0)
        lines.append(f"| {_cell(label)} | {count} | {bar} |")
    return "\n".join(lines)


def counted(frame: pl.DataFrame, column: str) -> list[tuple[str, int]]:
    """How often each value of a column occurs, most frequent first; null reads 'none'."""
    counts = (
        frame.group_by(column)
        .len()
        .with_columns(pl.col(column).cast(pl.String).fill_null("none"))
        .sort(["len", column], descending=[True, False])
    )
    return list(counts.select(column, "len").iter_rows())[:_ROWS_SHOWN]


def table(frame: pl.DataFrame, columns: Sequence[str]) -> str:
    """The first rows as a Markdown table."""
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    shown = frame.select(columns).head(_ROWS_SHOWN)
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in shown.iter_rows()]
    if frame.height > _ROWS_SHOWN:
        lines.append(f"\n… and {frame.height - _ROWS_SHOWN} more")
    return "\n".join(lines)


def _cell(value: object) -> str:
    text = "" if value is None else " ".join(str(value).split())
    text = text if len(text) <= 120 else text[:119] + "…"
    return text.replace("|", "\\|").replace("<", "&lt;")
