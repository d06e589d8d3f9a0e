"""The reader against the double of Hex, over a socket: limits, plans, faults; time is simulated."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import httpx
import polars as pl
import pytest
from pydantic import SecretStr
from upath import UPath

from hex_assets.errors import RequestError, ServerFailed, TokenRejected, UnreadableAnswer
from hex_assets.hex.client import HexClient
from hex_assets.hex.details import StoredDetails
from hex_assets.hex.rate_limit import RequestBudget
from hex_assets.hex.reader import (
    data_connections_frame,
    read_data_connections,
    read_projects,
    read_workspace,
)
from hex_assets.hex.reading import HexDetails, ReadingLimits, read_details
from hex_assets.http import Retry
from hex_assets.sandbox.faults import Fault, FaultInjector
from hex_assets.sandbox.hex_api import HexState, create_hex_api
from hex_assets.sandbox.server import serve
from hex_assets.sandbox.world import WORLD_INSTANT, HexWorkspace, build_world, wire_instant
from hex_assets_tests.hex.fake_hex import Clock

PER_MINUTE = 30
PAGE_TWO = r"GET /api/v1/projects\?.*after="


@dataclass
class ServedHex:
    """One workspace behind a socket, and a clock that it shares with its clients."""

    workspace: HexWorkspace
    state: HexState
    api: FaultInjector
    url: str
    clock: Clock
    folder: UPath

    def client(self, *, attempts: int = 1, budget: RequestBudget | None = None) -> HexClient:
        """Without another attempt, so that one 429 ends the test."""
        return HexClient(
            self.url,
            SecretStr(self.workspace.token),
            retry=Retry(attempts=attempts, backoff_seconds=0.001),
            sleep=self.clock.sleep,
            budget=budget or RequestBudget(PER_MINUTE, self.clock),
        )

    def read(self, client: HexClient, **options: Any) -> HexDetails:
        settings: dict[str, Any] = {"clock": self.clock, "now": lambda: WORLD_INSTANT, **options}
        return read_details(
            client,
            read_projects(client),
            data_connections_frame(read_data_connections(client)),
            lambda sql, dialect: sql,
            StoredDetails(self.folder),
            **settings,
        )

    def asked(self, part: str) -> list[str]:
        return [line for line in self.api.requests if part in line]


@contextmanager
def served(workspace: HexWorkspace, **settings: Any) -> Iterator[ServedHex]:
    clock, state = Clock(), HexState([workspace])
    api = FaultInjector(create_hex_api(state, clock=clock, **settings))
    folder = UPath(f"memory://served/{uuid.uuid4().hex}")
    with serve(api) as url:
        yield ServedHex(workspace, state, api, url, clock, folder)


@pytest.fixture(scope="module")
def growth() -> HexWorkspace:
    return build_world().workspaces[0]


@pytest.fixture(scope="module")
def finance() -> HexWorkspace:
    return build_world().workspaces[1]


def states(details: HexDetails, kind: str) -> set[str]:
    return set(details.coverage.rows.filter(detail=kind)["state"])


def test_a_first_read_at_hexs_limit_is_never_refused_and_the_second_asks_for_no_detail(
    growth: HexWorkspace,
) -> None:
    with served(growth) as hex_:
        budget = RequestBudget(PER_MINUTE, hex_.clock)
        with hex_.client(budget=budget) as client:
            first = hex_.read(client)
        sent, minutes = len(hex_.api.requests), sum(hex_.clock.sleeps) / 60
        assert first.cells.complete
        assert first.runs.complete
        assert first.queried_tables.complete
        assert sent > 2 * PER_MINUTE
        assert sent / (2 * PER_MINUTE) - 1 <= minutes <= sent / PER_MINUTE + 1
        hex_.api.requests.clear()
        with hex_.client(budget=budget) as client:
            second = hex_.read(client)
        assert second.requests == 0
        assert len(hex_.api.requests) == 3
        assert second.cells.rows.equals(first.cells.rows)


@pytest.mark.parametrize("headers", [True, False], ids=["headers", "no headers"])
def test_what_others_use_of_the_token_is_waited_for(growth: HexWorkspace, headers: bool) -> None:
    with served(growth, rate_headers=headers) as hex_:
        others = httpx.Client(
            base_url=f"{hex_.url}/api/v1",
            headers={"Authorization": f"Bearer {growth.token}"},
            trust_env=False,
        )
        with others:
            for _ in range(PER_MINUTE - 1):
                assert others.get("/data-connections").status_code == 200
        # Hex's headers tell in time; where it sends none, it refuses once.
        with hex_.client(attempts=1 if headers else 2) as client:
            details = hex_.read(client)
        assert details.cells.complete
        assert states(details, "runs") == {"current", "not applicable"}


def test_a_token_that_expires_while_reading_loses_nothing(growth: HexWorkspace) -> None:
    with served(growth) as hex_:
        # The first wait for the limit outlasts the token.
        hex_.state.put_workspace(replace(growth, token_expires_at=hex_.clock.now + 30))
        with hex_.client() as client, pytest.raises(TokenRejected, match=r"config\.token"):
            hex_.read(client)
        stored = set(StoredDetails(hex_.folder).details)
        assert stored
        hex_.api.requests.clear()
        hex_.state.put_workspace(growth)
        with hex_.client() as client:
            rest = hex_.read(client)
        assert rest.cells.complete
        assert hex_.asked("/runs")
        assert not any(hex_.asked(f"{one}/runs") for one, kind in stored if kind == "runs")
    with served(growth) as whole, whole.client() as client:
        assert rest.cells.rows.equals(whole.read(client).cells.rows)


def test_a_time_budget_is_kept_while_waiting_for_the_limit(growth: HexWorkspace) -> None:
    with served(growth) as hex_:
        runs = 0
        details = None
        while details is None or details.out_of_time:
            begun = hex_.clock.now
            with hex_.client() as client:
                details = hex_.read(client, limits=ReadingLimits(seconds=30))
            # One project that was begun may have to wait for its last window.
            assert hex_.clock.now - begun <= 30 + 3 * 61
            hex_.clock.now += 3600
            runs += 1
        assert runs > 1
        assert details.cells.complete
        asked = hex_.asked("/runs")
        assert len(asked) == len(set(asked))


def test_without_enterprise_or_exports_the_drafts_are_read_and_nothing_is_missing(
    growth: HexWorkspace,
) -> None:
    poor = replace(growth, enterprise=False, exports_enabled=False)
    with served(growth) as rich, rich.client() as client:
        exported = rich.read(client)
    with served(poor) as hex_, hex_.client() as client:
        listed = hex_.read(client)
        assert len(hex_.asked("/projects/export")) == 2
        assert len(hex_.asked("/queriedTables")) == 1
    assert listed.cells.complete
    assert set(listed.cells.rows["version"]) == {"draft"}
    assert states(listed, "queried_tables") == {"not available", "not applicable"}
    # A component without SQL has no tables to credit, and nothing to be told by.
    with_sql = set(exported.cells.rows.filter(pl.col("sql").is_not_null())["project_id"])
    in_exports, in_listings = (
        set(details.component_imports.rows.select("project_id", "component_id").iter_rows())
        for details in (exported, listed)
    )
    assert in_listings == {each for each in in_exports if each[1] in with_sql} != set()


def test_an_unpublished_project_costs_no_question_that_hex_would_refuse(
    growth: HexWorkspace,
) -> None:
    drafts = [one["id"] for one in growth.projects if one["lastPublishedAt"] is None]
    assert drafts
    with served(growth) as hex_, hex_.client() as client:
        hex_.read(client)
        for draft in drafts:
            assert not hex_.asked(f"{draft}/runs")
            assert not hex_.asked(f"{draft}/queriedTables")


def test_a_personal_token_reads_what_its_user_sees(finance: HexWorkspace) -> None:
    with served(finance) as hex_, hex_.client() as client:
        (row,) = read_workspace(client).rows.to_dicts()
        details = hex_.read(client)
    assert (row["token_kind"], row["org_id"]) == ("personal", finance.org_id)
    seen = set(details.coverage.rows["project_id"])
    assert 0 < len(seen) < len([one for one in finance.projects if one["trashedAt"] is None])
    assert details.cells.complete


def test_hex_failing_to_say_whose_token_it_is_ends_nothing(growth: HexWorkspace) -> None:
    with served(growth, me_fails_for_workspace_tokens=True) as hex_, hex_.client() as client:
        (row,) = read_workspace(client).rows.to_dicts()
        assert row["org_id"] is None
        assert hex_.read(client).cells.complete


def many(growth: HexWorkspace, count: int = 230) -> HexWorkspace:
    """The workspace with more items than two pages hold, none of which was published."""
    draft = next(one for one in growth.projects if one["lastPublishedAt"] is None)
    born = [WORLD_INSTANT - timedelta(days=number) for number in range(count)]
    projects = tuple(
        {
            **draft,
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"many {number}")),
            "createdAt": wire_instant(instant),
        }
        for number, instant in enumerate(born)
    )
    return replace(growth, projects=projects, cells={})


Change = Callable[[HexState, HexWorkspace], None]


def deleted(position: int) -> Change:
    return lambda state, world: state.remove_project(world.name, world.projects[position]["id"])


def moved_to_the_front(state: HexState, world: HexWorkspace) -> None:
    newest = wire_instant(WORLD_INSTANT + timedelta(days=1))
    state.change_project(world.name, world.projects[5]["id"], createdAt=newest)


def moved_to_the_end(state: HexState, world: HexWorkspace) -> None:
    oldest = wire_instant(WORLD_INSTANT - timedelta(days=2000))
    state.change_project(world.name, world.projects[5]["id"], createdAt=oldest)


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        (deleted(5), None),
        (deleted(99), None),
        (deleted(150), 150),
        (moved_to_the_front, None),
        (moved_to_the_end, None),
    ],
    ids=["read and deleted", "the cursor's own item", "deleted unread", "moved up", "moved down"],
)
def test_a_change_between_two_pages_loses_no_other_project(
    growth: HexWorkspace, change: Change, gone: int | None
) -> None:
    world = many(growth)
    with served(world) as hex_:
        hex_.api.faults.append(Fault(PAGE_TWO, "act", act=lambda: change(hex_.state, world)))
        with hex_.client() as client:
            projects = read_projects(client)
    expected = [one["id"] for number, one in enumerate(world.projects) if number != gone]
    assert sorted(projects.rows["id"]) == sorted(expected)
    assert projects.complete


HTML = "<html><body>502 Bad Gateway</body></html>"


@pytest.mark.parametrize(
    ("fault", "heals", "error"),
    [
        (Fault(PAGE_TWO, status=500), True, ServerFailed),
        (Fault(PAGE_TWO, status=502, body=HTML, headers={"content-type": "text/html"}), True, None),
        (Fault(PAGE_TWO, "reset"), True, None),
        (Fault(PAGE_TWO, "delay", seconds=0.01), True, None),
        (Fault(PAGE_TWO, status=500, times=None), False, ServerFailed),
        (Fault(PAGE_TWO, "reset", times=None), False, RequestError),
        (Fault(PAGE_TWO, "garbage"), False, UnreadableAnswer),
        (Fault(PAGE_TWO, status=200, body='{"values": [{"id": "0'), False, UnreadableAnswer),
    ],
    ids=["500", "HTML", "reset", "slow", "500 always", "reset always", "HTML as 200", "cut JSON"],
)
def test_a_listing_is_whole_or_an_error_that_names_the_page(
    growth: HexWorkspace, fault: Fault, heals: bool, error: type[RequestError] | None
) -> None:
    world = many(growth)
    with served(world) as hex_, hex_.client(attempts=2) as client:
        hex_.api.faults.append(replace(fault))
        if heals:
            assert read_projects(client).rows.height == len(world.projects)
            return
        assert error is not None
        with pytest.raises(error, match="listing projects, page 2"):
            read_projects(client)


def test_a_project_deleted_after_the_listing_is_told_and_forgotten_by_the_next_run(
    growth: HexWorkspace,
) -> None:
    victim = next(one["id"] for one in growth.projects if one["trashedAt"] is None)
    with served(growth) as hex_:
        hex_.api.faults.append(
            Fault(
                "GET /api/v1/data-connections",
                "act",
                act=lambda: hex_.state.remove_project(growth.name, victim),
            )
        )
        with hex_.client() as client:
            details = hex_.read(client)
        assert f"cells of project {victim}: vanished before it was read" in details.cells.gaps
        with hex_.client() as client:
            again = hex_.read(client)
        assert again.cells.complete
        assert victim not in set(again.coverage.rows["project_id"])


def test_many_queried_tables_with_junk_among_them(growth: HexWorkspace) -> None:
    project = next(
        one["id"]
        for one in growth.projects
        if one["lastPublishedAt"] is not None and one["trashedAt"] is None
    )
    connection = growth.data_connections[0]["id"]
    rows: list[Any] = [
        {"dataConnectionId": connection.upper(), "tableName": f"DB.s.t{number}"}
        for number in range(230)
    ]
    junk = ["text", None, {"dataConnectionId": connection}, {**rows[0], "tableName": "count(*)"}]
    tables = {project: (*rows[:50], *junk, *rows[50:])}
    with served(replace(growth, queried_tables=tables)) as hex_, hex_.client() as client:
        details = hex_.read(client)
    mine = details.queried_tables.rows.filter(project_id=project)
    assert mine.height == 230
    assert set(mine["data_connection_id"]) == {connection}
    assert details.queried_tables.complete
    assert details.left_out >= len(junk)


def test_scheduled_runs_behind_a_page_of_others_are_found(growth: HexWorkspace) -> None:
    project = next(
        one
        for one in growth.projects
        if one["type"] == "PROJECT"
        and one["lastPublishedAt"]
        and not one["archivedAt"]
        and not one["trashedAt"]
        and any(each["enabled"] for each in one["schedules"])
    )
    runs = tuple(
        {
            "projectId": project["id"],
            "runId": str(uuid.uuid5(uuid.NAMESPACE_OID, f"run {number}")),
            "status": "ERRORED" if number == 120 else "COMPLETED",
            "runTrigger": "SCHEDULED" if number >= 120 else "API",
            "startTime": wire_instant(WORLD_INSTANT - timedelta(hours=number)),
            "endTime": None,
            "elapsedTime": 1000,
        }
        for number in range(130)
    )
    world = replace(growth, runs={**growth.runs, project["id"]: runs})
    with served(world) as hex_, hex_.client() as client:
        found = hex_.read(client).runs.rows.filter(project_id=project["id"])
    by_trigger = {row["trigger"]: row for row in found.to_dicts()}
    assert by_trigger["SCHEDULED"]["status"] == "ERRORED"
    assert by_trigger["SCHEDULED"]["success_rate"] == pytest.approx(0.9)
    assert by_trigger["API"]["runs"] == 100


@pytest.mark.parametrize("skew", [timedelta(days=-1), timedelta(days=1)], ids=["behind", "ahead"])
def test_a_clock_that_differs_from_hexs_costs_no_request(
    growth: HexWorkspace, skew: timedelta
) -> None:
    instant = datetime.now(timezone.utc) + skew
    with served(growth) as hex_:
        with hex_.client() as client:
            hex_.read(client, now=lambda: instant)
        with hex_.client() as client:
            assert hex_.read(client, now=lambda: instant).requests == 0
