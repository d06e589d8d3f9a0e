"""What one statement reads: a walk over sqlglot's tree with lexical scopes.

sqlglot's own ``qualify`` is not used: it wants a schema, raises on much valid SQL and takes three
times as long. A walk needs only two facts about the place of a table's name, and a scope holds
both: which common table expressions are visible there, and (where a dialect lets ``FROM t,
t.items`` unnest) which aliases. What columns mean is not decided here: the walk writes down where
they stand (``queries.py``), and ``columns.py`` attributes them once tables' columns are known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from hex_assets.lineage import queries
from hex_assets.lineage.names import (
    Name,
    TableName,
    alias_folding,
    column_folding,
    fold,
    has_two_levels,
)
from hex_assets.lineage.queries import (
    Expression,
    Output,
    Query,
    Shape,
    Source,
    Star,
    Usage,
)
from hex_assets.lineage.resolve import Reason


@dataclass(frozen=True)
class Read:
    """The statement reads this table.

    Attributes:
        table: its name.
        tolerant: whether the statement was not understood, and the name stood behind FROM or JOIN.
    """

    table: TableName
    tolerant: bool = False


@dataclass(frozen=True)
class Unread:
    """The statement reads something that its text does not name, or was not understood.

    Attributes:
        reason: which of the two, and why.
        reference: the function or variable that hides the name; empty if not understood.
        detail: what helps to mend it; never the text of the statement.
    """

    reason: Reason
    reference: str
    detail: str


@dataclass(frozen=True)
class Made:
    """The statement creates this table or view; later statements read it, not the catalog's.

    Attributes:
        table: its name.
        query: place of the query in the statement's shape that fills it; None when none does.
        columns: names that the statement gives to its columns; empty when the query does.
    """

    table: TableName
    query: int | None = None
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dropped:
    """The statement drops this table or view."""

    table: TableName


@dataclass(frozen=True)
class Use:
    """The statement changes the session.

    Attributes:
        database: the new current database; None leaves it.
        schemas: the new search path; None leaves it, empty makes it unknown.
        forget_database: the current database becomes unknown.
    """

    database: Name | None = None
    schemas: tuple[Name, ...] | None = None
    forget_database: bool = False


Step = Read | Unread | Made | Dropped | Use | Shape


_ITSELF_WITHOUT_RECURSIVE = frozenset({"snowflake", "tsql", "fabric", "oracle", "teradata"})
"""A common table expression may read itself here without the word RECURSIVE."""

_READS_LATER_ONES = frozenset({"bigquery", "postgres", "redshift", "materialize", "risingwave"})
"""Under RECURSIVE an expression may read those written after it, too."""

_READS_ALL_OTHERS = frozenset({"clickhouse"})
"""An expression may read all others of its list, whatever their order."""

_UNNESTS_IN_FROM = frozenset({"bigquery", "redshift"})
"""``FROM t, t.items`` reads the array ``items`` of ``t`` here, not a table of schema ``t``."""

_HAS_DUAL = frozenset({"mysql", "oracle", "snowflake", "singlestore", "doris", "starrocks"})

_READS_FILES = frozenset({"databricks", "duckdb", "hive", "spark", "spark2"})
_FILE = re.compile(
    r"/|\\|\.(?:avro|csv|json|jsonl|ndjson|orc|parquet|tsv|txt|xlsx)(?:\.\w+)?$", re.I
)

_TABLE_ARGUMENT = frozenset({"athena", "databricks", "presto", "spark", "trino"})
"""``f(TABLE(t))`` hands a table to a function here; sqlglot sees a call of ``table``."""

_SCANS_OF_OTHER_SYSTEMS: Mapping[str, frozenset[str]] = {
    "bigquery": frozenset({"external_query"}),
    "clickhouse": frozenset(
        "jdbc mongodb mysql odbc postgresql redis remote remotesecure sqlite".split()
    ),
    "databricks": frozenset({"remote_query"}),
    "duckdb": frozenset(
        "mysql_query mysql_scan postgres_query postgres_scan query query_table sqlite_scan".split()
    ),
    "postgres": frozenset({"dblink"}),
    "trino": frozenset({"query", "raw_query"}),
    "tsql": frozenset({"opendatasource", "openquery", "openrowset"}),
}

_COLUMNS_OF_VALUES: Mapping[str, tuple[str, int]] = {
    **dict.fromkeys(("athena", "presto", "trino"), ("_col", 0)),
    **dict.fromkeys(("databricks", "spark"), ("col", 1)),
    "duckdb": ("col", 0),
    "mysql": ("column_", 0),
}
"""What columns of VALUES are called, and the number of the first; ``column1`` elsewhere."""

_ROWS_OF_VALUES = frozenset({"athena", "mysql", "presto", "trino"})
"""``VALUES ROW(1, 2)`` has two columns here."""

_CLUSTER_FUNCTIONS = frozenset({"cluster", "clusterallreplicas"})

_MODEL_FUNCTIONS = (exp.GenerateEmbedding, exp.MLForecast, exp.MLTranslate, exp.Predict)
"""Their first argument is a model, which sqlglot takes for a table."""

_EXPRESSIONS = (
    exp.Condition,
    exp.Alias,
    exp.Aliases,
    exp.Identifier,
    exp.Table,
    exp.Tuple,
    exp.Var,
)
"""What sqlglot returns at the top when it took a statement it does not know for an expression."""

_OPAQUE = (exp.Execute, exp.Refresh)

_READING = (
    exp.Cache,
    exp.Create,
    exp.DML,
    exp.Drop,
    exp.MultitableInserts,
    exp.Pivot,
    exp.Query,
    exp.Summarize,
)
"""Roots whose tables are read unless a handler says otherwise; others merely mention them."""

_LEAVES = frozenset(
    {
        exp.Boolean,
        exp.DataType,
        exp.Identifier,
        exp.Literal,
        exp.Null,
        exp.Var,
    }
)


PARSER_BUGS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""What sqlglot raises, beside its own errors, on some malformed texts."""

_LONGEST_NAME = 1_000


class NotAStatement(Exception):
    """sqlglot took the statement for something that it cannot be."""


def steps_of(tree: exp.Expr, dialect: str) -> list[Step]:
    """What one parsed statement reads, makes and changes, in this order.

    Raises:
        NotAStatement: the tree is an expression, so the text was misunderstood.
    """
    if isinstance(tree, _EXPRESSIONS):
        raise NotAStatement
    if isinstance(tree, _OPAQUE):
        kind = type(tree).__name__.upper()
        return [Unread(Reason.NOT_PARSED, "", f"{kind} does not say what it reads")]
    if isinstance(tree, exp.Use):
        return [_use(tree, dialect)]
    return _Walk(dialect).steps(tree)


def name_of(identifier: exp.Expr) -> Name:
    return Name(identifier.name, bool(identifier.args.get("quoted")))


