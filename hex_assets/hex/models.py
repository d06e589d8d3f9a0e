"""What Hex's REST API sends, as far as the catalog needs it.

Field names are Hex's (camelCase on the wire). Unknown fields are ignored and sets that Hex may
extend (type, cadence, cell type) are plain strings, so that a new Hex release breaks nothing.
Anything Hex documents as required but that is known to be missing at times is optional.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Annotated, Any, Generic, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)
from pydantic.alias_generators import to_camel

RENEW_TOKEN_WITHIN_DAYS = 14
"""A token that ends sooner is warned of."""

_ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_PLAIN_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")


def _written_as_iso(value: Any) -> Any:
    # Left to itself, pydantic would take any number for an epoch.
    if isinstance(value, str) and _ISO_DAY.match(value):
        return value
    raise ValueError("not an ISO 8601 instant")


def _in_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        return value.replace(tzinfo=timezone.utc)
    try:
        return value.astimezone(timezone.utc)
    except OverflowError as error:
        raise ValueError("outside the calendar") from error


def _none_when_blank(value: str | None) -> str | None:
    return (value or "").strip() or None


def storable(value: Any) -> Any:
    """Text in which half a surrogate pair, as left by cutting a text in JavaScript, is mended.

    Python's JSON accepts such halves but no UTF-8 storage does.
    """
    if not isinstance(value, str):
        return value
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _only_text(value: Any) -> Any:
    """Settings of other cell types may have the same name and another shape."""
    return value if isinstance(value, str) else None


def _empty_when_null(value: Any) -> Any:
    return () if value is None else value


Item = TypeVar("Item", bound="HexItem")
_Value = TypeVar("_Value")

String = Annotated[str, BeforeValidator(storable)]
Id = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, min_length=1),
    BeforeValidator(storable),
]
Instant = Annotated[datetime, BeforeValidator(_written_as_iso), AfterValidator(_in_utc)]
Text = Annotated[String | None, AfterValidator(_none_when_blank)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
ListOf = Annotated[tuple[_Value, ...], BeforeValidator(_empty_when_null)]


class Wire(BaseModel):
    """An object of the API; validation errors never quote what was sent."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="ignore", frozen=True, hide_input_in_errors=True
    )


class HexItem(Wire, ABC):
    """One item of a listing."""

    @property
    @abstractmethod
    def key(self) -> str:
        """What identifies the item in its listing."""


class Person(Wire):
    email: Text = None


class Status(Wire):
    name: Text = None


class Category(Wire):
    name: Text = None
    description: Text = None


class AppViews(Wire):
    all_time: Count | None = None
    last_seven_days: Count | None = None
    last_fourteen_days: Count | None = None
    last_thirty_days: Count | None = None


class Analytics(Wire):
    published_results_updated_at: Instant | None = None
    last_viewed_at: Instant | None = None
    app_views: AppViews | None = None


class Timing(Wire):
    """When a schedule fires; which fields are set depends on its cadence.

    Attributes:
        timezone: UTC offset such as ``+05:30``, not an IANA name.
    """

    minute: int | None = None
    hour: int | None = None
    day_of_week: Text = None
    day: int | None = None
    cron: Text = None
    timezone: Text = None


class Schedule(Wire):
    """A schedule of a published project; the timing named like its cadence is set."""

    cadence: String
    enabled: bool = False
    hourly: Timing | None = None
    daily: Timing | None = None
    weekly: Timing | None = None
    monthly: Timing | None = None
    custom: Timing | None = None


class Named(Wire):
    name: Text = None


class CollectionShare(Wire):
    collection: Named | None = None
    access: Text = None


class GroupShare(Wire):
    group: Named | None = None
    access: Text = None


class Sharing(Wire):
    """Whom an item is shared with; collections and groups are told by name only."""

    collections: ListOf[CollectionShare] = ()
    groups: ListOf[GroupShare] = ()


class Reviews(Wire):
    required: bool | None = None


class ProjectEdit(HexItem):
    """When a project or component last changed."""

    id: Id
    last_edited_at: Instant | None = None
    last_published_at: Instant | None = None

    @property
    def key(self) -> str:
        return self.id


class Project(ProjectEdit):
    """A project or component (Hex API, ListProjects).

    Attributes:
        type: ``PROJECT`` or ``COMPONENT``.
        last_published_at: None means that it was never published.
        sharing: only sent when asked for.
    """

    type: String
    title: Text = None
    description: Text = None
    owner: Person | None = None
    creator: Person | None = None
    status: Status | None = None
    categories: ListOf[Category] = ()
    analytics: Analytics | None = None
    created_at: Instant | None = None
    archived_at: Instant | None = None
    trashed_at: Instant | None = None
    schedules: ListOf[Schedule] = ()
    sharing: Sharing | None = None
    reviews: Reviews | None = None


class WorkspaceCollection(HexItem):
    """A collection of the workspace (Hex API, ListCollections)."""

    id: Id
    name: Text = None
    description: Text = None

    @property
    def key(self) -> str:
        return self.id


