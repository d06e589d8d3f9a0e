"""What every warehouse of a recipe is: how to log in, and how to read what Hex ran there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from pydantic import Field, PrivateAttr
from typing_extensions import Self

from hex_assets.section import FilterPattern, Section, free_form, no_effect
from hex_assets.warehouse.reader import HistoryBatch, Window, executions


class WarehouseConnection(Section, ABC):
    """One entry of ``hexAssets.warehouses``, which reads the query history of a database service.

    A subclass is a warehouse: its fields are those of OpenMetadata's own connection of that
    ``type``, so that users paste what they have, and its methods read the history. The class has
    to be named in ``registry.py`` too.
    """

    _service: str = PrivateAttr(default="")

    def of(self, service: str) -> Self:
        """This connection as that of a database service, by its name in OpenMetadata."""
        bound = self.model_copy()
        bound._service = service  # noqa: SLF001  (a copy of our own)
        return bound

    @property
    def service(self) -> str:
        """OpenMetadata name of the database service; empty before ``of``."""
        return self._service

    @property
    @abstractmethod
    def sql_dialect(self) -> str:
        """Dialect of the statements by its sqlglot name."""

    @property
    def latency(self) -> timedelta:
        """How much later than its execution a row may appear in the history, with a margin.

        It has to be shorter than the source remembers, since so much is read anew by each run.
        """
        return timedelta(hours=1)

    @abstractmethod
    def read(self, window: Window) -> Iterator[HistoryBatch]:
        """The successful statements with a Hex comment that started within the window.

        Returns:
            Batches of bounded size.

        Raises:
            WarehouseError: the history could not be read to its end.
        """

    @abstractmethod
    def check(self) -> str:
        """Whether the history can be read, by a small read: what was found, in one line.

        Raises:
            WarehouseError: it cannot be read.
        """


class SqlWarehouse(WarehouseConnection):
    """A warehouse that keeps its query history where SQL reaches it.

    The fields without effect are those that OpenMetadata's connections of databases share.
    """

    history_statement: str | None = Field(
        default=None,
        min_length=1,
        description="A SELECT of your own in place of ours, for a copy or view of the history. It "
        "returns query_text and start_time, and if it can database_name, schema_name, user_name, "
        "query_id; one row per successful execution. The window are the parameters start and end, "
        "written as the warehouse's client does (see the page of the warehouse in docs). Not one "
        "of OpenMetadata's fields.",
    )
    statement_timeout_seconds: int = Field(
        default=900,
        ge=1,
        le=86_400,
        description="Longest time a statement of ours may take. Not one of OpenMetadata's fields.",
    )
    row_limit: int = Field(
        default=5_000_000,
        ge=1,
        description="Rows of history read at most, after grouping where the warehouse groups; "
        "what is over it is reported as missing. Not one of OpenMetadata's fields.",
    )
    connection_options: dict[str, str] = free_form("Options of the connection, as strings.")
    connection_arguments: dict[str, Any] = free_form("Further arguments of the client library.")

    schema_filter_pattern: FilterPattern | None = no_effect(None)
    table_filter_pattern: FilterPattern | None = no_effect(None)
    database_filter_pattern: FilterPattern | None = no_effect(None)
    stored_procedure_filter_pattern: FilterPattern | None = no_effect(None)
    sample_data_storage_config: dict[str, Any] | None = no_effect(None)
    policy_agent_config: dict[str, Any] | None = no_effect(None)
    supports_metadata_extraction: bool = no_effect(True)
    supports_incremental_metadata_extraction: bool = no_effect(True)
    supports_usage_extraction: bool = no_effect(True)
    supports_lineage_extraction: bool = no_effect(True)
    supports_dbt_extraction: bool = Field(
        default=True, alias="supportsDBTExtraction", description="No effect here.", repr=False
    )
    supports_profiler: bool = no_effect(True)
    supports_database: bool = no_effect(True)
    supports_query_comment: bool = no_effect(True)
    supports_system_profile: bool = no_effect(False)
    supports_data_diff: bool = no_effect(True)
    supports_view_lineage_extraction: bool = no_effect(True)

    def read(self, window: Window) -> Iterator[HistoryBatch]:
        """See ``WarehouseConnection.read``."""
        if self.history_statement is None:
            batches = self.read_history(window)
        else:
            batches = self._own_history(self.history_statement, window)
        yield from _within_limit(self.service, batches, self.row_limit)

    def _own_history(self, statement: str, window: Window) -> Iterator[HistoryBatch]:
        bounds = {"start": window.start, "end": window.end}
        for names, rows in self.execute(statement, bounds):
            yield HistoryBatch(executions(self.service, names, rows))

    @abstractmethod
    def read_history(self, window: Window) -> Iterator[HistoryBatch]:
        """What ``read`` gives, from where this warehouse keeps its history.

        A statement asks for one row more than ``row_limit``, so that ``read`` can tell that the
        limit was reached.
        """

    @abstractmethod
    def execute(
        self, statement: str, parameters: Mapping[str, Any]
    ) -> Iterator[tuple[Sequence[str], Sequence[Sequence[Any]]]]:
        """Run one SELECT in a session of its own.

        Args:
            statement: in the warehouse's dialect, parameters in its client's style.
            parameters: values by name; instants are aware and in UTC.

        Returns:
            Names of the columns and some rows, until there are no more; at least once.

        Raises:
            WarehouseError: it could not be read to its end.
        """


def _within_limit(
    service: str, batches: Iterable[HistoryBatch], limit: int
) -> Iterator[HistoryBatch]:
    """The batches up to so many rows; if there are more, the last batch has a gap that says so."""
    left = limit
    for batch in batches:
        if batch.rows.height > left:
            gap = (
                f"{service}: more than {limit} rows of history: the rest was not read. Raise "
                "rowLimit of the warehouse, or lower hexAssets.lookBackDays"
            )
            yield replace(batch, rows=batch.rows.head(left), gaps=(*batch.gaps, gap))
            return
        left -= batch.rows.height
        yield batch
