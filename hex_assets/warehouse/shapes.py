"""Masks of whole batches, worked out once per distinct shape.

``masking.py`` says what the result is; here it is got for many texts at once. A
shape is what Polars makes of a statement with regular expressions: the literals that cannot
matter are blanked, so that runs of one statement fall together, and one of them is masked for
all. Equal shapes mean equal masks. Where that is not certain (a string that may name a table, a
number that may be part of a name, quotes that do not pair, a dialect not known here) the shape is
the text itself.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any, NamedTuple

import polars as pl

from hex_assets.warehouse.masking import SIZED_TYPES, lexicon_of, mask_literals

_MASKS: dict[str, Any] = {"shape": pl.String, "masked": pl.String, "sql_key": pl.String}

_ROWS_AT_ONCE = 2_000
"""One expression runs on one processor; several parts run on all of them."""

_KEPT = 20_000
"""Shapes whose mask is kept at most; each takes a few kilobytes."""


class Shapes:
    """Masks statements, each shape once for all batches that it is given."""

    def __init__(self) -> None:
        self._known: dict[str, pl.DataFrame] = {}

    def masked(self, statements: pl.Series, dialect: str) -> pl.DataFrame:
        """The masked form of each statement, in their order.

        Columns: ``masked``, what ``mask_literals`` makes of it, without spaces and semicolons
        around it; ``sql_key``, its SHA-256, hexadecimal.

        Raises:
            ValueError: sqlglot knows no such dialect.
        """
        keyed = pl.DataFrame(
            [statements.alias("statement"), _shape(statements, dialect).alias("shape")]
        )
        known = self._known.get(dialect)
        if known is None:
            known = pl.DataFrame(schema=_MASKS)
        new = keyed.unique("shape", keep="first", maintain_order=True).join(
            known, on="shape", how="anti"
        )
        masks = [masked_statement(statement, dialect) for statement in new["statement"]]
        keys = [hashlib.sha256(mask.encode()).hexdigest() for mask in masks]
        added = new.select("shape").with_columns(
            pl.Series("masked", masks, pl.String), pl.Series("sql_key", keys, pl.String)
        )
        known = pl.concat([known, added])
        self._known[dialect] = known.tail(_KEPT)
        return keyed.join(known, on="shape", how="left", maintain_order="left").select(
            "masked", "sql_key"
        )


def masked_statement(statement: str, dialect: str) -> str:
    """One statement as it is stored: masked, without spaces and semicolons around it."""
    return mask_literals(statement, dialect).strip(" \t\r\n;")


_BLANK = "\x01\x02\x03"
"""Stands for a number, and follows each name that is kept; no text with these signs is blanked."""

_STRING_BLANK = "\x01['\"]\x02\x03"
_AFTER_COMMENT = r"[^\x02]\x03\s*"
_PREFIX = "[A-Za-z&]{0,3}"
_WIDE = r"\x{80}-\x{10FFFF}"
_NO_WORD = rf"(?:^|[^\w{_WIDE}])"

_BLANKED_DIALECTS = frozenset(
    "athena bigquery clickhouse databricks duckdb mysql postgres presto redshift snowflake "
    "trino".split()
)


class _Blanking(NamedTuple):
    """How statements of one dialect become shapes.

    Attributes:
        token: pattern of all that must be read as a whole, its groups being what is kept of it.
        unsafe: pattern of the texts whose shape is the text.
        doubtful: pattern of the shapes that do not tell what their mask is.
        doubtful_with_backslash: of those that do not if there is a backslash in the text.
    """

    token: str
    unsafe: str
    doubtful: str
    doubtful_with_backslash: str


_REPLACEMENT = "${kept}${before}\x01${single}${double}${stray}${stray}\x02${comment}\x03"
"""A literal keeps its opening quote, a number what precedes it, a quote without a pair is doubled.

