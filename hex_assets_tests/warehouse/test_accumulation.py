"""The history grows from run to run as if it had been read at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from hex_assets.errors import HexAssetsError, RecipeError, WarehouseError
from hex_assets.warehouse.accumulation import (
    Accumulated,
    HistoryState,
    accumulate,
    history_frame,
    read_state,
    write_state,
)
from hex_assets.warehouse.reader import EXECUTIONS, HistoryBatch, HistoryReader, Window
from hex_assets_tests.warehouse.comments import OTHER_PROJECT, PROJECT, comment
from hex_assets_tests.warehouse.logs import NOON
from hex_assets_tests.warehouse.reads import read_query_history

SERVICE = "snowflake_prod"
LATENCY = timedelta(minutes=60)
LOOK_BACK = timedelta(days=30)
RETENTION = timedelta(days=90)
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Execution:
    """One execution, and how long it takes until the log shows it."""

    at: int
    statement: int = 0
    user: int = 0
    late: int = 0

    def row(self) -> dict[str, Any]:
        text = f"SELECT 'literal' FROM t{self.statement} "
        return {
            "query_text": text + comment(user_email=f"user{self.user}@mail.com"),
            "database": "DB",
            "schema": "S",
            "user": "HEX",
            "started_at": NOON + self.at * MINUTE,
            "query_id": f"q{self.at:06}-{self.statement}-{self.user}",
            "resolved": None,
        }


@dataclass
class Log:
    """A query history at a moment; it remembers what it was asked for."""

    executions: Sequence[Execution]
    now: datetime = NOON
    service: str = SERVICE
    sql_dialect: str = "snowflake"
    latency: timedelta = LATENCY
    breaks: bool = False
    gap: str = ""
    asked: list[Window] = field(default_factory=list)

    def read(self, window: Window) -> Iterator[HistoryBatch]:
        self.asked.append(window)
        rows = [
            row
            for one in self.executions
            for row in [one.row()]
            if window.start <= row["started_at"] < window.end
            and row["started_at"] + one.late * MINUTE <= self.now
        ]
        yield HistoryBatch(pl.DataFrame(rows, schema=EXECUTIONS, orient="row"))
        if self.breaks:
            raise WarehouseError(self.service, "the connection broke")
        if self.gap:
            yield HistoryBatch(pl.DataFrame([], schema=EXECUTIONS, orient="row"), gaps=(self.gap,))

    def check(self) -> str:
        return "listed"


def run(
    state: HistoryState,
    readers: Mapping[str, HistoryReader | HexAssetsError] | Log,
    minute: int,
    **changed: Any,
) -> Accumulated:
    now = NOON + minute * MINUTE
    if isinstance(readers, Log):
        readers.now = now
        readers = {readers.service: readers}
    known: dict[str, Any] = {"look_back": LOOK_BACK, "retention": RETENTION}
    return accumulate(state, readers, now, **(known | changed))


def rows_of(state: HistoryState, *services: str) -> list[dict[str, Any]]:
    return history_frame(state, services or (SERVICE,)).rows.rows(named=True)


runs = st.lists(
    st.tuples(st.integers(1, 300), st.sampled_from(["done", "broken", "killed", "gap"])), max_size=8
)
executions = st.lists(
    st.builds(
        Execution,
        at=st.integers(-400, 1_500),
        statement=st.integers(0, 2),
        user=st.integers(0, 3),
        late=st.integers(0, 59),
    ),
    max_size=25,
    unique_by=lambda one: (one.at, one.statement, one.user),
)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(executions, runs)
def test_any_runs_give_what_one_read_gives(
    log: list[Execution], steps: list[tuple[int, str]]
) -> None:
    path = UPath("memory://history/state.parquet")
    path.unlink(missing_ok=True)
    minute = 0
    for pause, outcome in [*steps, (2_000, "done")]:
        minute += pause
        reader = Log(log, breaks=outcome == "broken", gap="cut" if outcome == "gap" else "")
        after = run(read_state(path) or HistoryState(), reader, minute)
        if outcome != "killed":
            write_state(path, after.state)
    state = read_state(path)
    assert state is not None
    end = NOON + minute * MINUTE
    everything = read_query_history([Log(log, end)], Window(NOON - LOOK_BACK, end)).frame
    assert rows_of(state) == everything.rows.rows(named=True)
    assert history_frame(state, [SERVICE]).complete


def test_a_second_run_asks_for_what_is_new() -> None:
    first = run(HistoryState(), Log([Execution(0)]), 600)
    log = Log([Execution(0)])
    second = run(first.state, log, 900)
    start, end = NOON + 600 * MINUTE, NOON + 900 * MINUTE
    assert log.asked == [
        Window(start - LATENCY, end - LATENCY),
        Window(end - LATENCY, end),
    ]
    assert rows_of(second.state) == rows_of(first.state)


def test_two_runs_at_once_ask_for_nothing_twice() -> None:
    log = Log([Execution(0)])
    first = run(HistoryState(), log, 600)
    assert rows_of(run(first.state, log, 600).state) == rows_of(first.state)
    assert log.asked[-1] == Window(NOON + 540 * MINUTE, NOON + 600 * MINUTE)


def test_a_clock_that_was_set_back_loses_nothing() -> None:
    log = Log([Execution(590)])
    first = run(HistoryState(), log, 600)
    again = run(first.state, Log([Execution(590)], now=NOON + 600 * MINUTE), 600)
    back = accumulate(
        again.state,
        {SERVICE: Log([Execution(590)], now=NOON + 600 * MINUTE)},
        NOON,
        look_back=LOOK_BACK,
        retention=RETENTION,
    )
    assert rows_of(back.state) == rows_of(first.state)


def test_a_longer_look_back_reads_the_older_part() -> None:
    old = Execution(-40 * 24 * 60)
    log = Log([old, Execution(0)])
    first = run(HistoryState(), log, 600)
    assert [row["executions"] for row in rows_of(first.state)] == [1]
    longer = run(first.state, log, 700, look_back=timedelta(days=60))
    assert [row["executions"] for row in rows_of(longer.state)] == [2]
    shorter = run(longer.state, log, 800, look_back=timedelta(days=7))
    assert rows_of(shorter.state) == rows_of(longer.state)
    assert log.asked[-1].start == NOON + 740 * MINUTE


def test_a_source_that_forgets_at_once_is_settled_at_once() -> None:
    first = run(HistoryState(), Log([Execution(0)], latency=timedelta()), 600)
    assert first.state.coverage[SERVICE].settled_until == NOON + 600 * MINUTE
    log = Log([Execution(650)], latency=timedelta())
    second = run(first.state, log, 700)
    assert log.asked == [Window(NOON + 600 * MINUTE, NOON + 700 * MINUTE)]
    assert [row["executions"] for row in rows_of(second.state)] == [2]
    # With nothing new to settle, a longer look-back reads the older part alone.
    old = Log([Execution(-40 * 24 * 60)], latency=timedelta())
    longer = run(second.state, old, 700, look_back=timedelta(days=60))
    assert [row["executions"] for row in rows_of(longer.state)] == [3]
    known, before = (one.state.coverage[SERVICE] for one in (longer, second))
    assert known.settled_until == before.settled_until
    assert known.read_until == before.read_until


def test_what_ran_no_more_leaves_after_the_retention() -> None:
    state = run(HistoryState(), Log([Execution(0), Execution(600, statement=1)]), 700).state
    later = 600 + 90 * 24 * 60
    assert [row["sql"] for row in rows_of(run(state, Log([]), later).state)] == [
        "SELECT '?' FROM t1"
    ]
    assert rows_of(run(state, Log([]), later + 1).state) == []
    longer = run(state, Log([]), later + 1, look_back=timedelta(days=100)).state
    assert len(rows_of(longer)) == 2


def test_a_failing_service_keeps_its_rows_and_stops_no_other() -> None:
    other = "postgres_shop"

    def both(breaks: bool) -> dict[str, HistoryReader | HexAssetsError]:
        now = NOON + 9_999 * MINUTE
        return {
            SERVICE: Log([Execution(0), Execution(650)], now, breaks=breaks),
            other: Log([Execution(0), Execution(650)], now, other, "postgres"),
        }

    first = run(HistoryState(), both(False), 600)
    failed = run(first.state, both(True), 700)
    assert list(failed.failures) == [SERVICE]
    assert list(failed.read) == [other]
    executions = {
        row["service"]: row["executions"] for row in rows_of(failed.state, SERVICE, other)
    }
    assert executions == {SERVICE: 1, other: 2}
    still = run(failed.state, both(True), 800)
    (gap,) = history_frame(still.state, [SERVICE, other]).gaps
    assert gap.startswith(
        "snowflake_prod was not read to its end since 2026-11-20 23:40 UTC; "
        "known until 2026-11-20 22:00. "
    )
    assert "the connection broke" in gap
    mended = run(still.state, both(False), 900)
    assert history_frame(mended.state, [SERVICE, other]).complete
    executions = {
        row["service"]: row["executions"] for row in rows_of(mended.state, SERVICE, other)
    }
    assert executions == {SERVICE: 2, other: 2}


def test_a_service_without_a_connection_is_a_failure_of_its_own() -> None:
    missing = RecipeError("no entry for bigquery")
    after = run(HistoryState(), {"bigquery": missing, SERVICE: Log([Execution(0)])}, 600)
    assert after.failures == {"bigquery": missing}
    frame = history_frame(after.state, ["bigquery", SERVICE])
    assert frame.rows["service"].to_list() == [SERVICE]
    assert "no entry for bigquery" in frame.gaps[0]


def test_projects_that_are_not_all_known_settle_nothing() -> None:
    log = [Execution(0)]
    unsure = run(
        HistoryState(), Log(log), 600, project_ids={OTHER_PROJECT}, projects_complete=False
    )
    assert rows_of(unsure.state) == []
    sure = run(unsure.state, Log(log), 700, project_ids={PROJECT})
    assert [row["executions"] for row in rows_of(sure.state)] == [1]


def test_a_reset_reads_everything_anew() -> None:
    first = run(HistoryState(), Log([Execution(0)]), 600, project_ids={OTHER_PROJECT})
    log = Log([Execution(0)])
    again = run(first.state, log, 700, project_ids={PROJECT}, reset=[SERVICE])
    assert log.asked[0].start == NOON + 700 * MINUTE - LOOK_BACK
    assert [row["executions"] for row in rows_of(again.state)] == [1]


def test_a_reset_that_fails_loses_nothing() -> None:
    first = run(HistoryState(), Log([Execution(0)]), 600)
    failed = run(first.state, Log([Execution(0)], breaks=True), 700, reset=[SERVICE])
    assert rows_of(failed.state) == rows_of(first.state)
    known = failed.state.coverage[SERVICE]
    assert known.settled_until == first.state.coverage[SERVICE].settled_until


def test_literals_leave_the_store_with_the_setting() -> None:
    full = run(HistoryState(store_sql="full"), Log([Execution(0)]), 600).state
    assert [row["sql"] for row in rows_of(full)] == ["SELECT 'literal' FROM t0"]
    assert [row["sql"] for row in rows_of(full.storing("masked"))] == ["SELECT '?' FROM t0"]
    assert [row["sql"] for row in rows_of(full.storing("none"))] == [None]


def test_no_user_is_stored(tmp_path: Path) -> None:
    log = Log([Execution(at, statement=at % 2, user=at) for at in range(4)])
    path = UPath(tmp_path / "state.parquet")
    write_state(path, run(HistoryState(), log, 600).state)
    assert [row["users"] for row in rows_of(read_state(path) or HistoryState())] == [2, 2]
    assert b"user" not in path.read_bytes().replace(b"user_buckets", b"")


def test_the_same_user_of_two_statements_cannot_be_linked() -> None:
    log = Log([Execution(0, statement=0, user=1), Execution(1, statement=1, user=1)])
    first, second = run(HistoryState(), log, 600).state.rows["user_buckets"].to_list()
    assert first != second


@pytest.mark.parametrize("damage", ["version", "columns"])
def test_a_state_of_another_version_counts_as_none(damage: str, tmp_path: Path) -> None:
    path = UPath(tmp_path / "state.parquet")
    state = run(HistoryState(), Log([Execution(0)]), 600).state
    write_state(path, state)
    assert read_state(path) is not None
    rows = pl.read_parquet(str(path))
    metadata = {} if damage == "version" else pl.read_parquet_metadata(str(path))
    rows = rows if damage == "version" else rows.drop("sql")
    rows.write_parquet(str(path), metadata=metadata)
    assert read_state(path) is None


def test_rows_of_a_service_that_left_the_recipe_are_left_out() -> None:
    state = run(HistoryState(), Log([Execution(0)]), 600).state
    assert rows_of(state, "another") == []
    assert len(rows_of(replace(state), SERVICE)) == 1
