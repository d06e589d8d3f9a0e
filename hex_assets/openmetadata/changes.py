"""What a plan consists of: changes, each with the request that makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hex_assets.openmetadata.models import LineageDetails
from hex_assets.openmetadata.properties import Value

Kind = Literal[
    "service", "classification", "tag", "property", "chart", "dashboard", "edge", "usage"
]
Action = Literal["create", "update", "unchanged", "delete", "restore", "skip"]
Key = tuple[Kind, str]


@dataclass(frozen=True)
class CreateService:
    """POST of the dashboard service, first with the one type, then with the other."""

    name: str
    types: tuple[str, ...] = ("Hex", "CustomDashboard")
    """Servers that do not know the type ``Hex`` yet answer 400."""


@dataclass(frozen=True)
class PutClassification:
    body: Mapping[str, Any]


@dataclass(frozen=True)
class PutTag:
    body: Mapping[str, Any]


@dataclass(frozen=True)
class AddProperty:
    """PUT of a custom property of all dashboards."""

    body: Mapping[str, Any]
    field_type: str


@dataclass(frozen=True)
class Correction:
    """What a PUT cannot do to an existing dashboard or chart, so that it is done before the PUT.

    Before it, because the PUT stores the new ``sourceHash``: a run that dies between the two
    leaves the old one, and the next run does both again.

    Attributes:
        deleted: it is soft deleted: restored first, so that its charts are back to be linked.
        describe: whether the description is replaced: a PUT by a bot keeps a stored one.
        old_description: what it replaces, and nothing else.
        description: the new description; None removes it.
        drop_tags: labels to remove: a PUT only ever adds some.
        properties: custom properties, which a PUT never changes; empty to leave them.
    """

    entity_id: str
    entity_fqn: str
    deleted: bool
    describe: bool
    old_description: str | None
    description: str | None
    drop_tags: frozenset[str]
    properties: Mapping[str, Value | None] = field(default_factory=dict)


@dataclass(frozen=True)
class PutDashboard:
    """PUT of a dashboard.

    Attributes:
        charts: fully qualified names of the charts of ours that it is to link.
        in_bulk: a bulk request does the same; it would skip what has its ``sourceHash`` already.
    """

    body: Mapping[str, Any]
    correction: Correction | None = None
    in_bulk: bool = True
    charts: tuple[str, ...] = ()


@dataclass(frozen=True)
class PutChart:
    """PUT of a chart; ``in_bulk`` as of a dashboard."""

    body: Mapping[str, Any]
    correction: Correction | None = None
    in_bulk: bool = True


@dataclass(frozen=True)
class DeleteDashboard:
    dashboard_id: str


@dataclass(frozen=True)
class DeleteChart:
    chart_id: str


@dataclass(frozen=True)
class PutEdge:
    """PUT of a lineage edge; the dashboard's id is None until its own PUT has answered."""

    table_id: str
    dashboard_fqn: str
    dashboard_id: str | None
    details: LineageDetails


@dataclass(frozen=True)
class AddColumns:
    """PATCH that gives somebody else's edge our column mappings beside its own."""

    table_id: str
    dashboard_id: str
    details: LineageDetails


@dataclass(frozen=True)
class DeleteEdge:
    table_id: str
    dashboard_id: str


@dataclass(frozen=True)
class SetUsage:
    """POST of one day's views, which replaces what was counted for that day."""

    dashboard_fqn: str
    date: str
    count: int


Put = PutDashboard | PutChart
Request = (
    CreateService
    | PutClassification
    | PutTag
    | AddProperty
    | PutChart
    | PutDashboard
    | PutEdge
    | AddColumns
    | DeleteEdge
    | DeleteChart
    | DeleteDashboard
    | SetUsage
)


@dataclass(frozen=True)
class Change:
    """What is to happen to one entity.

    Attributes:
        fqn: fully qualified name; of an edge ``table -> dashboard``.
        reason: why this action, in words.
        request: None when nothing is sent.
        needs: entities that must be there first.
        before: what is replaced, in short; empty when nothing is.
        after: what replaces it, in short.
    """

    kind: Kind
    fqn: str
    action: Action
    reason: str
    request: Request | None = None
    needs: tuple[Key, ...] = ()
    before: str = ""
    after: str = ""

    @property
    def key(self) -> Key:
        return self.kind, self.fqn
