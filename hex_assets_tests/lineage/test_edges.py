"""From query history and catalog to edges, unresolved references and figures."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from hex_assets.frames import LINEAGE_EDGES, UNRESOLVED_REFERENCES
from hex_assets.lineage.edges import Lineage, LineageFigures, build_edges
from hex_assets_tests.lineage.catalogs import NOON, catalog, history, ran

CATALOG = catalog("snow.DB.SCH.ORDERS", "snow.DB.SCH.USERS", "snow.DB.OTHER.ORDERS")


def build(*rows: dict[str, Any]) -> Lineage:
    return build_edges(history(*rows), CATALOG, ["snow"])


def test_one_edge_per_project_cell_and_table() -> None:
    built = build(
        ran("select * from orders", executions=2, hour=1),
        ran("select id from orders", executions=3, hour=2),
        ran("select id from orders", executions=5, database="X", schema=None, hour=3),
        ran("select * from orders join users", cell_id="d", executions=7),
        ran("select * from orders", cell_id=None),
        ran("select * from orders", project_id="q"),
    )
    edges = built.edges.rows.select("project_id", "cell_id", "table_fqn", "executions").rows()
    assert edges == [
        ("p", None, "snow.DB.SCH.ORDERS", 1),
        ("p", "c", "snow.DB.SCH.ORDERS", 5),
        ("p", "d", "snow.DB.SCH.ORDERS", 7),
        ("p", "d", "snow.DB.SCH.USERS", 7),
        ("q", "c", "snow.DB.SCH.ORDERS", 1),
    ]


def test_an_edge_in_full() -> None:
    built = build(
        ran("select 1 from orders", executions=2, hour=2),
        ran("select 2 from db.sch.orders", executions=3, hour=5, database=None, schema=None),
    )
    assert built.edges.rows.rows(named=True) == [
        {
            "project_id": "p",
            "cell_id": "c",
            "service": "snow",
            "table_fqn": "snow.DB.SCH.ORDERS",
            "table_id": "id of snow.DB.SCH.ORDERS",
            "component_id": None,
            "columns": [],
            "evidence": ["query_history"],
            "executions": 5,
            "users": 1,
            "last_seen": NOON + timedelta(hours=5),
            "sql": "select 2 from db.sch.orders",
            "resolution": "exact",
        }
    ]


def test_a_table_named_in_two_ways_is_read_once_per_execution() -> None:
    built = build(ran("select * from orders; use schema sch; select * from orders, db.sch.orders"))
    assert built.edges.rows["executions"].to_list() == [1]
    missing = build(ran("select * from missing; use schema other; select * from missing"))
    assert missing.unresolved.rows["executions"].to_list() == [1]


def test_one_exact_reference_makes_the_edge_exact() -> None:
    inferred = ran("select * from users", database=None, schema=None)
    assert build(inferred).edges.rows["resolution"].to_list() == ["inferred"]
    exact = ran("select id from users")
    assert build(inferred, exact).edges.rows["resolution"].to_list() == ["exact"]


def test_what_was_not_linked_is_counted_by_project_reference_and_reason() -> None:
    call = ran("call p()", executions=4, cell_id="x")
    built = build(
        ran("select * from missing", executions=2, hour=1),
        ran("select id from missing", executions=3, cell_id="d"),
        ran("select * from orders", schema=None),
        ran("select * from identifier($v)"),
        call,
        ran("select * from missing", project_id="q"),
    )
    rows = built.unresolved.rows.rows()
    seen = NOON + timedelta(hours=1)
    elsewhere = "snow.DB.OTHER.ORDERS, snow.DB.SCH.ORDERS"
    computed = "the name is computed when the statement runs"
    assert rows == [
        ("p", "IDENTIFIER(...)", "computed name", computed, 1, NOON),
        ("p", "orders", "no session schema", elsewhere, 1, NOON),
        ("p", "missing", "not in the catalog", None, 5, seen),
        ("p", call["sql_key"], "not parsed", "CALL does not say what it reads", 4, NOON),
        ("q", "missing", "not in the catalog", None, 1, NOON),
    ]
    assert built.edges.rows.is_empty()


def test_a_script_that_is_understood_in_part_gives_edges_and_a_report() -> None:
    script = ran("call p(); select * from orders; select from from")
    built = build(script)
    assert built.edges.rows["table_fqn"].to_list() == ["snow.DB.SCH.ORDERS"]
    (row,) = built.unresolved.rows.rows(named=True)
    assert row["reference"] == script["sql_key"]
    assert row["detail"].startswith("statement 1: CALL does not say what it reads; statement 3: ")


def test_the_same_statement_means_different_tables_in_different_sessions() -> None:
    built = build(ran("select * from orders"), ran("select * from orders", schema="OTHER"))
    tables = built.edges.rows["table_fqn"].to_list()
    assert tables == ["snow.DB.OTHER.ORDERS", "snow.DB.SCH.ORDERS"]
    assert built.figures.statements == 1


def test_a_reference_is_looked_up_in_the_service_that_ran_it() -> None:
    tables = catalog("a.DB.SCH.ORDERS", "b.db.sch.orders")
    rows = history(
        ran("select * from orders", service="a"),
        ran("select * from orders", service="b", dialect="postgres", database="db", schema="sch"),
        ran("select * from orders", service="c"),
    )
    built = build_edges(rows, tables, ["a", "b"])
    assert built.edges.rows.select("service", "table_fqn").rows() == [
        ("a", "a.DB.SCH.ORDERS"),
        ("b", "b.db.sch.orders"),
    ]
    assert built.unresolved.rows["reason"].to_list() == ["outside the prefixes"]


def test_figures() -> None:
    built = build(
        ran("select * from orders, users", executions=10),
        ran("select * from orders", database=None, schema="OTHER"),
        ran("select * from information_schema.tables, missing"),
        ran("call p()"),
    )
    assert built.figures == LineageFigures(
        executions=13,
        statements=4,
        unparsed=1,
        references=6,
        exact=2,
        inferred=1,
        unresolved=2,
        system=1,
    )


def test_gaps_of_both_inputs_are_gaps_of_both_results() -> None:
    rows = history(ran("select * from orders"), gaps=["log of Monday", "both"])
    tables = catalog("snow.DB.SCH.ORDERS", gaps=["database X", "both"])
    built = build_edges(rows, tables, ["snow"])
    assert built.edges.gaps == ("log of Monday", "both", "database X")
    assert built.unresolved.gaps == built.edges.gaps


def test_nothing_in_nothing_out() -> None:
    built = build_edges(history(), catalog(), [])
    assert built.edges.rows.equals(LINEAGE_EDGES.empty().rows)
    assert built.unresolved.rows.equals(UNRESOLVED_REFERENCES.empty().rows)
    assert built.figures == LineageFigures(0, 0, 0, 0, 0, 0, 0, 0)


def test_progress_counts_distinct_statements() -> None:
    seen: list[tuple[int, int]] = []
    rows = history(ran("select 1"), ran("select 1", project_id="q"), ran("select 2"))
    build_edges(rows, CATALOG, [], progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]


def test_the_longest_statement_is_a_setting() -> None:
    built = build_edges(history(ran("select * from orders")), CATALOG, [], max_characters=9)
    assert built.unresolved.rows["detail"].to_list() == ["longer than 9 characters"]


STATEMENTS = [
    "select * from orders",
    "select * from users join orders",
    "select * from other.orders",
    "select * from missing",
    "call p()",
]


@given(
    st.lists(
        st.builds(
            ran,
            st.sampled_from(STATEMENTS),
            project_id=st.sampled_from("pq"),
            cell_id=st.sampled_from(["c", None]),
            schema=st.sampled_from(["SCH", None]),
            executions=st.integers(1, 9),
            hour=st.integers(0, 1),
        ),
        max_size=8,
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_rows_changes_nothing_and_no_execution_is_lost(
    rows: list[dict[str, Any]], random: Any
) -> None:
    built = build(*rows)
    random.shuffle(rows)
    again = build(*rows)
    assert built.edges.rows.equals(again.edges.rows)
    assert built.unresolved.rows.equals(again.unresolved.rows)
    assert built.figures == again.figures
    of_users = built.edges.rows.filter(pl.col("table_fqn") == "snow.DB.SCH.USERS")
    ran_users = sum(row["executions"] for row in rows if "users" in row["sql"])
    assert of_users["executions"].sum() == ran_users


def test_a_table_read_tolerantly_is_linked_and_marked_and_the_statement_reported() -> None:
    built = build(ran("select x y z from orders join missing"))
    assert built.edges.rows.select("table_fqn", "resolution").rows() == [
        ("snow.DB.SCH.ORDERS", "tolerant")
    ]
    assert built.unresolved.rows["reason"].to_list() == ["not parsed"]
