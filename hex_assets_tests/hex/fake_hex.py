"""An imitation of Hex's API for ``httpx.MockTransport``: its pages, flags, errors and quirks."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from pydantic import SecretStr

from hex_assets.hex.client import HexClient
from hex_assets.hex.rate_limit import RequestBudget
from hex_assets.http import Retry

TOKEN = "hxtw_" + "0123456789abcdef" * 6
ORG_ID = "0195c3d2-0000-7000-8000-00000000000a"
HOST = "https://app.hex.tech"

Fault = Callable[[httpx.Request], httpx.Response | None]


class Clock:
    """Time that only passes by sleeping."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


def uuid_of(number: int) -> str:
    return f"0195c3d2-0000-7000-8000-{number:012x}"


def project(number: int = 1, **fields: Any) -> dict[str, Any]:
    """A project as ListProjects sends it."""
    return {
        "id": uuid_of(number),
        "title": f"Project {number}",
        "description": "What it shows.\n\n",
        "type": "PROJECT",
        "creator": {"email": "carol@example.com"},
        "owner": {"email": "olaf@example.com"},
        "status": {"name": "Approved"},
        "categories": [{"name": "Sales", "description": "Money in"}],
        "reviews": {"required": False},
        "analytics": {
            "publishedResultsUpdatedAt": None,
            "lastViewedAt": "2026-10-03T08:00:00.000Z",
            "appViews": {
                "allTime": 40,
                "lastSevenDays": 3,
                "lastFourteenDays": 5,
                "lastThirtyDays": 9,
            },
        },
        "createdAt": "2026-01-01T00:00:00.000Z",
        "lastEditedAt": "2026-10-01T12:34:56.789Z",
        "lastPublishedAt": "2026-10-02T00:00:00.000Z",
        "archivedAt": None,
        "trashedAt": None,
        "schedules": [
            {
                "cadence": "DAILY",
                "enabled": True,
                "hourly": None,
                "daily": {"hour": 6, "minute": 30, "timezone": "+00:00"},
                "weekly": None,
                "monthly": None,
                "custom": None,
            }
        ],
        "sharing": {
            "users": [],
            "groups": [],
            "collections": [{"collection": {"name": "Finance"}, "access": "CAN_VIEW"}],
            "workspace": {"access": "NONE"},
            "publicWeb": {"access": "NONE"},
            "support": {"access": "NONE"},
        },
        **fields,
    }


def connection(number: int = 1, **fields: Any) -> dict[str, Any]:
    """A data connection as ListDataConnections sends it."""
    return {
        "id": uuid_of(0xC000 + number),
        "name": f"Warehouse {number}",
        "type": "snowflake",
        "connectionDetails": {
            "snowflake": {
                "accountName": "acme",
                "warehouse": "WH",
                "database": "ANALYTICS",
                "schema": "PUBLIC",
                "username": "HEX",
                "role": None,
            }
        },
        "connectViaSsh": False,
        "includeMagic": True,
        "allowWritebackCells": False,
        **fields,
    }


def sql_cell(number: int = 1, source: str = "select 1", **fields: Any) -> dict[str, Any]:
    """A SQL cell as ListCells sends it."""
    return {
        "id": uuid_of(0xA000 + number),
        "staticId": uuid_of(0xB000 + number),
        "cellType": "SQL",
        "label": f"Query {number}",
        "dataConnectionId": uuid_of(0xC001),
        "contents": {
            "codeCell": None,
            "sqlCell": {"source": source, "outputDataframe": f"frame_{number}"},
            "markdownCell": None,
        },
        "projectId": uuid_of(1),
        **fields,
    }


def newer_error(status: int, message: str, code: str = "FORBIDDEN") -> httpx.Response:
    body = {"code": code, "message": message, "issues": [{"message": "an issue"}]}
    return httpx.Response(status, json=body, headers={"x-trace-id": "trace-header"})


def legacy_error(status: int, reason: str) -> httpx.Response:
    body = {"reason": reason, "details": "a detail", "traceId": "trace-body"}
    return httpx.Response(status, json=body)


