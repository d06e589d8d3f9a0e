"""A name means the one thing that ends in it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hex_assets.errors import NameAmbiguous, NameNotFound
from hex_assets.impact.lookup import KnownTables, Target
from hex_assets.openmetadata import fqn
from hex_assets_tests.impact.stores import CUSTOMERS, DOTTED, ORDERS, RAW_ORDERS, TABLES

known = KnownTables(TABLES, TABLES.__getitem__)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("core.orders", Target(ORDERS)),
        ("SNOW.analytics.Core.Orders", Target(ORDERS)),
        ("shop.orders", Target(RAW_ORDERS)),
        ("customers", Target(CUSTOMERS)),
        ('"daily.sales"', Target(DOTTED)),
        ("core.orders.amount", Target(ORDERS, "AMOUNT")),
        ("orders.payload", Target(RAW_ORDERS, "PAYLOAD")),
        ("customers.NAME", Target(CUSTOMERS, "NAME")),
        ("customers.Name", Target(CUSTOMERS, "Name")),
        ('core."daily.sales".day', Target(DOTTED, "DAY")),
    ],
)
def test_a_name_is_any_end_that_only_one_has(name: str, target: Target) -> None:
    assert known.find(name) == target


@pytest.mark.parametrize(
    ("name", "candidates"),
    [
        ("orders", (ORDERS, RAW_ORDERS)),
        ("orders.id", (f"{ORDERS}.ID", f"{RAW_ORDERS}.ID")),
        ("customers.name", (f"{CUSTOMERS}.NAME", f"{CUSTOMERS}.Name")),
    ],
)
def test_several_are_named(name: str, candidates: tuple[str, ...]) -> None:
    with pytest.raises(NameAmbiguous) as raised:
        known.find(name)
    assert raised.value.candidates == candidates
    assert all(candidate in str(raised.value) for candidate in candidates)


@pytest.mark.parametrize("name", ["", ".", 'a."b', "nothing.like.it", "core.orders.nothing"])
def test_nothing_is_called_so(name: str) -> None:
    with pytest.raises(NameNotFound):
        known.find(name)


def test_a_near_name_is_offered() -> None:
    with pytest.raises(NameNotFound, match=f"Did you mean {re.escape(CUSTOMERS)}"):
        known.find("costumers")


parts = st.text(st.sampled_from("abAB.$ é"), min_size=1, max_size=3)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(parts, parts, parts), min_size=1, max_size=6, unique=True))
def test_every_table_is_found_by_its_whole_name(names: list[tuple[str, str, str]]) -> None:
    tables = {fqn.join("svc", *name): ["c"] for name in names}
    some = KnownTables(tables, tables.__getitem__)
    for name in tables:
        assert some.find(name) == Target(name)
        assert some.find(f"{name}.c") == Target(name, "c")
