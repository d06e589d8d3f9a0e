"""A Snowflake on 127.0.0.1: fakesnow's server, made fit for connector 5.

Runs in an environment of its own, because fakesnow needs connector 4. Prints its port, and ends
when its standard input does. What fakesnow never refuses is refused by the user's name.
"""

from __future__ import annotations

import gzip
import json
import os
import socket
import sys
import threading
from typing import Any

import uvicorn
from fakesnow.server import app  # type: ignore[import-not-found]

REFUSED_LOGINS = {
    "wrong_password": ("390100", "Incorrect username or password was specified."),
    "wrong_role": (
        "390189",
        "Role 'READER' specified in the connect string does not exist or not authorized.",
    ),
    "wrong_network": (
        "390422",
        "Incoming request with IP/Token 192.0.2.1 is not allowed to access Snowflake.",
    ),
}
REFUSED_STATEMENTS = {
    "no_warehouse": (
        "000606",
        "57P03",
        "No active warehouse selected in the current session.",
    ),
    "no_grant": (
        "002003",
        "02000",
        "SQL compilation error: Schema 'SNOWFLAKE.ACCOUNT_USAGE' does not exist or not authorized.",
    ),
    "slow": (
        "000630",
        "57014",
        "Statement reached its statement or warehouse timeout of 60 second(s) and was canceled.",
    ),
    "odd": ("000904", "42000", "SQL compilation error: near 's3cr3t-password'"),
}


class FakeSnowflake:
    """ASGI application around fakesnow's."""

    def __init__(self) -> None:
        self.refusals: dict[str, tuple[str, str, str]] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)

        async def again() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        if scope["path"].endswith("login-request"):
            await self._log_in(scope, again, send, headers, body)
        elif scope["path"].endswith("query-request") and (
            refusal := self.refusals.get(headers.get(b"authorization", b"").decode())
        ):
            code, state, text = refusal
            await _answer(send, _failure(code, text, sqlState=state, errorCode=code))
        else:
            await app(scope, again, send)

    async def _log_in(
        self, scope: Any, receive: Any, send: Any, headers: dict[bytes, bytes], body: bytes
    ) -> None:
        if headers.get(b"content-encoding") == b"gzip":
            body = gzip.decompress(body)
        user = json.loads(body)["data"]["LOGIN_NAME"]
        if user in REFUSED_LOGINS:
            await _answer(send, _failure(*REFUSED_LOGINS[user]))
            return
        sent: list[dict[str, Any]] = []

        async def collect(message: dict[str, Any]) -> None:
            sent.append(message)

        await app(scope, receive, collect)
        answer = json.loads(b"".join(message.get("body", b"") for message in sent))
        token = answer["data"]["token"]
        if user in REFUSED_STATEMENTS:
            self.refusals[f'Snowflake Token="{token}"'] = REFUSED_STATEMENTS[user]
        # Connector 5 requires what fakesnow leaves out.
        answer["data"] |= {
            "masterToken": token,
            "validityInSeconds": 3600,
            "masterValidityInSeconds": 14400,
            "sessionId": 1,
        }
        await _answer(send, {"code": None, "message": None, **answer})


def _failure(code: str, text: str, **data: str) -> dict[str, Any]:
    return {"success": False, "code": code, "message": text, "data": data}


async def _answer(send: Any, answer: dict[str, Any]) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    listening = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    uvicorn.Server(uvicorn.Config(FakeSnowflake(), log_level="critical")).run([listening])
