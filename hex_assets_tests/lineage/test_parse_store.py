"""Statements parsed by an earlier run are not parsed again, and give the same."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from hex_assets.lineage import parser_processes
from hex_assets.lineage.edges import build_edges
from hex_assets.lineage.parse import parse
from hex_assets.lineage.parse_store import ParseStore, key_of
from hex_assets.lineage.script_bytes import read_script, write_script
from hex_assets_tests.lineage.catalogs import catalog, history, ran

DAY = date(2026, 11, 20)
TEXTS = [
    "SELECT x FROM a JOIN s.b USING (x)",
    'USE DATABASE "d"; SELECT * FROM "q".c',
    "CREATE TEMP TABLE t AS SELECT * FROM a; SELECT * FROM t; DROP TABLE t",
    "SELECT 'no end FROM a",
    "SELECT FROM WHERE",
    "SELECT * FROM IDENTIFIER($x)",
    "",
]


@given(st.lists(st.sampled_from(TEXTS)), st.sampled_from(["snowflake", "bigquery", "postgres"]))
def test_a_stored_script_is_the_same(texts: list[str], dialect: str) -> None:
    script = parse("; ".join(texts), dialect)
    assert read_script(write_script(script)) == script


def test_a_second_run_parses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = UPath(tmp_path / "parsed" / "ws.parquet")
    ours = history(*(ran(text) for text in TEXTS))
    tables = catalog("snow.DB.SCH.A")
    without = build_edges(ours, tables, [])
    first = build_edges(ours, tables, [], store=ParseStore(path))
    before = path.read_bytes()
    monkeypatch.setattr(parser_processes, "parse", None)
    second = build_edges(ours, tables, [], store=ParseStore(path))
    for built in (first, second):
        assert built.figures == without.figures
        assert built.edges.rows.equals(without.edges.rows)
        assert built.unresolved.rows.equals(without.unresolved.rows)
    assert path.read_bytes() == before


def test_another_version_and_a_damaged_file_count_for_nothing(tmp_path: Path) -> None:
    path = UPath(tmp_path / "ws.parquet")
    key = key_of("snowflake", "SELECT 1")
    ParseStore(path, parser="1").keep({key: parse("SELECT 1", "snowflake")})
    assert ParseStore(path, parser="1").get(key) == parse("SELECT 1", "snowflake")
    assert ParseStore(path, parser="2").get(key) is None
    path.write_bytes(b"PAR1 cut")
    assert ParseStore(path, parser="1").get(key) is None


def test_what_is_long_unused_leaves(tmp_path: Path) -> None:
    path = UPath(tmp_path / "ws.parquet")
    script = parse("SELECT 1", "snowflake")
    old, used = (key_of("snowflake", name) for name in ("old", "used"))
    ParseStore(path, lambda: DAY).keep({old: script, used: script})
    ParseStore(path, lambda: DAY + timedelta(days=60)).keep({used: script})
    assert ParseStore(path).get(old) == ParseStore(path).get(used) == script
    ParseStore(path, lambda: DAY + timedelta(days=91)).keep({used: script})
    assert ParseStore(path).get(old) is None
    assert ParseStore(path).get(used) == script
