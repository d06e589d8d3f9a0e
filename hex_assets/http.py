"""JSON over HTTP with typed errors and patient retries, for the Hex and OpenMetadata clients."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_exponential, wait_random

from hex_assets.errors import (
    ConnectionFailed,
    HexAssetsError,
    NotFound,
    PermissionMissing,
    PlanMissing,
    RateLimited,
    RequestError,
    RequestRejected,
    ServerFailed,
    TokenRejected,
    UnreadableAnswer,
)

_HEADER_TEXT = re.compile(r"[!-~]+")
"""Visible ASCII. httpx would quote a token with anything else in its error text."""

_PLAN_WORDS = re.compile(r"\b(plan|enterprise)\b", re.IGNORECASE)

_RESET_HEADERS = ("ratelimit-reset", "x-ratelimit-reset")
_REMAINING_HEADERS = ("ratelimit-remaining", "x-ratelimit-remaining")
_EPOCH_FLOOR = 1_000_000_000
"""A reset header above this is an epoch in seconds, below it a delta (hex-api.md section 2)."""

_UNSTATED_RATE_LIMIT_WAIT = 60.0
"""Hex resets its fixed window after 60 s; used when a 429 does not say how long to wait."""


@dataclass(frozen=True)
class Retry:
    """How often and how long to try again.

    Attributes:
        attempts: requests made at most, the first included.
        backoff_seconds: first wait; doubles with each attempt, with jitter.
        longest_wait_seconds: no single wait is longer; a server that asks for more is given up on.
    """

    attempts: int = 5
    backoff_seconds: float = 1.0
    longest_wait_seconds: float = 120.0


class JsonApi:
    """One JSON API behind a bearer token.

    Every call this package makes may safely be repeated, so all of them are retried on
    connection errors, 429 and 5xx. ``acquire`` is called with the rate group before each attempt,
    ``observe`` with the group and every answer, refusals included.
    """

    def __init__(
        self,
        system: str,
        base_url: str,
        *,
        bearer: Callable[[], str],
        retry: Retry,
        hints: Mapping[type[RequestError], str],
        acquire: Callable[[str], None] = lambda group: None,
        observe: Callable[[str, httpx.Response], None] = lambda group, response: None,
        headers: Mapping[str, str] | None = None,
        verify: Any = True,
        timeout: httpx.Timeout | None = None,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._system = system
        self._bearer = bearer
        self._retry = retry
        self._hints = hints
        self._acquire = acquire
        self._observe = observe
        self._sleep = sleep
        self._client = httpx.Client(
            base_url=base_url,
            headers=dict(headers or {}),
            timeout=timeout or httpx.Timeout(60.0, connect=10.0),
            verify=verify,
            transport=transport,
        )
        self.requests_sent = 0

    def close(self) -> None:
        self._client.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        group: str = "",
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        content_type: str | None = None,
        during: str = "",
    ) -> Any:
        """Send one request, retrying while the failure is transient, and return the decoded JSON.

        Args:
            path: below the base URL, already percent-encoded.
            group: rate group handed to ``acquire``.
            during: what this request is part of, for the error message.

        Returns:
            The decoded body; None for an empty one.

        Raises:
            RequestError: the subclass tells what went wrong (see ``hex_assets.errors``).
        """
        retrying = Retrying(
            stop=stop_after_attempt(self._retry.attempts),
            wait=self._wait,
            retry=retry_if_exception(self._worth_retrying),
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(self._send_once, method, path, group, params, json, content_type, during)

    def _worth_retrying(self, error: BaseException) -> bool:
        if not isinstance(error, HexAssetsError) or not error.transient:
            return False
        asked = error.retry_after if isinstance(error, RequestError) else None
        return asked is None or asked <= self._retry.longest_wait_seconds

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, RequestError) and error.retry_after is not None:
            return error.retry_after
        first = self._retry.backoff_seconds
        longest = self._retry.longest_wait_seconds
        backoff = wait_exponential(multiplier=first, max=longest) + wait_random(0, first / 2)
        return backoff(state)

    def _send_once(
        self,
        method: str,
        path: str,
        group: str,
        params: Mapping[str, Any] | None,
        json: Any,
        content_type: str | None,
        during: str,
    ) -> Any:
        self._acquire(group)
        request = f"{method} {path}"
        token = self._bearer().strip()
        if not _HEADER_TEXT.fullmatch(token):
            raise TokenRejected(
                self._system,
                request,
                None,
                "the token is empty or holds a character that no token has; nothing was sent",
                hint=self._hint(TokenRejected),
                during=during,
            )
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        if content_type:
            headers["Content-Type"] = content_type
        self.requests_sent += 1
        try:
            response = self._client.request(method, path, params=params, json=json, headers=headers)
        except httpx.HTTPError as error:
            raise ConnectionFailed(
                self._system,
                request,
                None,
                f"{type(error).__name__}: {error}"[:500],
                hint=self._hint(ConnectionFailed),
                during=during,
            ) from error
        self._observe(group, response)
        if response.is_success:
            return self._decode(response, request, during)
        raise self._error(response, request, during)

    def _decode(self, response: httpx.Response, request: str, during: str) -> Any:
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError as error:
            kind = response.headers.get("content-type", "no content type")
            raise self.unreadable(
                request, response.status_code, f"the body is not JSON ({kind})", during
            ) from error

    def unreadable(
        self, request: str, status: int | None, detail: str, during: str = ""
    ) -> UnreadableAnswer:
        """The error for a 2xx answer that lacks what the API documents."""
        hint = self._hint(UnreadableAnswer)
        return UnreadableAnswer(self._system, request, status, detail, hint=hint, during=during)

    def _error(self, response: httpx.Response, request: str, during: str) -> RequestError:
        detail, trace_id = _server_words(response)
        kind = _kind_of(response.status_code, detail)
        waits = kind in (RateLimited, ServerFailed)
        return kind(
            self._system,
            request,
            response.status_code,
            detail,
            trace_id or response.headers.get("x-trace-id"),
            self._hint(kind),
            during,
            asked_to_wait(response) if waits else None,
        )

    def _hint(self, kind: type[RequestError]) -> str:
        return next((self._hints[base] for base in kind.__mro__ if base in self._hints), "")


def _kind_of(status: int, detail: str) -> type[RequestError]:
    if status == 403 and _PLAN_WORDS.search(detail):
        return PlanMissing
    known = {401: TokenRejected, 403: PermissionMissing, 404: NotFound, 429: RateLimited}
    if status in known:
        return known[status]
    if status >= 500:
        return ServerFailed
    return UnreadableAnswer if status < 400 else RequestRejected


def _server_words(response: httpx.Response) -> tuple[str, str | None]:
    """The server's explanation and trace id, from any of the known error shapes.

    Hex has ``{code, message, issues}``, ``{reason, details, traceId}`` and bare text;
    OpenMetadata has ``{code, message}``; proxies send HTML, of which nothing is quoted.
    """
    try:
        body = response.json()
    except ValueError:
        text = response.text.strip()
        is_page = "<" in text[:100]
        return ("an HTML page" if is_page else text[:500]), None
    if not isinstance(body, dict):
        return "", None
    words = [str(body[key]) for key in ("message", "reason", "details") if body.get(key)]
    issues = body.get("issues")
    if isinstance(issues, list):
        words += [str(i["message"]) for i in issues if isinstance(i, dict) and i.get("message")]
    trace_id = body.get("traceId")
    return "; ".join(words)[:500], str(trace_id) if trace_id else None


def asked_to_wait(response: httpx.Response) -> float | None:
    """Seconds the server asks to wait, from any spelling seen in the wild.

    ``Retry-After`` holds seconds or an HTTP date; the reset headers a delta or an epoch. None
    when the answer says nothing; a 429 that says nothing means a whole window.
    """
    retry_after = response.headers.get("retry-after")
    if retry_after:
        seconds = _number(retry_after)
        if seconds is not None:
            return max(0.0, seconds)
        moment = _http_date(retry_after)
        if moment is not None:
            return max(0.0, moment - _server_time(response))
    for name in _RESET_HEADERS:
        seconds = _number(response.headers.get(name, ""))
        if seconds is not None:
            since = _server_time(response) if seconds > _EPOCH_FLOOR else 0.0
            return max(0.0, seconds - since)
    return _UNSTATED_RATE_LIMIT_WAIT if response.status_code == 429 else None


def no_requests_left(response: httpx.Response) -> bool:
    """Whether the server says that this was the last request of its window."""
    left = [_number(response.headers.get(name, "")) for name in _REMAINING_HEADERS]
    return any(number is not None and number <= 0 for number in left)


def _server_time(response: httpx.Response) -> float:
    """Epoch seconds by the server's clock, which may differ from ours."""
    stated = _http_date(response.headers.get("date", ""))
    return time.time() if stated is None else stated


def _http_date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
