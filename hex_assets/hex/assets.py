"""Stage 1: what exists in Hex."""

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from hex_assets.connections import map_data_connections, open_hex
from hex_assets.frames import (
    HEX_CELLS,
    HEX_COMPONENT_IMPORTS,
    HEX_COVERAGE,
    HEX_DATA_CONNECTIONS,
    HEX_PROJECTS,
    HEX_QUERIED_TABLES,
    HEX_RUNS,
    Frame,
    FrameSchema,
)
from hex_assets.hex.run_history import COMPLETED, UNDER_WAY
from hex_assets.outputs import OWNERS, frame_out
from hex_assets.reporting import (
    bars,
    change_metadata,
    change_since,
    counted,
    failures,
    gaps_metadata,
    table,
)
from hex_assets.resources import FRAMES_IO, HEX_POOL, Recipes
from hex_assets.storage import StoredFrames

if TYPE_CHECKING:
    from hex_assets.hex.reading import HexDetails, Progress

_GROUP = "hex"
_SECONDS_BETWEEN_LINES = 30.0


@dg.asset(group_name=_GROUP, kinds={"hex"}, owners=OWNERS, pool=HEX_POOL, io_manager_key=FRAMES_IO)
def hex_workspace(
    context: dg.AssetExecutionContext, hex_recipes: Recipes
) -> dg.MaterializeResult[Frame]:
    """Whose token it is: kind, end, scopes it lacks, and the id of the organization for links."""
    from hex_assets.hex.client import LOST_WITHOUT
    from hex_assets.hex.reader import read_workspace

    with (
        failures(context, hex_recipes.retry_seconds),
        open_hex(hex_recipes.recipe(context.partition_key)) as client,
    ):
        frame = read_workspace(client)
    (row,) = frame.rows.to_dicts()
    return dg.MaterializeResult(
        value=frame,
        metadata={
            "hex": dg.MetadataValue.url(client.web_url),
            "token_kind": row["token_kind"],
            "token_expires_at": str(row["token_expires_at"] or "never, or unknown"),
            **_days_left(row["token_expires_at"]),
            "missing_scopes": dg.MetadataValue.md(
                _lines(tuple(f"{scope}: {LOST_WITHOUT[scope]}" for scope in row["missing_scopes"]))
            ),
        },
    )


@dg.asset(group_name=_GROUP, kinds={"hex"}, owners=OWNERS, pool=HEX_POOL, io_manager_key=FRAMES_IO)
def hex_projects(
    context: dg.AssetExecutionContext,
    hex_recipes: Recipes,
    hex_frames: StoredFrames,
    hex_workspace: Frame,
) -> dg.MaterializeResult[Frame]:
    """Every project and component of the Hex workspace, drafts, archived and trashed ones too.

    Read in one listing through Hex's API: title, owner, status, categories, collections,
    publication, schedules and app views. A listing that stops before its end fails this asset
    and keeps what was stored before.
    """
    from hex_assets.hex.reader import read_projects

    recipe = hex_recipes.recipe(context.partition_key)
    org_id = recipe.hex_assets.hex_org_id or hex_workspace.rows["org_id"][0]
    with failures(context, hex_recipes.retry_seconds), open_hex(recipe) as client:
        frame = read_projects(client, org_id)
    change = change_since(hex_frames.last(HEX_PROJECTS, context.partition_key), frame, ["id"])
    return dg.MaterializeResult(
        value=frame,
        metadata={
            "hex": dg.MetadataValue.url(client.web_url),
            "requests": client.requests_sent,
            **_project_counts(frame.rows),
            "by_type": dg.MetadataValue.md(bars(counted(frame.rows, "type"))),
            "by_status": dg.MetadataValue.md(bars(counted(frame.rows, "status"))),
            "new_projects": dg.MetadataValue.md(
                table(change.added, ["title", "owner_email", "status", "url"])
            ),
            **change_metadata(change),
            **gaps_metadata(frame),
        },
    )


