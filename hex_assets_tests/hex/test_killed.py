"""A first load that is killed goes on where it stopped: a real process, a real kill, real HTTP."""

from __future__ import annotations

import copy
import os
import re
import signal
import subprocess
import sys
import uuid
from collections import Counter
from dataclasses import replace
from pathlib import Path

from hex_assets.sandbox.faults import Fault, FaultInjector
from hex_assets.sandbox.hex_api import create_hex_api
from hex_assets.sandbox.server import serve
from hex_assets.sandbox.world import HexWorkspace, build_world

PROJECTS = 60
KILLED_AT = 70
_DETAILS = (
    r"(POST /api/v1/projects/export|GET /api/v1/(cells|projects/[^/?]+/(runs|queriedTables)))"
)

READER = """
import sys
from pydantic import SecretStr
from upath import UPath
from hex_assets.hex.client import HexClient
from hex_assets.hex.details import StoredDetails
from hex_assets.hex.rate_limit import RequestBudget
from hex_assets.hex.reader import data_connections_frame, read_projects
from hex_assets.hex.reading import read_details

url, token, folder = sys.argv[1:]
with HexClient(url, SecretStr(token), budget=RequestBudget(100_000)) as client:
    details = read_details(
        client,
        read_projects(client),
        data_connections_frame(client.data_connections()),
        lambda sql, dialect: sql,
        StoredDetails(UPath(folder)),
    )
print(details.cells.rows.hash_rows().sum(), details.cells.rows.height, details.runs.rows.height)
"""


def many_projects() -> HexWorkspace:
    """The demo's workspace, its projects repeated until there are enough."""
    workspace = build_world().workspaces[0]
    projects, cells, runs = list(workspace.projects), dict(workspace.cells), dict(workspace.runs)
    originals = list(workspace.projects)
    for number in range(PROJECTS - len(projects)):
        original = originals[number % len(originals)]
        clone = copy.deepcopy(original)
        clone["id"] = str(uuid.uuid5(uuid.NAMESPACE_OID, f"clone {number}"))
        projects.append(clone)
        cells[clone["id"]] = cells.get(original["id"], ())
        runs[clone["id"]] = runs.get(original["id"], ())
    return replace(workspace, projects=tuple(projects), cells=cells, runs=runs)


def reader(url: str, token: str, folder: Path) -> subprocess.Popen[str]:
    # The exact environment of this interpreter, so that the child finds the same packages.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [sys.executable, "-c", READER, url, token, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_no_answer_is_asked_for_twice_after_a_kill(tmp_path: Path) -> None:
    workspace = many_projects()
    api = FaultInjector(
        create_hex_api(
            [workspace], requests_per_minute=100_000, general_requests_per_minute=100_000
        )
    )
    with serve(api) as url:
        whole = reader(url, workspace.token, tmp_path / "whole")
        expected = whole.communicate(timeout=120)[0]
        assert whole.returncode == 0
        in_one_go = Counter(line for line in api.requests if re.match(_DETAILS, line))
        api.requests.clear()

        processes: list[subprocess.Popen[str]] = []
        api.faults.append(
            Fault(
                _DETAILS,
                "act",
                nth=KILLED_AT,
                act=lambda: os.kill(processes[0].pid, signal.SIGKILL),
            )
        )
        processes.append(reader(url, workspace.token, tmp_path / "killed"))
        processes[0].communicate(timeout=120)
        assert processes[0].returncode == -signal.SIGKILL
        api.faults.clear()
        rest = reader(url, workspace.token, tmp_path / "killed")
        assert rest.communicate(timeout=120)[0] == expected
        asked = [line for line in api.requests if re.match(_DETAILS, line)]
    # Only the request under way when the process died is asked for again.
    assert len(asked) == in_one_go.total() + 1
    repeated = Counter(asked) - in_one_go
    assert repeated.total() == 1
