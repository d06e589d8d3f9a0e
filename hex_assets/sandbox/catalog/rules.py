"""OpenMetadata's rules as pure functions: names, what a PUT changes, JSON Patch.

Sources: the server's ``FullyQualifiedName``, ``EntityRepository`` and the updaters of its merge
rules; RFC 6902 and RFC 6901 for patches.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hex_assets.sandbox.catalog.releases import Release

Json = dict[str, Any]

_NAME = re.compile(r'^((?!::)[^>"\x00-\x1f])*$')
_FQN_PART = re.compile(r'"[^"]+"|[^."]+')
_SECRETS = frozenset({"token", "password", "privateKey", "snowflakePrivatekeyPassphrase"})
_MASK = "*********"

UNCOMPARED = frozenset({"project", "dashboardType"})
"""Fields that a server stores only when another field of the same request changes."""


class Refused(Exception):
    """The request is answered with this status and ``{"code", "message"}``."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message


def not_found(entity_type: str, name: str) -> Refused:
    return Refused(404, f"{entity_type} instance for {name} not found")


@dataclass(frozen=True)
class Policy:
    """How the server treats its one caller.

    Attributes:
        bot: the token belongs to a bot, whose PUT does not overwrite what people wrote.
    """

    release: Release
    bot: bool = True

    @property
    def caller(self) -> str:
        return "ingestion-bot" if self.bot else "admin"

    @property
    def may_rename(self) -> bool:
        return self.release.bot_may_rename or not self.bot


@dataclass(frozen=True)
class Content:
    """What requests can change in an entity.

    Attributes:
        fields: field name to JSON value; an absent field is unset.
        links: reference field, for example ``charts``, to the ids it refers to.
    """

    fields: Json
    links: Mapping[str, Sequence[str]]

    def differs(self, other: Content) -> bool:
        """Whether a server would record a change; the order of references does not count."""
        return _compared(self.fields) != _compared(other.fields) or any(
            sorted(self.links.get(name, ())) != sorted(other.links.get(name, ()))
            for name in {*self.links, *other.links}
        )


def _compared(fields: Json) -> Json:
    return {name: value for name, value in fields.items() if name not in UNCOMPARED}


def valid_name(name: str) -> str:
    """The name itself.

    Raises:
        ValueError: the name breaks the ``EntityName`` pattern of OpenMetadata 2.
    """
    if not _NAME.match(name):
        raise ValueError(f'name must match "{_NAME.pattern}"')
    return name


def quote_name(name: str) -> str:
    """The name as a part of a fully qualified name: in double quotes if it holds a dot."""
    if '"' in name:
        if len(name) > 2 and name[0] == name[-1] == '"' and '"' not in name[1:-1]:
            return name
        raise Refused(400, f"Invalid name {name}")
    return f'"{name}"' if "." in name else name


def join_fqn(parent: str | None, name: str) -> str:
    return quote_name(name) if parent is None else f"{parent}.{quote_name(name)}"


def split_fqn(fqn: str) -> list[str]:
    """The parts of a fully qualified name, still quoted."""
    return _FQN_PART.findall(fqn)


def merge_put(stored: Content, incoming: Content, policy: Policy, override: bool) -> Content:
    """What a PUT leaves behind on an entity that exists.

    Args:
        stored: the entity before.
        incoming: the request, its references resolved; references it does not mention are absent.
        policy: who asks.
        override: ``overrideMetadata=true``, which only bulk requests know.
    """
    fields = dict(incoming.fields)
    old = stored.fields
    if policy.bot and not override and old.get("description"):
        fields["description"] = old["description"]
    if not policy.may_rename and not override and old.get("displayName"):
        fields["displayName"] = old["displayName"]
    new_tags = incoming.fields.get("tags", [])
    if "tags" in fields and not (override and new_tags):
        fields["tags"] = union_tags(old.get("tags", []), new_tags)
    if "lifeCycle" in old or "lifeCycle" in fields:
        fields["lifeCycle"] = newest_events(old.get("lifeCycle", {}), fields.get("lifeCycle", {}))
    if "extension" in old and (policy.bot or "extension" not in fields):
        fields["extension"] = old["extension"]
    elif policy.bot:
        fields.pop("extension", None)
    if "serviceType" in old:
        fields["serviceType"] = old["serviceType"]
    links = dict(incoming.links)
    for people in ("owners", "reviewers"):
        if people in links and not links[people]:
            links[people] = stored.links.get(people, ())
    return Content(fields, links)


