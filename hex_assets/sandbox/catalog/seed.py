"""Putting a demo world's databases and people into a catalog."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from hex_assets.sandbox.catalog.answers import named_columns
from hex_assets.sandbox.catalog.releases import Release
from hex_assets.sandbox.catalog.rules import Json, join_fqn, quote_name
from hex_assets.sandbox.catalog.store import Entity, Store
from hex_assets.sandbox.world import DatabaseService, World

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
    stamp = {"version": 0.1, "updatedAt": int(clock() * 1000), "updatedBy": "admin"}
    with Store(database).write() as rows:
        for entity_type, name, fqn, document in _entities(world):
            stored = rows.find(entity_type, fqn)
            if stored is None:
                entity_id = str(uuid5(NAMESPACE_URL, f"{entity_type}/{fqn}"))
                rows.save(Entity(entity_id, entity_type, name, fqn, False, {**document, **stamp}))
            elif stored.document.get("columns") != document.get("columns"):
                changed = {**stored.document, "columns": document["columns"], **stamp}
                changed["version"] = round(stored.document["version"] + 0.1, 1)
                rows.save(Entity(stored.id, entity_type, name, fqn, stored.deleted, changed))


def seed_test_connections(store: Store, release: Release, clock: Callable[[], float]) -> None:
    """Put in what a server brings along: how a connector has to test its connection.

    A connector of an unknown definition gives up before it reads anything.
    """
    if not release.knows_hex:
        return
    fqn = "Hex.testConnectionDefinition"
    with store.write() as rows:
        if rows.find("testConnectionDefinition", fqn) is None:
            stamp = {"version": 0.1, "updatedAt": int(clock() * 1000), "updatedBy": "admin"}
            document = {"displayName": "Hex", "steps": [_GET_PROJECTS], **stamp}
            entity_id = str(uuid5(NAMESPACE_URL, f"testConnectionDefinition/{fqn}"))
            rows.save(Entity(entity_id, "testConnectionDefinition", "Hex", fqn, False, document))


_FIELD_TYPES = ("string", "integer", "number", "markdown", "timestamp", "duration")
_WITH_PROPERTIES = ("dashboard", "chart", "table")


def seed_types(store: Store, clock: Callable[[], float]) -> None:
    """Put in what a server brings along: its types, to which custom properties can be added."""
    stamp = {"version": 0.1, "updatedAt": int(clock() * 1000), "updatedBy": "admin"}
    with store.write() as rows:
        for category, names in (("field", _FIELD_TYPES), ("entity", _WITH_PROPERTIES)):
            for name in names:
                if rows.find("type", name) is None:
                    document: Json = {"category": category, "customProperties": [], **stamp}
                    entity_id = str(uuid5(NAMESPACE_URL, f"type/{name}"))
                    rows.save(Entity(entity_id, "type", name, name, False, document))


def _entities(world: World) -> Iterator[tuple[str, str, str, Json]]:
    """(type, name, fully qualified name, document) of everything, containers first."""
    yield "team", "Organization", "Organization", {"teamType": "Organization"}
    for user in world.users:
        document = {
            "email": user.email,
            "displayName": user.display_name,
            "isBot": False,
            "isAdmin": False,
        }
        yield "user", user.name, quote_name(user.name), document
    for service in world.database_services:
        yield from _service_entities(service)


def _service_entities(service: DatabaseService) -> Iterator[tuple[str, str, str, Json]]:
    kind: Json = {"serviceType": service.service_type}
    service_fqn = quote_name(service.name)
    stored = {} if service.connection is None else {"connection": {"config": service.connection}}
    yield "databaseService", service.name, service_fqn, {**kind, **stored}
    databases = dict.fromkeys(table.database for table in service.tables)
    for database in databases:
        yield "database", database, join_fqn(service_fqn, database), kind
    for database, schema in dict.fromkeys((one.database, one.schema) for one in service.tables):
        yield "databaseSchema", schema, join_fqn(join_fqn(service_fqn, database), schema), kind
    for table in service.tables:
        schema_fqn = join_fqn(join_fqn(service_fqn, table.database), table.schema)
        fqn = join_fqn(schema_fqn, table.name)
        columns = [
            {"name": name, "dataType": data_type, "ordinalPosition": position}
            for position, (name, data_type) in enumerate(table.columns, start=1)
        ]
        document = {**kind, "tableType": "Regular", "columns": named_columns(fqn, columns)}
        yield "table", table.name, fqn, document
