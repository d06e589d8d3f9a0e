"""Hex comments and statements to test with."""

from __future__ import annotations

import hashlib
import json
from typing import Any

PROJECT = "d73da67d-c87b-4dd8-9e7f-b79cb7f822cf"
OTHER_PROJECT = "0198c2a0-5e11-7d6c-8c3e-3d7d2b1f9a10"
CELL = "67c38da0-e631-4005-9750-5bdae2a2ef3f"


def payload(project: str = PROJECT, cell: str | None = CELL, **fields: Any) -> dict[str, Any]:
    """The object in a comment as Hex writes it; a field set to None is left out."""
    url = f"https://app.hex.tech/larkfield/hex/{project}/draft/logic"
    known: dict[str, Any] = {
        "categories": ["Scratchpad"],
        "cell_type": "SQL",
        "connection": "Long Tail Companions",
        "context": "SCHEDULED_RUN",
        "project_id": project,
        "project_name": "PlayNotebook",
        "project_url": f"{url}?selectedCellId={cell}" if cell else url,
        "status": "In development",
        "trace_id": "f316f99947454a7e8aff2947f848f73d",
        "user_email": "alice@mail.com",
    }
    return {key: value for key, value in (known | fields).items() if value is not None}


def comment(project: str = PROJECT, cell: str | None = CELL, **fields: Any) -> str:
    return f"-- Hex query metadata: {json.dumps(payload(project, cell, **fields), sort_keys=True)}"


def trace_id(run: int) -> str:
    """What differs between two runs of one statement."""
    return hashlib.md5(str(run).encode()).hexdigest()
