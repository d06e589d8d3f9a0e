"""Dagster resources that the assets share."""

from pathlib import Path

import dagster as dg

from hex_assets.recipe import Recipe, load_recipes, service_names

HEX_POOL = "hex_api"
WAREHOUSE_POOL = "hex_warehouse"
OPENMETADATA_POOL = "hex_openmetadata_api"
"""Concurrency pools of the steps that read or write one system, over all runs and workspaces."""

FRAMES_IO = "hex_frames_io"
"""Key of the IO manager; a name of its own, so that a project's ``io_manager`` stays as it is."""


class Recipes(dg.ConfigurableResource[None]):
    """The recipes; each is one Hex workspace and one partition.

    Secrets are read from the environment when a run or a sensor asks for a recipe, so that the
    code location loads without them.

    Attributes:
        path: recipe file or folder of recipes; empty for the demo workspaces of the embedded
            sandbox, which then starts inside the process that asks.
        retry_seconds: before a step that failed for a transient reason is tried again; twice as
            many before the second and last retry.
    """

    path: str = ""
    retry_seconds: int = 60

    def recipe(self, workspace: str) -> Recipe:
        """The recipe of one workspace.

        Raises:
            RecipeError: the file has a mistake, or a variable that it names is not set.
        """
        file = service_names(self._folder())[workspace]
        return load_recipes(file)[workspace]

    def workspaces(self) -> list[str]:
        """Names of all workspaces, which are the ``serviceName`` of the recipes, sorted."""
        if not self.path:
            from hex_assets.sandbox.shop import PROJECTS

            return sorted(PROJECTS)
        return sorted(service_names(Path(self.path)))

    def _folder(self) -> Path:
        if self.path:
            return Path(self.path)
        from hex_assets.sandbox.embedded import embedded_sandbox

        return embedded_sandbox().recipes
