"""A running sandbox, and what tests do with it."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
import yaml
from hypothesis import settings

from hex_assets.runs import WorkspaceRun, run_workspace
from hex_assets.sandbox.catalog.releases import OPENMETADATA_2_0, Release
from hex_assets.sandbox.embedded import CATALOG_JWT, Sandbox, run_sandbox
from hex_assets.sandbox.world import World
from hex_assets.settings import LocationSettings

# Started in the background by a shell, tests ignore SIGINT. Dagster would have them ignore SIGTERM
# too, then, and so would the servers that they start, which could not be ended.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Examples are the same everywhere, and no test fails because a machine is busy.
settings.register_profile("offline", deadline=None, derandomize=True)
settings.load_profile("offline")

_VOLATILE = {"id", "updatedAt", "version", "changeDescription", "href", "createdAt", "sourceHash"}
"""Differs between two sandboxes; the hash because it covers the URL with its port."""


@dataclass(frozen=True)
class Location:
    """A sandbox and the code location on top of it."""

    sandbox: Sandbox
    settings: LocationSettings

    def run(self, workspace: str, run_config: Mapping[str, Any] | None = None) -> WorkspaceRun:
        """Materialize all assets of one workspace in this process."""
        with dg.DagsterInstance.ephemeral() as instance:
            return run_workspace(
                self.settings, workspace, instance, lambda kind, text: None, run_config
            )

    def recipe_path(self, workspace: str) -> Path:
        return self.sandbox.recipes / f"{workspace}.yaml"

    def edit_recipe(self, workspace: str, path: str, value: Any) -> None:
        """Set one key of a recipe, given as ``a.b.c``."""
        file = self.recipe_path(workspace)
        recipe = yaml.safe_load(file.read_text())
        *parents, last = path.split(".")
        section = recipe
        for parent in parents:
            section = section.setdefault(parent, {})
        section[last] = value
        file.write_text(yaml.safe_dump(recipe))

    def catalog_writes(self) -> list[str]:
        """What was sent to change the catalog's entities; the status of a run is none of them."""
        sent = self.sandbox.catalog_faults.writes()
        return [line for line in sent if not line.endswith("/pipelineStatus")]

    def catalog_api(self) -> httpx.Client:
        """A client of the catalog's API."""
        return httpx.Client(
            base_url=f"{self.sandbox.catalog_url}/api/v1",
            headers={"Authorization": f"Bearer {CATALOG_JWT}"},
        )

    def catalog_listing(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """Everything that the catalog lists at the path."""
        with self.catalog_api() as api:
            response = api.get(path, params={"limit": 1000, **params})
        response.raise_for_status()
        return list(response.json()["data"])

    def catalog(self) -> dict[str, Any]:
        """All dashboards, tags and edges of the catalog, without ids, clocks and ports."""
        fields = "owners,tags,charts,extension"
        dashboards = self.catalog_listing("/dashboards", include="all", fields=fields)
        tags = self.catalog_listing("/tags")
        with self.catalog_api() as api:
            lineage = {
                one["fullyQualifiedName"]: api.get(
                    f"/lineage/dashboard/{one['id']}",
                    params={"upstreamDepth": 1, "downstreamDepth": 0},
                ).json()
                for one in dashboards
                if not one["deleted"]
            }
        whole = {
            "dashboards": {one["fullyQualifiedName"]: _stable(one) for one in dashboards},
            "tags": {one["fullyQualifiedName"]: _stable(one) for one in tags},
            "edges": {
                fqn: sorted(json.dumps(_edge(edge, one), sort_keys=True) for edge in upstream(one))
                for fqn, one in lineage.items()
            },
        }
        content: dict[str, Any] = json.loads(
            json.dumps(whole).replace(self.sandbox.hex_url, "https://hex.example")
        )
        return content


def upstream(lineage: dict[str, Any]) -> list[dict[str, Any]]:
    edges: list[dict[str, Any]] = lineage.get("upstreamEdges") or []
    return edges


def _edge(edge: dict[str, Any], lineage: dict[str, Any]) -> dict[str, Any]:
    names = {node["id"]: node["fullyQualifiedName"] for node in lineage["nodes"]}
    details = {
        key: value
        for key, value in edge["lineageDetails"].items()
        if key not in ("createdAt", "updatedAt")
    }
    return {"from": names[edge["fromEntity"]], **details}


def _stable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _stable(one) for key, one in value.items() if key not in _VOLATILE}
    if isinstance(value, list):
        return [_stable(one) for one in value]
    return value


@contextmanager
def running_location(
    folder: Path,
    world: World | None = None,
    now: datetime | None = None,
    release: Release = OPENMETADATA_2_0,
) -> Iterator[Location]:
    """A sandbox in the folder, with retries that do not wait, and settings that point at it."""
    with run_sandbox(folder / "sandbox", world, now=now, release=release) as sandbox:
        settings = LocationSettings(str(sandbox.recipes), str(folder / "frames"), retry_seconds=0)
        location = Location(sandbox, settings)
        for file in sandbox.recipes.glob("*.yaml"):
            location.edit_recipe(
                file.stem,
                "workflowConfig.config.hexAssets.retry",
                {"attempts": 2, "backoffSeconds": 0.001},
            )
        yield location


@pytest.fixture(autouse=True, scope="session")
def _environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Requests of tests are counted apart from those of the machine's user; no retry waits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEX_ASSETS_RATE_LIMITS", str(tmp_path_factory.mktemp("rate_limits")))
        patch.setenv("HEX_ASSETS_RETRY_SECONDS", "0")
        yield


@pytest.fixture
def location(tmp_path: Path) -> Iterator[Location]:
    """The demo world in a running sandbox."""
    with running_location(tmp_path) as running:
        yield running
