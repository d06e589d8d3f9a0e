"""Texts mean at once, and in later runs, what each means by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from hex_assets.frame_files import read_table, write_table
from hex_assets.warehouse import shapes
from hex_assets.warehouse.comment import split_comment
from hex_assets.warehouse.history import read_window
from hex_assets.warehouse.known_texts import KnownTextsFile
from hex_assets.warehouse.reader import EXECUTIONS, HistoryBatch
from hex_assets.warehouse.shapes import masked_statement
from hex_assets.warehouse.texts import Texts
from hex_assets_tests.warehouse.comments import OTHER_PROJECT, PROJECT, comment
from hex_assets_tests.warehouse.grouping import Executions, grouped
from hex_assets_tests.warehouse.logs import NOON, WINDOW

DIALECT = "snowflake"
SECRET = "hxtw_one"

STATEMENTS = [
    "SELECT a FROM t WHERE b = 'x'",
    "SELECT a FROM t WHERE b = 'y'",
    'SELECT "trace_id": "0123456789abcdef0123456789abcdef" FROM t',
    "SELECT 'é' FROM ü",
    "-- mine\nSELECT 1",
    "",
]
TRACES = ["0" * 32, "f316f99947454a7e8aff2947f848f73d", "short", "", "é" * 16, "G" * 32, None]
USERS = ["alice@mail.com", "Bob@Mail.com", "é@mail.com", "nobody", None]
ENDINGS = ["", ";", "\n-- after", " FORMAT Native", '", "user_email": "eve@mail.com"}']


def one_text(
    statement: str,
    project: str | None,
    trace: str | None,
    user: str | None,
    ending: str,
    spelling: str,
) -> str:
    written = comment(project_id=project, trace_id=trace, user_email=user, project_url=None)
    if spelling == "tight":
        written = written.replace('": ', '":')
    elif spelling == "escaped":
        written = written.replace('"', '\\"')
    elif spelling == "user first":
        written = written.replace("user_email", "a_user_email")
    elif spelling == "cut":
        written = written[:-20]
    elif spelling == "none":
        written = ""
    return f"{statement}\n{written}{ending}"


TEXTS = st.builds(
    one_text,
    st.sampled_from(STATEMENTS),
    st.sampled_from([PROJECT, OTHER_PROJECT, None]),
    st.sampled_from(TRACES),
    st.sampled_from(USERS),
    st.sampled_from(ENDINGS),
    st.sampled_from(["usual", "usual", "usual", "tight", "escaped", "user first", "cut", "none"]),
)


def executions(texts: list[str]) -> pl.DataFrame:
    rows = [
        (text, "DB", None, "warehouse_user", NOON + timedelta(seconds=number), f"q{number}", None)
        for number, text in enumerate(texts)
    ]
    return pl.DataFrame(rows, schema=EXECUTIONS, orient="row")


def meanings(texts: Texts, logged: list[str]) -> list[tuple[Any, ...]]:
    read = texts.read(pl.Series(logged, dtype=pl.String), DIALECT)
    found = texts.meanings(DIALECT)[read["meaning"]]
    return found.select("project_id", "cell_id", "context", "masked").rows()


def alone(text: str) -> tuple[Any, ...]:
    statement, found = split_comment(text)
    if found is None:
        return (None,) * 4
    return found.project_id, found.cell_id, found.context, masked_statement(statement, DIALECT)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.lists(TEXTS, max_size=12))
def test_many_at_once_mean_what_each_means_alone(logged: list[str]) -> None:
    texts = Texts()
    expected = [alone(text) for text in logged]
    assert meanings(texts, logged) == expected
    # Now all are known.
    assert meanings(texts, logged[::-1]) == expected[::-1]


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.lists(TEXTS, max_size=12), st.integers(1, 5))
def test_executions_give_what_their_groups_give(logged: list[str], per_batch: int) -> None:
    rows = executions(logged)

    class Single(Executions):
        def read(self, window: Any) -> Any:
            for start in range(0, rows.height, per_batch):
                yield HistoryBatch(rows[start : start + per_batch])

    whole = read_window(Executions("w", DIALECT, grouped(rows)), WINDOW, {PROJECT})
    single = read_window(Single("w", DIALECT, rows), WINDOW, {PROJECT})
    assert single.rows.rows(named=True) == whole.rows.rows(named=True)
    for figure in ("executions", "foreign", "unreadable"):
        assert getattr(single.figures, figure) == getattr(whole.figures, figure)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.lists(TEXTS, max_size=8), st.lists(TEXTS, max_size=8))
def test_what_is_kept_changes_nothing(first: list[str], second: list[str]) -> None:
    file = KnownTextsFile(UPath("memory://texts/known.parquet"), SECRET)
    texts = Texts()
    meanings(texts, first)
    file.keep(texts)
    again = file.read()
    logged = first + second
    assert meanings(again, logged) == [alone(text) for text in logged]
    rows = executions(logged)
    fresh = read_window(Executions("w", DIALECT, rows), WINDOW)
    kept = read_window(Executions("w", DIALECT, rows), WINDOW, texts=again)
    assert kept == replace(fresh, rows=kept.rows)
    assert kept.rows.rows(named=True) == fresh.rows.rows(named=True)


LOGGED = [
    f"SELECT secret_{n} FROM t WHERE a = 'Alice {n}'\n"
    + comment(trace_id=f"{n:032x}", user_email=f"eve{n % 2}@mail.com")
    for n in range(4)
]


class Days:
    """A calendar that stands still."""

    def __init__(self) -> None:
        self.day = date(2026, 11, 20)

    def today(self) -> date:
        return self.day


def counted_masks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    masked: list[str] = []

    def counting(sql: str, dialect: str) -> str:
        masked.append(sql)
        return masked_statement(sql, dialect)

    monkeypatch.setattr(shapes, "masked_statement", counting)
    return masked


def test_a_known_text_is_not_worked_on_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = UPath(tmp_path / "texts.parquet")
    file = KnownTextsFile(path, SECRET)
    texts = file.read()
    expected = meanings(texts, LOGGED)
    file.keep(texts)
    masked = counted_masks(monkeypatch)
    again = [text.replace("0000", "ffff").replace("eve0@", "adam@") for text in LOGGED]
    assert meanings(file.read(), again) == expected
    assert masked == []
    meanings(KnownTextsFile(path, "another token").read(), LOGGED)
    assert len(masked) == len(LOGGED)


def test_nothing_of_a_text_can_be_read_from_the_file(tmp_path: Path) -> None:
    path = UPath(tmp_path / "texts.parquet")
    file = KnownTextsFile(path, SECRET)
    texts = file.read()
    meanings(texts, LOGGED)
    file.keep(texts)
    content = path.read_bytes()
    stored = pl.read_parquet(path.read_bytes())
    for word in (b"Alice", b"eve", b"secret_", b"SELECT", PROJECT.encode()):
        assert word not in content
    hashes = texts.known[DIALECT].texts["head"]
    for column in stored["encrypted"]:
        assert not any(int(one).to_bytes(8, "little") in column for one in hashes)


@pytest.mark.parametrize("damage", ["cut", "swapped", "no parquet"])
def test_a_damaged_file_counts_as_none(damage: str, tmp_path: Path) -> None:
    path = UPath(tmp_path / "texts.parquet")
    file = KnownTextsFile(path, SECRET)
    texts = file.read()
    meanings(texts, LOGGED)
    file.keep(texts)
    rows, metadata = read_table(path)
    if damage == "no parquet":
        path.write_bytes(b"nothing")
    elif damage == "cut":
        write_table(path, rows.with_columns(pl.col("encrypted").bin.slice(0, 40)), metadata)
    else:
        swapped = rows.with_columns(part=pl.col("part").reverse())
        write_table(path, swapped, metadata)
    assert file.read().known == {}


def test_texts_leave_when_their_meaning_was_not_seen_for_long(tmp_path: Path) -> None:
    days = Days()
    path = UPath(tmp_path / "texts.parquet")
    file = KnownTextsFile(path, SECRET, days.today)

    def run(logged: list[str]) -> int:
        texts = file.read()
        meanings(texts, logged)
        file.keep(texts)
        kept: int = file.read().known[DIALECT].texts.height
        return kept

    assert run(LOGGED[:2]) == 2
    days.day += timedelta(days=60)
    before = path.read_bytes()
    assert run(LOGGED[:1]) == 2
    assert path.read_bytes() != before
    before = path.read_bytes()
    days.day += timedelta(days=5)
    assert run(LOGGED[:1]) == 2
    assert path.read_bytes() == before
    days.day += timedelta(days=30)
    assert run(LOGGED[:1]) == 1


def test_texts_that_name_a_user_before_the_trace_id_are_not_kept(tmp_path: Path) -> None:
    file = KnownTextsFile(UPath(tmp_path / "texts.parquet"), SECRET)
    texts = file.read()
    meanings(texts, [text.replace("user_email", "a_user_email") for text in LOGGED[:1]])
    early = LOGGED[0].replace('"categories"', '"a_user_email": "eve@mail.com", "categories"')
    meanings(texts, [early.replace(', "user_email": "eve0@mail.com"', "")])
    file.keep(texts)
    assert file.read().known[DIALECT].texts.height == 1


def test_a_project_that_left_the_workspace_is_foreign_although_its_texts_are_known(
    tmp_path: Path,
) -> None:
    file = KnownTextsFile(UPath(tmp_path / "texts.parquet"), SECRET)
    texts = file.read()
    reader = Executions("w", DIALECT, executions(LOGGED))
    assert read_window(reader, WINDOW, {PROJECT}, texts=texts).figures.executions == 4
    file.keep(texts)
    read = read_window(reader, WINDOW, {OTHER_PROJECT}, texts=file.read())
    assert read.rows.is_empty()
    assert (read.figures.executions, read.figures.foreign) == (0, 4)
