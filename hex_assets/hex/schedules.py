"""How often a project runs, by its schedules in words (``hex_projects.schedules``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

_PERIODS: Mapping[str, timedelta] = {
    "HOURLY": timedelta(hours=1),
    "DAILY": timedelta(days=1),
    "WEEKLY": timedelta(days=7),
    "MONTHLY": timedelta(days=31),
}


def periods(schedules: Iterable[str]) -> list[timedelta]:
    """The longest time between two runs of each; none for cron, which only Hex reads."""
    cadences = (words.split(" ", 1)[0] for words in schedules)
    return [_PERIODS[cadence] for cadence in cadences if cadence in _PERIODS]
