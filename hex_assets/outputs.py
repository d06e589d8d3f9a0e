"""What the frames that several assets of one step return have in common in Dagster."""

import dagster as dg

from hex_assets.frames import Frame
from hex_assets.resources import FRAMES_IO

OWNERS = ["team:data-platform"]


def frame_out(
    description: str, *, group_name: str, kind: str, is_required: bool = False
) -> dg.AssetOut:
    """An output of a multi-asset that is a frame.

    Args:
        description: what the asset is, as the UI shows it.
        group_name: group in the asset graph.
        kind: what it is made with, for its icon.
        is_required: whether each run of the step returns it.
    """
    return dg.AssetOut(
        dagster_type=Frame,
        description=description,
        group_name=group_name,
        kinds={kind},
        owners=OWNERS,
        is_required=is_required,
        io_manager_key=FRAMES_IO,
    )
