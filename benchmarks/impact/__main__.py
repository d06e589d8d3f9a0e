"""``python -m benchmarks.impact``: how long the command takes to answer, its start included."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.impact.company import EDGES, PROJECTS, TABLES, WORKSPACE, project_id, write_company

REPEATS = 5


def main() -> None:
    """Print a Markdown table."""
    with tempfile.TemporaryDirectory(prefix="hex-assets-benchmark-") as folder:
        frames, dropped = Path(folder) / "frames", Path(folder) / "dropped.txt"
        write_company(frames)
        dropped.write_text("schema_7.table_7\nschema_8.table_8.column_3\n")
        questions = {
            "`impact` of a table": ["impact", "table_77"],
            "`impact` of a column": ["impact", "table_77.column_9"],
            "`project`": ["project", project_id(1_234)],
            "`impact --changed` a list": ["impact", "--changed", str(dropped), "--markdown"],
            "`impact` of a table, as JSON": ["impact", "table_77", "--json"],
            "`--help` (what any command takes)": ["--help"],
        }
        print(f"{PROJECTS:,} projects, {TABLES:,} tables, {EDGES:,} edges in {WORKSPACE}\n")
        print("| question | median s | slowest s |\n|---|---:|---:|")
        for name, words in questions.items():
            seconds = [_seconds(words, frames) for _ in range(REPEATS)]
            print(f"| {name} | {median(seconds):.2f} | {max(seconds):.2f} |", flush=True)


def _seconds(words: list[str], frames: Path) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "hex_assets", *words],
        env={**os.environ, "HEX_ASSETS_STORAGE": str(frames)},
        capture_output=True,
        check=False,
    )
    if done.returncode not in (0, 3):
        raise SystemExit(done.stderr.decode())
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
