"""The whole sandbox on loopback: Hex, a warehouse log, a catalog, and the recipes for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import yaml

from hex_assets.sandbox.catalog.app import create_catalog
from hex_assets.sandbox.catalog.releases import OPENMETADATA_2_0, Release
from hex_assets.sandbox.catalog.seed import seed
from hex_assets.sandbox.faults import FaultInjector
from hex_assets.sandbox.hex_api import HexState, create_hex_api
from hex_assets.sandbox.query_log import query_log, write_query_log
from hex_assets.sandbox.server import serve
from hex_assets.sandbox.shop import SNOWFLAKE_ACCOUNT
from hex_assets.sandbox.world import HexWorkspace, World, build_world

CATALOG_JWT = "sandbox-jwt"
"""The one token the sandbox catalog accepts; it opens nothing outside this machine."""

_REQUESTS_PER_MINUTE = 1000
"""Hex allows 30; the sandbox lets the demo finish within a minute."""

_DEFAULT_FOLDER = Path(".hex_assets/sandbox")


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox.

    Attributes:
        recipes: folder with one recipe per Hex workspace.
        hex_url: root of the Hex API double.
        catalog_url: root of the catalog; its page is there too, with the report below it.
        hex_state: the workspaces, which may be changed while the sandbox runs.
        hex_faults: faults and requests of the Hex API.
        catalog_faults: faults and requests of the catalog.
    """

    recipes: Path
    hex_url: str
    catalog_url: str
    hex_state: HexState
    hex_faults: FaultInjector
    catalog_faults: FaultInjector


@contextmanager
def run_sandbox(
    folder: Path,
    world: World | None = None,
    *,
    now: datetime | None = None,
    release: Release = OPENMETADATA_2_0,
    requests_per_minute: int = _REQUESTS_PER_MINUTE,
    report: Callable[[], str | None] | None = None,
) -> Iterator[Sandbox]:
    """Serve the world on free loopback ports until the block ends.

    The catalog's content stays in the folder and is found again by the next sandbox there.

    Args:
        folder: for the catalog's SQLite file, the query log and the recipes.
        world: the demo world by default.
        now: end of the query log, by default the present.
        release: which OpenMetadata the catalog behaves like.
        requests_per_minute: rate limit of the Hex API per rate group.
        report: gives the lineage report that the catalog serves and links to, None while there
            is none.
    """
    world = world or build_world()
    folder = folder.resolve()
    recipes = folder / "recipes"
    recipes.mkdir(parents=True, exist_ok=True)
    log_file = folder / "query_log.parquet"
    write_query_log(query_log(world, now or datetime.now(timezone.utc)), log_file)
    database = folder / "catalog.sqlite"
    state = HexState(world.workspaces)
    hex_api = FaultInjector(
        create_hex_api(
            state,
            requests_per_minute=requests_per_minute,
            general_requests_per_minute=2 * requests_per_minute,
        )
    )
    catalog = FaultInjector(
        create_catalog(database, jwt=CATALOG_JWT, release=release, report=report)
    )
    seed(database, world)
    with serve(hex_api) as hex_url, serve(catalog) as catalog_url:
        for workspace in world.workspaces:
            recipe = _recipe(workspace, world, hex_url, catalog_url, log_file, requests_per_minute)
            text = yaml.safe_dump(recipe, sort_keys=False)
            (recipes / f"{workspace.name}.yaml").write_text(text)
        yield Sandbox(recipes, hex_url, catalog_url, state, hex_api, catalog)


_lock = threading.Lock()
_embedded: Sandbox | None = None
_until_exit = ExitStack()


def embedded_sandbox() -> Sandbox:
    """The sandbox of this process, started when first asked for and served until it exits."""
    global _embedded  # noqa: PLW0603 - one sandbox per process is the point
    with _lock:
        if _embedded is None:
            _embedded = _until_exit.enter_context(run_sandbox(_DEFAULT_FOLDER))
        return _embedded


def _recipe(
    workspace: HexWorkspace,
    world: World,
    hex_url: str,
    catalog_url: str,
    log_file: Path,
    requests_per_minute: int,
) -> dict[str, object]:
    snowflake = next(s for s in world.database_services if s.service_type == "Snowflake")
    return {
        "source": {
            "type": "hex",
            "serviceName": workspace.name,
            "serviceConnection": {
                "config": {
                    "type": "Hex",
                    "hostPort": hex_url,
                    "tokenType": workspace.token_kind,
                    "token": workspace.token,
                }
            },
            "sourceConfig": {
                "config": {
                    "type": "DashboardMetadata",
                    "includeOwners": True,
                    "markDeletedDashboards": True,
                    "lineageInformation": {"dbServicePrefixes": [snowflake.name]},
                }
            },
        },
        "sink": {"type": "metadata-rest", "config": {}},
        "workflowConfig": {
            "openMetadataServerConfig": {
                "hostPort": f"{catalog_url}/api",
                "authProvider": "openmetadata",
                "securityConfig": {"jwtToken": CATALOG_JWT},
            },
            "config": {
                "hexAssets": {
                    "requestsPerMinute": requests_per_minute,
                    "dataConnections": {
                        one["name"]: snowflake.name
                        for one in workspace.data_connections
                        if ((one["connectionDetails"] or {}).get("snowflake") or {}).get(
                            "accountName"
                        )
                        == SNOWFLAKE_ACCOUNT
                    },
                    "warehouses": {
                        snowflake.name: {
                            "type": "QueryLog",
                            "path": str(log_file),
                            "dialect": "snowflake",
                        }
                    },
                }
            },
        },
    }
