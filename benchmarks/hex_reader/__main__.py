"""Prints the table of README.md: runs against an imitation of Hex, with a clock that is simulated.

Command: ``uv run python -m benchmarks.hex_reader``
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from itertools import pairwise

import httpx
from upath import UPath

from hex_assets.hex import reader
from hex_assets.hex.details import StoredDetails
from hex_assets.hex.rate_limit import RequestBudget
from hex_assets.hex.reading import HexDetails, read_details
from hex_assets_tests.hex.fake_hex import ORG_ID, FakeHex, connection, project, uuid_of

PER_MINUTE = 30
START = datetime(2026, 11, 1, tzinfo=timezone.utc)
PER_USER = 2 * PER_MINUTE


def workspace(count: int) -> FakeHex:
    """Published projects with one SQL cell, one queried table and no run each."""
    cell = {
        "cellType": "SQL",
        "cellId": uuid_of(0xB000),
        "cellLabel": None,
        "config": {
            "source": "select 1",
            "dataConnectionId": uuid_of(0xC001),
            "dataFrameCell": False,
            "resultVariableName": "result",
        },
    }
    export = json.dumps({"schemaVersion": 3, "cells": [cell]})
    table = {"dataConnectionId": uuid_of(0xC001), "tableName": "core.orders"}
    numbers = range(1, count + 1)
    return FakeHex(
        projects=[project(number) for number in numbers],
        connections=[connection(1)],
        exports={uuid_of(number): export for number in numbers},
        queried_tables={uuid_of(number): [table] for number in numbers},
    )


def run(
    fake: FakeHex,
    folder: UPath,
    day: int,
    fault: Callable[[httpx.Request], None] = lambda request: None,
) -> tuple[HexDetails, int, float, int]:
    """One run: what it read, requests, simulated minutes, most requests in any minute."""
    moments: list[float] = []

    def note(request: httpx.Request) -> None:
        moments.append(fake.clock.now)

    fake.faults = [note, fault]
    fake.requests.clear()
    begun = fake.clock.now
    with fake.client(budget=RequestBudget(PER_MINUTE, fake.clock)) as client:
        reader.read_workspace(client)
        projects = reader.read_projects(client, ORG_ID)
        connections = reader.data_connections_frame(reader.read_data_connections(client))
        details = read_details(
            client,
            projects,
            connections,
            lambda sql, dialect: sql,
            StoredDetails(folder),
            now=lambda: START + timedelta(days=day),
            clock=fake.clock,
        )
    minutes = (fake.clock.now - begun) / 60
    # A burst of n + 1 within a minute would show as two moments n apart that are under 60 s apart.
    starts = moments[: len(moments) - PER_USER]
    ends = moments[PER_USER:]
    refused = sum(end - start < 60 for start, end in zip(starts, ends, strict=True))
    assert all(first <= second for first, second in pairwise(moments))
    fake.clock.now += 3600
    return details, len(fake.requests), minutes, refused


class Killed(BaseException):
    """Stands for the end of the process."""


def resumed(count: int) -> tuple[HexDetails, int, float, int]:
    """A first run that is killed halfway, and the one that goes on: requests of both."""
    fake = workspace(count)
    folder = UPath(f"memory://benchmark/{uuid.uuid4().hex}")
    left = 3 * count // 2

    def kill(request: httpx.Request) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed

    try:
        run(fake, folder, 0, kill)
    except Killed:
        before = len(fake.requests)
    details, requests, minutes, over = run(fake, folder, 0)
    return details, before + requests, minutes, over


def main() -> None:
    """Print a Markdown table."""
    print("| projects | run | changed | in turn | requests | minutes | over the limit |")
    print("|---:|---|---:|---:|---:|---:|---:|")
    for count in (50, 500, 2000):
        fake = workspace(count)
        folder = UPath(f"memory://benchmark/{uuid.uuid4().hex}")
        for day, name in enumerate(("first", "unchanged", "1 % changed")):
            if name == "1 % changed":
                for number in range(1, max(1, count // 100) + 1):
                    moved = "2026-10-31T00:00:00.000Z"
                    fake.projects[number - 1] = project(number, lastEditedAt=moved)
            details, requests, minutes, over = run(fake, folder, 2 * day)
            print(
                f"| {count} | {name} | {details.changed} | {details.in_turn} | {requests} "
                f"| {minutes:.1f} | {over} |",
                flush=True,
            )
        details, requests, minutes, over = resumed(count)
        print(
            f"| {count} | first, killed halfway, and the rest | {details.changed} "
            f"| {details.in_turn} | {requests} | {minutes:.1f} (the rest) | {over} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
