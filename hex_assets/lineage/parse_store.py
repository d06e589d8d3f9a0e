"""Parse results kept between runs, so that a statement is parsed once and not once a run.

A Parquet file per workspace, beside the frames. A result is stored as JSON that names the classes
of this package that it is made of; reading it back makes nothing else. What another version of
the parser found does not count: its version is the hash of the sources of this package and of
sqlglot's version, so that nobody has to remember to change it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from enum import Enum, IntFlag
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from types import UnionType
from typing import Any

import polars as pl
from polars.exceptions import PolarsError
from upath import UPath

from hex_assets.frame_files import read_table, write_table
from hex_assets.lineage.parse import Script

_VERSION_KEY = "hex_assets.parser"
_SCHEMA: dict[str, Any] = {
    "dialect": pl.String,
    "text": pl.String,
    "script": pl.String,
    "last_used": pl.Date,
}
_KEPT_FOR = timedelta(days=90)
_NOTED_AFTER = timedelta(days=7)
"""How old ``last_used`` may be before a file is written for nothing else."""

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
        self._rows = self._read()

    def known(self) -> Mapping[Key, Script]:
        """What is stored; entries that cannot be read are left out, and so parsed again."""
        found = {}
        for dialect, text, script, _ in self._rows.iter_rows():
            try:
                found[dialect, text] = decode_script(script)
            except (ValueError, TypeError, KeyError):
                continue
        return found

    def keep(self, used: Mapping[Key, Script]) -> None:
        """Store what a run used; what no run used for 90 days leaves.

        Nothing is written when nothing changed.
        """
        today = self.today()
        stored = {row[:2]: row[3] for row in self._rows.iter_rows()}
        new = [key for key in used if key not in stored]
        stale = any(today - stored[key] > _NOTED_AFTER for key in used if key in stored)
        old = any(today - last > _KEPT_FOR for key, last in stored.items() if key not in used)
        if not (new or stale or old):
            return
        rows = [(*key, encode_script(script), today) for key, script in used.items()]
        rest = self._rows.filter(pl.col("last_used") >= today - _KEPT_FOR)
        rows += [row for row in rest.iter_rows() if row[:2] not in used]
        self._rows = pl.DataFrame(rows, schema=_SCHEMA, orient="row")
        write_table(self.path, self._rows, {_VERSION_KEY: self.version})

    def _read(self) -> pl.DataFrame:
        try:
            rows, metadata = read_table(self.path)
        except (FileNotFoundError, PolarsError):
            return pl.DataFrame(schema=_SCHEMA)
        known = metadata.get(_VERSION_KEY) == self.version and dict(rows.schema) == _SCHEMA
        return rows if known else pl.DataFrame(schema=_SCHEMA)


def encode_script(script: Script) -> str:
    return json.dumps(_encoded(script), separators=(",", ":"))


def decode_script(text: str) -> Script:
    """The script that was encoded.

    Raises:
        ValueError: the text is no script.
    """
    script = _decoded(json.loads(text))
    if not isinstance(script, Script):
        raise ValueError("not a script")
    return script


def _encoded(value: Any) -> Any:
    """A value as JSON; what is no plain value is a list that begins with its class."""
    if isinstance(value, IntFlag):
        return int(value)
    if isinstance(value, Enum):
        return [_name(type(value)), value.name]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, tuple):
        name = _name(type(value)) if _is_named_tuple(type(value)) else "tuple"
        return [name, *map(_encoded, value)]
    if isinstance(value, frozenset):
        return ["frozenset", *sorted(map(_encoded, value), key=json.dumps)]
    if _name(type(value)) in _classes() and dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return [_name(type(value)), *(_encoded(getattr(value, one.name)) for one in fields)]
    raise TypeError(f"a script may not hold a {type(value).__name__}")


def _decoded(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    name, *parts = value
    if name == "tuple":
        return tuple(map(_decoded, parts))
    if name == "frozenset":
        return frozenset(map(_decoded, parts))
    kind = _classes()[name]
    if issubclass(kind, Enum):
        return kind[parts[0]]
    return kind(*map(_decoded, parts))


def _name(kind: type) -> str:
    return f"{kind.__module__.rpartition('.')[2]}.{kind.__qualname__}"


def _is_named_tuple(kind: type) -> bool:
    return issubclass(kind, tuple) and hasattr(kind, "_fields")


@cache
def _classes() -> Mapping[str, Any]:
    """The classes that a script is made of, by name."""
    found: dict[str, Any] = {}

    def visit(hint: Any) -> None:
        if isinstance(hint, UnionType) or typing.get_origin(hint) is not None:
            for argument in typing.get_args(hint):
                visit(argument)
        elif isinstance(hint, type) and _name(hint) not in found:
            if issubclass(hint, Enum):
                found[_name(hint)] = hint
            elif dataclasses.is_dataclass(hint) or _is_named_tuple(hint):
                found[_name(hint)] = hint
                for inner in typing.get_type_hints(hint).values():
                    visit(inner)

    visit(Script)
    return found
