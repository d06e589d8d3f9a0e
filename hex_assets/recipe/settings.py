"""``workflowConfig.config.hexAssets``: the settings that OpenMetadata does not know."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from hex_assets.section import Section
from hex_assets.warehouse.connection import WarehouseConnection
from hex_assets.warehouse.registry import Warehouse


class RetrySettings(Section):
    """How often and how long a failed request is tried again."""

    attempts: int = Field(
        default=5, ge=1, le=20, description="Requests at most, the first included."
    )
    backoff_seconds: float = Field(
        default=1.0, ge=0, le=60, description="First wait in seconds; doubles with each attempt."
    )
    longest_wait_seconds: float = Field(
        default=120.0,
        ge=0,
        le=3600,
        description="No wait is longer; a server that asks for more is given up on.",
    )


class HexAssetsSettings(Section):
    """Settings of one workspace; each default serves most users."""

    look_back_days: int = Field(
        default=30, ge=1, le=365, description="Days of query history that a first run reads."
    )
    retention_days: int = Field(
        default=90,
        ge=1,
        le=3650,
        description="Days after which a statement that ran no more leaves the history, and its "
        "lineage with it; never shorter than lookBackDays.",
    )
    requests_per_minute: int = Field(
        default=30, ge=1, le=10_000, description="Requests to Hex per minute and rate group."
    )
    retry: RetrySettings = Field(
        default_factory=RetrySettings, description="How failed requests are tried again."
    )
    deletion_guard_percent: int = Field(
        default=20,
        ge=0,
        le=100,
        description="Delete nothing when more than this share of the dashboards would go.",
    )
    reconcile_days: int = Field(
        default=7,
        ge=0,
        le=365,
        description="Days for which the edges that a run left in OpenMetadata are taken to be "
        "there still, and the tables that it read to be the same unless the search index knows "
        "better; then they are read again. 0: in every run.",
    )
    hex_org_id: str | None = Field(
        default=None,
        description="Id of the Hex workspace for links, if the token may not ask for it itself.",
    )
    warehouses: dict[str, Warehouse] = Field(
        default_factory=dict,
        description="Query history by database service, as named in OpenMetadata. A service of "
        "dbServicePrefixes that is not here is read through its connection stored in "
        "OpenMetadata.",
    )
    store_sql: Literal["full", "masked", "none"] = Field(
        default="masked",
        description="SQL stored and shown on lineage edges: full with literals, masked without, "
        "none (the query history then still holds masked statements, from which lineage is read).",
    )
    data_connections: dict[str, str] = Field(
        default_factory=dict,
        description="Database service, as named in OpenMetadata, of a Hex data connection given "
        "by its id or name. The others are matched by type and account, host or project.",
    )
    read_minutes: int | None = Field(
        default=120,
        ge=1,
        le=1440,
        description="Time that one run takes to read cells, queried tables and runs from Hex; "
        "the next run goes on where it stopped.",
    )
    refresh_in_runs: int = Field(
        default=14,
        ge=0,
        le=1000,
        description="Projects that did not change are all read again within so many runs, at "
        "most once a day each; 0 for never.",
    )
    runs_read: int = Field(
        default=100,
        ge=1,
        le=100,
        description="Latest runs of a project that its success rate and duration are taken from.",
    )
    custom_properties: bool = Field(
        default=False,
        description="Show schedules, publication, sharing, the latest run and the success rate "
        "on dashboards as custom properties of OpenMetadata. The token must be allowed to create "
        "them (Create on All).",
    )
    concurrency: int = Field(
        default=4,
        ge=1,
        le=64,
        description="Requests to OpenMetadata under way at once; Hex is read one after another.",
    )

    @field_validator("warehouses")
    @classmethod
    def _name_warehouses(
        cls, warehouses: dict[str, WarehouseConnection]
    ) -> dict[str, WarehouseConnection]:
        return {service: connection.of(service) for service, connection in warehouses.items()}
