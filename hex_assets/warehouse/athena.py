"""Athena's query executions, listed by work group through its API: no system table holds them.

They stay for 45 days and belong to a region; a text is whole, as no longer one than 262,144 bytes
is accepted (Amazon Athena, service quotas). The API filters by nothing and names no user.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

import polars as pl
from pydantic import Field, PrivateAttr

from hex_assets.errors import MissingExtra, WarehouseError
from hex_assets.section import no_effect
from hex_assets.warehouse.aws import AwsCredentials
from hex_assets.warehouse.comment import MARKER
from hex_assets.warehouse.connection import SqlWarehouse
from hex_assets.warehouse.faults import fault, translated
from hex_assets.warehouse.reader import EXECUTIONS, STATEMENT_TYPES, HistoryBatch, Window

_PER_REQUEST = 50
"""Most ids that one request lists or gets (Amazon Athena API reference)."""

_ROWS_PER_BATCH = 2_000
_SLACK = timedelta(minutes=1)
_POLL_SECONDS = 0.5


class Athena(SqlWarehouse):
    """Reads the query executions of Athena's work groups, in one region.

    Hex should have a work group of its own: it is the only filter at the source.
    """

    type: Literal["Athena"] = Field(description="Always Athena.")
    aws_config: AwsCredentials = Field(description="How to log in to AWS.")
    s3_staging_dir: str = Field(
        default="", description="Where Athena puts results of a historyStatement, an s3:// URL."
    )
    workgroup: str = Field(default="primary", min_length=1, description="Work group that Hex uses.")
    history_workgroups: list[str] = Field(
        default_factory=list,
        description="Work groups to read in place of `workgroup`; `*` for all of the region. Not "
        "one of OpenMetadata's fields.",
    )
    catalog_id: str | None = Field(default=None, description="Catalog of a historyStatement.")
    database_name: str | None = no_effect(None)
    scheme: Literal["awsathena+rest"] = no_effect("awsathena+rest")

    _wait: Callable[[float], None] = PrivateAttr(default=time.sleep)

    @property
    def sql_dialect(self) -> str:
        return "athena"

    def read_history(self, window: Window) -> Iterator[HistoryBatch]:
        """Executions come one by one; ``row_limit`` bounds those looked at.

        The database is null: Athena's catalog is no part of OpenMetadata's names.
        """
        with self._client() as client:
            seen = 0
            for group in self._groups(client):
                held: list[dict[str, Any]] = []
                unknown = 0
                for found, lost in self._pages(client, group, window.start):
                    seen += len(found)
                    unknown += lost
                    held += _executions(found, window)
                    if len(held) >= _ROWS_PER_BATCH:
                        yield _batch(held)
                        held = []
                    if seen >= self.row_limit:
                        break
                if held:
                    yield _batch(held)
                if unknown:
                    yield self._gap(
                        f"{unknown} executions of work group {group} could not be read one by one"
                    )
                if seen >= self.row_limit:
                    yield self._gap(
                        f"stopped at rowLimit after {seen} executions; give Hex a work group of "
                        "its own, or raise rowLimit"
                    )
                    return

    def check(self) -> str:
        """See ``WarehouseConnection.check``."""
        with self._client() as client:
            groups = self._groups(client)
            for group in groups:
                ids = client.list_query_executions(WorkGroup=group, MaxResults=1)
                if listed := ids["QueryExecutionIds"]:
                    client.batch_get_query_execution(QueryExecutionIds=listed)
        return f"readable, work group {', '.join(groups)}; Athena names no users"

    def execute(
        self, statement: str, parameters: Mapping[str, Any]
    ) -> Iterator[tuple[Sequence[str], Sequence[Sequence[Any]]]]:
        """See ``SqlWarehouse.execute``; parameters are written ``?``, start before end."""
        values = [_literal(value) for value in parameters.values()]
        with self._client() as client:
            started = client.start_query_execution(
                QueryString=statement,
                WorkGroup=self.workgroup,
                **({"ExecutionParameters": values} if values else {}),
                **(
                    {"ResultConfiguration": {"OutputLocation": self.s3_staging_dir}}
                    if self.s3_staging_dir
                    else {}
                ),
                **(
                    {"QueryExecutionContext": {"Catalog": self.catalog_id}}
                    if self.catalog_id
                    else {}
                ),
            )
            execution = started["QueryExecutionId"]
            try:
                self._await(client, execution)
                yield from _results(client, execution)
            except GeneratorExit:
                raise
            except BaseException:
                client.stop_query_execution(QueryExecutionId=execution)
                raise

    def _await(self, client: Any, execution: str) -> None:
        waited = 0.0
        while True:
            status = client.get_query_execution(QueryExecutionId=execution)["QueryExecution"][
                "Status"
            ]
            if status["State"] == "SUCCEEDED":
                return
            if status["State"] in ("FAILED", "CANCELLED"):
                raise WarehouseError(
                    self.service,
                    f"Athena ended the statement as {status['State'].lower()}",
                    f"See execution {execution} in the Athena console for the reason",
                )
            if waited >= self.statement_timeout_seconds:
                raise WarehouseError(
                    self.service,
                    f"the statement did not end within {self.statement_timeout_seconds} s",
                    "Narrow historyStatement, or raise statementTimeoutSeconds",
                    transient=True,
                )
            self._wait(_POLL_SECONDS)
            waited += _POLL_SECONDS

    def _groups(self, client: Any) -> list[str]:
        if "*" not in self.history_workgroups:
            return self.history_workgroups or [self.workgroup]
        groups: list[str] = []
        request: dict[str, Any] = {"MaxResults": _PER_REQUEST}
        while True:
            answer = client.list_work_groups(**request)
            groups += [group["Name"] for group in answer["WorkGroups"]]
            if not (token := answer.get("NextToken")):
                return groups
            request["NextToken"] = token

    def _pages(
        self, client: Any, group: str, start: datetime
    ) -> Iterator[tuple[list[dict[str, Any]], int]]:
        """Executions of a work group and how many could not be got, page by page.

        Athena lists the newest first, but does not promise to. So a page of old executions ends
        the listing only where all pages so far ran from new to old, by more than ``_SLACK``; else
        all 45 days are listed.
        """
        request: dict[str, Any] = {"WorkGroup": group, "MaxResults": _PER_REQUEST}
        first: datetime | None = None
        oldest: datetime | None = None
        falling = True
        while True:
            listed = client.list_query_executions(**request)
            found: list[dict[str, Any]] = []
            lost = 0
            if ids := listed["QueryExecutionIds"]:
                answer = client.batch_get_query_execution(QueryExecutionIds=ids)
                place = {one: at for at, one in enumerate(ids)}
                found = sorted(
                    answer["QueryExecutions"], key=lambda one: place[one["QueryExecutionId"]]
                )
                lost = len(answer.get("UnprocessedQueryExecutionIds", ()))
            yield found, lost
            times = [one["Status"]["SubmissionDateTime"] for one in found]
            for at in times:
                first = first or at
                falling = falling and (oldest is None or at <= oldest + _SLACK)
                oldest = min(oldest or at, at)
            ran_down = first is not None and oldest is not None and first - oldest > _SLACK
            past = bool(times) and max(times) < start - _SLACK
            if not (token := listed.get("NextToken")) or (falling and ran_down and past):
                return
            request["NextToken"] = token

    def _gap(self, text: str) -> HistoryBatch:
        return HistoryBatch(pl.DataFrame(schema=STATEMENT_TYPES), gaps=(f"{self.service}: {text}",))

    @contextmanager
    def _client(self) -> Iterator[Any]:
        """A client of Athena; its errors become ours. The quotas are low, so retries adapt."""
        try:
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError:
            raise MissingExtra(self.service, "athena") from None
        config = Config(
            retries={"mode": "adaptive", "max_attempts": 10},
            connect_timeout=5,
            read_timeout=30,
            user_agent_extra="hex-assets",
        )
        try:
            client = self.aws_config.session(self.service).client(
                "athena", endpoint_url=self.aws_config.end_point_url, config=config
            )
            yield client
        except (BotoCoreError, ClientError) as error:
            raise self._translated(error) from None

    def _translated(self, error: Exception) -> WarehouseError:
        return translated(
            self.service,
            f"{type(error).__name__} {error}",
            _FAULTS,
            {
                "region": self.aws_config.aws_region,
                "profile": self.aws_config.profile_name or "",
                "role": self.aws_config.assume_role_arn or "",
                "groups": ", ".join(self.history_workgroups or [self.workgroup]),
            },
            self.aws_config.secrets(),
            ("Athena refused", "Try the same login with `aws athena list-query-executions`"),
        )


def _executions(found: Sequence[Mapping[str, Any]], window: Window) -> Iterator[dict[str, Any]]:
    """The successful executions of the window that may hold a Hex comment."""
    for one in found:
        status = one["Status"]
        started = status["SubmissionDateTime"].astimezone(timezone.utc)
        if status["State"] == "SUCCEEDED" and window.start <= started < window.end:
            yield {
                "query_text": one["Query"],
                "database": None,
                "schema": one.get("QueryExecutionContext", {}).get("Database"),
                "user": None,
                "started_at": started,
                "query_id": one["QueryExecutionId"],
                "resolved": None,
            }


def _batch(held: list[dict[str, Any]]) -> HistoryBatch:
    rows = pl.DataFrame(held, schema=EXECUTIONS, orient="row")
    return HistoryBatch(rows.filter(pl.col("query_text").str.contains(MARKER)))


def _literal(value: Any) -> str:
    """A value as Athena's execution parameters take it: the text of a SQL literal."""
    if isinstance(value, datetime):
        at = value.astimezone(timezone.utc)
        return f"timestamp '{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03} UTC'"
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


