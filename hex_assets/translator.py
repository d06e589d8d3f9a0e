"""How assets look in Dagster: the one place to override keys, owners, tags and groups."""

import dagster as dg

from hex_assets.project_assets import HexProject, WarehouseTable


class DagsterHexTranslator:
    """Decides keys, owners, tags, groups and descriptions; subclass it and override a method.

    .. code-block:: python

        class OurTranslator(DagsterHexTranslator):
            def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
                return spec.replace_attributes(owners=["team:analytics-platform"])
    """

    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        """An asset of this package, from what it is by default.

        Args:
            spec: with prefix and group as configured. The last part of its key names the stored
                frame and has to stay.
        """
        return spec

    def get_project_spec(self, spec: dg.AssetSpec, project: HexProject) -> dg.AssetSpec:
        """The external asset of a published Hex project, from what it is by default.

        Args:
            spec: with a key of prefix, workspace, and title with the first eight digits of the id.
            project: what is known of it.
        """
        return spec

    def get_table_key(self, table: WarehouseTable) -> dg.AssetKey | None:
        """The asset that is this table, where no asset of this code location has its name.

        By default there is none. Override it if tables are assets of another code location, in
        which only keys can be looked up.
        """
        return None
