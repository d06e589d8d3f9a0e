"""OpenMetadata's parser, as its lineage workflow calls it for a query of the log."""

from __future__ import annotations

from typing import Any

from collate_sqllineage.core.models import Table
from metadata.ingestion.lineage.models import Dialect
from metadata.ingestion.lineage.parser import LineageParser
from speaking import Found, speak

_DIALECTS = {dialect.value: dialect for dialect in Dialect} | {"presto": Dialect.TRINO}


def read(case: dict[str, Any]) -> Found:
    parser = LineageParser(case["sql"], _DIALECTS[case["dialect"]])
    if not parser.query_parsing_success:
        raise ValueError(parser.query_parsing_failure_reason)
    # Column lineage leads into a target table, which a query does not have.
    # Sources that are functions or files are of other classes.
    return [str(table) for table in parser.source_tables if isinstance(table, Table)], None


if __name__ == "__main__":
    speak(read, tells_columns=False)
