"""The workflow of ``metadata ingest -c <file>`` for Hex, as OpenMetadata 2.0 defines it."""

from __future__ import annotations

import difflib
import os
import ssl
import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from hex_assets.errors import RecipeError
from hex_assets.openmetadata import fqn
from hex_assets.recipe.settings import HexAssetsSettings
from hex_assets.section import (
    FilterPattern,
    Prefix,
    Secret,
    Section,
    Token,
    WebAddress,
    free_form,
    header_text,
    no_effect,
)

_SERVER = "workflowConfig.openMetadataServerConfig"
_LONGEST_NAME = 200
_RESERVED = ("::", "...", "/", "\\", ">", '"')


def _lower_case(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _service_name(value: str) -> str:
    """A name that OpenMetadata, Dagster (partition key) and every file system take.

    OpenMetadata reserves ``::``, ``>`` and ``"`` in names, Dagster ``...`` and control characters
    in partition keys, and the frames of a workspace are stored in files of its name.
    """
    if not value or value != value.strip():
        raise ValueError("must not be empty, nor begin or end with white space")
    if any(text in value for text in _RESERVED) or not value.isprintable():
        raise ValueError(f"must not contain {' '.join(_RESERVED)} or control characters")
    if len(value.encode()) > _LONGEST_NAME:
        raise ValueError(f"must not be longer than {_LONGEST_NAME} bytes")
    return value


ServiceName = Annotated[str, AfterValidator(_service_name)]


class HexConnection(Section):
    """How to reach the Hex workspace."""

    type: Literal["Hex"] = Field(default="Hex", description="Always Hex.")
    host_port: WebAddress = Field(
        description="Address of Hex: https://app.hex.tech, https://eu.hex.tech or your own."
    )
    token: Token = Field(
        description="Personal (hxtp_...) or workspace (hxtw_...) token; only reads are made."
    )
    token_type: Literal["personal", "workspace"] = Field(
        default="personal", description="Kind of the token. No effect: the token itself tells it."
    )
    include_tags: bool = Field(
        default=True,
        description="Publish status, categories and collections as tags, unless includeTags of "
        "sourceConfig says no.",
    )
    dashboard_filter_pattern: FilterPattern | None = Field(
        default=None,
        description="Which projects to publish, by title, unless sourceConfig has a pattern.",
    )
    supports_metadata_extraction: bool = no_effect(True)


class ServiceConnection(Section):
    """Holds the connection of the source."""

    config: HexConnection = Field(description="How to reach the Hex workspace.")


class LineageInformation(Section):
    """Where lineage may come from. Unknown keys are ignored, as OpenMetadata does here."""

    model_config = ConfigDict(extra="ignore")

    db_service_prefixes: list[Prefix] = Field(
        default_factory=list,
        description="Catalog parts in which tables are looked up: service, service.database or "
        "service.database.schema; names with dots in double quotes.",
    )


class QueryParserConfig(Section):
    """Which SQL parser OpenMetadata uses."""

    type: Literal["Auto", "SqlGlot", "SqlFluff"] = no_effect("Auto")


class DashboardMetadata(Section):
    """What to read from Hex and how to publish it."""

    type: Literal["DashboardMetadata"] = Field(
        default="DashboardMetadata", description="Always DashboardMetadata."
    )
    lineage_information: LineageInformation = Field(
        default_factory=LineageInformation, description="Where lineage may come from."
    )
    dashboard_filter_pattern: FilterPattern | None = Field(
        default=None, description="Which projects to publish, by title."
    )
    project_filter_pattern: None = Field(
        default=None,
        description="Must be absent: Hex has no such name, so OpenMetadata would drop everything.",
    )
    include_owners: bool = Field(
        default=False,
        description="No effect here, as in OpenMetadata's Hex connector: owners are set.",
    )
    mark_deleted_dashboards: bool = Field(
        default=True, description="Soft delete dashboards whose project left Hex."
    )
    include_tags: bool = Field(
        default=True, description="Publish status, categories and collections as tags."
    )
    include_data_models: bool = no_effect(True, "Hex has no data models.")
    override_metadata: bool = Field(
        default=False, description="Let Hex's description and owner replace what people wrote."
    )
    override_lineage: bool = Field(
        default=False,
        description="Let an edge into our dashboards hold only what the last run showed, and "
        "remove edges of OpenMetadata's connector that it did not; else they are kept.",
    )
    chart_filter_pattern: FilterPattern | None = Field(
        default=None, description="Which components and cells become charts, by title or label."
    )
    data_model_filter_pattern: FilterPattern | None = no_effect(None)
    query_parser_config: QueryParserConfig | None = no_effect(None)
    mark_deleted_data_models: bool = no_effect(True)
    mark_deleted_charts: bool = Field(
        default=True,
        description="Soft delete charts whose cell has no lineage any more, or whose component "
        "left Hex.",
    )
    include_draft_dashboard: bool = no_effect(True)
    include_usage: bool = Field(default=True, description="Publish the views of each day.")

    @field_validator("project_filter_pattern", mode="before")
    @classmethod
    def _no_project_filter(cls, value: object) -> object:
        if value is not None:
            raise ValueError(
                "drops every Hex project in OpenMetadata, for Hex has no project above a "
                "dashboard. Remove it, or rename it to dashboardFilterPattern"
            )
        return value

    @property
    def db_service_prefixes(self) -> list[str]:
        return self.lineage_information.db_service_prefixes


class SourceConfig(Section):
    """Holds the configuration of the source."""

    config: DashboardMetadata = Field(
        default_factory=DashboardMetadata, description="What to read and how to publish it."
    )


class Source(Section):
    """Where metadata comes from."""

    type: Annotated[Literal["hex"], BeforeValidator(_lower_case)] = Field(
        description="Always hex, in any case."
    )
    service_name: ServiceName = Field(
        description="Dashboard service in OpenMetadata; also the partition of this workspace."
    )
    service_connection: ServiceConnection = Field(
        description="Connection to Hex. OpenMetadata can also keep it on its server; it must be "
        "in the recipe here, so that the token never has to be stored there."
    )
    source_config: SourceConfig = Field(description="What to read and how to publish it.")


class SecurityConfig(Section):
    """How to log in to OpenMetadata."""

    jwt_token: Secret = Field(
        description="Token of a bot or user, or the path of a file that holds it."
    )


class SslConfig(Section):
    """Certificates, each as PEM text or as the path of a PEM file."""

    ca_certificate: SecretStr | None = Field(
        default=None, description="Certificate authority that signed the server's certificate."
    )
    ssl_certificate: SecretStr | None = Field(
        default=None, description="Our certificate, if asked for."
    )
    ssl_key: SecretStr | None = Field(default=None, description="Private key of our certificate.")


class ElasticsSearch(Section):
    """Sink of OpenMetadata's search indexing."""

    type: str = no_effect("")
    config: dict[str, Any] = free_form("No effect here.")


class OpenMetadataConnection(Section):
    """How to reach OpenMetadata."""

    type: Literal["OpenMetadata"] = Field(
        default="OpenMetadata", description="Always OpenMetadata."
    )
    host_port: WebAddress = Field(
        description="Address of the API, for example http://localhost:8585/api."
    )
    auth_provider: Literal[
        "basic",
        "azure",
        "google",
        "okta",
        "auth0",
        "aws-cognito",
        "custom-oidc",
        "ldap",
        "saml",
        "openmetadata",
    ] = no_effect("basic", "The token of securityConfig is always used.")
    security_config: SecurityConfig = Field(description="How to log in.")
    verify_ssl: Literal["no-ssl", "ignore", "validate"] = Field(
        default="no-ssl",
        alias="verifySSL",
        description="Check of the server's certificate. no-ssl: against the usual authorities; "
        "validate: against caCertificate; ignore: none (unsafe).",
    )
    ssl_config: SslConfig | None = Field(default=None, description="Certificates.")
    api_version: Literal["v1"] = Field(default="v1", description="Version of the API.")
    extra_headers: dict[str, Secret] = Field(
        default_factory=dict, description="Headers sent with every request, for example to a proxy."
    )
    enable_version_validation: bool = no_effect(True)
    cluster_name: str = no_effect("openmetadata")
    store_service_connection: bool = no_effect(True, "The Hex token is never stored.")
    force_entity_overwriting: bool = no_effect(False)
    secrets_manager_provider: Literal[
        "db",
        "managed-aws",
        "aws",
        "managed-aws-ssm",
        "aws-ssm",
        "managed-azure-kv",
        "azure-kv",
        "in-memory",
        "gcp",
        "kubernetes",
    ] = no_effect("db")
    secrets_manager_loader: Literal["noop", "airflow", "env"] = no_effect("noop")
    include_topics: bool = no_effect(True)
    include_tables: bool = no_effect(True)
    include_dashboards: bool = no_effect(True)
    include_pipelines: bool = no_effect(True)
    include_ml_models: bool = no_effect(True)
    include_users: bool = no_effect(True)
    include_teams: bool = no_effect(True)
    include_glossary_terms: bool = no_effect(True)
    include_tags: bool = no_effect(True)
    include_policy: bool = no_effect(True)
    include_messaging_services: bool = no_effect(True)
    include_database_services: bool = no_effect(True)
    include_pipeline_services: bool = no_effect(True)
    limit_records: int = no_effect(1000)
    elastics_search: ElasticsSearch | None = no_effect(None)
    schema_filter_pattern: FilterPattern | None = no_effect(None)
    table_filter_pattern: FilterPattern | None = no_effect(None)
    database_filter_pattern: FilterPattern | None = no_effect(None)
    supports_data_insight_extraction: bool = no_effect(True)
    supports_elastic_search_reindexing_extraction: bool = no_effect(True)

    @model_validator(mode="after")
    def _has_authority(self) -> OpenMetadataConnection:
        given = self.ssl_config or SslConfig()
        if self.verify_ssl == "validate" and given.ca_certificate is None:
            raise ValueError("verifySSL: validate needs sslConfig.caCertificate")
        if given.ssl_key is not None and given.ssl_certificate is None:
            raise ValueError("sslConfig.sslKey needs sslConfig.sslCertificate")
        return self

    def jwt_token(self) -> str:
        """The token, read anew from its file if the recipe names one, for tokens rotate.

        Raises:
            RecipeError: the file cannot be read, or what is found cannot be a token.
        """
        key = f"{_SERVER}.securityConfig.jwtToken"
        given = self.security_config.jwt_token.get_secret_value()
        if os.path.isfile(given):
            try:
                given = Path(given).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise RecipeError(
                    f"{key}: the file it names cannot be read ({_reason(error)}). "
                    "Let the user that runs hex-assets read it."
                ) from None
        elif "/" in given or os.sep in given:
            raise RecipeError(
                f"{key}: looks like a path, but no such file exists. Mount the file, or give the "
                "token itself."
            )
        try:
            token = header_text(SecretStr(given)).get_secret_value()
        except ValueError as error:
            raise RecipeError(f"{key}: {error}.") from None
        if not token:
            raise RecipeError(f"{key}: the file it names is empty. Write the token into it.")
        return token

    def verify(self) -> bool | ssl.SSLContext:
        """What httpx takes as ``verify``.

        The certificate of an https server is checked unless ``verifySSL`` is ``ignore``; the
        usual authorities count unless ``caCertificate`` names another.

        Raises:
            RecipeError: a certificate or key cannot be read.
        """
        if self.ssl_config is None:
            return self.verify_ssl != "ignore"
        context = self._trusting(self.ssl_config.ca_certificate)
        if self.verify_ssl == "ignore":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.ssl_config.ssl_certificate is not None:
            _present(context, self.ssl_config.ssl_certificate, self.ssl_config.ssl_key)
        return context

    def _trusting(self, authority: SecretStr | None) -> ssl.SSLContext:
        if authority is None or self.verify_ssl == "ignore":
            return ssl.create_default_context()
        given = authority.get_secret_value()
        try:
            if _is_pem(given):
                return ssl.create_default_context(cadata=given)
            return ssl.create_default_context(cafile=given)
        except (OSError, ValueError) as error:
            raise _unusable_certificate("caCertificate", error) from None


def _present(context: ssl.SSLContext, certificate: SecretStr, key: SecretStr | None) -> None:
    """Let the context show our certificate; OpenSSL reads it from files only."""
    with tempfile.TemporaryDirectory() as folder:

        def file(name: str, secret: SecretStr) -> str:
            given = secret.get_secret_value()
            if not _is_pem(given):
                return given
            path = Path(folder, name)
            path.touch(mode=0o600)
            path.write_text(given, encoding="utf-8")
            return str(path)

        try:
            context.load_cert_chain(
                file("certificate", certificate),
                file("key", key) if key is not None else None,
                # Without a password OpenSSL would ask for it on the terminal.
                password="",
            )
        except (OSError, ValueError) as error:
            raise _unusable_certificate("sslCertificate and sslKey", error) from None


def _unusable_certificate(keys: str, error: Exception) -> RecipeError:
    return RecipeError(
        f"{_SERVER}.sslConfig: {keys} cannot be used ({_reason(error)}). "
        "Give PEM text or the path of a readable PEM file, without a passphrase."
    )


def _is_pem(text: str) -> bool:
    return "-----BEGIN" in text


def _reason(error: Exception) -> str:
    """What went wrong, without the path or content that the error may quote."""
    if isinstance(error, ssl.SSLError):
        return error.reason or "not valid PEM"
    return getattr(error, "strerror", None) or type(error).__name__


class Component(Section):
    """A step of OpenMetadata's workflow."""

    type: str = Field(description="Type of the step, for example metadata-rest.", repr=False)
    config: dict[str, Any] = free_form("No effect here; OpenMetadata needs at least {}.")


class FreeConfig(Section):
    """Free-form in OpenMetadata; only our own key is looked at."""

    model_config = ConfigDict(extra="ignore")

    hex_assets: HexAssetsSettings = Field(
        default_factory=HexAssetsSettings, description="Settings that OpenMetadata does not know."
    )

    @model_validator(mode="before")
    @classmethod
    def _no_misspelt_key(cls, data: Any) -> Any:
        if not isinstance(data, dict) or isinstance(data.get("hex_assets"), HexAssetsSettings):
            return data
        if "hexAssets" not in data:
            spelt = [str(key).lower().replace("-", "") for key in data]
            if difflib.get_close_matches("hexassets", spelt, cutoff=0.8):
                raise ValueError("has a key much like hexAssets that is not it. Write hexAssets")
        return data


class WorkflowConfig(Section):
    """Settings of the run and of the OpenMetadata server."""

    open_metadata_server_config: OpenMetadataConnection = Field(
        description="How to reach OpenMetadata."
    )
    config: FreeConfig = Field(
        default_factory=FreeConfig, description="Free-form; hexAssets holds our settings."
    )
    logger_level: Literal["DEBUG", "INFO", "WARN", "ERROR"] = no_effect("INFO")
    raise_on_error: bool = no_effect(True, "An asset that cannot be made always fails.")
    success_threshold: int = Field(
        default=90, ge=0, le=100, description="No effect here.", repr=False
    )


class Recipe(Section):
    """One Hex workspace: the whole YAML, validated."""

    source: Source = Field(description="Where metadata comes from.")
    workflow_config: WorkflowConfig = Field(description="The run and the OpenMetadata server.")
    sink: Component | None = no_effect(
        None, "OpenMetadata needs {type: metadata-rest, config: {}}."
    )
    processor: Component | None = no_effect(None)
    stage: Component | None = no_effect(None)
    bulk_sink: Component | None = no_effect(None)
    ingestion_pipeline_fqn: str | None = Field(
        default=None, alias="ingestionPipelineFQN", description="No effect here."
    )
    pipeline_run_id: UUID | None = no_effect(None)
    enable_streamable_logs: bool = no_effect(False)
    ingestion_runner_name: str | None = no_effect(None)

    @model_validator(mode="after")
    def _warehouses_are_used(self) -> Recipe:
        named = {fqn.split(prefix)[0] for prefix in self.source_config.db_service_prefixes}
        for service in self.hex_assets.warehouses:
            if service not in named:
                raise PydanticCustomError(
                    "warehouse_of_no_prefix",
                    "is in none of source.sourceConfig.config.lineageInformation."
                    "dbServicePrefixes, so no table of it would be linked. Name the service there, "
                    "spelt alike",
                    {"path": ("workflowConfig", "config", "hexAssets", "warehouses", service)},
                )
        return self

    @property
    def service_name(self) -> str:
        return self.source.service_name

    @property
    def hex(self) -> HexConnection:
        return self.source.service_connection.config

    @property
    def source_config(self) -> DashboardMetadata:
        return self.source.source_config.config

    @property
    def openmetadata(self) -> OpenMetadataConnection:
        return self.workflow_config.open_metadata_server_config

    @property
    def hex_assets(self) -> HexAssetsSettings:
        return self.workflow_config.config.hex_assets

    @property
    def database_services(self) -> list[str]:
        """Database services of the prefixes, in their order, each once."""
        prefixes = self.source_config.db_service_prefixes
        return list(dict.fromkeys(fqn.split(prefix)[0] for prefix in prefixes))

    def publishes(self, title: str) -> bool:
        """Whether a project of this title is to be published.

        The pattern of ``sourceConfig`` decides, else that of the connection, else all are.
        """
        pattern = self.source_config.dashboard_filter_pattern or self.hex.dashboard_filter_pattern
        return pattern is None or pattern.keeps(title)

    def publishes_chart(self, title: str) -> bool:
        """Whether a component or cell of this title becomes a chart."""
        pattern = self.source_config.chart_filter_pattern
        return pattern is None or pattern.keeps(title)
