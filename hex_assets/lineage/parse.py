"""SQL text to the tables it reads.

A text is taken apart by statement, so that one statement that sqlglot cannot parse does not hide
what the others read. Nothing that a text can hold raises: what was not understood is part of the
result.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from sqlglot import Token, TokenType, exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError, SqlglotError, TokenError

from hex_assets.lineage.columns import Attribution, Derived, Table, TableColumns
from hex_assets.lineage.names import (
    Name,
    Session,
    TableName,
    column_folding,
    fold,
    has_two_levels,
    session_of,
    table_folding,
)
from hex_assets.lineage.queries import Shape
from hex_assets.lineage.reads import (
    PARSER_BUGS,
    Dropped,
    Made,
    NotAStatement,
    Read,
    Step,
    Unread,
    Use,
    steps_of,
)
from hex_assets.lineage.resolve import Reason
from hex_assets.lineage.tolerant import name_made, tables_in

MAX_CHARACTERS = 1_000_000
"""Longest text that is parsed by default; no warehouse in use accepts longer queries."""

_MAX_DEPTH = 250
"""Deepest nesting that is parsed: sqlglot[c] overflows the C stack of a thread near 10,000."""

_NODES, _NODES_PER_TOKEN = 200_000, 20
"""Bounds sqlglot's backtracking, which is exponential in ``a JOIN b JOIN c ...`` without ON."""


class Reference(NamedTuple):
    """One table that a text reads, and the session at that place of the text.

    Attributes:
        table: its name.
        session: where it is looked up.
        tolerant: whether it was found in a statement that was not understood.
    """

    table: TableName
    session: Session
    tolerant: bool = False


@dataclass(frozen=True)
class References:
    """What a text reads.

    Attributes:
        tables: each table once, in reading order.
        unread: what could not be told from the text; empty when ``tables`` is the whole truth.
    """

    tables: tuple[Reference, ...]
    unread: tuple[Unread, ...]


@dataclass(frozen=True)
class Script:
    """A parsed text: what its statements read, make and change, one after the other.

    It does not depend on the session it ran in, so one parse serves all sessions.
    """

    dialect: str
    steps: tuple[Step, ...]

    @property
    def parsed(self) -> bool:
        """Whether every statement was understood."""
        return not any(
            isinstance(step, Unread) and step.reason is Reason.NOT_PARSED for step in self.steps
        )

    def references(self, session: Session) -> References:
        """The tables it reads when run in that session, without those it made itself before."""
        tables: dict[Reference, None] = {}
        unread: dict[Unread, None] = {}
        made: set[tuple[str | None, ...]] = set()
        for step in self.steps:
            if isinstance(step, Read):
                if self._identity(step.table, session) not in made:
                    if not step.tolerant or Reference(step.table, session) not in tables:
                        tables[Reference(step.table, session, step.tolerant)] = None
            elif isinstance(step, Unread):
                unread[step] = None
            elif isinstance(step, Made):
                made.add(self._identity(step.table, session))
            elif isinstance(step, Dropped):
                made.discard(self._identity(step.table, session))
            elif isinstance(step, Use):
                session = self._changed(session, step)
        return References(tuple(tables), tuple(unread))

    def columns(
        self, session: Session, known: Callable[[Reference], Sequence[str] | Derived | None]
    ) -> tuple[Mapping[object, Mapping[str, int]], Attribution | None]:
        """The columns that it uses of each table, as bits of ``Usage``, and its last statement.

        A bit is set if the column, directly or through subqueries, is used so by any statement; a
        column without bits is selected by a subquery, and nothing takes it up from there.

        Args:
            session: where it runs.
            known: told for a table the names of its columns, exact case and in order; None when
                they are not known. Then those that the text names are given, as it folds them. For
                what is no table (a dataframe), where its columns come from; those are used then.
        """
        folding = column_folding(self.dialect)
        made: dict[tuple[str | None, ...], Derived | None] = {}
        used: dict[object, dict[str, int]] = {}
        last: Attribution | None = None

        def table(name: TableName) -> Table:
            identity = self._identity(name, session)
            if identity in made:
                return None, made[identity]
            reference = Reference(name, session)
            columns = known(reference)
            if isinstance(columns, Derived):
                return None, columns
            return reference, TableColumns.of(tuple(columns), folding) if columns else None

        for step in self.steps:
            if isinstance(step, Shape):
                last = Attribution(step, table, self.dialect)
                for reference, columns in last.used.items():
                    merged = used.setdefault(reference, {})
                    for column, usage in columns.items():
                        merged[column] = merged.get(column, 0) | usage
            elif isinstance(step, Made):
                filled = step.query is not None and last is not None
                made[self._identity(step.table, session)] = (
                    last.origins(step.query, step.columns)  # type: ignore[union-attr, arg-type]
                    if filled
                    else None
                )
            elif isinstance(step, Dropped):
                made.pop(self._identity(step.table, session), None)
            elif isinstance(step, Use):
                session = self._changed(session, step)
        return used, last

    def _identity(self, table: TableName, session: Session) -> tuple[str | None, ...]:
        """Database, schema and table, as far as they are known."""
        parts = [fold(part, table_folding(self.dialect)) for part in table.parts]
        if len(parts) > 1 and parts[-2].lower() in _TEMPORARY_SCHEMAS:
            parts = parts[-1:]
        if len(parts) == 1:
            parts.insert(0, session.schemas[0] if session.schemas else "")
        if len(parts) == 2:
            parts.insert(0, session.database or "")
        return tuple(part or None for part in parts)

    def _changed(self, session: Session, use: Use) -> Session:
        folding = table_folding(self.dialect)
        database, path = session.database, session
        if use.forget_database:
            database = None
        elif use.database is not None:
            database = fold(use.database, folding)
        if use.schemas is not None:
            schemas = tuple(fold(schema, folding) for schema in use.schemas)
            path = Session(database, schemas)
            if len(schemas) == 1:
                path = session_of(self.dialect, None, schemas[0])
        return path._replace(database=None if has_two_levels(self.dialect) else database)


