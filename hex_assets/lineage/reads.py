"""What one statement reads: a walk over sqlglot's tree with lexical scopes.

sqlglot's own ``qualify`` is not used: it wants a schema, raises on much valid SQL and takes three
times as long. A walk needs only two facts about the place of a name, and a scope holds both:
which common table expressions are visible there, and (where a dialect lets ``FROM t, t.items``
unnest) which aliases.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from hex_assets.lineage.names import Name, TableName, alias_folding, fold, has_two_levels
from hex_assets.lineage.resolve import Reason


@dataclass(frozen=True)
class Read:
    """The statement reads this table."""

    table: TableName


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
    """The statement creates this table or view; later statements read it, not the catalog's."""

    table: TableName


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


Step = Read | Unread | Made | Dropped | Use


_ITSELF_WITHOUT_RECURSIVE = frozenset({"snowflake", "tsql", "fabric", "oracle", "teradata"})
"""A common table expression may read itself here without the word RECURSIVE."""

_READS_LATER_ONES = frozenset({"bigquery", "postgres", "redshift", "materialize", "risingwave"})
"""Under RECURSIVE an expression may read those written after it, too."""

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
        exp.Column,
        exp.DataType,
        exp.Identifier,
        exp.Literal,
        exp.Null,
        exp.Star,
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
        visible: how many of the list can be seen from here.
        aliases: aliases of the FROM clause that can be seen from here.
        values: names of expressions, which ClickHouse allows after IN.
    """

    __slots__ = ("aliases", "ctes", "parent", "values", "visible")

    def __init__(
        self,
        parent: _Scope | None = None,
        ctes: Mapping[str, int] | None = None,
        visible: int = 0,
        aliases: frozenset[str] = frozenset(),
        values: frozenset[str] = frozenset(),
    ) -> None:
        self.parent = parent
        self.ctes = ctes or {}
        self.visible = visible
        self.aliases = aliases
        self.values = values

    def _outwards(self) -> Iterator[_Scope]:
        scope: _Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def has_cte(self, name: str) -> bool:
        return any(
            scope.ctes.get(name, scope.visible) < scope.visible for scope in self._outwards()
        )

    def has_alias(self, name: str) -> bool:
        return any(name in scope.aliases for scope in self._outwards())

    def has_value(self, name: str) -> bool:
        return any(name in scope.values for scope in self._outwards())


class _Walk:
    """One statement's walk. It keeps its own stack: SQL nests deeper than Python recurses."""

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        self.folding = alias_folding(dialect)
        self.found: list[Step] = []
        self.after: list[Step] = []
        self.stack: list[tuple[exp.Expr, _Scope]] = []
        self.written: set[int] = set()
        self.keeps_aliases = dialect in _UNNESTS_IN_FROM or dialect == "clickhouse"

    def steps(self, tree: exp.Expr) -> list[Step]:
        outermost = _Scope()
        if isinstance(tree, _READING) or not any(_tables(tree)):
            self.stack.append((tree, outermost))
        else:
            self._push(
                (child for child in _children(tree) if type(child) is not exp.Table), outermost
            )
        while self.stack:
            node, scope = self.stack.pop()
            handler = _HANDLERS.get(type(node))
            if handler is not None:
                handler(self, node, scope)
            elif type(node) not in _LEAVES:
                self._descend(node, scope)
        return self.found + self.after

    def _push(self, nodes: Iterable[exp.Expr], scope: _Scope) -> None:
        self.stack.extend((node, scope) for node in reversed(list(nodes)))

    def _descend(self, node: exp.Expr, scope: _Scope, *skipped: str) -> None:
        scope = self._with(node, scope)
        self._push(_children(node, "with_", *skipped), scope)

    def _fold(self, identifier: exp.Expr) -> str:
        return fold(name_of(identifier), self.folding)

    # Common table expressions

    def _with(self, node: exp.Expr, scope: _Scope) -> _Scope:
        """The scope of a node that may begin with WITH; its expressions join the walk."""
        with_ = node.args.get("with_")
        if with_ is None:
            return scope
        expressions = with_.expressions
        ctes: dict[str, int] = {}
        values = set()
        for place, cte in enumerate(expressions):
            alias = cte.args.get("alias")
            name = self._fold(alias.this) if alias is not None and alias.this else ""
            if cte.args.get("scalar"):
                values.add(name)
            else:
                ctes.setdefault(name, place)
        everything = _Scope(scope, ctes, len(expressions), values=frozenset(values))
        for place, cte in enumerate(expressions):
            before = _Scope(scope, ctes, place, values=everything.values)
            itself_too = _Scope(scope, ctes, place + 1, values=everything.values)
            if with_.args.get("recursive"):
                reads_later = self.dialect in _READS_LATER_ONES
                self.stack.append((cte.this, everything if reads_later else itself_too))
            elif self.dialect in _ITSELF_WITHOUT_RECURSIVE:
                self._maybe_recursive(cte.this, before, itself_too)
            else:
                self.stack.append((cte.this, before))
        self._push(with_.args.get("udfs") or (), everything)
        return everything

    def _maybe_recursive(self, body: exp.Expr, before: _Scope, itself_too: _Scope) -> None:
        """A body that is recursive by its shape: all branches of a union but the first, the anchor,
        see the expression itself; a body that is no union reads a table of that name.
        """
        while isinstance(body, exp.SetOperation | exp.Subquery):
            before, itself_too = self._with(body, before), self._with(body, itself_too)
            others = itself_too if isinstance(body, exp.SetOperation) else before
            self._push(_children(body, "with_", "this"), others)
            body = body.this
        self.stack.append((body, before))

    # Queries

    def select(self, node: exp.Expr, scope: _Scope) -> None:
        into = node.args.get("into")
        if into is not None and isinstance(into.this, exp.Table):
            self._make(into.this)
        if not self.keeps_aliases:
            self._descend(node, scope, "into", "hint")
            return
        scope = self._with(node, scope)
        items = [item for key in ("from_", "joins", "laterals") for item in _list(node, key)]
        seen: frozenset[str] = frozenset()
        for item in items:
            # An item sees those before it: FROM sales.sales, sales.items
            self.stack.append((item, _Scope(scope, aliases=seen)))
            seen |= frozenset(self._aliases(item.this))
        values = frozenset[str]()
        if self.dialect == "clickhouse":
            named = (e.args["alias"] for e in node.expressions if isinstance(e, exp.Alias))
            values = frozenset(self._fold(alias) for alias in named)
        inner = _Scope(scope, aliases=seen, values=values)
        self._push(_children(node, "with_", "into", "hint", "from_", "joins", "laterals"), inner)

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

    def table(self, node: exp.Expr, scope: _Scope) -> None:
        self._push(_children(node, *_NAME_OF_TABLE), scope)
        if id(node) in self.written:
            return
        this = node.this
        if isinstance(this, exp.Identifier | exp.Dot):
            name = table_name(node, self.dialect)
            if not self._is_no_table(name, scope):
                self.found.append(Read(name))
        elif isinstance(this, exp.DynamicIdentifier):
            self._computed(this.this, scope)
        elif isinstance(this, exp.Parameter | exp.Placeholder | exp.SessionParameter):
            # A table variable of T-SQL is declared, and filled, in the same text.
            if self.dialect != "tsql":
                self._hidden(f"{this.name or '?'}")
        elif isinstance(this, exp.Func):
            self._table_function(this, scope)
        elif isinstance(this, exp.Expr):
            self.stack.append((this, scope))

    def _is_no_table(self, name: TableName, scope: _Scope) -> bool:
        first, last = name.parts[0], name.parts[-1]
        alone = len(name.parts) == 1
        if alone and scope.has_cte(fold(first, self.folding)):
            return True
        if alone and self.dialect in _HAS_DUAL and not last.quoted and last.text.lower() == "dual":
            return True
        if not alone and self.dialect in _UNNESTS_IN_FROM and self._is_alias(first, scope):
            return True
        return self.dialect in _READS_FILES and last.quoted and bool(_FILE.search(last.text))

    def _is_alias(self, name: Name, scope: _Scope) -> bool:
        return scope.has_alias(fold(name, self.folding))

    # Functions that stand for tables

    def _table_function(self, node: exp.Func, scope: _Scope) -> None:
        name = node.name.lower() if isinstance(node, exp.Anonymous) else ""
        arguments = node.expressions
        if name in _SCANS_OF_OTHER_SYSTEMS.get(self.dialect, ()):
            self._other_system(name)
        elif name in ("identifier", "table_changes") and arguments:
            self._computed(arguments[0], scope)
        elif self.dialect == "clickhouse" and name in _CLUSTER_FUNCTIONS:
            self._cluster(arguments[1:], scope)
        elif self.dialect == "clickhouse" and name == "merge":
            self.found.append(
                Unread(Reason.WILDCARD, "merge(...)", "the table function merge reads by a pattern")
            )
        else:
            self.stack.append((node, scope))

    def anonymous(self, node: exp.Expr, scope: _Scope) -> None:
        name = node.name.lower()
        arguments = node.expressions
        if name == "table" and self.dialect in _TABLE_ARGUMENT and len(arguments) == 1:
            if isinstance(arguments[0], exp.Column):
                self._column_as_table(arguments[0], scope)
                return
            called = arguments[0]
            while isinstance(called, exp.Dot):
                called = called.expression
            scans = _SCANS_OF_OTHER_SYSTEMS["trino"]
            if isinstance(called, exp.Anonymous) and called.name.lower() in scans:
                self._other_system(called.name.lower())
                return
        elif name == "joinget" and self.dialect == "clickhouse" and arguments:
            self._computed(arguments[0], scope)
        self._descend(node, scope)

    def table_from_rows(self, node: exp.Expr, scope: _Scope) -> None:
        if isinstance(node.this, exp.Literal | exp.Parameter | exp.Placeholder):
            self._computed(node.this, scope)
            self._descend(node, scope, "this")
        else:
            self._descend(node, scope)

    def _cluster(self, arguments: list[exp.Expr], scope: _Scope) -> None:
        """``cluster('c', db.t)`` and ``cluster('c', db, t)``: the table on all nodes."""
        if len(arguments) > 1 and all(isinstance(a, exp.Column) for a in arguments[:2]):
            parts = tuple(name_of(argument.this) for argument in arguments[:2])
            self.found.append(Read(TableName(parts)))
        elif arguments and isinstance(arguments[0], exp.Column):
            self._column_as_table(arguments[0], scope)
        elif arguments and all(isinstance(a, exp.Literal) for a in arguments[:2]):
            parts = tuple(Name(argument.name, quoted=True) for argument in arguments[:2])
            if any(part.text in ("", _MASKED) for part in parts):
                self._hidden("cluster(...)")
            elif len(parts) == 1:
                self._computed(arguments[0], scope)
            else:
                self.found.append(Read(TableName(parts)))
        else:
            self._push(arguments, scope)

    def _column_as_table(self, column: exp.Column, scope: _Scope) -> None:
        name = TableName(tuple(name_of(part) for part in column.parts))
        if not self._is_no_table(name, scope):
            self.found.append(Read(name))

    def _computed(self, argument: exp.Expr, scope: _Scope) -> None:
        """A table named by a string is read; one named by anything else is not known."""
        table = self._named_by(argument)
        if table is None:
            self._push([argument], scope)
            self._hidden("IDENTIFIER(...)")
        else:
            self.stack.append((table, _Scope()))

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

    def in_(self, node: exp.Expr, scope: _Scope) -> None:
        """In ClickHouse ``x IN t`` reads the table ``t``, unless ``t`` names an expression."""
        field = node.args.get("field")
        if self.dialect == "clickhouse" and isinstance(field, exp.Column):
            first = field.parts[0]
            known = scope.has_value(self._fold(first)) or scope.has_alias(self._fold(first))
            if isinstance(first, exp.Identifier) and not known:
                self._column_as_table(field, scope)
        self._descend(node, scope)

    # Statements that write

    def insert(self, node: exp.Expr, scope: _Scope) -> None:
        self._descend(node, scope, "this")

    def merge(self, node: exp.Expr, scope: _Scope) -> None:
        self._descend(node, scope, "this")

    def update(self, node: exp.Expr, scope: _Scope) -> None:
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
        self._descend(node, scope)

    def delete(self, node: exp.Expr, scope: _Scope) -> None:
        tables = list(_from_items(node.this))
        others = [item for source in _list(node, "using") for item in _from_items(source)]
        named = _list(node, "tables")
        if named:
            self._mark_written(named, tables + others)
        else:
            self._mark_written(tables[:1], others)
        self._descend(node, scope)

    def _mark_written(self, targets: list[exp.Expr], others: list[exp.Expr]) -> None:
        """Targets are not read, nor are the other mentions of them by their alias."""
        self.written.update(id(target) for target in targets)
        aliases = {alias for target in targets for alias in self._aliases(target)}
        for other in others:
            if set(self._aliases(other)) & aliases:
                self.written.add(id(other))

    def create(self, node: exp.Expr, scope: _Scope) -> None:
        scope = self._with(node, scope)
        body = node.args.get("expression")
        # ClickHouse's CREATE TABLE x AS y takes the columns of y, not its rows.
        # The body of a procedure that sqlglot does not parse runs when it is called.
        if isinstance(body, exp.Expr) and not isinstance(body, exp.Table | exp.Command):
            self.stack.append((body, scope))
        clone = node.args.get("clone")
        if clone is not None:
            self.stack.append((clone, scope))
        target = node.this.this if isinstance(node.this, exp.Schema) else node.this
        if isinstance(target, exp.Table) and node.args.get("kind") in ("TABLE", "VIEW"):
            self._make(target)

    def cache(self, node: exp.Expr, scope: _Scope) -> None:
        self._make(node.this)
        self._descend(node, scope, "this")

    def copy(self, node: exp.Expr, scope: _Scope) -> None:
        self._descend(node, scope, "this" if node.args.get("kind") else "files")

    def drop(self, node: exp.Expr, scope: _Scope) -> None:
        for table in _list(node, "tables") or _list(node, "this"):
            if isinstance(table, exp.Table) and isinstance(table.this, exp.Identifier):
                self.after.append(Dropped(table_name(table, self.dialect)))

    def _make(self, table: exp.Expr) -> None:
        if isinstance(table, exp.Table) and isinstance(table.this, exp.Identifier | exp.Dot):
            self.after.append(Made(table_name(table, self.dialect)))

    # Places where a name is not a read

    def model_function(self, node: exp.Expr, scope: _Scope) -> None:
        self._descend(node, scope, "this")

    def mention(self, node: exp.Expr, scope: _Scope) -> None:
        """Hints, locks and signatures name tables that are read elsewhere, or functions."""

    def command(self, node: exp.Expr, scope: _Scope) -> None:
        self.found.append(
            Unread(Reason.NOT_PARSED, "", f"{node.name.upper()} inside another statement")
        )


