"""The warehouses that a recipe may name; each is one module of this folder."""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field

from hex_assets.warehouse.mysql import MariaDB, Mysql
from hex_assets.warehouse.postgres import Postgres
from hex_assets.warehouse.query_log import QueryLog
from hex_assets.warehouse.redshift import Redshift
from hex_assets.warehouse.snowflake import Snowflake

Warehouse = Annotated[
    Snowflake | Redshift | Postgres | Mysql | MariaDB | QueryLog,
    Field(discriminator="type"),
]
"""An entry of ``hexAssets.warehouses``, told by its ``type``."""

TYPES: tuple[str, ...] = tuple(
    get_args(one.model_fields["type"].annotation)[0] for one in get_args(get_args(Warehouse)[0])
)
"""Every ``type``, in the order of the union."""
