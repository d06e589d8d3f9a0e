"""DataHub's parser with the catalog's columns as its schemas; joined columns count as read."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from datahub.metadata.urns import DatasetUrn
from datahub.sql_parsing.schema_resolver import SchemaResolver
from datahub.sql_parsing.split_statements import split_statements
from datahub.sql_parsing.sqlglot_lineage import sqlglot_lineage
from speaking import Found, speak

_WITHOUT_DATABASE = ("clickhouse", "mysql", "athena")
"""DataHub's names of their tables have two parts."""


@lru_cache(maxsize=64)
def _resolver(platform: str, catalog: tuple[tuple[str, tuple[str, ...]], ...]) -> SchemaResolver:
    resolver = SchemaResolver(platform=platform)
    for table, columns in catalog:
        parts = table.split(".")[1:] if platform in _WITHOUT_DATABASE else table.split(".")
        for name in {".".join(parts), ".".join(parts).lower()}:
            urn = DatasetUrn.create_from_ids(platform, name, "PROD").urn()
            resolver.add_raw_schema_info(urn, dict.fromkeys(columns, "VARCHAR"))
    return resolver


def read(case: dict[str, Any]) -> Found:
    platform = case["dialect"]
    catalog = tuple((table, tuple(columns)) for table, columns in case["catalog"].items())
    tables: set[str] = set()
    columns: set[tuple[str, str]] = set()
    made: set[str] = set()
    for sql in split_statements(case["sql"]):
        found = sqlglot_lineage(
            sql,
            schema_resolver=_resolver(platform, catalog),
            default_db=None if platform in _WITHOUT_DATABASE else case["database"],
            default_schema=case["schema"],
        )
        if found.debug_info.table_error:
            raise found.debug_info.table_error
        # A later statement reads what an earlier one made.
        tables |= {urn for urn in found.in_tables if urn not in made}
        made |= set(found.out_tables)
        read_columns = [c for column in found.column_lineage or () for c in column.upstreams]
        read_columns += [c for join in found.joins or () for c in join.columns_involved]
        columns |= {(_name(c.table), c.column) for c in read_columns if c.table not in made}
    return sorted(map(_name, tables)), sorted(columns)


def _name(urn: str) -> str:
    return str(DatasetUrn.from_string(urn).name)


if __name__ == "__main__":
    speak(read, tells_columns=True)
