"""Cells, Hex's lists, the warehouse's record and components: edges from all of them together."""

from __future__ import annotations

from typing import Any

from hex_assets.frames import (
    HEX_CELLS,
    HEX_COMPONENT_IMPORTS,
    HEX_DATA_CONNECTIONS,
    HEX_QUERIED_TABLES,
)
from hex_assets.lineage.edges import Lineage, build_edges
from hex_assets_tests.lineage.catalogs import catalog, history, ran

TABLES = catalog(
    "snow.DB.SCH.ORDERS", "snow.DB.SCH.USERS", "snow.DB.OTHER.ORDERS",
    columns={"ORDERS": ["ID", "AMOUNT", "DAY"], "USERS": ["ID", "NAME"]},
)  # fmt: skip

CONNECTION = {
    "id": "w",
    "name": "Warehouse",
    "type": "snowflake",
    "database": "DB",
    "schema": "SCH",
    "dialect": "snowflake",
    "service": "snow",
}


def cell(cell_id: str, sql: str | None = None, **columns: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(HEX_CELLS.columns)
    warehouse = {"data_connection_id": "w", "dialect": "snowflake"} if sql else {}
    return {
        **row,
        "project_id": "p",
        "cell_id": cell_id,
        "type": "SQL" if sql else "CHART",
        "sql": sql,
        "jinja_names": [],
        "version": "draft",
        **warehouse,
        **columns,
    }


def build(
    *cells: dict[str, Any],
    runs: list[dict[str, Any]] | None = None,
    connection: dict[str, Any] = CONNECTION,
    imports: list[tuple[str, str, str | None]] | None = None,
    queried: list[str] | None = None,
) -> Lineage:
    return build_edges(
        history(*runs or []),
        TABLES,
        ["snow"],
        cells=HEX_CELLS.frame(cells),
        connections=HEX_DATA_CONNECTIONS.frame([connection]),
        imports=HEX_COMPONENT_IMPORTS.frame(
            {"project_id": p, "component_id": c, "cell_id": cell_id, "component_version": None}
            for p, c, cell_id in imports or []
        ),
        queried_tables=HEX_QUERIED_TABLES.frame(
            {"project_id": "p", "data_connection_id": "w", "table_name": name}
            for name in queried or []
        ),
    )


def edges(built: Lineage) -> dict[tuple[str | None, str], dict[str, str]]:
    """Cell and table to column and usages."""
    return {
        (row["cell_id"], row["table_fqn"].split(".", 2)[2]): {
            column["name"]: ",".join(column["usage"]) for column in row["columns"]
        }
        for row in built.edges.rows.rows(named=True)
    }


def test_columns_of_the_history_reach_the_edge() -> None:
    built = build(runs=[ran("select id from orders"), ran("select 1 from orders where day > 1")])
    assert edges(built) == {("c", "SCH.ORDERS"): {"DAY": "filter", "ID": "output"}}


def test_a_cell_reads_in_the_defaults_of_its_connection() -> None:
    built = build(cell("a", "select id from orders where amount > 0"))
    assert edges(built) == {("a", "SCH.ORDERS"): {"AMOUNT": "filter", "ID": "output"}}
    (row,) = built.edges.rows.rows(named=True)
    assert row["evidence"] == ["cell_sql"]
    assert (row["executions"], row["last_seen"]) == (0, None)


def test_chained_cells_are_followed_to_tables_and_columns() -> None:
    built = build(
        cell("a", "select id, amount as m, day from orders", output_dataframe="first"),
        cell("b", "select m from FIRST where day > 1", output_dataframe="second"),
        cell(
            "c", "select m from second", data_connection_id=None, dialect="duckdb",
            output_dataframe="third",
        ),
        cell("d", source_dataframe="third"),
    )  # fmt: skip
    assert edges(built) == {
        ("a", "SCH.ORDERS"): {"AMOUNT": "output", "DAY": "output", "ID": "output"},
        ("b", "SCH.ORDERS"): {"AMOUNT": "output", "DAY": "filter", "ID": ""},
        ("c", "SCH.ORDERS"): {"AMOUNT": "output", "DAY": "", "ID": ""},
        ("d", "SCH.ORDERS"): {"AMOUNT": "output", "DAY": "", "ID": ""},
    }
    assert built.unresolved.rows.is_empty()


def test_a_dataframe_of_the_cell_itself_or_a_qualified_name_is_a_table() -> None:
    built = build(
        cell("a", "select id from orders", output_dataframe="orders"),
        cell("b", "select id from sch.orders", output_dataframe="users"),
    )
    assert edges(built) == {
        ("a", "SCH.ORDERS"): {"ID": "output"},
        ("b", "SCH.ORDERS"): {"ID": "output"},
    }


def test_a_dataframe_shadows_the_table_of_its_name() -> None:
    built = build(
        cell("a", "select id from users", output_dataframe="orders"),
        cell("b", "select id from orders"),
    )
    assert set(edges(built)) == {("a", "SCH.USERS"), ("b", "SCH.USERS")}


def test_cycles_end_and_two_writers_are_no_guess() -> None:
    round_trip = build(
        cell("a", "select * from y, users", output_dataframe="x"),
        cell("b", "select * from x", output_dataframe="y"),
    )
    assert ("a", "SCH.USERS") in edges(round_trip)
    twice = build(
        cell("a", "select id from users", output_dataframe="x"),
        cell("b", "select id from orders", output_dataframe="x"),
        cell("c", "select id from x"),
    )
    assert {cell_id for cell_id, _ in edges(twice)} == {"a", "b"}
    (row,) = twice.unresolved.rows.rows(named=True)
    assert (row["reference"], row["reason"]) == ("x", "ambiguous")


def test_what_a_cell_does_not_say() -> None:
    built = build(
        cell("a", "select * from jinja_1", jinja_names=["jinja_1"]),
        cell("b", "select * from gone"),
        cell("c", "select * from made_by_python", data_connection_id=None, dialect="duckdb"),
    )
    assert built.unresolved.rows.select("reference", "reason").rows() == [
        ("jinja_1", "name built by Jinja"),
        ("gone", "not in the catalog"),
    ]
    unmapped = build(cell("a", "select * from orders"), connection={**CONNECTION, "service": None})
    (row,) = unmapped.unresolved.rows.rows(named=True)
    assert row["reason"] == "unmapped data connection"
    assert row["reference"] == "data connection Warehouse"
    assert "in the recipe" in row["detail"]


RECORD = {"database": "DB", "schema": "SCH", "table": "ORDERS", "columns": ["ID"]}


def test_one_edge_with_four_witnesses() -> None:
    built = build(
        cell("c", "select id from orders"),
        runs=[ran("select id from orders", resolved=[RECORD])],
        queried=["db.sch.orders"],
    )
    (row,) = built.edges.rows.rows(named=True)
    assert row["evidence"] == ["cell_sql", "queried_tables", "query_history", "warehouse_resolved"]
    assert row["columns"] == [{"name": "ID", "usage": ["output"]}]
    assert row["executions"] == 1
    assert built.disagreements.rows.is_empty()


def test_what_only_hex_lists_is_an_edge_of_the_project() -> None:
    built = build(queried=["users", "OTHER.ORDERS", "gone"])
    assert set(edges(built)) == {(None, "SCH.USERS"), (None, "OTHER.ORDERS")}
    assert built.unresolved.rows["reference"].to_list() == ["gone"]


def differences(built: Lineage) -> set[tuple[Any, ...]]:
    columns = ["cell_id", "table_fqn", "column", "seen_by", "missed_by"]
    return {
        (row[0], row[1].split(".")[-1], *row[2:])
        for row in built.disagreements.rows.select(columns).rows()
    }


def test_witnesses_that_should_have_seen_an_edge_and_did_not() -> None:
    built = build(
        cell("c", "select id from users"),
        cell("never ran", "select name from users"),
        runs=[ran("select id, day from orders", resolved=[RECORD])],
        queried=["users"],
    )
    assert differences(built) == {
        ("c", "ORDERS", "DAY", "query_history", "warehouse_resolved"),
        ("c", "ORDERS", None, "query_history", "cell_sql"),
        ("c", "USERS", None, "cell_sql", "query_history"),
        (None, "ORDERS", None, "query_history", "queried_tables"),
        (None, "USERS", None, "queried_tables", "query_history"),
    }


def test_a_table_that_the_parser_missed_is_an_edge_and_a_disagreement() -> None:
    built = build(runs=[ran("call p()", resolved=[RECORD])])
    assert edges(built) == {("c", "SCH.ORDERS"): {"ID": ""}}
    assert differences(built) == {("c", "ORDERS", None, "warehouse_resolved", "query_history")}


def test_a_component_is_credited_through_its_importers_once() -> None:
    built = build(
        cell("x", "select id from orders", project_id="component"),
        imports=[("p", "component", "i"), ("p", "component", "j"), ("q", "p", None)],
    )
    rows = built.edges.rows.select("project_id", "cell_id", "component_id").rows()
    assert rows == [
        ("component", "x", None),
        ("p", "i", "component"),
        ("q", None, "component"),
    ]


def test_a_dataframe_of_an_imported_component_is_no_table_and_no_miss() -> None:
    built = build(
        cell("x", "select id from users", project_id="component", output_dataframe="orders"),
        cell("a", "select id from ORDERS"),
        imports=[("p", "component", "i")],
    )
    assert built.unresolved.rows.is_empty()
    rows = built.edges.rows.select("project_id", "cell_id", "table_fqn").rows()
    assert rows == [("component", "x", "snow.DB.SCH.USERS"), ("p", "i", "snow.DB.SCH.USERS")]
