"""The kinds of entities the catalog knows and how they hang together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hex_assets.sandbox.catalog.requests import (
    CreateChartRequest,
    CreateClassificationRequest,
    CreateDashboardDataModelRequest,
    CreateDashboardRequest,
    CreateDashboardServiceRequest,
    CreateTagRequest,
    Wire,
)

RequestModel = type[Wire]


@dataclass(frozen=True)
class Link:
    """A field that holds references to other entities.

    Attributes:
        relation: name under which the references are stored.
        types: entity types it may refer to; the first is meant where a request gives names.
        backwards: the references are stored at the other end.
        by_name: create requests name the targets by fully qualified name instead of by reference.
    """

    relation: str
    types: tuple[str, ...]
    backwards: bool = False
    by_name: bool = True


@dataclass(frozen=True)
class Kind:
    """One kind of entity.

    Attributes:
        type: OpenMetadata's entity type, as references name it.
        collection: path below ``/api/v1``.
        ancestors: (field, type) of the containers, outermost first; their names lead the fully
            qualified name.
        filters: query parameters of the listing that name an ancestor.
        fields: what the ``fields`` parameter may name.
        links: reference fields.
        request: body of POST and PUT; None for what only the seed writes.
        level: literal part of the fully qualified name between the container and the name.
        children: types that live in this one and go with it.
        deletable: whether DELETE and restore are served.
        bulk: whether PUT ``/bulk`` is served.
        tells_deleted: whether an answer holds ``deleted``.
    """

    type: str
    collection: str
    ancestors: tuple[tuple[str, str], ...] = ()
    filters: tuple[str, ...] = ()
    fields: frozenset[str] = frozenset()
    links: Mapping[str, Link] = field(default_factory=dict)
    request: RequestModel | None = None
    level: str | None = None
    children: tuple[str, ...] = ()
    deletable: bool = False
    bulk: bool = False
    tells_deleted: bool = True


ON_DEMAND = frozenset({"tags", "lifeCycle", "extension", "customProperties"})
"""Stored fields that an answer holds only when ``fields`` names them; links are so as well."""

_COMMON = frozenset(
    {"owners", "tags", "domains", "dataProducts", "extension", "followers", "lifeCycle"}
)
_ASSET = _COMMON | {"sourceHash", "votes", "usageSummary", "certification"}
_PEOPLE = Link("owners", ("user", "team"), by_name=False)
_REVIEWERS = Link("reviewers", ("user", "team"), by_name=False)
_IN_SERVICE = (("service", "dashboardService"),)
_DATABASE_LEVELS = (
    ("service", "databaseService"),
    ("database", "database"),
    ("databaseSchema", "databaseSchema"),
)

KINDS = (
    Kind(
        "dashboardService",
        "services/dashboardServices",
        fields=_COMMON,
        links={"owners": _PEOPLE},
        request=CreateDashboardServiceRequest,
        children=("dashboard", "chart", "dashboardDataModel"),
        deletable=True,
    ),
    Kind(
        "dashboard",
        "dashboards",
        ancestors=_IN_SERVICE,
        filters=("service",),
        fields=_ASSET | {"charts", "dataModels"},
        links={
            "owners": _PEOPLE,
            "charts": Link("charts", ("chart",)),
            "dataModels": Link("dataModels", ("dashboardDataModel",)),
        },
        request=CreateDashboardRequest,
        deletable=True,
        bulk=True,
    ),
    Kind(
        "chart",
        "charts",
        ancestors=_IN_SERVICE,
        filters=("service",),
        fields=_ASSET | {"dashboards"},
        links={"owners": _PEOPLE, "dashboards": Link("charts", ("dashboard",), backwards=True)},
        request=CreateChartRequest,
        deletable=True,
        bulk=True,
    ),
    Kind(
        "dashboardDataModel",
        "dashboard/datamodels",
        ancestors=_IN_SERVICE,
        filters=("service",),
        fields=_ASSET,
        links={"owners": _PEOPLE},
        request=CreateDashboardDataModelRequest,
        level="model",
        deletable=True,
        bulk=True,
    ),
    Kind(
        "type",
        "metadata/types",
        fields=frozenset({"customProperties"}),
        tells_deleted=False,
    ),
    Kind("testConnectionDefinition", "services/testConnectionDefinitions"),
    Kind("databaseService", "services/databaseServices", fields=_COMMON),
    Kind(
        "database",
        "databases",
        ancestors=_DATABASE_LEVELS[:1],
        filters=("service",),
        fields=_ASSET | {"databaseSchemas"},
        children=("databaseSchema", "table"),
        deletable=True,
    ),
    Kind(
        "databaseSchema",
        "databaseSchemas",
        ancestors=_DATABASE_LEVELS[:2],
        filters=("database",),
        fields=_ASSET | {"tables"},
        children=("table",),
        deletable=True,
    ),
    Kind(
        "table",
        "tables",
        ancestors=_DATABASE_LEVELS,
        filters=("database", "databaseSchema"),
        fields=_ASSET
        | {"columns", "tableConstraints", "tablePartition", "schemaDefinition", "dataModel"}
        | {"joins", "customMetrics", "testSuite"},
        deletable=True,
    ),
    Kind(
        "classification",
        "classifications",
        fields=frozenset({"owners", "reviewers", "domains", "usageCount", "termCount"}),
        links={"owners": _PEOPLE, "reviewers": _REVIEWERS},
        request=CreateClassificationRequest,
        children=("tag",),
    ),
    Kind(
        "tag",
        "tags",
        ancestors=(("classification", "classification"),),
        filters=("parent",),
        fields=frozenset({"owners", "reviewers", "domains", "children", "usageCount"}),
        links={"owners": _PEOPLE, "reviewers": _REVIEWERS},
        request=CreateTagRequest,
    ),
    Kind(
        "user",
        "users",
        fields=frozenset({"profile", "roles", "teams", "follows", "owns", "domains", "personas"}),
    ),
    Kind(
        "team",
        "teams",
        fields=frozenset({"owners", "profile", "users", "owns", "defaultRoles", "parents"})
        | {"children", "policies", "domains"},
    ),
)
