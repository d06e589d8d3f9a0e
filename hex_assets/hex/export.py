"""The source of a project in Hex's file format (``schemaVersion: 3``) becomes cells.

Only the export tells which component an import cell imports, how cells nest, and which dataframe
a chart shows; the listing of cells tells none of it. Names of cell types are those of the
listing, so that both ways of reading give the same frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from pydantic import ValidationError

from hex_assets.errors import HexAssetsError
from hex_assets.hex.models import ExportedCell, describe_malformed

_LONGEST = 50_000_000
"""Characters; Hex's own files have logic and layout but no data, so they are far smaller."""

_DEEPEST = 50
_MOST_CELLS = 20_000

_TYPE_IN_LISTING: Mapping[str, str] = {"TABLE_DISPLAY": "DISPLAY_TABLE", "CHARTV2": "CHART"}

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class UnreadableExport(HexAssetsError):
    """The export is not what Hex's file format documents."""


@dataclass(frozen=True)
class NotebookCell:
    """One cell, however it was read.

    Attributes:
        sql: source of a SQL cell as written, Jinja and literals included; not in the repr.
        component_version: version of the component that an import cell pins.
    """

    cell_id: str
    type: str
    label: str | None = None
    data_connection_id: str | None = None
    sql: str | None = field(default=None, repr=False)
    output_dataframe: str | None = None
    source_dataframe: str | None = None
    parent_cell_id: str | None = None
    component_id: str | None = None
    component_version: str | None = None
    markdown: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Notebook:
    """All cells of one version of a project or component.

    Attributes:
        malformed: one sentence for each cell that was left out as unreadable.
    """

    cells: tuple[NotebookCell, ...]
    malformed: tuple[str, ...] = ()


def parse_export(content: str) -> Notebook:
    """The cells of an export, those in sections included, in notebook order.

    Raises:
        UnreadableExport: it is no YAML, has no cells, or is larger or nested deeper than any
            notebook.
    """
    if len(content) > _LONGEST:
        raise UnreadableExport("the export is too long")
    try:
        document = yaml.load(content, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # The text of a YAML error quotes the document.
        raise UnreadableExport(f"the export is no YAML ({type(error).__name__})") from None
    cells = document.get("cells") if isinstance(document, dict) else None
    if not isinstance(cells, list):
        raise UnreadableExport("the export has no list of cells")
    found: list[NotebookCell] = []
    malformed: list[str] = []
    for number, (value, parent) in enumerate(_nested(cells, None, 1), start=1):
        if number > _MOST_CELLS:
            raise UnreadableExport("the export has too many cells")
        try:
            found.append(_cell(ExportedCell.model_validate(value), parent))
        except ValidationError as error:
            malformed.append(describe_malformed("cell", value, f"position {number}", error))
    # A cell that is there twice would be two rows of one key; the first one counts.
    unique = {cell.cell_id: cell for cell in reversed(found)}
    return Notebook(tuple(reversed(unique.values())), tuple(malformed))


def _nested(cells: list[Any], parent: str | None, depth: int) -> Iterator[tuple[Any, str | None]]:
    if depth > _DEEPEST:
        raise UnreadableExport("the export nests too deep")
    for cell in cells:
        yield cell, parent
        config = cell.get("config") if isinstance(cell, dict) else None
        inner = config.get("cells") if isinstance(config, dict) else None
        if isinstance(inner, list):
            identity = cell.get("cellId")
            section = identity.strip().lower() if isinstance(identity, str) else parent
            yield from _nested(inner, section, depth + 1)


def _cell(cell: ExportedCell, parent: str | None) -> NotebookCell:
    config = cell.config
    is_sql, is_import = cell.cell_type == "SQL", cell.cell_type == "COMPONENT_IMPORT"
    shown = config.dataframe or (config.value_variable_name if cell.cell_type == "METRIC" else None)
    component = config.component if is_import else None
    return NotebookCell(
        cell_id=cell.cell_id,
        type=_TYPE_IN_LISTING.get(cell.cell_type, cell.cell_type),
        label=cell.cell_label,
        data_connection_id=(
            config.data_connection_id if is_sql and not config.data_frame_cell else None
        ),
        sql=config.source if is_sql else None,
        output_dataframe=config.result_variable_name if is_sql else None,
        source_dataframe=None if is_sql else shown,
        parent_cell_id=parent,
        component_id=None if component is None else component.id,
        component_version=None
        if component is None or component.version is None
        else str(component.version),
        markdown=config.source if cell.cell_type == "MARKDOWN" else None,
    )