class _Scope:
    """What a name can mean at one place of the text.

    Attributes:
        parent: the enclosing scope.
        ctes: name to place in the WITH list of this scope.
        bodies: the queries of the list.
        visible: how many of the list can be seen from here.
        hidden: place of the one among them that cannot; None if there is none.
        aliases: aliases of the FROM clause that can be seen from here.
        values: names of expressions, which ClickHouse allows after IN.
    """

    __slots__ = ("aliases", "bodies", "ctes", "hidden", "parent", "values", "visible")

    def __init__(
        self,
        parent: _Scope | None = None,
        ctes: Mapping[str, int] | None = None,
        visible: int = 0,
        aliases: frozenset[str] = frozenset(),
        values: frozenset[str] = frozenset(),
        bodies: Sequence[int | None] = (),
        hidden: int | None = None,
    ) -> None:
        self.parent = parent
        self.ctes = ctes or {}
        self.bodies = bodies
        self.visible = visible
        self.hidden = hidden
        self.aliases = aliases
        self.values = values

    def _outwards(self) -> Iterator[_Scope]:
        scope: _Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def cte(self, name: str) -> int | None:
        """The query of the common table expression that the name means here, if it means one."""
        for scope in self._outwards():
            place = scope.ctes.get(name, scope.visible)
            if place < scope.visible and place != scope.hidden:
                return scope.bodies[place]
        return None

    def has_alias(self, name: str) -> bool:
        return any(name in scope.aliases for scope in self._outwards())

    def has_value(self, name: str) -> bool:
        return any(name in scope.values for scope in self._outwards())


class _Slot:
    """An expression being read: the query whose names it sees, and what it was found to hold."""

    __slots__ = ("bare", "names", "queries", "query")

    def __init__(self, query: int, bare: bool = False) -> None:
        self.query = query
        self.bare = bare
        self.names: list[tuple[str, ...]] = []
        self.queries: list[int] = []

    def expression(self) -> Expression:
        return Expression(tuple(dict.fromkeys(self.names)), tuple(self.queries))


class _Draft:
    """A query being read; its fields are those of ``Query``."""

    def __init__(self, place: int, parent: int | None, hollow: bool) -> None:
        self.place = place
        self.parent = parent
        self.hollow = hollow
        self.anchor: _Scope | None = None
        self.sources: list[Source] = []
        self.outputs: list[tuple[str | None, _Slot | None, Star | None, bool]] = []
        self.uses: list[tuple[int, _Slot, bool]] = []
        self.using: list[tuple[int, tuple[str, ...] | None]] = []
        self.values: list[tuple[str, _Slot]] = []
        self.rest: _Slot | None = None
        self.branches: list[tuple[int, bool]] = []
        self.groups_outputs = False
        self.orders_outputs = False

    def slot(self) -> _Slot:
        return _Slot(self.place)

    def use(self, usage: int, output_first: bool = False, bare: bool = False) -> _Slot:
        slot = _Slot(self.place, bare)
        self.uses.append((usage, slot, output_first))
        return slot

    def others(self) -> _Slot:
        self.rest = self.rest or self.slot()
        return self.rest

    def everything(self, *excluded: str) -> None:
        self.outputs.append((None, None, Star(excluded=excluded), False))

    def query(self) -> Query:
        return Query(
            self.parent,
            tuple(self.sources),
            tuple(
                Output(name, slot.expression() if slot else Expression(), star, aggregated)
                for name, slot, star, aggregated in self.outputs
            ),
            tuple(
                queries.Use(usage, expression, first)
                for usage, slot, first in self.uses
                if (expression := slot.expression()) != Expression()
            ),
            tuple(self.using),
            tuple((name, slot.expression()) for name, slot in self.values),
            self.rest.expression() if self.rest else None,
            tuple(self.branches),
            self.hollow,
            self.groups_outputs,
            self.orders_outputs,
        )


