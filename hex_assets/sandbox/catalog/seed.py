"""Putting a demo world's databases and people into a catalog."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from hex_assets.sandbox.catalog.answers import named_columns
from hex_assets.sandbox.catalog.releases import Release
from hex_assets.sandbox.catalog.rules import Json, join_fqn, quote_name
from hex_assets.sandbox.catalog.store import Entity, Store
from hex_assets.sandbox.world import DatabaseService, World

_FIELD_TYPES = ("string", "integer", "number", "markdown", "timestamp", "duration")
_WITH_PROPERTIES = ("dashboard", "chart", "table")
_GET_PROJECTS: Json = {
    "name": "GetProjects",
    "description": "List the projects that the token may see",
    "errorMessage": "The projects could not be listed. Check the token and its scopes.",
    "shortCircuit": True,
    "mandatory": True,
}


def seed(database: Path, world: World, *, clock: Callable[[], float] = time.time) -> None:
    """Put database services, databases, schemas, tables, users and one team into the file.

    All in one transaction. What is there already stays as it is, except that a table gets the
    columns of the world; ids depend on type and name only, so that they are the same everywhere.
    """
    with Store(database).write() as rows:
        for new in _entities(world):
            stored = rows.find(new.type, new.fqn)
            if stored is None:
                rows.save(_stamped(new, 0.1, clock))
            elif stored.document.get("columns") != new.document.get("columns"):
                document = {**stored.document, "columns": new.document["columns"]}
                version = round(stored.document["version"] + 0.1, 1)
                rows.save(_stamped(replace(stored, document=document), version, clock))


def seed_server(store: Store, release: Release, clock: Callable[[], float]) -> None:
    """Put in what a server brings along, where it is missing.

    These are its types, to which custom properties can be added, and how a connector has to test
    its connection: one whose definition is missing gives up before it reads anything.
    """
    with store.write() as rows:
        for new in _of_server(release):
            if rows.find(new.type, new.fqn) is None:
                rows.save(_stamped(new, 0.1, clock))


def _stamped(entity: Entity, version: float, clock: Callable[[], float]) -> Entity:
    stamp = {"version": version, "updatedAt": int(clock() * 1000), "updatedBy": "admin"}
    return replace(entity, document={**entity.document, **stamp})


def _entity(entity_type: str, name: str, fqn: str, document: Json) -> Entity:
    entity_id = str(uuid5(NAMESPACE_URL, f"{entity_type}/{fqn}"))
    return Entity(entity_id, entity_type, name, fqn, False, document)


def _of_server(release: Release) -> Iterator[Entity]:
    for category, names in (("field", _FIELD_TYPES), ("entity", _WITH_PROPERTIES)):
        for name in names:
            about = {"category": category, "description": f"The type {name}."}
            yield _entity("type", name, name, {**about, "customProperties": []})
    if release.knows_hex:
        fqn = "Hex.testConnectionDefinition"
        steps = {"displayName": "Hex", "steps": [_GET_PROJECTS]}
        yield _entity("testConnectionDefinition", "Hex", fqn, steps)


def _entities(world: World) -> Iterator[Entity]:
    """Everything, containers first."""
    yield _entity("team", "Organization", "Organization", {"teamType": "Organization"})
    for user in world.users:
        document = {
            "email": user.email,
            "displayName": user.display_name,
            "isBot": False,
            "isAdmin": False,
        }
        yield _entity("user", user.name, quote_name(user.name), document)
    for service in world.database_services:
        yield from _service_entities(service)


def _service_entities(service: DatabaseService) -> Iterator[Entity]:
    kind: Json = {"serviceType": service.service_type}
    service_fqn = quote_name(service.name)
    stored = {} if service.connection is None else {"connection": {"config": service.connection}}
    yield _entity("databaseService", service.name, service_fqn, {**kind, **stored})
    databases = dict.fromkeys(table.database for table in service.tables)
    for database in databases:
        yield _entity("database", database, join_fqn(service_fqn, database), kind)
    for database, schema in dict.fromkeys((one.database, one.schema) for one in service.tables):
        yield _entity(
            "databaseSchema", schema, join_fqn(join_fqn(service_fqn, database), schema), kind
        )
    for table in service.tables:
        schema_fqn = join_fqn(join_fqn(service_fqn, table.database), table.schema)
        fqn = join_fqn(schema_fqn, table.name)
        columns = [
            {"name": name, "dataType": data_type, "ordinalPosition": position}
            for position, (name, data_type) in enumerate(table.columns, start=1)
        ]
        document = {**kind, "tableType": "Regular", "columns": named_columns(fqn, columns)}
        yield _entity("table", table.name, fqn, document)
