"""``python -m benchmarks.query_history``: generate, load, read, and print a Markdown table."""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.query_history.engines import ENGINES, STREAMING
from benchmarks.query_history.generator import END, START, LogSize, generate
from hex_assets.warehouse.history import read_window, statements_frame
from hex_assets.warehouse.reader import Window


def main() -> None:
    options = _options()
    if options.measure:
        _measure(options.measure, options.way, options.folder)
        return
    print("| log | engine | how | rows on the wire | statements | seconds | own CPU s | peak MiB |")
    print("|---|---|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory(prefix="hex-assets-benchmark-") as folder:
        for executions in options.executions:
            size = LogSize(executions, options.statements, options.hex_share)
            for name in options.engines:
                engine = ENGINES[name](Path(folder))
                with engine.loaded(generate(size)):
                    for way in engine.readers():
                        print(_row(name, way, folder, executions), flush=True)


def _row(engine: str, way: str, folder: str, executions: int) -> str:
    """Measured in a process of its own, so that its memory is the reader's alone."""
    command = [sys.executable, "-m", "benchmarks.query_history", "--measure", engine]
    command += ["--way", way, "--folder", folder]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    # A reader that streams groups what it got before it hands it on.
    rows = executions if way == STREAMING else found["rows"]
    return (
        f"| {executions:,} | {engine} | {way} | {rows:,} | {found['statements']:,} "
        f"| {found['seconds']:.1f} | {found['cpu']:.1f} | {found['peak_mib']:.0f} |"
    )


def _measure(engine: str, way: str, folder: str) -> None:
    reader = ENGINES[engine](Path(folder)).readers()[way]
    began, cpu = time.monotonic(), time.process_time()
    read = read_window(reader, Window(START, END))
    frame = statements_frame(read.rows)
    result = {
        "rows": read.figures.rows,
        "statements": frame.rows.height,
        "seconds": time.monotonic() - began,
        "cpu": time.process_time() - cpu,
        "peak_mib": _peak_mib(),
    }
    print(json.dumps(result))


def _peak_mib() -> float:
    """Most memory this program held; what getrusage tells includes the one that started it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return math.nan


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.query_history", description=__doc__)
    parser.add_argument("--engines", nargs="+", choices=sorted(ENGINES), default=sorted(ENGINES))
    parser.add_argument("--executions", nargs="+", type=int, default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--statements", type=int, default=2_000)
    parser.add_argument("--hex-share", type=float, default=1.0)
    parser.add_argument("--measure", choices=sorted(ENGINES), help=argparse.SUPPRESS)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
