"""Frames as Parquet files: one folder per asset, one file per workspace.

The root is a local path or an object-store URL (anything universal-pathlib opens). Gaps travel
in the Parquet key-value metadata, so a frame read back knows what it lacks.
"""

import io
import json
from collections.abc import Mapping
from typing import Any

import dagster as dg
import polars as pl
from upath import UPath

from hex_assets import frames
from hex_assets.errors import FrameError
from hex_assets.files import write_whole
from hex_assets.frames import Frame, FrameSchema

SCHEMAS: Mapping[str, FrameSchema] = {
    schema.name: schema for schema in vars(frames).values() if isinstance(schema, FrameSchema)
}

_FRAME_KEY = "hex_assets.frame"
_GAPS_KEY = "hex_assets.gaps"


def write_frame(path: UPath, frame: Frame) -> None:
    """Write the frame so that a reader sees the old file or the new one, never a part."""
    frame.schema.check(frame.rows)
    buffer = io.BytesIO()
    frame.rows.write_parquet(
        buffer, metadata={_FRAME_KEY: frame.schema.name, _GAPS_KEY: json.dumps(frame.gaps)}
    )
    write_whole(path, buffer.getvalue())


def read_frame(path: UPath, schema: FrameSchema) -> Frame:
    """Read a frame back.

    Raises:
        FileNotFoundError: nothing is stored there.
        FrameError: the file holds another frame, or columns of another version.
    """
    content = path.read_bytes()
    metadata = pl.read_parquet_metadata(io.BytesIO(content))
    if metadata.get(_FRAME_KEY) != schema.name:
        raise FrameError(
            f"{path} does not hold a {schema.name} frame. Materialize the asset again."
        )
    rows = pl.read_parquet(io.BytesIO(content))
    schema.check(rows)
    return Frame(schema, rows, tuple(json.loads(metadata.get(_GAPS_KEY, "[]"))))


class StoredFrames(dg.ConfigurableResource[None]):
    """What earlier runs stored.

    Attributes:
        root: local path or object-store URL, the same as the IO manager's.
    """

    root: str

    def folder(self, purpose: str, workspace: str) -> UPath:
        """Where an asset keeps what it knows of a workspace between its runs."""
        return UPath(self.root) / purpose / workspace

    def last(self, schema: FrameSchema, workspace: str) -> Frame | None:
        """The frame stored last for this workspace; None before the first run.

        A frame of an older version counts as none: it is about to be replaced.
        """
        try:
            return read_frame(UPath(self.root) / schema.name / f"{workspace}.parquet", schema)
        except (FileNotFoundError, FrameError):
            return None


class FrameIOManager(dg.UPathIOManager):
    """Stores the Frame an asset returns and hands it to the assets below."""

    extension = ".parquet"

    def dump_to_path(self, context: dg.OutputContext, obj: Frame, path: UPath) -> None:
        wanted = context.asset_key.path[-1]
        if obj.schema.name != wanted:
            raise FrameError(f"asset {wanted} returned a {obj.schema.name} frame")
        write_frame(path, obj)

    def load_from_path(self, context: dg.InputContext, path: UPath) -> Frame:
        schema = SCHEMAS[context.asset_key.path[-1]]
        try:
            return read_frame(path, schema)
        except FileNotFoundError as error:
            raise dg.Failure(
                f"{schema.name} has not been materialized for this workspace yet. "
                f"Materialize it first, or select it together with this asset.",
                allow_retries=False,
            ) from error

    def get_metadata(
        self, context: dg.OutputContext, obj: Frame
    ) -> dict[str, dg.MetadataValue[Any]]:
        columns = [
            dg.TableColumn(name, str(dtype), description)
            for name, (dtype, description) in obj.schema.columns.items()
        ]
        return {
            "dagster/row_count": dg.MetadataValue.int(obj.rows.height),
            "dagster/column_schema": dg.MetadataValue.table_schema(dg.TableSchema(columns=columns)),
        }


class ParquetFrames(dg.ConfigurableIOManagerFactory[FrameIOManager]):
    """IO manager of all assets here.

    Attributes:
        root: local path or object-store URL.
    """

    root: str

    def create_io_manager(self, context: dg.InitResourceContext) -> FrameIOManager:
        return FrameIOManager(base_path=UPath(self.root))
