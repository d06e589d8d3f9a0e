"""No 60 seconds ever see more requests than Hex allows, however many clients and threads ask."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from hex_assets.hex.client import HexClient
from hex_assets.hex.rate_limit import (
    GENERAL,
    HEX_API,
    HEX_API_30RPM,
    RequestBudget,
    shared_budget,
)
from hex_assets_tests.hex.fake_hex import HOST, TOKEN, Clock, FakeHex, uuid_of


def most_in_a_minute(moments: list[float]) -> int:
    ordered = sorted(moments)
    return max(sum(start <= m < start + 60 for m in ordered) for start in ordered)


def send(budget: RequestBudget, clock: Clock, group: str) -> float:
    while wait := budget.take(group):
        clock.sleep(wait)
    return clock.now


def test_a_group_sends_its_limit_at_once_and_then_waits_for_the_window() -> None:
    clock = Clock()
    budget = RequestBudget(30, clock)
    moments = [send(budget, clock, HEX_API) for _ in range(95)]
    assert clock.sleeps == pytest.approx([61.0] * 3, abs=0.002)
    assert most_in_a_minute(moments) == 30


def test_groups_do_not_wait_for_each_other() -> None:
    clock = Clock()
    budget = RequestBudget(30, clock)
    for _ in range(30):
        assert budget.take(HEX_API) == 0
    assert budget.take(HEX_API) > 0
    assert budget.take(HEX_API_30RPM) == 0


def test_all_groups_together_stay_below_the_limit_of_the_user() -> None:
    clock = Clock()
    budget = RequestBudget(30, clock)
    for group in (HEX_API, HEX_API_30RPM):
        for _ in range(30):
            assert budget.take(group) == 0
    assert budget.take(GENERAL) == pytest.approx(61, abs=0.002)


@settings(deadline=None, derandomize=True)
@given(
    st.integers(1, 5),
    st.lists(
        st.tuples(st.floats(0, 40), st.sampled_from([HEX_API, HEX_API_30RPM, GENERAL])),
        max_size=60,
    ),
)
def test_no_minute_exceeds_a_limit(
    requests_per_minute: int, arrivals: list[tuple[float, str]]
) -> None:
    clock = Clock()
    budget = RequestBudget(requests_per_minute, clock)
    sent: list[tuple[str, float]] = []
    for pause, group in arrivals:
        clock.now += pause
        sent.append((group, send(budget, clock, group)))
    for group in (HEX_API, HEX_API_30RPM):
        moments = [moment for name, moment in sent if name == group]
        assert not moments or most_in_a_minute(moments) <= requests_per_minute
    assert not sent or most_in_a_minute([m for _, m in sent]) <= 2 * requests_per_minute


def test_threads_share_the_budget() -> None:
    budget = RequestBudget(30, Clock())
    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(budget.take, [HEX_API] * 50))
    assert sum(wait == 0 for wait in waits) == 30


def test_a_waiting_thread_holds_up_no_other() -> None:
    clock = Clock()
    budget = RequestBudget(1, clock)
    taken_meanwhile: list[float] = []

    def sleep(seconds: float) -> None:
        other = threading.Thread(target=lambda: taken_meanwhile.append(budget.take(HEX_API)))
        other.start()
        other.join(timeout=10)
        clock.sleep(seconds)

    fake = FakeHex(cells={uuid_of(1): []})
    with fake.client(budget=budget, sleep=sleep) as client:
        client.cells(uuid_of(1))
        client.cells(uuid_of(1))
    assert taken_meanwhile == [0]


def test_a_lower_limit_counts_what_was_already_sent() -> None:
    clock = Clock()
    budget = RequestBudget(30, clock)
    for _ in range(10):
        budget.take(HEX_API)
    budget.allow(5)
    assert budget.take(HEX_API) == pytest.approx(61, abs=0.002)
    budget.allow(11)
    assert budget.take(HEX_API) == 0


def test_clients_of_one_token_share_a_budget_and_those_of_others_do_not(tmp_path: Path) -> None:
    base = f"{HOST}/api/v1"
    first = shared_budget(base, "one", 30, tmp_path)
    assert shared_budget(base, "one", 30, tmp_path) is first
    assert shared_budget(base, "two", 30, tmp_path) is not first
    assert shared_budget("https://eu.hex.tech/api/v1", "one", 30, tmp_path) is not first


def test_two_clients_of_a_token_count_together(tmp_path: Path) -> None:
    token = SecretStr("hxtp_shared_by_two")
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json={"values": []}))

    class Waited(Exception):
        pass

    def sleep(seconds: float) -> None:
        raise Waited

    def client() -> HexClient:
        return HexClient(
            HOST,
            token,
            requests_per_minute=2,
            sleep=sleep,
            transport=transport,
            rate_limits=str(tmp_path),
        )

    with client() as one, client() as two:
        one.data_connections()
        two.data_connections()
        with pytest.raises(Waited):
            one.data_connections()


def test_retries_count_too() -> None:
    fake = FakeHex(faults=[lambda request: httpx.Response(500)])
    budget = RequestBudget(2, fake.clock)
    with fake.client(budget=budget) as client, pytest.raises(Exception, match="HTTP 500"):
        client.data_connections()
    assert len(fake.requests) == 3
    assert sum(fake.clock.sleeps) == pytest.approx(61, abs=2)
    assert TOKEN not in repr(vars(budget))


def test_processes_share_the_budget_of_a_token_through_its_file(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from hex_assets.hex.rate_limit import HEX_API, RequestBudget;"
        "budget = RequestBudget(30, path=pathlib.Path(sys.argv[1]));"
        "print(sum(budget.take(HEX_API) == 0 for _ in range(20)))"
    )
    file = str(tmp_path / "budget.sqlite")
    started = [
        subprocess.Popen([sys.executable, "-c", code, file], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert sum(int(process.communicate()[0]) for process in started) == 30


def test_what_others_used_up_is_waited_for_before_hex_refuses() -> None:
    used_up = {"RateLimit-Remaining": "0", "RateLimit-Reset": "17"}
    fake = FakeHex()
    fake.faults = [lambda request: httpx.Response(200, json={"values": []}, headers=used_up)]
    budget = RequestBudget(30, fake.clock)
    with fake.client(budget=budget) as client:
        client.data_connections()
    assert budget.take(HEX_API) == pytest.approx(17)
    assert budget.left(HEX_API) == 0
    assert budget.take(HEX_API_30RPM) == 0


def test_a_refusal_holds_the_whole_token() -> None:
    refusals = [httpx.Response(429, headers={"Retry-After": "40"})]
    fake = FakeHex(faults=[lambda request: refusals.pop() if refusals else None])
    budget = RequestBudget(30, fake.clock)
    with fake.client(budget=budget) as client:
        client.data_connections()
    assert fake.clock.sleeps == [40.0]


def test_a_hold_from_before_the_machine_restarted_is_forgotten(tmp_path: Path) -> None:
    late, early = Clock(), Clock()
    late.now = 900_000.0
    before = RequestBudget(1, late, tmp_path / "budget.sqlite")
    before.take(HEX_API)
    before.hold(GENERAL, 60)
    assert RequestBudget(1, early, tmp_path / "budget.sqlite").take(HEX_API) == 0
