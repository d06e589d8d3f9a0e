"""Stage 2: what Hex ran in the warehouses."""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl
from pydantic import Field

from hex_assets.connections import open_history_readers
from hex_assets.frames import WAREHOUSE_QUERY_HISTORY, Frame
from hex_assets.outputs import OWNERS
from hex_assets.reporting import (
    bars,
    change_metadata,
    change_since,
    counted,
    failures,
    gaps_metadata,
    table,
)
from hex_assets.resources import FRAMES_IO, WAREHOUSE_POOL, Recipes
from hex_assets.storage import StoredFrames

if TYPE_CHECKING:
    from hex_assets.warehouse.accumulation import Accumulated


class HistoryConfig(dg.Config):
    """Run config of ``warehouse_query_history``."""

    reset_services: list[str] = Field(
        default=[],
        description="Database services whose stored history is dropped and read anew over the "
        "whole look-back; '*' for all. Needed after projects became visible that were not.",
    )


@dg.asset(
    group_name="warehouse",
    kinds={"sql"},
    owners=OWNERS,
    pool=WAREHOUSE_POOL,
    io_manager_key=FRAMES_IO,
)
def warehouse_query_history(
    context: dg.AssetExecutionContext,
    config: HistoryConfig,
    hex_recipes: Recipes,
    hex_frames: StoredFrames,
    hex_projects: Frame,
) -> dg.MaterializeResult[Frame]:
    """One row per distinct SQL statement that this Hex workspace ran.

    Read from the query history of every database service in the recipe: over the look-back at
    first, then only what is new. Hex signs each statement with a comment that names project, cell
    and context; the comment and all literals leave the text before it is stored, and users are
    counted, not kept. A service that cannot be read keeps what is known of it and leaves a gap.
    """
    from hex_assets.warehouse.accumulation import (
        HistoryState,
        accumulate,
        history_frame,
        read_state,
        write_state,
    )
    from hex_assets.warehouse.history import HistoryFigures
    from hex_assets.warehouse.known_texts import KnownTextsFile

    recipe = hex_recipes.recipe(context.partition_key)
    settings = recipe.hex_assets
    path = hex_frames.state_path("warehouse_query_history", context.partition_key)
    services = recipe.database_services
    known = KnownTextsFile(
        hex_frames.state_path("query_texts", context.partition_key),
        recipe.hex.token.get_secret_value(),
    )
    with failures(context, hex_recipes.retry_seconds):
        before = read_state(path) or HistoryState()
        texts = known.read()
        after = accumulate(
            before.storing("full" if settings.store_sql == "full" else "masked"),
            open_history_readers(recipe),
            datetime.now(timezone.utc),
            look_back=timedelta(days=settings.look_back_days),
            retention=timedelta(days=settings.retention_days),
            project_ids=frozenset(hex_projects.rows["id"]),
            projects_complete=hex_projects.complete,
            reset=services if "*" in config.reset_services else config.reset_services,
            texts=texts,
            log=context.log.info,
        )
        if services and len(after.failures) == len(services):
            raise next(iter(after.failures.values()))
        write_state(path, after.state)
        known.keep(texts)
        frame = history_frame(after.state, services)
    last = hex_frames.last(WAREHOUSE_QUERY_HISTORY, context.partition_key)
    key = ["service", "database", "schema", "project_id", "cell_id", "sql_key"]
    figures = sum((read.figures for read in after.read.values()), HistoryFigures())
    return dg.MaterializeResult(
        value=frame,
        metadata={
            "executions": int(frame.rows["executions"].sum()),
            "executions_read": figures.executions,
            "rows_read": figures.rows,
            **({"bytes_read": figures.bytes_read} if figures.bytes_read else {}),
            "executions_of_other_workspaces": figures.foreign,
            "executions_with_unreadable_comment": figures.unreadable,
            "executions_cut_by_the_warehouse": figures.cut,
            "services": dg.MetadataValue.md(_services(after, services)),
            "by_service": dg.MetadataValue.md(bars(counted(frame.rows, "service"))),
            **change_metadata(change_since(last, frame, key)),
            **gaps_metadata(frame),
        },
    )


def _services(accumulated: "Accumulated", services: Sequence[str]) -> str:
    """What was read of each service, and how far its history is known."""
    rows = []
    for service in services:
        known = accumulated.state.coverage.get(service)
        read = accumulated.read.get(service)
        rows.append(
            {
                "service": service,
                "known from": known and f"{known.since:%Y-%m-%d %H:%M}",
                "settled until": known and f"{known.settled_until:%Y-%m-%d %H:%M}",
                "known until": known and f"{known.read_until:%Y-%m-%d %H:%M}",
                "rows read": read.figures.rows if read else 0,
                "executions read": read.figures.executions if read else 0,
                "problem": known.problem if known else "",
            }
        )
    return table(pl.DataFrame(rows, infer_schema_length=None), list(rows[0]) if rows else [])
