from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hex_assets_tests.openmetadata.catalogs import Catalog, Stage


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    with Stage.open() as opened:
        yield opened


@pytest.fixture
def catalog(stage: Stage, tmp_path: Path) -> Iterator[Catalog]:
    """A catalog as OpenMetadata 2.x treats its ingestion bot."""
    with stage.catalog(tmp_path / "catalog.sqlite") as opened:
        yield opened