def union_tags(stored: Sequence[Json], incoming: Sequence[Json]) -> list[Json]:
    """Labels of both, by name; a label that is already there keeps its state."""
    labels = {label["tagFQN"]: label for label in (*incoming, *stored)}
    return [labels[fqn] for fqn in sorted(labels)]


def newest_events(stored: Json, incoming: Json) -> Json:
    """Life cycle events of both; of the same event the one with the later timestamp."""
    events = dict(stored)
    for name, event in incoming.items():
        if name not in events or event["timestamp"] > events[name]["timestamp"]:
            events[name] = event
    return events


def mask_secrets(value: Any) -> Any:
    """The value as callers who are no bot see it: password fields replaced by asterisks."""
    if isinstance(value, dict):
        return {
            key: _MASK if key in _SECRETS and item else mask_secrets(item)
            for key, item in value.items()
        }
    return [mask_secrets(item) for item in value] if isinstance(value, list) else value


def apply_patch(document: Json, operations: Any) -> Json:
    """A copy of the document with the JSON Patch (RFC 6902) applied.

    Raises:
        Refused: 400 for a malformed patch, a path that leads nowhere or a failed ``test``.
    """
    if not isinstance(operations, list):
        raise Refused(400, "a JSON Patch is an array of operations")
    patched: Any = copy.deepcopy(document)
    for operation in operations:
        try:
            patched = _apply(patched, operation)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise Refused(400, f"cannot apply the JSON Patch operation {operation}") from error
    if not isinstance(patched, dict):
        raise Refused(400, "the JSON Patch does not leave an object")
    return patched


def _apply(document: Any, operation: Json) -> Any:
    kind, path = operation["op"], _pointer(operation["path"])
    if kind == "test":
        if _at(document, path) != operation["value"]:
            raise ValueError(path)
        return document
    if kind == "remove":
        return _removed(document, path)
    if kind == "copy":
        return _added(document, path, copy.deepcopy(_at(document, _pointer(operation["from"]))))
    if kind == "move":
        source = _pointer(operation["from"])
        value = _at(document, source)
        return _added(_removed(document, source), path, value)
    if kind == "replace":
        _at(document, path)
        return _added(_removed(document, path) if path else None, path, operation["value"])
    if kind == "add":
        return _added(document, path, operation["value"])
    raise ValueError(kind)


def _pointer(path: str) -> list[str]:
    if path and not path.startswith("/"):
        raise ValueError(path)
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _at(document: Any, path: Sequence[str]) -> Any:
    for part in path:
        document = document[_index(part) if isinstance(document, list) else part]
    return document


def _index(part: str) -> int:
    if not re.fullmatch("0|[1-9][0-9]*", part):
        raise ValueError(part)
    return int(part)


def _added(document: Any, path: Sequence[str], value: Any) -> Any:
    if not path:
        return value
    parent = _at(document, path[:-1])
    if isinstance(parent, list):
        position = len(parent) if path[-1] == "-" else _index(path[-1])
        if position > len(parent):
            raise IndexError(position)
        parent.insert(position, value)
    else:
        parent[path[-1]] = value
    return document


def _removed(document: Any, path: Sequence[str]) -> Any:
    parent = _at(document, path[:-1])
    del parent[_index(path[-1]) if isinstance(parent, list) else path[-1]]
    return document
