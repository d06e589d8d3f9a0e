"""Sending what a plan says, in the order of dependencies and several requests at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from hex_assets.errors import (
    ConnectionFailed,
    HexAssetsError,
    IncompleteRead,
    NotFound,
    RateLimited,
    RecipeError,
    RequestRejected,
    ServerFailed,
    TokenRejected,
)
from hex_assets.openmetadata import fqn
from hex_assets.openmetadata.changes import (
    AddColumns,
    AddProperty,
    Change,
    Correction,
    CreateService,
    DeleteChart,
    DeleteDashboard,
    DeleteEdge,
    Key,
    Put,
    PutChart,
    PutClassification,
    PutDashboard,
    PutEdge,
    PutTag,
    Request,
    SetUsage,
)
from hex_assets.openmetadata.client import Collection, OpenMetadataClient
from hex_assets.openmetadata.models import Chart, Dashboard, LineageDetails
from hex_assets.openmetadata.publications import correction_patch, links

Entity = TypeVar("Entity", Dashboard, Chart)

Progress = Callable[[int, int], None]
"""Called with the number of requests done and the number of all."""

_ORDER: tuple[tuple[type[Request], ...], ...] = (
    (CreateService,),
    (PutClassification,),
    (PutTag,),
    (AddProperty,),
    (PutChart,),
    (PutDashboard,),
    (PutEdge, AddColumns, DeleteEdge),
    (DeleteChart,),
    (DeleteDashboard,),
    (SetUsage,),
)

_BULK_ROWS = 100
"""As OpenMetadata's own sink: larger bodies are not known to be served well."""

_CONCERNS_EVERYTHING = (TokenRejected, ConnectionFailed, RateLimited, RecipeError)
"""After one of these every other request would fail too; RecipeError: the token's file is gone."""

_FAILURES_IN_A_ROW = 10
"""So many 5xx without a success between them mean that the server is down, not one entity bad."""

_BAD_REQUEST, _NO_SUCH_METHOD = 400, 405


@dataclass(frozen=True)
class Applied:
    """What came of the changes.

    Attributes:
        outcomes: per change ``done`` (``done: <note>``), ``failed: <error>``, ``skipped: <why>``
            or ``unchanged``.
        errors: of the requests that failed.
        stopped_by: the error after which nothing more was sent; None if all was tried.
        dashboard_ids: ids of the dashboards that were written, by fully qualified name, as far
            as they had to be known.
    """

    outcomes: Mapping[Key, str]
    errors: tuple[HexAssetsError, ...]
    stopped_by: HexAssetsError | None
    dashboard_ids: Mapping[str, str]


@dataclass(frozen=True)
class _Sent:
    """What came of one request: the id of a dashboard that it wrote, and what to tell."""

    dashboard_id: str | None = None
    outcome: str = "done"


def apply_plan(
    client: OpenMetadataClient,
    changes: Sequence[Change],
    *,
    concurrency: int = 4,
    progress: Progress = lambda done, total: None,
) -> Applied:
    """Send the changes; what depends on a failed one is skipped, the rest goes on.

    A rejected token, a server that does not answer (any more) and a rate limit that does not
    end stop it all.
    """
    with ThreadPoolExecutor(max_workers=concurrency, thread_name_prefix="publish") as pool:
        return _Application(client, changes, pool, progress).run()


