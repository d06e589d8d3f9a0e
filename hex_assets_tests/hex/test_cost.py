"""What a run costs stays within the bounds that the table of the benchmark shows."""

from __future__ import annotations

import math
import uuid

import pytest
from upath import UPath

from benchmarks.hex_reader.__main__ import resumed, run, workspace
from hex_assets_tests.hex.fake_hex import project

PER_PROJECT = 3
REFRESH_IN_RUNS = 14


@pytest.mark.parametrize("count", [50, 350])
def test_an_unchanged_run_costs_the_listing_and_the_slice_and_a_change_three_requests(
    count: int,
) -> None:
    fake, folder = workspace(count), UPath(f"memory://cost/{uuid.uuid4().hex}")
    pages, in_slice = math.ceil(count / 100), math.ceil(count / REFRESH_IN_RUNS)
    runs = []
    for day in (0, 2, 4):
        if day == 4:
            changed = max(1, count // 100)
            for number in range(1, changed + 1):
                moved = "2026-10-31T00:00:00.000Z"
                fake.projects[number - 1] = project(number, lastEditedAt=moved)
        runs.append(run(fake, folder, day))
    first, unchanged, moved_on = (requests for _, requests, _, _ in runs)
    assert first == pages + 5 + PER_PROJECT * count
    assert unchanged <= pages + 5 + PER_PROJECT * in_slice
    assert moved_on <= unchanged + PER_PROJECT * changed
    assert [over for *_, over in runs] == [0, 0, 0]


def test_a_killed_first_load_costs_one_more_listing_and_the_request_under_way() -> None:
    count = 2000
    pages = math.ceil(count / 100)
    details, requests, _, over = resumed(count)
    assert details.cells.complete
    assert requests == PER_PROJECT * count + 1 + 2 * (pages + 5)
    assert over == 0