def table_references(
    sql: str,
    dialect: str,
    database: str | None = None,
    schema: str | None = None,
    max_characters: int = MAX_CHARACTERS,
) -> References:
    """The tables that a text reads.

    Args:
        sql: one or more statements.
        dialect: sqlglot's name of the dialect.
        database: current database when the text ran; None when unknown.
        schema: current schema when the text ran; None when unknown.
        max_characters: longer texts are not parsed, and the result says so.

    Raises:
        ValueError: sqlglot knows no such dialect.
    """
    script = parse(sql, dialect, max_characters)
    return script.references(session_of(dialect, database, schema))


def parse(sql: str, dialect: str, max_characters: int = MAX_CHARACTERS) -> Script:
    """Parse a text once, for any session.

    Raises:
        ValueError: sqlglot knows no such dialect.
    """
    Dialect.get_or_raise(dialect)
    if len(sql) > max_characters:
        problem = f"longer than {max_characters:,} characters"
        return Script(dialect, (Unread(Reason.NOT_PARSED, "", problem),))
    silence = _parsing.set(True)
    try:
        return Script(dialect, tuple(_Text(sql, dialect).steps()))
    finally:
        _parsing.reset(silence)


class _NotUnderstood(Exception):
    """A statement is none that we, or sqlglot, understand; the argument says why."""


_NEAREST = {
    "athena": "trino",
    "databricks": "spark",
    "duckdb": "postgres",
    "postgres": "redshift",
    "presto": "trino",
    "redshift": "postgres",
    "trino": "presto",
}
"""Dialect to the one that is tried when sqlglot does not understand a statement in it.

Both quote names and strings alike; what the names mean is still told by the dialect itself.
"""

_TEMPORARY_SCHEMAS = frozenset({"_session", "pg_temp"})

_WHOLE_TEXTS = frozenset({"tsql", "fabric"})
"""Their blocks reach across semicolons, and sqlglot parses them."""

_SCHEMAS_BY_SET = frozenset({"duckdb", "materialize", "postgres", "redshift", "risingwave"})

