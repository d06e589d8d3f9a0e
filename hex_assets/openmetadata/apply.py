"""Sending what a plan says, in the order of dependencies and several requests at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hex_assets.errors import (
    ConnectionFailed,
    HexAssetsError,
    NotFound,
    RateLimited,
    RecipeError,
    RequestRejected,
    ServerFailed,
    TokenRejected,
)
from hex_assets.openmetadata.changes import (
    Change,
    Correction,
    CreateService,
    DeleteDashboard,
    Key,
    PutClassification,
    PutDashboard,
    PutEdge,
    PutTag,
    Request,
)
from hex_assets.openmetadata.client import OpenMetadataClient
from hex_assets.openmetadata.dashboards import correction_patch, links
from hex_assets.openmetadata.models import Dashboard, LineageDetails

Progress = Callable[[int, int], None]
"""Called with the number of requests done and the number of all."""

_ORDER = (CreateService, PutClassification, PutTag, PutDashboard, PutEdge, DeleteDashboard)

_CONCERNS_EVERYTHING = (TokenRejected, ConnectionFailed, RateLimited, RecipeError)
"""After one of these every other request would fail too; RecipeError: the token's file is gone."""

_FAILURES_IN_A_ROW = 10
"""So many 5xx without a success between them mean that the server is down, not one entity bad."""

_TABLE_TO_DASHBOARD = ("table", "dashboard")


@dataclass(frozen=True)
class Applied:
    """What came of the changes.

    Attributes:
        outcomes: per change ``done``, ``failed: <error>``, ``skipped: <why>`` or ``unchanged``.
        errors: of the requests that failed.
        stopped_by: the error after which nothing more was sent; None if all was tried.
    """

    outcomes: Mapping[Key, str]
    errors: tuple[HexAssetsError, ...]
    stopped_by: HexAssetsError | None


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
        for kind in _ORDER:
            self._send_all([change for change in sent if isinstance(change.request, kind)])
        for change in self._changes:
            if change.request is None:
                self._outcomes[change.key] = "unchanged"
        return Applied(self._outcomes, tuple(self._errors), self._stopped_by)

    def _send_all(self, changes: Sequence[Change]) -> None:
        """Send changes that do not depend on each other."""
        futures: dict[Future[str | None], Change] = {}
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

    def _take(
        self, future: Future[str | None], futures: Mapping[Future[str | None], Change]
    ) -> None:
        change = futures[future]
        if future.cancelled():
            self._settle(change, f"skipped: not sent after {self._stopped_by}")
            return
        try:
            dashboard_id = future.result()
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
        if dashboard_id is not None:
            self._dashboard_ids[change.fqn] = dashboard_id
        self._settle(change, "done")

    def _settle(self, change: Change, outcome: str) -> None:
        self._outcomes[change.key] = outcome
        if outcome != "done":
            self._failed.add(change.key)
        self._progress(len(self._outcomes), self._total)

    def _send(self, request: Request) -> str | None:
        """Send one request; returns the id of a dashboard that it wrote."""
        if isinstance(request, CreateService):
            self._create_service(request)
        elif isinstance(request, PutClassification):
            self._client.put_classification(request.body)
        elif isinstance(request, PutTag):
            self._client.put_tag(request.body)
        elif isinstance(request, PutDashboard):
            return self._put_dashboard(request).id
        elif isinstance(request, PutEdge):
            self._put_edge(request)
        else:
            with suppress(NotFound):  # it is gone, which is what was wanted
                self._client.delete_dashboard(request.dashboard_id)
        return None

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
                if error.status != 400 or service_type == request.types[-1]:
                    raise

    def _put_dashboard(self, request: PutDashboard) -> Dashboard:
        correction = request.correction
        if correction is None:
            return self._client.put_dashboard(request.body)
        if correction.deleted:
            with suppress(NotFound):  # somebody restored it, perhaps our own unanswered attempt
                self._client.restore_dashboard(correction.dashboard_id)
        return self._client.put_dashboard({**request.body, **links(self._corrected(correction))})

    def _corrected(self, correction: Correction) -> Dashboard:
        """Patch the dashboard against what it is now, and once more if that has changed since.

        It has when a person is editing, and when our own patch was applied but not answered.
        """
        now = self._client.dashboard(correction.dashboard_fqn)
        operations = correction_patch(correction, now)
        if not operations:
            return now
        try:
            self._client.patch_dashboard(correction.dashboard_id, operations)
        except (RequestRejected, ServerFailed):
            now = self._client.dashboard(correction.dashboard_fqn)
            again = correction_patch(correction, now)
            if again == operations:
                raise
            if again:
                self._client.patch_dashboard(correction.dashboard_id, again)
        return now

    def _put_edge(self, request: PutEdge) -> None:
        dashboard_id = request.dashboard_id or self._dashboard_ids[request.dashboard_fqn]
        from_type, to_type = _TABLE_TO_DASHBOARD
        self._client.put_lineage(
            {
                "fromEntity": {"id": request.table_id, "type": from_type},
                "toEntity": {"id": dashboard_id, "type": to_type},
                "lineageDetails": _details(request.details),
            }
        )


def _details(details: LineageDetails) -> dict[str, Any]:
    body: dict[str, Any] = details.model_dump(
        by_alias=True, exclude_none=True, exclude={"pipeline"}
    )
    if details.pipeline is not None:
        body["pipeline"] = {"id": details.pipeline.id, "type": details.pipeline.type}
    return body
