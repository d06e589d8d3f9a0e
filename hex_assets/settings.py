"""Settings of the code location, which stand above any single recipe."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from hex_assets.errors import RecipeError


@dataclass(frozen=True)
class LocationSettings:
    """Where the code location finds its recipes and keeps its frames.

    Attributes:
        recipes: ``HEX_ASSETS_RECIPES``: recipe file, or folder of recipes, one per Hex workspace;
            empty for the embedded sandbox's demo workspaces.
        storage: ``HEX_ASSETS_STORAGE``: where frames are stored, a path or object-store URL.
        schedule: ``HEX_ASSETS_SCHEDULE``: cron of the schedule, in UTC.
        sensor_seconds: ``HEX_ASSETS_SENSOR_SECONDS``: least seconds between two looks of the sensor
            at Hex.
        report_url: ``HEX_ASSETS_REPORT_URL``: where the page that ``hex-assets report`` writes is
            served, for links to it; empty for no links.
        rate_limits: ``HEX_ASSETS_RATE_LIMITS``: folder on a local disk in which all processes of
            the machine count the requests they send to Hex; empty for one of the user's below
            the system's folder for temporary files.
        retry_seconds: ``HEX_ASSETS_RETRY_SECONDS``: before a step that failed for a transient
            reason is tried again.
        projects_in_graph: ``HEX_ASSETS_PROJECTS_IN_GRAPH``: ``true`` to show each published Hex
            project as an external asset.
    """

    recipes: str = ""
    storage: str = ".hex_assets/frames"
    schedule: str = "0 5 * * *"
    sensor_seconds: int = 120
    report_url: str = ""
    rate_limits: str = ""
    retry_seconds: int = 60
    projects_in_graph: bool = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> LocationSettings:
        """Read the variables; an unset or empty one keeps its default.

        Raises:
            RecipeError: a number is none.
        """

        def seconds(variable: str, default: int) -> int:
            value = environ.get(variable) or str(default)
            if not value.isdecimal():
                raise RecipeError(f"{variable} is not a whole number of seconds.")
            return int(value)

        return cls(
            recipes=environ.get("HEX_ASSETS_RECIPES") or cls.recipes,
            storage=environ.get("HEX_ASSETS_STORAGE") or cls.storage,
            schedule=environ.get("HEX_ASSETS_SCHEDULE") or cls.schedule,
            sensor_seconds=seconds("HEX_ASSETS_SENSOR_SECONDS", cls.sensor_seconds),
            report_url=environ.get("HEX_ASSETS_REPORT_URL") or cls.report_url,
            rate_limits=environ.get("HEX_ASSETS_RATE_LIMITS") or cls.rate_limits,
            retry_seconds=seconds("HEX_ASSETS_RETRY_SECONDS", cls.retry_seconds),
            projects_in_graph=environ.get("HEX_ASSETS_PROJECTS_IN_GRAPH", "").lower() == "true",
        )
