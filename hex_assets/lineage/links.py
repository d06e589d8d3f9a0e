"""What each statement reads when it runs in a session: the tables and columns that it links to.

Links are kept between runs, so that a statement which is known, and whose tables the catalog still
has as they were, costs neither a look at its script nor the attribution of its columns. They count
as long as the parser is the same and ``TableIndex.digest`` of all names that were looked up is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl
from upath import UPath

from hex_assets.frame_files import KEPT_FOR, NOTED_AFTER, read_known, write_table
from hex_assets.lineage.parse_store import parser_version
from hex_assets.lineage.resolve import CatalogTable, Resolution, TableIndex

SCOPE = ["service", "dialect", "sql_key", "database", "schema"]
"""A statement in a session."""

_COLUMNS = pl.List(pl.Struct({"name": pl.String, "usage": pl.UInt8}))
_TABLE: dict[str, Any] = {"table_id": pl.String, "resolution": pl.UInt8, "columns": _COLUMNS}
_MISS: dict[str, Any] = dict.fromkeys(("reference", "reason", "detail"), pl.String)
COUNTS = ["exact", "inferred", "system", "unresolved"]
LINKS: dict[str, Any] = {
    **dict.fromkeys(SCOPE, pl.String),
    **dict.fromkeys(COUNTS, pl.Int64),
    "parsed": pl.Boolean,
    "tables": pl.List(pl.Struct(_TABLE)),
    "misses": pl.List(pl.Struct(_MISS)),
    "names": pl.List(pl.String),
    "catalog": pl.String,
    "last_used": pl.Date,
}
_RESOLUTIONS = tuple(Resolution)
_VERSION_KEY = "hex_assets.links"


@dataclass
class Link:
    """What one statement reads when it runs in one session.

    Attributes:
        tables: each with how sure that is and its columns, as bits of ``Usage``.
        misses: reference and reason to detail.
        names: the tables' names that were looked up, see ``TableIndex.digest``.
        parsed: whether the statement was understood.
        exact, inferred, system, unresolved: references by what came of them.
    """

    tables: dict[CatalogTable, tuple[Resolution, dict[str, int]]] = field(default_factory=dict)
    misses: dict[tuple[str, str], str | None] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    parsed: bool = True
    exact: int = 0
    inferred: int = 0
    system: int = 0
    unresolved: int = 0


class LinkStore:
    """Links in one file.

    Attributes:
        path: the file; a local path or one in an object store.
        today: the date that counts as today.
    """

    def __init__(self, path: UPath, today: Callable[[], date] = date.today) -> None:
        self.path = path
        self.today = today
        self._stored = read_known(path, LINKS, _VERSION_KEY, parser_version())

    def valid(self, index: TableIndex) -> pl.DataFrame:
        """Links that this catalog would give again."""
        rows = self._stored.select("service", "names", "catalog").iter_rows()
        same = [index.digest(service, names) == catalog for service, names, catalog in rows]
        return self._stored.filter(pl.Series(same, dtype=pl.Boolean))

    def keep(self, links: pl.DataFrame) -> None:
        """Store the links that a run used; what no run used for 90 days leaves.

        Nothing is written when nothing changed.
        """
        today = self.today()
        used = links.with_columns(last_used=pl.lit(today))
        others = self._stored.join(links, on=SCOPE, how="anti", nulls_equal=True)
        kept = others.filter(pl.col("last_used") >= today - KEPT_FOR)
        unchanged = links.join(self._stored, on=[*SCOPE, "catalog"], how="semi", nulls_equal=True)
        noted = links.filter(pl.col("last_used") < today - NOTED_AFTER)
        if unchanged.height == links.height and kept.height == others.height and noted.is_empty():
            return
        self._stored = pl.concat([used, kept])
        write_table(self.path, self._stored, {_VERSION_KEY: parser_version()})


def links_frame(
    links: Mapping[tuple[str | None, ...], Link], index: TableIndex, today: date
) -> pl.DataFrame:
    """Links by their ``SCOPE`` as the rows that ``LinkStore`` keeps."""
    scopes = []
    tables: list[tuple[Any, ...]] = []
    columns: list[tuple[int, str, int]] = []
    misses: list[tuple[Any, ...]] = []
    for number, (scope, link) in enumerate(links.items()):
        names = sorted(link.names)
        counts = (getattr(link, name) for name in COUNTS)
        catalog = index.digest(str(scope[0]), names)
        scopes.append((*scope, *counts, link.parsed, names, catalog, today))
        for table, (resolution, used) in link.tables.items():
            columns += [(len(tables), name, usage) for name, usage in used.items()]
            tables.append((number, table.table_id, _RESOLUTIONS.index(resolution)))
        misses += [(number, *miss, detail) for miss, detail in link.misses.items()]
    by_table = _nested(columns, {"name": pl.String, "usage": pl.UInt8}, "columns", len(tables))
    flat = pl.DataFrame(
        tables,
        schema={"link": pl.UInt32, "table_id": pl.String, "resolution": pl.UInt8},
        orient="row",
    ).with_columns(by_table)
    head = {name: dtype for name, dtype in LINKS.items() if name not in ("tables", "misses")}
    return (
        pl.DataFrame(scopes, schema=head, orient="row")
        .with_columns(
            _grouped(flat, "tables", len(scopes)),
            _nested(misses, _MISS, "misses", len(scopes)),
        )
        .select(*LINKS)
    )


def _nested(
    rows: list[tuple[Any, ...]], fields: Mapping[str, Any], name: str, count: int
) -> pl.Series:
    """Rows, the first item being a place, as ``count`` lists of what stands behind it."""
    flat = pl.DataFrame(rows, schema={"link": pl.UInt32, **fields}, orient="row")
    return _grouped(flat, name, count)


def _grouped(flat: pl.DataFrame, name: str, count: int) -> pl.Series:
    fields = [column for column in flat.columns if column != "link"]
    lists = flat.group_by("link", maintain_order=True).agg(pl.struct(fields).alias(name))
    places = pl.DataFrame({"link": range(count)}, schema={"link": pl.UInt32})
    found = places.join(lists, on="link", how="left", maintain_order="left")[name]
    return found.fill_null([]).alias(name)


def tables_of(links: pl.DataFrame) -> pl.DataFrame:
    """One row per table of a link.

    Columns: ``link``, place of the link in ``links``; ``table_id``; ``resolution``, in the order of
    ``Resolution``; ``columns``, their names and usages (bits of ``Usage``).
    """
    return _flat(links, "tables")


def misses_of(links: pl.DataFrame) -> pl.DataFrame:
    """One row per reference of a link that was not linked: ``link``, and ``Link.misses``."""
    return _flat(links, "misses")


def _flat(links: pl.DataFrame, name: str) -> pl.DataFrame:
    listed = links.select(name).with_row_index("link").filter(pl.col(name).list.len() > 0)
    return listed.explode(name).unnest(name)


def resolution_of(place: int) -> Resolution:
    """The resolution of a row of ``tables_of``."""
    return _RESOLUTIONS[place]
