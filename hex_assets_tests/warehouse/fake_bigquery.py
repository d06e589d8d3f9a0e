"""A BigQuery on 127.0.0.1: bqemulator, in an environment of its own.

Prints its port, and ends when its standard input does. DuckDB's extensions, which the emulator
would download, come from packages and are kept in the environment.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from pathlib import Path

HOME = Path(sys.prefix) / "home"
os.environ["HOME"] = str(HOME)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def tell_when_ready(port: int) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            os.write(1, f"{port}\n".encode())
            return


def end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    if not (HOME / ".duckdb").exists():
        from duckdb_extensions import import_extension  # type: ignore[import-not-found]

        HOME.mkdir(exist_ok=True)
        for extension in ("spatial", "icu"):
            import_extension(extension)
    from bqemulator.cli import main  # type: ignore[import-not-found]

    rest, grpc = free_port(), free_port()
    threading.Thread(target=tell_when_ready, args=(rest,), daemon=True).start()
    sys.stdout = open(os.devnull, "w")
    ports = ["--rest-port", str(rest), "--grpc-port", str(grpc)]
    sys.argv = ["bqemulator", "start", *ports, "--log-level", "error"]
    main()
