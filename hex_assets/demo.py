"""The demo's own folder, and the Dagster UI on top of it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import httpx

from hex_assets.errors import NothingStored
from hex_assets.report.page import render_report
from hex_assets.sandbox.catalog.app import REPORT_PATH
from hex_assets.sandbox.embedded import Sandbox, run_sandbox
from hex_assets.settings import LocationSettings

_MARKER = ".hex-assets-demo"
_START_SECONDS = 120.0
_STOP_SECONDS = 20.0
_SENSOR_SECONDS = 5
"""Often, because whoever tries the demo waits for it; a real Hex need not be asked so often."""

_DAGSTER_YAML = """\
telemetry: {enabled: false}
nux: {enabled: false}
run_queue: {dequeue_interval_seconds: 1}
concurrency:
  runs:
    tag_concurrency_limits:
      - {key: dagster/partition, value: {applyLimitPerUniqueValue: true}, limit: 1}
"""


def clean_folder(folder: Path) -> Path:
    """An empty demo folder that is also a DAGSTER_HOME.

    Raises:
        FileExistsError: the folder has content that the demo did not put there.
    """
    folder = folder.resolve()
    if folder.exists() and any(folder.iterdir()):
        if not (folder / _MARKER).exists():
            raise FileExistsError(f"{folder} is not empty and was not made by the demo")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARKER).touch()
    (folder / "dagster.yaml").write_text(_DAGSTER_YAML)
    return folder


@contextmanager
def demo_location(home: Path) -> Iterator[tuple[Sandbox, LocationSettings]]:
    """A sandbox, and the settings of a code location for it, with all files in the folder.

    The catalog serves the report, made anew of the stored frames at each request.
    """
    frames = str(home / "frames")
    with run_sandbox(home / "sandbox", report=lambda: _report(frames)) as sandbox:
        yield (
            sandbox,
            LocationSettings(
                recipes=str(sandbox.recipes),
                storage=frames,
                sensor_seconds=_SENSOR_SECONDS,
                report_url=sandbox.catalog_url + REPORT_PATH,
            ),
        )


def _report(frames: str) -> str | None:
    try:
        return render_report(frames, None, datetime.now(timezone.utc))
    except NothingStored:
        return None


@contextmanager
def dagster_ui(settings: LocationSettings, home: Path) -> Iterator[str]:
    """Run ``dagster dev`` on a free loopback port until the block ends; yields its address."""
    port = _free_port()
    command = [sys.executable, "-m", "dagster", "dev", "-m", "hex_assets.definitions"]
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "HEX_ASSETS_RECIPES": settings.recipes,
        "HEX_ASSETS_STORAGE": settings.storage,
        "HEX_ASSETS_SENSOR_SECONDS": str(settings.sensor_seconds),
        "HEX_ASSETS_REPORT_URL": settings.report_url,
        "PYTHONWARNINGS": "ignore",
    }
    with (home / "dagster-dev.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_until_up(process, port, home / "dagster-dev.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_up(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/server_info", timeout=2).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.3)
    raise RuntimeError(f"dagster dev did not start; its output is in {log}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Interrupt the whole process group, as Ctrl-C in a terminal does, then insist."""
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, stop)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < deadline and _group_alive(process):
            time.sleep(0.1)


def _group_alive(process: subprocess.Popen[bytes]) -> bool:
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True
