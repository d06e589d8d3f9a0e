"""Hex projects, lineage edges and recipes for the tests of publishing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from hex_assets.frames import HEX_PROJECTS, LINEAGE_EDGES, Frame, FrameSchema
from hex_assets.recipe import Recipe, parse_recipe

SERVICE = "hex"
CREATED = datetime(2026, 3, 1, 8, 30, tzinfo=timezone.utc)
EDITED = datetime(2026, 10, 5, 17, 0, 0, 123456, tzinfo=timezone.utc)


def project_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def project(number: int, **over: Any) -> dict[str, Any]:
    """A row of ``hex_projects``: the live project of this number."""
    row: dict[str, Any] = dict.fromkeys(HEX_PROJECTS.columns)
    row |= {
        "id": project_id(number),
        "type": "PROJECT",
        "title": f"Project {number}",
        "description": f"What project {number} is for.",
        "owner_email": "ana@shop.example",
        "creator_email": "ben@shop.example",
        "status": "Approved",
        "categories": [],
        "category_descriptions": [],
        "collections": [],
        "created_at": CREATED,
        "last_edited_at": EDITED,
        "schedules": [],
        "url": f"https://app.hex.tech/org/hex/{project_id(number)}/draft/logic",
    }
    return row | over


def edge(number: int, table: str, table_id: str, **over: Any) -> dict[str, Any]:
    """A row of ``lineage_edges``: project ``number`` reads the table."""
    row = {
        "project_id": project_id(number),
        "cell_id": None,
        "service": "snow",
        "table_fqn": table,
        "table_id": table_id,
        "component_id": None,
        "columns": [],
        "evidence": ["query_history"],
        "executions": 3,
        "last_seen": EDITED,
        "sql": f"SELECT ? FROM {table.split('.')[-1]}",
    }
    return row | over


def rows(schema: FrameSchema, *values: Mapping[str, Any], gaps: Sequence[str] = ()) -> Frame:
    """A frame of these rows, null where they name no column."""
    empty = dict.fromkeys(schema.columns)
    return schema.frame([{**empty, **value} for value in values], gaps)


def projects(*rows: Mapping[str, Any], gaps: Sequence[str] = ()) -> Frame:
    return HEX_PROJECTS.frame(rows, gaps)


def edges(*rows: Mapping[str, Any]) -> Frame:
    return LINEAGE_EDGES.frame(rows)


def recipe(hex_assets: Mapping[str, Any] | None = None, **source: Any) -> Recipe:
    """A recipe with these keys of ``hexAssets`` and ``sourceConfig.config``."""
    written = document({"hostPort": "http://localhost:8585/api"}, hex_assets, **source)
    return parse_recipe(json.dumps(written), "recipe.json", {})


def document(
    server: Mapping[str, Any],
    hex_assets: Mapping[str, Any] | None = None,
    service: str = SERVICE,
    **source: Any,
) -> dict[str, Any]:
    """A recipe as it is written, with these keys of ``openMetadataServerConfig``, too."""
    return {
        "source": {
            "type": "hex",
            "serviceName": service,
            "serviceConnection": {
                "config": {"type": "Hex", "hostPort": "https://app.hex.tech", "token": "hxtw_1"}
            },
            "sourceConfig": {"config": {"type": "DashboardMetadata", **source}},
        },
        "sink": {"type": "metadata-rest", "config": {}},
        "workflowConfig": {
            "openMetadataServerConfig": {"securityConfig": {"jwtToken": "a.b.c"}, **server},
            "config": {"hexAssets": dict(hex_assets or {})},
        },
    }