class _Walk:
    """One statement's walk. It keeps its own stack: SQL nests deeper than Python recurses."""

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        self.folding = alias_folding(dialect)
        self.column_folding = column_folding(dialect)
        self.found: list[Step] = []
        self.after: list[Step] = []
        self.stack: list[tuple[Callable[[Any, _Scope, Any], None], exp.Expr, _Scope, Any]] = []
        self.written: set[int] = set()
        self.keeps_aliases = dialect in _UNNESTS_IN_FROM or dialect == "clickhouse"
        self.drafts: list[_Draft] = []

    def steps(self, tree: exp.Expr) -> list[Step]:
        outermost = _Scope()
        slot = self._draft(None).use(Usage.OUTPUT)
        if isinstance(tree, _READING) or not any(_tables(tree)):
            self._push([tree], outermost, slot)
        else:
            self._push(
                (child for child in _children(tree) if type(child) is not exp.Table),
                outermost,
                slot,
            )
        while self.stack:
            task, node, scope, target = self.stack.pop()
            task(node, scope, target)
        if any(source.table for draft in self.drafts for source in draft.sources):
            self.found.append(Shape(tuple(draft.query() for draft in self.drafts)))
        return self.found + self.after

    def _visit(self, node: exp.Expr, scope: _Scope, slot: _Slot) -> None:
        handler = _HANDLERS.get(type(node))
        if handler is not None:
            handler(self, node, scope, slot)
        else:
            self._descend(node, scope, slot)

    def _push(self, nodes: Iterable[exp.Expr], scope: _Scope, slot: _Slot) -> None:
        visit = self._visit
        tasks = [(visit, node, scope, slot) for node in nodes if type(node) not in _LEAVES]
        tasks.reverse()
        self.stack += tasks

    def _descend(self, node: exp.Expr, scope: _Scope, slot: _Slot, *skipped: str) -> None:
        scope = self._with(node, scope, slot.query)
        self._push(_children(node, "with_", *skipped), scope, slot)

    def _fold(self, identifier: exp.Expr) -> str:
        return fold(name_of(identifier), self.folding)

    def _fold_column(self, identifier: exp.Expr) -> str:
        return fold(name_of(identifier), self.column_folding)

    def _draft(self, parent: int | None, hollow: bool = False) -> _Draft:
        draft = _Draft(len(self.drafts), parent, hollow)
        self.drafts.append(draft)
        return draft

    def _query(
        self,
        node: exp.Expr,
        scope: _Scope,
        parent: int | None,
        hollow: bool = False,
        anchor: _Scope | None = None,
    ) -> int:
        """The place of a query that will be read later.

        Args:
            anchor: scope of its first branch, where that differs from the others'.
        """
        draft = self._draft(parent, hollow)
        draft.anchor = anchor
        self.stack.append((self._fill, node, scope, draft))
        return draft.place

    # Common table expressions

    def _with(self, node: exp.Expr, scope: _Scope, parent: int | None) -> _Scope:
        """The scope of a node that may begin with WITH; its expressions join the walk."""
        with_ = node.args.get("with_")
        if with_ is None:
            return scope
        expressions = with_.expressions
        ctes: dict[str, int] = {}
        named = set()
        bodies: list[int | None] = []
        for place, cte in enumerate(expressions):
            alias, _ = _alias_of(cte)
            name = self._fold(alias) if alias is not None else ""
            if cte.args.get("scalar"):
                named.add(name)
            else:
                ctes.setdefault(name, place)
        values = frozenset(named)
        everything = _Scope(scope, ctes, len(expressions), values=values, bodies=bodies)
        for place, cte in enumerate(expressions):
            before = _Scope(scope, ctes, place, values=values, bodies=bodies)
            itself_too = _Scope(scope, ctes, place + 1, values=values, bodies=bodies)
            anchor = None
            seen = before
            if with_.args.get("recursive"):
                reads_later = self.dialect in _READS_LATER_ONES | _READS_ALL_OTHERS
                seen = everything if reads_later else itself_too
            elif self.dialect in _ITSELF_WITHOUT_RECURSIVE:
                anchor, seen = before, itself_too
            elif self.dialect in _READS_ALL_OTHERS:
                seen = _Scope(
                    scope, ctes, len(expressions), values=values, bodies=bodies, hidden=place
                )
            body = self._query(cte.this, seen, parent, anchor=anchor)
            bodies.append(self._renamed(body, cte, parent))
        self._push(with_.args.get("udfs") or (), everything, self.drafts[0].slot())
        return everything

    def _renamed(self, query: int, named: exp.Expr, parent: int | None) -> int:
        """The query under the column names of ``WITH t(a, b) AS``, if there are any."""
        _, columns = _alias_of(named)
        if not columns:
            return query
        draft = self._draft(parent)
        names = tuple(self._fold_column(column) for column in columns)
        draft.sources.append(Source(query=query, columns=names))
        draft.everything()
        return draft.place

    # Queries

    def subquery(self, node: exp.Expr, scope: _Scope, slot: _Slot) -> None:
        slot.queries.append(self._query(node, scope, slot.query))

    def exists(self, node: exp.Expr, scope: _Scope, slot: _Slot) -> None:
        if isinstance(node.this, exp.Query):
            self._query(node.this, scope, slot.query, hollow=True)
        else:
            self._descend(node, scope, slot)

    def _fill(self, node: exp.Expr, scope: _Scope, draft: _Draft) -> None:
        anchor = draft.anchor
        if anchor is not None:
            anchor = self._with(node, anchor, draft.parent)
        scope = self._with(node, scope, draft.parent)
        while type(node) is exp.Subquery and not _modified(node) and not _lists(node):
            node = node.this
            if anchor is not None:
                anchor = self._with(node, anchor, draft.parent)
            scope = self._with(node, scope, draft.parent)
        if isinstance(node, exp.SetOperation):
            self._set_operation(node, scope, draft, anchor)
            return
        if anchor is not None and type(node) is not exp.Subquery:
            scope = anchor
        if isinstance(node, exp.Select):
            self._select(node, scope, draft)
        elif type(node) is exp.Subquery and not _lists(node):
            inner = self._query(node.this, scope, draft.parent, draft.hollow, anchor)
            draft.sources.append(Source(query=inner))
            draft.everything()
            self._clauses(node, scope, draft, "this", "alias", "with_")
        elif isinstance(node, exp.Subquery | exp.Table):
            self._source(node, scope, draft)
            draft.everything()
        elif isinstance(node, exp.Pivot):
            self._pivot_statement(node, scope, draft)
        elif isinstance(node, exp.Values):
            self._values(node, scope, draft)
        elif isinstance(node, exp.DML):
            slot = draft.others()
            draft.uses.append((Usage.OUTPUT, slot, False))
            self._visit(node, scope, slot)
        else:
            self._descend(node, scope, draft.others())

    def _set_operation(
        self, node: exp.Expr, scope: _Scope, draft: _Draft, anchor: _Scope | None
    ) -> None:
        """A chain of set operations without parentheses is one query with many branches.

        Where RECURSIVE is not written, a body is recursive by its shape: all branches but the
        first, the anchor, see the expression itself.
        """
        self._clauses(node, scope, draft, "this", "expression", "with_")
        branches = []
        while True:
            branches.append((node.args["expression"], isinstance(node, exp.Except)))
            node = node.this
            if not isinstance(node, exp.SetOperation) or _modified(node) or node.args.get("with_"):
                break
        parent, hollow = draft.parent, draft.hollow
        if anchor is not None and isinstance(node, exp.SetOperation | exp.Subquery):
            first = self._query(node, scope, parent, hollow, anchor)
        else:
            first = self._query(node, anchor or scope, parent, hollow)
        draft.branches = [(first, False)]
        for branch, filters in reversed(branches):
            draft.branches.append((self._query(branch, scope, parent, hollow), filters))

    def _select(self, node: exp.Expr, scope: _Scope, draft: _Draft) -> None:
        into = node.args.get("into")
        if into is not None and isinstance(into.this, exp.Table):
            self._make(into.this, draft.place)
        seen: frozenset[str] = frozenset()
        for key in ("from_", "joins", "laterals"):
            for item in _list(node, key):
                # An item sees those before it: FROM sales.sales, sales.items
                here = _Scope(scope, aliases=seen) if self.keeps_aliases else scope
                if key == "joins":
                    self._join(item, here, draft)
                else:
                    self._source(item.this if key == "from_" else item, here, draft)
                if self.keeps_aliases:
                    seen |= frozenset(self._aliases(item.this))
        if self.keeps_aliases:
            values = frozenset[str]()
            if self.dialect == "clickhouse":
                named = (e.args["alias"] for e in node.expressions if isinstance(e, exp.Alias))
                values = frozenset(self._fold(alias) for alias in named)
            scope = _Scope(scope, aliases=seen, values=values)
        match = node.args.get("match")
        if match is not None:
            self._match_recognize(match, scope, draft)
        group = node.args.get("group")
        skipped: tuple[str, ...] = ()
        if group is not None:
            by_itself = self.dialect == "trino" and _is_auto(group.expressions)
            skipped = ("group",) if by_itself else ()
            draft.groups_outputs = (
                by_itself
                or bool(group.args.get("all"))
                or any(isinstance(i, exp.Literal) and not i.is_string for i in group.expressions)
            )
        with_ = node.args.get("with_")
        for cte in with_.expressions if with_ is not None else ():
            if cte.args.get("scalar"):
                alias, _ = _alias_of(cte)
                slot = draft.slot()
                _forget_parameters(cte.this)
                self._push([cte.this], scope, slot)
                if alias is not None:
                    draft.values.append((self._fold_column(alias), slot))
        for item in node.expressions:
            self._output(item, scope, draft)
        self._clauses(
            node,
            scope,
            draft,
            *("with_", "into", "hint", "from_", "joins", "laterals", "expressions", "match"),
            *skipped,
        )

    def _output(self, item: exp.Expr, scope: _Scope, draft: _Draft) -> None:
        star = item.this if type(item) is exp.Column else item
        if type(star) is exp.Star:
            qualifier = item.parts[:-1] if star is not item else ()  # type: ignore[attr-defined]
            self._star(star, tuple(self._fold(part) for part in qualifier), scope, draft)
            return
        if isinstance(item, exp.Columns):
            draft.everything()
            return
        slot = draft.slot()
        aggregated = draft.groups_outputs and item.find(exp.AggFunc, exp.Window) is not None
        value: exp.Expr = item
        if isinstance(item, exp.Aliases):
            for alias in item.args["expressions"]:
                draft.outputs.append((self._fold_column(alias), slot, None, aggregated))
            value = item.this
        else:
            name: exp.Expr | None = None
            if isinstance(item, exp.Alias):
                name, value = item.args["alias"], item.this
            elif isinstance(item, exp.Column):
                name = item.this
            elif isinstance(item, exp.Dot):
                name = item.expression
            elif isinstance(item, exp.Subquery):
                name, _ = _alias_of(item)
            folded = self._fold_column(name) if isinstance(name, exp.Identifier) else None
            draft.outputs.append((folded, slot, None, aggregated))
        self._push([value], scope, slot)

    def _star(
        self, star: exp.Expr, qualifier: tuple[str, ...], scope: _Scope, draft: _Draft
    ) -> None:
        replaced = [
            (self._fold_column(alias.args["alias"]), alias.this)
            for alias in _list(star, "replace")
            if isinstance(alias, exp.Alias)
        ]
        excluded = [self._fold_column(name) for name in _columns_in(_list(star, "except_"))]
        renamed = [
            (self._fold_column(alias.this.this), self._fold_column(alias.args["alias"]))
            for alias in _list(star, "rename")
            if isinstance(alias, exp.Alias) and isinstance(alias.this, exp.Column)
        ]
        names = (*excluded, *(name for name, _ in replaced))
        draft.outputs.append((None, None, Star(qualifier, names, tuple(renamed)), False))
        for name, value in replaced:
            slot = draft.slot()
            draft.outputs.append((name, slot, None, False))
            self._push([value], scope, slot)

    def _clauses(self, node: exp.Expr, scope: _Scope, draft: _Draft, *skipped: str) -> None:
        """All that a query uses beside its sources and its output."""
        for key, value in node.args.items():
            if key in skipped or not isinstance(value, exp.Expr | list):
                continue
            if key in _ORDERS:
                for order in _list(node, key):
                    self._order(order, scope, draft)
            elif key == "distinct":
                on = value.args.get("on") if isinstance(value, exp.Expr) else None
                if on is not None:
                    self._push([on], scope, draft.use(Usage.GROUP))
            else:
                usage = _CLAUSES.get(key, Usage.FILTER)
                self._push(_list(node, key), scope, draft.use(usage))

    def _order(self, order: exp.Expr, scope: _Scope, draft: _Draft) -> None:
        for item in order.expressions or [order.this]:
            value = item.this if isinstance(item, exp.Ordered) else item
            alone = type(value) is exp.Column and len(value.parts) == 1
            if type(value) is exp.Var and value.name.upper() == "ALL":
                draft.orders_outputs = True
                continue
            first = alone or self.dialect not in _ORDERS_BY_INPUT
            self._push([item], scope, draft.use(Usage.ORDER, output_first=first))

    # What a FROM clause lists

    def _join(self, join: exp.Expr, scope: _Scope, draft: _Draft) -> None:
        kind = str(join.args.get("kind") or "").upper()
        if kind == "ARRAY":
            for item in (join.this, *join.expressions):
                slot = draft.use(Usage.JOIN)
                if isinstance(item, exp.Alias):
                    draft.values.append((self._fold_column(item.args["alias"]), slot))
                    item = item.this  # noqa: PLW2901
                self._push([item], scope, slot)
            return
        place = len(draft.sources)
        self._source(join.this, scope, draft)
        if kind in ("SEMI", "ANTI"):
            draft.sources[place:] = [s._replace(hidden=True) for s in draft.sources[place:]]
        if place < len(draft.sources):
            using = _list(join, "using")
            if using:
                columns = [c.this if isinstance(c, exp.Column) else c for c in using]
                names = tuple(
                    self._fold_column(c) for c in columns if isinstance(c, exp.Identifier)
                )
                draft.using.append((place, names))
            elif str(join.args.get("method") or "").upper() == "NATURAL":
                draft.using.append((place, None))
        self._push(_children(join, "this", "using"), scope, draft.use(Usage.JOIN))

    def _source(self, item: exp.Expr, scope: _Scope, draft: _Draft) -> None:
        """Add an item of the FROM clause to the draft's sources."""
        alias, columns = _alias_of(item)
        names = tuple(self._fold_column(column) for column in columns)
        called = self._fold(alias) if alias is not None else None
        source: Source | None
        if type(item) is exp.Table:
            source = self._table_source(item, called, names, scope, draft)
        elif type(item) is exp.Subquery:
            source = self._subquery_source(item, called, names, scope, draft)
        elif type(item) is exp.Lateral and isinstance(item.this, exp.Subquery):
            query = self._query(item.this, scope, draft.place)
            source = Source(called, query=query, columns=names)
        elif type(item) is exp.Values:
            rows = self._draft(draft.place)
            self._values(item, scope, rows)
            source = Source(called, query=rows.place, columns=names, value=not names)
        elif type(item) is exp.Final:
            self._source(item.this, scope, draft)
            return
        else:
            source = self._computed_rows(item, called, names, scope, draft)
        if source is not None:
            for pivot in _list(item, "pivots"):
                source = self._pivoted(pivot, source, scope, draft)
            draft.sources.append(source)
        for join in _list(item, "joins"):
            self._join(join, scope, draft)

    def _subquery_source(
        self,
        item: exp.Expr,
        called: str | None,
        names: tuple[str, ...],
        scope: _Scope,
        draft: _Draft,
    ) -> Source | None:
        scope = self._with(item, scope, draft.parent)
        # DuckDB needs no LATERAL.
        parent = draft.place if self.dialect == "duckdb" else draft.parent
        if not _lists(item.this) and isinstance(item.this, exp.Query | exp.Pivot):
            inner = item if _modified(item) else item.this
            return Source(called, query=self._query(inner, scope, parent), columns=names)
        if called is None and not item.args.get("pivots"):
            self._source(item.this, scope, draft)
            return None
        inner_draft = self._draft(draft.parent, hollow=True)
        self._source(item.this, scope, inner_draft)
        inner_draft.everything()
        return Source(called, query=inner_draft.place, columns=names)

    def _computed_rows(
        self,
        item: exp.Expr,
        called: str | None,
        names: tuple[str, ...],
        scope: _Scope,
        draft: _Draft,
    ) -> Source:
        """A function or an array: its columns come from its arguments."""
        rows = self._draft(draft.place)
        slot = rows.others()
        rows.uses.append((Usage.JOIN, slot, False))
        value = isinstance(item, exp.Unnest) and called is None and bool(names)
        if value:
            called, names = names[0], names[1:]
        offset = item.args.get("offset")
        if isinstance(offset, exp.Identifier):
            # The position comes after all that is unnested.
            rows.outputs += [(name, slot, None, False) for name in names]
            rows.outputs.append((self._fold_column(offset), rows.slot(), None, False))
        if isinstance(item, exp.TableFromRows):
            self.table_from_rows(item, scope, slot)
        else:
            self._push(_children(item, "alias", "offset", "pivots", "joins"), scope, slot)
        return Source(called, query=rows.place, columns=names, value=value or not names)

    def _values(self, node: exp.Expr, scope: _Scope, draft: _Draft) -> None:
        """The rows of VALUES: each column comes from what stands at its place in all rows."""
        rows = [self._row(row) for row in node.expressions]
        if any(value.is_star for row in rows for value in row):
            self._descend(node, scope, draft.others(), "alias")
            return
        prefix, first = _COLUMNS_OF_VALUES.get(self.dialect, ("column", 1))
        for place in range(max((len(row) for row in rows), default=0)):
            name = fold(Name(f"{prefix}{first + place}"), self.column_folding)
            slot = draft.slot()
            draft.outputs.append((name, slot, None, False))
            self._push((row[place] for row in rows if place < len(row)), scope, slot)

    def _row(self, row: exp.Expr) -> list[exp.Expr]:
        values = row.expressions if isinstance(row, exp.Tuple) else [row]
        inner = values[0] if len(values) == 1 else None
        if isinstance(inner, exp.Anonymous | exp.Struct) and self.dialect in _ROWS_OF_VALUES:
            called = inner.name.lower() if isinstance(inner, exp.Anonymous) else "row"
            values = inner.expressions if called == "row" else values
        return list(values)

    def _table_source(
        self,
        node: exp.Expr,
        called: str | None,
        names: tuple[str, ...],
        scope: _Scope,
        draft: _Draft,
    ) -> Source | None:
        others = _children(node, *_NAME_OF_TABLE, "pivots", "joins", "rows_from")
        self._push(others, scope, draft.use(Usage.FILTER))
        this = node.this
        argument: exp.Expr | None = None
        if isinstance(this, exp.DynamicIdentifier):
            argument = this.this
        elif isinstance(this, exp.Anonymous) and this.expressions:
            if this.name.lower() in ("identifier", "table_changes"):
                argument = this.expressions[0]
        if argument is not None:
            named = self._named_by(argument)
            if named is None:
                self._computed(argument, scope, draft.use(Usage.JOIN))
                return Source(called, columns=names)
            return self._named_source(table_name(named, self.dialect), called, names)
        if isinstance(this, exp.Identifier | exp.Dot):
            name = table_name(node, self.dialect)
            written = id(node) in self.written
            query = self._cte(name, scope)
            if query is not None and not written:
                alone = self._fold(this)
                return Source(called or alone, query=query, columns=names)
            if not written and self._is_no_table(name, scope):
                return self._no_table(node, name, called, names, draft)
            return self._named_source(name, called, names, written)
        if isinstance(this, exp.Parameter | exp.Placeholder | exp.SessionParameter):
            # A table variable of T-SQL is declared, and filled, in the same text.
            if self.dialect != "tsql":
                self._hidden(f"{this.name or '?'}")
            return Source(called, columns=names)
        if isinstance(this, exp.Anonymous) and self.dialect == "clickhouse":
            arguments = this.expressions[1:3]
            if this.name.lower() in _CLUSTER_FUNCTIONS and _names_table(arguments):
                return self._on_cluster(arguments, called, names)
        rows = self._draft(draft.place)
        slot = rows.others()
        rows.uses.append((Usage.JOIN, slot, False))
        if isinstance(this, exp.Func):
            self._table_function(this, scope, slot)
        elif isinstance(this, exp.Expr):
            self._push([this], scope, slot)
        self._push(_list(node, "rows_from"), scope, slot)
        if isinstance(this, exp.Var):
            return Source(called, columns=names)
        return Source(called, query=rows.place, columns=names, value=True)

    def _named_source(
        self,
        name: TableName,
        called: str | None,
        names: tuple[str, ...],
        written: bool = False,
    ) -> Source:
        if not written:
            self.found.append(Read(name))
        path = tuple(fold(part, self.folding) for part in name.parts)
        if called is not None:
            return Source(called, (), name, columns=names, written=written)
        return Source(path[-1], path, name, columns=names, written=written)

    def _no_table(
        self,
        node: exp.Expr,
        name: TableName,
        called: str | None,
        names: tuple[str, ...],
        draft: _Draft,
    ) -> Source | None:
        first = fold(name.parts[0], self.folding)
        if self.dialect not in _UNNESTS_IN_FROM or len(name.parts) == 1:
            return Source(called, columns=names) if len(name.parts) > 1 or called else None
        rows = self._draft(draft.place)
        slot = rows.others()
        rows.uses.append((Usage.JOIN, slot, False))
        fields = (fold(part, self.column_folding) for part in name.parts[1:])
        slot.names.append((first, *fields))
        last = fold(name.parts[-1], self.folding)
        return Source(called or last, query=rows.place, columns=names, value=True)

    def _pivoted(self, pivot: exp.Expr, source: Source, scope: _Scope, draft: _Draft) -> Source:
        alias, columns = _alias_of(pivot)
        inner = self._draft(draft.parent)
        inner.sources.append(source)
        fields = [field for field in _list(pivot, "fields") if isinstance(field, exp.Expr)]
        if pivot.args.get("unpivot"):
            listed = [item for field in fields for item in field.expressions]
            gone = {self._fold_column(name) for name in _columns_in(listed)}
            self._push(listed, scope, inner.others())
        else:
            turned = [field.this for field in fields if isinstance(field.this, exp.Expr)]
            gone = {self._fold_column(n) for n in _columns_in([*pivot.expressions, *turned])}
            self._push(pivot.expressions, scope, inner.others())
            self._push([*turned, *_list(pivot, "group")], scope, inner.use(Usage.GROUP))
            listed = [item for field in fields for item in field.expressions]
            self._push([*listed, *_children(pivot, *_OF_PIVOT)], scope, inner.use(Usage.FILTER))
        group = _list(pivot, "group")
        if group:
            self._grouped(group, inner)
        else:
            inner.everything(*sorted(gone))
        called = self._fold(alias) if alias is not None else source.alias
        names = tuple(self._fold_column(column) for column in columns)
        return Source(called, source.path, query=inner.place, columns=names)

    def _pivot_statement(self, node: exp.Expr, scope: _Scope, draft: _Draft) -> None:
        """DuckDB's PIVOT and UNPIVOT, which are statements."""
        self._source(node.this, scope, draft)
        turned = [*node.expressions, *_list(node, "using")]
        gone = {self._fold_column(name) for name in _columns_in(turned)}
        if node.args.get("unpivot"):
            self._push(node.expressions, scope, draft.others())
        else:
            self._push(_list(node, "using"), scope, draft.others())
            self._push(node.expressions, scope, draft.use(Usage.GROUP))
        group = node.args.get("group")
        if group is None:
            draft.everything(*sorted(gone))
        else:
            self._push([group], scope, draft.use(Usage.GROUP))
            self._grouped([group], draft)

    def _grouped(self, group: list[exp.Expr], draft: _Draft) -> None:
        """A pivot with GROUP BY passes on the columns that it groups by, and no others."""
        for name in _columns_in(group):
            slot = draft.slot()
            slot.names.append((self._fold_column(name),))
            draft.outputs.append((self._fold_column(name), slot, None, False))

    def _match_recognize(self, node: exp.Expr, scope: _Scope, draft: _Draft) -> None:
        """Its pattern variables stand before columns, where tables are named elsewhere."""
        inner = self._draft(draft.parent)
        inner.sources, draft.sources = draft.sources, []
        if str(node.args.get("rows") or "").upper().startswith("ALL"):
            inner.everything()
        else:
            for name in _columns_in(_list(node, "partition_by")):
                slot = inner.slot()
                slot.names.append((self._fold_column(name),))
                inner.outputs.append((self._fold_column(name), slot, None, False))
        inner.rest = _Slot(inner.place, bare=True)
        self._push(_list(node, "measures"), scope, inner.rest)
        for key, usage in (
            ("partition_by", Usage.GROUP),
            ("order", Usage.ORDER),
            ("define", Usage.FILTER),
        ):
            self._push(_list(node, key), scope, inner.use(usage, bare=True))
        alias, _ = _alias_of(node)
        called = self._fold(alias) if alias is not None else None
        draft.sources.append(Source(called, query=inner.place))

    def _aliases(self, item: Any) -> Iterator[str]:
        """What an item of the FROM clause can be called by."""
        if not isinstance(item, exp.Expr):
            return
        alias = item.args.get("alias")
        if isinstance(alias, exp.TableAlias):
            # BigQuery's and Redshift's aliases of arrays are column names to sqlglot.
            named = [alias.this] if alias.this else alias.args.get("columns") or []
            yield from (self._fold(name) for name in named if isinstance(name, exp.Identifier))
        elif isinstance(alias, exp.Identifier):
            yield self._fold(alias)
        elif isinstance(item, exp.Table) and isinstance(item.this, exp.Identifier):
            yield self._fold(item.this)
        elif isinstance(item, exp.Unnest):
            for column in item.expressions:
                if isinstance(column, exp.Column) and isinstance(column.this, exp.Identifier):
                    yield self._fold(column.this)
        elif isinstance(item, exp.Final | exp.Subquery):
            yield from self._aliases(item.this)

    def table(self, node: exp.Expr, scope: _Scope, slot: _Slot) -> None:
        """A table in the place of a value: all of it."""
        if id(node) in self.written:
            return
        draft = self._draft(slot.query)
        self._source(node, scope, draft)
        draft.everything()
        slot.queries.append(draft.place)

    def column(self, node: exp.Expr, scope: _Scope, slot: _Slot) -> None:
        *qualifiers, last = node.parts  # type: ignore[attr-defined]
        if isinstance(last, exp.Identifier):
            column = self._fold_column(last)
        elif isinstance(last, exp.Star):
            column = "*"
        else:
            return
        if slot.bare:
            slot.names.append((column,))
        else:
            slot.names.append((*(self._fold(part) for part in qualifiers), column))

    def alias(self, node: exp.Expr, scope: _Scope, slot: _Slot) -> None:
        """ClickHouse lets any expression be given a name that all of the query can use."""
        name = node.args.get("alias")
        folded = self._fold_column(name) if isinstance(name, exp.Identifier) else ""
        if self.dialect != "clickhouse" or folded in map(self._fold_column, _columns_in([node])):
            # Under the name of a column that it is made of, it would lead to itself.
            self._descend(node, scope, slot)
            return
        draft = self.drafts[slot.query]
        value = draft.slot()
        draft.values.append((folded, value))
        slot.names.append((folded,))
        self._push([node.this], scope, value)

    def star(self, node: exp.Expr, scope: _Scope, slot: _Slot) -> None:
        if not isinstance(node.parent, exp.Count | exp.Dot):
            slot.names.append(("*",))

    def _cte(self, name: TableName, scope: _Scope) -> int | None:
        *qualifiers, last = name.parts
        # DuckDB's recurring.t is all that the expression t has found so far.
        if qualifiers and (self.dialect, name.parts[0].text.lower()) != ("duckdb", "recurring"):
            return None
        return scope.cte(fold(last, self.folding)) if len(qualifiers) < 2 else None

    def _is_no_table(self, name: TableName, scope: _Scope) -> bool:
        """Whether it is neither a table nor a common table expression."""
        first, last = name.parts[0], name.parts[-1]
        alone = len(name.parts) == 1
        if alone and self.dialect in _HAS_DUAL and not last.quoted and last.text.lower() == "dual":
            return True
        if not alone and self.dialect in _UNNESTS_IN_FROM and self._is_alias(first, scope):
            return True
        return self.dialect in _READS_FILES and last.quoted and bool(_FILE.search(last.text))

    def _is_alias(self, name: Name, scope: _Scope) -> bool:
        return scope.has_alias(fold(name, self.folding))

    # Functions that stand for tables

    def _table_function(self, node: exp.Func, scope: _Scope, slot: _Slot) -> None:
        name = node.name.lower() if isinstance(node, exp.Anonymous) else ""
        if name in _SCANS_OF_OTHER_SYSTEMS.get(self.dialect, ()):
            self._other_system(name)
        elif self.dialect == "clickhouse" and name == "merge":
            self.found.append(
                Unread(Reason.WILDCARD, "merge(...)", "the table function merge reads by a pattern")
            )
        else:
            self._push([node], scope, slot)

    def anonymous(self, node: exp.Expr, scope: _Scope, slot: _Slot) -> None:
        name = node.name.lower()
        arguments = node.expressions
        if name == "table" and self.dialect in _TABLE_ARGUMENT and len(arguments) == 1:
            if isinstance(arguments[0], exp.Column):
                self._column_as_table(arguments[0], scope, slot)
                rows = self.drafts[slot.query]
                if rows.rest is slot and slot.queries:
                    # What the function gives is called like what it takes, if it passes it on.
                    rows.sources.append(Source(query=slot.queries[-1]))
                    rows.everything()
                return
            called = arguments[0]
            while isinstance(called, exp.Dot):
                called = called.expression
            scans = _SCANS_OF_OTHER_SYSTEMS["trino"]
            if isinstance(called, exp.Anonymous) and called.name.lower() in scans:
                self._other_system(called.name.lower())
                return
        elif name == "joinget" and self.dialect == "clickhouse" and arguments:
            self._computed(arguments[0], scope, slot)
        elif scope.has_value(fold(Name(node.name), self.folding)):
            # A lambda function that ClickHouse's WITH names.
            slot.names.append((fold(Name(node.name), self.column_folding),))
        self._descend(node, scope, slot)

    def table_from_rows(self, node: exp.Expr, scope: _Scope, slot: _Slot) -> None:
        if isinstance(node.this, exp.Literal | exp.Parameter | exp.Placeholder):
            self._computed(node.this, scope, slot)
            self._descend(node, scope, slot, "this")
        else:
            self._descend(node, scope, slot)

    def _on_cluster(
        self, arguments: list[exp.Expr], called: str | None, names: tuple[str, ...]
    ) -> Source:
        """``cluster('c', db.t)`` and ``cluster('c', db, t)``: the table on all nodes."""
        first = arguments[0]
        alike = [argument for argument in arguments if type(argument) is type(first)]
        table: TableName | None = None
        if isinstance(first, exp.Column):
            columns = alike[:1] if len(first.parts) > 1 else alike
            parts = (part for column in columns for part in column.parts)  # type: ignore[attr-defined]
            table = TableName(tuple(name_of(part) for part in parts))
        elif len(alike) == 1:
            named = self._named_by(first)
            table = table_name(named, self.dialect) if named is not None else None
        elif all(argument.name not in ("", _MASKED) for argument in alike):
            table = TableName(tuple(Name(argument.name, quoted=True) for argument in alike))
        if table is None:
            self._hidden("cluster(...)")
            return Source(called, columns=names)
        return self._named_source(table, called, names)

    def _whole(self, name: TableName, slot: _Slot) -> None:
        """A table that is read as a whole."""
        draft = self._draft(slot.query)
        draft.sources.append(self._named_source(name, None, ()))
        draft.everything()
        slot.queries.append(draft.place)

    def _column_as_table(self, column: exp.Column, scope: _Scope, slot: _Slot) -> None:
        name = TableName(tuple(name_of(part) for part in column.parts))
        query = self._cte(name, scope)
        if query is not None:
            slot.queries.append(query)
        elif not self._is_no_table(name, scope):
            self._whole(name, slot)

    def _computed(self, argument: exp.Expr, scope: _Scope, slot: _Slot) -> None:
        """A table named by a string is read; one named by anything else is not known."""
        table = self._named_by(argument)
        if table is None:
            self._push([argument], scope, slot)
            self._hidden("IDENTIFIER(...)")
        else:
            self._push([table], _Scope(), slot)

    def _named_by(self, argument: exp.Expr) -> exp.Table | None:
        if not isinstance(argument, exp.Literal) or not argument.is_string:
            return None
        text = argument.name
        if text == _MASKED or len(text) > _LONGEST_NAME:
            return None
        try:
            table = sqlglot.parse_one(text, read=self.dialect, into=exp.Table)
        except (SqlglotError, *PARSER_BUGS):
            return None
        return table if isinstance(table.this, exp.Identifier | exp.Dot) else None

    def _hidden(self, reference: str) -> None:
        self.found.append(
            Unread(
                Reason.COMPUTED_NAME,
                reference,
                "the name is computed when the statement runs",
            )
        )

    def _other_system(self, name: str) -> None:
        self.found.append(
            Unread(Reason.OTHER_SYSTEM, f"{name}(...)", "its tables are in another system")
        )

    def in_(self, node: exp.Expr, scope: _Scope, slot: _Slot) -> None:
        """In ClickHouse ``x IN t`` reads the table ``t``, unless ``t`` names an expression."""
        field = node.args.get("field")
        if self.dialect == "clickhouse" and isinstance(field, exp.Column):
            first = field.parts[0]
            known = scope.has_value(self._fold(first)) or scope.has_alias(self._fold(first))
            if isinstance(first, exp.Identifier) and not known:
                self._column_as_table(field, scope, slot)
                self._descend(node, scope, slot, "field")
                return
        self._descend(node, scope, slot)

    # Statements that write

    def insert(self, node: exp.Expr, scope: _Scope, slot: _Slot) -> None:
        self._descend(node, scope, slot, "this")

    def merge(self, node: exp.Expr, scope: _Scope, slot: _Slot) -> None:
        scope = self._with(node, scope, slot.query)
        draft = self._draft(slot.query)
        self.written.add(id(node.this))
        self._source(node.this, scope, draft)
        for source in _list(node, "using"):
            self._source(source, scope, draft)
        self._push(_list(node, "on"), scope, draft.use(Usage.JOIN))
        whens = node.args.get("whens")
        for when in whens.expressions if whens is not None else ():
            self._push(_list(when, "condition"), scope, draft.use(Usage.FILTER))
            then = when.args.get("then")
            if isinstance(then, exp.Update):
                self._assign(then.expressions, scope, draft)
            elif isinstance(then, exp.Expr):
                slot = draft.use(Usage.OUTPUT)
                values = _children(then, "this")
                if isinstance(then, exp.Insert) and not values:
                    if isinstance(then.this, exp.Tuple):
                        # sqlglot takes values without a list of columns for that list.
                        values = [then.this]
                    else:
                        # INSERT * and INSERT ROW
                        slot.names.append(("*",))
                self._push(values, scope, slot)
        self._push(_children(node, "with_", "this", "using", "on", "whens"), scope, slot)

    def update(self, node: exp.Expr, scope: _Scope, slot: _Slot) -> None:
        tables = list(_from_items(node.this))
        others = [item for source in _list(node, "from_") for item in _from_items(source.this)]
        assigned = {
            self._fold(equation.this.args["table"])
            for equation in node.expressions
            if isinstance(equation, exp.EQ)
            and isinstance(equation.this, exp.Column)
            and equation.this.args.get("table")
        }
        joined = len(tables) > 1
        targets = [table for table in tables if set(self._aliases(table)) & assigned]
        if not joined or not targets:
            targets = tables[:1]
        self._mark_written(targets, others)
        scope = self._with(node, scope, slot.query)
        draft = self._draft(slot.query)
        for item in (*_list(node, "this"), *(source.this for source in _list(node, "from_"))):
            self._source(item, scope, draft)
        self._assign(node.expressions, scope, draft)
        self._clauses(node, scope, draft, "with_", "this", "from_", "expressions", "returning")
        self._push(_list(node, "returning"), scope, draft.use(Usage.OUTPUT))

    def _assign(self, equations: list[exp.Expr], scope: _Scope, draft: _Draft) -> None:
        slot = draft.use(Usage.OUTPUT)
        for equation in equations:
            # The column on the left is written.
            named = isinstance(equation, exp.EQ) and isinstance(equation.this, exp.Column)
            self._push([equation.expression if named else equation], scope, slot)

    def delete(self, node: exp.Expr, scope: _Scope, slot: _Slot) -> None:
        tables = list(_from_items(node.this))
        others = [item for source in _list(node, "using") for item in _from_items(source)]
        named = _list(node, "tables")
        if named:
            self._mark_written(named, tables + others)
        else:
            self._mark_written(tables[:1], others)
        scope = self._with(node, scope, slot.query)
        draft = self._draft(slot.query)
        for item in (*_list(node, "this"), *_list(node, "using")):
            self._source(item, scope, draft)
        self._clauses(node, scope, draft, "with_", "this", "using", "tables", "returning")
        self._push(_list(node, "returning"), scope, draft.use(Usage.OUTPUT))

    def _mark_written(self, targets: list[exp.Expr], others: list[exp.Expr]) -> None:
        """Targets are not read, nor are the other mentions of them by their alias."""
        self.written.update(id(target) for target in targets)
        aliases = {alias for target in targets for alias in self._aliases(target)}
        for other in others:
            if set(self._aliases(other)) & aliases:
                self.written.add(id(other))

    def create(self, node: exp.Expr, scope: _Scope, slot: _Slot) -> None:
        scope = self._with(node, scope, slot.query)
        body = node.args.get("expression")
        query: int | None = None
        # ClickHouse's CREATE TABLE x AS y takes the columns of y, not its rows.
        # The body of a procedure that sqlglot does not parse runs when it is called.
        if isinstance(body, exp.Query) and not isinstance(body, exp.Table):
            query = self._query(body, scope, None)
            slot.queries.append(query)
        elif isinstance(body, exp.Expr) and not isinstance(body, exp.Table | exp.Command):
            self._push([body], scope, slot)
        clone = node.args.get("clone")
        if clone is not None:
            self._push([clone], scope, slot)
        target = node.this.this if isinstance(node.this, exp.Schema) else node.this
        if isinstance(target, exp.Table) and node.args.get("kind") in ("TABLE", "VIEW"):
            names = node.this.expressions if isinstance(node.this, exp.Schema) else []
            self._make(target, query, names)

    def cache(self, node: exp.Expr, scope: _Scope, slot: _Slot) -> None:
        self._make(node.this)
        self._descend(node, scope, slot, "this")

    def copy(self, node: exp.Expr, scope: _Scope, slot: _Slot) -> None:
        self._descend(node, scope, slot, "this" if node.args.get("kind") else "files")

    def drop(self, node: exp.Expr, scope: _Scope, slot: _Slot) -> None:
        for table in _list(node, "tables") or _list(node, "this"):
            if isinstance(table, exp.Table) and isinstance(table.this, exp.Identifier):
                self.after.append(Dropped(table_name(table, self.dialect)))

    def _make(
        self, table: exp.Expr, query: int | None = None, names: Sequence[exp.Expr] = ()
    ) -> None:
        if isinstance(table, exp.Table) and isinstance(table.this, exp.Identifier | exp.Dot):
            columns = [name.this if isinstance(name, exp.ColumnDef) else name for name in names]
            folded = tuple(self._fold_column(c) for c in columns if isinstance(c, exp.Identifier))
            self.after.append(Made(table_name(table, self.dialect), query, folded))

    # Places where a name is not a read

    def model_function(self, node: exp.Expr, scope: _Scope, slot: _Slot) -> None:
        self._descend(node, scope, slot, "this")

    def mention(self, node: exp.Expr, scope: _Scope, slot: _Slot) -> None:
        """Hints, locks and signatures name tables that are read elsewhere, or functions."""

    def command(self, node: exp.Expr, scope: _Scope, slot: _Slot) -> None:
        self.found.append(
            Unread(Reason.NOT_PARSED, "", f"{node.name.upper()} inside another statement")
        )


