"""Hostile texts among others: each costs its limit at most, and the run goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from hex_assets_tests.lineage.hostile_sql import hostile_texts

TEXTS = 16
MEBIBYTES = 256
WORKER_BY_ITSELF_MIB = 150
"""What a worker takes before it parses, generously."""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux bounds memory only")
@pytest.mark.parametrize("seed", [11, 12])
def test_the_run_goes_on_whatever_the_texts_are(seed: int) -> None:
    # A process of its own, so that the memory measured is that of these texts alone.
    done = subprocess.run(
        [
            *(sys.executable, "-m", "hex_assets_tests.lineage.hostile_sql"),
            *(str(seed), str(TEXTS), "20", str(MEBIBYTES)),
        ],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)},
    )
    found = json.loads(done.stdout)
    assert found["statements"] == 2 * TEXTS
    linked = {project for project in found["linked"] if project.startswith("good")}
    assert linked == {f"good {number}" for number in range(TEXTS)}
    assert not [row for row in found["unresolved"] if row[0].startswith("good")]
    assert all(detail for _, reason, detail in found["unresolved"] if reason == "not parsed")
    assert found["workers_peak_mib"] < WORKER_BY_ITSELF_MIB + MEBIBYTES


def test_the_same_seed_makes_the_same_texts() -> None:
    assert hostile_texts(1, 16) == hostile_texts(1, 16) != hostile_texts(2, 16)
