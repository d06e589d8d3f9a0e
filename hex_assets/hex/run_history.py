"""How a project's runs went: the latest of each trigger, and how they fare."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from hex_assets.hex.models import Run

SCHEDULED = "SCHEDULED"

COMPLETED = "COMPLETED"
UNDER_WAY = ("PENDING", "RUNNING")
"""Every other status is an end (Hex API, GetProjectRuns)."""


def run_rows(project_id: str, runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Rows of ``HEX_RUNS``, one per trigger.

    Args:
        runs: newest first, as Hex sends them.
    """
    by_trigger: dict[str, list[Run]] = {}
    for run in runs:
        by_trigger.setdefault(run.run_trigger, []).append(run)
    return [_row(project_id, trigger, by_trigger[trigger]) for trigger in sorted(by_trigger)]


def _row(project_id: str, trigger: str, runs: list[Run]) -> dict[str, Any]:
    latest = runs[0]
    ended = [run for run in runs if run.status not in UNDER_WAY]
    completed = [run for run in ended if run.status == COMPLETED]
    seconds = [run.elapsed_time / 1000 for run in completed if run.elapsed_time is not None]
    return {
        "project_id": project_id,
        "trigger": trigger,
        "status": latest.status,
        "started_at": latest.start_time,
        "ended_at": latest.end_time,
        "url": latest.run_url,
        "runs": len(runs),
        "success_rate": len(completed) / len(ended) if ended else None,
        "median_seconds": median(seconds) if seconds else None,
        "last_success_at": max((r.start_time for r in completed if r.start_time), default=None),
    }
