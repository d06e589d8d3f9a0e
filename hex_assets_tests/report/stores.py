"""Stored frames of a company whose projects need attention in different ways."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from hex_assets.frames import HEX_COVERAGE, OPENMETADATA_ENTITIES, UNRESOLVED_REFERENCES
from hex_assets_tests.impact.stores import (
    CUSTOMERS,
    NOON,
    ORDERS,
    RAW_ORDERS,
    WORKSPACE,
    cell,
    edge,
    project,
    run,
    store,
)

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"alert(1)\"> {{ 7 }}"
SECRET_SQL = "SELECT 1 WHERE x = 's3cr3t'"
DAILY = ["DAILY 06:30 +00:00"]


def coverage(number: int, **over: Any) -> dict[str, Any]:
    return dict.fromkeys(HEX_COVERAGE.columns) | {
        "project_id": project(number, "")["id"],
        "detail": "runs",
        "state": "current",
        "read_at": NOON,
        **over,
    }


def entity(kind: str, fqn: str, action: str, outcome: str = "done") -> dict[str, Any]:
    values = (kind, fqn, action, "does not exist", outcome)
    row = dict.fromkeys(OPENMETADATA_ENTITIES.columns, "")
    return row | dict(zip(OPENMETADATA_ENTITIES.columns, values, strict=False))


def unresolved(number: int, reference: str, executions: int) -> dict[str, Any]:
    return dict.fromkeys(UNRESOLVED_REFERENCES.columns) | {
        "project_id": project(number, "")["id"],
        "reference": reference,
        "reason": "not in the catalog",
        "executions": executions,
    }


def store_company(root: Path, **frames: Any) -> str:
    """Five live projects and an archived one; gives the storage root."""
    known: dict[str, list[dict[str, Any]]] = {
        "hex_projects": [
            project(1, "Weekly revenue", views_30_days=40, schedules=DAILY, status="Endorsed"),
            project(2, "Scratch", last_published_at=None, owner_email="bo@shop.example"),
            project(3, "Old board", archived_at=NOON, views_30_days=900),
            project(4, HOSTILE, url="javascript:alert(1)", schedules=DAILY),
            project(5, "Healthy", views_30_days=7, schedules=DAILY),
            project(6, "Broken", views_30_days=3, owner_email="bo@shop.example"),
        ],
        "hex_cells": [cell(1, "orders by region"), cell(4, "names")],
        "hex_runs": [
            run(1, "COMPLETED", last_success_at=NOON - timedelta(days=3)),
            run(5, "COMPLETED", last_success_at=NOON - timedelta(hours=30)),
            run(6, "COMPLETED", started_at=NOON - timedelta(days=1), last_success_at=NOON),
            run(6, "ERRORED", trigger="API"),
            run(3, "ERRORED"),
        ],
        "hex_coverage": [coverage(number) for number in range(1, 7)],
        "lineage_edges": [
            edge(
                1,
                ORDERS,
                {"AMOUNT": ["output"], "REGION": ["filter", "group"]},
                executions=30,
                evidence=["cell_sql", "query_history"],
                sql=SECRET_SQL,
            ),
            edge(2, ORDERS, executions=99),
            edge(3, ORDERS, {"AMOUNT": ["output"]}),
            edge(4, CUSTOMERS, {"NAME": ["join"]}, executions=3),
            edge(4, ORDERS, {"ID": ["join"]}, cell_id=None),
            edge(6, RAW_ORDERS, {"PAYLOAD": ["output"]}, cell_id=None, evidence=["queried_tables"]),
        ],
        "unresolved_references": [unresolved(2, "tmp.x", 1), unresolved(1, "old.orders", 8)],
        "openmetadata_entities": [
            entity("edge", f"{ORDERS} -> {WORKSPACE}.{project(1, '')['id']}", "create"),
            entity(
                "dashboard", f"{WORKSPACE}.{project(2, '')['id']}", "update", "failed: HTTP 500"
            ),
            entity("tag", "HexStatus.Endorsed", "unchanged", "unchanged"),
        ],
    }
    return store(root, **(known | frames))