_MASKED = "?"
"""A masked string; hex_assets.warehouse.masking keeps the strings it knows to be names."""

_NAME_OF_TABLE = ("this", "db", "catalog", "alias", "hints", "only", "partition")

_OF_PIVOT = ("expressions", "fields", "group", "alias", "columns")

_ORDERS = frozenset({"order", "sort", "cluster", "distribute"})

_CLAUSES = {"group": Usage.GROUP, "windows": Usage.GROUP}
"""Clause to what its columns are used for, where that is not filtering."""

_ORDERS_BY_INPUT = frozenset({"postgres", "redshift", "materialize", "risingwave"})
"""In an expression of ORDER BY names mean columns of the sources, not of the output."""

_PLAIN_SUBQUERY = frozenset({"this", "alias", "with_", "pivots", "joins", "sample"})
_PLAIN_SET_OPERATION = frozenset(
    {"this", "expression", "with_", "distinct", "by_name", "side", "kind", "on"}
)


def _lists(node: exp.Expr) -> bool:
    """Whether it is a FROM clause in parentheses rather than a query."""
    while type(node) is exp.Subquery:
        if node.args.get("joins") or node.args.get("pivots"):
            return True
        node = node.this
    return isinstance(node, exp.Table)


def _modified(node: exp.Expr) -> bool:
    """Whether clauses such as ORDER BY follow a query in parentheses, or a set operation."""
    plain = _PLAIN_SUBQUERY if type(node) is exp.Subquery else _PLAIN_SET_OPERATION
    return any(value for key, value in node.args.items() if key not in plain)


