"""What logged texts mean, worked out once for all that differ in trace id and user only.

A text is known by hash and length of what stands before its trace id, and a hash of what follows it
without the user. So it is looked up without a regular expression, which would cost more than all
the rest. Texts whose comment has another form than Hex gives it are taken apart by patterns.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl

from hex_assets.warehouse.comment import MARKER, USER_EMAIL, anonymous, split_comments
from hex_assets.warehouse.shapes import Shapes

FOREIGN, UNREADABLE = 0, 1
"""Meanings of texts of other workspaces' projects, and of those whose comment names none."""

KEY: Mapping[str, Any] = {"head": pl.UInt64, "length": pl.UInt32, "rest": pl.UInt64}
"""Hash and bytes of what stands before the trace id, and hash of what follows it.

Of a million texts, two would share all of it by a chance below one in ten million.
"""

TEXTS: Mapping[str, Any] = {
    **KEY,
    "meaning": pl.UInt32,
    "user": pl.String,
    "kept": pl.Boolean,
}
"""Texts that are known; ``user`` is the one of all runs of the text, where its place is before the
trace id, and ``kept`` whether the text may be known to later runs."""

MEANINGS: Mapping[str, Any] = {
    "project_id": pl.String,
    "cell_id": pl.String,
    "context": pl.String,
    "sql_key": pl.String,
    "masked": pl.String,
    "last_used": pl.Date,
}
"""What texts mean, by their number: the first two are ``FOREIGN`` and ``UNREADABLE``."""

_MEANING = ["project_id", "cell_id", "context", "sql_key"]
"""What tells meanings apart."""

_NOTHING: Mapping[str, Any] = dict.fromkeys(MEANINGS)
_TRACE = '"trace_id": "'
_DIGITS = 32
_SEEDS = 2

_ROWS_AT_ONCE = 5_000
"""Cut together, so that what is cut off stays in the processor's cache."""


@dataclass
class KnownTexts:
    """Texts of one dialect and their meanings.

    Attributes:
        texts: the columns of ``TEXTS``.
        meanings: the columns of ``MEANINGS``.
    """

    texts: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=TEXTS))
    meanings: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame([_NOTHING, _NOTHING], schema=MEANINGS)
    )