_STATEMENT = frozenset(
    {
        TokenType.CREATE,
        TokenType.DELETE,
        TokenType.INSERT,
        TokenType.MERGE,
        TokenType.SELECT,
        TokenType.UPDATE,
        TokenType.WITH,
    }
)
_QUERY = frozenset({TokenType.SELECT, TokenType.WITH})
_OPENING = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE, TokenType.CASE})
_CLOSING = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE, TokenType.END})
_LISTS = frozenset({TokenType.GROUP_BY, TokenType.ORDER_BY})
_AFTER_LISTS = frozenset(
    {
        TokenType.EXCEPT,
        TokenType.FORMAT,
        TokenType.HAVING,
        TokenType.INTERSECT,
        TokenType.LIMIT,
        TokenType.SELECT,
        TokenType.SETTINGS,
        TokenType.UNION,
        TokenType.WITH,
    }
)
_NESTED_TYPES = frozenset({"ARRAY", "LIST", "MAP", "OBJECT", "STRUCT"})
_BRANCH = frozenset({"DO", "ELSE", "LOOP", "THEN"})

_BLOCKS = frozenset({"BEGIN", "ELSE", "LOOP", "REPEAT"})
"""Words of a script that stand before a statement."""

_TRANSACTION = frozenset(
    "DEFERRED EXCLUSIVE IMMEDIATE ISOLATION NOT READ TRAN TRANSACTION WORK".split()
)

_WRAPPERS = frozenset({"DECLARE", "EXPLAIN", "PREPARE", "USING"})
"""Words that stand, with options between, before the statement to explain, prepare or run."""

_SCRIPTING = frozenset(
    "CASE DECLARE ELSEIF ELSIF EXCEPTION FOR IF LET RETURN UNTIL WHEN WHILE".split()
)
"""Words of a script that may hold queries as conditions and statements as branches."""

_NEVER_READ = frozenset("COMMENT DENY END GRANT REVOKE SHOW".split())
"""Commands that read no table, although words such as SELECT may stand in them."""

_SELDOM_READ = frozenset(
    "ABORT ADD ALTER ANALYZE ATTACH BREAK CHECKPOINT CLEAR CLOSE CLUSTER COMMIT CONTINUE "
    "DEALLOCATE DETACH DISCARD DROP FLUSH GET INSTALL ITERATE KILL LEAVE LIST LISTEN LOAD LOCK LS "
    "MSCK NOTIFY OPTIMIZE PRAGMA PUT RAISE REINDEX RELEASE REMOVE RESET RM ROLLBACK SAVEPOINT SET "
    "START SYSTEM TRUNCATE UNCACHE UNDROP UNLISTEN UNLOCK UNSET USE VACUUM".split()
)
"""Commands that read no table unless a query stands in them."""

_COPIES = frozenset({"CLONE", "COPY", "FROM"})

_MASKED = "?"

_FIRST_QUERY = 1
"""Place of a statement's own query in its shape, where the statement is that query."""


