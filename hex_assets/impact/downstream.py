"""Tables made of a table, as OpenMetadata's lineage knows them, down to the column."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hex_assets.impact.lookup import Target
from hex_assets.impact.readers import Asked
from hex_assets.openmetadata import fqn

if TYPE_CHECKING:
    from hex_assets.openmetadata.client import OpenMetadataClient
    from hex_assets.openmetadata.models import LineageDetails

DEEPEST = 3
"""OpenMetadata answers no more steps at once."""


def derived_from(client: OpenMetadataClient, target: Target, depth: int) -> list[Asked]:
    """The tables, or columns, that are made of the target in so many steps, nearest first.

    One request. An edge that tells no columns leads from a column to the whole table, from where
    on nothing is certain. What is reached in several ways is told once, by the shortest.

    Args:
        depth: 1 to ``DEEPEST``.

    Raises:
        RequestError: OpenMetadata could not be asked.
    """
    lineage = client.downstream_lineage(target.table_fqn, depth)
    if lineage is None or lineage.entity is None:
        return []
    names = {node.id: node.fully_qualified_name for node in lineage.nodes if node.type == "table"}
    names[lineage.entity.id] = target.table_fqn
    edges: dict[str, list[tuple[str, LineageDetails | None]]] = {}
    for edge in lineage.downstream_edges:
        edges.setdefault(edge.from_entity, []).append((edge.to_entity, edge.lineage_details))
    start = Asked(target)
    waiting = deque([(lineage.entity.id, start)])
    found: dict[Target, Asked] = {target: start}
    while waiting:
        place, asked = waiting.popleft()
        for to_entity, details in edges.get(place, ()):
            name = names.get(to_entity)
            if name is None:
                continue
            via = (*asked.via, asked.target.table_fqn)
            for column, certain in _leads_to(asked.target, details):
                step = Asked(Target(name, column), via, asked.certain and certain)
                if step.target not in found:
                    found[step.target] = step
                    waiting.append((to_entity, step))
    return [one for one in found.values() if one is not start]


def _leads_to(target: Target, details: LineageDetails | None) -> Iterator[tuple[str | None, bool]]:
    """The columns (None: the whole table) that an edge makes of the target."""
    mappings = details.columns_lineage if details else ()
    if target.column is None:
        yield None, True
    elif not mappings:
        yield None, False
    else:
        wanted = target.column.casefold()
        for mapping in mappings:
            sources = {fqn.split(column)[-1].casefold() for column in mapping.from_columns}
            if wanted in sources and mapping.to_column:
                yield fqn.split(mapping.to_column)[-1], True
