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
from statistics import mean

from upath import UPath

from benchmarks.lineage.corpus import (
    Statement,
    own_statements,
    tpc_statements,
    vendor_statements,
)
from benchmarks.lineage.engines import ENGINES, EngineUnavailable, foreign_answers, our_answers
from benchmarks.lineage.exactness import HEAD, Score, score
from benchmarks.lineage.workload import WINDOW, Log, catalog, logged_statements
from hex_assets.lineage.edges import build_edges
from hex_assets.lineage.links import LinkStore
from hex_assets.lineage.parse_store import ParseStore
from hex_assets.lineage.parser_processes import Limits, ParserProcesses
from hex_assets.warehouse.history import read_window, statements_frame
from hex_assets.warehouse.known_texts import KnownTextsFile

_CORPUS = Path("../shared/corpus")
_VENDOR_TEXTS = Path("../shared/vendor-texts")
_PARSED_EACH = 300
"""Executions that all engines parse one by one; thousands would take hours."""


def main() -> None:
    options = _options()
    if options.measure:
        _measure(options.executions, options.shapes, options.processes, Path(options.measure))
        return
    _exactness(_corpora(options.corpus, options.vendor_texts), options.engines, options.show_wrong)
    if options.engines:
        _executions(logged_statements(_PARSED_EACH, options.shapes))
        return
    print(
        "| texts | executions | shapes | reading s | parsing and linking s | executions/s ", end=""
    )
    print("| CPU s | peak MiB |\n|---|---:|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory(prefix="hex-assets-benchmark-") as folder:
        for name in ("new", "known"):
            # A process of its own, so that its memory is that of the measured run alone.
            command = [sys.executable, "-m", "benchmarks.lineage", "--measure", folder]
            command += ["--executions", str(options.executions), "--shapes", str(options.shapes)]
            command += ["--processes", str(options.processes)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            print(_row(name, json.loads(done.stdout)), flush=True)


def _corpora(folder: Path, vendor_texts: Path) -> dict[str, list[Statement]]:
    corpora = {"own": own_statements()}
    if vendors := vendor_statements(vendor_texts):
        corpora["vendors"] = vendors
    else:
        print(f"no vendors' texts in {vendor_texts}; name a folder with --vendor-texts\n")
    if folder.is_dir():
        corpora["TPC"] = list(tpc_statements(folder))
    else:
        print(f"no TPC corpus in {folder}; name one with --corpus\n")
    return corpora


def _exactness(corpora: dict[str, list[Statement]], with_engines: bool, show_wrong: bool) -> None:
    print(HEAD)
    for corpus, statements in corpora.items():
        ours = score(statements, our_answers(statements))
        _tell(corpus, "hex-assets", ours, show_wrong)
        without = score(statements, our_answers(statements, with_columns=False))
        _tell(corpus, "hex-assets, no columns in the catalog", without, False)
        for engine in ENGINES if with_engines else ():
            try:
                found = score(statements, foreign_answers(engine, statements))
            except EngineUnavailable as error:
                print(f"| {corpus} | {engine.name} | {error} | | | | |", flush=True)
            else:
                _tell(corpus, engine.name, found, show_wrong)
    print()


def _executions(statements: list[Statement]) -> None:
    """Executions per second if each is parsed, as the other engines do it."""
    print("| engine, parsing each execution | CPU ms mean | executions/s |\n|---|---:|---:|")
    ours = [answer.milliseconds for answer in our_answers(statements)]
    print(f"| hex-assets | {mean(ours):.2f} | {1000 / mean(ours):,.0f} |", flush=True)
    for engine in ENGINES:
        try:
            times = [answer.milliseconds for answer in foreign_answers(engine, statements)]
        except EngineUnavailable as error:
            print(f"| {engine.name} | {error} | |", flush=True)
        else:
            print(f"| {engine.name} | {mean(times):.2f} | {1000 / mean(times):,.0f} |", flush=True)
    print()


def _tell(corpus: str, engine: str, found: Score, show_wrong: bool) -> None:
    print(found.row(corpus, engine), flush=True)
    if show_wrong:
        print("\n".join(f"{engine}: {name}" for name in found.wrong), file=sys.stderr)


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
    known = KnownTextsFile(UPath(folder) / "texts.parquet", "token")
    texts = known.read()
    read = read_window(log, WINDOW, texts=texts)
    known.keep(texts)
    history = statements_frame(read.rows)
    reading = time.perf_counter() - began
    began = time.perf_counter()
    with ParserProcesses(Limits(), processes or None) as parsers:
        built = build_edges(
            history,
            tables,
            [],
            store=ParseStore(UPath(folder) / "parsed.parquet"),
            links=LinkStore(UPath(folder) / "links.parquet"),
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
    parser.add_argument("--corpus", type=Path, default=_CORPUS, help="folder of the TPC corpus")
    parser.add_argument(
        "--vendor-texts", type=Path, default=_VENDOR_TEXTS, help="folder of vendors' own texts"
    )
    parser.add_argument(
        "--engines", action="store_true", help="compare exactness with other engines', no speed"
    )
    parser.add_argument("--show-wrong", action="store_true", help="name what was not exact")
    parser.add_argument("--executions", type=int, default=100_000)
    parser.add_argument("--shapes", type=int, default=2_000)
    parser.add_argument("--processes", type=int, default=0, help="0: one per processor")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
