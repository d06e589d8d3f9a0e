"""The shape of one statement: its queries, what each reads from, and where it uses which name.

A shape depends on the text and its dialect alone, never on a session, a catalog or a table's
columns. It is what is kept of a parsed statement, so that columns can be attributed again, without
another parse, when a table changes. All of it is made of tuples: small, comparable, picklable.

Names are folded as the dialect compares them. Queries refer to each other by their place in the
shape; the first stands for the statement itself.
"""

from __future__ import annotations

from enum import IntFlag
from typing import NamedTuple

from hex_assets.lineage.names import TableName


class Usage(IntFlag):
    """What a column is used for."""

    OUTPUT = 1
    FILTER = 2
    JOIN = 4
    GROUP = 8
    ORDER = 16


USAGES = ("output", "filter", "join", "group", "order")
"""The words of the frames, in the order of the bits."""


def usage_words(usage: int) -> list[str]:
    """The usages in words, in the order of ``USAGES``."""
    return [word for place, word in enumerate(USAGES) if usage >> place & 1]


class Expression(NamedTuple):
    """What an expression is made of.

    Attributes:
        names: column references: qualifiers, then the column, then fields of it; a last part
            ``*`` stands for all columns.
        queries: subqueries whose output goes into the value.
    """

    names: tuple[tuple[str, ...], ...] = ()
    queries: tuple[int, ...] = ()


class Star(NamedTuple):
    """``*`` or ``t.*`` among the output columns.

    Attributes:
        qualifier: what stands before the star.
        excluded: columns of EXCEPT, and those that REPLACE puts another expression in place of.
        renamed: old and new names of RENAME.
    """

    qualifier: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()


class Output(NamedTuple):
    """One item of the SELECT list.

    Attributes:
        name: how other parts of the text can name it; None if they cannot.
        expression: where its value comes from.
        star: set when it stands for many columns; the expression is empty then.
        aggregated: whether it holds an aggregate, told only where GROUP BY counts columns.
    """

    name: str | None
    expression: Expression
    star: Star | None = None
    aggregated: bool = False


class Source(NamedTuple):
    """One item of a FROM clause: a table, or a query of the shape.

    Attributes:
        alias: how it is called; None when it cannot be.
        path: the folded parts of a table's name, where it may be called by them.
        table: the table; None for a query, and for what is no table (a stage, a file).
        query: the query's place; None for others.
        columns: names that the alias gives to its columns, in order.
        hidden: whether its columns can be seen in the join condition only (semi and anti joins).
        value: whether the alias names a value rather than rows (an array's element).
        written: whether the statement writes the table and does not read it.
    """

    alias: str | None = None
    path: tuple[str, ...] = ()
    table: TableName | None = None
    query: int | None = None
    columns: tuple[str, ...] = ()
    hidden: bool = False
    value: bool = False
    written: bool = False


class Use(NamedTuple):
    """An expression outside of the SELECT list.

    Attributes:
        usage: what it is used for.
        output_first: whether names mean output columns before columns of the sources.
    """

    usage: int
    expression: Expression
    output_first: bool = False


class Query(NamedTuple):
    """A SELECT, a set operation, or what acts like one (UPDATE, PIVOT, UNNEST).

    Attributes:
        parent: the query whose names can be seen from here too; None if there is none.
        sources: the FROM clause.
        outputs: the SELECT list.
        uses: all other expressions.
        using: place of a source and the columns that USING joins it by; None for NATURAL.
        values: names of expressions (ClickHouse's ``WITH expression AS name``).
        rest: where columns come from that no output names; None if there are no others.
        branches: for a set operation its queries, and whether each only filters (EXCEPT).
        hollow: whether its stars select nothing: only the existence of its rows counts, or it is a
            join in parentheses.
        groups_outputs: whether the columns without aggregate are grouped by (GROUP BY 1, ALL).
        orders_outputs: whether all are ordered by (ORDER BY ALL).
    """

    parent: int | None = None
    sources: tuple[Source, ...] = ()
    outputs: tuple[Output, ...] = ()
    uses: tuple[Use, ...] = ()
    using: tuple[tuple[int, tuple[str, ...] | None], ...] = ()
    values: tuple[tuple[str, Expression], ...] = ()
    rest: Expression | None = None
    branches: tuple[tuple[int, bool], ...] = ()
    hollow: bool = False
    groups_outputs: bool = False
    orders_outputs: bool = False


class Shape(NamedTuple):
    """The queries of one statement."""

    queries: tuple[Query, ...]
