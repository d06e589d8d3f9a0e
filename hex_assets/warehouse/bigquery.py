"""BigQuery's ``INFORMATION_SCHEMA.JOBS``, grouped where it is, by project and region.

Jobs appear within seconds and stay for 180 days; a text is whole up to the longest statement that
BigQuery takes (Google Cloud documentation, "JOBS view").
"""

from __future__ import annotations

import json
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import TimeoutError  # noqa: A004  (Python's own from 3.11 on)
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator
from typing_extensions import Self

from hex_assets.errors import MissingExtra, WarehouseError
from hex_assets.section import Secret, Section, free_form, no_effect
from hex_assets.warehouse.comment import TRACE_ID, USER_EMAIL
from hex_assets.warehouse.connection import SqlWarehouse
from hex_assets.warehouse.faults import fault, translated, unknown_argument
from hex_assets.warehouse.reader import HistoryBatch, Window, batch

_ROWS_PER_PAGE = 10_000
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_HOST = "bigquery.googleapis.com"
_PROJECT = re.compile(r"[\w.:-]+")
_LOCATION = re.compile(r"[A-Za-z0-9-]+")
_ANSWER_SECONDS = 60
"""Longest wait for the answer to one request, and for it to be tried again."""

# The marker is two joined literals, so that this statement does not find itself among the jobs.
# Texts are grouped as ``STATEMENTS`` says, by hashes of what comes before the marker and of
# the comment without trace ids and users. Of a script that Hex sent, BigQuery lists the whole and
# each statement: the whole counts only if no statement of it has the comment.
_HISTORY = """
WITH logged AS (
  SELECT job_id, COALESCE(parent_job_id, job_id) AS script, query, project_id, user_email,
         creation_time, COALESCE(cache_hit, FALSE) AS cached, referenced_tables,
         COALESCE(statement_type, '') = 'SCRIPT' AS whole,
         STRPOS(LOWER(query), CONCAT('hex query ', 'metadata')) AS marker
  FROM JOBS
  WHERE creation_time >= @start AND creation_time < @end
    AND job_type = 'QUERY' AND state = 'DONE' AND error_result IS NULL
), marked AS (
  SELECT *, SUBSTR(query, marker) AS comment, COUNT(*) OVER (PARTITION BY script) AS parts
  FROM logged
  WHERE marker > 0
), named AS (
  SELECT job_id, query, project_id, creation_time, cached,
         IF(ARRAY_LENGTH(referenced_tables) > 0, TO_JSON_STRING(referenced_tables), NULL) AS tables,
         TO_HEX(SHA256(SUBSTR(query, 1, marker - 1))) AS body_hash,
         TO_HEX(SHA256(REGEXP_REPLACE(
           REGEXP_REPLACE(comment, r'TRACE_ID', 'trace_id'), r'USER_EMAIL', 'user_email')))
           AS comment_hash,
         LOWER(COALESCE(REGEXP_EXTRACT(comment, r'USER_EMAIL'), user_email, '')) AS person
  FROM marked
  WHERE NOT (whole AND parts > 1)
)
SELECT MAX_BY(query, creation_time) AS query_text, project_id,
       ARRAY_AGG(DISTINCT person) AS users, COUNT(*) AS executions,
       MIN(creation_time) AS first_seen, MAX(creation_time) AS last_seen,
       COALESCE(MAX_BY(job_id, IF(cached, NULL, creation_time)),
                MAX_BY(job_id, creation_time)) AS sample_query_id,
       MAX_BY(tables, IF(tables IS NULL, NULL, creation_time)) AS tables
FROM named
GROUP BY body_hash, comment_hash, project_id
LIMIT @limit
""".replace("TRACE_ID", TRACE_ID).replace("USER_EMAIL", USER_EMAIL)

_CHECK = """
SELECT COUNT(*) FROM JOBS
WHERE creation_time >= TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 24 HOUR)
  AND job_type = 'QUERY'
"""


