"""How fast one Hex token may be used, by everything on this machine that uses it.

Hex counts requests per user in fixed windows of 60 s that start with the first request (Hex docs,
"API overview"). At most N requests in *any* 60 s therefore stay under a limit of N wherever
Hex's windows begin.
"""

from __future__ import annotations

import getpass
import hashlib
import sqlite3
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from filelock import FileLock
from pyrate_limiter import Rate, RateItem, SQLiteBucket

from hex_assets.errors import RecipeError

HEX_API = "hex-api"
"""Rate group of ListDataConnections, GetProjectRuns and ExportProject (Hex's OpenAPI document)."""

HEX_API_30RPM = "hex-api-30rpm"
"""Rate group of ListCells and Me."""

GENERAL = "general"
"""Requests of every group, and those for which Hex states none, such as ListProjects."""

_ALL_GROUPS = 2
"""Hex allows a user 60 requests per minute over all endpoints, twice what it allows a group."""

_WINDOW_MILLISECONDS = 61_000
"""Hex's minute and a second more, because requests do not all travel equally long."""

_LONGEST_HOLD_SECONDS = 3600.0
_SHARE_OF_TEMPORARY = "hex-assets"


class RequestBudget:
    """The requests that one token may still send in the current minute.

    Each group gets ``requests_per_minute``, all groups together twice as many. Threads may share
    one budget; processes of one machine share it through a file, in which nobody waits: the
    file is locked for the moment of counting only.

    Args:
        clock: seconds that never go back; the same in all processes of the machine, as Python's
            ``time.monotonic`` is.
        path: SQLite file that holds the count; None keeps it in this object.

    Raises:
        OSError, sqlite3.Error: the file cannot be used.
    """

    def __init__(
        self,
        requests_per_minute: int,
        clock: Callable[[], float] = time.monotonic,
        path: Path | None = None,
    ) -> None:
        self._clock = clock
        self._thread_lock = threading.Lock()
        self._file_lock: AbstractContextManager[object] | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file_lock = FileLock(f"{path}.lock")
        database = ":memory:" if path is None else str(path)
        with self._locked():
            self._buckets = {
                group: SQLiteBucket.init_from_file(
                    self._rates(group, requests_per_minute), group, database
                )
                for group in (HEX_API, HEX_API_30RPM, GENERAL)
            }
            for bucket in self._buckets.values():
                # What is lost in a power cut is at most a minute old.
                bucket.conn.execute("PRAGMA synchronous = OFF")
                # A restart of the machine sets its clock back to zero.
                later = (int(clock() * 1000),)
                bucket.conn.execute(f'DELETE FROM "{bucket.table}" WHERE item_timestamp > ?', later)
                bucket.conn.commit()
            self._holds = sqlite3.connect(database, check_same_thread=False)
            self._holds.execute(
                "CREATE TABLE IF NOT EXISTS holds (rate_group TEXT PRIMARY KEY, until REAL)"
            )
            self._holds.commit()
        connections = [self._holds, *(bucket.conn for bucket in self._buckets.values())]
        weakref.finalize(self, _close, connections)

    def allow(self, requests_per_minute: int) -> None:
        """Change the limit of this object; requests already sent still count."""
        with self._locked():
            for group, bucket in self._buckets.items():
                bucket.rates = self._rates(group, requests_per_minute)

    def take(self, group: str) -> float:
        """Take a slot for one request of this group, if one is free.

        Returns:
            0.0 when the slot is taken; otherwise the seconds after which to ask again.
        """
        with self._locked():
            now = self._clock()
            held = max(self._held(group, now), self._held(GENERAL, now))
            if held:
                return held
            item = RateItem(group, int(now * 1000))
            # When the general budget refuses, the slot of the group is spent for nothing. That
            # is rare and only slows us down; a slot kept through the wait could be used late,
            # which would put too many requests into one window.
            for bucket in {name: self._buckets[name] for name in (group, GENERAL)}.values():
                bucket.leak(item.timestamp)
                if not bucket.put(item):
                    milliseconds = bucket.waiting(item)
                    assert isinstance(milliseconds, int)  # awaitable only for async buckets
                    return max(1, milliseconds) / 1000
            return 0.0

    def hold(self, group: str, seconds: float) -> None:
        """Give out no slot of this group for so long, because Hex says that none is left.

        Args:
            group: ``GENERAL`` holds all groups.
        """
        with self._locked():
            now = self._clock()
            until = now + min(max(seconds, self._held(group, now)), _LONGEST_HOLD_SECONDS)
            self._holds.execute("INSERT OR REPLACE INTO holds VALUES (?, ?)", (group, until))
            self._holds.commit()

    def left(self, group: str) -> int:
        """Slots of this group that are free now."""
        with self._locked():
            now = self._clock()
            if self._held(group, now) or self._held(GENERAL, now):
                return 0
            free = []
            for name in (group, GENERAL):
                bucket = self._buckets[name]
                bucket.leak(int(now * 1000))
                free.append(bucket.rates[0].limit - bucket.count())
            return max(0, min(free))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._thread_lock:
            if self._file_lock is None:
                yield
            else:
                with self._file_lock:
                    yield

    def _held(self, group: str, now: float) -> float:
        found = self._holds.execute(
            "SELECT until FROM holds WHERE rate_group = ?", (group,)
        ).fetchone()
        left = found[0] - now if found else 0.0
        # More than the longest hold was left by a clock that has restarted since.
        return left if 0 < left <= _LONGEST_HOLD_SECONDS else 0.0

    @staticmethod
    def _rates(group: str, requests_per_minute: int) -> list[Rate]:
        share = _ALL_GROUPS if group == GENERAL else 1
        return [Rate(share * requests_per_minute, _WINDOW_MILLISECONDS)]


def _close(connections: Iterable[sqlite3.Connection]) -> None:
    for connection in connections:
        connection.close()


def default_folder() -> Path:
    """Where the budgets of this machine's user are kept unless a setting says otherwise."""
    return Path(tempfile.gettempdir()) / f"{_SHARE_OF_TEMPORARY}-{getpass.getuser()}"


_shared: dict[tuple[str, Path], RequestBudget] = {}
_shared_lock = threading.Lock()


def shared_budget(
    api_base: str, token: str, requests_per_minute: int, folder: Path | None = None
) -> RequestBudget:
    """The budget of this token on this machine; the latest limit asked for is in force here.

    The token is kept as a hash only.

    Args:
        folder: where the count is kept; ``default_folder`` when None.

    Raises:
        RecipeError: the folder cannot be written to.
    """
    key = hashlib.sha256(f"{api_base}\n{token}".encode()).hexdigest()
    place = (folder or default_folder()).absolute()
    with _shared_lock:
        budget = _shared.get((key, place))
        if budget is None:
            try:
                budget = RequestBudget(requests_per_minute, path=place / f"{key}.sqlite")
            except (OSError, sqlite3.Error) as error:
                raise RecipeError(
                    f"The requests sent to Hex cannot be counted in {place}: {error}. Set "
                    "HEX_ASSETS_RATE_LIMITS to a folder on a local disk that can be written to."
                ) from error
            _shared[key, place] = budget
    budget.allow(requests_per_minute)
    return budget