class _Text:
    """One text being taken apart."""

    def __init__(self, sql: str, dialect: str) -> None:
        self.sql = sql
        self.dialect = dialect
        self.sqlglot = Dialect.get_or_raise(dialect)

    def steps(self) -> Iterator[Step]:
        try:
            tokens = self._tokens()
        except (_NotUnderstood, TokenError) as error:
            yield _not_parsed(_blame(error))
            return
        statements = [tokens] if self.dialect in _WHOLE_TEXTS else list(_statements(tokens))
        for number, statement in enumerate(statements, start=1):
            place = f"statement {number}: " if len(statements) > 1 else ""
            try:
                yield from self._statement(statement)
            except (_NotUnderstood, NotAStatement, SqlglotError) as error:
                again = self._mended(statement)
                if again is None:
                    again = self._in_nearest_dialect(statement)
                if again is not None:
                    yield from again
                    continue
                yield _not_parsed(place + _blame(error))
                yield from (Read(name, tolerant=True) for name in tables_in(statement))
            except RecursionError:
                yield _not_parsed(place + "nested too deeply")

    def _mended(self, tokens: Sequence[Token]) -> list[Step] | None:
        """The steps of a statement written as sqlglot knows it; None if that is no help."""
        mended = _with_known_clauses(tokens, self.dialect)
        if mended is None:
            return None
        try:
            return self._trees(mended)
        except (_NotUnderstood, NotAStatement, SqlglotError):
            return None

    def _in_nearest_dialect(self, tokens: Sequence[Token]) -> list[Step] | None:
        """The steps of a statement that the dialect nearest to its own understands."""
        nearest = _NEAREST.get(self.dialect)
        if nearest is None:
            return None
        statement = _Text(self.sql[tokens[0].start : tokens[-1].end + 1], nearest)
        try:
            trees = statement.trees(statement._tokens())
            if any(isinstance(tree, exp.Command) for tree in trees):
                return None
            return [step for tree in trees for step in steps_of(tree, self.dialect)]
        except (_NotUnderstood, NotAStatement, SqlglotError):
            return None

    def _tokens(self) -> list[Token]:
        try:
            return self.sqlglot.tokenize(self.sql)
        except PARSER_BUGS as error:
            raise _NotUnderstood(_fault(error)) from error

    def _statement(self, tokens: Sequence[Token]) -> list[Step]:
        if not tokens:
            return []
        if self.dialect in _WHOLE_TEXTS:
            return self._trees(tokens)
        word = _word(tokens[0])
        if word == "END":
            return []
        if word in _BLOCKS and tokens[0].token_type is not TokenType.COMMAND:
            return self._block(tokens[1:])
        if word == "SET":
            use = _session_set(tokens, self.dialect)
            if use is not None:
                return [use]
        if word == "CREATE":
            tokens = _without_data_clause(tokens)
        try:
            return self._trees(tokens)
        except (NotAStatement, SqlglotError):
            if word not in _SCRIPTING:
                raise
            return self._queries(tokens[1:]) or []

    def trees(self, tokens: Sequence[Token]) -> list[exp.Expr]:
        if self._may_be_deep and _depth(tokens) > _MAX_DEPTH:
            raise _NotUnderstood(f"nested more than {_MAX_DEPTH} levels deep")
        parser = self.sqlglot.parser(max_nodes=_NODES + _NODES_PER_TOKEN * len(tokens))
        try:
            trees = parser.parse(list(tokens), self.sql)
        except PARSER_BUGS as error:
            raise _NotUnderstood(_fault(error)) from error
        if not any(trees):
            raise NotAStatement
        return [tree for tree in trees if tree is not None]

    def _trees(self, tokens: Sequence[Token]) -> list[Step]:
        steps: list[Step] = []
        for tree in self.trees(tokens):
            if isinstance(tree, exp.Command):
                inner = _Text(_text_of(tree), self.dialect)
                steps += inner.command(tree.name.upper().split(" ")[0])
            else:
                steps += steps_of(tree, self.dialect)
        return steps

    @cached_property
    def _may_be_deep(self) -> bool:
        """A bound without tokens, which few texts exceed."""
        opened = sum(self.sql.count(sign) for sign in "([{<") + self.sql.upper().count("CASE")
        return opened > _MAX_DEPTH

    def command(self, word: str) -> list[Step]:
        """The text as what stands behind a command that sqlglot leaves unparsed."""
        if word in _NEVER_READ:
            return []
        tokens = self._tokens()
        if word in _BLOCKS:
            return self._block(tokens)
        sql = _sql_in_string(word, tokens)
        if sql is not None:
            return list(_Text(sql, self.dialect).steps())
        if word in _WRAPPERS:
            start = next(_statement_starts(tokens), None)
            if start is not None:
                return self._statement(tokens[start:])
        steps = self._queries(tokens)
        if steps is not None:
            made = name_made(tokens) if word == "CREATE" else None
            if made is not None:
                shapes = sum(isinstance(step, Shape) for step in steps)
                steps.append(Made(made, _FIRST_QUERY if shapes == 1 else None))
            return steps
        copies = {_word(token) for token in tokens} & _COPIES
        if word in _SELDOM_READ | _SCRIPTING or (word == "CREATE" and not copies):
            return []
        raise _NotUnderstood(f"{word} does not say what it reads")

    def _block(self, tokens: Sequence[Token]) -> list[Step]:
        if not tokens or _word(tokens[0]) in _TRANSACTION:
            return []
        return self._statement(tokens)

    def _queries(self, tokens: Sequence[Token]) -> list[Step] | None:
        """Steps of the queries that stand somewhere in the tokens; None if there are none."""
        queries = list(_queries(tokens))
        return [step for query in queries for step in self._trees(query)] if queries else None