class GcpCredentialsValues(Section):
    """A service account, by the values of its key file; without privateKey, those around us."""

    type: Literal["service_account"] = Field(
        default="service_account", description="Always service_account."
    )
    project_id: str | list[str] | None = Field(
        default=None, description="Project or projects whose jobs are read."
    )
    private_key_id: str | None = Field(default=None, description="Id of the private key.")
    private_key: Secret | None = Field(
        default=None, description="Private key, PEM text (line breaks may be written \\n)."
    )
    client_email: str | None = Field(default=None, description="E-mail of the service account.")
    client_id: str | None = Field(default=None, description="Id of the service account.")
    token_uri: str = Field(
        default="https://oauth2.googleapis.com/token", description="Where tokens are asked for."
    )

    auth_uri: str = no_effect("https://accounts.google.com/o/oauth2/auth")
    auth_provider_x509_cert_url: str | None = Field(
        default=None, alias="authProviderX509CertUrl", description="No effect here.", repr=False
    )
    client_x509_cert_url: str | None = Field(
        default=None, alias="clientX509CertUrl", description="No effect here.", repr=False
    )


class GcpCredentialsPath(Section):
    """A key file: of a service account, or of workload identity federation."""

    type: Literal["gcp_credential_path"] = Field(
        default="gcp_credential_path", description="Always gcp_credential_path."
    )
    path: str = Field(min_length=1, description="Path of the file.")
    project_id: str | list[str] | None = Field(
        default=None, description="Project or projects whose jobs are read."
    )


class GcpExternalAccount(Section):
    """Workload identity federation."""

    type: Literal["external_account"] = Field(
        default="external_account", description="Always external_account."
    )
    external_type: Literal["external_account"] = no_effect("external_account")
    audience: str = Field(min_length=1, description="Audience: pool and provider.")
    subject_token_type: str = Field(description="Type of the external token.")
    token_url: str = Field(alias="tokenURL", description="Where the external token is exchanged.")
    credential_source: dict[str, Any] = Field(
        description="Where the external token is found.", repr=False
    )


class GcpADC(Section):
    """Application default credentials: those around us."""

    type: Literal["gcp_adc"] = Field(default="gcp_adc", description="Always gcp_adc.")
    project_id: str | list[str] | None = Field(
        default=None, description="Project or projects whose jobs are read."
    )


class GcpImpersonation(Section):
    """Another service account to act as."""

    impersonate_service_account: str | None = Field(
        default=None, description="E-mail of the service account to act as."
    )
    lifetime: int = Field(default=3600, ge=1, le=43_200, description="Seconds a token lasts.")


class GcpCredentials(Section):
    """How to log in to Google Cloud."""

    gcp_config: GcpCredentialsValues | GcpCredentialsPath | GcpExternalAccount | GcpADC = Field(
        description="Service account by values or file, workload identity, or what is around us."
    )
    gcp_impersonate_service_account: GcpImpersonation | None = Field(
        default=None, description="Service account to act as."
    )