@dg.asset(group_name=_GROUP, kinds={"hex"}, owners=OWNERS, pool=HEX_POOL, io_manager_key=FRAMES_IO)
def hex_data_connections(
    context: dg.AssetExecutionContext, hex_recipes: Recipes, hex_frames: StoredFrames
) -> dg.MaterializeResult[Frame]:
    """The data connections of the workspace: default database and schema, and database service.

    The service is the one the recipe names for it, else the one of ``dbServicePrefixes`` with
    the same type and account, host or project.
    """
    from hex_assets.hex.reader import data_connections_frame, read_data_connections

    recipe = hex_recipes.recipe(context.partition_key)
    with failures(context, hex_recipes.retry_seconds):
        with open_hex(recipe) as client:
            listing = read_data_connections(client)
        mapped = map_data_connections(recipe, listing.items)
    frame = data_connections_frame(listing, mapped.services)
    for question in mapped.open_questions:
        context.log.warning(question)
    for key in mapped.unknown_keys:
        context.log.warning(f"hexAssets.dataConnections names {key}, which Hex does not list")
    change = change_since(
        hex_frames.last(HEX_DATA_CONNECTIONS, context.partition_key), frame, ["id"]
    )
    return dg.MaterializeResult(
        value=frame,
        metadata={
            "requests": client.requests_sent,
            "by_type": dg.MetadataValue.md(bars(counted(frame.rows, "type"))),
            "by_service": dg.MetadataValue.md(bars(counted(frame.rows, "service"))),
            "to_be_mapped": dg.MetadataValue.md(_lines(mapped.open_questions)),
            "outside_of_dbServicePrefixes": dg.MetadataValue.md(_lines(mapped.outside)),
            "unknown_in_recipe": dg.MetadataValue.md(_lines(mapped.unknown_keys)),
            **change_metadata(change),
            **gaps_metadata(frame),
        },
    )


def _out(description: str) -> dg.AssetOut:
    return frame_out(description, group_name=_GROUP, kind="hex")


@dg.multi_asset(
    outs={
        "hex_cells": _out(
            "The cells of every project and component that is not in the trash. SQL has no "
            "literals and no Jinja; published projects are read as published where Hex allows it."
        ),
        "hex_component_imports": _out("Which project or component imports which component."),
        "hex_queried_tables": _out(
            "The tables that Hex itself saw published projects query; empty without the "
            "Enterprise plan."
        ),
        "hex_runs": _out(
            "The latest run of each published project and trigger, with success rate and duration."
        ),
        "hex_coverage": _out(
            "How current what was read of each project is: current, stale or never read, and why."
        ),
    },
    can_subset=True,
    pool=HEX_POOL,
)
def hex_details(
    context: dg.AssetExecutionContext,
    hex_recipes: Recipes,
    hex_frames: StoredFrames,
    hex_projects: Frame,
    hex_data_connections: Frame,
) -> Iterator[dg.MaterializeResult[Frame]]:
    """Read what changed since the last run, what was never read, and a rotating slice.

    Each answer is stored at once, so a run that is cut short by its time budget, or killed, is
    taken up by the next one where it stopped.
    """
    from hex_assets.hex.details import KINDS, StoredDetails
    from hex_assets.hex.reading import ReadingLimits, read_details
    from hex_assets.warehouse.masking import mask_literals

    settings = hex_recipes.recipe(context.partition_key).hex_assets
    selected = context.op_execution_context.selected_output_names
    wanted = {
        "cells": {"hex_cells", "hex_component_imports"},
        "queried_tables": {"hex_queried_tables"},
        "runs": {"hex_runs"},
    }
    minutes = settings.read_minutes
    with (
        failures(context, hex_recipes.retry_seconds),
        open_hex(hex_recipes.recipe(context.partition_key)) as client,
    ):
        read = read_details(
            client,
            hex_projects,
            hex_data_connections,
            mask_literals,
            StoredDetails(hex_frames.folder("hex_details", context.partition_key)),
            kinds=[kind for kind in KINDS if wanted[kind] & selected],
            limits=ReadingLimits(
                settings.refresh_in_runs,
                None if minutes is None else 60.0 * minutes,
                settings.runs_read,
            ),
            progress=_log_progress(context.log.info),
        )
    results: dict[str, tuple[FrameSchema, Frame, list[str], dict[str, Any]]] = {
        "hex_cells": (
            HEX_CELLS,
            read.cells,
            ["project_id", "cell_id"],
            {
                **_figures(read),
                "by_type": dg.MetadataValue.md(bars(counted(read.cells.rows, "type"))),
            },
        ),
        "hex_component_imports": (
            HEX_COMPONENT_IMPORTS,
            read.component_imports,
            ["project_id", "component_id", "cell_id"],
            {},
        ),
        "hex_queried_tables": (
            HEX_QUERIED_TABLES,
            read.queried_tables,
            ["project_id", "data_connection_id", "table_name"],
            {},
        ),
        "hex_runs": (
            HEX_RUNS,
            read.runs,
            ["project_id", "trigger"],
            {
                **_run_counts(read.runs.rows),
                "by_status": dg.MetadataValue.md(bars(counted(read.runs.rows, "status"))),
            },
        ),
        "hex_coverage": (
            HEX_COVERAGE,
            read.coverage,
            ["project_id", "detail"],
            {
                **_figures(read),
                "details_outdated": int(
                    read.coverage.rows["state"].is_in(["stale", "never read"]).sum()
                ),
                "by_state": dg.MetadataValue.md(_states(read.coverage)),
                "not_available": dg.MetadataValue.md(_lines(_not_available(read.coverage))),
            },
        ),
    }
    for name, (schema, frame, key, metadata) in results.items():
        if name in selected:
            change = change_since(hex_frames.last(schema, context.partition_key), frame, key)
            yield dg.MaterializeResult(
                asset_key=context.asset_key_for_output(name),
                value=frame,
                metadata={**metadata, **change_metadata(change), **gaps_metadata(frame)},
            )