_MASKED = "?"
"""A masked string; hex_assets.warehouse.masking keeps the strings it knows to be names."""

_NAME_OF_TABLE = ("this", "db", "catalog", "alias", "hints", "only", "partition")

_HANDLERS: Mapping[type, Callable[[_Walk, exp.Expr, _Scope], None]] = {
    exp.Anonymous: _Walk.anonymous,
    exp.Cache: _Walk.cache,
    exp.Command: _Walk.command,
    exp.Copy: _Walk.copy,
    exp.Create: _Walk.create,
    exp.Delete: _Walk.delete,
    exp.Drop: _Walk.drop,
    exp.Hint: _Walk.mention,
    exp.In: _Walk.in_,
    exp.Insert: _Walk.insert,
    exp.Lock: _Walk.mention,
    exp.Merge: _Walk.merge,
    exp.Select: _Walk.select,
    exp.Table: _Walk.table,
    exp.TableFromRows: _Walk.table_from_rows,
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


def _children(node: exp.Expr, *skipped: str) -> Iterator[exp.Expr]:
    for key, value in node.args.items():
        if key in skipped:
            continue
        if isinstance(value, list):
            yield from (child for child in value if isinstance(child, exp.Expr))
        elif isinstance(value, exp.Expr):
            yield value


def _tables(node: exp.Expr) -> Iterator[exp.Expr]:
    return (child for child in _children(node) if type(child) is exp.Table)
