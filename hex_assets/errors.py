"""Every error this package raises on purpose.

    HexAssetsError
    ├── RecipeError                 the YAML is missing, malformed or contradicts itself
    ├── RequestError                one HTTP request to Hex or OpenMetadata failed
    │   ├── ConnectionFailed        no answer: refused, reset, timed out, TLS        (transient)
    │   ├── TokenRejected           401
    │   ├── PermissionMissing       403: the token lacks a scope or a policy
    │   │   └── PlanMissing         403: the workspace's plan lacks the feature
    │   ├── NotFound                404
    │   ├── RequestRejected         every other 4xx
    │   ├── RateLimited             429                                              (transient)
    │   ├── ServerFailed            5xx                                              (transient)
    │   └── UnreadableAnswer        2xx whose body is not what the API documents
    ├── IncompleteRead              a listing stopped before its end
    ├── WarehouseError              a query history could not be read
    │   └── MissingExtra            the client library of that warehouse is not installed
    ├── ParserProcessError          a process that parses SQL could not be started
    ├── FrameError                  a stored or produced frame has the wrong columns
    ├── NothingStored               there are no frames to answer from
    ├── NameNotFound                no table, column or project has the name that was asked for
    ├── NameAmbiguous               several have it
    ├── ChangeUnreadable            a diff, manifest or list is not what it should be
    └── PublishError                entities were left unpublished

An error carries its facts as attributes and builds its text from them; the text ends with what
to do next. ``transient`` says whether trying again later can help. Errors pickle, because they
cross process boundaries. No error text holds a token, a password or a SQL literal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from hex_assets.frames import Frame


class HexAssetsError(Exception):
    """Base of all errors raised on purpose; catch it to tell our failures from bugs."""

    transient: ClassVar[bool] = False


class RecipeError(HexAssetsError):
    """The recipe cannot be used as it stands."""


class RequestError(HexAssetsError):
    """One HTTP request failed.

    Attributes:
        system: ``Hex`` or ``OpenMetadata``.
        request: method and path, for example ``GET /v1/projects``; never the query string.
        status: HTTP status, or None when no answer came.
        detail: the server's own words, cut to 500 characters.
        trace_id: what the vendor's support asks for, if the answer had one.
        hint: what to do next.
        during: what was being done, for example ``listing projects, page 2``.
    """

    def __init__(
        self,
        system: str,
        request: str,
        status: int | None = None,
        detail: str = "",
        trace_id: str | None = None,
        hint: str = "",
        during: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(system, request, status, detail, trace_id, hint, during, retry_after)
        self.system = system
        self.request = request
        self.status = status
        self.detail = detail
        self.trace_id = trace_id
        self.hint = hint
        self.during = during
        self.retry_after = retry_after

    def __str__(self) -> str:
        answered = "no answer" if self.status is None else f"HTTP {self.status}"
        text = f"{self.system} {self.request}: {answered}"
        if self.during:
            text += f" while {self.during}"
        if self.detail:
            text += f": {self.detail}"
        if self.trace_id:
            text += f" (trace id {self.trace_id})"
        return f"{text}. {self.hint}" if self.hint else text


class ConnectionFailed(RequestError):
    """No answer came: name not resolved, connection refused or reset, time-out, TLS."""

    transient = True


class TokenRejected(RequestError):
    """401: the token is wrong, expired or revoked."""


class PermissionMissing(RequestError):
    """403: the token is valid but may not do this."""


class PlanMissing(PermissionMissing):
    """403 because the workspace's plan does not include the feature."""


class NotFound(RequestError):
    """404: it does not exist, or the token may not see it."""


class RequestRejected(RequestError):
    """The server refused the request as malformed or in conflict with its state."""


class RateLimited(RequestError):
    """429 even after waiting as long as the server asked for."""

    transient = True


class ServerFailed(RequestError):
    """5xx after all retries."""

    transient = True


class UnreadableAnswer(RequestError):
    """The answer was 2xx, yet not the JSON that the API documents (often a wrong host)."""


class IncompleteRead(HexAssetsError):
    """A listing stopped before its end, so what was read must not be taken for the whole."""


