"""What stands between Redshift's client and a PostgreSQL with the shape of its system tables.

The client sends start-up parameters and expects a version that PostgreSQL does not have, and the
server lacks LISTAGG and the setting query_group. All else passes through as it is.
"""

from __future__ import annotations

import asyncio
import re
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_KNOWN = {b"user", b"database", b"application_name", b"client_encoding"}
_SSL_REQUEST = 80877103
_LISTAGG = re.compile(
    rb"LISTAGG\(([\w.]+), ('[^']*')\) WITHIN GROUP \(ORDER BY ([\w.]+)\)", re.IGNORECASE
)


@contextmanager
def redshift_proxy(postgres: int) -> Iterator[int]:
    """Port of the proxy on 127.0.0.1."""
    loop = asyncio.new_event_loop()
    started: list[int] = []
    ready = threading.Event()
    stop = asyncio.Event()

    async def serve() -> None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await _session(reader, writer, postgres)
            except (OSError, asyncio.IncompleteReadError):
                pass  # one side hung up
            finally:
                writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        started.append(server.sockets[0].getsockname()[1])
        ready.set()
        await stop.wait()
        server.close()
        tasks = [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    ready.wait(10)
    try:
        yield started[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


async def _session(
    client: asyncio.StreamReader, answers: asyncio.StreamWriter, postgres: int
) -> None:
    version, body = await _start_up(client, answers)
    fields = body.rstrip(b"\0").split(b"\0")
    pairs = zip(fields[::2], fields[1::2], strict=True)
    kept = b"".join(b"\0".join(pair) + b"\0" for pair in pairs if pair[0] in _KNOWN) + b"\0"
    server, requests = await asyncio.open_connection("127.0.0.1", postgres)
    try:
        requests.write(struct.pack("!ii", len(kept) + 8, version) + kept)
        await asyncio.gather(_to_server(client, requests), _to_client(server, answers))
    finally:
        requests.close()


async def _start_up(
    client: asyncio.StreamReader, answers: asyncio.StreamWriter
) -> tuple[int, bytes]:
    while True:
        (length,) = struct.unpack("!i", await client.readexactly(4))
        body = await client.readexactly(length - 4)
        (version,) = struct.unpack("!i", body[:4])
        if version != _SSL_REQUEST:
            return version, body[4:]
        answers.write(b"N")


async def _message(source: asyncio.StreamReader) -> tuple[bytes, bytes]:
    kind = await source.readexactly(1)
    (length,) = struct.unpack("!i", await source.readexactly(4))
    return kind, await source.readexactly(length - 4)


async def _to_server(client: asyncio.StreamReader, requests: asyncio.StreamWriter) -> None:
    while True:
        kind, body = await _message(client)
        if kind == b"P":
            body = _LISTAGG.sub(rb"string_agg(\1, \2 ORDER BY \3)", body)
            body = body.replace(b"SET query_group", b"SET redshift.query_group")
        requests.write(kind + struct.pack("!i", len(body) + 4) + body)
        await requests.drain()


async def _to_client(server: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
    while True:
        kind, body = await _message(server)
        if kind == b"S" and body.startswith(b"server_version\0"):
            body = b"server_version\x008.0.2\0"
        answers.write(kind + struct.pack("!i", len(body) + 4) + body)
        await answers.drain()