class QueriedTable(HexItem):
    """A table that Hex saw a project query (Hex API, GetQueriedTables).

    Attributes:
        table_name: as Hex reports it, with one to three parts; at times no table at all.
    """

    data_connection_id: Id
    table_name: Annotated[String, StringConstraints(strip_whitespace=True, min_length=1)]

    @property
    def key(self) -> str:
        return f"{self.data_connection_id} {self.table_name}"

    @property
    def names_a_table(self) -> bool:
        """Whether it is a name; Hex also sends calls, such as ``count(*)``."""
        return "(" not in self.table_name or any(quote in self.table_name for quote in '"`[')


class Run(HexItem):
    """One run of a published project (Hex API, GetProjectRuns).

    Attributes:
        elapsed_time: milliseconds.
    """

    run_id: Id
    run_trigger: String
    status: String
    run_url: Text = None
    start_time: Instant | None = None
    end_time: Instant | None = None
    elapsed_time: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None

    @property
    def key(self) -> str:
        return self.run_id


class Export(Wire):
    """The source of a project in Hex's file format (Hex API, ExportProject)."""

    content: String = Field(repr=False)


class DataConnection(HexItem):
    """A shared connection to a warehouse (Hex API, ListDataConnections).

    Attributes:
        type: ``snowflake``, ``bigquery``...
        connection_details: one object under the name of the type. It may hold user names and a
            JDBC URL with a password, so it is left out of the repr.
    """

    id: Id
    name: Text = None
    type: String
    connection_details: dict[str, Any] | None = Field(default=None, repr=False)

    @property
    def key(self) -> str:
        return self.id


class SqlCell(Wire):
    """What a SQL cell runs; raw SQL may hold literals, so it is left out of the repr."""

    source: String | None = Field(default=None, repr=False)
    output_dataframe: Text = None


class MarkdownCell(Wire):
    source: String | None = Field(default=None, repr=False)


class CellContents(Wire):
    sql_cell: SqlCell | None = None
    markdown_cell: MarkdownCell | None = None


class Cell(HexItem):
    """A cell of a project's draft (Hex API, ListCells).

    Attributes:
        static_id: stable across versions, unlike Hex's ``id`` of a cell.
        data_connection_id: None for SQL over dataframes.
    """

    static_id: Id
    cell_type: String
    label: Text = None
    data_connection_id: Id | None = None
    contents: CellContents | None = None

    @property
    def key(self) -> str:
        return self.static_id


class ImportedComponent(Wire):
    id: Id
    version: int | String | None = None


class CellConfig(Wire):
    """What a cell of an export is set to do, as far as a catalog needs it.

    Attributes:
        data_frame_cell: SQL over dataframes, which reaches no warehouse.
        value_variable_name: what a metric shows.
    """

    source: Annotated[String | None, BeforeValidator(_only_text)] = Field(default=None, repr=False)
    data_connection_id: Id | None = None
    data_frame_cell: bool | None = None
    result_variable_name: Text = None
    dataframe: Annotated[Text, BeforeValidator(_only_text)] = None
    value_variable_name: Annotated[Text, BeforeValidator(_only_text)] = None
    component: ImportedComponent | None = None


class ExportedCell(Wire):
    """A cell in Hex's file format; its id is taken for the static id of the listing."""

    cell_id: Id
    cell_type: String
    cell_label: Text = None
    config: Annotated[CellConfig, BeforeValidator(lambda value: {} if value is None else value)] = (
        CellConfig()
    )


class Org(Wire):
    id: Id | None = None


class TokenLife(Wire):
    """How long a token lives.

    Attributes:
        exp: epoch seconds; None for a token that does not expire.
    """

    exp: float | None = None


class Me(Wire):
    """Whose token it is (Hex API, Me).

    Attributes:
        id: None for a workspace token, which belongs to no user.
    """

    id: Id | None = None
    email: Text = None
    org: Org | None = None
    token: TokenLife | None = None


@dataclass(frozen=True)
class Listing(Generic[Item]):
    """A listing read to its end.

    Attributes:
        items: the items, each once, in the order of their first appearance.
        malformed: one sentence per item that was left out because it is not what Hex documents;
            it names the item and the field and quotes nothing.
    """

    items: tuple[Item, ...]
    malformed: tuple[str, ...] = ()


def describe_malformed(kind: str, value: Any, position: str, error: ValidationError) -> str:
    """Say which item was left out, by its id or else its position, and why."""
    fields = value if isinstance(value, Mapping) else {}
    sent = fields.get("staticId", fields.get("cellId", fields.get("id")))
    plain = isinstance(sent, str) and _PLAIN_ID.fullmatch(sent)
    name = plain.group().lower() if plain else f"at {position}"
    return f"{kind} {name} was left out: {what_is_wrong(error)}"


def what_is_wrong(error: ValidationError) -> str:
    """The fields that are not what Hex documents, without their content."""
    fields = sorted({".".join(map(str, fault["loc"])) for fault in error.errors()} - {""})
    return f"unusable {', '.join(fields)}" if fields else "it is not an object"
