"""Texts that wait for steps to parse them, and what these steps found, as files in one folder.

Nothing here is relied upon: texts are known by themselves, not by the batch they were in, so a
file that is gone, damaged, another run's or another parser's costs parsing again and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
from polars.exceptions import PolarsError
from upath import UPath

from hex_assets.frame_files import read_table, write_table
from hex_assets.lineage.parse import Script
from hex_assets.lineage.parse_store import Key, ParseStore
from hex_assets.lineage.parser_processes import Text

_BATCH, _PART = "batch", "part"
_SCHEMA = {"dialect": pl.String, "sql": pl.String}


class ParseBatches:
    """Batches of one workspace.

    Args:
        folder: of this workspace alone; local or in an object store.
    """

    def __init__(self, folder: UPath) -> None:
        self._folder = folder

    def write(self, texts: Sequence[Text], size: int) -> list[str]:
        """Store texts in batches of that size; the names of the batches."""
        names = []
        for number, start in enumerate(range(0, len(texts), size)):
            rows = pl.DataFrame(texts[start : start + size], schema=_SCHEMA, orient="row")
            names.append(str(number))
            write_table(self._file(_BATCH, names[-1]), rows, {})
        return names

    def read(self, name: str) -> list[Text]:
        """The texts of a batch; none where it is gone or damaged."""
        try:
            rows, _ = read_table(self._file(_BATCH, name))
        except (FileNotFoundError, PolarsError):
            return []
        return [Text(*row) for row in rows.select(*_SCHEMA).iter_rows()]

    def keep(self, name: str, parsed: Mapping[Key, Script]) -> None:
        """Store what was found in the texts of a batch."""
        ParseStore(self._file(_PART, name)).add(parsed)

    def parts(self) -> list[ParseStore]:
        """What was found so far."""
        found = [path for path in self._files() if path.name.startswith(f"{_PART}-")]
        return [ParseStore(path) for path in found]

    def clear(self) -> None:
        """Delete all files."""
        for path in self._files():
            path.unlink(missing_ok=True)

    def _file(self, kind: str, name: str) -> UPath:
        return self._folder / f"{kind}-{name}.parquet"

    def _files(self) -> list[UPath]:
        return list(self._folder.iterdir()) if self._folder.exists() else []
