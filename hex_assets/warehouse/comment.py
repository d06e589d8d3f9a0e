"""The comment that Hex adds to every statement it sends to a warehouse.

``-- Hex query metadata: {json}``, after the SQL. The JSON names the project, the user, the run
context and, in ``project_url``, the cell (Hex documentation, "SQL cells", on query metadata).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import polars as pl

MARKER = "(?i)hex query metadata"
"""Pattern of the texts that may hold a Hex comment, for any regular expression engine."""

TRACE_ID = "trace_id[^0-9a-zA-Z]{1,8}[0-9a-f]{32}"
"""Pattern of what differs in the comments of equal runs, for any regular expression engine."""

USER_EMAIL_KEY = "user_email[^0-9a-zA-Z]{1,8}"
"""Pattern of what stands before the user in a Hex comment."""

USER_EMAIL = USER_EMAIL_KEY + r"([^\"\\ ,}]+@[^\"\\ ,}]+)"
"""Pattern of the user in a Hex comment, for any regular expression engine."""

DECODED: dict[str, Any] = {
    "statement": pl.String,
    "project_id": pl.String,
    "cell_id": pl.String,
    "context": pl.String,
}
"""Columns of decoded texts: the statement without its comment, and what the comment says; no
project where there is no comment, or none that names one."""

_MARKER = re.compile(r"hex query metadata[ \t]*:[ \t]*", re.IGNORECASE)
_STRICT = json.JSONDecoder(strict=False)  # an export may have turned \n into a line break
_TOKENS = re.compile(r'\{(?:\s+|[,:\[\]]|"(?:[^"\\]|\\.)*"|[\w.+-]+)*', re.DOTALL)
_PAIR = re.compile(r'"((?:[^"\\]|\\.)*)"\s*:\s*"((?:[^"\\]|\\.)*)"', re.DOTALL)
_CUT_STRING = re.compile(r'"(?:[^"\\]|\\.)*\\?\Z', re.DOTALL)
_CUT_URL = re.compile(r'"project_url"\s*:\s*"([^"\\]*[/?&#])[^"\\]*\Z')
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_COMMENTS = re.compile(r"(?:[\s;]|--[^\n]*|/\*.*?\*/)*", re.DOTALL)
_URL = re.compile(
    r"https?://[^/?#]+/(?:(?P<workspace>[^/?#]+)/)?(?:hex|app)/(?:projects/)?"
    r"(?P<project>(?!hex/|app/|projects/)[^/?#]+)"
)
_CELL = re.compile(r"[?&]selectedCellId=([^&#/]+)")
_ENDS = " \t\r\n\f\v;"
_USUAL = "-- Hex query metadata: {"
_COMMENT_FIRST = r"^[\s;]*(?:--|/\*|$)"
"""What may be nothing but comments, so that the statement follows them."""


@dataclass(frozen=True)
class HexComment:
    """What one comment says.

    Attributes:
        project_id: id of the project, lower case.
        cell_id: static id of the cell, lower case; None when the URL selects none.
        context: what ran the statement, for example ``SCHEDULED_RUN`` (an open set).
        workspace: workspace segment of the project URL.
        user_email: who ran it, lower case; personal data, to be counted and then dropped.
    """

    project_id: str
    cell_id: str | None = None
    context: str | None = None
    workspace: str | None = None
    user_email: str | None = field(default=None, repr=False)


def decode_comment(text: str) -> HexComment | None:
    """What the last Hex comment in a text says; None without one, or when it names no project."""
    return split_comment(text)[1]


def split_comment(sql: str) -> tuple[str, HexComment | None]:
    """A statement without its Hex comment, and what the comment says.

    The last comment counts. All from it on is cut, because clients append to the text they are
    given (clickhouse-connect adds ``FORMAT Native``). Only when nothing but comments precedes it
    is what follows the statement. Spaces and semicolons at the end go with the comment; a
    statement without one is returned as it came.

    A comment that is cut short or escaped twice still counts if its project id is whole; else
    it is removed and None is returned in its place.
    """
    found = _last_comment(sql)
    if found is None:
        return sql, None
    start, end, fields = found
    statement = sql[:start]
    leading = _COMMENTS.match(statement)
    if leading is not None and leading.end() == start:
        statement += _after_comment(sql, start, end)
    return statement.rstrip(_ENDS), _comment(fields)


def split_comments(texts: pl.Series) -> pl.DataFrame:
    """What ``split_comment`` makes of each text (``DECODED``), in their order.

    A comment that Hex wrote at the end of a statement and nobody changed, which most are, is cut
    off without a look at each text alone, and decoded once for all that differ in trace id and
    user only.
    """
    text, place, octets = pl.col("text"), pl.col("place"), pl.col("text").cast(pl.Binary).bin
    before, comment = pl.col("before"), pl.col("comment")
    rows = (
        texts.alias("text")
        .to_frame()
        .lazy()
        .with_columns(place=text.str.find(_USUAL, literal=True))
        .with_columns(
            before=octets.slice(0, place).cast(pl.String),
            comment=octets.slice(place).cast(pl.String),
        )
        .with_columns(
            usual=place.is_not_null()
            & ~before.str.contains(MARKER)
            & ~comment.str.slice(len(_USUAL)).str.contains(MARKER)
            & ~before.str.contains(_COMMENT_FIRST),
            key=anonymous(comment),
        )
        .with_row_index()
        .collect()
    )
    usual, rest = rows.filter("usual"), rows.filter(~pl.col("usual"))
    comments = usual.unique("key", maintain_order=True)
    fields = _decoded(comments["comment"]).drop("statement")
    statement = before.str.strip_chars_end("-").str.strip_chars_end(_ENDS).alias("statement")
    parts = [
        usual.select("index", "key", statement)
        .join(comments.select("key").hstack(fields), on="key", how="left")
        .drop("key"),
        rest.select("index").hstack(_decoded(rest["text"])),
    ]
    return pl.concat(parts).sort("index").drop("index")


def anonymous(comment: pl.Expr) -> pl.Expr:
    """Comments without what differs between equal runs by different users."""
    return comment.str.replace_all(TRACE_ID, "trace_id").str.replace_all(USER_EMAIL, "user_email")


def _decoded(texts: pl.Series) -> pl.DataFrame:
    rows: list[tuple[str | None, ...]] = []
    for text in texts.to_list():
        statement, comment = split_comment(text)
        if comment is None:
            rows.append((statement, None, None, None))
        else:
            rows.append((statement, comment.project_id, comment.cell_id, comment.context))
    return pl.DataFrame(rows, schema=DECODED, orient="row")


def _last_comment(text: str) -> tuple[int, int, dict[str, str]] | None:
    """Start of the last comment, end and string fields of its JSON.

    A marker inside the JSON of a comment (a project may be named so) begins no comment, nor does
    one without ``{`` behind it (a statement about the marker itself).
    """
    last = None
    position = 0
    while marker := _MARKER.search(text, position):
        position = marker.end()
        if position == len(text):
            return _opening(text, marker.start()), position, {}
        if text[position] == "{":
            position, fields = _decode(text, position)
            last = _opening(text, marker.start()), position, fields
    return last


def _opening(text: str, marker: int) -> int:
    """Where the comment that holds the marker begins: at ``--``, ``//``, ``#`` or ``/*``."""
    before = text[:marker].rstrip(" \t")
    for sign, opening in (("-", "--"), ("/", "//"), ("#", "#")):
        if before.endswith(opening):
            return len(before.rstrip(sign))
    block = before.rstrip("*")
    return len(block) - 1 if block != before and block.endswith("/") else marker


def _decode(text: str, start: int) -> tuple[int, dict[str, str]]:
    """End and string fields of the object that begins at ``start``, however damaged it is."""
    try:
        value, end = _STRICT.raw_decode(text, start)
    except (json.JSONDecodeError, RecursionError):
        pass
    else:
        return end, {key: item for key, item in value.items() if isinstance(item, str)}
    if text[start + 1 : start + 20].lstrip().startswith('\\"'):
        line = text[start:].partition("\n")[0]
        return start + len(line), _decode(_ESCAPE.sub(_unescaped, line), 0)[1]
    tokens = _TOKENS.match(text, start)
    end = tokens.end() if tokens else start
    fields: dict[str, str] = {}
    for key, escaped in _PAIR.findall(text[start:end]):
        fields.setdefault(key, _string(escaped))
    if not _CUT_STRING.match(text, end):
        return end, fields
    if url := _CUT_URL.search(text[start:]):
        fields.setdefault("project_url", url[1])
    return len(text), fields


def _string(escaped: str) -> str:
    try:
        return str(_STRICT.decode(f'"{escaped}"'))
    except json.JSONDecodeError:
        return ""


def _unescaped(match: re.Match[str]) -> str:
    return {"n": "\n", "r": "\r", "t": "\t"}.get(match[1], match[1])


def _after_comment(text: str, start: int, end: int) -> str:
    """What follows a comment that comes first."""
    closing = "*/" if text.startswith("/*", start) else "\n"
    at = text.find(closing, end)
    return "" if at < 0 else text[at + len(closing) :].lstrip()


def _comment(fields: dict[str, str]) -> HexComment | None:
    address = fields.get("project_url", "")
    url = _URL.match(address)
    project = fields.get("project_id") or (url["project"] if url else "")
    if not project:
        return None
    cell = _CELL.search(address)
    return HexComment(
        project_id=project.lower(),
        cell_id=cell[1].lower() if cell else None,
        context=fields.get("context") or None,
        workspace=url["workspace"] if url else None,
        user_email=fields.get("user_email", "").lower() or None,
    )
