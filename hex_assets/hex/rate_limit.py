"""How fast one Hex token may be used.

Hex counts requests per user in fixed windows of 60 s that start with the first request (Hex docs,
"API overview"). At most N requests in *any* 60 s therefore stay under a limit of N wherever
Hex's windows begin.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable

from pyrate_limiter import Duration, InMemoryBucket, Rate, RateItem

HEX_API = "hex-api"
"""Rate group of ListDataConnections (OpenAPI document of Hex)."""

HEX_API_30RPM = "hex-api-30rpm"
"""Rate group of ListCells and Me."""

GENERAL = ""
"""Requests of every group, and those for which Hex states none, such as ListProjects."""

_ALL_GROUPS = 2
"""Hex allows a user 60 requests per minute over all endpoints, twice what it allows a group."""


class RequestBudget:
    """The requests one token may still send in the current minute; threads may share it.

    Each group gets ``requests_per_minute``, all groups together twice as many.

    Args:
        clock: seconds that never go back.
    """

    def __init__(
        self, requests_per_minute: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._requests_per_minute = requests_per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, InMemoryBucket] = {}

    def allow(self, requests_per_minute: int) -> None:
        """Change the limit; requests already sent still count."""
        with self._lock:
            self._requests_per_minute = requests_per_minute
            for group, bucket in self._buckets.items():
                bucket.rates = self._rates(group)

    def take(self, group: str) -> float:
        """Take a slot for one request of this group, if one is free.

        Returns:
            0.0 when the slot is taken; otherwise the seconds after which to ask again.
        """
        with self._lock:
            item = RateItem(group, int(self._clock() * 1000))
            # When the general budget refuses, the slot of the group is spent for nothing. That
            # is rare and only slows us down; a slot kept through the wait could be used late,
            # which would put too many requests into one window.
            for bucket in {name: self._bucket(name) for name in (group, GENERAL)}.values():
                bucket.leak(item.timestamp)
                if not bucket.put(item):
                    milliseconds = bucket.waiting(item)
                    assert isinstance(milliseconds, int)  # awaitable only for async buckets
                    return milliseconds / 1000
            return 0.0

    def _bucket(self, group: str) -> InMemoryBucket:
        if group not in self._buckets:
            self._buckets[group] = InMemoryBucket(self._rates(group))
        return self._buckets[group]

    def _rates(self, group: str) -> list[Rate]:
        share = _ALL_GROUPS if group == GENERAL else 1
        return [Rate(share * self._requests_per_minute, Duration.MINUTE)]


_shared: dict[str, RequestBudget] = {}
_shared_lock = threading.Lock()


def shared_budget(api_base: str, token: str, requests_per_minute: int) -> RequestBudget:
    """The budget of this token in this process; the latest limit asked for is in force.

    The token is kept as a hash only.
    """
    key = hashlib.sha256(f"{api_base}\n{token}".encode()).hexdigest()
    with _shared_lock:
        budget = _shared.get(key)
        if budget is None:
            budget = _shared[key] = RequestBudget(requests_per_minute)
    budget.allow(requests_per_minute)
    return budget
