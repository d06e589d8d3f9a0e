"""The warehouses that a recipe may name; each is one module of this folder."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hex_assets.warehouse.bigquery import BigQuery
from hex_assets.warehouse.clickhouse import Clickhouse
from hex_assets.warehouse.databricks import Databricks, UnityCatalog
from hex_assets.warehouse.query_log import QueryLog
from hex_assets.warehouse.snowflake import Snowflake

Warehouse = Annotated[
    Snowflake | BigQuery | Clickhouse | Databricks | UnityCatalog | QueryLog,
    Field(discriminator="type"),
]
"""An entry of ``hexAssets.warehouses``, told by its ``type``."""
