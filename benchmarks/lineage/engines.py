"""Engines that read lineage from SQL: ours, and others each in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.lineage.corpus import SERVICE, Statement, catalog_of
from benchmarks.lineage.exactness import Answer
from hex_assets.lineage.columns import Derived
from hex_assets.lineage.names import session_of
from hex_assets.lineage.parse import Reference, parse
from hex_assets.lineage.resolve import Resolved, TableIndex
from hex_assets_tests.warehouse.environments import python_of

_DRIVERS = Path(__file__).parent / "drivers"
_WARM = "SELECT a FROM t"


@dataclass(frozen=True)
class Engine:
    """Somebody else's engine.

    Attributes:
        name: how the table calls it.
        packages: what its environment is made of.
        driver: the script that speaks with it.
        overrides: requirements that count instead of what the packages ask for.
    """

    name: str
    packages: tuple[str, ...]
    driver: str
    overrides: tuple[str, ...] = ()

    @property
    def environment(self) -> str:
        return "lineage-" + self.name.replace(" ", "-").lower()


ENGINES = (
    Engine(
        "OpenMetadata 2.0.7.0",
        # It needs pytz and does not ask for it.
        ("openmetadata-ingestion==2.0.7.0", "pytz==2025.2"),
        "read_with_openmetadata.py",
        # It comes in for data diffs, and its newest version downloads a wheel while it is built.
        ("dbt-core; sys_platform == 'none'",),
    ),
    Engine("DataHub 1.7.0.17", ("acryl-datahub[sql-parser]==1.7.0.17",), "read_with_datahub.py"),
    Engine("sqllineage 1.5.9", ("sqllineage==1.5.9",), "read_with_sqllineage.py"),
    Engine("openlineage-sql 1.54.0", ("openlineage-sql==1.54.0",), "read_with_openlineage.py"),
)


class EngineUnavailable(Exception):
    """The engine cannot be installed or ended; the argument says why."""


def foreign_answers(engine: Engine, statements: Sequence[Statement]) -> list[Answer]:
    """What the engine says about the statements, read one after the other in one process.

    A statement of each dialect goes before them, so that what an engine loads once is not counted.

    Raises:
        EngineUnavailable: it cannot be installed, or its process ended.
    """
    try:
        python = python_of(engine.environment, engine.packages, overrides=engine.overrides)
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        said = getattr(error, "stderr", None) or str(error).encode()
        raise EngineUnavailable(
            f"not installed: {said.decode().strip().splitlines()[0]}"
        ) from error
    dialects = dict.fromkeys(statement.dialect for statement in statements)
    warm = [{**_case(_first(statements, d)), "sql": _WARM} for d in dialects]
    lines = [json.dumps(case) for case in (*warm, *map(_case, statements))]
    done = subprocess.run(
        [str(python), str(_DRIVERS / engine.driver)],
        check=False,
        input="\n".join(lines) + "\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if len(answers) != len(lines):
        raise EngineUnavailable(
            f"its process ended with {done.returncode} after {len(answers)} of {len(lines)}"
        )
    return [Answer(**answer) for answer in answers[len(warm) :]]


def _first(statements: Sequence[Statement], dialect: str) -> Statement:
    return next(statement for statement in statements if statement.dialect == dialect)


def _case(statement: Statement) -> dict[str, Any]:
    """A statement as drivers get it."""
    return {
        "dialect": statement.dialect,
        "sql": statement.sql,
        "database": statement.database,
        "schema": statement.schema,
        "catalog": statement.catalog,
    }


def our_answers(statements: Sequence[Statement], with_columns: bool = True) -> Iterator[Answer]:
    """What hex-assets says: parsed, resolved and attributed in this process.

    Args:
        with_columns: whether the catalog knows the columns of its tables.
    """
    for dialect in {statement.dialect for statement in statements}:
        parse(_WARM, dialect)
    indexes: dict[tuple[tuple[str, tuple[str, ...]], ...], TableIndex] = {}
    for statement in statements:
        index = indexes.get(key := tuple(statement.catalog.items()))
        if index is None:
            index = TableIndex(catalog_of(statement, with_columns).rows, [])
            indexes[key] = index
        began = time.process_time()
        session = session_of(statement.dialect, statement.database, statement.schema)
        script = parse(statement.sql, statement.dialect)
        found: dict[Reference, Resolved] = {}
        tables = []
        for reference in script.references(session).tables:
            answer = index.resolve(SERVICE, statement.dialect, reference.table, reference.session)
            if isinstance(answer, Resolved):
                found[reference] = answer
                tables.append(answer.table.table_fqn)
            elif answer is not None:
                tables.append(".".join(part.text for part in reference.table.parts))

        def known(
            reference: Reference, found: dict[Reference, Resolved] = found
        ) -> Sequence[str] | Derived | None:
            return found[reference].columns if reference in found else None

        used, _ = script.columns(session, known)
        columns = [
            (found[reference].table.table_fqn, column)
            for reference, names in used.items()
            if isinstance(reference, Reference) and reference in found
            for column in names
        ]
        yield Answer(tables, columns, (time.process_time() - began) * 1000)
