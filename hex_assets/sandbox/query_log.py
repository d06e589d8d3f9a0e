"""The warehouse's memory of the demo world: Snowflake's QUERY_HISTORY, three weeks of it.

What Hex ran agrees with the cells of the world: chained cells arrive compiled into common table
expressions, Jinja arrives rendered, and the last line is the comment that Hex appends. Around it
stands what else a warehouse remembers: loads, models, people, another company's Hex, and text
that only speaks of hex.

Hex documents no values for the comment's ``context``. ``SCHEDULED_RUN`` and ``APP_VIEW`` are seen
in public code; ``LOGIC`` and ``API_RUN`` are stand-ins for the others.
"""

from __future__ import annotations

import json
import random
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypedDict

import polars as pl

from hex_assets.sandbox import shop
from hex_assets.sandbox.world import HexWorkspace, WireObject, World

HEX_COMMENT_MARKER = "-- Hex query metadata: "
"""How the comment begins that Hex appends to the SQL it runs (Hex docs, "SQL cells")."""

LOG_DAYS = 21
"""Days before ``now`` that the log covers."""

FOREIGN_PROJECT_IDS = (
    "6f0f7a54-50a6-4c7c-9d5e-0c6f2f1f8a11",
    "019c11aa-7d20-7a41-8c3b-52f9e60b7d02",
)
"""Projects of a Hex workspace outside the demo world that queries the same account."""

QUERY_LOG_SCHEMA = {
    "query_id": pl.String(),
    "query_text": pl.String(),
    "database_name": pl.String(),
    "schema_name": pl.String(),
    "user_name": pl.String(),
    "start_time": pl.Datetime("us", "UTC"),
    "end_time": pl.Datetime("us", "UTC"),
    "execution_status": pl.String(),
}
"""Columns of the log: those of Snowflake's ACCOUNT_USAGE.QUERY_HISTORY, in lower case."""


class QueryLogRow(TypedDict):
    """One executed statement; the names are those of Snowflake's QUERY_HISTORY in lower case.

    ``database_name`` and ``schema_name`` are the session's at execution, null when unset.
    ``execution_status`` is ``SUCCESS`` or ``FAIL``. Instants are aware and in UTC.
    """

    query_id: str
    query_text: str
    database_name: str | None
    schema_name: str | None
    user_name: str
    start_time: datetime
    end_time: datetime
    execution_status: str


def query_log(world: World, now: datetime, seed: int = 7) -> list[QueryLogRow]:
    """The log of the days before ``now``, oldest first; the same arguments give the same rows.

    Args:
        world: whose cells ran, as they are today; only those that query the Snowflake account.
        now: an aware instant.
        seed: decides when people looked, what they chose and which results Hex had cached.

    Raises:
        KeyError: a cell uses a Jinja variable that is no input of the demo.
    """
    log = _Log(random.Random(seed), now)
    damaged: tuple[HexWorkspace, WireObject, _Statement] | None = None
    for workspace in world.workspaces:
        connections = _snowflake_connections(workspace)
        for project in workspace.projects:
            statements = _statements(workspace.cells[project["id"]], connections)
            if statements:
                log.add_project(workspace, project, statements)
                damaged = (workspace, project, statements[0]) if damaged is None else damaged
    if damaged is not None:
        log.add_damaged_comments(*damaged)
    log.add_noise()
    return sorted(log.rows, key=lambda row: (row["start_time"], row["query_id"]))


def write_query_log(rows: Sequence[QueryLogRow], path: Path) -> None:
    """Write the rows as one Parquet file."""
    pl.DataFrame(list(rows), schema=QUERY_LOG_SCHEMA, orient="row").write_parquet(path)


def hex_comment(payload: Mapping[str, Any]) -> str:
    """The comment line as Hex writes it: one line of JSON with sorted keys."""
    return HEX_COMMENT_MARKER + json.dumps(payload, sort_keys=True)


@dataclass(frozen=True)
class _Statement:
    """A SQL cell with its upstream cells compiled in, Jinja still in place."""

    cell: WireObject
    connection: WireObject
    sql: str


def _snowflake_connections(workspace: HexWorkspace) -> dict[str, WireObject]:
    """Connections, listed or not, that lead to the account whose log this is."""
    return {
        connection["id"]: connection
        for connection in (*workspace.data_connections, *workspace.unlisted_connections)
        if connection["type"] == "snowflake"
        and connection["connectionDetails"]["snowflake"]["accountName"] == shop.SNOWFLAKE_ACCOUNT
    }


