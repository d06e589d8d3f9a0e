"""The truth about vendors' texts: what can be told without them, and how they are taken in."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from benchmarks.lineage import corpus
from benchmarks.lineage.corpus import VENDORS, own_statements, vendor_statements

ROW = re.compile(r"\| (\S+\.yaml) \| (\S+) \| (.+) \| (\d+) \|")
SQL = "select a from t\n"
HASH = hashlib.sha256(SQL.encode()).hexdigest()
FILE = f"""
dialect: duckdb
session: {{database: d, schema: s}}
catalog: {{d.s.t: a b}}
queries:
  - {{name: kept, text: {HASH}, reads: {{d.s.t: {{output: a}}}}}}
  - {{name: absent, text: {"0" * 64}, reads: {{d.s.t: {{output: b}}}}}}
"""


@pytest.fixture
def vendors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "one.yaml").write_text(FILE, encoding="utf-8")
    monkeypatch.setattr(corpus, "VENDORS", tmp_path)
    return tmp_path


def test_names_are_unique_beside_our_own() -> None:
    statements = [*own_statements(), *vendor_statements(None)]
    assert max(Counter(statement.id for statement in statements).values()) == 1


def test_every_file_names_its_origin_and_holds_no_text() -> None:
    rows = {}
    for file in VENDORS.glob("*.yaml"):
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        source = document["source"]
        rows[file.name] = (source["repository"], source["licence"], len(document["queries"]))
        for query in document["queries"]:
            assert "sql" not in query
            assert re.fullmatch(r"[0-9a-f]{64}", query["text"])
            assert query.get("path") or source["paths"]
    told = (VENDORS / "README.md").read_text(encoding="utf-8")
    assert rows == {
        name: (repository, licence, int(texts))
        for name, repository, licence, texts in ROW.findall(told)
    }


def test_statements_without_their_text_are_left_out(vendors: Path) -> None:
    (vendors / f"{HASH}.sql").write_text(SQL, encoding="utf-8")
    (statement,) = vendor_statements(vendors)
    assert (statement.name, statement.sql) == ("kept", SQL)


def test_another_text_is_refused(vendors: Path) -> None:
    (vendors / f"{HASH}.sql").write_text(SQL + " ", encoding="utf-8")
    with pytest.raises(ValueError, match="holds another text"):
        vendor_statements(vendors)
