"""Lineage edges as OpenMetadata's ``LineageRepository`` keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hex_assets.sandbox.catalog.answers import reference
from hex_assets.sandbox.catalog.requests import AddLineage, LineageDetails, parse
from hex_assets.sandbox.catalog.rules import (
    Json,
    Policy,
    Refused,
    apply_patch,
    not_found,
)
from hex_assets.sandbox.catalog.store import Edge, Entity, Key, Rows, Store

End = tuple[str, Key]
"""One end of an edge: entity type and key."""

_DEEPEST = 3


class Lineage:
    """The edges of one store, changed on behalf of one caller.

    Every change is one transaction.
    """

    def __init__(self, store: Store, policy: Policy, clock: Callable[[], float]) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock

    def add(self, body: Any) -> None:
        """Write one edge between entities that live, replacing what it held before."""
        edge = parse(AddLineage, body).edge
        start, end = (
            (one.type, Key("id", str(one.id))) for one in (edge.fromEntity, edge.toEntity)
        )
        self._replace(start, end, edge.lineageDetails)

    def add_by_name(self, start: End, end: End, body: Any) -> None:
        """Write one edge; the body is the bare ``lineageDetails``."""
        self._replace(start, end, parse(LineageDetails, body))

    def edge_by_ids(self, from_id: str, to_id: str) -> Json:
        """The details of one edge between entities of any type."""
        with self._store.read() as rows:
            return {"edge": _edge(rows, from_id, to_id).details}

    def edge(self, start: End, end: End) -> Json:
        """The details of one edge."""
        with self._store.read() as rows:
            return {"edge": _edge_between(rows, start, end).details}

    def patch(self, start: End, end: End, operations: Any) -> None:
        """Change the details of one edge with a JSON Patch."""
        with self._store.write() as rows:
            stored = _edge_between(rows, start, end)
            details = parse(LineageDetails, apply_patch(stored.details, operations))
            from_entity, to_entity = rows.existing(*start, "all"), rows.existing(*end, "all")
            created = {key: stored.details[key] for key in ("createdAt", "createdBy")}
            checked = self._checked(rows, from_entity, to_entity, details)
            rows.save_edge(Edge(stored.from_id, stored.to_id, {**checked, **created}))

    def delete(self, start: End, end: End) -> None:
        with self._store.write() as rows:
            edge = _edge_between(rows, start, end)
            rows.delete_edge(edge.from_id, edge.to_id)

    def delete_by_source(self, end: End, source: str) -> None:
        """Delete all edges into the entity that have this source."""
        with self._store.write() as rows:
            entity = rows.existing(*end, "all")
            for edge in rows.edges_to(entity.id):
                if edge.details["source"] == source:
                    rows.delete_edge(edge.from_id, edge.to_id)

    def around(self, place: End, upstream: int, downstream: int) -> Json:
        """The edges around an entity, up to so many steps away; deleted nodes are included."""
        for name, depth in (("upstreamDepth", upstream), ("downstreamDepth", downstream)):
            if not 0 <= depth <= _DEEPEST:
                raise Refused(400, f"query param {name} must be between 0 and {_DEEPEST}")
        with self._store.read() as rows:
            entity = rows.existing(*place, "all")
            above = _walk(entity.id, upstream, rows.edges_to, lambda edge: edge.from_id)
            below = _walk(entity.id, downstream, rows.edges_from, lambda edge: edge.to_id)
            ids = {end for edge in (*above, *below) for end in (edge.from_id, edge.to_id)}
            nodes = rows.by_ids(ids - {entity.id})
            return {
                "entity": reference(entity),
                "nodes": [reference(nodes[node]) for node in sorted(nodes)],
                "upstreamEdges": [_wire(edge) for edge in above],
                "downstreamEdges": [_wire(edge) for edge in below],
            }

    def _replace(self, start: End, end: End, details: LineageDetails) -> None:
        with self._store.write() as rows:
            from_entity = rows.existing(*start, "non-deleted")
            to_entity = rows.existing(*end, "non-deleted")
            checked = self._checked(rows, from_entity, to_entity, details)
            created = {"createdAt": checked["updatedAt"], "createdBy": checked["updatedBy"]}
            rows.save_edge(Edge(from_entity.id, to_entity.id, {**checked, **created}))

    def _checked(
        self, rows: Rows, from_entity: Entity, to_entity: Entity, details: LineageDetails
    ) -> Json:
        """The details with valid column lineage only, stamped."""
        if details.pipeline is not None:
            raise not_found("pipeline", str(details.pipeline.id))
        sources, targets = _columns(rows, from_entity), _columns(rows, to_entity)
        mappings: list[Json] = []
        for mapping in details.columnsLineage:
            known = [column for column in mapping.fromColumns if column in sources]
            unknown = [column for column in mapping.fromColumns if column not in sources]
            if mapping.toColumn is not None and mapping.toColumn not in targets:
                unknown.append(mapping.toColumn)
            if unknown and self._policy.release.refuse_unknown_columns:
                raise Refused(400, f"Invalid column name {unknown[0]}")
            if known and mapping.toColumn in targets:
                entry = mapping.model_dump(mode="json", exclude_none=True)
                mappings.append({**entry, "fromColumns": known})
        return {
            **details.model_dump(mode="json", exclude_none=True),
            "columnsLineage": mappings,
            "updatedAt": int(self._clock() * 1000),
            "updatedBy": self._policy.caller,
        }


def _edge(rows: Rows, from_id: str, to_id: str) -> Edge:
    edge = rows.edge(from_id, to_id)
    if edge is None:
        raise Refused(404, f"Lineage edge from {from_id} to {to_id} not found")
    return edge


def _edge_between(rows: Rows, start: End, end: End) -> Edge:
    return _edge(rows, rows.existing(*start, "all").id, rows.existing(*end, "all").id)


def _columns(rows: Rows, entity: Entity) -> frozenset[str]:
    """The names column lineage may use at this end: columns, or a dashboard's chart names."""
    if entity.type == "dashboard":
        charts = rows.references("charts", [entity.id])[entity.id]
        return frozenset(chart.fqn for chart in rows.by_ids(charts).values())
    return frozenset(_column_fqns(entity.document.get("columns", ())))


def _column_fqns(columns: Iterable[Json]) -> Iterable[str]:
    for column in columns:
        yield column["fullyQualifiedName"]
        yield from _column_fqns(column.get("children", ()))


def _walk(
    start: str, depth: int, edges_of: Callable[[str], list[Edge]], other: Callable[[Edge], str]
) -> list[Edge]:
    found: dict[tuple[str, str], Edge] = {}
    border, seen = [start], {start}
    for _ in range(depth):
        fresh: list[str] = []
        for node in border:
            for edge in edges_of(node):
                found[edge.from_id, edge.to_id] = edge
                if other(edge) not in seen:
                    seen.add(other(edge))
                    fresh.append(other(edge))
        border = fresh
    return list(found.values())


def _wire(edge: Edge) -> Json:
    return {"fromEntity": edge.from_id, "toEntity": edge.to_id, "lineageDetails": edge.details}