class BigQuery(SqlWarehouse):
    """Reads the jobs of one or more Google Cloud projects."""

    type: Literal["BigQuery"] = Field(description="Always BigQuery.")
    credentials: GcpCredentials = Field(description="How to log in.")
    host_port: str = Field(default=_HOST, min_length=1, description="Address of BigQuery's API.")
    billing_project_id: str | None = Field(
        default=None,
        description="Project that runs and pays our statements; by default the first one read.",
    )
    projects: list[str] = Field(
        default_factory=list,
        description="Projects whose jobs are read: all that Hex runs queries in. By default "
        "projectId of the credentials. Not one of OpenMetadata's fields.",
    )
    usage_location: str = Field(
        default="us", description="Region or multi-region whose jobs are read."
    )
    locations: list[str] = Field(
        default_factory=list,
        description="Regions and multi-regions whose jobs are read, in place of usageLocation. Not "
        "one of OpenMetadata's fields.",
    )
    jobs_table: str | None = Field(
        default=None,
        min_length=1,
        description="Table with the columns of INFORMATION_SCHEMA.JOBS to read in its place, as "
        "project.dataset.table. Not one of OpenMetadata's fields.",
    )
    maximum_bytes_billed: int = Field(
        default=200_000_000_000,
        ge=10_000_000,
        description="Most bytes that one statement may be billed for. Not one of OpenMetadata's "
        "fields.",
    )
    connection_arguments: dict[str, Any] = free_form(
        "Further arguments of google.cloud.bigquery.Client."
    )

    scheme: Literal["bigquery"] = no_effect("bigquery")
    connection_options: dict[str, str] = no_effect({})
    include_policy_tags: bool = no_effect(True)
    taxonomy_project_id: list[str] | None = Field(
        default=None, alias="taxonomyProjectID", description="No effect here.", repr=False
    )
    taxonomy_location: str = no_effect("us")
    cost_per_tb: float = Field(
        default=6.25, alias="costPerTB", description="No effect here.", repr=False
    )

    @field_validator("projects", "jobs_table", "billing_project_id")
    @classmethod
    def _are_names(cls, value: list[str] | str | None) -> list[str] | str | None:
        for name in [value] if isinstance(value, str) else value or []:
            if name and not _PROJECT.fullmatch(name):
                raise ValueError("must be made of letters, digits, dots, colons, - and _")
        return value

    @field_validator("locations", "usage_location")
    @classmethod
    def _are_locations(cls, value: list[str] | str) -> list[str] | str:
        for name in [value] if isinstance(value, str) else value:
            if not _LOCATION.fullmatch(name):
                raise ValueError("must be made of letters, digits and -")
        return value

    @model_validator(mode="after")
    def _reads_a_project(self) -> Self:
        if not self._projects:
            raise ValueError("names no project; give projects, or projectId of the credentials")
        for project in self._projects:
            if not _PROJECT.fullmatch(project):
                raise ValueError("projectId must be made of letters, digits, dots, colons, - and _")
        return self

    @property
    def sql_dialect(self) -> str:
        return "bigquery"

    @property
    def _projects(self) -> list[str]:
        if self.projects:
            return self.projects
        named = getattr(self.credentials.gcp_config, "project_id", None)
        if isinstance(named, str):
            return [named]
        return named or ([self.billing_project_id] if self.billing_project_id else [])

    @property
    def _sources(self) -> list[tuple[str, str]]:
        """Relations of jobs, each with the location where it is read."""
        locations = self.locations or [self.usage_location]
        if self.jobs_table is not None:
            return [(f"`{self.jobs_table}`", locations[0])]
        return [
            (f"`{project}`.`region-{location.lower()}`.INFORMATION_SCHEMA.JOBS", location)
            for project in self._projects
            for location in locations
        ]

    def read_history(self, window: Window) -> Iterator[HistoryBatch]:
        """Rows are grouped by BigQuery."""
        values = {
            "start": window.start,
            "end": window.end,
            "limit": self.row_limit + 1,
        }
        for jobs, location in self._sources:
            billed: list[int] = []
            for _, rows in self._run(
                _HISTORY.replace("FROM JOBS", f"FROM {jobs}"), values, location, billed
            ):
                part = batch(
                    (
                        text,
                        project,
                        None,
                        [user for user in users if user],
                        count,
                        first,
                        last,
                        sample,
                        _tables_read(tables),
                    )
                    for text, project, users, count, first, last, sample, tables in rows
                )
                yield replace(part, bytes_read=sum(billed))
                billed.clear()

    def check(self) -> str:
        """See ``WarehouseConnection.check``."""
        count = 0
        for jobs, location in self._sources:
            ((_, ((found,),)),) = self._run(
                _CHECK.replace("FROM JOBS", f"FROM {jobs}"), {}, location
            )
            count += found
        where = f"{len(self._projects)} project(s)"
        return f"readable, {count} statements in the last 24 hours in {where}"

    def execute(
        self, statement: str, parameters: Mapping[str, Any]
    ) -> Iterator[tuple[Sequence[str], Sequence[Sequence[Any]]]]:
        """See ``SqlWarehouse.execute``; parameters are written ``@name``.

        The statement runs in the first location.
        """
        yield from self._run(statement, parameters, self._sources[0][1])

    def _run(
        self,
        statement: str,
        parameters: Mapping[str, Any],
        location: str,
        billed: list[int] | None = None,
    ) -> Iterator[tuple[Sequence[str], Sequence[Sequence[Any]]]]:
        """See ``execute``; the bytes billed are added to ``billed``."""
        with self._client(location) as client:
            from google.cloud import bigquery

            types = {datetime: "TIMESTAMP", int: "INT64", str: "STRING"}
            config = bigquery.QueryJobConfig(
                query_parameters=[
                    bigquery.ScalarQueryParameter(name, types[type(value)], value)
                    for name, value in parameters.items()
                ],
                maximum_bytes_billed=self.maximum_bytes_billed,
                job_timeout_ms=self.statement_timeout_seconds * 1000,
                labels={"application": "hex-assets"},
            )
            retry = bigquery.DEFAULT_RETRY.with_timeout(_ANSWER_SECONDS)
            job = client.query(
                statement, config, retry=retry, timeout=_ANSWER_SECONDS, job_retry=None
            )
            result = job.result(
                page_size=_ROWS_PER_PAGE,
                retry=retry,
                timeout=self.statement_timeout_seconds + _ANSWER_SECONDS,
                job_retry=None,
            )
            if billed is not None:
                billed.append(int(job.total_bytes_billed or 0))
            names = [field.name for field in result.schema]
            empty = True
            for page in result.pages:
                empty = False
                yield names, [row.values() for row in page]
            if empty:
                yield names, []

    @contextmanager
    def _client(self, location: str) -> Iterator[Any]:
        """A client of its own; its errors become ours."""
        # The logs of the client quote requests; failures reach us as exceptions.
        for name in ("google", "google.auth", "google.cloud.bigquery"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            from google.api_core.exceptions import GoogleAPIError
            from google.auth.exceptions import GoogleAuthError
            from google.cloud import bigquery
        except ImportError:
            raise MissingExtra(self.service, "bigquery") from None
        from requests.exceptions import RequestException

        try:
            arguments: dict[str, Any] = {
                "project": self.billing_project_id or self._projects[0],
                "location": location,
                "credentials": self._login(),
            }
            if self.host_port != _HOST:
                scheme = "" if "://" in self.host_port else "https://"
                arguments["client_options"] = {"api_endpoint": f"{scheme}{self.host_port}"}
            try:
                client = bigquery.Client(**(arguments | self.connection_arguments))
            except TypeError as error:
                raise unknown_argument(self.service, error) from None
            with closing(client):
                yield client
        except (
            GoogleAPIError,
            GoogleAuthError,
            RequestException,
            TimeoutError,
            OSError,
        ) as error:
            raise self._translated(error, location) from None

    def _login(self) -> Any:
        import google.auth
        from google.auth import impersonated_credentials

        key = self._key()
        if key is None:
            credentials, _ = google.auth.default(scopes=_SCOPES)
        else:
            with warnings.catch_warnings():
                # Google warns of keys from strangers; whoever wrote the recipe gave this one.
                warnings.simplefilter("ignore", DeprecationWarning)
                try:
                    credentials, _ = google.auth.load_credentials_from_dict(key, scopes=_SCOPES)
                except (ValueError, google.auth.exceptions.DefaultCredentialsError):
                    raise self._unreadable_key() from None
        acting = self.credentials.gcp_impersonate_service_account
        if acting is not None and acting.impersonate_service_account:
            return impersonated_credentials.Credentials(
                credentials,
                target_principal=acting.impersonate_service_account,
                target_scopes=list(_SCOPES),
                lifetime=acting.lifetime,
            )
        return credentials

    def _key(self) -> dict[str, Any] | None:
        """What a key file holds; None for the credentials around us."""
        config = self.credentials.gcp_config
        if isinstance(config, GcpCredentialsPath):
            try:
                key = json.loads(Path(config.path).read_text())
            except ValueError:
                raise self._unreadable_key() from None
            return dict(key) if isinstance(key, dict) else {}
        if isinstance(config, GcpExternalAccount):
            return {
                "type": config.type,
                "audience": config.audience,
                "subject_token_type": config.subject_token_type,
                "token_url": config.token_url,
                "credential_source": config.credential_source,
            }
        if isinstance(config, GcpCredentialsValues) and config.private_key is not None:
            return {
                "type": config.type,
                "private_key_id": config.private_key_id,
                "private_key": config.private_key.get_secret_value().replace("\\n", "\n"),
                "client_email": config.client_email,
                "client_id": config.client_id,
                "token_uri": config.token_uri,
            }
        return None

    def _unreadable_key(self) -> WarehouseError:
        return WarehouseError(
            self.service,
            "the key of the credentials cannot be read",
            "Give privateKey as PEM text and clientEmail, both as in the key file that Google made "
            "for the service account, or the path of that file",
        )

    def _translated(self, error: Exception, location: str) -> WarehouseError:
        """The client's error in words that say what mends it."""
        config = self.credentials.gcp_config
        return translated(
            self.service,
            f"{type(error).__name__} {error}",
            _FAULTS,
            {
                "project": self.billing_project_id or self._projects[0],
                "projects": ", ".join(self._projects),
                "location": location,
                "host": self.host_port,
                "jobs": self.jobs_table or "INFORMATION_SCHEMA.JOBS",
                "bytes": str(self.maximum_bytes_billed),
                "seconds": str(self.statement_timeout_seconds),
            },
            (getattr(config, "private_key", None), *self.connection_arguments.values()),
            ("BigQuery refused", "Run the same statement in BigQuery Studio to see more"),
        )


def _tables_read(tables: str | None) -> list[dict[str, Any]] | None:
    """``referenced_tables`` as JSON; without results of earlier queries (hidden datasets)."""
    read = [
        {
            "database": one["project_id"],
            "schema": one["dataset_id"],
            "table": one["table_id"],
            "columns": [],
        }
        for one in json.loads(tables or "[]")
        if not one["dataset_id"].startswith("_")
    ]
    return sorted(read, key=lambda one: tuple(map(str, one.values()))) or None


_FAULTS = (
    fault(
        r"bytesBilledLimitExceeded|bytes billed",
        "the statement on {jobs} would be billed for more than {bytes} bytes",
        "Raise maximumBytesBilled, or lower hexAssets.lookBackDays",
    ),
    fault(
        r"DefaultCredentialsError|RefreshError|MalformedError|invalid_grant|Unauthorized|\b401\b|"
        r"FileNotFoundError|No such file",
        "Google Cloud rejected the login, or there is none",
        "Check credentials: the key may be wrong, disabled or expired, or the file is missing. "
        "Impersonation needs roles/iam.serviceAccountTokenCreator on the account to act as",
    ),
    fault(
        r"bigquery\.jobs\.create",
        "statements may not be run in project {project}",
        "Grant roles/bigquery.jobUser on it, or set billingProjectId to another",
    ),
    fault(
        r"Forbidden|\b403\b|Access Denied|bigquery\.jobs\.listAll",
        "{jobs} of {projects} in {location} cannot be read",
        "Grant roles/bigquery.resourceViewer (bigquery.jobs.listAll) on each of the projects",
    ),
    fault(
        r"NotFound|Not found|\b404\b|was not found",
        "{jobs} of {projects} does not exist in {location}",
        "Correct projects, locations (or usageLocation) or jobsTable",
    ),
    fault(
        r"Job timed out|job_timeout|jobTimeout|Operation timed out|^TimeoutError|stopped",
        "BigQuery stopped the statement on {jobs} after {seconds} seconds",
        "Raise statementTimeoutSeconds, or lower hexAssets.lookBackDays",
    ),
    fault(
        r"timed? ?out|Timeout|Connection|resolve|refused|Max retries|RetryError|\b50[0234]\b|"
        r"ServiceUnavailable|TransportError|\b429\b|rateLimitExceeded|quotaExceeded",
        "BigQuery at {host} did not answer",
        "Check hostPort, the network and its proxy, and quotas of project {project}",
        transient=True,
    ),
)
"""Known failures, the first that fits counts (Google Cloud documentation, error messages)."""
