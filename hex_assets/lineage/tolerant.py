"""Tables of a statement that no parser understands, from its tokens alone.

What follows FROM and JOIN is taken for a table unless the statement names it in WITH. This is
wrong more often than a parse, so what is found is marked, and counts only if the catalog has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from sqlglot import Token, TokenType

from hex_assets.lineage.names import Name, TableName

_NAMES = frozenset({TokenType.VAR, TokenType.IDENTIFIER})
_TAKES_FROM = frozenset({"EXTRACT", "TRIM", "SUBSTRING", "OVERLAY", "POSITION"})
_SIMILAR = frozenset({"DISTINCT", "DELETE"})
"""Words before a FROM that names no source."""

_LONGEST_BEGINNING = 8
"""``OR REPLACE GLOBAL TEMPORARY TABLE IF NOT EXISTS``"""


def tables_in(tokens: Sequence[Token]) -> Iterator[TableName]:
    """Each mention of a table, in reading order."""
    expressions = {
        token.text.lower()
        for token, then in pairwise(tokens)
        if token.token_type in _NAMES and then.text.upper() == "AS"
    }
    openers: list[str] = []
    for place, token in enumerate(tokens):
        before = tokens[place - 1].text.upper() if place else ""
        word = token.text.upper()
        if token.token_type is TokenType.L_PAREN:
            openers.append(before)
        elif token.token_type is TokenType.R_PAREN and openers:
            openers.pop()
        elif word not in ("FROM", "JOIN") or token.token_type in (*_NAMES, TokenType.STRING):
            continue
        elif before in _SIMILAR or (openers and openers[-1] in _TAKES_FROM):
            continue
        else:
            parts, after = _name(tokens, place + 1)
            called = after < len(tokens) and tokens[after].token_type is TokenType.L_PAREN
            if (
                parts
                and not called
                and (len(parts) > 1 or parts[0].text.lower() not in expressions)
            ):
                yield TableName(tuple(parts))


def name_made(tokens: Sequence[Token]) -> TableName | None:
    """The table or view of a CREATE that is not understood, given what stands behind CREATE."""
    words = [token.text.upper() for token in tokens[:_LONGEST_BEGINNING]]
    kinds = [place for place, word in enumerate(words) if word in ("TABLE", "VIEW")]
    if not kinds:
        return None
    start = kinds[0] + 1
    if words[start : start + 3] == ["IF", "NOT", "EXISTS"]:
        start += 3
    parts, _ = _name(tokens, start)
    return TableName(tuple(parts)) if parts else None


def _name(tokens: Sequence[Token], start: int) -> tuple[list[Name], int]:
    """The parts of the name that begins there, at most three, and the place after it."""
    parts: list[Name] = []
    place = start
    while place < len(tokens) and tokens[place].token_type in _NAMES and len(parts) < 3:
        token = tokens[place]
        parts.append(Name(token.text, token.token_type is TokenType.IDENTIFIER))
        place += 1
        if place >= len(tokens) or tokens[place].token_type is not TokenType.DOT:
            break
        place += 1
    return parts, place
