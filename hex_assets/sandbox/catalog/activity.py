"""What happens to entities: how often they are used, and the runs of ingestion pipelines."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import uuid4

from hex_assets.sandbox.catalog.answers import reference
from hex_assets.sandbox.catalog.requests import (
    CreateIngestionPipelineRequest,
    DailyCount,
    PipelineStatus,
    parse,
)
from hex_assets.sandbox.catalog.rules import Json, Refused, join_fqn, not_found
from hex_assets.sandbox.catalog.store import Key, Rows, Store

_USED = ("table", "pipeline", "dashboard", "chart", "mlmodel")
_WEEK, _MONTH = 7, 30
_STATUSES_SHOWN = 5


class Usage:
    """Counts per entity and day."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def report(self, entity_type: str, key: Key, body: Any, *, add: bool) -> Json:
        """Set the count of a day, or add to it."""
        told = parse(DailyCount, body)
        with self._store.write() as rows:
            entity = rows.existing(_used(entity_type), key, "non-deleted")
            day = told.date.isoformat()
            before = rows.usage(entity.id).get(day, 0) if add else 0
            rows.save_usage(entity.id, day, before + told.count)
            return {"eventType": "entityUpdated", "entityType": entity_type, "entityId": entity.id}

    def read(self, entity_type: str, key: Key, last: date, days: int) -> Json:
        """Counts of the last days, with those of the week and month up to each."""
        with self._store.read() as rows:
            entity = rows.existing(_used(entity_type), key, "all")
            counts = rows.usage(entity.id)
        return {
            "entity": reference(entity),
            "usage": [_day(counts, last - timedelta(days=back)) for back in range(max(days, 1))],
        }


def _used(entity_type: str) -> str:
    if entity_type not in _USED:
        raise Refused(400, f"Usage is not supported for {entity_type}")
    return entity_type


def _day(counts: dict[str, int], day: date) -> Json:
    def total(days: int) -> Json:
        dates = [(day - timedelta(days=back)).isoformat() for back in range(days)]
        return {"count": sum(counts.get(one, 0) for one in dates)}

    return {
        "date": day.isoformat(),
        "dailyStats": total(1),
        "weeklyStats": total(_WEEK),
        "monthlyStats": total(_MONTH),
    }


class Pipelines:
    """Ingestion pipelines of services, and the status of their runs.

    Args:
        array_statuses: ``pipelineStatuses`` of a pipeline is a list of the last five, as in 2.0,
            else the latest.
    """

    def __init__(self, store: Store, array_statuses: bool) -> None:
        self._store = store
        self._array_statuses = array_statuses

    def put(self, body: Any) -> tuple[Json, bool]:
        """Create or replace; says whether it was created."""
        request = parse(CreateIngestionPipelineRequest, body)
        with self._store.write() as rows:
            service = rows.existing(
                request.service.type, Key("id", str(request.service.id)), "non-deleted"
            )
            fqn = join_fqn(service.fqn, request.name)
            stored = rows.pipeline(fqn)
            document = {
                **request.model_dump(mode="json", exclude_none=True),
                "id": stored["id"] if stored else str(uuid4()),
                "fullyQualifiedName": fqn,
                "service": reference(service),
            }
            rows.save_pipeline(fqn, document)
            return document, stored is None

    def get(self, fqn: str) -> Json:
        with self._store.read() as rows:
            pipeline = _pipeline(rows, fqn)
            statuses = rows.statuses(fqn)[-_STATUSES_SHOWN:]
        if not statuses:
            return pipeline
        shown = statuses[::-1] if self._array_statuses else statuses[-1]
        return {**pipeline, "pipelineStatuses": shown}

    def put_status(self, fqn: str, body: Any) -> Json:
        """Record the state of a run, by its id."""
        status = parse(PipelineStatus, body)
        with self._store.write() as rows:
            pipeline = _pipeline(rows, fqn)
            document = status.model_dump(mode="json", exclude_none=True)
            rows.save_status(fqn, str(status.runId), document)
            return {"eventType": "entityUpdated", "entityId": pipeline["id"]}

    def status(self, fqn: str, run_id: str) -> Json | None:
        """Of one run; None when it is unknown."""
        found = (one for one in self.statuses(fqn)["data"] if one["runId"] == run_id)
        return next(found, None)

    def statuses(self, fqn: str) -> Json:
        with self._store.read() as rows:
            _pipeline(rows, fqn)
            told = rows.statuses(fqn)
        return {"data": told[::-1], "paging": {"total": len(told)}}


def _pipeline(rows: Rows, fqn: str) -> Json:
    found = rows.pipeline(fqn)
    if found is None:
        raise not_found("ingestionPipeline", fqn)
    return found
