"""From a recipe to open connections, and a look at whether each of them works."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from http import HTTPStatus
from typing import Any, Literal, get_args

from pydantic import ValidationError

from hex_assets.data_connections import Mapped, Service, map_connections
from hex_assets.errors import (
    HexAssetsError,
    NotFound,
    PermissionMissing,
    RecipeError,
    RequestError,
    RequestRejected,
    ServerFailed,
    WarehouseError,
)
from hex_assets.hex.client import HexClient
from hex_assets.hex.models import RENEW_TOKEN_WITHIN_DAYS, DataConnection, Me
from hex_assets.http import Retry
from hex_assets.openmetadata import fqn
from hex_assets.openmetadata.client import OpenMetadataClient
from hex_assets.recipe import Recipe
from hex_assets.settings import LocationSettings
from hex_assets.warehouse.connection import WarehouseConnection
from hex_assets.warehouse.reader import HistoryReader
from hex_assets.warehouse.registry import service_types, warehouse_types

_ONE_MORE_TRY = Retry(attempts=2, backoff_seconds=0.5, longest_wait_seconds=60.0)
"""For checks, at which somebody is waiting."""

_WAREHOUSES = "workflowConfig.config.hexAssets.warehouses"
_OLDEST_OPENMETADATA = (1, 6)
_MASK = re.compile(r"\*+")


@dataclass(frozen=True)
class Check:
    """What a look at one connection found.

    Attributes:
        name: the connection, for example ``Hex`` or ``warehouse snowflake``.
        status: ``warning`` when runs work but lack something.
        found: one line, without secrets.
        advice: what to do; empty when all is well.
    """

    name: str
    status: Literal["ok", "warning", "failed"]
    found: str
    advice: str = ""


def open_hex(recipe: Recipe, retry: Retry | None = None) -> HexClient:
    """A client of the recipe's Hex workspace, to be closed by the caller.

    Args:
        retry: by default as the recipe says.

    Raises:
        RecipeError: host or token cannot be used.
    """
    return HexClient(
        recipe.hex.host_port,
        recipe.hex.token,
        requests_per_minute=recipe.hex_assets.requests_per_minute,
        retry=retry or _retry(recipe),
        rate_limits=LocationSettings.from_environment().rate_limits,
    )


def open_openmetadata(recipe: Recipe, retry: Retry | None = None) -> OpenMetadataClient:
    """A client of the recipe's OpenMetadata, to be closed by the caller.

    Args:
        retry: by default as the recipe says.

    Raises:
        RecipeError: a certificate cannot be used.
    """
    connection = recipe.openmetadata
    return OpenMetadataClient(
        connection.host_port,
        connection.jwt_token,
        retry=retry or _retry(recipe),
        verify=connection.verify(),
        extra_headers={
            name: value.get_secret_value() for name, value in connection.extra_headers.items()
        },
    )


def _retry(recipe: Recipe) -> Retry:
    settings = recipe.hex_assets.retry
    return Retry(settings.attempts, settings.backoff_seconds, settings.longest_wait_seconds)


def map_data_connections(recipe: Recipe, connections: Sequence[DataConnection]) -> Mapped:
    """The database service that each Hex data connection reads.

    The services of ``dbServicePrefixes`` are known by their type and connection in OpenMetadata,
    and by their entry of ``hexAssets.warehouses``.

    Raises:
        RequestError: OpenMetadata did not answer.
    """
    services: list[Service] = []
    if connections and recipe.database_services:
        with open_openmetadata(recipe) as client:
            for name in recipe.database_services:
                stored = client.database_service(fqn.quote(name))
                config = dict(((stored and stored.connection) or {}).get("config") or {})
                given = recipe.hex_assets.warehouses.get(name)
                if given is not None:
                    config |= given.model_dump(mode="json", by_alias=True, exclude_none=True)
                kind = stored.service_type if stored else config.get("type")
                if kind:
                    services.append(Service(name, kind, config))
    return map_connections(connections, services, recipe.hex_assets.data_connections)


def open_history_readers(recipe: Recipe) -> dict[str, HistoryReader | HexAssetsError]:
    """A reader of query history for each database service of the recipe's prefixes, in order.

    Readers connect when they read, so there is nothing to close. In place of a reader stands why
    there is none: the service has no usable connection, in the recipe or in OpenMetadata, or
    OpenMetadata did not tell.
    """
    readers: dict[str, HistoryReader | HexAssetsError] = {}
    for service in recipe.database_services:
        try:
            readers[service] = _history_reader(recipe, service)
        except HexAssetsError as error:
            readers[service] = error
    return readers


def _history_reader(recipe: Recipe, service: str) -> HistoryReader:
    connection = recipe.hex_assets.warehouses.get(service) or _stored_connection(recipe, service)
    _refuse_unknown_dialect(service, connection.sql_dialect)
    return connection


def _refuse_unknown_dialect(service: str, dialect: str) -> None:
    from sqlglot import Dialects

    known = {member.value for member in Dialects} - {""}
    if dialect not in known:
        nearest = difflib.get_close_matches(dialect.lower(), known, n=1)
        advice = f"Did you mean {nearest[0]}?" if nearest else f"Choose of {sorted(known)}."
        raise RecipeError(
            f"{_WAREHOUSES}.{service}.dialect: is no SQL dialect known here. {advice}"
        )


def _stored_connection(recipe: Recipe, service: str) -> WarehouseConnection:
    """The connection stored with a service in OpenMetadata, which tells passwords to bots only.

    Raises:
        RecipeError: there is none that serves; the text names both ways to give one.
        RequestError: OpenMetadata did not answer.
    """
    with open_openmetadata(recipe) as client:
        stored = client.database_service(fqn.quote(service))
    if stored is None:
        raise _no_history(service, "OpenMetadata has no such database service")
    kind = service_types().get(stored.service_type)
    if kind is None:
        raise _no_history(
            service,
            f"no history of a {stored.service_type} service is read here; that of a warehouse "
            "without reader can be exported to files (type QueryLog), or kept where one of "
            f"{', '.join(service_types())} reads it (historyStatement)",
        )
    config = (stored.connection or {}).get("config")
    if not isinstance(config, dict) or not config:
        raise _no_history(
            service,
            "OpenMetadata stores no connection for it (storeServiceConnection is off, or the "
            "token may not see it)",
        )
    texts = dict(_texts(config))
    if masked := [key for key, text in texts.items() if _MASK.fullmatch(text)]:
        raise _no_history(
            service,
            f"OpenMetadata masks {', '.join(masked)} from whoever is not a bot",
        )
    if referred := [key for key, text in texts.items() if text.startswith("secret:")]:
        raise _no_history(
            service,
            f"{', '.join(referred)} of its stored connection refers to OpenMetadata's secrets "
            "manager, which is not read here",
        )
    try:
        return kind.of_another_version(_typed(kind, stored.service_type, config)).of(service)
    except ValidationError as error:
        problem = f"the connection stored in OpenMetadata cannot be used ({_mistakes(error)})"
        raise _no_history(service, problem) from None


def _typed(
    kind: type[WarehouseConnection], service_type: str, config: Mapping[str, Any]
) -> dict[str, Any]:
    """The configuration with the ``type`` by which its class is told."""
    known = get_args(kind.model_fields["type"].annotation)
    named = config.get("type")
    return {**config, "type": named if named in known else service_type}


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """All texts of a configuration by their dotted keys."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _texts(item, f"{path}[{number}]")


