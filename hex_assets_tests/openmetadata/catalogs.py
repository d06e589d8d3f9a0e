"""The sandbox catalog over HTTP, what people do in it, and what is in it in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hex_assets.http import Retry
from hex_assets.openmetadata.client import OpenMetadataClient
from hex_assets.sandbox.catalog.app import create_catalog
from hex_assets.sandbox.catalog.releases import OPENMETADATA_1_6, OPENMETADATA_2_0, Release
from hex_assets.sandbox.catalog.seed import seed
from hex_assets.sandbox.faults import FaultInjector
from hex_assets.sandbox.server import serve
from hex_assets.sandbox.world import CatalogTable, CatalogUser, DatabaseService, World

JWT = "a-long-lived-token"
ORDERS, EVENTS = "snow.SHOP.PUBLIC.T0", 'snow."My.Db".PUBLIC.EVENTS'
RELEASES = (OPENMETADATA_1_6, OPENMETADATA_2_0)
"""The oldest and the newest server; what lies between behaves like one or the other."""
_PERSON_JWT = "a-person's-token"
_PATCH = {"content-type": "application/json-patch+json"}

_TABLES = (
    *(CatalogTable("SHOP", "PUBLIC", f"T{n}", (("ID", "NUMBER"),)) for n in range(10)),
    CatalogTable("SHOP", "RAW", "a/b.c", (("ID", "NUMBER"), ("X__reserved__quote__Y", "TEXT"))),
    CatalogTable("My.Db", "PUBLIC", "EVENTS", (("At", "TIMESTAMP"),)),
)
WORLD = World(
    workspaces=(),
    database_services=(
        DatabaseService("snow", "Snowflake", _TABLES),
        DatabaseService("empty", "Postgres", ()),
    ),
    users=(
        CatalogUser("ana", "Ana@Shop.example", "Ana"),
        CatalogUser("ben.o", "ben@shop.example", "Ben"),
        CatalogUser("cleo", "cleo@shop.example", "Cleo"),
    ),
)

_VOLATILE = {"id", "version", "updatedAt", "updatedBy", "createdAt", "createdBy", "href"}


class Catalog:
    """One catalog: our client of it, and a person who works in it.

    Attributes:
        url: of the server that our client speaks to.
        faults: in front of our client only.
        person: raw requests on behalf of somebody who is no bot.
    """

    def __init__(self, url: str, faults: FaultInjector, person: httpx.Client) -> None:
        self.url = url
        self.faults = faults
        self.person = person
        self.slept: list[float] = []

    def client(
        self,
        jwt: Callable[[], str] = lambda: JWT,
        attempts: int = 1,
        path: str = "/api",
        transport: httpx.BaseTransport | None = None,
    ) -> OpenMetadataClient:
        return OpenMetadataClient(
            self.url + path,
            jwt,
            retry=Retry(attempts=attempts),
            sleep=self.slept.append,
            transport=transport,
        )

    def get(self, path: str, **params: Any) -> Any:
        response = self.person.get(path, params=params)
        response.raise_for_status()
        return response.json()

    def put(self, path: str, body: Any) -> Any:
        response = self.person.put(path, json=body)
        response.raise_for_status()
        return response.json() if response.content else None

    def patch_dashboard(self, name: str, *operations: dict[str, Any]) -> None:
        path = f"/dashboards/name/hex.{name}"
        response = self.person.patch(path, json=list(operations), headers=_PATCH)
        response.raise_for_status()

    def dashboard(self, name: str) -> Any:
        return self.get(f"/dashboards/name/hex.{name}", fields="*", include="all")

    def dashboards(self) -> list[Any]:
        params = {"fields": "*", "include": "all", "limit": 1000, "service": "hex"}
        return list(self.get("/dashboards", **params)["data"])

    def table_id(self, fqn: str) -> str:
        return str(self.get(f"/tables/name/{fqn}")["id"])

    def user_id(self, name: str) -> str:
        return str(self.get(f"/users/name/{name}")["id"])

    def upstream(self, name: str) -> list[Any]:
        path = f"/lineage/dashboard/name/hex.{name}"
        return list(self.get(path, upstreamDepth=1, downstreamDepth=0)["upstreamEdges"])

    def put_edge(self, table_id: str, dashboard_id: str, **details: Any) -> None:
        body = {
            "fromEntity": {"id": table_id, "type": "table"},
            "toEntity": {"id": dashboard_id, "type": "dashboard"},
            "lineageDetails": details,
        }
        self.put("/lineage", {"edge": body})

    def content(self) -> Any:
        """Everything publishing can change, without ids and without when and by whom."""
        dashboards = {
            one["name"]: {
                **_settled(one),
                "upstream": [
                    {**_settled(edge["lineageDetails"]), "table": edge["fromEntity"]}
                    for edge in self.upstream(one["name"])
                ],
            }
            for one in self.dashboards()
        }
        everything = {"include": "all", "limit": 1000}
        return {
            "services": [_settled(one) for one in self.get("/services/dashboardServices")["data"]],
            "classifications": [
                _settled(one) for one in self.get("/classifications", **everything)["data"]
            ],
            "tags": [_settled(one) for one in self.get("/tags", **everything)["data"]],
            "dashboards": dashboards,
        }


def _settled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _settled(item) for key, item in value.items() if key not in _VOLATILE}
    return [_settled(item) for item in value] if isinstance(value, list) else value


class _Switch:
    """A server whose app changes from test to test."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class _LostAnswers:
    """Carries every write out; the first answer to each is lost on its way back."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._writes: Counter[tuple[str, str, bytes]] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "GET":
            await self._app(scope, receive, send)
            return
        request = await receive()
        write = (scope["method"], scope["path"], request["body"])
        self._writes[write] += 1

        async def body() -> Message:
            return request

        async def nobody(message: Message) -> None:
            del message

        lost = self._writes[write] % 2 == 1
        await self._app(scope, body, nobody if lost else send)
        if lost:
            raise ConnectionResetError("the answer got lost")


class Stage:
    """Two servers for many tests: ours, and the one a person uses, over the same file."""

    def __init__(self) -> None:
        self._ours, self._theirs = _Switch(), _Switch()
        self._our_url = self._their_url = ""

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[Stage]:
        stage = cls()
        with serve(stage._ours) as stage._our_url, serve(stage._theirs) as stage._their_url:
            yield stage

    def serve(self, app: ASGIApp) -> None:
        """Put another app in the place of the one that answers our client."""
        self._ours.app = app

    @contextmanager
    def catalog(
        self,
        database: Path,
        *,
        release: Release = OPENMETADATA_2_0,
        bot: bool = True,
        lose_answers: bool = False,
    ) -> Iterator[Catalog]:
        """A catalog with the world in it.

        Args:
            bot: our client's token belongs to a bot.
            lose_answers: the first answer to each of our writes gets lost.
        """
        seed(database, WORLD)
        app: ASGIApp = create_catalog(database, jwt=JWT, release=release, bot=bot)
        faults = FaultInjector(_LostAnswers(app) if lose_answers else app)
        self._ours.app = faults
        self._theirs.app = create_catalog(database, jwt=_PERSON_JWT, release=release, bot=False)
        headers = {"authorization": f"Bearer {_PERSON_JWT}"}
        base_url = f"{self._their_url}/api/v1"
        with httpx.Client(base_url=base_url, headers=headers, trust_env=False) as person:
            yield Catalog(self._our_url, faults, person)
