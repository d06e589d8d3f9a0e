"""Stage 3, first half: which tables are named, parsed in Dagster steps of their own if need be."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from hex_assets.frames import TABLE_REFERENCES, Frame
from hex_assets.outputs import OWNERS
from hex_assets.reporting import (
    bars,
    change_metadata,
    change_since,
    counted,
    failures,
    gaps_metadata,
    log_progress,
)
from hex_assets.resources import FRAMES_IO, Recipes
from hex_assets.storage import StoredFrames

if TYPE_CHECKING:
    from hex_assets.lineage.parse_batches import ParseBatches
    from hex_assets.lineage.parse_store import ParseStore

_TEXTS_PER_STEP = 5_000
"""Some ten seconds of two processors: what a step that starts a process or a container is worth."""

_BATCHES = "state/parse_batches"


class ParseConfig(dg.Config):
    """Run config of the first step of ``table_references``."""

    texts_per_step: int = Field(
        default=_TEXTS_PER_STEP,
        gt=0,
        description="Most new texts that are parsed in one step. If there are more, steps of their "
        "own parse them, so many each, which the executor may spread over processes or machines.",
    )


# What the steps pass on stands in files: with Nothing, no IO manager has to hand it on.
@dg.op(
    ins={
        "warehouse_query_history": dg.In(Frame),
        "hex_cells": dg.In(Frame),
        "hex_data_connections": dg.In(Frame),
    },
    out={"batches": dg.DynamicOut(dg.Nothing, io_manager_key=FRAMES_IO)},
)
def hex_new_texts(
    context: dg.AssetExecutionContext,
    config: ParseConfig,
    hex_recipes: Recipes,
    hex_frames: StoredFrames,
    warehouse_query_history: Frame,
    hex_cells: Frame,
    hex_data_connections: Frame,
) -> Iterator[dg.DynamicOutput[None]]:
    """Batches of the texts that no run has parsed yet, where they are more than one step's worth.

    What an interrupted run has parsed is kept first.
    """
    from hex_assets.lineage.table_references import new_texts

    with failures(context, hex_recipes.retry_seconds):
        store, batches = _stored(hex_frames, context.partition_key)
        store.add({}, batches.parts())
        batches.clear()
        texts = new_texts(
            warehouse_query_history.rows, hex_cells.rows, hex_data_connections.rows, store
        )
        many = len(texts) > config.texts_per_step
        names = batches.write(texts, config.texts_per_step) if many else []
    if names:
        context.log.info(f"{len(texts)} new texts are parsed in {len(names)} steps")
    for name in names:
        yield dg.DynamicOutput(None, mapping_key=name, output_name="batches")


@dg.op(
    ins={"batch": dg.In(dg.Nothing)},
    out={"part": dg.Out(dg.Nothing, io_manager_key=FRAMES_IO)},
)
def hex_parse_batch(
    context: dg.AssetExecutionContext, hex_recipes: Recipes, hex_frames: StoredFrames
) -> None:
    """Parse one batch of texts. Done again, it does the same again."""
    from hex_assets.lineage.parser_processes import ParserProcesses
    from hex_assets.lineage.table_references import parse_batch

    name = context.op_execution_context.get_mapping_key()
    if name is None:
        raise dg.DagsterInvariantViolationError("this step stands for a batch, and needs its name")
    progress = log_progress(context.log.info, f"Texts of batch {name} parsed")
    with failures(context, hex_recipes.retry_seconds), ParserProcesses() as processes:
        _, batches = _stored(hex_frames, context.partition_key)
        parse_batch(batches, name, processes, progress)


@dg.op(
    ins={
        "parts": dg.In(dg.Nothing),
        "warehouse_query_history": dg.In(Frame),
        "hex_cells": dg.In(Frame),
        "hex_data_connections": dg.In(Frame),
        "hex_component_imports": dg.In(Frame),
        "hex_queried_tables": dg.In(Frame),
    },
    out=dg.Out(Frame, io_manager_key=FRAMES_IO),
)
def hex_table_references(
    context: dg.AssetExecutionContext,
    hex_recipes: Recipes,
    hex_frames: StoredFrames,
    warehouse_query_history: Frame,
    hex_cells: Frame,
    hex_data_connections: Frame,
    hex_component_imports: Frame,
    hex_queried_tables: Frame,
) -> dg.Output[Frame]:
    """Parse what no step has parsed, and tell which tables are named."""
    from hex_assets.lineage.parser_processes import ParserProcesses
    from hex_assets.lineage.table_references import Evidence, read_table_references

    workspace = context.partition_key
    evidence = Evidence(
        warehouse_query_history,
        hex_cells,
        hex_data_connections,
        hex_component_imports,
        hex_queried_tables,
    )
    with failures(context, hex_recipes.retry_seconds), ParserProcesses() as processes:
        store, batches = _stored(hex_frames, workspace)
        found = read_table_references(
            evidence,
            store,
            batches,
            hex_frames.state_path(TABLE_REFERENCES.name, workspace),
            processes,
            log_progress(context.log.info, "Distinct texts parsed"),
        )
    rows = found.frame.rows
    last = hex_frames.last(TABLE_REFERENCES, workspace)
    key = [name for name in TABLE_REFERENCES.columns if name != "statements"]
    return dg.Output(
        found.frame,
        metadata={
            "statements": found.texts,
            "parsed_now": found.parsed,
            "taken_from_the_store": found.texts - found.parsed,
            "not_parsed": found.not_parsed,
            "steps_that_parsed": found.steps,
            "by_service": dg.MetadataValue.md(bars(counted(rows, "service"))),
            **change_metadata(change_since(last, found.frame, key)),
            **gaps_metadata(found.frame),
        },
    )


def _stored(frames: StoredFrames, workspace: str) -> "tuple[ParseStore, ParseBatches]":
    """The parse store that ``lineage`` reads, and what waits to be taken into it."""
    from hex_assets.lineage.parse_batches import ParseBatches
    from hex_assets.lineage.parse_store import ParseStore

    return (
        ParseStore(frames.state_path("lineage", workspace)),
        ParseBatches(frames.folder(_BATCHES, workspace)),
    )


@dg.graph_asset(group_name="lineage", kinds={"python"}, owners=OWNERS)
def table_references(
    warehouse_query_history: Frame,
    hex_cells: Frame,
    hex_data_connections: Frame,
    hex_component_imports: Frame,
    hex_queried_tables: Frame,
) -> Frame:
    """Names of tables in statements, cells, the warehouses' records and Hex's own list.

    Each with the session in which it is looked up: all that may be asked of the catalog. Each
    distinct text is parsed once, and many new ones in steps of their own, which any executor may
    spread over processes or machines.
    """
    batches = hex_new_texts(warehouse_query_history, hex_cells, hex_data_connections)
    parts = batches.map(lambda batch: hex_parse_batch(batch=batch))
    references: Frame = hex_table_references(
        warehouse_query_history,
        hex_cells,
        hex_data_connections,
        hex_component_imports,
        hex_queried_tables,
        parts=parts.collect(),
    )
    return references