def _statements(
    cells: Sequence[WireObject], connections: Mapping[str, WireObject]
) -> list[_Statement]:
    upstream: dict[str, str] = {}
    statements: list[_Statement] = []
    for cell in cells:
        connection = connections.get(cell["dataConnectionId"])
        if cell["cellType"] == "SQL" and connection is not None:
            source = cell["contents"]["sqlCell"]["source"]
            statements.append(_Statement(cell, connection, _compiled(source, upstream)))
            upstream[cell["contents"]["sqlCell"]["outputDataframe"]] = source
    return statements


def _compiled(source: str, upstream: Mapping[str, str]) -> str:
    """The source with every upstream cell it reads, directly or not, as a CTE before it."""
    needed: dict[str, str] = {}
    _collect(source, upstream, needed)
    if not needed:
        return source
    ctes = ",\n".join(f"{name} as (\n{sql}\n)" for name, sql in needed.items())
    own_ctes = re.match(r"with\s", source, re.IGNORECASE)
    return f"with {ctes},\n{source[own_ctes.end() :]}" if own_ctes else f"with {ctes}\n{source}"


def _collect(source: str, upstream: Mapping[str, str], needed: dict[str, str]) -> None:
    for name, sql in upstream.items():
        reads = re.search(rf"\b(?:from|join)\s+{name}\b(?!\.)", source, re.IGNORECASE)
        if reads and name not in needed:
            _collect(sql, upstream, needed)
            needed[name] = sql


def _quoted_day(first: int, last: int) -> Callable[[random.Random, datetime], str]:
    """A date literal so many days before the execution."""
    return lambda rng, at: f"'{(at - timedelta(days=rng.randint(first, last))).date()}'"


def _choice(*literals: str) -> Callable[[random.Random, datetime], str]:
    return lambda rng, at: rng.choice(literals)


_INPUTS: dict[str, Callable[[random.Random, datetime], str]] = {
    "start_date": _quoted_day(28, 400),
    "period_start": _quoted_day(30, 90),
    "period_end": _quoted_day(0, 29),
    "horizon_end": _quoted_day(-90, -7),
    "snapshot_date": _quoted_day(0, 3),
    "region": _choice("'Nordics'", "'DACH'", "'Benelux'", "'Iberia'"),
    "segments": _choice("'loyal', 'lapsed'", "'new'", "'trade', 'loyal', 'new'"),
    "minimum_score": _choice("0.25", "0.5", "0.8"),
    "threshold": _choice("5", "12", "40"),
    "days": _choice("14", "30", "60"),
    "experiment": _choice("'checkout-one-page'", "'free-returns'"),
    "model_version": _choice("'2026.09'", "'2026.10-rc1'"),
    "status": _choice("'needs_response'", "'under_review'"),
}
"""Input cell's variable to the SQL literal that someone chose."""


def _rendered(sql: str, rng: random.Random, at: datetime) -> str:
    """The Jinja of the demo's cells rendered: ``{{ input }}``, ``| array`` and ``{% if %}``.

    One input has one value in one statement.
    """
    chosen: dict[str, str] = {}

    def literal(match: re.Match[str]) -> str:
        name = match[1]
        if name not in chosen:
            chosen[name] = _INPUTS[name](rng, at)
        return chosen[name]

    whole = rng.random() < 0.7
    sql = re.sub(
        r"{% if \w+ %}\n(.*?){% endif %}\n",
        lambda match: match[1] if whole else "",
        sql,
        flags=re.DOTALL,
    )
    return re.sub(r"{{ (\w+)(?: \| array)? }}", literal, sql)


