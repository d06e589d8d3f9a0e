"""Which database service a data connection reads is found, or asked, and never guessed."""

from __future__ import annotations

from typing import Any

import pytest

from hex_assets.data_connections import Mapped, Service, map_connections
from hex_assets.hex.models import DataConnection
from hex_assets_tests.hex.fake_hex import FakeHex, connection, uuid_of

SNOWFLAKE = Service("snow", "Snowflake", {"account": "Acme", "database": "ANALYTICS"})
OTHER_ACCOUNT = Service("other", "Snowflake", {"account": "umbrella"})


def of_type(
    kind: str,
    details: dict[str, str] | None = None,
    number: int = 1,
    name: str | None = "Main",
) -> DataConnection:
    return DataConnection.model_validate(
        {
            "id": uuid_of(0xC000 + number),
            "name": name,
            "type": kind,
            "connectionDetails": {kind: details} if details else None,
        }
    )


def mapped(
    *connections: DataConnection,
    services: list[Service] | None = None,
    recipe: dict[str, str] | None = None,
) -> Mapped:
    return map_connections(connections, services or [], recipe or {})


@pytest.mark.parametrize("key", [uuid_of(0xC001), uuid_of(0xC001).upper(), "Main", " main "])
def test_the_recipe_decides_by_id_or_name(key: str) -> None:
    found = mapped(
        of_type("snowflake", {"accountName": "acme"}), services=[SNOWFLAKE], recipe={key: "told"}
    )
    assert found.services == {uuid_of(0xC001): "told"}
    assert not (found.open_questions or found.outside or found.unknown_keys)


def test_an_id_goes_before_a_name_that_two_share() -> None:
    found = mapped(
        of_type("snowflake", number=1),
        of_type("snowflake", number=2),
        recipe={"Main": "by name", uuid_of(0xC002): "by id"},
    )
    assert found.services == {uuid_of(0xC001): "by name", uuid_of(0xC002): "by id"}


def test_an_unlisted_id_stands_for_a_connection_of_one_project_and_a_name_is_told() -> None:
    found = mapped(recipe={uuid_of(7): "one", "Mian": "two"})
    assert found.services == {uuid_of(7): "one"}
    assert found.unknown_keys == ("Mian",)


@pytest.mark.parametrize(
    ("kind", "details", "service", "config"),
    [
        ("snowflake", {"accountName": "ACME"}, "Snowflake", {"account": "acme"}),
        (
            "snowflake",
            {"accountName": "org-my_acme"},
            "Snowflake",
            {"account": "https://org-my-acme.snowflakecomputing.com/"},
        ),
        (
            "bigquery",
            {"projectId": "acme-prod"},
            "BigQuery",
            {"credentials": {"gcpConfig": {"projectId": "acme-prod"}}},
        ),
        ("bigquery", {"projectId": "acme-prod"}, "BigQuery", {"projectId": "Acme-Prod"}),
        (
            "databricks",
            {"jdbcUrl": "jdbc:databricks://Dbc-1.cloud.databricks.com:443;PWD=secret"},
            "UnityCatalog",
            {"hostPort": "dbc-1.cloud.databricks.com:443"},
        ),
        (
            "athena",
            {"hostname": "athena.eu-west-1.amazonaws.com"},
            "Athena",
            {"awsConfig": {"awsRegion": "eu-west-1"}},
        ),
        ("redshift", {"hostname": "rs.acme.test"}, "Redshift", {"hostPort": "RS.acme.test:5439"}),
        ("postgres", {"host": "pg.acme.test"}, "Postgres", {"hostPort": "pg.acme.test:5432"}),
        ("mariadb", {"host": "my.acme.test"}, "Mysql", {"hostPort": "my.acme.test:3306"}),
        ("clickhouse", {"hostname": "ch.acme.test"}, "Clickhouse", {"hostPort": "ch.acme.test"}),
        ("trino", {"hostname": "trino.acme.test"}, "Trino", {"hostPort": "trino.acme.test:8080"}),
        ("starburst", {"hostname": "s.acme.test"}, "Trino", {"hostPort": "https://s.acme.test"}),
    ],
)
def test_type_and_address_tell_the_service(
    kind: str, details: dict[str, str], service: str, config: dict[str, Any]
) -> None:
    right = Service("right", service, config)
    elsewhere = Service("elsewhere", service, {"hostPort": "other.test", "account": "other"})
    wrong_type = Service("wrong type", "Oracle", config)
    found = mapped(of_type(kind, details), services=[elsewhere, right, wrong_type])
    assert found.services == {uuid_of(0xC001): "right"}
    alone = mapped(of_type(kind, details), services=[elsewhere])
    assert "right" not in alone.services.values()


def test_two_services_of_one_account_are_told_apart_by_their_database() -> None:
    raw = Service("raw", "Snowflake", {"account": "acme", "database": "RAW"})
    details = {"accountName": "acme", "database": "raw"}
    assert set(
        mapped(of_type("snowflake", details), services=[SNOWFLAKE, raw]).services.values()
    ) == {"raw"}
    unclear = mapped(
        of_type("snowflake", {"accountName": "acme", "database": "THIRD"}),
        services=[SNOWFLAKE, raw],
    )
    assert unclear.services == {}
    (question,) = unclear.open_questions
    assert "fits several services" in question
    assert f"add {uuid_of(0xC001)} to hexAssets.dataConnections with one of snow, raw" in question


def test_what_cannot_be_compared_is_asked_and_not_guessed() -> None:
    hidden = of_type("snowflake")
    found = mapped(hidden, services=[SNOWFLAKE])
    assert found.services == {}
    assert "cannot be compared: add" in found.open_questions[0]
    told_nothing = mapped(
        of_type("snowflake", {"accountName": "acme"}), services=[Service("s", "Snowflake", {})]
    )
    assert "cannot be compared" in told_nothing.open_questions[0]


def test_a_connection_to_elsewhere_is_outside_and_needs_no_answer() -> None:
    found = mapped(
        of_type("snowflake", {"accountName": "acme"}),
        of_type("motherduck", {"database": "x"}, number=2, name=None),
        services=[OTHER_ACCOUNT],
    )
    assert found.outside == ("Main", uuid_of(0xC002))
    assert not (found.services or found.open_questions)


def test_all_pages_of_connections_are_read() -> None:
    fake = FakeHex(connections=[connection(number) for number in range(1, 61)], page_size=25)
    with fake.client() as client:
        listing = client.data_connections()
    assert len(listing.items) == 60
    assert len(fake.requests) == 3
    found = map_connections(listing.items, [SNOWFLAKE], {})
    assert len(found.services) == 60
