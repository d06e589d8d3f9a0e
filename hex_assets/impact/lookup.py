"""From a name as people write it to the one table, column or project that it means."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from hex_assets.errors import NameAmbiguous, NameNotFound
from hex_assets.openmetadata import fqn

_ALIKE = 3
_NO_ASCII = r"[^\x00-\x7F]"
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, order=True)
class Target:
    """A table, or a column of it.

    Attributes:
        table_fqn: fully qualified name in OpenMetadata.
        column: in exact case; None for the whole table.
    """

    table_fqn: str
    column: str | None = None

    def __str__(self) -> str:
        return self.table_fqn if self.column is None else f"{self.table_fqn}.{self.column}"


class KnownTables:
    """Every table that a catalog or an edge names, by any suffix of its name and in any case."""

    def __init__(
        self,
        names: Iterable[str],
        columns_of: Callable[[str], Iterable[str]],
        unread: Sequence[str] = (),
    ) -> None:
        """Take fully qualified names, and what tells the columns of one as far as known.

        Args:
            unread: fully qualified names of the schemas whose tables were not read from the
                catalog, because nothing that is named can be in them.
        """
        self._names = pl.Series(sorted(names), dtype=pl.String)
        self._lower = self._names.str.to_lowercase()
        self._odd = self._names.str.contains(_NO_ASCII)
        self._columns_of_table = columns_of
        self._unread = {name: tuple(fqn.split(name)) for name in unread}
        self._called: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
        self._columns: dict[str, tuple[str, ...]] = {}

    @classmethod
    def of(cls, edges: pl.DataFrame, tables: pl.DataFrame, schemas: pl.DataFrame) -> KnownTables:
        """Those of ``lineage_edges``, ``catalog_tables`` and ``catalog_schemas``."""

        def columns_of(name: str) -> Iterator[str]:
            for (catalogued,) in tables.filter(table_fqn=name).select("columns").iter_rows():
                yield from catalogued or ()
            for (read,) in edges.filter(table_fqn=name).select("columns").iter_rows():
                yield from (column["name"] for column in read or ())

        names = pl.concat([edges["table_fqn"], tables["table_fqn"]]).unique()
        read_at = schemas.group_by("schema_fqn").agg(pl.col("read_at").max())
        unread = read_at.filter(pl.col("read_at").is_null())["schema_fqn"].sort()
        return cls(names, columns_of, unread.to_list())

    def find(self, name: str) -> Target:
        """The table or column that the name means.

        A name is the end of a fully qualified one: ``orders``, ``core.orders``,
        ``core.orders.amount``. Letter case decides only between several that differ in nothing
        else. What names a schema that was not read is taken for a table of it, or a column of one:
        nothing reads it, whether it exists or not.

        Raises:
            NameNotFound: nothing is called so.
            NameAmbiguous: several are.
        """
        parts = self._split(name)
        found = self._narrowed(parts, [*self._tables(parts), *self._columns_of(parts)])
        found = found or self._narrowed(parts, self._of_unread(parts))
        if len(found) == 1:
            return found[0]
        if found:
            raise NameAmbiguous(name, tuple(str(one) for one in sorted(found)))
        unread = len(self._unread) if len(parts) == 1 else 0
        raise NameNotFound(name, "table or column", self._alike(parts), unread)

    def ending_in(self, parts: Sequence[str]) -> list[str]:
        """Fully qualified names of the tables whose name ends in these parts, in any case.

        A name in a schema that was not read counts as a table of it.
        """
        found = self._tables(parts) or self._tables_of_unread(parts)
        return sorted(one.table_fqn for one in self._narrowed(parts, found))

    def unread_schema(self, target: Target) -> str | None:
        """The schema of the target, if its tables were not read from the catalog."""
        schema = fqn.join(*fqn.split(target.table_fqn)[:-1])
        return schema if schema in self._unread else None

    def column(self, table_fqn: str, name: str) -> str:
        """The column in the case that the catalog has; as given when it has none of the name."""
        columns = self._known_columns(table_fqn)
        same = [one for one in columns if one == name] or [
            one for one in columns if one.casefold() == name.casefold()
        ]
        return same[0] if same else name

    def _split(self, name: str) -> list[str]:
        try:
            return fqn.split(name)
        except ValueError:
            raise NameNotFound(name, "table or column") from None

    def _tables(self, parts: Sequence[str]) -> list[Target]:
        wanted = [part.casefold() for part in parts]
        if not wanted:
            return []
        return [
            Target(name)
            for name, known in self._by_last(wanted[-1])
            if [part.casefold() for part in known[-len(wanted) :]] == wanted
        ]

    def _tables_of_unread(self, parts: Sequence[str]) -> list[Target]:
        place = [part.casefold() for part in parts[:-1]]
        return [
            Target(fqn.below(schema, parts[-1]))
            for schema, known in self._unread.items()
            if place and [part.casefold() for part in known[-len(place) :]] == place
        ]

    def _of_unread(self, parts: Sequence[str]) -> list[Target]:
        """Tables of schemas that were not read, and columns of such tables."""
        columns = [
            Target(table.table_fqn, parts[-1])
            for table in (self._tables_of_unread(parts[:-1]) if len(parts) > 1 else ())
        ]
        return [*self._tables_of_unread(parts), *columns]

    def _columns_of(self, parts: Sequence[str]) -> list[Target]:
        wanted = parts[-1].casefold()
        return [
            Target(table.table_fqn, column)
            for table in self._tables(parts[:-1])
            for column in self._known_columns(table.table_fqn)
            if column.casefold() == wanted
        ]

    def _known_columns(self, table_fqn: str) -> tuple[str, ...]:
        found = self._columns.get(table_fqn)
        if found is None:
            found = tuple(dict.fromkeys(self._columns_of_table(table_fqn)))
            self._columns[table_fqn] = found
        return found

    def _by_last(self, last: str) -> list[tuple[str, tuple[str, ...]]]:
        """The tables whose last part is that, casefolded, with their parts.

        Taking every name apart would take most of the time of an answer; of names in ASCII only
        those are that hold the text at all.
        """
        found = self._called.get(last)
        if found is None:
            holding = self._names
            if last.isascii():
                holding = self._names.filter(
                    self._lower.str.contains(last, literal=True) | self._odd
                )
            split = ((name, tuple(fqn.split(name))) for name in holding)
            found = [(name, parts) for name, parts in split if parts[-1].casefold() == last]
            self._called[last] = found
        return found

    def _narrowed(self, parts: Sequence[str], found: list[Target]) -> list[Target]:
        """Those with the most parts in exact case; of those, the one that is named in full."""

        def in_exact_case(one: Target) -> int:
            ours = self._parts(one)[-len(parts) :]
            return sum(ours[place] == part for place, part in enumerate(parts))

        most = max(map(in_exact_case, found), default=0)
        best = [one for one in found if in_exact_case(one) == most]
        return [one for one in best if len(self._parts(one)) == len(parts)] or best

    @staticmethod
    def _parts(target: Target) -> list[str]:
        return [*fqn.split(target.table_fqn), *([] if target.column is None else [target.column])]

    def _alike(self, parts: Sequence[str]) -> tuple[str, ...]:
        lasts: dict[str, str] = {}
        for name in self._names:
            lasts.setdefault(fqn.split(name)[-1].casefold(), name)
        near = difflib.get_close_matches(parts[-1].casefold(), lasts, n=_ALIKE)
        return tuple(lasts[one] for one in near)


def find_project(name: str, projects: pl.DataFrame) -> tuple[str, str]:
    """Workspace and id of the project or component that the name means.

    Args:
        name: id, title, or a part of a title that only one has; letter case does not count.
        projects: ``hex_projects`` with their ``workspace``.

    Raises:
        NameNotFound: nothing is called so.
        NameAmbiguous: several are.
    """
    rows = list(projects.select("workspace", "id", "title").iter_rows())
    wanted = name.strip().casefold()
    if given := _UUID.search(wanted):
        wanted = given[0]
    by_id = [row for row in rows if row[1] == wanted]
    titled = [row for row in rows if row[2].casefold() == wanted]
    found = by_id or titled or [row for row in rows if wanted and wanted in row[2].casefold()]
    if len(found) == 1:
        return found[0][0], found[0][1]
    if found:
        shown = sorted(f"{title} ({workspace}, {key})" for workspace, key, title in found)
        raise NameAmbiguous(name, tuple(shown))
    titles = {title.casefold(): title for _, _, title in rows}
    near = difflib.get_close_matches(wanted, titles, n=_ALIKE)
    raise NameNotFound(name, "project", tuple(titles[one] for one in near))
