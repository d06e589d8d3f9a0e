"""``workflowConfig.config.hexAssets``: the settings that OpenMetadata does not know."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from hex_assets.section import FilterPattern, Secret, Section, free_form, no_effect


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


class SnowflakeConnection(Section):
    """Reads ACCOUNT_USAGE.QUERY_HISTORY. Field names are those of OpenMetadata's own connection.

    The first of these that is given logs in: ``privateKey``, ``oauthToken``, ``password``, else
    the ``authenticator`` of ``connectionArguments``.
    """

    type: Literal["Snowflake"] = Field(description="Always Snowflake.")
    account: str = Field(
        min_length=1, description="Account identifier, for example xyz1234.us-east-1.gcp."
    )
    username: str = Field(min_length=1, description="User that reads the query history.")
    password: Secret | None = Field(
        default=None, description="Password or programmatic access token."
    )
    private_key: Secret | None = Field(
        default=None,
        description="Private key of a key pair, PEM text (line breaks may be written \\n).",
    )
    snowflake_privatekey_passphrase: Secret | None = Field(
        default=None, description="Passphrase of the private key."
    )
    oauth_token: Secret | None = Field(
        default=None, description="OAuth access token. Not one of OpenMetadata's fields."
    )
    role: str | None = Field(
        default=None, description="Role to use; needs GOVERNANCE_VIEWER on the SNOWFLAKE database."
    )
    warehouse: str = Field(min_length=1, description="Warehouse that runs the history query.")
    database: str | None = Field(default=None, description="Database of the session.")
    account_usage_schema: str = Field(
        default="SNOWFLAKE.ACCOUNT_USAGE",
        min_length=1,
        description="Schema that holds QUERY_HISTORY, if it is a copy or a share.",
    )
    query_tag: str | None = Field(default=None, description="QUERY_TAG set on the session.")
    client_session_keep_alive: bool = Field(
        default=False, description="Keep the session alive beyond four hours of idling."
    )
    connection_options: dict[str, str] = free_form("Session parameters set when connecting.")
    connection_arguments: dict[str, Any] = free_form(
        "Further arguments of snowflake.connector.connect, for example authenticator."
    )

    scheme: Literal["snowflake"] = no_effect("snowflake")
    snowflake_source_host: str = no_effect("app.snowflake.com")
    credit_cost: float = no_effect(3.3)
    include_transient_tables: bool = no_effect(True)
    include_streams: bool = no_effect(False)
    include_stages: bool = no_effect(False)
    include_semantic_views: bool = no_effect(False)
    use_access_history: bool = no_effect(True)
    access_history_chunk_size: int = no_effect(2)
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

    @model_validator(mode="after")
    def _can_log_in(self) -> SnowflakeConnection:
        given = (self.private_key, self.oauth_token, self.password)
        if not any(given) and "authenticator" not in self.connection_arguments:
            raise ValueError(
                "has no way to log in; give privateKey, oauthToken or password, "
                "or connectionArguments.authenticator"
            )
        return self


LogColumn = Literal[
    "query_text",
    "start_time",
    "database_name",
    "schema_name",
    "user_name",
    "query_id",
    "execution_status",
]


class QueryLog(Section):
    """Query history as files: what any warehouse can export."""

    type: Literal["QueryLog"] = Field(description="Always QueryLog.")
    path: str = Field(
        min_length=1, description="File, glob or fsspec URL, for example s3://logs/hex/*.parquet."
    )
    dialect: str = Field(
        min_length=1, description="SQL dialect by its sqlglot name, for example bigquery."
    )
    format: Literal["parquet", "csv", "jsonl"] | None = Field(
        default=None, description="File format; by default told from the suffix of the path."
    )
    columns: dict[LogColumn, str] = Field(
        default_factory=dict,
        description="The log's own name of a column by ours, where the two differ. Needed are "
        "query_text and start_time (UTC unless it says otherwise).",
    )
    storage_options: dict[str, Any] = free_form("Options of the fsspec file system, e.g. key.")


WarehouseConnection = Annotated[SnowflakeConnection | QueryLog, Field(discriminator="type")]


class HexAssetsSettings(Section):
    """Settings of one workspace; each default serves most users."""

    look_back_days: int = Field(
        default=30, ge=1, le=365, description="Days of query history read, up to now."
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
    hex_org_id: str | None = Field(
        default=None,
        description="Id of the Hex workspace for links, if the token may not ask for it itself.",
    )
    warehouses: dict[str, WarehouseConnection] = Field(
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
    concurrency: int = Field(default=4, ge=1, le=64, description="Requests under way at once.")