_HANDLERS: Mapping[type, Callable[[_Walk, Any, _Scope, _Slot], None]] = {
    exp.Alias: _Walk.alias,
    exp.Anonymous: _Walk.anonymous,
    exp.Cache: _Walk.cache,
    exp.Column: _Walk.column,
    exp.Command: _Walk.command,
    exp.Copy: _Walk.copy,
    exp.Create: _Walk.create,
    exp.Delete: _Walk.delete,
    exp.Drop: _Walk.drop,
    exp.Except: _Walk.subquery,
    exp.Exists: _Walk.exists,
    exp.Hint: _Walk.mention,
    exp.In: _Walk.in_,
    exp.Insert: _Walk.insert,
    exp.Intersect: _Walk.subquery,
    exp.Lock: _Walk.mention,
    exp.Merge: _Walk.merge,
    exp.Pivot: _Walk.subquery,
    exp.Select: _Walk.subquery,
    exp.Star: _Walk.star,
    exp.Subquery: _Walk.subquery,
    exp.Table: _Walk.table,
    exp.TableFromRows: _Walk.table_from_rows,
    exp.Union: _Walk.subquery,
    exp.Update: _Walk.update,
    exp.UserDefinedFunction: _Walk.mention,
    **dict.fromkeys(_MODEL_FUNCTIONS, _Walk.model_function),
}


