"""A local Snowflake for the tests of its reader."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from hex_assets.warehouse.snowflake import Snowflake

SERVER_PACKAGES = ("fakesnow[server]==0.12.1", "snowflake-connector-python==4.8.1")
"""fakesnow needs connector 4, the project takes 5: hence an environment of its own."""

COLUMNS = {
    "query_id": "VARCHAR",
    "query_text": "VARCHAR",
    "database_name": "VARCHAR",
    "schema_name": "VARCHAR",
    "user_name": "VARCHAR",
    "start_time": "TIMESTAMP_LTZ",
    "execution_status": "VARCHAR",
}

MakeReader = Callable[..., Snowflake]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "snowflake_fake: needs the local Snowflake (fakesnow)")
    config.addinivalue_line("markers", "athena_fake: needs the local Athena (moto)")
    config.addinivalue_line("markers", "mariadb: needs MariaDB")


def server_python(
    name: str = "fakesnow-0.12.1-connector-4.8.1", packages: Sequence[str] = SERVER_PACKAGES
) -> Path:
    """The interpreter of a server's environment, which is made once and kept.

    ``HEX_ASSETS_TEST_CACHE`` says where; by default the user's cache folder.
    """
    cache = os.environ.get("HEX_ASSETS_TEST_CACHE")
    root = Path(cache) if cache else Path.home() / ".cache" / "hex-assets-tests"
    version = "{}.{}".format(*sys.version_info)
    home = root / f"{name}-python-{version}"
    python = home / "bin" / "python"
    if python.exists():
        return python
    root.mkdir(parents=True, exist_ok=True)
    uv = shutil.which("uv")
    if uv is None:
        raise FileNotFoundError("uv is not installed")
    with tempfile.TemporaryDirectory(dir=root) as folder:
        draft = Path(folder) / "venv"
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(draft)])
        interpreter = str(draft / "bin" / "python")
        _run([uv, "pip", "install", "--quiet", "--python", interpreter, *packages])
        try:
            draft.rename(home)
        except OSError:
            if not python.exists():  # else another run made it meanwhile
                raise
    return python


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=300)


@pytest.fixture(scope="session")
def snowflake_port() -> Iterator[int]:
    """Port of a Snowflake on 127.0.0.1, which lives as long as the session.

    Without it the test is skipped, or fails where ``HEX_ASSETS_REQUIRE_SERVERS`` is 1.
    """
    try:
        python = server_python()
    except (OSError, subprocess.SubprocessError) as error:
        reason = f"fakesnow cannot be installed: {error}"
        if os.environ.get("HEX_ASSETS_REQUIRE_SERVERS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    script = Path(__file__).with_name("fake_snowflake.py")
    with subprocess.Popen(
        [str(python), str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.terminate()


@pytest.fixture
def make_reader(snowflake_port: int) -> MakeReader:
    """A reader of the local Snowflake; its settings may be overridden."""

    def make(**settings: Any) -> Snowflake:
        known: dict[str, Any] = {
            "account": "fakesnow",
            "username": "reader",
            "password": SecretStr("s3cr3t-password"),
            "warehouse": "READING",
            "connection_arguments": {
                "host": "127.0.0.1",
                "port": snowflake_port,
                "protocol": "http",
                "login_timeout": 20,
            },
        }
        return Snowflake(**({"type": "Snowflake"} | known | settings)).of("snowflake_prod")

    return make


@pytest.fixture
def fill(make_reader: MakeReader) -> Callable[[str, list[dict[str, Any]]], None]:
    """Makes ``QUERY_HISTORY`` in a schema and puts rows into it."""

    def filled(schema: str, rows: list[dict[str, Any]]) -> None:
        definition = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        places = ", ".join(["%s"] * len(COLUMNS))
        values = [tuple(row[name] for name in COLUMNS) for row in rows]
        assert all(isinstance(row["start_time"], datetime) for row in rows)
        with make_reader()._cursor() as cursor:
            cursor.execute(f"CREATE DATABASE IF NOT EXISTS {schema.partition('.')[0]}")
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            cursor.execute(f"CREATE OR REPLACE TABLE {schema}.QUERY_HISTORY ({definition})")
            cursor.executemany(f"INSERT INTO {schema}.QUERY_HISTORY VALUES ({places})", values)

    return filled
