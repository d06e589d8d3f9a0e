"""The frames that answers are made from, of one workspace or of all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from hex_assets.errors import FrameError, NothingStored
from hex_assets.frame_files import read_frame
from hex_assets.frames import (
    CATALOG_SCHEMAS,
    CATALOG_TABLES,
    HEX_CELLS,
    HEX_PROJECTS,
    HEX_RUNS,
    LINEAGE_EDGES,
    FrameSchema,
)

if TYPE_CHECKING:
    from upath import UPath


@dataclass(frozen=True)
class StoredWorkspaces:
    """Rows of all chosen workspaces, each with a column ``workspace`` before its own.

    Attributes:
        projects: ``hex_projects``.
        cells: ``hex_cells``.
        runs: ``hex_runs``.
        edges: ``lineage_edges``.
        tables: ``catalog_tables``; the same table comes once per workspace.
        schemas: ``catalog_schemas``; the same schema comes once per workspace.
        gaps: what is known to be missing, by workspace and frame, in words.
    """

    projects: pl.DataFrame
    cells: pl.DataFrame
    runs: pl.DataFrame
    edges: pl.DataFrame
    tables: pl.DataFrame
    schemas: pl.DataFrame
    gaps: tuple[str, ...]


def read_stored(root: str, workspace: str | None = None) -> StoredWorkspaces:
    """What earlier runs stored.

    Args:
        root: the storage root, a path or object-store URL.
        workspace: name of one workspace; None for all that have lineage.

    Raises:
        NothingStored: no lineage is stored there, or none of that workspace.
        FrameError: a frame is of another version.
    """
    frames = StoredFrameReader.of(root, workspace)
    return StoredWorkspaces(
        projects=frames.rows(HEX_PROJECTS),
        cells=frames.rows(HEX_CELLS),
        runs=frames.rows(HEX_RUNS),
        edges=frames.rows(LINEAGE_EDGES),
        tables=frames.rows(CATALOG_TABLES),
        schemas=frames.rows(CATALOG_SCHEMAS),
        gaps=frames.gaps,
    )


class StoredFrameReader:
    """Reads the frames of the chosen workspaces, and keeps what is known to be missing.

    Attributes:
        workspaces: names of the chosen workspaces, sorted.
    """

    def __init__(self, base: Path | UPath, workspaces: Sequence[str]) -> None:
        self.workspaces = tuple(workspaces)
        self._base = base
        self._gaps: list[str] = []

    @classmethod
    def of(cls, root: str, workspace: str | None = None) -> StoredFrameReader:
        """A reader of one workspace, or of all that have lineage.

        Raises:
            NothingStored: no lineage is stored there, or none of that workspace.
        """
        base = _storage(root)
        found = sorted(path.stem for path in (base / LINEAGE_EDGES.name).glob("*.parquet"))
        chosen = [name for name in found if workspace in (None, name)]
        if not chosen:
            raise NothingStored(root, workspace, tuple(found))
        return cls(base, chosen)

    @property
    def gaps(self) -> tuple[str, ...]:
        """What is missing from the frames read so far, by workspace, in words."""
        return tuple(self._gaps)

    def rows(self, schema: FrameSchema) -> pl.DataFrame:
        """Rows of all chosen workspaces, with a column ``workspace`` before their own.

        Raises:
            FrameError: a frame is of another version.
        """
        return pl.concat(self._rows(schema))

    def _rows(self, schema: FrameSchema) -> Iterable[pl.DataFrame]:
        yield schema.empty().rows.select(pl.lit(None, pl.String).alias("workspace"), pl.all())
        for workspace in self.workspaces:
            try:
                frame = read_frame(self._base / schema.name / f"{workspace}.parquet", schema)
            except FileNotFoundError:
                self._gaps.append(f"{workspace}: {schema.name} is not stored yet")
                continue
            except FrameError as error:
                raise FrameError(f"{workspace}: {error}") from error
            self._gaps += [f"{workspace}: {gap}" for gap in frame.gaps]
            yield frame.rows.select(pl.lit(workspace).alias("workspace"), pl.all())


def _storage(root: str) -> Path | UPath:
    """Where frames are; object stores take a library that takes longer to load than an answer."""
    if "://" not in root:
        return Path(root)
    from upath import UPath

    return UPath(root)
