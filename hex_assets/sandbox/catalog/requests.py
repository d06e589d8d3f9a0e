"""Request bodies of OpenMetadata's REST API, named as its JSON schemas name them.

Attributes carry the wire names, so that a body reads as in OpenMetadata's documentation. An
unknown key, a missing field or a value outside its enumeration is a validation error.
"""

from __future__ import annotations

import datetime
import json
import re
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from hex_assets.sandbox.catalog.rules import Json, Refused, valid_name

EntityName = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(valid_name)]

DASHBOARD_SERVICE_TYPES = (
    *("Superset", "Looker", "Tableau", "Redash", "Metabase", "PowerBI", "PowerBIReportServer"),
    *("Mode", "CustomDashboard", "DomoDashboard", "QuickSight", "QlikSense", "Lightdash"),
    *("MicroStrategy", "QlikCloud", "Sigma", "ThoughtSpot", "Grafana", "Hex", "Ssrs", "SapS4Hana"),
    "Omni",
)

LineageSource = Literal[
    "Manual",
    "ViewLineage",
    "QueryLineage",
    "PipelineLineage",
    "DashboardLineage",
    "DbtLineage",
    "SparkLineage",
    "OpenLineage",
    "ExternalTableLineage",
    "CrossDatabaseLineage",
    "ChildAssets",
]

ChartType = Literal[
    "Line",
    "Table",
    "Bar",
    "Area",
    "Pie",
    "Histogram",
    "Scatter",
    "Text",
    "BoxPlot",
    "SanKey",
    "Gauge",
    "Map",
    "Graph",
    "Heatmap",
    "Timeline",
    "Other",
]

DataModelType = Literal[
    "TableauDataModel",
    "TableauPublishedDatasource",
    "TableauEmbeddedDatasource",
    "SupersetDataModel",
    "MetabaseDataModel",
    "ModeDataModel",
    "LookMlView",
    "LookMlExplore",
    "PowerBIDataModel",
    "QlikDataModel",
    "QuickSightDataModel",
    "SigmaDataModel",
    "PowerBIDataFlow",
    "PowerBIDatamart",
    "MicroStrategyDataset",
    "ThoughtSpotDataModel",
    "SapS4HanaCdsView",
    "SsrsDataModel",
    "OmniDataModel",
]


