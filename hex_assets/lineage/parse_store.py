"""Parse results kept between runs, so that a statement is parsed once and not once a run.

A Parquet file per workspace, beside the frames. What another version of the parser found does not
count: its version is the hash of the sources of this package and of
sqlglot's version, so that nobody has to remember to change it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date
from functools import cache, cached_property
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import polars as pl
from upath import UPath

from hex_assets.frame_files import KEPT_FOR, NOTED_AFTER, read_known, write_table
from hex_assets.lineage.parse import Script
from hex_assets.lineage.script_bytes import read_script, write_script

_VERSION_KEY = "hex_assets.parser"
_SCHEMA: dict[str, Any] = {
    "dialect": pl.String,
    "text": pl.String,
    "script": pl.Binary,
    "last_used": pl.Date,
}

Key = tuple[str, str]
"""Dialect, and the SHA-256 of the text that was parsed."""


def key_of(dialect: str, sql: str) -> Key:
    return dialect, hashlib.sha256(sql.encode()).hexdigest()


@cache
def parser_version() -> str:
    """A hash of all that decides what a parse gives."""
    digest = hashlib.sha256(version("sqlglot").encode())
    for source in sorted(files(__package__).iterdir(), key=lambda file: file.name):
        if source.name.endswith(".py"):
            digest.update(source.name.encode())
            digest.update(source.read_bytes())
    return digest.hexdigest()


class ParseStore:
    """Parse results in one file.

    Attributes:
        path: the file; a local path or one in an object store.
        today: the date that counts as today.
        version: the version of the parser whose results count.
    """

    def __init__(
        self,
        path: UPath,
        today: Callable[[], date] = date.today,
        parser: str | None = None,
    ) -> None:
        self.path = path
        self.today = today
        self.version = parser or parser_version()

    @cached_property
    def _stored(self) -> dict[Key, tuple[bytes, date]]:
        """Read when it is needed first: a run whose statements are all linked needs no script."""
        stored = read_known(self.path, _SCHEMA, _VERSION_KEY, self.version)
        return {
            (dialect, text): (script, last_used)
            for dialect, text, script, last_used in stored.iter_rows()
        }

    @property
    def entries(self) -> Mapping[Key, tuple[bytes, date]]:
        """The pickled script of each text, and the day when it was used last."""
        return self._stored

    def __contains__(self, key: Key) -> bool:
        """Whether something is stored of a text, be it damaged."""
        return key in self._stored

    def get(self, key: Key) -> Script | None:
        """What is stored of a text; None where that is nothing, or damaged."""
        script, _ = self._stored.get(key, (b"", None))
        try:
            return read_script(script)
        except ValueError:
            return None

    def add(self, parsed: Mapping[Key, Script], parts: Iterable[ParseStore] = ()) -> None:
        """Store what was parsed just now, here or into other files; nothing leaves."""
        today = self.today()
        new = {key: entry for part in parts for key, entry in part.entries.items()}
        new |= {key: (write_script(script), today) for key, script in parsed.items()}
        if new:
            self._stored |= new
            self._write()

    def keep(self, used: Mapping[Key, Script], needed: Collection[Key] = ()) -> None:
        """Store what a run used; what no run used for 90 days leaves.

        Nothing is written when nothing changed.

        Args:
            used: what was asked for, or parsed.
            needed: texts whose scripts may be asked for again, though this run did not.
        """
        if not used and not needed:
            return
        today = self.today()
        kept = {
            key: (script, today if key in used or key in needed else last_used)
            for key, (script, last_used) in self._stored.items()
            if key in used or key in needed or today - last_used <= KEPT_FOR
        }
        new = {key: (write_script(used[key]), today) for key in used if key not in kept}
        stale = any(
            today - self._stored[key][1] > NOTED_AFTER
            for key in (*used, *needed)
            if key in self._stored
        )
        if not new and not stale and len(kept) == len(self._stored):
            return
        self._stored = kept | new
        self._write()

    def _write(self) -> None:
        rows = [(*key, script, last_used) for key, (script, last_used) in self._stored.items()]
        table = pl.DataFrame(rows, schema=_SCHEMA, orient="row")
        write_table(self.path, table, {_VERSION_KEY: self.version})