def _mistakes(error: ValidationError) -> str:
    """What is wrong, in words that quote no value."""
    found: dict[str, None] = {}
    for detail in error.errors(include_url=False, include_input=False):
        key = ".".join(str(step) for step in detail["loc"])
        if detail["type"] == "missing":
            found[f"{key} is missing"] = None
        elif detail["type"] == "value_error":
            found[f"{key} {detail['ctx']['error']}".lstrip()] = None
        else:
            found[f"{key} cannot be read"] = None
    return "; ".join(found)


def _no_history(service: str, problem: str) -> RecipeError:
    return RecipeError(
        f"{_WAREHOUSES} has no entry {service}, and {problem}. Add the entry "
        f"(type {', '.join(warehouse_types())}), or store a whole connection with the service in "
        "OpenMetadata and use a bot's token."
    )


def check_connections(
    recipe: Recipe, now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)
) -> list[Check]:
    """Try each connection with small reads; nothing is written, and no failure is raised.

    Returns:
        Checks of Hex, of OpenMetadata and of each query history, in this order. What cannot work
        because an earlier check failed is left out.
    """
    checks = _checks_of("Hex", partial(_check_hex, recipe, now()))
    catalog = _checks_of("OpenMetadata", partial(_check_openmetadata, recipe))
    checks += catalog
    reachable = catalog[0].status != "failed"
    for service in recipe.database_services:
        if reachable or service in recipe.hex_assets.warehouses:
            name = f"Query history of {service}"
            checks += _checks_of(name, partial(_check_history, recipe, service, name))
            if reachable and service in recipe.hex_assets.warehouses:
                name = f"Type of {service}"
                checks += _checks_of(name, partial(_check_type, recipe, service, name))
    return checks


