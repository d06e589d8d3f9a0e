from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hex_assets.sandbox.catalog.releases import OPENMETADATA_1_6, OPENMETADATA_2_0, Release
from hex_assets_tests.openmetadata.catalogs import RELEASES, Catalog, Stage


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "metadata_ingest: needs openmetadata-ingestion and MariaDB")


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    with Stage.open() as opened:
        yield opened


@pytest.fixture(scope="session", params=RELEASES, ids=lambda release: str(release.version))
def release(request: pytest.FixtureRequest) -> Release:
    """Each release in turn."""
    found: Release = request.param
    return found


@pytest.fixture
def catalog(stage: Stage, tmp_path: Path, release: Release) -> Iterator[Catalog]:
    """A catalog as each release of OpenMetadata treats its ingestion bot."""
    with stage.catalog(tmp_path / "catalog.sqlite", release=release) as opened:
        yield opened


@pytest.fixture
def newest(stage: Stage, tmp_path: Path) -> Iterator[Catalog]:
    """A catalog as OpenMetadata 2.x treats its ingestion bot."""
    with stage.catalog(tmp_path / "catalog.sqlite", release=OPENMETADATA_2_0) as opened:
        yield opened


@pytest.fixture
def oldest(stage: Stage, tmp_path: Path) -> Iterator[Catalog]:
    """A catalog as OpenMetadata 1.6 treats its ingestion bot."""
    with stage.catalog(tmp_path / "catalog.sqlite", release=OPENMETADATA_1_6) as opened:
        yield opened
