"""SQL with Jinja in it becomes SQL that a parser takes, without inventing what Jinja builds.

Hex sends ``{{ value }}`` to the warehouse as a bound value and ``{{ text | sqlsafe }}`` as raw SQL
(Hex docs, "SQL cells"), so a name can only be built where Jinja stands in the place of one. Nothing
is rendered: the values of variables are known at run time only.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jinja2 import Environment, TemplateSyntaxError, nodes
from sqlglot import Token, TokenType, tokenize
from sqlglot.errors import SqlglotError

_ENVIRONMENT = Environment(extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"])

_MOST_VARIANTS = 8
"""A statement is written at most so often, for its alternative branches."""

_RAW_FILTER = "sqlsafe"

_BEFORE_A_TABLE = frozenset(
    {TokenType.FROM, TokenType.JOIN, TokenType.INTO, TokenType.UPDATE, TokenType.TABLE}
)
_OPERANDS = frozenset(
    {
        TokenType.VAR,
        TokenType.IDENTIFIER,
        TokenType.STRING,
        TokenType.NUMBER,
        TokenType.R_PAREN,
        TokenType.R_BRACKET,
        TokenType.STAR,
        TokenType.NULL,
    }
)
"""What ends an operand: behind it a value cannot stand, only raw SQL such as DESC."""


@dataclass(frozen=True)
class NeutralSql:
    """SQL without Jinja.

    Attributes:
        sql: a value became NULL, or stays a marker inside quotes; a condition's branches became
            statements of their own, its first branch the last of them; the body of a loop stands
            there once.
        names: identifiers, unquoted, that stand for names or raw SQL built by Jinja.
    """

    sql: str
    names: tuple[str, ...] = ()


def neutralise(source: str, dialect: str = "") -> NeutralSql:
    """The SQL of a cell without its Jinja; what is no valid Jinja stays as it is.

    Args:
        dialect: sqlglot dialect of the SQL.
    """
    if not any(mark in source for mark in ("{{", "{%", "{#")):
        return NeutralSql(source)
    try:
        template = _ENVIRONMENT.parse(source)
        writer = _Writer(_free_prefix(source))
        variants = [writer.write(template.body, choice) for choice in range(_MOST_VARIANTS)]
    except (TemplateSyntaxError, RecursionError):
        return NeutralSql(source)
    texts: list[str] = []
    names: dict[str, None] = {}
    for text in reversed(variants[: writer.most_branches]):
        without_markers, found = _settle(text, writer.markers, dialect)
        names.update(dict.fromkeys(found))
        if without_markers.strip() and without_markers not in texts:
            texts.append(without_markers)
    return NeutralSql(";\n".join(texts), tuple(names))


def _free_prefix(source: str) -> str:
    """A name that the source does not hold, so that no marker is taken for what was written."""
    candidates = ("jinja" + "_" * length for length in itertools.count(1))
    return next(prefix for prefix in candidates if prefix not in source.lower())


class _Writer:
    """Writes the template with a marker for each expression.

    Attributes:
        markers: marker to whether its expression is raw SQL.
        most_branches: the most branches that a condition has.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._by_position: dict[tuple[int, int], str] = {}
        self.markers: dict[str, bool] = {}
        self.most_branches = 1

    def write(self, body: Iterable[nodes.Node], choice: int) -> str:
        """The text in which every condition takes this branch, or its last one."""
        return "".join(self._node(node, choice) for node in body)

    def _node(self, node: nodes.Node, choice: int) -> str:
        if isinstance(node, nodes.TemplateData):
            return node.data
        if isinstance(node, nodes.Output):
            return self.write(node.nodes, choice)
        if isinstance(node, nodes.Expr):
            return self._marker(node)
        if isinstance(node, nodes.If):
            branches = _branches(node)
            self.most_branches = min(_MOST_VARIANTS, max(self.most_branches, len(branches)))
            return self.write(branches[min(choice, len(branches) - 1)], choice)
        if isinstance(node, nodes.For | nodes.With | nodes.FilterBlock | nodes.Scope | nodes.Block):
            return self.write(node.body, choice)
        # Assignments, macros and the like write nothing.
        return ""

    def _marker(self, expression: nodes.Expr) -> str:
        place = (expression.lineno, id(expression))
        if place not in self._by_position:
            marker = f"{self._prefix}{len(self._by_position) + 1}"
            self._by_position[place] = marker
            self.markers[marker] = _is_raw(expression)
        return self._by_position[place]


def _branches(node: nodes.If) -> list[Sequence[nodes.Node]]:
    """The bodies of a condition; about the place in a loop, the loop being written once."""
    arms = [(node.test, node.body), *((each.test, each.body) for each in node.elif_)]
    bodies: list[Sequence[nodes.Node]] = []
    for test, body in arms:
        known = _in_a_loop_of_one(test)
        if known is not False:
            bodies.append(body)
        if known:
            return bodies
    if node.else_:
        bodies.append(node.else_)
    return bodies or [[]]


def _in_a_loop_of_one(test: nodes.Node) -> bool | None:
    if isinstance(test, nodes.Not):
        inner = _in_a_loop_of_one(test.node)
        return None if inner is None else not inner
    if (
        isinstance(test, nodes.Getattr)
        and isinstance(test.node, nodes.Name)
        and test.node.name == "loop"
        and test.attr in ("first", "last")
    ):
        return True
    return None


def _is_raw(expression: nodes.Node) -> bool:
    if isinstance(expression, nodes.Filter) and expression.name == _RAW_FILTER:
        return True
    return any(found.name == _RAW_FILTER for found in expression.find_all(nodes.Filter))


def _settle(text: str, markers: dict[str, bool], dialect: str) -> tuple[str, list[str]]:
    """The text with its markers as the grammar around them demands, and the names among them."""
    try:
        tokens = tokenize(text, read=dialect or None)
    except SqlglotError:
        return text, [marker for marker in markers if marker in text]
    pieces: list[str] = []
    names: list[str] = []
    done = 0
    before: Token | None = None
    for position, token in enumerate(tokens):
        written = text[token.start : token.end + 1]
        after = tokens[position + 1] if position + 1 < len(tokens) else None
        if token.token_type is TokenType.STRING or not _holds(written, markers):
            before = token
            continue
        if token.token_type is TokenType.IDENTIFIER:
            names.append(token.text)
        elif written not in markers or _is_name(token, before, after, markers[written]):
            names.append(written)
        else:
            pieces += [text[done : token.start], _value(before, after)]
            done = token.end + 1
            if before is not None and before.token_type in _OPERANDS:
                continue
        before = token
    return "".join([*pieces, text[done:]]), names


def _holds(written: str, markers: dict[str, bool]) -> bool:
    return any(marker in written for marker in markers)


def _is_name(token: Token, before: Token | None, after: Token | None, raw: bool) -> bool:
    if before is not None and before.token_type in {TokenType.DOT, *_BEFORE_A_TABLE}:
        return True
    if after is not None and after.token_type in (TokenType.DOT, TokenType.L_PAREN):
        return before is None or before.token_type is not TokenType.IN
    if before is not None and before.token_type in _OPERANDS:
        return False
    return raw


def _value(before: Token | None, after: Token | None) -> str:
    if before is not None and before.token_type is TokenType.IN:
        return "(NULL)"
    if before is not None and before.token_type in _OPERANDS:
        return ""
    return "NULL"