class Wire(BaseModel):
    """A JSON object that allows no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EntityReference(Wire):
    id: UUID
    type: str
    name: str | None = None
    fullyQualifiedName: str | None = None
    description: str | None = None
    displayName: str | None = None
    deleted: bool | None = None
    inherited: bool | None = None
    href: str | None = None


class TagLabel(Wire):
    tagFQN: str
    source: Literal["Classification", "Glossary"]
    labelType: Literal["Manual", "Propagated", "Automated", "Derived", "Generated"]
    state: Literal["Suggested", "Confirmed"]
    name: str | None = None
    displayName: str | None = None
    description: str | None = None
    style: Json | None = None
    href: str | None = None
    reason: str | None = None
    appliedAt: Any = None
    appliedBy: str | None = None
    metadata: Json | None = None


class LifeCycleEvent(Wire):
    timestamp: int
    accessedBy: EntityReference | None = None
    accessedByAProcess: str | None = None


class LifeCycle(Wire):
    created: LifeCycleEvent | None = None
    updated: LifeCycleEvent | None = None
    accessed: LifeCycleEvent | None = None


class Column(Wire):
    name: Annotated[str, Field(min_length=1), AfterValidator(valid_name)]
    dataType: str
    displayName: str | None = None
    arrayDataType: str | None = None
    dataLength: int | None = None
    precision: int | None = None
    scale: int | None = None
    dataTypeDisplay: str | None = None
    description: str | None = None
    tags: list[TagLabel] = []
    constraint: str | None = None
    ordinalPosition: int | None = None
    jsonSchema: str | None = None
    fullyQualifiedName: str | None = None
    children: list[Column] | None = None


class CreateRequest(Wire):
    """What every create request may hold."""

    name: EntityName
    displayName: str | None = None
    description: str | None = None
    tags: list[TagLabel] = []
    owners: list[EntityReference] = []
    domains: list[str] = []
    dataProducts: list[str] = []


class CreateDashboardServiceRequest(CreateRequest):
    serviceType: str
    connection: Json | None = None
    style: Json | None = None


class ServiceAsset(CreateRequest):
    """What the create requests of dashboards, charts and data models share."""

    service: str
    sourceUrl: str | None = None
    extension: Json | None = None
    lifeCycle: LifeCycle | None = None
    sourceHash: Annotated[str, Field(min_length=1, max_length=32)] | None = None


class CreateDashboardRequest(ServiceAsset):
    project: str | None = None
    dashboardType: Literal["Dashboard", "Report"] = "Dashboard"
    charts: list[str] = []
    dataModels: list[str] = []


class CreateChartRequest(ServiceAsset):
    chartType: ChartType | None = None
    dashboards: list[str] = []


class CreateDashboardDataModelRequest(ServiceAsset):
    dataModelType: DataModelType
    columns: list[Column]
    serviceType: str | None = None
    sql: str | None = None
    project: str | None = None


class CreateClassificationRequest(Wire):
    name: EntityName
    description: str
    displayName: str | None = None
    provider: Literal["system", "user", "automation"] = "user"
    mutuallyExclusive: bool = False
    domains: list[str] = []
    owners: list[EntityReference] = []
    reviewers: list[EntityReference] = []
    autoClassificationConfig: Json | None = None


class CreateTagRequest(Wire):
    name: EntityName
    description: str
    classification: str | None = None
    parent: str | None = None
    displayName: str | None = None
    style: Json | None = None
    associatedTags: list[str] = []
    provider: Literal["system", "user", "automation"] = "user"
    mutuallyExclusive: bool = False
    domains: list[str] = []
    owners: list[EntityReference] = []
    reviewers: list[EntityReference] = []


class ColumnLineage(Wire):
    fromColumns: list[str] = []
    toColumn: str | None = None
    function: str | None = None


class LineageDetails(Wire):
    source: LineageSource = "Manual"
    sqlQuery: str | None = None
    description: str | None = None
    columnsLineage: list[ColumnLineage] = []
    pipeline: EntityReference | None = None
    createdAt: int | None = None
    createdBy: str | None = None
    updatedAt: int | None = None
    updatedBy: str | None = None
    assetEdges: int | None = None
    tempLineageTables: list[Json] | None = None


class EntitiesEdge(Wire):
    fromEntity: EntityReference
    toEntity: EntityReference
    description: str | None = None
    lineageDetails: LineageDetails = LineageDetails()


class AddLineage(Wire):
    edge: EntitiesEdge


class CustomProperty(Wire):
    name: str = Field(pattern=r"^[A-Za-z0-9][^:^&]*$", max_length=256)
    displayName: str | None = None
    description: str
    propertyType: EntityReference


class RestoreEntity(Wire):
    id: UUID


class BulkDeleteStaleRequest(Wire):
    scopeFqn: str = Field(min_length=1)
    scopeEntityType: str = Field(min_length=1)
    seenFqns: list[str] = []
    recursive: bool = True
    dryRun: bool = False
    hardDelete: bool = False


class DailyCount(Wire):
    date: datetime.date
    count: int = Field(ge=0)


class CreateIngestionPipelineRequest(Wire):
    name: EntityName
    pipelineType: Literal["metadata", "usage", "lineage", "profiler", "dbt"]
    sourceConfig: Json
    airflowConfig: Json
    service: EntityReference
    displayName: str | None = None
    description: str | None = None
    loggerLevel: Literal["INFO", "DEBUG", "ERROR", "WARNING"] | None = None
    raiseOnError: bool | None = None
    enableStreamableLogs: bool | None = None
    owners: list[EntityReference] | None = None


class StepFailure(Wire):
    name: str
    error: str
    stackTrace: str | None = None


class StepSummary(Wire):
    name: str
    records: int | None = None
    updated_records: int | None = None
    warnings: int | None = None
    errors: int | None = None
    filtered: int | None = None
    failures: list[StepFailure] | None = None
    progress: Json | None = None
    operationMetrics: Json | None = None
    sourceTimeMs: float | None = None
    sinkTimeMs: float | None = None


class PipelineStatus(Wire):
    runId: UUID
    pipelineState: Literal["queued", "running", "success", "partialSuccess", "failed", "stopped"]
    startDate: int | None = None
    timestamp: int | None = None
    endDate: int | None = None
    status: list[StepSummary] | None = None
    config: Json | None = None
    metadata: Json | None = None


Body = TypeVar("Body", bound=Wire)

_OF_VALUES = frozenset({"missing", "string_too_short", "string_too_long", "value_error"})


def parse(model: type[Body], body: Any) -> Body:
    """The body as a model.

    Raises:
        Refused: 400, naming the fields.
    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise Refused(400, _message(error)) from error


def check_shape(model: type[Body], body: Any) -> None:
    """Refuse what a server cannot even read: unknown keys, wrong types, values outside an enum."""
    try:
        model.model_validate(body)
    except ValidationError as error:
        if any(problem["type"] not in _OF_VALUES for problem in error.errors()):
            raise Refused(400, _message(error)) from error


def parse_json(text: bytes) -> Any:
    """The JSON value in the text.

    Raises:
        Refused: 400, it is not JSON, or holds a number or half a surrogate pair that no answer
            could repeat.
    """
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        return value
    except ValueError as error:
        raise Refused(400, "Unable to process JSON") from error


def _message(error: ValidationError) -> str:
    problems = []
    for problem in error.errors(include_url=False, include_input=False):
        place = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            problems.append(f'Unrecognized field "{place}"')
        else:
            text = re.sub("^Value error, ", "", problem["msg"])
            problems.append(f"[{place}: {text}]")
    return "; ".join(problems)