def _checks_of(name: str, look: Callable[[], Iterator[Check]]) -> list[Check]:
    """What was found, or one failed check if one of our errors came up."""
    try:
        return list(look())
    except RequestError as error:
        advice, error.hint = error.hint, ""
        return [Check(name, "failed", str(error), advice)]
    except WarehouseError as error:
        return [Check(name, "failed", error.problem, error.hint)]
    except HexAssetsError as error:
        return [Check(name, "failed", str(error))]


def _check_hex(recipe: Recipe, now: datetime) -> Iterator[Check]:
    with open_hex(recipe, _ONE_MORE_TRY) as client:
        unlisted = None
        try:
            newest = client.newest_edits(limit=1)
        except PermissionMissing as error:
            newest, unlisted = (), error
        me, unasked = _whoami(client)
        sees_none = unlisted is None and not newest
        yield _about_token(recipe, client.token_kind, me, unasked, sees_none, now)
        if unlisted is not None:
            yield _refused("Hex projects", "failed", unlisted)
        reads: list[tuple[str, Callable[[], object], Literal["warning", "failed"]]] = [
            ("Hex data connections", client.data_connections, "failed"),
            ("Hex collections", client.collections, "warning"),
        ]
        if newest:
            project_id = newest[0].id
            reads += [
                ("Hex cells", partial(client.cells, project_id), "failed"),
                ("Hex exports", partial(client.export, project_id, "draft"), "warning"),
                ("Hex queried tables", partial(client.queried_tables, project_id), "warning"),
            ]
        for name, read, if_refused in reads:
            yield from _checks_of(name, partial(_check_readable, name, read, if_refused))


def _whoami(client: HexClient) -> tuple[Me, PermissionMissing | None]:
    """Whose token it is; all unknown where Hex does not say so to this token, and why not."""
    try:
        return client.me(), None
    except PermissionMissing as error:
        return Me(), error
    except (NotFound, ServerFailed):
        return Me(), None


def _about_token(
    recipe: Recipe,
    kind: str,
    me: Me,
    unasked: PermissionMissing | None,
    sees_none: bool,
    now: datetime,
) -> Check:
    found = ["token of an unknown kind" if kind == "unknown" else f"{kind} token"]
    advice = []
    if me.org and me.org.id:
        found.append(f"organization {me.org.id}")
    elif recipe.hex_assets.hex_org_id is None:
        found.append("organization unknown")
        advice.append("Set hexAssets.hexOrgId, or the dashboards will not link to Hex.")
    if me.token and me.token.exp is not None:
        days = math.floor((me.token.exp - now.timestamp()) / 86_400)
        found.append(f"expires in {days} days")
        if days < RENEW_TOKEN_WITHIN_DAYS:
            advice.append("Make a new token in Hex before this one expires.")
    if unasked is not None:
        found.append("expiry unknown")
        advice.append(unasked.hint)
    if sees_none:
        found.append("sees no project")
        advice.append("Use a workspace token, or the token of a user who may see the projects.")
    return Check("Hex", "warning" if advice else "ok", ", ".join(found), " ".join(advice))


