"""Dagster's way to the stored frames: what an asset returns, and what earlier runs left."""

from typing import Any

import dagster as dg
from upath import UPath

from hex_assets.errors import FrameError
from hex_assets.frame_files import SCHEMAS, read_frame, write_frame
from hex_assets.frames import Frame, FrameSchema


class StoredFrames(dg.ConfigurableResource[None]):
    """What earlier runs stored.

    Attributes:
        root: local path or object-store URL, the same as the IO manager's.
        report_url: where the report made of these frames is served; empty when nowhere.
    """

    root: str
    report_url: str = ""

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

    def state_path(self, asset: str, workspace: str) -> UPath:
        """Where an asset keeps what it knows between runs, beside its frame."""
        return UPath(self.root) / "state" / asset / f"{workspace}.parquet"


class FrameIOManager(dg.UPathIOManager):
    """Stores the Frame an asset returns and hands it to the assets below."""

    extension = ".parquet"

    def get_asset_relative_path(self, context: dg.InputContext | dg.OutputContext) -> UPath:
        """The same place whatever prefix the asset keys have, where ``StoredFrames`` looks too."""
        return UPath(context.asset_key.path[-1])

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
