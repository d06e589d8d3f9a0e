"""Frames as Parquet files: one folder per asset, one file per workspace.

The root is a local path or an object-store URL (anything universal-pathlib opens). Gaps travel
in the Parquet key-value metadata, so a frame read back knows what it lacks.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from polars.exceptions import PolarsError

from hex_assets import frames
from hex_assets.errors import FrameError
from hex_assets.files import write_whole
from hex_assets.frames import Frame, FrameSchema

if TYPE_CHECKING:
    from upath import UPath

SCHEMAS: Mapping[str, FrameSchema] = {
    schema.name: schema for schema in vars(frames).values() if isinstance(schema, FrameSchema)
}

KEPT_FOR = timedelta(days=90)
"""How long what runs keep for later ones stays, though no run uses it."""

NOTED_AFTER = timedelta(days=7)
"""How old the note of its last use may be before a file is written for nothing else."""

_FRAME_KEY = "hex_assets.frame"
_GAPS_KEY = "hex_assets.gaps"


def write_frame(path: UPath, frame: Frame) -> None:
    """Write the frame so that a reader sees the old file or the new one, never a part."""
    frame.schema.check(frame.rows)
    metadata = {_FRAME_KEY: frame.schema.name, _GAPS_KEY: json.dumps(frame.gaps)}
    write_table(path, frame.rows, metadata)


def read_frame(path: UPath | Path, schema: FrameSchema) -> Frame:
    """Read a frame back.

    Raises:
        FileNotFoundError: nothing is stored there.
        FrameError: the file holds another frame, or columns of another version.
    """
    rows, metadata = read_table(path)
    if metadata.get(_FRAME_KEY) != schema.name:
        raise FrameError(
            f"{path} does not hold a {schema.name} frame. Materialize the asset again."
        )
    schema.check(rows)
    return Frame(schema, rows, tuple(json.loads(metadata.get(_GAPS_KEY, "[]"))))


def write_table(path: UPath, rows: pl.DataFrame, metadata: Mapping[str, str]) -> None:
    """Write rows and metadata as one Parquet file, of which a reader never sees a part."""
    buffer = io.BytesIO()
    rows.write_parquet(buffer, metadata=dict(metadata))
    write_whole(path, buffer.getvalue())


def read_known(path: UPath, schema: Mapping[str, Any], key: str, version: str) -> pl.DataFrame:
    """The rows of a file that earlier runs left for later ones.

    None where there is no file, where it is damaged, or where it has other columns or another
    version: what it knew is then found again.

    Args:
        schema: its columns and their types, in order.
        key: of the version among the file's metadata.
        version: the version that counts.

    Raises:
        OSError: it is there but cannot be read.
    """
    try:
        rows, metadata = read_table(path)
    except (FileNotFoundError, PolarsError):
        return pl.DataFrame(schema=schema)
    known = metadata.get(key) == version and dict(rows.schema) == dict(schema)
    return rows if known else pl.DataFrame(schema=schema)


def read_table(path: UPath | Path) -> tuple[pl.DataFrame, dict[str, str]]:
    """Read back what ``write_table`` wrote.

    Raises:
        FileNotFoundError: nothing is stored there.
    """
    content = path.read_bytes()
    metadata = pl.read_parquet_metadata(io.BytesIO(content))
    return pl.read_parquet(io.BytesIO(content)), metadata