def _check_readable(
    name: str, read: Callable[[], object], if_refused: Literal["warning", "failed"]
) -> Iterator[Check]:
    try:
        read()
    except PermissionMissing as error:
        yield _refused(name, if_refused, error)
        return
    except NotFound:
        # The project has gone since it was listed, yet the token may ask.
        pass
    except RequestRejected as error:
        # A project that was never published has no queried tables.
        if error.status != HTTPStatus.UNPROCESSABLE_ENTITY:
            raise
    yield Check(name, "ok", "readable")


def _refused(name: str, status: Literal["warning", "failed"], error: PermissionMissing) -> Check:
    advice, error.hint = error.hint, ""
    return Check(name, status, str(error), advice)


def _check_openmetadata(recipe: Recipe) -> Iterator[Check]:
    with open_openmetadata(recipe, _ONE_MORE_TRY) as client:
        version = client.check()
        numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
        found = f"version {version}, token accepted"
        if numbers < _OLDEST_OPENMETADATA:
            advice = "Versions before 1.6 are not tested. Upgrade OpenMetadata if runs fail."
            yield Check("OpenMetadata", "warning", found, advice)
        else:
            yield Check("OpenMetadata", "ok", found)
        prefixes = recipe.source_config.db_service_prefixes
        for prefix in prefixes:
            name = f"Catalog of {prefix}"
            yield from _checks_of(name, partial(_check_prefix, client, prefix, name))
        if not prefixes:
            advice = "Name database services there, or dashboards get no lineage."
            yield Check("Lineage", "warning", "dbServicePrefixes is empty", advice)


def _check_prefix(client: OpenMetadataClient, prefix: str, name: str) -> Iterator[Check]:
    parts = fqn.split(prefix)
    kinds = ("database service", "database", "schema")
    look_ups = (client.database_service, client.database, client.database_schema)
    for depth, (kind, look_up) in enumerate(zip(kinds, look_ups, strict=True), start=1):
        if depth <= len(parts) and look_up(fqn.join(*parts[:depth])) is None:
            advice = (
                "Correct dbServicePrefixes (letter case counts), or ingest the metadata of that "
                f"{kind} into OpenMetadata first."
            )
            yield Check(name, "failed", f"OpenMetadata has no such {kind}", advice)
            return
    yield Check(name, "ok", f"{kinds[len(parts) - 1]} found")


def _check_history(recipe: Recipe, service: str, name: str) -> Iterator[Check]:
    yield Check(name, "ok", _history_reader(recipe, service).check())


def _check_type(recipe: Recipe, service: str, name: str) -> Iterator[Check]:
    """Tells of an entry that reads another kind of warehouse than OpenMetadata's service is of."""
    entry = recipe.hex_assets.warehouses[service]
    if type(entry) not in service_types().values():
        return
    with open_openmetadata(recipe, _ONE_MORE_TRY) as client:
        stored = client.database_service(fqn.quote(service))
    if stored is None:
        return
    kind = service_types().get(stored.service_type)
    if kind is None or not (issubclass(kind, type(entry)) or issubclass(type(entry), kind)):
        here = ", ".join(get_args(type(entry).model_fields["type"].annotation))
        yield Check(
            name,
            "warning",
            f"the recipe reads it as {here}, in OpenMetadata it is {stored.service_type}",
            f"Correct {_WAREHOUSES}.{service}.type, or the name of the service, if that is not "
            "meant so.",
        )