class _Application:
    def __init__(
        self,
        client: OpenMetadataClient,
        changes: Sequence[Change],
        pool: ThreadPoolExecutor,
        progress: Progress,
    ) -> None:
        self._client = client
        self._changes = changes
        self._pool = pool
        self._progress = progress
        self._outcomes: dict[Key, str] = {}
        self._errors: list[HexAssetsError] = []
        self._failed: set[Key] = set()
        self._dashboard_ids: dict[str, str] = {}
        self._failures_in_a_row = 0
        self._stopped_by: HexAssetsError | None = None
        self._total = sum(change.request is not None for change in changes)

    def run(self) -> Applied:
        sent = [change for change in self._changes if change.request is not None]
        self._progress(0, self._total)
        for kinds in _ORDER:
            changes = [change for change in sent if isinstance(change.request, kinds)]
            if kinds in ((PutChart,), (PutDashboard,)):
                changes = self._send_in_bulk(changes)
            if PutEdge in kinds:
                self._learn_ids(changes)
            self._send_all(changes)
        for change in self._changes:
            if change.request is None:
                self._outcomes[change.key] = "unchanged"
        return Applied(self._outcomes, tuple(self._errors), self._stopped_by, self._dashboard_ids)

    def _send_in_bulk(self, changes: Sequence[Change]) -> list[Change]:
        """Send by the hundred what can be; returns what is left to be sent one by one.

        That is all if the server has no bulk requests, and what one of them refused: alone it
        says why.
        """
        ready = [
            one for one in changes if _in_bulk(one) and not self._failed.intersection(one.needs)
        ]
        if len(ready) <= 1 or self._stopped_by is not None:
            return list(changes)
        chunks = [ready[at : at + _BULK_ROWS] for at in range(0, len(ready), _BULK_ROWS)]
        futures = [self._pool.submit(self._bulk, chunk) for chunk in chunks]
        written: set[Key] = set()
        for chunk, future in zip(chunks, futures, strict=True):
            try:
                names = future.result()
            except HexAssetsError:
                continue  # each of them is sent alone, and meets the error again if it lasts
            for change in chunk:
                if change.fqn in names:
                    written.add(change.key)
                    self._settle(change, "done")
        return [change for change in changes if change.key not in written]

    def _bulk(self, changes: Sequence[Change]) -> set[str]:
        """Fully qualified names of what was written."""
        puts = [change.request for change in changes if isinstance(change.request, Put)]
        collection = _collection(puts[0])
        result = self._client.put_in_bulk(collection, [put.body for put in puts])
        return set() if result is None else {row.request for row in result.success_request}

    def _learn_ids(self, changes: Sequence[Change]) -> None:
        """Ask for the ids of dashboards that were made in bulk, which does not tell them."""
        unknown = {
            change.request.dashboard_fqn
            for change in changes
            if isinstance(change.request, PutEdge)
            and change.request.dashboard_id is None
            and not self._failed.intersection(change.needs)
        } - self._dashboard_ids.keys()
        if not unknown or self._stopped_by is not None:
            return
        service = fqn.quote(fqn.split(next(iter(unknown)))[0])
        try:
            ids = self._client.dashboard_ids(service)
        except HexAssetsError as error:
            self._errors.append(error)
            return
        self._dashboard_ids.update({name: ids[name] for name in unknown if name in ids})

    def _send_all(self, changes: Sequence[Change]) -> None:
        """Send changes that do not depend on each other."""
        futures: dict[Future[_Sent], Change] = {}
        for change in changes:
            missing = next((need for need in change.needs if need in self._failed), None)
            if self._stopped_by is not None:
                self._settle(change, f"skipped: not sent after {self._stopped_by}")
            elif missing is not None:
                self._settle(change, f"skipped: needs {missing[0]} {missing[1]}, which failed")
            elif change.request is not None:
                futures[self._pool.submit(self._send, change.request)] = change
        try:
            for future in as_completed(futures):
                self._take(future, futures)
        finally:
            for future in futures:
                future.cancel()

    def _take(self, future: Future[_Sent], futures: Mapping[Future[_Sent], Change]) -> None:
        change = futures[future]
        if future.cancelled():
            self._settle(change, f"skipped: not sent after {self._stopped_by}")
            return
        try:
            sent = future.result()
        except HexAssetsError as error:
            self._errors.append(error)
            self._settle(change, f"failed: {error}")
            self._failures_in_a_row += isinstance(error, ServerFailed)
            down = self._failures_in_a_row >= _FAILURES_IN_A_ROW
            if self._stopped_by is None and (down or isinstance(error, _CONCERNS_EVERYTHING)):
                self._stopped_by = error
                for other in futures:
                    other.cancel()
            return
        self._failures_in_a_row = 0
        if sent.dashboard_id is not None:
            self._dashboard_ids[change.fqn] = sent.dashboard_id
        self._settle(change, sent.outcome)

    def _settle(self, change: Change, outcome: str) -> None:
        self._outcomes[change.key] = outcome
        if not outcome.startswith("done"):
            self._failed.add(change.key)
        self._progress(len(self._outcomes), self._total)

    def _send(self, request: Request) -> _Sent:
        if isinstance(request, CreateService):
            self._create_service(request)
        elif isinstance(request, PutClassification):
            self._client.put_classification(request.body)
        elif isinstance(request, PutTag):
            self._client.put_tag(request.body)
        elif isinstance(request, AddProperty):
            self._client.add_property(request.body, request.field_type)
        elif isinstance(request, PutChart):
            self._put_chart(request)
        elif isinstance(request, PutDashboard):
            return _Sent(self._put_dashboard(request).id)
        elif isinstance(request, PutEdge):
            return self._put_edge(request)
        elif isinstance(request, AddColumns):
            return self._add_columns(request)
        elif isinstance(request, SetUsage):
            self._client.set_usage(request.dashboard_fqn, request.date, request.count)
        else:
            with suppress(NotFound):  # it is gone, which is what was wanted
                self._delete(request)
        return _Sent()

    def _delete(self, request: DeleteEdge | DeleteChart | DeleteDashboard) -> None:
        if isinstance(request, DeleteEdge):
            self._client.delete_lineage(
                "table", request.table_id, "dashboard", request.dashboard_id
            )
        elif isinstance(request, DeleteChart):
            self._client.delete("charts", request.chart_id)
        else:
            self._client.delete("dashboards", request.dashboard_id)

    def _create_service(self, request: CreateService) -> None:
        for service_type in request.types:
            try:
                self._client.create_dashboard_service(
                    {"name": request.name, "serviceType": service_type}
                )
                return
            except RequestRejected as error:
                if error.status == 409:  # made meanwhile, perhaps by our own unanswered attempt
                    return
                if error.status != _BAD_REQUEST or service_type == request.types[-1]:
                    raise

    def _put_dashboard(self, request: PutDashboard) -> Dashboard:
        if request.correction is None:
            return self._client.put_dashboard(request.body)
        self._restored("dashboards", request.correction)
        now = self._corrected("dashboards", request.correction, self._client.dashboard)
        return self._client.put_dashboard({**request.body, **links(now, request.charts)})

    def _put_chart(self, request: PutChart) -> None:
        if request.correction is not None:
            self._restored("charts", request.correction)
            self._corrected("charts", request.correction, self._client.chart)
        self._client.put_chart(request.body)

    def _restored(self, collection: Collection, correction: Correction) -> None:
        if correction.deleted:
            with suppress(NotFound):  # somebody restored it, perhaps our own unanswered attempt
                self._client.restore(collection, correction.entity_id)

    def _corrected(
        self, collection: Collection, correction: Correction, read: Callable[[str], Entity]
    ) -> Entity:
        """Patch it against what it is now, and once more if that has changed since.

        It has when a person is editing, and when our own patch was applied but not answered.
        """
        now = read(correction.entity_fqn)
        operations = correction_patch(correction, now)
        if not operations:
            return now
        try:
            self._client.patch(collection, correction.entity_id, operations)
        except (RequestRejected, ServerFailed):
            now = read(correction.entity_fqn)
            again = correction_patch(correction, now)
            if again == operations:
                raise
            if again:
                self._client.patch(collection, correction.entity_id, again)
        return now

    def _put_edge(self, request: PutEdge) -> _Sent:
        dashboard_id = request.dashboard_id or self._dashboard_ids.get(request.dashboard_fqn)
        if dashboard_id is None:
            raise IncompleteRead(
                f"OpenMetadata did not tell the id of {request.dashboard_fqn}. Run again."
            )
        edge = {
            "fromEntity": {"id": request.table_id, "type": "table"},
            "toEntity": {"id": dashboard_id, "type": "dashboard"},
        }
        details = _details(request.details)
        try:
            self._client.put_lineage({**edge, "lineageDetails": details})
        except RequestRejected as error:
            if error.status != _BAD_REQUEST or not request.details.columns_lineage:
                raise
            # Servers before 2.0 refuse the whole edge for one column they do not know (any more).
            self._client.put_lineage({**edge, "lineageDetails": {**details, "columnsLineage": []}})
            return _Sent(outcome=f"done: without columns, which were refused ({error.detail})")
        return _Sent()

    def _add_columns(self, request: AddColumns) -> _Sent:
        mappings = _details(request.details)["columnsLineage"]
        operation = {"op": "add", "path": "/columnsLineage", "value": mappings}
        try:
            self._client.patch_lineage(request.table_id, request.dashboard_id, [operation])
        except NotFound:
            return _Sent(outcome="skipped: the edge is gone, or this server cannot add columns")
        except RequestRejected as error:
            if error.status not in (_BAD_REQUEST, _NO_SUCH_METHOD):
                raise
            return _Sent(outcome=f"skipped: this server does not add columns ({error.detail})")
        return _Sent()


def _in_bulk(change: Change) -> bool:
    return isinstance(change.request, Put) and change.request.in_bulk


def _collection(put: Put) -> Collection:
    return "dashboards" if isinstance(put, PutDashboard) else "charts"


def _details(details: LineageDetails) -> dict[str, Any]:
    body: dict[str, Any] = details.model_dump(
        by_alias=True, exclude_none=True, exclude={"pipeline"}
    )
    if details.pipeline is not None:
        body["pipeline"] = {"id": details.pipeline.id, "type": details.pipeline.type}
    return body