def table_name(table: exp.Expr, dialect: str) -> TableName:
    """The parts of a table's name."""
    parts = [name_of(part) for part in table.parts]  # type: ignore[attr-defined]
    if table.args.get("catalog") and not table.args.get("db"):
        # db..t: the default schema of another database.
        default = Name("dbo" if dialect in ("tsql", "fabric") else "PUBLIC", quoted=True)
        parts.insert(len(parts) - 1, default)
    if dialect == "bigquery":
        last = parts[-1]
        # A partition decorator names a part of the table: t$20240101.
        parts[-1] = Name(last.text.split("$")[0] or last.text, last.quoted)
    return TableName(tuple(parts))


def _use(node: exp.Use, dialect: str) -> Use:
    kind = node.args.get("kind")
    what = kind.name.upper() if kind is not None else ""
    target = node.this
    if what in ("WAREHOUSE", "ROLE", "SECONDARY ROLES") or not isinstance(target, exp.Table):
        return Use()
    name = name_of(target.this)
    database = target.args.get("db")
    if database:
        return Use(name_of(database), (name,))
    if has_two_levels(dialect) or what == "SCHEMA":
        return Use(schemas=(name,))
    if dialect == "snowflake":
        return Use(name, (Name("PUBLIC", quoted=True),))
    if what == "CATALOG":
        return Use(name, (Name("default"),))
    if dialect in ("redshift", "tsql", "fabric"):
        return Use(name, ())
    if dialect == "duckdb":
        # The name may be a database or a schema; only the server knows.
        return Use(schemas=(), forget_database=True)
    return Use(schemas=(name,))


