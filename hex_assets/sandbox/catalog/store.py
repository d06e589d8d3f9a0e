"""Entities, their references and lineage edges in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple
from uuid import UUID

from hex_assets.sandbox.catalog.rules import Json, Refused, not_found, quote_name

Include = Literal["non-deleted", "deleted", "all"]

_BUSY_SECONDS = 20.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entity (
    id TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    name TEXT NOT NULL,
    fqn TEXT NOT NULL,
    deleted INTEGER NOT NULL,
    document TEXT NOT NULL,
    UNIQUE (type, fqn)
);
CREATE INDEX IF NOT EXISTS entity_by_name ON entity (type, name, id);
CREATE TABLE IF NOT EXISTS reference (
    from_id TEXT NOT NULL REFERENCES entity (id) ON DELETE CASCADE,
    relation TEXT NOT NULL,
    to_id TEXT NOT NULL REFERENCES entity (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    PRIMARY KEY (from_id, relation, to_id)
);
CREATE INDEX IF NOT EXISTS reference_backwards ON reference (to_id, relation);
CREATE TABLE IF NOT EXISTS edge (
    from_id TEXT NOT NULL REFERENCES entity (id) ON DELETE CASCADE,
    to_id TEXT NOT NULL REFERENCES entity (id) ON DELETE CASCADE,
    details TEXT NOT NULL,
    PRIMARY KEY (from_id, to_id)
);
CREATE INDEX IF NOT EXISTS edge_backwards ON edge (to_id);
CREATE TABLE IF NOT EXISTS usage (
    entity_id TEXT NOT NULL REFERENCES entity (id) ON DELETE CASCADE,
    date TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (entity_id, date)
);
CREATE TABLE IF NOT EXISTS pipeline (
    fqn TEXT PRIMARY KEY,
    document TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS pipeline_status (
    fqn TEXT NOT NULL REFERENCES pipeline (fqn) ON DELETE CASCADE,
    run_id TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (fqn, run_id)
);
"""

_COLUMNS = "id, type, name, fqn, deleted, document"


class Key(NamedTuple):
    """How a request names an entity: by id or by fully qualified name."""

    by: Literal["id", "name"]
    value: str


@dataclass(frozen=True)
class Entity:
    """One stored entity.

    Attributes:
        document: its fields, without identity and without references to other entities.
    """

    id: str
    type: str
    name: str
    fqn: str
    deleted: bool
    document: Json


@dataclass(frozen=True)
class Edge:
    """One lineage edge between two entity ids."""

    from_id: str
    to_id: str
    details: Json