class Texts:
    """Decodes and masks texts, each once for all batches that it is given.

    Args:
        known: by dialect, what is known already; what is learned is added.
        seeds: two numbers, of 64 bits, by which texts are hashed; None takes random ones.
        today: the date that counts as today.

    Attributes:
        used: by dialect, the numbers of the meanings that texts had.
        learned: whether anything was added that later runs may know.
    """

    def __init__(
        self,
        known: Mapping[str, KnownTexts] | None = None,
        seeds: tuple[int, ...] | None = None,
        today: Callable[[], date] = date.today,
    ) -> None:
        self.known = dict(known or {})
        self.seeds = seeds or tuple(secrets.randbits(64) for _ in range(_SEEDS))
        self.used: dict[str, set[int]] = {}
        self.learned = False
        self._today = today
        self._shapes = Shapes()

    def read(
        self, texts: pl.Series, dialect: str, project_ids: Collection[str] | None = None
    ) -> pl.DataFrame:
        """The meaning of each text, in their order.

        Columns: ``KEY``; ``meaning``, row of ``meanings``; ``user_email`` of its comment, in lower
        case, null where it has none.

        Args:
            texts: as logged, without nulls.
            dialect: sqlglot dialect of the texts.
            project_ids: projects of the workspace, lower case; None takes all for such.

        Raises:
            ValueError: sqlglot knows no such dialect.
        """
        known = self.known.setdefault(dialect, KnownTexts())
        rows = self._keyed(texts)
        found = _looked_up(rows, known)
        new = found["meaning"].is_null()
        if new.any():
            rows = self._learn(texts, rows, new, known, dialect, project_ids)
            found = _looked_up(rows, known)
        meaning = found["meaning"]
        self.used.setdefault(dialect, set()).update(meaning.unique())
        if project_ids is not None:
            meaning = _own(known.meanings, project_ids).gather(meaning)
        user = pl.coalesce("user", "user_of_text")
        return found.select(*KEY, meaning=meaning, user_email=user)

    def meanings(self, dialect: str) -> pl.DataFrame:
        """The columns of ``MEANINGS``."""
        return self.known[dialect].meanings

    def _keyed(self, texts: pl.Series) -> pl.DataFrame:
        """Per text ``KEY``, the user that is named behind the trace id, and ``place``.

        ``place`` is how many bytes stand before the trace id; null where the text is not cut.
        """
        text = pl.col("text")
        octets, place = text.cast(pl.Binary).bin, pl.col("place")
        head, tail = pl.col("head"), pl.col("tail")
        of_head, of_rest = self.seeds
        rows = pl.concat(
            pl.collect_all(
                texts.slice(start, _ROWS_AT_ONCE)
                .alias("text")
                .to_frame()
                .lazy()
                .with_columns(
                    place=text.str.find(_TRACE, literal=True).cast(pl.Int64) + len(_TRACE)
                )
                .with_columns(
                    head=octets.slice(0, place),
                    trace=octets.slice(place, _DIGITS).bin.decode("hex", strict=False),
                    tail=octets.slice(place + _DIGITS),
                )
                .with_columns(cut=pl.col("trace").bin.size() == _DIGITS // 2)
                .select(
                    place=pl.when("cut").then(place),
                    head=pl.when("cut").then(head.hash(of_head)),
                    rest=pl.when("cut").then(tail.hash(of_rest)),
                    tail=pl.when("cut").then(tail),
                )
                for start in range(0, max(len(texts), 1), _ROWS_AT_ONCE)
            )
        )
        tails = rows.select("rest", "tail").unique("rest").filter(pl.col("rest").is_not_null())
        words = tails.select("rest", text=tail.cast(pl.String)).select(
            "rest",
            user=text.str.extract(USER_EMAIL).str.to_lowercase(),
            anonymous=text.str.replace(USER_EMAIL, "user_email").hash(of_rest),
        )
        rows = (
            rows.select("place", "head", "rest")
            .join(words, on="rest", how="left", maintain_order="left")
            .select("place", "head", "user", length=place.cast(pl.UInt32), rest="anonymous")
        )
        return self._found_by_pattern(texts, rows, rows["place"].is_null())

    def _found_by_pattern(
        self, texts: pl.Series, rows: pl.DataFrame, which: pl.Series
    ) -> pl.DataFrame:
        """The rows, with those texts known by what stands before their comment and by the comment.

        Whatever its form, the comment counts without trace id and user.
        """
        if not which.any():
            return rows
        text, place, comment = pl.col("text"), pl.col("place"), pl.col("comment")
        octets = text.cast(pl.Binary).bin
        body = pl.when(place.is_null()).then(text).otherwise(octets.slice(0, place).cast(pl.String))
        found = (
            texts.filter(which)
            .alias("text")
            .to_frame()
            .lazy()
            .with_columns(place=text.str.find(MARKER))
            .select(body=body, comment=octets.slice(place).cast(pl.String))
            .select(
                place=pl.lit(None, pl.Int64),
                head=pl.col("body").hash(self.seeds[0]),
                user=comment.str.extract(USER_EMAIL).str.to_lowercase(),
                length=pl.col("body").str.len_bytes(),
                rest=anonymous(comment).hash(self.seeds[1]),
            )
            .collect()
        )
        indexed = rows.with_row_index()
        places = indexed.filter(which).select("index")
        parts: list[pl.DataFrame] = [indexed.filter(~which), places.hstack(found)]
        return pl.concat(parts).sort("index").drop("index")

    def _learn(
        self,
        texts: pl.Series,
        rows: pl.DataFrame,
        new: pl.Series,
        known: KnownTexts,
        dialect: str,
        project_ids: Collection[str] | None,
    ) -> pl.DataFrame:
        """Add the texts that are new, and return the rows as they are to be looked up."""
        text, place = pl.col("text"), pl.col("place")
        head = text.cast(pl.Binary).bin.slice(0, place).cast(pl.String)
        elsewhere = (
            rows.select("place", text=texts, new=new)
            .select(pl.col("new") & place.is_not_null() & ~head.str.contains(MARKER))
            .to_series()
        )
        rows = self._found_by_pattern(texts, rows, elsewhere)
        distinct = (
            rows.with_columns(text=texts)
            .filter(new)
            .unique([*KEY], keep="first", maintain_order=True)
            .join(known.texts.select(*KEY), on=[*KEY], how="anti", maintain_order="left")
        )
        decoded = distinct.hstack(split_comments(distinct["text"]))
        readable = pl.col("project_id").is_not_null()
        ours = readable if project_ids is None else pl.col("project_id").is_in(list(project_ids))
        decoded = decoded.with_columns(ours=ours.fill_null(False), user_of_text=_user_of(decoded))
        mine = decoded.filter("ours")
        mine = mine.hstack(self._shapes.masked(mine["statement"], dialect))
        missing = (
            mine.unique(_MEANING, maintain_order=True)
            .join(known.meanings, on=_MEANING, how="anti", nulls_equal=True, maintain_order="left")
            .with_columns(last_used=pl.lit(self._today(), pl.Date))
        )
        known.meanings = pl.concat([known.meanings, missing.select(*MEANINGS)])
        numbered = known.meanings.with_row_index("meaning").select("meaning", *_MEANING)
        mine = mine.join(numbered, on=_MEANING, nulls_equal=True)
        others = decoded.filter(~pl.col("ours")).with_columns(
            meaning=pl.when(readable).then(FOREIGN).otherwise(UNREADABLE).cast(pl.UInt32)
        )
        kept = place.is_not_null() & (
            pl.col("user").is_not_null() | pl.col("user_of_text").is_null()
        )
        added = [
            part.select(*KEY, "meaning", user=pl.col("user_of_text"), kept=kept & pl.col("ours"))
            for part in (mine, others)
        ]
        known.texts = pl.concat([known.texts, *added])
        self.learned = self.learned or any(part["kept"].any() for part in added)
        return rows


def _looked_up(rows: pl.DataFrame, known: KnownTexts) -> pl.DataFrame:
    texts = known.texts.select(*KEY, "meaning", user_of_text="user")
    return rows.join(texts, on=[*KEY], how="left", maintain_order="left")


def _own(meanings: pl.DataFrame, project_ids: Collection[str]) -> pl.Series:
    """The number of each meaning, ``FOREIGN`` where an earlier run knew the project as its own."""
    own = pl.col("project_id").is_null() | pl.col("project_id").is_in(list(project_ids))
    numbers = pl.int_range(pl.len(), dtype=pl.UInt32)
    return meanings.select(
        pl.when(own).then(numbers).otherwise(FOREIGN).cast(pl.UInt32)
    ).to_series()


def _user_of(decoded: pl.DataFrame) -> pl.Series:
    """The user that the comment of each text names, where none is named behind the trace id."""
    text = pl.col("text")
    comment = text.cast(pl.Binary).bin.slice(text.str.find(MARKER)).cast(pl.String)
    email = comment.str.extract(USER_EMAIL).str.to_lowercase()
    return decoded.select(user=pl.when(pl.col("user").is_null()).then(email))["user"]
