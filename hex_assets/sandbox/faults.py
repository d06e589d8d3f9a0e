"""Faults on demand, in front of any sandbox app: the n-th request to a route goes wrong."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

FaultKind = Literal["status", "delay", "reset", "garbage", "act", "lost"]


@dataclass
class Fault:
    """One fault.

    Attributes:
        route: regular expression that must match ``METHOD /path?query`` from its start.
        kind: ``status`` answers with ``status``; ``delay`` waits ``seconds``, then answers as
            usual; ``reset`` breaks the connection after the headers; ``garbage`` answers 200
            with a body that is not JSON; ``act`` calls ``act``, then answers as usual, so that
            the world can change between two pages.
        nth: the first matching request that fails, counted from 1.
        times: how many matching requests fail from there on; None for all.
    """

    route: str
    kind: FaultKind = "status"
    nth: int = 1
    times: int | None = 1
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: str = '{"reason": "injected fault", "traceId": "trace-injected"}'
    seconds: float = 0.0
    act: Callable[[], None] = lambda: None
    seen: int = 0

    def strikes(self, request_line: str) -> bool:
        if not re.match(self.route, request_line):
            return False
        self.seen += 1
        return self.seen >= self.nth and (self.times is None or self.seen < self.nth + self.times)


class FaultInjector:
    """ASGI middleware that applies faults and keeps the list of requests it saw.

    Attributes:
        faults: the active faults; clear the list to heal the server.
        requests: ``METHOD /path?query`` of every request, in order of arrival.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._lock = threading.Lock()
        self.faults: list[Fault] = []
        self.requests: list[str] = []

    def writes(self) -> list[str]:
        """The requests that were not reads."""
        return [line for line in self.requests if not line.startswith(("GET ", "HEAD "))]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        query = scope["query_string"].decode()
        line = f"{scope['method']} {scope['path']}" + (f"?{query}" if query else "")
        with self._lock:
            self.requests.append(line)
            fault = next((fault for fault in self.faults if fault.strikes(line)), None)
        if fault is None:
            await self._app(scope, receive, send)
        elif fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
            await self._app(scope, receive, send)
        elif fault.kind == "act":
            fault.act()
            await self._app(scope, receive, send)
        elif fault.kind == "lost":
            await self._app(scope, receive, _nowhere)
            raise ConnectionResetError("injected loss of an answer")
        elif fault.kind == "reset":
            await _answer(send, 200, {"content-length": "1000"}, '{"cut": ', more=True)
            raise ConnectionResetError("injected reset")
        elif fault.kind == "garbage":
            await _answer(send, 200, {"content-type": "text/html"}, "<html>not the API</html>")
        else:
            headers = {"content-type": "application/json", **fault.headers}
            await _answer(send, fault.status, headers, fault.body)


async def _nowhere(message: Message) -> None:
    del message


async def _answer(
    send: Send, status: int, headers: dict[str, str], body: str, more: bool = False
) -> None:
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    start: Message = {"type": "http.response.start", "status": status, "headers": encoded}
    await send(start)
    await send({"type": "http.response.body", "body": body.encode(), "more_body": more})
