"""Private database servers for tests: on free ports, gone when pytest is, however it ends."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

_GUARD = """
import shutil, subprocess, sys
server = subprocess.Popen(sys.argv[3:])
sys.stdin.read()
server.send_signal(int(sys.argv[1]))
try:
    server.wait(20)
except subprocess.TimeoutExpired:
    server.kill()
    server.wait()
shutil.rmtree(sys.argv[2], ignore_errors=True)
"""
"""Runs a server until its own input ends, which it does when pytest ends, even by a kill; then
removes its folder."""


def absent(reason: str) -> None:
    """Skip, or fail where servers are required."""
    if os.environ.get("HEX_ASSETS_REQUIRE_SERVERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def binary(name: str) -> str | None:
    """Path of a server's program; Debian keeps PostgreSQL's and daemons off the usual path."""
    folders = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    return shutil.which(name, path=os.pathsep.join([*folders, os.environ["PATH"], "/usr/sbin"]))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def as_user(user: str) -> list[str]:
    """What drops root's rights, which database servers refuse."""
    return ["setpriv", f"--reuid={user}", "--regid", user, "--clear-groups"] if _root() else []


def _root() -> bool:
    return os.geteuid() == 0


@contextmanager
def folder_of(user: str) -> Iterator[Path]:
    """A short-named folder (sockets have to fit) that the user owns."""
    with tempfile.TemporaryDirectory(
        prefix="hex-assets-", dir="/tmp", ignore_cleanup_errors=True
    ) as name:
        if _root():
            shutil.chown(name, user, user)
        yield Path(name)


def run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=120, cwd="/")


@contextmanager
def running(
    home: Path, command: Sequence[str], stop_signal: int
) -> Iterator[subprocess.Popen[bytes]]:
    """A server for as long as the block, or pytest, lasts."""
    with subprocess.Popen(
        [sys.executable, "-c", _GUARD, str(stop_signal), str(home), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
    ) as guard:
        assert guard.stdin is not None
        try:
            yield guard
        finally:
            guard.stdin.close()
            guard.wait(30)


def wait_for(
    port: int, guard: subprocess.Popen[bytes], accepts: Callable[[int], bool] | None = None
) -> None:
    """Until the server accepts; one that ended, or takes a minute, is an error.

    Args:
        accepts: asks the server itself; by default an open port is enough.
    """
    deadline = time.monotonic() + 60
    while True:
        if (accepts or _is_open)(port):
            return
        if guard.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the server did not start")
        time.sleep(0.05)


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _postgres_accepts(port: int) -> bool:
    """PostgreSQL opens its port while it is still starting up."""
    import psycopg

    try:
        psycopg.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres").close()
    except psycopg.OperationalError:
        return False
    return True


def wait_for_text(file: Path, text: str) -> None:
    """Until a server has written a text to a file, which it does a little after the fact."""
    deadline = time.monotonic() + 60
    while not file.exists() or text not in file.read_text():
        if time.monotonic() > deadline:
            raise RuntimeError(f"the server did not write {file.name}")
        time.sleep(0.02)


@contextmanager
def mariadb() -> Iterator[int]:
    """Port of a MariaDB that logs every statement to its tables; root has no password."""
    install, server = binary("mariadb-install-db"), binary("mariadbd")
    if install is None or server is None:
        absent("MariaDB is not installed (apt-get install mariadb-server)")
    assert install and server
    with folder_of("mysql") as home:
        data = ["--no-defaults", f"--datadir={home}/data"]
        drop = as_user("mysql")
        run([*drop, install, *data, "--auth-root-authentication-method=normal", "--skip-test-db"])
        port = free_port()
        command = [
            *drop,
            server,
            *data,
            f"--socket={home}/s",
            f"--pid-file={home}/pid",
            f"--port={port}",
            "--bind-address=127.0.0.1",
            "--log-output=TABLE",
            "--general-log=1",
            "--slow-query-log=1",
            "--long-query-time=0",
            "--skip-name-resolve",
            "--innodb-flush-log-at-trx-commit=0",
        ]
        with running(home, command, signal.SIGTERM) as guard:
            wait_for(port, guard)
            yield port


@contextmanager
def postgres() -> Iterator[tuple[int, Path]]:
    """Port and CSV log of a PostgreSQL that logs every statement; user postgres is trusted."""
    initdb, server = binary("initdb"), binary("postgres")
    if initdb is None or server is None:
        absent("PostgreSQL is not installed (apt-get install postgresql)")
    assert initdb and server
    with folder_of("postgres") as home:
        drop = as_user("postgres")
        data = str(home / "data")
        run([*drop, initdb, "-D", data, "-A", "trust", "-U", "postgres", "-N", "-E", "UTF8"])
        port = free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(home),
            "fsync": "off",
            "log_min_duration_statement": "0",
            "logging_collector": "on",
            "log_destination": "csvlog,jsonlog",
            "log_directory": "log",
            "log_filename": "pg.log",
            "log_timezone": "UTC",
        }
        options = [part for item in settings.items() for part in ("-c", "=".join(item))]
        with running(
            home, [*drop, server, "-D", data, "-p", str(port), *options], signal.SIGINT
        ) as guard:
            wait_for(port, guard, _postgres_accepts)
            yield port, home / "data" / "log" / "pg.csv"