class _Log:
    """Rows under construction."""

    def __init__(self, rng: random.Random, now: datetime) -> None:
        self._rng = rng
        self._start = now - timedelta(days=LOG_DAYS)
        self._now = now
        self.rows: list[QueryLogRow] = []

    def add_project(
        self, workspace: HexWorkspace, project: WireObject, statements: Sequence[_Statement]
    ) -> None:
        """Scheduled runs, app views and work in the notebook, while the project was alive."""
        born = datetime.fromisoformat(project["createdAt"].replace("Z", "+00:00"))
        ended = project["archivedAt"] or project["trashedAt"]
        end = datetime.fromisoformat(ended.replace("Z", "+00:00")) if ended else self._now
        for context, at, person in self._runs(project):
            if born <= at < min(end, self._now):
                self._run(workspace, project, statements, context, at, person)

    def _runs(self, project: WireObject) -> Iterator[tuple[str, datetime, str]]:
        rng = self._rng
        everyone = tuple(shop.HEX_EMAILS.values())
        owner = (project.get("owner") or {}).get("email", everyone[0])
        if project["lastPublishedAt"] is not None:
            for schedule in project["schedules"]:
                for at in _occurrences(schedule, self._start, self._now):
                    yield "SCHEDULED_RUN", at, owner
            for _ in range(min(project["analytics"]["appViews"]["lastThirtyDays"] // 4, 25)):
                yield "APP_VIEW", self._moment(), rng.choice(everyone)
            if rng.random() < 0.2:
                yield "API_RUN", self._moment(), owner
        for _ in range(rng.randint(2, 6)):
            yield "LOGIC", self._moment(), owner

    def _run(
        self,
        workspace: HexWorkspace,
        project: WireObject,
        statements: Sequence[_Statement],
        context: str,
        at: datetime,
        person: str,
    ) -> None:
        rng = self._rng
        for statement in statements:
            # Hex answers from its own result cache without a query, scheduled runs included.
            if rng.random() < 0.3:
                continue
            at += timedelta(seconds=rng.uniform(0.2, 4))
            sql = _rendered(statement.sql, rng, at)
            if context == "LOGIC" and "limit" not in sql.lower() and rng.random() < 0.4:
                sql += "\nlimit 1001"
            details = statement.connection["connectionDetails"]["snowflake"]
            session = (details["database"].upper(), (details["schema"] or "").upper() or None)
            payload = _payload(rng, workspace, project, statement, context, person)
            # Snowflake logs each statement of a cell; only the last one carries the comment.
            *earlier, last = sql.split(";\n")
            for part in (*earlier, f"{last}\n{hex_comment(payload)}"):
                self._add(part, at, session, details["username"])

    def add_damaged_comments(
        self, workspace: HexWorkspace, project: WireObject, statement: _Statement
    ) -> None:
        """Comments that lost their end, or never had the project id."""
        at = self._moment()
        sql = _rendered(statement.sql, self._rng, at)
        owner = shop.HEX_EMAILS["ada"]
        payload = _payload(self._rng, workspace, project, statement, "SCHEDULED_RUN", owner)
        whole = hex_comment(payload)
        cut = whole[: whole.index('"project_name"') + 25]
        without_id = {key: value for key, value in payload.items() if key != "project_id"}
        for comment in (cut, hex_comment(without_id)):
            self._add(f"{sql}\n{comment}", at, ("ANALYTICS", "CORE"), "SVC_HEX")

    def add_noise(self) -> None:
        """What has nothing to do with the demo's Hex workspaces."""
        for number in range(12):
            project_id = FOREIGN_PROJECT_IDS[number % len(FOREIGN_PROJECT_IDS)]
            comment = hex_comment(
                {
                    "categories": [],
                    "cell_type": "SQL",
                    "connection": "Larkfield share",
                    "context": "SCHEDULED_RUN",
                    "project_id": project_id,
                    "project_name": "Larkfield: supplier view",
                    "project_url": f"https://app.hex.tech/two-rivers/hex/{project_id}/draft/logic",
                    "trace_id": f"{self._rng.getrandbits(128):032x}",
                    "user_email": "reports@two-rivers-consulting.example",
                }
            )
            sql = "select product_id, quantity from analytics.supply.fct_purchase_orders"
            self._add(f"{sql}\n{comment}", self._moment(), ("ANALYTICS", None), "TWO_RIVERS")
        for user, database, schema, sql, times in _OTHER_QUERIES:
            for _ in range(times):
                self._add(sql, self._moment(), (database, schema), user)

    def _moment(self) -> datetime:
        return self._start + timedelta(seconds=self._rng.uniform(0, LOG_DAYS * 86400 - 60))

    def _add(
        self, sql: str, at: datetime, session: tuple[str | None, str | None], user: str
    ) -> None:
        rng = self._rng
        database, schema = session
        self.rows.append(
            {
                "query_id": str(uuid.UUID(int=rng.getrandbits(128))),
                "query_text": sql,
                "database_name": database,
                "schema_name": schema,
                "user_name": user,
                "start_time": at.astimezone(timezone.utc),
                "end_time": at.astimezone(timezone.utc)
                + timedelta(milliseconds=int(rng.paretovariate(1.2) * 180)),
                "execution_status": "FAIL" if rng.random() < 0.03 else "SUCCESS",
            }
        )


def _payload(
    rng: random.Random,
    workspace: HexWorkspace,
    project: WireObject,
    statement: _Statement,
    context: str,
    person: str,
) -> dict[str, Any]:
    base = f"https://app.hex.tech/{workspace.slug}"
    url = f"{base}/hex/{project['id']}/draft/logic"
    if rng.random() < 0.9:
        url += f"?selectedCellId={statement.cell['staticId']}"
    elif context == "APP_VIEW":
        url = f"{base}/app/{project['id']}/latest"
    payload: dict[str, Any] = {
        "categories": [category["name"] for category in project["categories"]],
        "cell_type": "SQL",
        "connection": statement.connection["name"],
        "context": context,
        "project_id": project["id"],
        "project_name": project["title"],
        "project_url": url,
        "trace_id": f"{rng.getrandbits(128):032x}",
        "user_email": person,
    }
    if project["status"] is not None:
        payload["status"] = project["status"]["name"]
    return payload


_WEEKDAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")


def _occurrences(schedule: WireObject, start: datetime, end: datetime) -> Iterator[datetime]:
    """When an enabled schedule ran. A CUSTOM one never did: its cron is not interpreted."""
    cadence = schedule["cadence"]
    if not schedule["enabled"] or cadence == "CUSTOM":
        return
    when = schedule[cadence.lower()]
    offset = datetime.strptime(when["timezone"], "%z").tzinfo
    step = timedelta(hours=1) if cadence == "HOURLY" else timedelta(days=1)
    at = start.astimezone(offset).replace(minute=when["minute"], second=0, microsecond=0)
    if cadence != "HOURLY":
        at = at.replace(hour=when["hour"])
    while at < end:
        on_day = (
            _WEEKDAYS[at.weekday()] == when["dayOfWeek"]
            if cadence == "WEEKLY"
            else cadence != "MONTHLY" or at.day == when["day"]
        )
        if at >= start and on_day:
            yield at
        at += step


_OTHER_QUERIES: tuple[tuple[str, str | None, str | None, str, int], ...] = (
    (
        "SVC_DBT",
        "ANALYTICS",
        "CORE",
        '/* {"app": "dbt", "node_id": "model.larkfield.fct_orders"} */\n'
        "create or replace table analytics.core.fct_orders as\n"
        "select id as order_id, customer_id, created_at as ordered_at from raw.shop.orders",
        63,
    ),
    (
        "SVC_AIRBYTE",
        "RAW",
        "SHOP",
        "copy into RAW.SHOP.ORDERS from @airbyte_stage/orders file_format = (type = 'JSON')",
        126,
    ),
    (
        "SVC_AIRBYTE",
        "RAW",
        "STRIPE",
        "merge into charges t using charges_stage s on t.id = s.id "
        "when matched then update set t.status = s.status",
        84,
    ),
    ("BRUNO.KELLER", None, None, "show tables in database analytics", 6),
    ("ADA.LINDQVIST", "ANALYTICS", "FINANCE", "select count(*) from budget", 15),
    (
        "ADA.LINDQVIST",
        "ANALYTICS",
        "CORE",
        "select hex_encode(email) as email_hex from dim_customers limit 20",
        9,
    ),
    (
        "CHIDI.OKAFOR",
        "ANALYTICS",
        "MARKETING",
        "-- hex colours of the campaign banners, see the Hex project\n"
        "select campaign_id, campaign_name from dim_campaigns",
        7,
    ),
    (
        "SVC_CATALOG",
        "SNOWFLAKE",
        "ACCOUNT_USAGE",
        "select query_id, query_text from snowflake.account_usage.query_history "
        "where contains(query_text, 'Hex query metadata: ') "
        "and start_time > dateadd(day, -7, current_timestamp())",
        21,
    ),
)
"""User, session database, session schema, text and how often it ran. None of it is Hex's."""
