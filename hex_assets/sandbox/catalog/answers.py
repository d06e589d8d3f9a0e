"""Entities as answers show them: fields on demand, references, cursors."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Sequence

from hex_assets.sandbox.catalog.kinds import ON_DEMAND, Kind
from hex_assets.sandbox.catalog.rules import Json, Refused, join_fqn, mask_secrets, split_fqn
from hex_assets.sandbox.catalog.store import Entity, Rows

_LISTS = frozenset({"owners", "tags", "domains", "dataProducts", "reviewers"})


def show(
    rows: Rows,
    kind: Kind,
    entities: Sequence[Entity],
    wanted: frozenset[str],
    *,
    masked: bool,
) -> list[Json]:
    """The entities as answers show them.

    Args:
        wanted: the fields shown beside the ones that always are.
        masked: whether secrets of a connection are hidden.
    """
    links = {
        name: rows.references(link.relation, [one.id for one in entities], link.backwards)
        for name, link in kind.links.items()
        if name in wanted
    }
    targets = rows.by_ids({to for by_id in links.values() for ids in by_id.values() for to in ids})
    ancestors = _ancestors(rows, kind, entities)
    shown: list[Json] = []
    for entity in entities:
        document = {
            name: value
            for name, value in entity.document.items()
            if name not in ON_DEMAND or name in wanted
        }
        if "connection" in document and masked:
            document["connection"] = mask_secrets(document["connection"])
        for name in sorted(_LISTS & wanted & kind.fields):
            document.setdefault(name, [])
        for name, by_id in links.items():
            document[name] = [reference(targets[one]) for one in by_id[entity.id]]
        for field, fqn in _ancestor_fqns(kind, entity.fqn):
            document[field] = reference(ancestors[field][fqn])
        shown.append(
            {
                "id": entity.id,
                "name": entity.name,
                "fullyQualifiedName": entity.fqn,
                **document,
                **({"deleted": entity.deleted} if kind.tells_deleted else {}),
            }
        )
    return shown


def reference(entity: Entity) -> Json:
    """An ``EntityReference`` to the entity."""
    texts = {
        name: entity.document[name]
        for name in ("displayName", "description")
        if entity.document.get(name)
    }
    return {
        "id": entity.id,
        "type": entity.type,
        "name": entity.name,
        "fullyQualifiedName": entity.fqn,
        **texts,
        "deleted": entity.deleted,
    }


def named_columns(parent_fqn: str, columns: Iterable[Json]) -> list[Json]:
    """The columns, nested ones too, with their fully qualified names."""
    named: list[Json] = []
    for column in columns:
        fqn = join_fqn(parent_fqn, column["name"])
        entry = {**column, "fullyQualifiedName": fqn}
        if "children" in column:
            entry["children"] = named_columns(fqn, column["children"])
        named.append(entry)
    return named


def _ancestor_fqns(kind: Kind, fqn: str) -> list[tuple[str, str]]:
    parts = split_fqn(fqn)
    return [
        (field, ".".join(parts[: depth + 1])) for depth, (field, _) in enumerate(kind.ancestors)
    ]


def _ancestors(rows: Rows, kind: Kind, entities: Sequence[Entity]) -> dict[str, dict[str, Entity]]:
    fqns: dict[str, set[str]] = {field: set() for field, _ in kind.ancestors}
    for entity in entities:
        for field, fqn in _ancestor_fqns(kind, entity.fqn):
            fqns[field].add(fqn)
    return {
        field: rows.by_fqns(ancestor_type, fqns[field]) for field, ancestor_type in kind.ancestors
    }


def wanted_fields(kind: Kind, fields: str) -> frozenset[str]:
    """The fields an answer holds beside the ones it always holds."""
    if fields == "*":
        return kind.fields
    named = frozenset(name.strip() for name in fields.split(",") if name.strip())
    for name in sorted(named - kind.fields):
        raise Refused(400, f"Invalid field name {name}")
    return named


def encode_cursor(entity: Entity) -> str:
    text = json.dumps({"name": entity.name, "id": entity.id})
    return base64.b64encode(text.encode()).decode()


def decode_cursor(cursor: str) -> tuple[str, str]:
    try:
        place = json.loads(base64.b64decode(cursor, validate=True))
        return str(place["name"]), str(place["id"])
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise Refused(400, "Invalid before or after cursor") from error