class WarehouseError(HexAssetsError):
    """The query history of one database service could not be read.

    Attributes:
        service: OpenMetadata name of the database service.
        problem: what went wrong, without secrets or SQL literals.
        hint: the grant or setting that mends it.
    """

    def __init__(self, service: str, problem: str, hint: str = "", transient: bool = False) -> None:
        super().__init__(service, problem, hint, transient)
        self.service = service
        self.problem = problem
        self.hint = hint
        self.transient = transient  # type: ignore[misc]

    def __str__(self) -> str:
        return f"{self.service}: {self.problem}. {self.hint}".rstrip(" .") + "."


class MissingExtra(WarehouseError):
    """The warehouse's client library is an optional extra that is not installed."""

    def __init__(self, service: str, extra: str) -> None:
        super().__init__(
            service,
            "its client library is not installed",
            f"Install it with: pip install 'hex-assets[{extra}]'",
        )
        self.args = (service, extra)
        self.extra = extra


class ParserProcessError(HexAssetsError):
    """Processes that parse SQL cannot be started."""


class FrameError(HexAssetsError):
    """A frame does not have the columns and types its schema demands."""


class PublishError(HexAssetsError):
    """Some entities could not be published; the first ten are named.

    Attributes:
        frame: ``openmetadata_entities`` with the outcome of every entity.
    """

    def __init__(self, message: str, frame: Frame, transient: bool = False) -> None:
        super().__init__(message, frame, transient)
        self.message = message
        self.frame = frame
        self.transient = transient  # type: ignore[misc]

    def __str__(self) -> str:
        return self.message


class NothingStored(HexAssetsError):
    """No lineage is stored.

    Attributes:
        root: where it was looked for.
        workspace: the one that was asked for; None for any.
        known: workspaces that have lineage there.
    """

    def __init__(self, root: str, workspace: str | None, known: tuple[str, ...] = ()) -> None:
        super().__init__(root, workspace, known)
        self.root = root
        self.workspace = workspace
        self.known = known

    def __str__(self) -> str:
        if self.known:
            return (
                f"No lineage of workspace {self.workspace} is stored in {self.root}. "
                f"There is some of {', '.join(self.known)}."
            )
        return (
            f"No lineage is stored in {self.root}. Run `hex-assets ingest -c recipe.yaml` first, "
            "or name the storage in HEX_ASSETS_STORAGE."
        )


class NameNotFound(HexAssetsError):
    """Nothing has that name.

    Attributes:
        name: what was asked for.
        kind: table, column or project.
        alike: names that come near it.
        unread: schemas in which it can be, and whose tables are not known here.
    """

    def __init__(self, name: str, kind: str, alike: tuple[str, ...] = (), unread: int = 0) -> None:
        super().__init__(name, kind, alike, unread)
        self.name = name
        self.kind = kind
        self.alike = alike
        self.unread = unread

    def __str__(self) -> str:
        hint = f" Did you mean {' or '.join(self.alike)}?" if self.alike else ""
        if self.unread:
            hint += f" Nothing names a table of {self.unread} schemas; give the schema, too."
        return f"No {self.kind} known here is called {self.name}.{hint}"


class NameAmbiguous(HexAssetsError):
    """Several things have that name.

    Attributes:
        name: what was asked for.
        candidates: fully qualified names, or ids with titles, that it fits.
    """

    def __init__(self, name: str, candidates: tuple[str, ...]) -> None:
        super().__init__(name, candidates)
        self.name = name
        self.candidates = candidates

    def __str__(self) -> str:
        shown = "".join(f"\n- {candidate}" for candidate in self.candidates[:20])
        more = len(self.candidates) - 20
        return f"{self.name} fits several; write more of the name:{shown}" + (
            f"\n- and {more} more" if more > 0 else ""
        )


class ChangeUnreadable(HexAssetsError):
    """A description of a change cannot be used.

    Attributes:
        source: the file, or the place in it.
        problem: what is wrong with it.
    """

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(source, problem)
        self.source = source
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.source} {self.problem}."


class PlanOutdated(HexAssetsError):
    """The world moved since a plan was made, so it is not applied."""

    def __str__(self) -> str:
        return (
            "What would be done now is not what was reviewed: OpenMetadata, the frames or the "
            "recipe changed since. Nothing was sent. Make and review a new plan."
        )
