"""The places that a generated log is put into, each read as a recipe would have it read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path

import polars as pl

from hex_assets.warehouse.query_log import QueryLog
from hex_assets.warehouse.reader import HistoryReader

SERVICE = "warehouse"
GROUPED, STREAMING = "grouped", "streaming"


class Engine(ABC):
    """One place."""

    @abstractmethod
    def load(self, frames: Iterable[pl.DataFrame]) -> None:
        """Replace what is there by these frames."""

    @abstractmethod
    def readers(self) -> dict[str, HistoryReader]:
        """A reader by how it reads: grouped at the source, or streaming."""

    @abstractmethod
    def drop(self) -> None:
        """Leave nothing behind."""


class ParquetLog(Engine):
    """Files of a million rows each, which can only be streamed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "parquet"

    def load(self, frames: Iterable[pl.DataFrame]) -> None:
        self.drop()
        self._folder.mkdir(parents=True)
        for number, frame in enumerate(frames):
            frame.write_parquet(self._folder / f"{number:05}.parquet")

    def readers(self) -> dict[str, HistoryReader]:
        path = str(self._folder / "*.parquet")
        log = QueryLog(type="QueryLog", path=path, dialect="snowflake")
        return {STREAMING: log.of(SERVICE)}

    def drop(self) -> None:
        for file in self._folder.glob("*.parquet"):
            file.unlink()
        if self._folder.exists():
            self._folder.rmdir()


ENGINES: dict[str, Callable[[Path], Engine]] = {"parquet": ParquetLog}
