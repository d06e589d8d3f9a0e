"""OpenMetadata's entities as its REST API answers them: only the fields that are used here."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Answer(BaseModel):
    """Part of an answer; unknown fields are ignored, so that newer servers stay readable."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True
    )


def _none_is_empty(value: Any) -> Any:
    return () if value is None else value


def _empty_is_none(value: Any) -> Any:
    return None if value == "" else value


Text = Annotated[str | None, BeforeValidator(_empty_is_none)]
"""An optional text, of which servers keep the empty one or none."""


class EntityReference(Answer):
    """A pointer from one entity to another.

    Attributes:
        type: entity type, for example ``user`` or ``chart``.
        inherited: it comes from a container (an owner of the service, say), not from the entity.
    """

    id: str
    type: str
    name: str | None = None
    fully_qualified_name: str | None = None
    deleted: bool = False
    inherited: bool = False


class LinkedEntity(EntityReference):
    """A reference whose name is needed to send it again."""

    fully_qualified_name: str


class TagLabel(Answer):
    """One tag or glossary term on an entity.

    Attributes:
        source: ``Classification`` or ``Glossary``.
        label_type: ``Automated`` when a program put it there, ``Manual`` when a person did.
    """

    tag_fqn: str = Field(validation_alias="tagFQN")
    source: str = "Classification"
    label_type: str = "Manual"


References = Annotated[tuple[EntityReference, ...], BeforeValidator(_none_is_empty)]
Links = Annotated[tuple[LinkedEntity, ...], BeforeValidator(_none_is_empty)]
Labels = Annotated[tuple[TagLabel, ...], BeforeValidator(_none_is_empty)]


class DashboardService(Answer):
    id: str
    name: str
    service_type: str
    deleted: bool = False


class DatabaseService(Answer):
    """A database service; its connection may hold secrets and is kept out of ``repr``."""

    id: str
    name: str
    service_type: str
    connection: dict[str, Any] | None = Field(default=None, repr=False)


class Classification(Answer):
    id: str
    name: str
    deleted: bool = False
    disabled: bool = False


class Tag(Answer):
    id: str
    name: str
    fully_qualified_name: str
    deleted: bool = False
    disabled: bool = False


class Person(Answer):
    """A user or a team, as an owner.

    Attributes:
        team_type: only teams of type ``Group`` may own; None for a user.
    """

    id: str
    name: str
    email: str | None = None
    team_type: str | None = None


class Published(Answer):
    """What a dashboard and a chart have in common: the fields that a PUT could change or lose."""

    id: str
    name: str
    fully_qualified_name: str
    display_name: Text = None
    description: Text = None
    source_url: str | None = None
    source_hash: str | None = None
    deleted: bool = False
    owners: References = ()
    tags: Labels = ()
    data_products: Links = ()


class CustomProperty(Answer):
    name: str


class TypeDefinition(Answer):
    """A type of entity with the custom properties that were added to it, or a type of field."""

    id: str
    custom_properties: Annotated[tuple[CustomProperty, ...], BeforeValidator(_none_is_empty)] = ()


class Dashboard(Published):
    """A dashboard; ``extension`` holds the values of its custom properties."""

    extension: dict[str, Any] | None = None
    project: str | None = None
    dashboard_type: str | None = None
    charts: Links = ()
    data_models: Links = ()


class Chart(Published):
    chart_type: str | None = None
    dashboards: Links = ()


class Container(Answer):
    """A database or a schema."""

    id: str
    name: str
    fully_qualified_name: str


class Column(Answer):
    name: str


class Table(Answer):
    """A table or view.

    Attributes:
        updated_at: when somebody last changed it in OpenMetadata, in milliseconds since the epoch.
    """

    id: str
    name: str
    fully_qualified_name: str
    updated_at: int | None = None
    columns: Annotated[tuple[Column, ...], BeforeValidator(_none_is_empty)] = ()


class Indexed(Answer):
    """What the search index knows of an entity; ``updated_at`` as of a ``Table``."""

    id: str
    fully_qualified_name: str
    updated_at: int | None = None


class Hit(Answer):
    source: Indexed = Field(validation_alias="_source")


class Hits(Answer):
    hits: tuple[Hit, ...]


class SearchPage(Answer):
    """One page of an answer of the search index."""

    hits: Hits


class ColumnLineage(Answer):
    """Mapping of source columns to one target column, by fully qualified name."""

    from_columns: Annotated[tuple[str, ...], BeforeValidator(_none_is_empty)] = ()
    to_column: str | None = None
    function: str | None = None


class LineageDetails(Answer):
    """What an edge says about itself.

    A PUT replaces all of it, so whatever is to stay must be sent again.

    Attributes:
        source: who made the edge; ``Manual`` for a person, ``DashboardLineage`` for us.
    """

    source: str = "Manual"
    sql_query: Text = None
    description: Text = None
    columns_lineage: Annotated[tuple[ColumnLineage, ...], BeforeValidator(_none_is_empty)] = ()
    pipeline: EntityReference | None = None


class GraphEdge(Answer):
    """An edge as a lineage answer lists it: its ends are ids."""

    from_entity: str
    to_entity: str
    lineage_details: LineageDetails | None = None


class Lineage(Answer):
    """One entity with its neighbours."""

    entity: EntityReference | None = None
    nodes: References = ()
    downstream_edges: Annotated[tuple[GraphEdge, ...], BeforeValidator(_none_is_empty)] = ()
    upstream_edges: Annotated[tuple[GraphEdge, ...], BeforeValidator(_none_is_empty)] = ()


class LineageEdge(Answer):
    edge: LineageDetails


class BulkRow(Answer):
    """What a bulk request says of one of its rows; ``request`` is the fully qualified name."""

    request: str
    message: str | None = None


BulkRows = Annotated[tuple[BulkRow, ...], BeforeValidator(_none_is_empty)]


class BulkResult(Answer):
    success_request: BulkRows = ()
    failed_request: BulkRows = ()


class Paging(Answer):
    after: str | None = None


class Page(Answer):
    """One page of a listing, its items still undecoded."""

    data: list[dict[str, Any]]
    paging: Paging = Paging()


class Version(Answer):
    version: str
