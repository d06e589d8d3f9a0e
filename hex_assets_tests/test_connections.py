"""Connections: a recipe opens the right ones, and a check says what is wrong with each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from hex_assets.connections import (
    Check,
    check_connections,
    open_hex,
    open_history_readers,
    open_openmetadata,
)
from hex_assets.errors import RecipeError, ServerFailed
from hex_assets.recipe import Recipe
from hex_assets.sandbox.catalog.app import create_catalog
from hex_assets.sandbox.catalog.releases import OPENMETADATA_1_6
from hex_assets.sandbox.catalog.seed import seed
from hex_assets.sandbox.faults import Fault, FaultInjector
from hex_assets.sandbox.hex_api import HexState, create_hex_api
from hex_assets.sandbox.query_log import query_log, write_query_log
from hex_assets.sandbox.server import serve
from hex_assets.sandbox.world import HexWorkspace, World, build_world
from hex_assets.warehouse.athena import Athena
from hex_assets.warehouse.aws import AwsCredentials
from hex_assets.warehouse.connection import WarehouseConnection
from hex_assets.warehouse.query_log import QueryLog
from hex_assets.warehouse.registry import service_types, warehouse_types
from hex_assets.warehouse.snowflake import Snowflake
from hex_assets.warehouse.trino import Presto, Trino, TrinoLogin

JWT = "catalog-jwt"
NOW = datetime(2026, 11, 1, tzinfo=timezone.utc)
CLOSED_PORT = "http://127.0.0.1:1"


@dataclass(frozen=True)
class Servers:
    world: World
    hex_url: str
    hex_state: HexState
    hex_faults: FaultInjector
    catalog_url: str
    catalog_faults: FaultInjector
    log_file: Path

    @property
    def workspace(self) -> HexWorkspace:
        return self.world.workspaces[0]

    def recipe(self, *, hex_url: str = "", token: str = "", **keys: Any) -> Recipe:
        """A recipe for the first workspace; keys are those of hexAssets, and prefixes and jwt."""
        prefixes = keys.pop("prefixes", ["snowflake_prod"])
        jwt = keys.pop("jwt", JWT)
        log = {"type": "QueryLog", "path": str(self.log_file), "dialect": "snowflake"}
        return Recipe.model_validate(
            {
                "source": {
                    "type": "hex",
                    "serviceName": self.workspace.name,
                    "serviceConnection": {
                        "config": {
                            "hostPort": hex_url or self.hex_url,
                            "token": token or self.workspace.token,
                        }
                    },
                    "sourceConfig": {
                        "config": {"lineageInformation": {"dbServicePrefixes": prefixes}}
                    },
                },
                "workflowConfig": {
                    "openMetadataServerConfig": {
                        "hostPort": keys.pop("catalog_url", self.catalog_url) + "/api",
                        "securityConfig": {"jwtToken": jwt},
                        "extraHeaders": {"X-Proxy": "pass"},
                    },
                    "config": {
                        "hexAssets": {
                            "requestsPerMinute": 1000,
                            "retry": {"attempts": 1, "backoffSeconds": 0},
                            "warehouses": {"snowflake_prod": log},
                            **keys,
                        }
                    },
                },
            }
        )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("sandbox")
    world = build_world()
    log_file = folder / "log.parquet"
    write_query_log(query_log(world, datetime.now(timezone.utc)), log_file)
    state = HexState(world.workspaces)
    hex_api = FaultInjector(
        create_hex_api(
            state,
            clock=NOW.timestamp,
            requests_per_minute=100_000,
            general_requests_per_minute=100_000,
        )
    )
    catalog = FaultInjector(create_catalog(folder / "catalog.sqlite", jwt=JWT))
    seed(folder / "catalog.sqlite", world)
    with ExitStack() as stack:
        hex_url = stack.enter_context(serve(hex_api))
        catalog_url = stack.enter_context(serve(catalog))
        yield Servers(world, hex_url, state, hex_api, catalog_url, catalog, log_file)


@pytest.fixture
def servers(running: Servers) -> Iterator[Servers]:
    yield running
    running.hex_faults.faults.clear()
    running.catalog_faults.faults.clear()
    running.hex_state.put_workspace(running.workspace)


def found(recipe: Recipe) -> dict[str, Check]:
    return {check.name: check for check in check_connections(recipe, lambda: NOW)}


def test_all_is_well(servers: Servers) -> None:
    checks = check_connections(servers.recipe(), lambda: NOW)
    assert [(check.name, check.status, check.advice) for check in checks] == [
        ("Hex", "ok", ""),
        ("Hex data connections", "ok", ""),
        ("Hex collections", "ok", ""),
        ("Hex cells", "ok", ""),
        ("Hex exports", "ok", ""),
        ("Hex queried tables", "ok", ""),
        ("OpenMetadata", "ok", ""),
        ("Catalog of snowflake_prod", "ok", ""),
        ("Query history of snowflake_prod", "ok", ""),
    ]
    assert checks[0].found == f"workspace token, organization {servers.workspace.org_id}"
    assert checks[6].found == "version 2.0.7, token accepted"
    assert checks[7].found == "database service found"


def test_checks_write_nothing_and_show_no_secret(servers: Servers) -> None:
    recipe = servers.recipe()
    checks = check_connections(recipe)
    assert not servers.catalog_faults.writes()
    # Hex's export is a read, though it is asked for by POST.
    assert set(servers.hex_faults.writes()) == {"POST /api/v1/projects/export"}
    for secret in (servers.workspace.token, JWT):
        assert secret not in repr(checks)


@pytest.mark.parametrize(
    ("days_left", "status"), [(400, "ok"), (15, "ok"), (13, "warning"), (0.5, "warning")]
)
def test_a_token_that_expires_soon_is_told(servers: Servers, days_left: float, status: str) -> None:
    expiring = replace(servers.workspace, token_expires_at=NOW.timestamp() + days_left * 86_400)
    servers.hex_state.put_workspace(expiring)
    check = found(servers.recipe())["Hex"]
    assert (check.status, f"expires in {int(days_left)} days" in check.found) == (status, True)
    assert bool(check.advice) == (status == "warning")


@pytest.mark.parametrize(
    ("scope", "name", "status", "cost"),
    [
        ("Data connections: Read", "Hex data connections", "failed", "no database service"),
        ("Cells: Read", "Hex cells", "failed", "their lineage"),
        ("Collections: Read", "Hex collections", "warning", "no descriptions"),
        ("Projects: Read queried tables", "Hex queried tables", "warning", "is no evidence"),
        ("Users: Read", "Hex", "warning", "nobody knows when the token expires"),
        ("Projects: Read", "Hex projects", "failed", "nothing can be read"),
    ],
)
def test_every_missing_scope_is_named_with_its_cost(
    servers: Servers, scope: str, name: str, status: str, cost: str
) -> None:
    assert scope in servers.workspace.scopes
    scopes = tuple(one for one in servers.workspace.scopes if one != scope)
    servers.hex_state.put_workspace(replace(servers.workspace, scopes=scopes))
    checks = found(servers.recipe(hexOrgId="abc"))
    assert checks[name].status == status
    assert cost in checks[name].advice
    assert "Give the token the scope" in checks[name].advice
    if name != "Hex":
        assert "HTTP 403" in checks[name].found
    others = [one for one in checks.values() if one.name not in (name, "Hex")]
    assert {one.status for one in others} == {"ok"}


@pytest.mark.parametrize(
    ("scopes", "projects"),
    [
        (("Projects: Read",), {"Hex cells", "Hex queried tables"}),
        ((), {"Hex projects"}),
    ],
    ids=["projects only", "none"],
)
def test_all_missing_scopes_are_told_at_once(
    servers: Servers, scopes: tuple[str, ...], projects: set[str]
) -> None:
    servers.hex_state.put_workspace(replace(servers.workspace, scopes=scopes))
    bad = {one.name for one in check_connections(servers.recipe(), lambda: NOW) if one.advice}
    assert bad == {"Hex", "Hex data connections", "Hex collections", *projects}


def test_without_enterprise_and_exports_a_run_lacks_something(servers: Servers) -> None:
    servers.hex_state.put_workspace(replace(servers.workspace, enterprise=False))
    servers.hex_faults.faults.append(Fault("POST /api/v1/projects/export", times=None, status=403))
    checks = found(servers.recipe())
    assert checks["Hex queried tables"].status == checks["Hex exports"].status == "warning"
    assert "Enterprise plan only" in checks["Hex queried tables"].advice
    assert "read as drafts" in checks["Hex exports"].advice


def test_an_unknown_organization_can_be_given(servers: Servers) -> None:
    servers.hex_faults.faults.append(Fault("GET /api/v1/users/me", times=None))
    check = found(servers.recipe())["Hex"]
    assert check == Check(
        "Hex",
        "warning",
        "workspace token, organization unknown",
        "Set hexAssets.hexOrgId, or the dashboards will not link to Hex.",
    )
    assert found(servers.recipe(hexOrgId="abc"))["Hex"].status == "ok"


def test_an_empty_workspace_is_told(servers: Servers) -> None:
    servers.hex_state.put_workspace(replace(servers.workspace, projects=()))
    checks = found(servers.recipe())
    assert checks["Hex"].status == "warning"
    assert checks["Hex"].found.endswith("sees no project")
    assert "Hex cells" not in checks


def test_a_rejected_hex_token_ends_the_checks_of_hex(servers: Servers) -> None:
    checks = check_connections(servers.recipe(token="hxtp_wrong"))
    assert [check.name for check in checks if check.name.startswith("Hex")] == ["Hex"]
    assert checks[0].status == "failed"
    assert "HTTP 401" in checks[0].found
    assert checks[0].advice.startswith("Make a new token in Hex")
    assert checks[0].advice not in checks[0].found
    assert checks[1].status == "ok"


def test_a_rejected_jwt_ends_the_checks_of_openmetadata(servers: Servers) -> None:
    checks = found(servers.recipe(jwt="other"))
    assert checks["OpenMetadata"].status == "failed"
    assert "HTTP 401" in checks["OpenMetadata"].found
    assert "Catalog of snowflake_prod" not in checks
    assert checks["Query history of snowflake_prod"].status == "ok"


def test_a_jwt_file_that_is_not_there_is_told(servers: Servers) -> None:
    check = found(servers.recipe(jwt="/no/such/file"))["OpenMetadata"]
    assert check.status == "failed"
    assert check.found.startswith(
        "workflowConfig.openMetadataServerConfig.securityConfig.jwtToken: looks like a path"
    )


def test_nobody_answers(servers: Servers) -> None:
    checks = found(servers.recipe(hex_url=CLOSED_PORT, catalog_url=CLOSED_PORT, warehouses={}))
    assert {name: check.status for name, check in checks.items()} == {
        "Hex": "failed",
        "OpenMetadata": "failed",
    }
    assert "hostPort" in checks["Hex"].advice
    assert "hostPort" in checks["OpenMetadata"].advice


def test_an_old_openmetadata_is_told(servers: Servers, tmp_path: Path) -> None:
    catalog = create_catalog(
        tmp_path / "old.sqlite", jwt=JWT, release=replace(OPENMETADATA_1_6, version="1.5.12")
    )
    with serve(catalog) as url:
        check = found(servers.recipe(catalog_url=url))["OpenMetadata"]
    assert (check.status, check.found) == ("warning", "version 1.5.12, token accepted")


@pytest.mark.parametrize(
    ("prefix", "status", "says"),
    [
        ("snowflake_prod", "ok", "database service found"),
        ("Snowflake_Prod", "failed", "OpenMetadata has no such database service"),
        ("snowflake_prod.nowhere", "failed", "OpenMetadata has no such database"),
        ("snowflake_prod.ANALYTICS", "ok", "database found"),
        ("snowflake_prod.ANALYTICS.NOWHERE", "failed", "OpenMetadata has no such schema"),
    ],
)
def test_every_prefix_is_looked_up(servers: Servers, prefix: str, status: str, says: str) -> None:
    check = found(servers.recipe(prefixes=[prefix], warehouses={}))[f"Catalog of {prefix}"]
    assert (check.status, check.found) == (status, says)
    assert bool(check.advice) == (status == "failed")


def test_a_service_that_the_jwt_may_not_see_is_told(servers: Servers) -> None:
    fault = Fault("GET /api/v1/services/databaseServices/name", status=403, times=None)
    servers.catalog_faults.faults.append(fault)
    checks = found(servers.recipe())
    assert checks["OpenMetadata"].status == "ok"
    assert checks["Catalog of snowflake_prod"].status == "failed"
    assert "policy" in checks["Catalog of snowflake_prod"].advice


def test_no_prefix_means_no_lineage(servers: Servers) -> None:
    check = found(servers.recipe(prefixes=[], warehouses={}))["Lineage"]
    assert (check.status, check.found) == ("warning", "dbServicePrefixes is empty")


def test_clients_are_made_as_the_recipe_says(servers: Servers) -> None:
    with open_hex(servers.recipe()) as hex_client:
        assert hex_client.web_url == servers.hex_url
        assert hex_client.newest_edits(limit=1)
    servers.hex_faults.faults.append(Fault("GET /api/v1/projects", times=None))
    with open_hex(servers.recipe(retry={"attempts": 3, "backoffSeconds": 0})) as hex_client:
        with pytest.raises(ServerFailed):
            hex_client.newest_edits(limit=1)
        assert hex_client.requests_sent == 3
    with open_openmetadata(servers.recipe()) as catalog:
        assert catalog.check() == "2.0.7"


def test_whoever_uses_a_token_counts_against_one_limit(servers: Servers) -> None:
    token = "hxtw_used_by_this_test_only"
    servers.hex_state.put_workspace(replace(servers.workspace, token=token))
    run, sensor = (servers.recipe(token=token, requestsPerMinute=limit) for limit in (30, 40))
    with open_hex(run) as reading, open_hex(sensor) as looking:
        before = looking.requests_left
        reading.data_connections()
        looking.newest_edits(limit=1)
        assert looking.requests_left == reading.requests_left == before - 1
        for _ in range(before - 1):
            reading.data_connections()
        assert looking.requests_left == 0


def test_readers_are_made_as_the_recipe_says(servers: Servers) -> None:
    snowflake = {
        "type": "Snowflake",
        "account": "ab12345",
        "username": "HEX",
        "password": "p",
        "privateKey": "k",
        "snowflakePrivatekeyPassphrase": "x",
        "oauthToken": "t",
        "role": "R",
        "warehouse": "W",
        "database": "D",
        "accountUsageSchema": "A.B",
        "queryTag": "tag",
        "clientSessionKeepAlive": True,
        "connectionOptions": {"a": "b"},
        "connectionArguments": {"c": 1},
    }
    log = {
        "type": "QueryLog",
        "path": "memory://x/*.log",
        "dialect": "bigquery",
        "format": "csv",
        "columns": {"query_text": "sql"},
        "storageOptions": {"key": "k"},
    }
    # The order is that of the prefixes, and each service comes once.
    prefixes = ["logs", "dwh.a", "dwh.b"]
    recipe = servers.recipe(prefixes=prefixes, warehouses={"dwh": snowflake, "logs": log})
    assert list(open_history_readers(recipe).values()) == [
        QueryLog(
            type="QueryLog",
            path="memory://x/*.log",
            dialect="bigquery",
            format="csv",
            columns={"query_text": "sql"},
            storage_options={"key": "k"},
        ).of("logs"),
        Snowflake(
            type="Snowflake",
            account="ab12345",
            username="HEX",
            password=SecretStr("p"),
            private_key=SecretStr("k"),
            snowflake_privatekey_passphrase=SecretStr("x"),
            oauth_token=SecretStr("t"),
            role="R",
            warehouse="W",
            database="D",
            account_usage_schema="A.B",
            query_tag="tag",
            client_session_keep_alive=True,
            connection_options={"a": "b"},
            connection_arguments={"c": 1},
        ).of("dwh"),
    ]


@pytest.mark.parametrize(
    ("dialect", "advice"),
    [("big_query", "Did you mean bigquery?"), ("qqq", "Choose of ['athena', 'bigquery', ")],
)
def test_an_unknown_dialect_is_refused(servers: Servers, dialect: str, advice: str) -> None:
    log = {"type": "QueryLog", "path": str(servers.log_file), "dialect": dialect}
    recipe = servers.recipe(warehouses={"snowflake_prod": log})
    check = found(recipe)["Query history of snowflake_prod"]
    assert check.status == "failed"
    assert check.found.startswith(
        "workflowConfig.config.hexAssets.warehouses.snowflake_prod.dialect: is no SQL dialect "
        f"known here. {advice}"
    )


def test_a_query_log_that_is_not_there_is_told(servers: Servers, tmp_path: Path) -> None:
    log = {"type": "QueryLog", "path": str(tmp_path / "*.parquet"), "dialect": "snowflake"}
    recipe = servers.recipe(warehouses={"snowflake_prod": log})
    check = found(recipe)["Query history of snowflake_prod"]
    assert check.status == "failed"
    assert check.found.startswith("there is no query log file at ")
    assert check.advice.startswith("Correct `path`")


STORED = {
    "type": "Snowflake",
    "account": "ab12345",
    "username": "OPENMETADATA",
    "warehouse": "XS",
    "password": "s3nt1nel",
    "addedInAnotherVersion": True,
}


def catalog_with(service_type: str, connection: dict[str, Any] | None) -> Starlette:
    """An OpenMetadata that knows one database service."""

    def service(request: Request) -> JSONResponse:
        if request.path_params["name"] != "dwh":
            return JSONResponse({"code": 404, "message": "not found"}, 404)
        return JSONResponse(
            {"id": "1", "name": "dwh", "serviceType": service_type, "connection": connection}
        )

    return Starlette(routes=[Route("/api/v1/services/databaseServices/name/{name}", service)])


def test_the_connection_stored_in_openmetadata_serves_a_warehouse(servers: Servers) -> None:
    with serve(catalog_with("Snowflake", {"config": STORED})) as url:
        recipe = servers.recipe(catalog_url=url, prefixes=["dwh"], warehouses={})
        readers = list(open_history_readers(recipe).values())
    assert readers == [
        Snowflake(
            type="Snowflake",
            account="ab12345",
            username="OPENMETADATA",
            warehouse="XS",
            password=SecretStr("s3nt1nel"),
        ).of("dwh")
    ]
    assert "s3nt1nel" not in repr(readers)


@pytest.mark.parametrize(
    ("name", "service_type", "config", "problem"),
    [
        ("other", "Snowflake", STORED, "OpenMetadata has no such database service"),
        ("dwh", "Snowflake", None, "OpenMetadata stores no connection for it"),
        (
            "dwh",
            "Snowflake",
            {**STORED, "password": "*********"},
            "OpenMetadata masks password from whoever is not a bot",
        ),
        (
            "dwh",
            "Athena",
            {"awsConfig": {"awsRegion": "eu-west-1", "awsSecretAccessKey": "***"}},
            "OpenMetadata masks awsConfig.awsSecretAccessKey from whoever is not a bot",
        ),
        (
            "dwh",
            "Snowflake",
            {**STORED, "password": "secret:/s3nt1nel"},
            "password of its stored connection refers to OpenMetadata's secrets manager",
        ),
        (
            "dwh",
            "Snowflake",
            {**STORED, "account": None},
            "the connection stored in OpenMetadata cannot be used (account cannot be read)",
        ),
        (
            "dwh",
            "Snowflake",
            {**STORED, "password": None},
            "the connection stored in OpenMetadata cannot be used (has no way to log in; give",
        ),
        (
            "dwh",
            "Trino",
            {"type": "Trino", "username": "u"},
            "the connection stored in OpenMetadata cannot be used (hostPort is missing)",
        ),
        (
            "dwh",
            "Oracle",
            {"type": "Oracle"},
            "no history of a Oracle service is read here; that of a warehouse without reader can "
            "be exported to files (type QueryLog), or kept where one of ",
        ),
        # OpenMetadata's own service type of that name says nothing of where a log is.
        ("dwh", "QueryLog", {}, "no history of a QueryLog service is read here"),
    ],
)
def test_a_warehouse_without_connection_names_both_ways(
    servers: Servers,
    name: str,
    service_type: str,
    config: dict[str, Any] | None,
    problem: str,
) -> None:
    with serve(catalog_with(service_type, config and {"config": config})) as url:
        recipe = servers.recipe(catalog_url=url, prefixes=[name], warehouses={})
        error = open_history_readers(recipe)[name]
    assert isinstance(error, RecipeError)
    told = str(error)
    assert told.startswith(
        f"workflowConfig.config.hexAssets.warehouses has no entry {name}, and {problem}"
    )
    assert f"Add the entry (type {', '.join(warehouse_types())}), or store a whole" in told
    assert told.endswith("use a bot's token.")
    assert "s3nt1nel" not in told


@pytest.mark.parametrize(
    ("service_type", "config", "wanted"),
    [
        (
            "Trino",
            {
                "type": "Trino",
                "username": "u",
                "hostPort": "trino:443",
                "authType": {"password": "s3nt1nel", "addedInAnotherVersion": 1},
                "catalog": "hive",
                "supportsProfiler": True,
                "supportsSomethingNew": True,
            },
            Trino(
                type="Trino",
                username="u",
                host_port="trino:443",
                auth_type=TrinoLogin(password=SecretStr("s3nt1nel")),
                catalog="hive",
            ),
        ),
        (
            "Trino",
            {"username": "u", "hostPort": "trino:443", "authType": {"jwt": "s3nt1nel"}},
            Trino(
                type="Trino",
                username="u",
                host_port="trino:443",
                auth_type=TrinoLogin(jwt=SecretStr("s3nt1nel")),
            ),
        ),
        (
            "Athena",
            {
                "type": "Athena",
                "awsConfig": {
                    "enabled": False,
                    "awsAccessKeyId": "A",
                    "awsSecretAccessKey": "s3nt1nel",
                    "awsRegion": "eu-west-1",
                    "assumeRoleArn": "arn:aws:iam::1:role/r",
                    "addedInAnotherVersion": {"a": 1},
                },
                "s3StagingDir": "s3://bucket/results/",
                "workgroup": "hex",
            },
            Athena(
                type="Athena",
                aws_config=AwsCredentials(
                    aws_region="eu-west-1",
                    aws_access_key_id="A",
                    aws_secret_access_key=SecretStr("s3nt1nel"),
                    assume_role_arn="arn:aws:iam::1:role/r",
                ),
                s3_staging_dir="s3://bucket/results/",
                workgroup="hex",
            ),
        ),
    ],
)
def test_stored_connections_of_other_types(
    servers: Servers, service_type: str, config: dict[str, Any], wanted: WarehouseConnection
) -> None:
    with serve(catalog_with(service_type, {"config": config})) as url:
        recipe = servers.recipe(catalog_url=url, prefixes=["dwh"], warehouses={})
        (reader,) = open_history_readers(recipe).values()
    assert reader == wanted.of("dwh")
    assert "s3nt1nel" not in repr(reader)


_SHARED: dict[str, Any] = {
    "connectionOptions": {},
    "connectionArguments": {},
    "schemaFilterPattern": None,
    "tableFilterPattern": None,
    "databaseFilterPattern": None,
    "supportsMetadataExtraction": True,
    "supportsDBTExtraction": True,
    "supportsProfiler": True,
    "supportsQueryComment": True,
    "sampleDataStorageConfig": None,
}


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        (
            Athena,
            {
                "type": "Athena",
                "scheme": "awsathena+rest",
                "awsConfig": {
                    "enabled": False,
                    "awsAccessKeyId": "a",
                    "awsSecretAccessKey": "b",
                    "awsRegion": "c",
                    "awsSessionToken": "d",
                    "endPointURL": "https://e",
                    "profileName": "f",
                    "assumeRoleArn": "g",
                    "assumeRoleSessionName": "h",
                    "assumeRoleSourceIdentity": "i",
                },
                "s3StagingDir": "s3://a/b",
                "workgroup": "primary",
                "catalogId": "1",
                "databaseName": "d",
                "supportsUsageExtraction": True,
                "supportsLineageExtraction": True,
                "supportsDataDiff": True,
            },
        ),
        (
            Trino,
            {
                "type": "Trino",
                "scheme": "trino",
                "username": "u",
                "authType": "OAuth2",
                "hostPort": "h:1",
                "catalog": "c",
                "databaseSchema": "s",
                "proxies": {"http": "p"},
                "verify": "v",
                "supportsUsageExtraction": True,
                "supportsLineageExtraction": True,
                "supportsDatabase": True,
                "supportsDataDiff": True,
                "queryHistoryTable": "a.b.c",
            },
        ),
        (
            Presto,
            {
                "type": "Presto",
                "scheme": "presto",
                "username": "u",
                "password": "p",
                "hostPort": "h:1",
                "databaseSchema": "s",
                "catalog": "c",
                "protocol": "https",
                "verify": "v",
                "supportsDatabase": True,
            },
        ),
    ],
)
def test_every_key_of_openmetadata_is_accepted(
    kind: type[WarehouseConnection], keys: dict[str, Any]
) -> None:
    """The keys of openmetadata-ingestion 2.0.7, as a recipe gives them."""
    kind.model_validate({**_SHARED, **keys}, by_alias=True, by_name=False)


def test_each_service_type_has_its_class() -> None:
    """Whatever branch adds a warehouse, its stored connection finds it."""
    for name, kind in service_types().items():
        assert name in get_args(kind.model_fields["type"].annotation)
    assert "QueryLog" not in service_types()
    assert list(warehouse_types())[-1] == "QueryLog"


def test_an_entry_of_another_type_than_the_service_is_a_warning(servers: Servers) -> None:
    entry = {"type": "Presto", "username": "u", "hostPort": "127.0.0.1:1"}
    recipe = servers.recipe(warehouses={"snowflake_prod": entry})
    check = found(recipe)["Type of snowflake_prod"]
    assert (check.status, check.found) == (
        "warning",
        "the recipe reads it as Presto, in OpenMetadata it is Snowflake",
    )
    assert "Type of snowflake_prod" not in found(servers.recipe())