def _from_items(item: Any) -> Iterator[exp.Expr]:
    """A table of a FROM clause and those joined to it inside it."""
    if isinstance(item, exp.Expr):
        yield item
        for join in _list(item, "joins"):
            yield from _from_items(join.this)


def _list(node: exp.Expr, key: str) -> list[Any]:
    value = node.args.get(key)
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, exp.Expr) else []


def _children(node: exp.Expr, *skipped: str) -> list[exp.Expr]:
    children: list[exp.Expr] = []
    for key, value in node.args.items():
        if isinstance(value, exp.Expr):
            if key not in skipped:
                children.append(value)
        elif isinstance(value, list) and key not in skipped:
            children += [child for child in value if isinstance(child, exp.Expr)]
    return children


def _alias_of(item: exp.Expr) -> tuple[exp.Identifier | None, list[exp.Identifier]]:
    """The alias of an item of the FROM clause and the names it gives to the columns."""
    alias = item.args.get("alias")
    if isinstance(alias, exp.Identifier):
        return alias, []
    if not isinstance(alias, exp.TableAlias):
        return None, []
    columns = [
        column.this if isinstance(column, exp.ColumnDef) else column
        for column in alias.args.get("columns") or ()
    ]
    name = alias.this if isinstance(alias.this, exp.Identifier) else None
    return name, [column for column in columns if isinstance(column, exp.Identifier)]


