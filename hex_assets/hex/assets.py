"""Stage 1: what exists in Hex."""

import dagster as dg

from hex_assets.connections import open_hex
from hex_assets.frames import HEX_CELLS, HEX_DATA_CONNECTIONS, HEX_PROJECTS, Frame
from hex_assets.reporting import (
    bars,
    change_metadata,
    change_since,
    counted,
    failures,
    gaps_metadata,
    log_progress,
    table,
)
from hex_assets.resources import Recipes
from hex_assets.storage import StoredFrames

_GROUP = "hex"
_POOL = "hex_api"
_OWNERS = ["team:data-platform"]


@dg.asset(group_name=_GROUP, kinds={"hex"}, owners=_OWNERS, pool=_POOL)
def hex_projects(
    context: dg.AssetExecutionContext, recipes: Recipes, stored: StoredFrames
) -> dg.MaterializeResult[Frame]:
    """Every project and component of the Hex workspace, drafts, archived and trashed ones too.

    Read in one listing through Hex's API: title, owner, status, categories, collections,
    publication, schedules and app views. A listing that stops before its end fails this asset
    and keeps what was stored before.
    """
    from hex_assets.hex.reader import read_projects

    recipe = recipes.recipe(context.partition_key)
    with failures(), open_hex(recipe) as client:
        frame = read_projects(client, org_id=recipe.hex_assets.hex_org_id)
    change = change_since(stored.last(HEX_PROJECTS, context.partition_key), frame, ["id"])
    return dg.MaterializeResult(
        value=frame,
        metadata={
            "hex": dg.MetadataValue.url(client.web_url),
            "by_type": dg.MetadataValue.md(bars(counted(frame.rows, "type"))),
            "by_status": dg.MetadataValue.md(bars(counted(frame.rows, "status"))),
            "new_projects": dg.MetadataValue.md(
                table(change.added, ["title", "owner_email", "status", "url"])
            ),
            **change_metadata(change),
            **gaps_metadata(frame),
        },
    )


@dg.asset(group_name=_GROUP, kinds={"hex"}, owners=_OWNERS, pool=_POOL)
def hex_data_connections(
    context: dg.AssetExecutionContext, recipes: Recipes, stored: StoredFrames
) -> dg.MaterializeResult[Frame]:
    """The data connections of the workspace with the default database and schema of a query."""
    from hex_assets.hex.reader import read_data_connections

    with failures(), open_hex(recipes.recipe(context.partition_key)) as client:
        frame = read_data_connections(client)
    change = change_since(stored.last(HEX_DATA_CONNECTIONS, context.partition_key), frame, ["id"])
    return dg.MaterializeResult(
        value=frame,
        metadata={
            "by_type": dg.MetadataValue.md(bars(counted(frame.rows, "type"))),
            **change_metadata(change),
            **gaps_metadata(frame),
        },
    )


@dg.asset(group_name=_GROUP, kinds={"hex"}, owners=_OWNERS, pool=_POOL)
def hex_cells(
    context: dg.AssetExecutionContext,
    recipes: Recipes,
    stored: StoredFrames,
    hex_projects: Frame,
    hex_data_connections: Frame,
) -> dg.MaterializeResult[Frame]:
    """The cells of every project and component that is not in the trash.

    SQL keeps its text with literals masked. One request per project, within Hex's rate limit.
    """
    from hex_assets.hex.reader import read_cells
    from hex_assets.warehouse.masking import mask_literals

    with failures(), open_hex(recipes.recipe(context.partition_key)) as client:
        frame = read_cells(
            client,
            hex_projects,
            hex_data_connections,
            mask_literals,
            progress=log_progress(context.log.info, "Projects whose cells were read"),
        )
    key = ["project_id", "cell_id"]
    change = change_since(stored.last(HEX_CELLS, context.partition_key), frame, key)
    return dg.MaterializeResult(
        value=frame,
        metadata={
            "by_type": dg.MetadataValue.md(bars(counted(frame.rows, "type"))),
            **change_metadata(change),
            **gaps_metadata(frame),
        },
    )
