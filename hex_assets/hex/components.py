"""Which cells of a project are a component's, where Hex lists them among the project's own.

The listing of cells holds the cells of imported components inlined and names no component; an
export names the component and holds no such cells. A listed cell is taken for a component's when
it has the static id of one of that component's own cells, or, in a project with import cells,
the same SQL, connection and output as a cell of exactly one component.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hex_assets.hex.details import Detail

_Row = Mapping[str, Any]


def credit_inlined_cells(
    details: Sequence[Detail], components: set[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of ``HEX_CELLS`` with the component of inlined ones, and of ``HEX_COMPONENT_IMPORTS``.

    Args:
        details: the cells of all projects and components.
        components: ids of the components.
    """
    by_id: dict[str, set[str]] = {}
    by_content: dict[tuple[Any, ...], set[str]] = {}
    for detail in details:
        if detail.project_id in components:
            for row in detail.rows:
                by_id.setdefault(row["cell_id"], set()).add(detail.project_id)
                if row["sql"] is not None:
                    by_content.setdefault(_content(row), set()).add(detail.project_id)
    rows: list[dict[str, Any]] = []
    imports: list[dict[str, Any]] = []
    for detail in details:
        imports += detail.imports
        if not detail.inlined:
            rows += detail.rows
            continue
        may_import = any(row["type"] == "COMPONENT_IMPORT" for row in detail.rows)
        found: dict[str, None] = {}
        for row in detail.rows:
            owners = by_id.get(row["cell_id"], set()) - {detail.project_id}
            if not owners and may_import and row["sql"] is not None:
                owners = by_content.get(_content(row), set()) - {detail.project_id}
            owner = next(iter(owners)) if len(owners) == 1 else None
            rows.append({**row, "component_id": row["component_id"] or owner})
            if owner is not None:
                found[owner] = None
        imports += [
            {
                "project_id": detail.project_id,
                "component_id": component_id,
                "cell_id": None,
                "component_version": None,
            }
            for component_id in found
        ]
    return rows, imports


def _content(row: _Row) -> tuple[Any, ...]:
    return row["sql"], row["data_connection_id"], row["output_dataframe"]