def _statements(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    statement: list[Token] = []
    for token in tokens:
        if token.token_type is not TokenType.SEMICOLON:
            statement.append(token)
        elif statement:
            yield statement
            statement = []
    if statement:
        yield statement


def _without_data_clause(tokens: Sequence[Token]) -> Sequence[Token]:
    """The statement without WITH [NO] DATA at its end, which sqlglot does not know everywhere."""
    words = [_word(token) for token in tokens[-3:]]
    if words[-2:] == ["WITH", "DATA"]:
        return tokens[:-2]
    return tokens[:-3] if words == ["WITH", "NO", "DATA"] else tokens


def _with_known_clauses(tokens: Sequence[Token], dialect: str) -> Sequence[Token] | None:
    """The statement with clauses that sqlglot does not know left out, or in parentheses.

    None of those left out reads anything. None if there is no such clause.
    """
    mended = tokens
    words = {_word(token) for token in tokens}
    if dialect == "trino" and [_word(token) for token in tokens[:2]] == ["WITH", "SESSION"]:
        starts = (place for place in range(2, len(tokens)) if tokens[place].token_type in _QUERY)
        mended = tokens[next(starts, 0) :]
    if {"MATCH_RECOGNIZE", "SUBSET"} <= words:
        mended = _without_subset(mended)
    if dialect == "clickhouse" and "AS" in words:
        mended = _aliases_in_parentheses(mended)
    if dialect == "postgres" and {"USING", "AS"} <= words:
        mended = _without_aliases_of_using(mended)
    return mended if len(mended) != len(tokens) else None


def _without_subset(tokens: Sequence[Token]) -> list[Token]:
    """The statement without ``SUBSET u = (a, b), ...``, which names sets of pattern variables."""
    kept: list[Token] = []
    place = 0
    while place < len(tokens):
        start = place
        separator = "SUBSET"
        while _word(tokens[place]) == separator and _is_set_of_variables(tokens, place + 1):
            while tokens[place].token_type is not TokenType.R_PAREN:
                place += 1
            place += 1
            separator = ","
            if place == len(tokens):
                break
        if place == start:
            kept.append(tokens[place])
            place += 1
    return kept


def _is_set_of_variables(tokens: Sequence[Token], place: int) -> bool:
    kinds = [token.token_type for token in tokens[place + 1 : place + 3]]
    rest = (token.token_type for token in tokens[place + 3 :])
    return kinds == [TokenType.EQ, TokenType.L_PAREN] and TokenType.R_PAREN in rest


def _without_aliases_of_using(tokens: Sequence[Token]) -> list[Token]:
    """``JOIN b USING (k, l) AS u`` without the alias: ``u.k`` as ``k``, ``u.*`` as ``k, l``."""
    columns: dict[str, Sequence[Token]] = {}
    kept: list[Token] = []
    place = 0
    while place < len(tokens):
        kept.append(tokens[place])
        close = _end_of_names(tokens, place + 1) if _word(tokens[place]) == "USING" else None
        place += 1
        if close is not None and [_word(token) for token in tokens[close + 1 : close + 2]] == [
            "AS"
        ]:
            columns.update((_word(t), tokens[place + 1 : close]) for t in tokens[close + 2 :][:1])
            kept += tokens[place : close + 1]
            place = close + 3
    mended: list[Token] = []
    place = 0
    while place < len(kept):
        called = columns.get(_word(kept[place]))
        kinds = [token.token_type for token in kept[place + 1 : place + 3]]
        qualified = mended[-1:] and mended[-1].token_type is TokenType.DOT
        if called is None or qualified or len(kinds) < 2 or kinds[0] is not TokenType.DOT:
            mended.append(kept[place])
            place += 1
        elif kinds[1] is TokenType.STAR:
            mended += called
            place += 3
        else:
            place += 2
    return mended


def _end_of_names(tokens: Sequence[Token], start: int) -> int | None:
    """The place of the closing parenthesis of ``(a, b, ...)``; None if it is something else."""
    if [token.token_type for token in tokens[start : start + 1]] != [TokenType.L_PAREN]:
        return None
    for place in range(start + 2, len(tokens), 2):
        if tokens[place].token_type is TokenType.R_PAREN:
            return place
        if tokens[place].token_type is not TokenType.COMMA:
            return None
    return None


def _aliases_in_parentheses(tokens: Sequence[Token]) -> list[Token]:
    """``GROUP BY a AS b`` as ``GROUP BY (a AS b)``: sqlglot knows names of expressions there."""
    before: dict[int, int] = {}
    after: dict[int, int] = {}
    items: list[int | None] = [None]
    for place, token in enumerate(tokens):
        kind, word = token.token_type, _word(token)
        if kind in _OPENING:
            items.append(None)
        elif kind in _CLOSING:
            items = items[:-1] or [None]
        elif kind in _LISTS:
            items[-1] = place + 1
        elif kind is TokenType.COMMA and items[-1] is not None:
            items[-1] = place + 1
        elif kind in _AFTER_LISTS:
            items[-1] = None
        elif word == "AS" and items[-1] is not None and place + 1 < len(tokens):
            before[items[-1]] = after[place + 1] = place
    mended: list[Token] = []
    for place, token in enumerate(tokens):
        if place in before:
            mended.append(_like(token, TokenType.L_PAREN, "("))
        mended.append(token)
        if place in after:
            mended.append(_like(token, TokenType.R_PAREN, ")"))
    return mended


def _like(token: Token, kind: TokenType, text: str) -> Token:
    """Another token at the place of one."""
    return Token(kind, text, line=token.line, col=token.col, start=token.start, end=token.end)


def _word(token: Token) -> str:
    return token.text.upper()


def _depth(tokens: Sequence[Token]) -> int:
    """How deep parentheses, brackets, CASE and nested types go."""
    deepest = depth = types = 0
    before = ""
    for token in tokens:
        kind = token.token_type
        if kind in _OPENING:
            depth += 1
        elif kind in _CLOSING:
            depth = max(depth - 1, 0)
        elif kind is TokenType.LT and before in _NESTED_TYPES:
            types += 1
        elif kind is TokenType.GT and types:
            types -= 1
        deepest = max(deepest, depth + types)
        before = _word(token) if kind not in (TokenType.STRING, TokenType.NUMBER) else ""
    return deepest


def _begins_query(tokens: Sequence[Token], start: int) -> bool:
    """Whether SELECT or WITH stands there, and WITH is not that of options."""
    if tokens[start].token_type is TokenType.SELECT:
        return True
    if tokens[start].token_type is not TokenType.WITH or start + 2 >= len(tokens):
        return False
    name, then = tokens[start + 1], tokens[start + 2]
    if name.token_type is TokenType.L_PAREN:
        return False
    return _word(name) == "RECURSIVE" or _word(then) in ("AS", "(")


def _statement_starts(tokens: Sequence[Token]) -> Iterator[int]:
    """Where statements begin outside of parentheses, or directly inside of them."""
    depth = 0
    for place, token in enumerate(tokens):
        kind = token.token_type
        if depth == 0:
            if kind in _QUERY:
                if _begins_query(tokens, place):
                    yield place
            elif kind in _STATEMENT:
                yield place
            elif kind is TokenType.L_PAREN and place + 1 < len(tokens):
                if _begins_query(tokens, place + 1):
                    yield place
        depth += (kind in _OPENING) - (kind in _CLOSING)


def _queries(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """The outermost queries that stand somewhere in the tokens."""
    depth = 0
    start: int | None = None
    base = 0
    for place, token in enumerate(tokens):
        kind = token.token_type
        after = max(depth + (kind in _OPENING) - (kind in _CLOSING), 0)
        if start is None:
            if kind in _QUERY and _begins_query(tokens, place):
                start, base = place, depth
        elif after < base or (depth == base == 0 and _word(token) in _BRANCH):
            yield tokens[start:place]
            start = None
        depth = after
    if start is not None:
        yield tokens[start:]


def _sql_in_string(word: str, tokens: Sequence[Token]) -> str | None:
    """The statement that a command holds as a string, if it is of that kind."""
    place = {"EXECUTE": 1, "UNLOAD": 1, "PREPARE": 2}.get(word, len(tokens))
    if place >= len(tokens) or tokens[place].token_type is not TokenType.STRING:
        return None
    if word == "EXECUTE" and _word(tokens[0]) != "IMMEDIATE":
        return None
    if tokens[place].text == _MASKED:
        raise _NotUnderstood(f"the statement of {word} is not in the text")
    return tokens[place].text


def _session_set(tokens: Sequence[Token], dialect: str) -> Use | None:
    """The step of a SET that changes where names are looked up; None for any other SET."""
    if dialect in _SCHEMAS_BY_SET:
        return _search_path(tokens)
    words = [_word(token) for token in tokens]
    if dialect != "bigquery" or words[1:3] != ["@", "@"]:
        return None
    known = words[4:5] == ["="] and len(tokens) == 6 and tokens[5].text != _MASKED
    name = Name(tokens[-1].text, quoted=True)
    if words[3:4] == ["DATASET_ID"]:
        return Use(schemas=(name,) if known else ())
    if words[3:4] == ["DATASET_PROJECT_ID"]:
        return Use(database=name) if known else Use(forget_database=True)
    return None


def _search_path(tokens: Sequence[Token]) -> Use | None:
    """The step of ``SET search_path`` or ``SET SCHEMA``."""
    words = [_word(token) for token in tokens]
    place = 2 if words[1:2] in (["SESSION"], ["LOCAL"]) else 1
    if words[place : place + 1] not in (["SEARCH_PATH"], ["SCHEMA"]):
        return None
    place += 1
    if words[place : place + 1] in (["TO"], ["="]):
        place += 1
    schemas = []
    for token in tokens[place:]:
        if token.token_type is TokenType.COMMA or token.text == "$user":
            continue
        quoted = token.token_type in (TokenType.IDENTIFIER, TokenType.STRING)
        if token.text == _MASKED or not (quoted or re.fullmatch(r"\w+", token.text)):
            return Use(schemas=())
        schemas.append(Name(token.text, quoted))
    if [schema.text.upper() for schema in schemas] == ["DEFAULT"]:
        return Use(schemas=())
    return Use(schemas=tuple(schemas))


def _text_of(command: exp.Command) -> str:
    text = command.args.get("expression")
    return text.name if isinstance(text, exp.Expr) else str(text or "")


def _not_parsed(detail: str) -> Unread:
    return Unread(Reason.NOT_PARSED, "", detail)


def _fault(error: Exception) -> str:
    return f"sqlglot failed with {type(error).__name__}"


_TOKEN = re.compile(r"<Token token_type: (?:TokenType\.)?(\w+).*", re.DOTALL)
_CLASS = re.compile(r"<class '[\w.]*?(\w+)'>")
_QUOTED = re.compile(r"(['\"]).*\1", re.DOTALL)
_POSITION = re.compile(r"from (\d+):(\d+)")


def _blame(error: Exception) -> str:
    """What sqlglot says, without what it quotes from the text."""
    if isinstance(error, ParseError) and error.errors:
        first = error.errors[0]
        words = _TOKEN.sub(r"\1", str(first.get("description") or ""))
        words = _QUOTED.sub("...", _CLASS.sub(r"\1", words)).split(", got ")[0]
        return f"line {first.get('line')}, column {first.get('col')}: {words.strip()}"
    if isinstance(error, TokenError):
        position = _POSITION.search(str(error.__cause__ or ""))
        place = f"line {position[1]}, column {position[2]}: " if position else ""
        return f"{place}a quote or comment has no end"
    if isinstance(error, _NotUnderstood):
        return str(error)
    return "this is no statement of the dialect"


class _Silence(logging.Filter):
    """Keeps out of the logs what sqlglot says about our texts, because it quotes them."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not _parsing.get()


_parsing = ContextVar("_parsing", default=False)
logging.getLogger("sqlglot").addFilter(_Silence())
