"""Cells that Hex lists inside the projects that import them are credited to their component."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import yaml
from upath import UPath

from hex_assets.frames import HEX_QUERIED_TABLES, WAREHOUSE_QUERY_HISTORY
from hex_assets.hex.details import StoredDetails
from hex_assets.hex.reader import data_connections_frame, read_projects
from hex_assets.hex.reading import HexDetails, read_details
from hex_assets.lineage.edges import build_edges
from hex_assets_tests.hex.fake_hex import FakeHex, connection, project, sql_cell, uuid_of
from hex_assets_tests.lineage.catalogs import catalog

SERVICE = "snow"
IMPORTER, COMPONENT, OTHER, INNER = (uuid_of(number) for number in (1, 2, 3, 4))
ORDERS, EVENTS = "select * from DB.SCH.ORDERS", "select * from DB.SCH.EVENTS"


def import_cell(number: int) -> dict[str, Any]:
    return sql_cell(number, cellType="COMPONENT_IMPORT", contents={}, dataConnectionId=None)


def workspace(**parts: Any) -> FakeHex:
    return FakeHex(
        projects=[
            project(1),
            project(2, type="COMPONENT"),
            project(3),
            project(4, type="COMPONENT"),
        ],
        connections=[connection(1)],
        **parts,
    )


def read(fake: FakeHex) -> HexDetails:
    with fake.client() as client:
        return read_details(
            client,
            read_projects(client),
            data_connections_frame(client.data_connections(), {uuid_of(0xC001): SERVICE}),
            lambda sql, dialect: sql,
            StoredDetails(UPath(f"memory://components/{uuid.uuid4().hex}")),
        )


def edges(fake: FakeHex, details: HexDetails) -> list[tuple[str, str, str | None]]:
    with fake.client() as client:
        connections = data_connections_frame(client.data_connections(), {uuid_of(0xC001): SERVICE})
    built = build_edges(
        WAREHOUSE_QUERY_HISTORY.empty(),
        catalog("snow.DB.SCH.ORDERS", "snow.DB.SCH.EVENTS"),
        [],
        cells=details.cells,
        connections=connections,
        imports=details.component_imports,
        queried_tables=HEX_QUERIED_TABLES.empty(),
    )
    return sorted(
        built.edges.rows.select("project_id", "table_fqn", "component_id").iter_rows(), key=str
    )


@pytest.mark.parametrize("same_id", [True, False], ids=["same static id", "same content"])
def test_inlined_cells_are_the_components_and_count_once(same_id: bool) -> None:
    own = sql_cell(20, ORDERS)
    inlined = own if same_id else {**own, "id": uuid_of(99), "staticId": uuid_of(98)}
    fake = workspace(
        cells={
            IMPORTER: [import_cell(10), inlined, sql_cell(11, EVENTS)],
            COMPONENT: [own],
            OTHER: [],
            INNER: [],
        }
    )
    details = read(fake)
    assert details.component_imports.rows.rows() == [(IMPORTER, COMPONENT, None, None)]
    assert details.component_imports.complete
    assert edges(fake, details) == [
        (IMPORTER, "snow.DB.SCH.EVENTS", None),
        (IMPORTER, "snow.DB.SCH.ORDERS", COMPONENT),
        (COMPONENT, "snow.DB.SCH.ORDERS", None),
    ]


def test_the_same_sql_without_an_import_is_the_projects_own() -> None:
    fake = workspace(
        cells={IMPORTER: [sql_cell(10, ORDERS)], COMPONENT: [sql_cell(20, ORDERS)]}
        | {OTHER: [], INNER: []}
    )
    details = read(fake)
    assert details.component_imports.rows.is_empty()
    assert (IMPORTER, "snow.DB.SCH.ORDERS", None) in edges(fake, details)


def test_what_fits_two_components_is_nobodys() -> None:
    cells = {IMPORTER: [import_cell(10), sql_cell(11, ORDERS)], OTHER: []}
    own = {COMPONENT: [sql_cell(20, ORDERS)], INNER: [sql_cell(21, ORDERS)]}
    for cell in (cells[IMPORTER][1], own[COMPONENT][0], own[INNER][0]):
        cell["contents"]["sqlCell"]["outputDataframe"] = "same"
    details = read(workspace(cells=cells | own))
    assert details.component_imports.rows.is_empty()


def test_a_component_within_a_component_reaches_every_importer_once() -> None:
    def exported(*cells: dict[str, Any]) -> str:
        return yaml.safe_dump({"schemaVersion": 3, "cells": list(cells)})

    def imported(number: int, component: str) -> dict[str, Any]:
        config = {"component": {"id": component.upper(), "version": 3}}
        return {"cellType": "COMPONENT_IMPORT", "cellId": uuid_of(number), "config": config}

    query = {"source": ORDERS, "dataConnectionId": uuid_of(0xC001), "resultVariableName": "df"}
    fake = workspace(
        exports={
            IMPORTER: exported(imported(10, COMPONENT), imported(11, COMPONENT)),
            COMPONENT: exported(imported(12, INNER)),
            INNER: exported({"cellType": "SQL", "cellId": uuid_of(13), "config": query}),
            OTHER: exported(imported(14, COMPONENT), imported(15, INNER)),
        }
    )
    orders = "snow.DB.SCH.ORDERS"
    assert edges(fake, read(fake)) == [
        (IMPORTER, orders, INNER),
        (COMPONENT, orders, INNER),
        (OTHER, orders, INNER),
        (INNER, orders, None),
    ]