def _columns_in(nodes: Iterable[exp.Expr]) -> Iterator[exp.Expr]:
    """Names of the columns in some expressions."""
    for node in nodes:
        for column in node.find_all(exp.Column):
            if isinstance(column.this, exp.Identifier):
                yield column.this


def _forget_parameters(expression: exp.Expr) -> None:
    """Take the parameters out of ClickHouse's ``WITH (a, b) -> a + b AS f``.

    sqlglot takes the arrow for an access to JSON, which ClickHouse does not write so, and what
    stands before it for columns.
    """
    arrow = expression
    while type(arrow) is not exp.JSONExtract and isinstance(arrow.this, exp.Expr):
        arrow = arrow.this
    if type(arrow) is exp.JSONExtract:
        names = {node.name for node in arrow.this.find_all(exp.Identifier)}
        for column in list(expression.find_all(exp.Column)):
            if column.name in names and not column.table:
                column.replace(exp.null())


def _is_auto(grouped: Sequence[exp.Expr]) -> bool:
    """Whether it is Trino's GROUP BY AUTO, which sqlglot takes for a column."""
    (only,) = grouped if len(grouped) == 1 else (None,)
    return (
        isinstance(only, exp.Column)
        and len(only.parts) == 1
        and not only.this.args.get("quoted")
        and only.name.upper() == "AUTO"
    )


def _names_table(arguments: Sequence[exp.Expr]) -> bool:
    """Whether the first of them is a name or a string rather than a query or a function."""
    return isinstance(next(iter(arguments), None), exp.Column | exp.Literal)


def _tables(node: exp.Expr) -> Iterator[exp.Expr]:
    return (child for child in _children(node) if type(child) is exp.Table)