So one can tell from the signs around it what each of them was.
"""

_IN_LISTS = "|".join(
    rf"({_NO_WORD}(?i:IN)\s*)\(\s*{sign}({item})(?:\s*,\s*{sign}{item})*\s*\)"
    for sign, item in ((r"(?:[-+]\s*)?", _BLANK), ("", _STRING_BLANK))
)


def _shape(statements: pl.Series, dialect: str) -> pl.Series:
    """The shape of each statement."""
    if dialect not in _BLANKED_DIALECTS:
        return statements
    blanking = _blanking(dialect)
    text, shape = pl.col("text"), pl.col("shape")
    blank = text.str.replace_all(blanking.token, _REPLACEMENT).str.replace_all(
        _IN_LISTS, "${1}${3}(${2}${4})"
    )
    parts = (
        statements.slice(start, _ROWS_AT_ONCE)
        .alias("text")
        .to_frame()
        .lazy()
        .select(
            "text",
            shape=blank,
            unsafe=text.str.contains(blanking.unsafe),
            backslash=text.str.contains("\\", literal=True),
        )
        for start in range(0, max(len(statements), 1), _ROWS_AT_ONCE)
    )
    blanked = pl.concat(pl.collect_all(parts))
    # There are far fewer shapes than texts.
    doubts = blanked.select(shape.unique()).with_columns(
        doubtful=shape.str.contains(blanking.doubtful),
        with_backslash=shape.str.contains(blanking.doubtful_with_backslash),
    )
    whole = pl.col("unsafe") | pl.col("doubtful") | (pl.col("backslash") & pl.col("with_backslash"))
    return (
        blanked.join(doubts, on="shape", how="left", maintain_order="left")
        .select(pl.when(whole).then("\0" + text).otherwise(shape))
        .to_series()
    )


@cache
def _blanking(dialect: str) -> _Blanking:
    """See ``_Blanking``; what the patterns rule out is what ``masking.py`` looks at.

    They may take more for a name than masking does, never less.
    """
    lexicon = lexicon_of(dialect)
    escape = r"\\.|" if lexicon.backslash else ""
    plain = r"\\" if lexicon.backslash else ""
    strings = {
        kind: rf"(?P<{kind}>{quote})(?:[^{quote}{plain}]|{escape}{quote}{quote})*{quote}"
        for kind, quote in (("single", "'"), ("double", '"'))
        if quote in lexicon.quotes
    }
    names = [f"{quote}(?:[^{quote}]|{quote}{quote})*{quote}" for quote in lexicon.names]
    arguments = r"\(\s*[0-9]+(?:\s*,\s*-?[0-9]+)?(?:\s+(?:CHAR|BYTE))?\s*\)"
    sized = rf"(?i:(?:(?:::|AS)\s*[\w{_WIDE}]+|{'|'.join(sorted(SIZED_TYPES))})\s*{arguments})"
    # MySQL takes -- for a comment only before white space.
    openings = [
        r"--[ \t]" if (dialect, sign) == ("mysql", "--") else sign for sign in lexicon.lines
    ]
    lines = "|".join(rf"{opening}[^\r\n]*" for opening in openings)
    before = rf"[^\w.$@)'\"`{_WIDE}{'-' if dialect == 'bigquery' else ''}]-?"
    token = [
        *strings.values(),
        f"(?P<kept>{'|'.join([*names, sized])})",
        rf"(?P<comment>{lines}|/\*.*?\*/)",
        r"(?P<stray>['\"`]|/\*)",
        rf"(?P<before>{before})[0-9]+(?:\.[0-9]+)?(?-u:\b)",
    ]
    if "double" not in strings:
        token.append(r"(?P<double>\x00)")
    reading = "IMMEDIATE|=>|FROM|JOIN|INTO|TO|LOCATION" + ("|AS" if dialect == "mysql" else "")
    functions = "|".join(sorted(lexicon.arguments))
    doubtful = [
        "\x01(?:''|\"\"|``|/\\*/\\*)\x02",
        rf"{_AFTER_COMMENT}{_PREFIX}\x01['\"]",
        rf"{_AFTER_COMMENT}[\w{_WIDE}]*\s*\(\s*{_PREFIX}\x01",
        rf"(?i:{reading})\s*{_PREFIX}\x01['\"]",
        rf"(?i:{functions})\s*\(\s*{_PREFIX}\x01['\"]",
        rf"[^'\"`)]{_BLANK}\.",
        rf"\x03[{_WIDE}]",
        r"\$[^\s$]*\$",
    ]
    unsafe = [r"[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f]"]
    if lexicon.nested:
        doubtful.append(r"/\*(?:[^*]|\*[^/])*?/\*")
    if dialect in ("postgres", "redshift", "duckdb"):
        doubtful.append("(?i:regclass)")
    if dialect == "redshift":
        # It may be an escape or not.
        unsafe.append(r"\\")
    if dialect == "snowflake":
        doubtful.append("@")
    if dialect == "bigquery":
        doubtful.append("(?i:_TABLE_SUFFIX)")
    if dialect == "mysql":
        doubtful.append(r"--(?:[^ \t]|$)")
    if lexicon.triple:
        unsafe.append("'{3}|\"{3}")
    return _Blanking(
        token=f"(?s){'|'.join(token)}",
        unsafe="|".join(unsafe),
        doubtful=f"(?s){'|'.join(doubtful)}",
        doubtful_with_backslash=r"(?i:r|rb|e)\x01['\"]",
    )
