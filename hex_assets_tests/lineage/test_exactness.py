"""The rules by which engines are compared: the same for all, and for none an advantage."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchmarks.lineage.corpus import Statement, own_statements
from benchmarks.lineage.engines import our_answers
from benchmarks.lineage.exactness import Answer, Score, score

STATEMENT = Statement(
    name="a join",
    dialect="snowflake",
    sql="select o.id from orders o join days d on d.day = o.day",
    database="SHOP",
    schema="CORE",
    catalog={"SHOP.CORE.ORDERS": ("ID", "DAY"), "SHOP.CORE.DAYS": ("DAY",), "SHOP.CORE.X": ()},
    reads={
        "SHOP.CORE.ORDERS": {"ID": frozenset({"output"}), "DAY": frozenset({"join"})},
        "SHOP.CORE.DAYS": {"DAY": frozenset({"join"})},
    },
    inferred=frozenset(),
    unresolved=(),
    named_as={"SHOP.CORE.DAYS": "SHOP.CORE.days_*"},
    also_named=("information_schema.tables",),
)


def scored(
    tables: Sequence[str], columns: Sequence[tuple[str, str]] | None = (), error: str | None = None
) -> Score:
    return score([STATEMENT], [Answer(tables, columns, 1.0, error)])


@pytest.mark.parametrize(
    ("tables", "exact", "looked_up"),
    [
        (["SHOP.CORE.ORDERS", "SHOP.CORE.DAYS"], 1, 1),
        # Letter case, quotes, parts that are missing or stand for nothing, other spellings
        (['shop."core".`Orders`', "[days]"], 1, 1),
        (["<default>.orders", "core.days"], 1, 1),
        (["orders", "days_*"], 1, 1),
        (["orders", "days", "information_schema.tables"], 1, 1),
        # What is missing, and what is read by nobody
        (["orders"], 0, 0),
        (["orders", "days", "x"], 0, 0),
        (["raw.orders", "days"], 0, 0),
        # What no table of the catalog is called counts only where nobody looks it up
        (["orders", "days", "unnest"], 0, 1),
    ],
)
def test_tables(tables: list[str], exact: int, looked_up: int) -> None:
    found = scored(tables)
    assert (found.tables, found.looked_up) == (exact, looked_up)


def test_columns_are_counted_with_their_tables() -> None:
    found = scored(["orders", "days"], [("orders", "id"), ("x", "day"), ("core.days", "*")])
    assert (found.columns, found.found, found.wanted, found.right) == (0, 2, 3, 1)
    whole = [("orders", "Id"), ("o.orders", "DAY"), ("orders", "day"), ("days", "day")]
    assert scored([], whole).columns == 0
    assert scored([], [whole[0], *whole[2:]]).columns == 1


def test_an_engine_that_tells_no_columns_has_no_figure() -> None:
    assert scored([], None).columns is None
    assert "| - | - |" in scored([], None).row("own", "engine")


def test_no_answer_is_counted_and_is_not_exact() -> None:
    found = scored([], [], "ParseError")
    assert (found.failed, found.tables, found.wrong) == (1, 0, [STATEMENT.id])


def test_our_engine_is_exact_on_our_corpus() -> None:
    statements = own_statements()
    found = score(statements, our_answers(statements))
    assert found.wrong == []
    assert found.tables == found.columns == len(statements)
