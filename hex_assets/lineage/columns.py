"""Which columns of its tables a statement uses, and for what.

The second phase of lineage: it takes the shape of a statement (``queries.py``) and the columns of
the tables it reads, expands ``*``, finds the source of each name, and follows what each is used
for through subqueries and common table expressions down to the tables. Nothing recurses: chains of
common table expressions are longer than Python's stack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from hex_assets.lineage.names import Folding, Name, TableName, fold
from hex_assets.lineage.queries import Expression, Query, Shape, Source, Usage

Used = dict[str, int]
"""Column to the usages (bits of ``Usage``); 0 if a subquery selects it and nothing takes it up."""


class TableColumns(NamedTuple):
    """The columns of a table, by the text they fold to; None when they are not known."""

    by_name: Mapping[str, str]

    @classmethod
    @lru_cache(maxsize=4_096)
    def of(cls, columns: tuple[str, ...], folding: Folding) -> TableColumns:
        return cls({fold(Name(column, quoted=True), folding): column for column in columns})

    def find(self, name: str) -> str | None:
        """The stored spelling: exactly, else the only one that differs by letter case alone."""
        found = self.by_name.get(name)
        if found is None:
            lower = name.lower()
            alike = [column for column in self.by_name.values() if column.lower() == lower]
            found = alike[0] if len(alike) == 1 else None
        return found


class Derived(NamedTuple):
    """A table that the text made itself before: where its columns come from."""

    columns: tuple[tuple[str, frozenset[tuple[object, str]]], ...]


Table = tuple[object, TableColumns | Derived | None]
"""What a table is reported by (None: not at all), and its columns, if they are known."""

# What a name leads to, as (kind, query or table, column).
_Target = tuple[str, int, str | int | None]
_Columns = list[tuple[str, "_Target"]]


class _Opened:
    """The columns of a query or source.

    Attributes:
        columns: those that are known, in order.
        others: where all other names lead, if there are any: sources of unknown columns.
        rest: what stands for a column that no source has by name (a function's, a pivot's).
    """

    __slots__ = ("_alike", "_exact", "columns", "others", "rest")

    def __init__(
        self, columns: _Columns, others: tuple[_Target, ...] = (), rest: _Target | None = None
    ) -> None:
        self.columns = columns
        self.others = others
        self.rest = rest
        self._exact: dict[str, _Target] | None = None
        self._alike: dict[str, _Target | None] = {}

    def find(self, name: str) -> _Target | None:
        """The column of exactly that name, the first if there are several."""
        if self._exact is None:
            self._exact = {}
            for column, target in self.columns:
                self._exact.setdefault(column, target)
        return self._exact.get(name)

    def find_alike(self, name: str) -> _Target | None:
        """The only column that differs from the name by letter case alone."""
        if not self._alike:
            for column, target in self.columns:
                lower = column.lower()
                self._alike[lower] = None if lower in self._alike else target
        return self._alike.get(name.lower())

    def within(self, structure: str) -> tuple[_Target, ...]:
        """The columns of a nested structure."""
        return tuple(t for column, t in self.columns if column.startswith(f"{structure}."))


_NONE = _Opened([])
_MASK = int(Usage.OUTPUT | Usage.FILTER | Usage.JOIN | Usage.GROUP | Usage.ORDER)
_MAX_COLUMNS = 20_000
"""Stars of joined stars grow exponentially; beyond this one column of each name is kept."""

_OUTPUT_FIRST = frozenset({"clickhouse"})
_NESTS = frozenset({"clickhouse"})
"""Nested structures are stored as columns ``structure.column`` here."""

_MERGED_IN_PLACE = frozenset({"clickhouse", "duckdb", "snowflake"})
"""``*`` shows columns joined by USING at their place in the left table, elsewhere first."""


class Attribution:
    """The columns that one statement uses.

    Args:
        shape: the statement.
        table: told for each table name what it is reported by, and its columns.
        dialect: sqlglot's name of the dialect.
    """

    def __init__(self, shape: Shape, table: Callable[[TableName], Table], dialect: str) -> None:
        self.queries = shape.queries
        self.output_first = dialect in _OUTPUT_FIRST
        self.nests = dialect in _NESTS
        self.merged_in_place = dialect in _MERGED_IN_PLACE
        self.tables: list[Table] = []
        self.used: dict[object, Used] = {}
        self.unattributed = 0
        self._table_of: dict[tuple[int, int], int] = {}
        self._seen: dict[_Target, int] = {}
        self._sources: dict[tuple[int, int], _Opened] = {}
        self._opened: dict[int, _Opened] = {}
        self._merged: dict[int, dict[str, tuple[_Target, ...]]] = {}
        self._joined: dict[int, list[_Target]] = {}
        self._named: dict[int, dict[str, list[int]]] = {}
        places: dict[tuple[TableName, bool], int] = {}
        for number, query in enumerate(self.queries):
            for place, source in enumerate(query.sources):
                if source.table is not None:
                    key = source.table, source.written
                    if key not in places:
                        places[key] = len(self.tables)
                        reported, known = table(source.table)
                        self.tables.append((None if source.written else reported, known))
                    self._table_of[number, place] = places[key]
        self._open_all()
        self._attribute()

    # Columns of queries and sources

    def _open_all(self) -> None:
        """Open each query after those it selects from; a recursive one after its first branch."""
        begun: set[int] = set()
        for start in range(len(self.queries)):
            stack = [start]
            while stack:
                number = stack[-1]
                if number in self._opened:
                    stack.pop()
                    continue
                query = self.queries[number]
                if query.branches:
                    needed = [query.branches[0][0]]
                else:
                    needed = [s.query for s in query.sources if s.query is not None]
                waiting = [n for n in needed if n not in self._opened and n not in begun]
                begun.add(number)
                if waiting:
                    stack += waiting
                else:
                    self._opened[number] = self._open(number)
                    stack.pop()

    def _open(self, number: int) -> _Opened:
        query = self.queries[number]
        if query.branches:
            first = self._opened.get(query.branches[0][0], _NONE)
            columns: _Columns = [
                (name, ("position", number, place)) for place, (name, _) in enumerate(first.columns)
            ]
            others = tuple(
                target
                for branch, _ in query.branches
                for target in self._opened.get(branch, _NONE).others
            )
            return _Opened(columns, others, first.rest)
        for place, source in enumerate(query.sources):
            self._sources[number, place] = self._open_source(number, place, source)
        self._merged[number] = self._merge(number, query)
        columns = []
        others = ()
        rest: _Target | None = ("rest", number, None) if query.rest is not None else None
        for place, output in enumerate(query.outputs):
            if output.star is None:
                columns.append((output.name or "", ("output", number, place)))
                continue
            excluded, renamed = set(output.star.excluded), dict(output.star.renamed)
            for opened in self._starred(number, output.star.qualifier):
                columns += [
                    (renamed.get(name, name), target)
                    for name, target in opened.columns
                    if name not in excluded
                ]
                others += opened.others
                rest = rest or opened.rest
            if len(columns) > _MAX_COLUMNS:
                columns = list(dict(reversed(columns)).items())[::-1]
        return _Opened(columns, tuple(dict.fromkeys(others)), rest)

    def _open_source(self, number: int, place: int, source: Source) -> _Opened:
        if source.query is not None:
            opened = self._opened.get(source.query, _NONE)
        elif source.table is not None:
            table = self._table_of[number, place]
            known = self.tables[table][1]
            if isinstance(known, TableColumns):
                found: _Columns = [
                    (name, ("column", table, column)) for name, column in known.by_name.items()
                ]
                opened = _Opened(found, (), None)
            elif isinstance(known, Derived):
                made: _Columns = [
                    (name, ("made", table, position))
                    for position, (name, _) in enumerate(known.columns)
                ]
                opened = _Opened(made, (), None)
            else:
                opened = _Opened([], (("table", table, None),), None)
        else:
            opened = _Opened([], (("table", -1, None),), None)
        if not source.columns:
            return opened
        columns = [
            (source.columns[position] if position < len(source.columns) else name, target)
            for position, (name, target) in enumerate(opened.columns)
        ]
        if opened.rest is not None:
            rest = opened.rest
            columns += [(name, rest) for name in source.columns[len(columns) :]]
        return _Opened(columns, opened.others, opened.rest)

    def _starred(self, number: int, qualifier: tuple[str, ...]) -> Iterator[_Opened]:
        query = self.queries[number]
        if qualifier:
            found = self._called(number, (*qualifier, "*"))
            if found is not None:
                yield self._sources[found[0], found[1]]
            return
        merged = self._merged.get(number, {})
        shown: set[str] = set()
        if merged and not self.merged_in_place and self._all_merge(query):
            shown.update(merged)
            yield _Opened([(name, ("merged", number, name)) for name in merged])
        for place, source in enumerate(query.sources):
            if not source.hidden:
                opened = self._sources[number, place]
                columns = opened.columns
                if merged:
                    columns = [
                        (name, ("merged", number, name) if name in merged else target)
                        for name, target in columns
                        if name not in merged or name not in shown
                    ]
                    shown.update(name for name, _ in columns)
                yield _Opened(columns, opened.others, opened.rest)

    def _all_merge(self, query: Query) -> bool:
        """Each source but the first is joined by USING or NATURAL, none by a comma."""
        return {place for place, _ in query.using} == set(range(1, len(query.sources)))

    def _merge(self, number: int, query: Query) -> dict[str, tuple[_Target, ...]]:
        """Columns joined by USING or NATURAL, and those of the sources that they stand for.

        They are in the order in which ``*`` shows them: those of the last join come first.
        """
        merged: dict[str, tuple[_Target, ...]] = {}
        joined = self._joined.setdefault(number, [])
        for place, names in query.using:
            right = self._sources[number, place]
            lefts = [self._sources[number, left] for left in range(place)]
            if names is None:
                common = {name for name, _ in right.columns}
                lefts_names = dict.fromkeys(name for left in lefts for name, _ in left.columns)
                names = tuple(name for name in lefts_names if name in common)  # noqa: PLW2901
            again = {}
            for name in names:
                left_targets = merged.get(name) or self._known_or_only(lefts, name)
                right_targets = self._known_or_only([right], name)
                joined += [*left_targets, *right_targets]
                hidden = query.sources[place].hidden
                again[name] = left_targets if hidden else (*left_targets, *right_targets)
            merged = again | {name: t for name, t in merged.items() if name not in again}
        return {name: targets for name, targets in merged.items() if targets}

    def _among(self, sources: Sequence[_Opened], name: str) -> tuple[_Target, ...]:
        return tuple(t for source in sources if (t := self._in(source, name)) is not None)

    def _known_or_only(self, sources: Sequence[_Opened], name: str) -> tuple[_Target, ...]:
        known = self._among(sources, name)
        if known:
            return known
        open_ones = [source for source in sources if source.others]
        if len(open_ones) == 1:
            return self._through(open_ones[0], name)
        return ()

    def _through(self, opened: _Opened, name: str) -> tuple[_Target, ...]:
        """Where a name leads that is among the columns nobody knows."""
        if len(opened.others) != 1 or opened.others[0][1] < 0:
            return ()
        return (("named", opened.others[0][1], name),)

    def _in(self, opened: _Opened, name: str) -> _Target | None:
        found = opened.find(name)
        if found is None and opened.columns and not opened.others:
            found = opened.find_alike(name)
        return found

    # Names

    def _called(self, number: int, name: tuple[str, ...]) -> tuple[int, int, int] | None:
        """The source that the first parts of a name call, and how many parts that are."""
        scope: int | None = number
        while scope is not None:
            query = self.queries[scope]
            for place, source in enumerate(query.sources):
                if source.alias is not None and source.alias == name[0]:
                    return scope, place, 1
            for place, source in enumerate(query.sources):
                for parts in range(2, min(len(name), len(source.path) + 1)):
                    if source.path[-parts:] == name[:parts]:
                        return scope, place, parts
            scope = query.parent
        return None

    def _meaning(
        self, number: int, name: tuple[str, ...], output_first: bool, item: int | None
    ) -> tuple[_Target, ...]:
        """What a name leads to; nothing if that cannot be told.

        Args:
            item: place of the output column that the name stands in, if it does.
        """
        if name == ("*",):
            return tuple(
                target for opened in self._starred(number, ()) for target in self._whole(opened)
            )
        if len(name) > 1:
            found = self._called(number, name)
            if found is not None:
                scope, place, parts = found
                opened = self._sources.get((scope, place), _NONE)
                column = name[parts]
                if column == "*":
                    return self._whole(opened)
                target = self._in(opened, column)
                dotted = opened.find(".".join(name[parts:])) if target is None else None
                if target is not None or dotted is not None:
                    return (target or dotted,)  # type: ignore[return-value]
                if self.nests and (nested := opened.within(".".join(name[parts:]))):
                    return nested
                if opened.others:
                    return self._through(opened, column)
                return (opened.rest,) if opened.rest is not None else ()
            if self.nests:
                nested = self._nested(number, name)
                if nested:
                    return nested
        return self._alone(number, name[0], output_first, item)

    def _nested(
        self, number: int, name: tuple[str, ...], values: bool = True
    ) -> tuple[_Target, ...]:
        """The column of a nested structure, which ClickHouse stores as ``structure.column``."""
        scope: int | None = number
        while scope is not None:
            query = self.queries[scope]
            for value, expression in query.values if values else ():
                # ARRAY JOIN structure AS name
                if value == name[0] and len(expression.names) == 1 and not expression.queries:
                    return self._nested(scope, (*expression.names[0], *name[1:]), values=False)
            for place, source in enumerate(query.sources):
                opened = self._sources.get((scope, place), _NONE)
                inside = name[1:] if source.alias == name[0] else name
                target = opened.find(".".join(inside))
                if target is not None:
                    return (target,)
            scope = query.parent
        return ()

    def _whole(self, opened: _Opened) -> tuple[_Target, ...]:
        targets = tuple(target for _, target in opened.columns)
        return (*targets, opened.rest) if opened.rest is not None else targets

    def _alone(
        self, number: int, name: str, output_first: bool, item: int | None
    ) -> tuple[_Target, ...]:
        scope: int | None = number
        while scope is not None:
            query = self.queries[scope]
            if query.branches:
                found = self._opened.get(scope, _NONE).find(name)
                if found is not None:
                    return (found,)
                scope = query.parent
                continue
            within = item if scope == number else None
            output = self._output(query, scope, name, within)
            if output is not None and (output_first or self.output_first):
                return (output,)
            merged = self._merged.get(scope, {}).get(name)
            if merged:
                return merged
            opened = [self._sources.get((scope, p), _NONE) for p in range(len(query.sources))]
            # Past its condition a semi join's right side is unseen, and within it a name that both
            # sides have is an error: the left side's column is meant wherever both have one.
            seen = [
                source for source, of in zip(opened, query.sources, strict=True) if not of.hidden
            ]
            known = self._among(seen, name) or self._among(opened, name)
            if len(known) == 1 or (known and self.output_first):
                return (known[0],)
            if known:
                return ()
            for position, (value, expression) in enumerate(query.values):
                if value == name and expression.names != ((name,),):
                    return (("value", scope, position),)
            if output is not None:
                return (output,)
            if self.nests:
                first, _, last = name.partition(".")
                nested = tuple(target for source in opened for target in source.within(name))
                if not nested and last:
                    nested = self._nested(scope, (first, last))
                if nested:
                    return nested
            for place, source in enumerate(query.sources):
                if source.value and source.alias == name:
                    return self._whole(opened[place])
            open_ones = [source for source in opened if source.others]
            if len(open_ones) == 1:
                return self._through(open_ones[0], name)
            if open_ones:
                return ()
            rests = [source.rest for source in opened if source.rest is not None]
            if len(rests) == 1:
                return (rests[0],)
            for place, source in enumerate(query.sources):
                if source.alias == name:
                    return self._whole(opened[place])
            scope = query.parent
        return ()

    def _output(self, query: Query, number: int, name: str, item: int | None) -> _Target | None:
        """The output column of that name, as far as it can be seen from that item."""
        for place in self._outputs_named(query, number).get(name, ()):
            if place != item and (item is None or place < item):
                output = query.outputs[place]
                own = output.expression.names
                # A column under its own name is not an alias: it would lead to itself.
                if not (len(own) == 1 and own[0] == (name,) and not output.expression.queries):
                    return ("output", number, place)
        return None

    def _outputs_named(self, query: Query, number: int) -> dict[str, list[int]]:
        places = self._named.get(number)
        if places is None:
            places = self._named[number] = {}
            for place, output in enumerate(query.outputs):
                if output.name is not None:
                    places.setdefault(output.name, []).append(place)
        return places

    # Usage

    def _attribute(self) -> None:
        work: list[tuple[_Target, int]] = []
        for number, query in enumerate(self.queries):
            for use in query.uses:
                self._demand(number, use.expression, int(use.usage), use.output_first, None, work)
            for place, output in enumerate(query.outputs):
                self._demand(number, output.expression, 0, False, place, work)
                if output.star is not None and not query.hollow:
                    for opened in self._starred(number, output.star.qualifier):
                        excluded = set(output.star.excluded)
                        work += [(t, 0) for name, t in opened.columns if name not in excluded]
                if query.groups_outputs and not output.aggregated and output.star is None:
                    work.append((("output", number, place), int(Usage.GROUP)))
            if query.orders_outputs:
                work += [(target, int(Usage.ORDER)) for target in self._whole(self._opened[number])]
            work += [(target, int(Usage.JOIN)) for target in self._joined.get(number, ())]
            if query.rest is not None:
                self._demand(number, query.rest, 0, False, None, work)
            for _, expression in query.values:
                self._demand(number, expression, 0, False, None, work)
        while work:
            target, usage = work.pop()
            self._follow(target, usage, work)

    def _demand(
        self,
        number: int,
        expression: Expression,
        usage: int,
        output_first: bool,
        item: int | None,
        work: list[tuple[_Target, int]],
    ) -> None:
        for name in expression.names:
            targets = self._meaning(number, name, output_first, item)
            if not targets and name[-1] != "*":
                self.unattributed += 1
            work += [(target, usage) for target in targets]
        if usage:
            for query in expression.queries:
                work += [(target, usage) for target in self._whole(self._opened[query])]

    def _follow(self, target: _Target, usage: int, work: list[tuple[_Target, int]]) -> None:
        kind, number, what = target
        place = what if isinstance(what, int) else 0
        seen = self._seen.get(target)
        if seen is not None and seen | usage == seen:
            return
        self._seen[target] = (seen or 0) | usage
        if kind in ("column", "named"):
            table, known = self.tables[number]
            if table is not None:
                used = self.used.setdefault(table, {})
                used[str(what)] = used.get(str(what), 0) | usage
        elif kind == "made":
            known = self.tables[number][1]
            if isinstance(known, Derived):
                for origin, column in known.columns[place][1]:
                    used = self.used.setdefault(origin, {})
                    used[column] = used.get(column, 0) | usage
        elif kind == "merged":
            work += [(joined, usage) for joined in self._merged[number][str(what)]]
        elif not usage:
            # That it stands there says nothing; its names are counted where they stand.
            del self._seen[target]
        elif kind == "output":
            expression = self.queries[number].outputs[place].expression
            self._demand(number, expression, usage, False, place, work)
        elif kind == "value":
            self._demand(number, self.queries[number].values[place][1], usage, False, None, work)
        elif kind == "rest":
            self._demand(
                number, self.queries[number].rest or Expression(), usage, False, None, work
            )
        elif kind == "position":
            for branch, filters in self.queries[number].branches:
                columns = self._opened[branch].columns
                if place < len(columns):
                    through = int(Usage.FILTER) if filters else usage
                    work.append((columns[place][1], through))

    def result(self) -> Derived | None:
        """Where the columns that the statement returns come from; None if not all are known."""
        returned = [q for use in self.queries[0].uses for q in use.expression.queries]
        return self.origins(returned[0], ()) if len(returned) == 1 else None

    def origins(self, number: int, names: Sequence[str]) -> Derived | None:
        """Where the output columns of a query come from; None if they are not all known."""
        opened = self._opened[number]
        if opened.others:
            return None
        used, seen = self.used, self._seen
        columns = []
        for place, (name, target) in enumerate(opened.columns):
            self.used, self._seen = {}, {}
            work: list[tuple[_Target, int]] = [(target, int(Usage.OUTPUT))]
            while work:
                self._follow(*work.pop(), work)
            origins = frozenset((t, c) for t, found in self.used.items() for c in found)
            columns.append((names[place] if place < len(names) else name, origins))
        self.used, self._seen = used, seen
        return Derived(tuple(columns))
