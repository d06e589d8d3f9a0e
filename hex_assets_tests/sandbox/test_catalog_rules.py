"""The pure rules: names of any text, JSON Patch as RFC 6902 describes it; and the store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hex_assets.sandbox.catalog.rules import Refused, apply_patch, join_fqn, split_fqn
from hex_assets.sandbox.catalog.seed import seed
from hex_assets.sandbox.catalog.store import Store
from hex_assets.sandbox.world import CatalogTable, DatabaseService, World, build_world

NAMES = st.text(st.characters(exclude_characters='"'), min_size=1)


@given(st.lists(NAMES, min_size=1, max_size=5))
def test_a_joined_name_splits_into_its_parts(parts: list[str]) -> None:
    fqn: str | None = None
    for part in parts:
        fqn = join_fqn(fqn, part)
    assert fqn is not None
    assert [part.strip('"') for part in split_fqn(fqn)] == parts


@pytest.mark.parametrize(
    ("document", "operation", "expected"),
    [
        ({"a": 1}, {"op": "add", "path": "/b", "value": [2]}, {"a": 1, "b": [2]}),
        ({"a": [1, 3]}, {"op": "add", "path": "/a/1", "value": 2}, {"a": [1, 2, 3]}),
        ({"a": [1]}, {"op": "add", "path": "/a/-", "value": 2}, {"a": [1, 2]}),
        ({"a": 1}, {"op": "add", "path": "", "value": {"b": 2}}, {"b": 2}),
        ({"a": [1, 2]}, {"op": "remove", "path": "/a/0"}, {"a": [2]}),
        ({"a": [1, 2]}, {"op": "replace", "path": "/a/1", "value": 3}, {"a": [1, 3]}),
        ({"a": 1}, {"op": "replace", "path": "", "value": {}}, {}),
        ({"a": {"b": 1}}, {"op": "move", "from": "/a/b", "path": "/c"}, {"a": {}, "c": 1}),
        ({"a": [1]}, {"op": "copy", "from": "/a", "path": "/b"}, {"a": [1], "b": [1]}),
        ({"a/b": 1, "m~n": 2}, {"op": "remove", "path": "/a~1b"}, {"m~n": 2}),
        ({"a/b": 1, "m~n": 2}, {"op": "test", "path": "/m~0n", "value": 2}, {"a/b": 1, "m~n": 2}),
        ({"": 1}, {"op": "remove", "path": "/"}, {}),
    ],
)
def test_patch_operations(document: Any, operation: Any, expected: Any) -> None:
    before = repr(document)
    assert apply_patch(document, [operation]) == expected
    assert repr(document) == before


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/missing"},
        {"op": "remove", "path": ""},
        {"op": "replace", "path": "/missing", "value": 1},
        {"op": "add", "path": "/list/9", "value": 1},
        {"op": "add", "path": "/list/01", "value": 1},
        {"op": "add", "path": "/list/-1", "value": 1},
        {"op": "add", "path": "/text/x", "value": 1},
        {"op": "add", "path": "no-slash", "value": 1},
        {"op": "add", "path": "/x"},
        {"op": "move", "from": "/missing", "path": "/x"},
        {"op": "replace", "path": "", "value": 3},
        "remove",
    ],
)
def test_patches_that_lead_nowhere_are_refused(operation: Any) -> None:
    with pytest.raises(Refused) as refusal:
        apply_patch({"list": [1], "text": "t"}, [operation])
    assert refusal.value.status == 400


def test_the_demo_world_fits_and_seeding_again_changes_only_columns(tmp_path: Path) -> None:
    world = build_world()
    database = tmp_path / "catalog.db"
    seed(database, world)
    with Store(database).read() as rows:
        first = rows.listed("table")
    assert len(first) == sum(len(service.tables) for service in world.database_services)
    seed(database, world)
    with Store(database).read() as rows:
        assert rows.listed("table") == first

    service = world.database_services[0]
    table = service.tables[0]
    wider = CatalogTable(table.database, table.schema, table.name, (("NEW", "INT"),))
    changed = DatabaseService(service.name, service.service_type, (wider,))
    seed(database, World((), (changed,), ()))
    with Store(database).read() as rows:
        second = {one.id: one for one in rows.listed("table")}
    moved = [one for one in first if second[one.id] != one]
    assert [one.name for one in moved] == [table.name]
    assert second[moved[0].id].document["columns"][0]["name"] == "NEW"
    assert second[moved[0].id].document["version"] == 0.2


def test_a_killed_writer_leaves_nothing_behind(tmp_path: Path) -> None:
    database = tmp_path / "catalog.db"
    seed(database, World((), (), ()))
    script = f"""
import os
from pathlib import Path
from hex_assets.sandbox.catalog.store import Entity, Store
with Store(Path({str(database)!r})).write() as rows:
    rows.save(Entity("half", "dashboard", "half", "hex.half", False, {{}}))
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    with Store(database).write() as rows:
        assert rows.listed("dashboard") == []
        assert len(rows.listed("team")) == 1