@dataclass
class FakeHex:
    """One Hex workspace.

    Attributes:
        page_size: pages are never longer, whatever is asked for, to keep tests small.
        faults: asked in turn before each answer; the first response given is sent instead.
    """

    projects: list[Any] = field(default_factory=list)
    connections: list[Any] = field(default_factory=list)
    cells: Mapping[str, list[Any]] = field(default_factory=dict)
    collections: list[Any] = field(default_factory=list)
    exports: Mapping[str, str] = field(default_factory=dict)
    queried_tables: Mapping[str, list[Any]] = field(default_factory=dict)
    runs: Mapping[str, list[Any]] = field(default_factory=dict)
    page_size: int = 100
    faults: list[Fault] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    clock: Clock = field(default_factory=Clock)

    def client(self, **options: Any) -> HexClient:
        """A client of this workspace that neither sleeps nor shares its budget."""
        settings: dict[str, Any] = {
            "retry": Retry(attempts=3),
            "sleep": self.clock.sleep,
            "budget": RequestBudget(100_000, clock=self.clock),
            **options,
        }
        return HexClient(
            HOST, SecretStr(TOKEN), transport=httpx.MockTransport(self.answer), **settings
        )

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return httpx.Response(401, text="Unauthorized")
        for fault in self.faults:
            response = fault(request)
            if response is not None:
                return response
        asked = request.url.params
        path = request.url.path
        if path == "/api/v1/users/me":
            return reply({"org": {"id": ORG_ID}, "token": {"exp": None}})
        if path == "/api/v1/projects":
            return self._page(self._visible_projects(asked), asked)
        if path == "/api/v1/data-connections":
            return self._page(self.connections, asked)
        if path == "/api/v1/collections":
            return self._page(self.collections, asked)
        if path == "/api/v1/projects/export":
            project_id = json.loads(request.content)["projectId"]
            if project_id not in self.exports:
                return newer_error(403, "Exports are not available")
            return reply({"filename": "x.yaml", "content": self.exports[project_id]})
        if path.endswith("/queriedTables"):
            return self._page(self.queried_tables.get(path.split("/")[-2], []), asked)
        if path.endswith("/runs"):
            return reply({"runs": self.runs.get(path.split("/")[-2], [])})
        if path == "/api/v1/cells":
            if asked["projectId"] not in self.cells:
                return newer_error(404, "Project not found", "NOT_FOUND")
            return self._page(self.cells[asked["projectId"]], asked)
        return newer_error(404, f"no route {path}", "NOT_FOUND")

    def _visible_projects(self, asked: httpx.QueryParams) -> list[Any]:
        shown = []
        for item in self.projects:
            if not isinstance(item, dict):
                shown.append(item)
                continue
            hidden = (
                (item.get("type") == "COMPONENT" and asked.get("includeComponents") != "true")
                or (item.get("archivedAt") and asked.get("includeArchived") != "true")
                or (item.get("trashedAt") and asked.get("includeTrashed") != "true")
            )
            if not hidden:
                with_sharing = asked.get("includeSharing") == "true"
                shown.append({k: v for k, v in item.items() if k != "sharing" or with_sharing})
        if asked.get("sortBy") == "LAST_EDITED_AT":
            newest_first = asked.get("sortDirection") == "DESC"
            shown.sort(key=lambda item: item["lastEditedAt"], reverse=newest_first)
        return shown

    def _page(self, items: list[Any], asked: httpx.QueryParams) -> httpx.Response:
        limit = int(asked.get("limit", 25))
        if not 1 <= limit <= 100:
            return legacy_error(400, "limit out of bounds")
        start = 0
        if "after" in asked:
            start = json.loads(base64.urlsafe_b64decode(asked["after"] + "==").split(b":", 1)[1])
        end = start + min(limit, self.page_size)
        return reply(
            {
                "values": items[start:end],
                "pagination": {
                    "after": _cursor(end) if end < len(items) else None,
                    "before": _cursor(start),
                },
            }
        )


def reply(body: Any) -> httpx.Response:
    """A 200 whose body may hold whatever Python's JSON writes, NaN included."""
    return httpx.Response(
        200, content=json.dumps(body), headers={"content-type": "application/json"}
    )


def on_page(number: int, response: Callable[[], httpx.Response], times: int = 10**6) -> Fault:
    """Answer the given page of any listing this way, so many times."""
    left = times

    def fault(request: httpx.Request) -> httpx.Response | None:
        nonlocal left
        cursor = request.url.params.get("after")
        page = 1 if cursor is None else 2
        if page != number or left == 0:
            return None
        left -= 1
        return response()

    return fault


def _cursor(position: int) -> str:
    return base64.urlsafe_b64encode(f"v2:{position}".encode()).decode().rstrip("=")
