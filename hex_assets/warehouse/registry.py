"""The warehouses that a recipe may name; each is one module of this folder."""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field

from hex_assets.warehouse.athena import Athena
from hex_assets.warehouse.bigquery import BigQuery
from hex_assets.warehouse.clickhouse import Clickhouse
from hex_assets.warehouse.connection import SqlWarehouse, WarehouseConnection
from hex_assets.warehouse.databricks import Databricks, UnityCatalog
from hex_assets.warehouse.mysql import MariaDB, Mysql
from hex_assets.warehouse.postgres import Postgres
from hex_assets.warehouse.query_log import QueryLog
from hex_assets.warehouse.redshift import Redshift
from hex_assets.warehouse.snowflake import Snowflake
from hex_assets.warehouse.trino import Presto, Trino

Warehouse = Annotated[
    Athena
    | BigQuery
    | Clickhouse
    | Databricks
    | MariaDB
    | Mysql
    | Postgres
    | Presto
    | Redshift
    | Snowflake
    | Trino
    | UnityCatalog
    | QueryLog,
    Field(discriminator="type"),
]
"""An entry of ``hexAssets.warehouses``, told by its ``type``."""


def warehouse_types() -> dict[str, type[WarehouseConnection]]:
    """The class of each ``type``, in the order of their names; QueryLog, which fits all, last."""
    types = {
        name: kind
        for kind in get_args(get_args(Warehouse)[0])
        for name in get_args(kind.model_fields["type"].annotation)
    }
    return dict(sorted(types.items(), key=lambda item: (not _is_service(item[1]), item[0])))


def service_types() -> dict[str, type[WarehouseConnection]]:
    """The class that reads the history of each ``serviceType`` of OpenMetadata.

    OpenMetadata's own service type QueryLog is not ours: it says nothing of where a log is.
    """
    return {name: kind for name, kind in warehouse_types().items() if _is_service(kind)}


def _is_service(kind: type[WarehouseConnection]) -> bool:
    return issubclass(kind, SqlWarehouse)