def _days_left(expires: datetime | None) -> dict[str, int]:
    return {} if expires is None else {"token_days": (expires - datetime.now(timezone.utc)).days}


def _project_counts(projects: pl.DataFrame) -> dict[str, int]:
    """Of what is neither archived nor in the trash; Dagster plots them over runs."""
    alive = projects.filter(pl.col("archived_at").is_null() & pl.col("trashed_at").is_null())
    component = alive["type"] == "COMPONENT"
    published = ~component & alive["last_published_at"].is_not_null()
    return {
        "projects": int((~component).sum()),
        "components": int(component.sum()),
        "published_projects": int(published.sum()),
        "archived_or_trashed": projects.height - alive.height,
    }


def _run_counts(runs: pl.DataFrame) -> dict[str, int]:
    """Of the latest run of each project and trigger."""
    completed = runs["status"] == COMPLETED
    return {
        "latest_runs_completed": int(completed.sum()),
        "latest_runs_failed": int((~completed & ~runs["status"].is_in(UNDER_WAY)).sum()),
    }


def _figures(read: "HexDetails") -> dict[str, Any]:
    left = read.progress.seconds_left
    return {
        "requests": read.requests,
        "projects_due": read.progress.total,
        "projects_read": read.progress.done,
        "requests_left_in_the_window": read.progress.requests_left,
        **({} if left is None else {"minutes_left_estimated": left / 60}),
        "projects_changed": read.changed,
        "projects_read_in_turn": read.in_turn,
        "out_of_time": read.out_of_time,
        "unreadable_rows_left_out": read.left_out,
    }


def _states(coverage: Frame) -> str:
    counts = coverage.rows.group_by("detail", "state").len().sort("detail", "state")
    return bars([(f"{detail}: {state}", count) for detail, state, count in counts.iter_rows()])


def _not_available(coverage: Frame) -> tuple[str, ...]:
    """What the token or the plan does not allow, with the scope to add and what it costs."""
    refused = coverage.rows.filter(state="not available").select("detail", "problem").unique()
    return tuple(f"{detail}: {problem}" for detail, problem in refused.sort("detail").iter_rows())


def _lines(texts: tuple[str, ...]) -> str:
    return "\n".join(f"- {text}" for text in texts) or "none"


def _log_progress(log: Callable[[str], None]) -> Callable[["Progress"], None]:
    from time import monotonic

    last = monotonic()

    def progress(now: "Progress") -> None:
        nonlocal last
        if now.done < now.total and monotonic() - last < _SECONDS_BETWEEN_LINES:
            return
        last = monotonic()
        left = "" if not now.seconds_left else f", about {now.seconds_left / 60:.0f} min left"
        log(
            f"Projects read: {now.done} of {now.total}, {now.requests_left} requests left in the "
            f"window{left}"
        )

    return progress