class Rows:
    """What one transaction sees and may change."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def existing(self, entity_type: str, key: Key, include: Include) -> Entity:
        """The entity.

        A name that needs quotes may come without them, as long as it is one name and no path.

        Raises:
            Refused: 404, there is none.
        """
        if key.by == "id":
            try:
                found = self.get(entity_type, str(UUID(key.value)), include)
            except ValueError:
                raise Refused(404, "HTTP 404 Not Found") from None
        else:
            found = self.find(entity_type, key.value, include)
            if found is None and '"' not in key.value:
                found = self.find(entity_type, quote_name(key.value), include)
        if found is None:
            raise not_found(entity_type, key.value)
        return found

    def find(self, entity_type: str, fqn: str, include: Include = "all") -> Entity | None:
        query = f"SELECT {_COLUMNS} FROM entity WHERE type = ? AND fqn = ? AND {_live(include)}"
        return next(self._entities(query, (entity_type, fqn)), None)

    def get(self, entity_type: str, entity_id: str, include: Include = "all") -> Entity | None:
        query = f"SELECT {_COLUMNS} FROM entity WHERE type = ? AND id = ? AND {_live(include)}"
        return next(self._entities(query, (entity_type, entity_id)), None)

    def by_ids(self, ids: Iterable[str]) -> dict[str, Entity]:
        query = f"SELECT {_COLUMNS} FROM entity WHERE id IN (SELECT value FROM json_each(?))"
        return {entity.id: entity for entity in self._entities(query, (json.dumps(list(ids)),))}

    def by_fqns(self, entity_type: str, fqns: Iterable[str]) -> dict[str, Entity]:
        query = (
            f"SELECT {_COLUMNS} FROM entity"
            " WHERE type = ? AND fqn IN (SELECT value FROM json_each(?))"
        )
        arguments = (entity_type, json.dumps(list(fqns)))
        return {entity.fqn: entity for entity in self._entities(query, arguments)}

    def listed(
        self,
        entity_type: str,
        *,
        below: Sequence[str] = (),
        include: Include = "all",
        limit: int = -1,
        after: tuple[str, str] | None = None,
        before: tuple[str, str] | None = None,
    ) -> list[Entity]:
        """Entities of the type by (name, id).

        Args:
            below: fully qualified names that must all be ancestors.
            limit: at most so many; -1 for all.
            after: only those after this (name, id).
            before: only those before this (name, id), the nearest ones, still in order.
        """
        where, arguments = _below(entity_type, below, include)
        direction = "ASC"
        if after is not None:
            where, arguments = f"{where} AND (name, id) > (?, ?)", [*arguments, *after]
        if before is not None:
            where, arguments = f"{where} AND (name, id) < (?, ?)", [*arguments, *before]
            direction = "DESC"
        found = self._entities(
            f"SELECT {_COLUMNS} FROM entity WHERE {where}"
            f" ORDER BY name {direction}, id {direction} LIMIT ?",
            [*arguments, limit],
        )
        page = list(found)
        return page if before is None else page[::-1]

    def count(
        self, entity_type: str, *, below: Sequence[str] = (), include: Include = "all"
    ) -> int:
        where, arguments = _below(entity_type, below, include)
        query = f"SELECT count(*) FROM entity WHERE {where}"
        return int(self._connection.execute(query, arguments).fetchone()[0])

    def save(self, entity: Entity) -> None:
        """Insert the entity, or replace the one with its id."""
        self._connection.execute(
            f"INSERT INTO entity ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id)"
            " DO UPDATE SET deleted = excluded.deleted, document = excluded.document",
            (
                entity.id,
                entity.type,
                entity.name,
                entity.fqn,
                entity.deleted,
                json.dumps(entity.document),
            ),
        )

    def delete(self, entity_id: str) -> None:
        """Remove the entity with its references and edges."""
        self._connection.execute("DELETE FROM entity WHERE id = ?", (entity_id,))

    def references(
        self, relation: str, ids: Iterable[str], backwards: bool = False
    ) -> dict[str, list[str]]:
        """For each id the ids it refers to, in order, or those that refer to it."""
        one, other = ("to_id", "from_id") if backwards else ("from_id", "to_id")
        found: dict[str, list[str]] = {entity_id: [] for entity_id in ids}
        query = (
            f"SELECT {one}, {other} FROM reference WHERE relation = ?"
            f" AND {one} IN (SELECT value FROM json_each(?)) ORDER BY position, rowid"
        )
        for here, there in self._connection.execute(query, (relation, json.dumps(list(found)))):
            found[here].append(there)
        return found

    def refer(
        self, relation: str, entity_id: str, others: Sequence[str], backwards: bool = False
    ) -> None:
        """Replace the references of the entity, or those to it."""
        one = "to_id" if backwards else "from_id"
        self._connection.execute(
            f"DELETE FROM reference WHERE relation = ? AND {one} = ?", (relation, entity_id)
        )
        pairs = [(other, entity_id) if backwards else (entity_id, other) for other in others]
        self._connection.executemany(
            "INSERT OR IGNORE INTO reference (from_id, relation, to_id, position)"
            " VALUES (?, ?, ?, ?)",
            [(start, relation, end, position) for position, (start, end) in enumerate(pairs)],
        )

    def edge(self, from_id: str, to_id: str) -> Edge | None:
        return next(self._edges("from_id = ? AND to_id = ?", (from_id, to_id)), None)

    def edges_from(self, entity_id: str) -> list[Edge]:
        return list(self._edges("from_id = ?", (entity_id,)))

    def edges_to(self, entity_id: str) -> list[Edge]:
        return list(self._edges("to_id = ?", (entity_id,)))

    def save_edge(self, edge: Edge) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO edge (from_id, to_id, details) VALUES (?, ?, ?)",
            (edge.from_id, edge.to_id, json.dumps(edge.details)),
        )

    def delete_edge(self, from_id: str, to_id: str) -> None:
        self._connection.execute(
            "DELETE FROM edge WHERE from_id = ? AND to_id = ?", (from_id, to_id)
        )

    def usage(self, entity_id: str) -> dict[str, int]:
        """Count by day, as an ISO date."""
        query = "SELECT date, count FROM usage WHERE entity_id = ? ORDER BY date"
        return dict(self._connection.execute(query, (entity_id,)).fetchall())

    def save_usage(self, entity_id: str, date: str, count: int) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO usage (entity_id, date, count) VALUES (?, ?, ?)",
            (entity_id, date, count),
        )

    def pipeline(self, fqn: str) -> Json | None:
        query = "SELECT document FROM pipeline WHERE fqn = ?"
        found = self._connection.execute(query, (fqn,)).fetchone()
        return None if found is None else json.loads(found[0])

    def save_pipeline(self, fqn: str, document: Json) -> None:
        self._connection.execute(
            "INSERT INTO pipeline (fqn, document) VALUES (?, ?) ON CONFLICT (fqn)"
            " DO UPDATE SET document = excluded.document",
            (fqn, json.dumps(document)),
        )

    def statuses(self, pipeline: str) -> list[Json]:
        """Of all runs of the pipeline, the one told first coming first."""
        query = "SELECT document FROM pipeline_status WHERE fqn = ? ORDER BY rowid"
        return [json.loads(row[0]) for row in self._connection.execute(query, (pipeline,))]

    def save_status(self, pipeline: str, run_id: str, status: Json) -> None:
        self._connection.execute(
            "INSERT INTO pipeline_status (fqn, run_id, document) VALUES (?, ?, ?)"
            " ON CONFLICT (fqn, run_id) DO UPDATE SET document = excluded.document",
            (pipeline, run_id, json.dumps(status)),
        )

    def _entities(self, query: str, arguments: Sequence[object]) -> Iterator[Entity]:
        for row in self._connection.execute(query, arguments):
            entity_id, entity_type, name, fqn, deleted, document = row
            yield Entity(entity_id, entity_type, name, fqn, bool(deleted), json.loads(document))

    def _edges(self, where: str, arguments: Sequence[str]) -> Iterator[Edge]:
        query = f"SELECT from_id, to_id, details FROM edge WHERE {where} ORDER BY from_id, to_id"
        for from_id, to_id, details in self._connection.execute(query, arguments):
            yield Edge(from_id, to_id, json.loads(details))


class Store:
    """The SQLite file, shared by threads; other processes may read and write it too.

    A transaction that raises, or dies with its process, leaves nothing behind.
    """

    def __init__(self, database: Path) -> None:
        database.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(
            database, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        weakref.finalize(self, self._connection.close)
        self._connection.execute("PRAGMA journal_mode = WAL")
        # a killed process still loses nothing; only a power cut may undo the last transactions
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute("PRAGMA foreign_keys = ON")
        self._connection.executescript(_SCHEMA)

    @contextmanager
    def read(self) -> Iterator[Rows]:
        """One consistent view."""
        with self._lock:
            self._connection.execute("BEGIN")
            try:
                yield Rows(self._connection)
            finally:
                self._connection.execute("ROLLBACK")

    @contextmanager
    def write(self) -> Iterator[Rows]:
        """One transaction: all changes of the block, or none."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield Rows(self._connection)
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


def _live(include: Include) -> str:
    return {"non-deleted": "deleted = 0", "deleted": "deleted = 1", "all": "1"}[include]


def _below(
    entity_type: str, ancestors: Sequence[str], include: Include
) -> tuple[str, list[object]]:
    where, arguments = f"type = ? AND {_live(include)}", list[object]([entity_type])
    for ancestor in ancestors:
        # "/" is the character after ".", so the range holds exactly what starts with "ancestor."
        where += " AND fqn >= ? AND fqn < ?"
        arguments += [f"{ancestor}.", f"{ancestor}/"]
    return where, arguments
