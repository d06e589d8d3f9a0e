"""Manifests of dbt, git diffs and lists, to what they take away."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hex_assets.errors import ChangeUnreadable
from hex_assets.impact.changed import read_change


def node(name: str, *columns: str, **over: Any) -> dict[str, Any]:
    return {
        "resource_type": "model",
        "database": "ANALYTICS",
        "schema": "core",
        "name": name,
        "alias": name,
        "columns": {column: {"name": column} for column in columns},
        "config": {"materialized": "table"},
    } | over


def manifest(
    path: Path, *nodes: dict[str, Any], sources: list[dict[str, Any]] | None = None
) -> Path:
    document = {
        "nodes": {f"{one['resource_type']}.shop.{one['name']}": one for one in nodes},
        "sources": {f"source.shop.{one['name']}": one for one in sources or []},
    }
    path.write_text(json.dumps(document))
    return path


def told(*paths: Path) -> list[str]:
    return [str(change) for change in read_change(paths)]


def test_two_manifests(tmp_path: Path) -> None:
    source = node("events", "at", resource_type="source", identifier="raw_events", config={})
    before = manifest(
        tmp_path / "before.json",
        node("orders", "id", "Amount", "region"),
        node("gone"),
        node("moved"),
        node("helper", config={"materialized": "ephemeral"}),
        node("compiled", compiled_code="select a.x, y as z from t as a"),
        node("starred", compiled_code="select * from t"),
        node("test_1", resource_type="test"),
        sources=[source],
    )
    after = manifest(
        tmp_path / "after.json",
        node("orders", "ID", "area", "region"),
        node("moved", alias="moved_v2"),
        node("compiled", compiled_code="select z from t"),
        node("starred", compiled_code="select a from t"),
        sources=[source | {"columns": {}}],
    )
    assert told(before, after) == [
        "ANALYTICS.core.compiled.x",
        "ANALYTICS.core.gone",
        "ANALYTICS.core.moved",
        "ANALYTICS.core.orders.Amount",
    ]
    assert told(before, before) == []


def test_a_model_that_another_makes_now_is_still_there(tmp_path: Path) -> None:
    before = manifest(tmp_path / "before.json", node("orders"))
    after = manifest(tmp_path / "after.json", node("orders_v2", alias="ORDERS"))
    assert told(before, after) == []


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"nodes": {"a": 1}}', '{"nodes": {"a": {}}}'])
def test_what_is_no_manifest(tmp_path: Path, text: str) -> None:
    good, bad = manifest(tmp_path / "good.json"), tmp_path / "bad.json"
    bad.write_text(text)
    with pytest.raises(ChangeUnreadable, match="is not a manifest"):
        read_change([good, bad])


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "dbt"
    for name, text in {
        "models/core/orders.sql": "{{ config(materialized='table') }}\n"
        "select o.id, o.amount, r.name as region\nfrom {{ ref('raw') }} as o\n"
        "{% if var('x') %} join regions as r using (id) {% endif %}\n",
        "models/core/gone.sql": "select 1 as a\n",
        "models/core/old_name.sql": "select 1 as a, 2 as b, 3 as c\n",
        "models/schema.yml": "models:\n  - name: orders\n    columns:\n      - name: id\n"
        "      - name: Amount\n  - name: gone\n",
        "analyses/note.sql": "select 1\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    return folder


def git(folder: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@t.example", *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_a_git_diff_of_a_dbt_project(repository: Path) -> None:
    git(repository, "commit", "-qm", "before")
    orders = repository / "models/core/orders.sql"
    orders.write_text(orders.read_text().replace("o.amount, r.name as region", "r.name as area"))
    (repository / "models/core/gone.sql").unlink()
    (repository / "models/core/old_name.sql").rename(repository / "models/core/new_name.sql")
    (repository / "models/schema.yml").write_text(
        "models:\n  - name: orders\n    columns:\n      - name: ID\n"
    )
    (repository / "analyses/note.sql").unlink()
    (repository / "migrations").mkdir()
    (repository / "migrations/1.sql").write_text(
        "ALTER TABLE core.customers DROP COLUMN email;\n"
        "ALTER TABLE core.customers RENAME COLUMN name TO full_name;\n"
        "DROP TABLE raw.shop.clicks;\nALTER TABLE core.a RENAME TO b;\n"
    )
    git(repository, "add", "-A")
    change = repository.parent / "change.diff"
    change.write_text(git(repository, "diff", "--cached", "-M", "-U100000"))
    assert told(change) == [
        "core.a",
        "core.customers.email",
        "core.customers.name",
        "gone",
        "old_name",
        "orders.Amount",
        "orders.amount",
        "orders.region",
        "raw.shop.clicks",
    ]


def test_a_diff_of_parts_asks_for_the_whole(repository: Path) -> None:
    file = repository / "models/core/long.sql"
    file.write_text("select\n" + "".join(f"  c{n},\n" for n in range(50)) + "  x\nfrom t\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "before")
    file.write_text(file.read_text().replace("  c40,\n", ""))
    change = repository.parent / "change.diff"
    change.write_text(git(repository, "diff"))
    with pytest.raises(ChangeUnreadable, match="git diff -U100000"):
        read_change([change])
    change.write_text(git(repository, "diff", "-U100000"))
    assert told(change) == ["long.c40"]


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"a.txt": "drop table x;\n"}, "a.txt, line 1 is not the name"),
        ({"a.json": "{}"}, "is one manifest; give the one before it"),
        ({"a": "", "b": "", "c": ""}, "takes one or two files, not 3"),
    ],
)
def test_what_is_no_change(tmp_path: Path, files: dict[str, str], problem: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ChangeUnreadable, match=problem):
        read_change([tmp_path / name for name in files])


def test_a_missing_file_and_another_encoding(tmp_path: Path) -> None:
    with pytest.raises(ChangeUnreadable, match="No such file"):
        read_change([tmp_path / "none"])
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ChangeUnreadable, match="is not UTF-8"):
        read_change([tmp_path / "bytes"])
