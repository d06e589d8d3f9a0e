"""How many statements of a corpus an engine reads exactly, by rules that are the same for all.

Letter case and quotes do not count, empty parts and parts in angle brackets are dropped. A name is
a table of the truth if the last parts of both are equal, as many as both have, so that an engine is
not blamed for parts that it is not told. Names that the corpus lists as named besides count neither
for nor against, and ``*`` is no column. *Looked up* leaves out names that no table of the catalog
has, such as functions and files, as who looks them up would.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import mean, median
from typing import NamedTuple

from benchmarks.lineage.corpus import Statement


class Answer(NamedTuple):
    """What an engine says about one statement.

    Attributes:
        tables: names of the tables that are read, in any spelling.
        columns: names of tables and columns; None if the engine tells no columns of queries.
        milliseconds: from text to answer.
        error: why there is no answer.
    """

    tables: Sequence[str]
    columns: Sequence[tuple[str, str]] | None
    milliseconds: float
    error: str | None = None


@dataclass
class Score:
    """What one engine made of a corpus.

    Attributes:
        statements: how many.
        tables: those whose tables are exactly the true ones.
        looked_up: those whose tables are, without names that the catalog does not have.
        columns: those whose columns are; None if the engine tells none.
        found, wanted, right: columns found, true ones, and those in both.
        milliseconds: of each statement.
        failed: statements that the engine gave no answer about.
        wrong: names of the statements whose tables or columns are not exact.
    """

    statements: int = 0
    tables: int = 0
    looked_up: int = 0
    columns: int | None = 0
    found: int = 0
    wanted: int = 0
    right: int = 0
    milliseconds: list[float] = field(default_factory=list)
    failed: int = 0
    wrong: list[str] = field(default_factory=list)

    def row(self, corpus: str, engine: str) -> str:
        """A row of the table in ``README.md``."""
        columns = recall = "-"
        if self.columns is not None:
            columns = f"{self.columns}/{self.statements}"
            recall = (
                f"{self.right / max(1, self.wanted):.3f} / {self.right / max(1, self.found):.3f}"
            )
        return (
            f"| {corpus} | {engine} | {self.tables}/{self.statements} | {self.looked_up} "
            f"| {columns} | {recall} "
            f"| {self.failed} | {mean(self.milliseconds):.2f} / {median(self.milliseconds):.2f} |"
        )


HEAD = (
    "| corpus | engine | tables exact | looked up | columns exact | column recall / precision "
    "| no answer | ms mean / median |\n|---|---|---:|---:|---:|---:|---:|---:|"
)


def score(statements: Sequence[Statement], answers: Iterable[Answer]) -> Score:
    """Compare the answers, in the order of the statements, with the truth."""
    result = Score()
    for statement, answer in zip(statements, answers, strict=True):
        tables = {
            _table(statement, name) or name
            for name in answer.tables
            if _table(statement, name) or not _is_named_besides(statement, name)
        }
        same_tables = tables == set(statement.reads)
        result.statements += 1
        result.tables += same_tables
        result.looked_up += {t for t in tables if _is_known(statement, t)} == set(statement.reads)
        result.milliseconds.append(answer.milliseconds)
        result.failed += answer.error is not None
        same_columns = True
        if answer.columns is None:
            result.columns = None
        else:
            found = {
                (_table(statement, table) or table, column.lower())
                for table, column in answer.columns
                if column != "*" and not _is_named_besides(statement, table)
            }
            wanted = {
                (table, column.lower())
                for table, columns in statement.reads.items()
                for column in columns
            }
            same_columns = found == wanted
            result.columns = (result.columns or 0) + same_columns
            result.found += len(found)
            result.wanted += len(wanted)
            result.right += len(found & wanted)
        if not (same_tables and same_columns):
            result.wrong.append(statement.id)
    return result


def _parts(name: str) -> list[str]:
    parts = (part.strip("\"'`[] ") for part in name.lower().split("."))
    return [part for part in parts if part and not part.startswith("<")]


def _fits(name: str, other: str, without_database: bool) -> bool:
    ours, theirs = _parts(name), _parts(other)
    if without_database:
        theirs = theirs[-2:]
    shared = min(len(ours), len(theirs))
    return shared > 0 and ours[-shared:] == theirs[-shared:]


def _table(statement: Statement, name: str) -> str | None:
    """The table of the truth that a name means."""
    for table in statement.reads:
        spellings = (table, statement.named_as.get(table, table))
        if any(_fits(name, spelling, _is_without_database(statement)) for spelling in spellings):
            return table
    return None


def _is_known(statement: Statement, name: str) -> bool:
    return name in statement.reads or any(
        _fits(name, table, _is_without_database(statement)) for table in statement.catalog
    )


def _is_without_database(statement: Statement) -> bool:
    return any(table.startswith("default.") for table in statement.catalog)


def _is_named_besides(statement: Statement, name: str) -> bool:
    if _table(statement, name) is not None:
        return False
    return any(_fits(name, other, False) for other in statement.also_named)
