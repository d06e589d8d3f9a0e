"""Stage 2: what Hex ran in the warehouses."""

from datetime import datetime, timedelta, timezone

import dagster as dg

from hex_assets.connections import open_history_readers
from hex_assets.frames import WAREHOUSE_QUERY_HISTORY, Frame
from hex_assets.reporting import (
    bars,
    change_metadata,
    change_since,
    counted,
    failures,
    gaps_metadata,
)
from hex_assets.resources import Recipes
from hex_assets.storage import StoredFrames


@dg.asset(
    group_name="warehouse",
    kinds={"sql"},
    owners=["team:data-platform"],
    pool="warehouse",
)
def warehouse_query_history(
    context: dg.AssetExecutionContext, recipes: Recipes, stored: StoredFrames, hex_projects: Frame
) -> dg.MaterializeResult[Frame]:
    """One row per distinct SQL statement that this Hex workspace ran.

    Read from the query history of every database service in the recipe, over its look-back.
    Hex signs each statement with a comment that names project, cell and context; the comment and
    all literals leave the text before it is stored, and users are counted, not kept.
    """
    from hex_assets.warehouse.history import Window, read_query_history

    recipe = recipes.recipe(context.partition_key)
    now = datetime.now(timezone.utc)
    window = Window(now - timedelta(days=recipe.hex_assets.look_back_days), now)
    with failures():
        history = read_query_history(
            open_history_readers(recipe),
            window,
            project_ids=frozenset(hex_projects.rows["id"]),
            store_sql="full" if recipe.hex_assets.store_sql == "full" else "masked",
            log=context.log.info,
        )
    frame = history.frame
    last = stored.last(WAREHOUSE_QUERY_HISTORY, context.partition_key)
    key = ["service", "database", "schema", "project_id", "cell_id", "sql_key"]
    return dg.MaterializeResult(
        value=frame,
        metadata={
            "executions": history.figures.executions,
            "executions_of_other_workspaces": history.figures.foreign,
            "executions_with_unreadable_comment": history.figures.unreadable,
            "executions_cut_by_the_warehouse": history.figures.cut,
            "window_start": dg.MetadataValue.text(window.start.isoformat()),
            "window_end": dg.MetadataValue.text(window.end.isoformat()),
            "by_service": dg.MetadataValue.md(bars(counted(frame.rows, "service"))),
            **change_metadata(change_since(last, frame, key)),
            **gaps_metadata(frame),
        },
    )
