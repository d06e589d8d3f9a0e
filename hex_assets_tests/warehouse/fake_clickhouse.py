"""A ClickHouse on 127.0.0.1: the engine of chdb behind ClickHouse's HTTP interface.

Runs in an environment of its own. Prints its port, and ends when its standard input does. The
engine is real, with a query log and a cluster of one replica; only HTTP is ours, as far as
clickhouse-connect speaks it. What chdb has no users for is refused by the user's name.
"""

from __future__ import annotations

import base64
import os
import re
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import chdb  # type: ignore[import-not-found]

CONFIGURATION = """<clickhouse>
  <tcp_port>9000</tcp_port>
  <remote_servers><replicas><shard>
    <replica><host>127.0.0.1</host><port>9000</port></replica>
  </shard></replicas></remote_servers>
  <query_log><database>system</database><table>query_log</table></query_log>
</clickhouse>"""
REFUSED = {
    "wrong_password": (
        403,
        "Code: 516. DB::Exception: wrong_password: Authentication failed: password is incorrect, "
        "or there is no user with such name. (AUTHENTICATION_FAILED)",
    ),
    "no_grant": (
        403,
        "Code: 497. DB::Exception: no_grant: Not enough privileges. To execute this query, it's "
        "necessary to have the grant SELECT(query) ON system.query_log. (ACCESS_DENIED)",
    ),
    "no_memory": (
        500,
        "Code: 241. DB::Exception: (total) memory limit exceeded: would use 9.31 GiB. "
        "(MEMORY_LIMIT_EXCEEDED)",
    ),
    "odd": (500, "Code: 47. DB::Exception: Unknown identifier 's3cr3t-password'. (ODD)"),
}
NOT_SETTINGS = {
    "client_protocol_version",
    "compress",
    "database",
    "enable_http_compression",
    "query",
    "query_id",
    "session_id",
    "session_timeout",
    "wait_end_of_query",
}
FORMAT = re.compile(r"\s+FORMAT\s+(\w+)\s*$")

folder = tempfile.TemporaryDirectory()
config = os.path.join(folder.name, "config.xml")
with open(config, "w") as file:
    file.write(CONFIGURATION)
engine = chdb.connect(f"{folder.name}/data?config-file={config}")
lock = threading.Lock()


class ClickHouse(BaseHTTPRequestHandler):
    """Answers one request after the other, because the engine has one session."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        """Nothing is logged."""

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        values = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        statement = body or values.get("query", "")
        login = self.headers.get("Authorization", "").removeprefix("Basic ")
        user = base64.b64decode(login).decode().partition(":")[0]
        if user in REFUSED and (user == "wrong_password" or "query_log" in statement):
            status, text = REFUSED[user]
            self._answer(status, text.encode())
            return
        with lock:
            self._run(statement, values)

    def _run(self, statement: str, values: dict[str, str]) -> None:
        settings = {
            name: value
            for name, value in values.items()
            if name not in NOT_SETTINGS and not name.startswith("param_")
        }
        parameters = {
            name[len("param_") :]: value
            for name, value in values.items()
            if name.startswith("param_")
        }
        named = FORMAT.search(statement)
        answer_format = named[1] if named else "TabSeparated"
        try:
            if "database" in values:
                engine.query(f"USE `{values['database']}`")
            for name, value in settings.items():
                escaped = value.replace("'", "''")
                engine.query(f"SET {name} = '{escaped}'")
            result = engine.query(statement, answer_format, params=parameters).bytes()
            self._answer(200, result, {"X-ClickHouse-Format": answer_format})
        except RuntimeError as error:
            self._answer(500, str(error).encode())
        except Exception as error:
            if type(error).__name__ != "ChdbError":
                raise
            self._answer(500, str(error).encode())
        finally:
            for name in settings:
                engine.query(f"SET {name} = DEFAULT")

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-ClickHouse-Timezone", "Etc/UTC")
        code = re.match(rb"Code: (\d+)", body) if status != 200 else None
        if code:
            self.send_header("X-ClickHouse-Exception-Code", code[1].decode())
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def end_with_parent() -> None:
    sys.stdin.read()
    folder.cleanup()
    os._exit(0)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), ClickHouse)
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    threading.Thread(target=end_with_parent, daemon=True).start()
    server.serve_forever()