def _results(
    client: Any, execution: str
) -> Iterator[tuple[Sequence[str], Sequence[Sequence[Any]]]]:
    """Rows of a finished execution; of a SELECT the first row repeats the names."""
    request: dict[str, Any] = {"QueryExecutionId": execution, "MaxResults": 1000}
    header = True
    while True:
        answer = client.get_query_results(**request)
        columns = answer["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
        rows = [
            [
                _typed(cell.get("VarCharValue"), column["Type"])
                for cell, column in zip(row["Data"], columns, strict=True)
            ]
            for row in answer["ResultSet"]["Rows"][1 if header else 0 :]
        ]
        yield [column["Name"] for column in columns], rows
        if not (token := answer.get("NextToken")):
            return
        request["NextToken"], header = token, False


def _typed(text: str | None, kind: str) -> Any:
    if text is None or not kind.startswith("timestamp"):
        return text
    form = "%Y-%m-%d %H:%M:%S.%f" if "." in text else "%Y-%m-%d %H:%M:%S"
    try:
        return datetime.strptime(text.removesuffix(" UTC"), form).replace(tzinfo=timezone.utc)
    except ValueError:
        return text


_FAULTS = (
    fault(
        r"\bAssumeRole\b",
        "role {role} cannot be assumed",
        "Let the login call sts:AssumeRole on it, and name the login in the role's trust policy",
    ),
    fault(
        r"AccessDenied|not authorized to perform",
        "the login may not read Athena's query executions",
        "Allow athena:ListQueryExecutions, athena:BatchGetQueryExecution, "
        "athena:GetQueryExecution and athena:ListWorkGroups on work groups {groups}",
    ),
    fault(
        r"ExpiredToken|UnrecognizedClient|InvalidClientTokenId|SignatureDoesNotMatch|"
        r"InvalidSignature|NoCredentials|PartialCredentials|CredentialRetrieval|TokenRetrieval|"
        r"SSOToken",
        "AWS rejected the login, or there is none",
        "Give awsConfig.awsAccessKeyId and awsSecretAccessKey (with awsSessionToken if they are "
        "temporary), a profileName, or a role of the machine; renew what has expired",
    ),
    fault(
        r"ProfileNotFound",
        "profile {profile} is not in the AWS configuration files",
        "Correct awsConfig.profileName, or add the profile on this machine",
    ),
    fault(
        r"WorkGroup.*(?:not found|does not exist)|InvalidRequestException.*work ?group",
        "work group {groups} does not exist in {region}",
        "Correct `workgroup`, `historyWorkgroups` or awsConfig.awsRegion",
    ),
    fault(
        r"Throttling|TooManyRequests|\bRequestLimitExceeded",
        "Athena kept refusing requests as too many",
        "Run again later, or ask AWS to raise the quota of ListQueryExecutions and "
        "BatchGetQueryExecution",
        transient=True,
    ),
    fault(
        r"EndpointConnection|ConnectTimeout|ReadTimeout|ConnectionClosed|HTTPClientError|"
        r"InternalServer|ServiceUnavailable|ProxyConnection",
        "Athena in {region} did not answer",
        "Check awsConfig.awsRegion, endPointURL, the network and its proxy",
        transient=True,
    ),
)
"""Known failures, the first that fits counts (Amazon Athena API reference, errors)."""
