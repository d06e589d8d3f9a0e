"""A served catalog with a small world in it, and the requests its tests repeat."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from hex_assets.sandbox.catalog.app import create_catalog
from hex_assets.sandbox.catalog.seed import seed
from hex_assets.sandbox.server import serve
from hex_assets.sandbox.world import CatalogTable, CatalogUser, DatabaseService, World

JWT = "a-long-lived-token"
PATCH = {"content-type": "application/json-patch+json"}
ORDERS = "snow.SHOP.PUBLIC.ORDERS"

WORLD = World(
    workspaces=(),
    database_services=(
        DatabaseService(
            "snow",
            "Snowflake",
            (
                CatalogTable("SHOP", "PUBLIC", "ORDERS", (("ID", "NUMBER"), ("Total", "NUMBER"))),
                CatalogTable("SHOP", "PUBLIC", "a/b.c", (("ID", "NUMBER"),)),
                CatalogTable("SHOP", "RAW", "EVENTS", (("AT", "TIMESTAMP"),)),
            ),
        ),
    ),
    users=(
        CatalogUser("ana", "Ana@shop.example", "Ana"),
        CatalogUser("ben.o", "ben@shop.example", "Ben"),
    ),
)


class Stage:
    """One server for many tests; each test puts its own catalog behind it."""

    def __init__(self) -> None:
        self._app: ASGIApp | None = None
        self._url = ""

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[Stage]:
        stage = cls()
        with serve(stage) as stage._url:
            yield stage

    @contextmanager
    def catalog(self, database: Path, **switches: Any) -> Iterator[httpx.Client]:
        """A client of a catalog over the file, into which the world is seeded."""
        seed(database, WORLD)
        self._app = create_catalog(database, jwt=JWT, **switches)
        headers = {"authorization": f"Bearer {JWT}"}
        base_url = f"{self._url}/api/v1"
        with httpx.Client(base_url=base_url, headers=headers, trust_env=False) as client:
            yield client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._app is not None
        await self._app(scope, receive, send)


def ok(response: httpx.Response, status: int = 200) -> Any:
    """The JSON of an answer that must have this status; None when it is empty."""
    assert response.status_code == status, response.text
    return response.json() if response.content else None


def refused(response: httpx.Response, status: int) -> str:
    """The message of an answer that must be an error with this status."""
    assert response.status_code == status, response.text
    body = response.json()
    assert body.keys() == {"code", "message"}
    assert body["code"] == status
    return str(body["message"])


def label(tag_fqn: str, **over: str) -> dict[str, str]:
    return {
        "tagFQN": tag_fqn,
        "source": "Classification",
        "labelType": "Automated",
        "state": "Suggested",
        **over,
    }


def add_service(api: httpx.Client, name: str = "hex") -> None:
    ok(
        api.put("/services/dashboardServices", json={"name": name, "serviceType": "Hex"}),
        201,
    )


def add_tags(api: httpx.Client, *names: str, exclusive: bool = False) -> None:
    classification = {"name": "HexStatus", "description": "-", "mutuallyExclusive": exclusive}
    ok(api.put("/classifications", json=classification), 201)
    for name in names:
        tag = {"name": name, "description": "-", "classification": "HexStatus"}
        ok(api.put("/tags", json=tag), 201)


def add_chart(api: httpx.Client, name: str, **fields: Any) -> Any:
    return ok(api.put("/charts", json={"name": name, "service": "hex", **fields}), 201)


def put_dashboard(api: httpx.Client, name: str = "d1", status: int = 200, **fields: Any) -> Any:
    return ok(api.put("/dashboards", json={"name": name, "service": "hex", **fields}), status)


def get_dashboard(api: httpx.Client, name: str = "d1", include: str = "all") -> Any:
    return ok(api.get(f"/dashboards/name/hex.{name}", params={"fields": "*", "include": include}))


def owner(api: httpx.Client, name: str) -> dict[str, str]:
    return {"id": ok(api.get(f"/users/name/{name}"))["id"], "type": "user"}


def names(references: list[dict[str, Any]]) -> list[str]:
    return [reference["name"] for reference in references]
