"""Limits that hold whatever a text does, and processes that find what one process finds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hex_assets.errors import ParserProcessError
from hex_assets.lineage.edges import build_edges
from hex_assets.lineage.parse import Script, parse
from hex_assets.lineage.parser_processes import (
    Limits,
    ParserProcesses,
    Text,
    may_cost_much,
    worker_command,
)
from hex_assets.lineage.reads import Unread
from hex_assets.lineage.script_bytes import read_script
from hex_assets_tests.lineage.catalogs import catalog, history, ran
from hex_assets_tests.lineage.test_properties import DIALECTS, queries

SCRIPT = """
import os, pathlib, sys, time
from hex_assets.lineage import worker
real = worker.parse
def parse(sql, dialect, most):
    if "hang" in sql:
        pathlib.Path(sys.argv[3], str(os.getpid())).touch()
        time.sleep(600)
    if "die" in sql:
        os._exit(1)
    if "bloat" in sql:
        kept = [bytearray(1 << 24) for _ in range(1 << 10)]
    if "print" in sql:
        print("SELECT 1", flush=True)
    if "lie" in sql:
        return print
    return real(sql, dialect, most)
worker.parse = parse
worker.main(float(sys.argv[1]), int(sys.argv[2]))
"""


class Misbehaving:
    """A worker whose parser does what the text says, and a clock that runs while it hangs."""

    def __init__(self, hung: Path) -> None:
        self._hung = hung
        self._now = 0.0

    def command(self, limits: Limits) -> Sequence[str]:
        return [sys.executable, "-c", SCRIPT, *worker_command(limits)[-2:], str(self._hung)]

    def clock(self) -> float:
        if any(Path("/proc", process.name).exists() for process in self._hung.iterdir()):
            self._now += 1_000.0
        return self._now

    def processes(self, limits: Limits | None = None, count: int = 1) -> ParserProcesses:
        return ParserProcesses(limits, count, 0, self.command, self.clock)


@pytest.fixture
def misbehaving(tmp_path: Path) -> Misbehaving:
    return Misbehaving(tmp_path)


def parsed(processes: ParserProcesses, texts: Sequence[str]) -> list[Script]:
    found = dict(processes.parse([Text("snowflake", text) for text in texts]))
    return [found[place] for place in range(len(texts))]


@pytest.fixture(scope="module")
def processes() -> Iterator[ParserProcesses]:
    with ParserProcesses(processes=2, small_batch=0) as started:
        yield started


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts=st.lists(st.tuples(st.sampled_from(DIALECTS), st.one_of(queries(), st.text()))))
def test_processes_find_what_one_process_finds(
    processes: ParserProcesses, texts: list[tuple[str, str | tuple[str, frozenset[str]]]]
) -> None:
    batch = [Text(dialect, sql if isinstance(sql, str) else sql[0]) for dialect, sql in texts]
    found = dict(processes.parse(batch))
    serial = [parse(text.sql, text.dialect) for text in batch]
    assert [found[place] for place in range(len(batch))] == serial


def test_edges_are_those_of_one_process(processes: ParserProcesses) -> None:
    ours = history(*(ran(f"SELECT x FROM a WHERE {'(' * n}x{')' * n}") for n in range(40)))
    tables = catalog("snow.DB.SCH.A", columns={"A": ["X"]})
    serial = build_edges(ours, tables, [])
    parallel = build_edges(ours, tables, [], processes=processes)
    assert parallel.edges.rows.equals(serial.edges.rows)
    assert parallel.figures == serial.figures


@pytest.mark.parametrize(
    ("text", "limits", "count", "detail"),
    [
        # One process: the clock of all runs while one hangs.
        pytest.param(
            "SELECT hang FROM a",
            Limits(seconds=7),
            1,
            "took more than 7 seconds to parse",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc"),
        ),
        ("SELECT die FROM a", Limits(), 2, "ended the process that parsed it"),
        ("SELECT lie FROM a", Limits(), 1, "ended the process that parsed it"),
        pytest.param(
            "SELECT bloat FROM a",
            Limits(memory=256 << 20),
            1,
            "took more than 256 MiB of memory",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux bounds memory only"),
        ),
    ],
)
def test_a_text_that_goes_too_far_is_not_parsed_and_the_others_are(
    text: str, limits: Limits, count: int, detail: str, misbehaving: Misbehaving
) -> None:
    others = [f"SELECT x FROM t{number}" for number in range(20)]
    texts = [*others[:3], text, *others[3:], text]
    with misbehaving.processes(limits, count) as processes:
        found = parsed(processes, texts)
        again = parsed(processes, others)
    assert again == [parse(other, "snowflake") for other in others]
    for sql, script in zip(texts, found, strict=True):
        if sql == text:
            (step,) = script.steps
            assert isinstance(step, Unread)
            assert (step.reason.value, step.detail) == ("not parsed", detail)
        else:
            assert script == parse(sql, "snowflake")


def test_what_is_printed_while_parsing_is_no_answer(misbehaving: Misbehaving) -> None:
    with misbehaving.processes() as processes:
        (script,) = parsed(processes, ["SELECT print FROM a"])
    assert script == parse("SELECT print FROM a", "snowflake")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_run_goes_on_and_reports_the_text(misbehaving: Misbehaving) -> None:
    limits = Limits(seconds=7)
    with misbehaving.processes(limits) as processes:
        built = build_edges(
            history(ran("SELECT hang FROM b"), ran("SELECT x FROM a")),
            catalog("snow.DB.SCH.A"),
            [],
            processes=processes,
        )
    assert built.edges.rows["table_fqn"].to_list() == ["snow.DB.SCH.A"]
    (missed,) = built.unresolved.rows.iter_rows(named=True)
    assert missed["reason"] == "not parsed"
    assert missed["detail"] == "took more than 7 seconds to parse"
    assert built.figures.unparsed == 1


def refuse(limits: Limits) -> Sequence[str]:
    raise AssertionError("a worker was started")


def test_small_batches_need_no_process_unless_a_text_may_cost_much() -> None:
    with ParserProcesses(command=refuse) as processes:
        parsed(processes, ["SELECT x FROM a"] * 20)
        with pytest.raises(AssertionError, match="a worker was started"):
            parsed(processes, ["SELECT " + "(" * 1_000])


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT " + "x, " * 10_000,
        "SELECT " + "(" * 1_000 + ")" * 1_000,
        "SELECT * FROM a " + "JOIN b " * 100,
        "SELECT " + "CASE WHEN x THEN " * 100,
    ],
)
def test_long_and_deep_texts_may_cost_much(sql: str) -> None:
    assert may_cost_much(sql)
    assert not may_cost_much("SELECT x FROM a JOIN b USING (x)")


def nothing(_: Limits) -> Sequence[str]:
    return ["/nonexistent/python"]


def ends(_: Limits) -> Sequence[str]:
    return [sys.executable, "-c", "pass"]


def greets(_: Limits) -> Sequence[str]:
    return [sys.executable, "-c", "print('welcome to this computer')"]


@pytest.mark.parametrize("command", [nothing, ends, greets])
def test_a_worker_that_does_not_start_is_an_error(
    command: Callable[[Limits], Sequence[str]],
) -> None:
    with ParserProcesses(processes=2, small_batch=0, command=command) as processes:
        with pytest.raises(ParserProcessError, match="could not be started"):
            parsed(processes, ["SELECT x FROM a"] * 5)


def test_an_unknown_dialect_is_an_error(processes: ParserProcesses) -> None:
    with pytest.raises(ValueError, match="nonesuch"):
        list(processes.parse([Text("nonesuch", "SELECT 1")]))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"x",
        b"cos\nsystem\n(S'true'\ntR.",
        b"chex_assets.lineage.worker\nmain\n.",
        b"chex_assets.lineage.worker\nsubprocess\n.",
        b"N.",
    ],
)
def test_nothing_but_a_script_is_read(answer: bytes) -> None:
    with pytest.raises(ValueError, match="not a script"):
        read_script(answer)
