"""``python -m benchmarks.lineage``: exactness on a corpus, and executions per second end to end."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from upath import UPath

from benchmarks.lineage.corpus import load, score
from benchmarks.lineage.workload import WINDOW, Log, catalog
from hex_assets.lineage.edges import build_edges
from hex_assets.lineage.parse_store import ParseStore
from hex_assets.lineage.parser_processes import Limits, ParserProcesses
from hex_assets.warehouse.history import read_window, statements_frame

_CORPUS = Path("../shared/corpus")


def main() -> None:
    options = _options()
    if options.measure:
        _measure(options.executions, options.shapes, options.processes, Path(options.measure))
        return
    if options.corpus.is_dir():
        _exactness(options.corpus, options.show_wrong)
    else:
        print(f"no corpus in {options.corpus}; name one with --corpus\n")
    print(
        "| texts | executions | shapes | reading s | parsing and linking s | executions/s ", end=""
    )
    print("| CPU s | peak MiB |\n|---|---:|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory(prefix="hex-assets-benchmark-") as folder:
        for name in ("new", "stored"):
            # A process of its own, so that its memory is that of the measured run alone.
            command = [sys.executable, "-m", "benchmarks.lineage", "--measure", folder]
            command += ["--executions", str(options.executions), "--shapes", str(options.shapes)]
            command += ["--processes", str(options.processes)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            print(_row(name, json.loads(done.stdout)), flush=True)


def _exactness(corpus: Path, show_wrong: bool) -> None:
    statements, schemas = load(corpus)
    print("| engine | tables exact | columns exact | column recall / precision ", end="")
    print("| ms mean / median |\n|---|---:|---:|---:|---:|")
    for name, with_schema in (("hex-assets", True), ("hex-assets, no schema", False)):
        found = score(statements, schemas, with_schema)
        print(found.row(name), flush=True)
        if show_wrong:
            print("\n".join(found.wrong), file=sys.stderr)
    print()


def _row(name: str, found: dict[str, float]) -> str:
    seconds = found["reading"] + found["linking"]
    return (
        f"| {name} | {found['executions']:,.0f} | {found['shapes']:,.0f} | {found['reading']:.2f} "
        f"| {found['linking']:.2f} | {found['executions'] / seconds:,.0f} "
        f"| {found['cpu']:.1f} | {found['peak_mib']:.0f} |"
    )


def _measure(executions: int, shapes: int, processes: int, folder: Path) -> None:
    log, tables = Log(executions, shapes), catalog()
    began, own_cpu = time.perf_counter(), time.process_time()
    read = read_window(log, WINDOW)
    history = statements_frame(read.rows)
    reading = time.perf_counter() - began
    began = time.perf_counter()
    with ParserProcesses(Limits(), processes or None) as parsers:
        built = build_edges(
            history,
            tables,
            [],
            store=ParseStore(UPath(folder) / "parsed.parquet"),
            processes=parsers,
        )
    linking = time.perf_counter() - began
    if built.figures.unparsed or built.figures.unresolved:
        raise SystemExit(f"not all was understood: {built.figures}")
    workers = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = {
        "cpu": time.process_time() - own_cpu + workers.ru_utime + workers.ru_stime,
        "executions": built.figures.executions,
        "shapes": built.figures.statements,
        "reading": reading,
        "linking": linking,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "characters": log.characters / executions,
    }
    print(json.dumps(result))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.lineage", description=__doc__)
    parser.add_argument("--corpus", type=Path, default=_CORPUS, help="folder of the corpus")
    parser.add_argument("--show-wrong", action="store_true", help="name what was not exact")
    parser.add_argument("--executions", type=int, default=100_000)
    parser.add_argument("--shapes", type=int, default=2_000)
    parser.add_argument("--processes", type=int, default=0, help="0: one per processor")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
