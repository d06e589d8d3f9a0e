"""What a plan starts from: what OpenMetadata holds, and the recipe's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hex_assets.openmetadata.models import (
    Chart,
    Classification,
    Dashboard,
    DashboardService,
    EntityReference,
    LineageDetails,
    Tag,
)


@dataclass(frozen=True)
class PlanOptions:
    """Settings of the recipe that decide what is changed.

    Attributes:
        mark_deleted_dashboards: soft delete dashboards whose project left Hex.
        mark_deleted_charts: soft delete charts of ours whose cell or component is gone.
        deletion_guard_percent: share of our live dashboards that may be deleted at once.
        include_tags: publish status, categories and collections as tags.
        override_metadata: Hex's description and owner replace what people wrote.
        custom_properties: publish the custom properties of dashboards.
        override_lineage: an edge of ours holds only what this run shows, and one that another
            program left without evidence goes; else statement and column mappings that this run
            does not show are kept.
    """

    mark_deleted_dashboards: bool = True
    mark_deleted_charts: bool = True
    deletion_guard_percent: float = 20
    include_tags: bool = True
    override_metadata: bool = False
    override_lineage: bool = False
    custom_properties: bool = False


@dataclass(frozen=True)
class Actual:
    """What OpenMetadata holds, as far as the plan needs to know.

    Attributes:
        service: None when it does not exist.
        classifications: ours, by name.
        tags: those of our classifications, by fully qualified name.
        dashboards: of the service, soft-deleted ones too, by lower-case name.
        owners: users and teams by email in lower case.
        edges: upstream edges of the live dashboards, by the ids of table and dashboard; of a
            soft-deleted one those that it should have.
        charts: of the service, soft-deleted ones too, by lower-case name.
        properties: names of the custom properties that dashboards may have.
        names: fully qualified names of the tables at the other end of edges, by id, where known.
    """

    service: DashboardService | None = None
    classifications: Mapping[str, Classification] = field(default_factory=dict)
    tags: Mapping[str, Tag] = field(default_factory=dict)
    dashboards: Mapping[str, Dashboard] = field(default_factory=dict)
    owners: Mapping[str, EntityReference] = field(default_factory=dict)
    edges: Mapping[tuple[str, str], LineageDetails] = field(default_factory=dict)
    charts: Mapping[str, Chart] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    properties: frozenset[str] = frozenset()
