"""How one dashboard or chart, and what Hex says of it, are brought together.

OpenMetadata merges a PUT by rules that differ between a bot and a person and between versions.
Requests here hold the wanted end state of every field, also of those that are not ours, so that
it does not matter whether the server keeps or replaces what it has.

Of descriptions and owners we own what we wrote and nobody has changed since (``SourceHash``
tells); what somebody else wrote stays. A title follows Hex whenever Hex changes it. A request
that a server did not heed is not repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hex_assets.openmetadata import fqn
from hex_assets.openmetadata.actual import PlanOptions
from hex_assets.openmetadata.changes import Change, Correction, Key, PutChart, PutDashboard
from hex_assets.openmetadata.charts import is_chart_name
from hex_assets.openmetadata.desired import CLASSIFICATIONS
from hex_assets.openmetadata.entities import DesiredChart, DesiredDashboard
from hex_assets.openmetadata.models import Chart, Dashboard, EntityReference, Published, TagLabel
from hex_assets.openmetadata.properties import Value, property_patch
from hex_assets.openmetadata.source_hash import SourceHash, digest

Wanted = DesiredDashboard | DesiredChart

NO_USER = " has no user in OpenMetadata"
"""Ends the reason of what has an owner whose address nobody there has."""

_SHOWN = 80
"""Characters of a value before or after that a plan shows."""


def new_publication(
    wanted: Wanted, service: str, tags: Sequence[str], owner: EntityReference | None
) -> Change:
    """Create the dashboard or chart.

    Args:
        service: fully qualified name of the dashboard service.
        tags: labels to put on, of tags that exist or are about to.
        owner: None if Hex names none or OpenMetadata does not know the address.
    """
    body = {
        **_body(wanted, service, tags, _source_hash(wanted, owner, None)),
        "displayName": wanted.title,
        "description": wanted.description,
        "sourceUrl": wanted.url,
        "owners": [_reference(owner)] if owner else None,
        "extension": _values(wanted) or None,
        **_new_links(wanted, service),
    }
    return Change(
        _kind(wanted),
        fqn.below(service, wanted.name),
        "create",
        "does not exist" + _owner_note(wanted, owner),
        _put(wanted, service, _without_none(body), None, in_bulk=True),
        _needs(wanted, service, tags),
        after=wanted.title,
    )


def existing_publication(
    wanted: Wanted,
    service: str,
    tags: Sequence[str],
    owner: EntityReference | None,
    stored: Dashboard | Chart,
    options: PlanOptions,
) -> Change:
    """Update or restore it, or leave it if a request would change nothing.

    Args:
        tags: labels it should have, of tags that exist or are about to.
        stored: as listed, soft deleted or not.
    """
    known = SourceHash.parse(stored.source_hash)
    said = _source_hash(wanted, owner, known)
    end = _end_state(wanted, owner, stored, known, options)
    labels = {label.tag_fqn for label in stored.tags}
    new_tags = [tag for tag in tags if tag not in labels]
    dropped = _dropped_tags(stored.tags, wanted.tags) if options.include_tags else frozenset()
    changed = _changed_fields(end, stored)
    if new_tags or dropped:
        changed.append("tags")
    now_linked, to_link = _links_before_and_after(wanted, service, stored)
    if set(now_linked) != set(to_link):
        changed.append("charts")
    extension = (stored.extension if isinstance(stored, Dashboard) else None) or {}
    properties = {
        name: value for name, value in _properties(wanted).items() if extension.get(name) != value
    }
    if properties:
        changed.append("customProperties")
    notes = _kept(wanted, end) + _owner_note(wanted, owner)
    kind = _kind(wanted)
    if not changed and stored.source_hash == str(said) and not stored.deleted:
        reason = "nothing differs" + notes
        return Change(kind, stored.fully_qualified_name, "unchanged", reason)
    body = {
        **_body(wanted, service, new_tags, said),
        "name": stored.name,
        "displayName": end.title,
        "description": end.description,
        "sourceUrl": end.url,
        "owners": [_reference(one) for one in end.owners] if "owners" in changed else None,
        "dataProducts": [link.fully_qualified_name for link in stored.data_products] or None,
        **_kept_fields(wanted, service, stored),
    }
    describe = "description" in changed and stored.description is not None
    correction = Correction(
        stored.id,
        stored.fully_qualified_name,
        stored.deleted,
        describe,
        stored.description,
        end.description,
        dropped,
        properties,
    )
    needed = stored.deleted or describe or bool(dropped) or bool(properties)
    reasons = ["is back in Hex"] if stored.deleted else []
    reasons += _why(changed, known, said)
    before, after = _in_short(
        changed,
        end,
        stored,
        (now_linked, to_link),
        (dropped, new_tags),
        (_told(properties, extension), _told(properties, properties)),
    )
    return Change(
        kind,
        stored.fully_qualified_name,
        "restore" if stored.deleted else "update",
        "; ".join(reasons) + notes,
        _put(
            wanted,
            service,
            _without_none(body),
            correction if needed else None,
            in_bulk=stored.source_hash != str(said),
        ),
        _needs(wanted, service, tags),
        before,
        after,
    )


def links(dashboard: Dashboard, ours: Sequence[str]) -> dict[str, Any]:
    """The live charts and data models, which a request has to repeat or they are removed.

    Args:
        ours: fully qualified names of the charts of ours that are to be linked; those of others
            stay.
    """
    others = [
        link.fully_qualified_name
        for link in dashboard.charts
        if not link.deleted and not _is_ours(link.fully_qualified_name)
    ]
    return {
        "charts": [*others, *ours],
        "dataModels": [
            link.fully_qualified_name for link in dashboard.data_models if not link.deleted
        ],
    }


def correction_patch(correction: Correction, now: Published) -> list[dict[str, Any]]:
    """The JSON Patch of a correction, against the dashboard or chart as it is now.

    Everything it takes away is tested first, so that a patch which somebody's edit overtakes
    fails as a whole.
    """
    operations: list[dict[str, Any]] = []
    if correction.describe and now.description == correction.old_description:
        operations.append({"op": "test", "path": "/description", "value": now.description})
        if correction.description is None:
            operations.append({"op": "remove", "path": "/description"})
        else:
            new = {"op": "replace", "path": "/description", "value": correction.description}
            operations.append(new)
    for position in reversed(range(len(now.tags))):
        label = now.tags[position].tag_fqn
        if label in correction.drop_tags:
            operations += [
                {"op": "test", "path": f"/tags/{position}/tagFQN", "value": label},
                {"op": "remove", "path": f"/tags/{position}"},
            ]
    if isinstance(now, Dashboard):
        operations += property_patch(correction.properties, now.extension)
    return operations


def _properties(wanted: Wanted) -> Mapping[str, Value | None]:
    return wanted.properties if isinstance(wanted, DesiredDashboard) else {}


def _values(wanted: Wanted) -> dict[str, Value]:
    return {name: value for name, value in _properties(wanted).items() if value is not None}


def _told(names: Iterable[str], values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {values[name]}" for name in names if values.get(name) is not None)


def _kind(wanted: Wanted) -> Literal["dashboard", "chart"]:
    return "dashboard" if isinstance(wanted, DesiredDashboard) else "chart"


def _put(
    wanted: Wanted,
    service: str,
    body: Mapping[str, Any],
    correction: Correction | None,
    *,
    in_bulk: bool,
) -> PutDashboard | PutChart:
    in_bulk = in_bulk and correction is None
    if isinstance(wanted, DesiredDashboard):
        return PutDashboard(body, correction, in_bulk, _linked(wanted, service))
    return PutChart(body, correction, in_bulk)


def _linked(wanted: DesiredDashboard, service: str) -> tuple[str, ...]:
    return tuple(fqn.below(service, name) for name in wanted.charts)


def _new_links(wanted: Wanted, service: str) -> dict[str, Any]:
    if isinstance(wanted, DesiredDashboard):
        return {"charts": list(_linked(wanted, service)) or None}
    return {"chartType": wanted.chart_type}


def _kept_fields(wanted: Wanted, service: str, stored: Dashboard | Chart) -> dict[str, Any]:
    """Fields of its kind, of which a PUT without them would lose some."""
    if isinstance(wanted, DesiredDashboard) and isinstance(stored, Dashboard):
        return {
            **links(stored, _linked(wanted, service)),
            "project": stored.project,
            "dashboardType": stored.dashboard_type,
        }
    if isinstance(wanted, DesiredChart) and isinstance(stored, Chart):
        live = [link.fully_qualified_name for link in stored.dashboards if not link.deleted]
        return {"chartType": stored.chart_type or wanted.chart_type, "dashboards": live or None}
    raise TypeError(f"a {type(stored).__name__} cannot be a {type(wanted).__name__}")


def _links_before_and_after(
    wanted: Wanted, service: str, stored: Dashboard | Chart
) -> tuple[list[str], list[str]]:
    if not (isinstance(wanted, DesiredDashboard) and isinstance(stored, Dashboard)):
        return [], []
    before = [link.fully_qualified_name for link in stored.charts if not link.deleted]
    return before, links(stored, _linked(wanted, service))["charts"]


def _is_ours(chart_fqn: str) -> bool:
    return is_chart_name(fqn.split(chart_fqn)[-1])


def _source_hash(
    wanted: Wanted, owner: EntityReference | None, known: SourceHash | None
) -> SourceHash:
    """What Hex says now; an owner it does not name leaves the one it named before."""
    no_owner = known.owner if known else digest(None)
    return SourceHash(
        title=digest(wanted.title),
        description=digest(wanted.description),
        owner=digest(owner.id) if owner else no_owner,
        life_cycle=digest(wanted.life_cycle.significant()),
    )


@dataclass(frozen=True)
class _EndState:
    """Values it is to have after the change."""

    title: str
    description: str | None
    url: str | None
    owners: tuple[EntityReference, ...]


def _end_state(
    wanted: Wanted,
    owner: EntityReference | None,
    stored: Published,
    known: SourceHash | None,
    options: PlanOptions,
) -> _EndState:
    # On 2.x a bot may not edit display names: a title is sent when Hex changes it, and once only.
    renamed = known is None or known.title != digest(wanted.title)
    description = _settled(
        wanted.description,
        stored.description,
        known.description if known else None,
        override=options.override_metadata and bool(wanted.description),
    )
    return _EndState(
        wanted.title if renamed else stored.display_name or wanted.title,
        description,
        wanted.url or stored.source_url,
        _settled_owners(owner, stored.owners, known.owner if known else None, options),
    )


def _settled(
    wanted: str | None, stored: str | None, known: str | None, override: bool
) -> str | None:
    """The value a field ends with, out of what Hex says, what is stored and what we last said.

    Args:
        known: digest of what Hex said when we published last; None if we never did.
        override: Hex wins over what somebody else wrote.
    """
    if override:
        return wanted
    if known is None:
        # OpenMetadata's connector keeps blank lines around what Hex says: that is no other text.
        return wanted if (stored or "").strip() in ("", wanted) else stored
    if known == digest(wanted):
        return stored
    if stored and known != digest(stored):
        return stored
    return wanted


def _settled_owners(
    owner: EntityReference | None,
    stored: Sequence[EntityReference],
    known: str | None,
    options: PlanOptions,
) -> tuple[EntityReference, ...]:
    """As ``_settled``: the owner we set follows Hex, and other owners stay beside it."""
    own = tuple(one for one in stored if not one.inherited and not one.deleted)
    if owner is None:
        return own
    if options.override_metadata:
        return own if [one.id for one in own] == [owner.id] else (owner,)
    if any(one.id == owner.id for one in own) or known == digest(owner.id):
        return own
    if not own:
        return (owner,)
    if known is None or known not in {digest(one.id) for one in own}:
        return own
    return tuple(owner if digest(one.id) == known else one for one in own)


def _changed_fields(end: _EndState, stored: Published) -> list[str]:
    own = [one.id for one in stored.owners if not one.inherited and not one.deleted]
    pairs = {
        "displayName": (end.title, stored.display_name or ""),
        "description": (end.description or "", stored.description or ""),
        "sourceUrl": (end.url or "", stored.source_url or ""),
        "owners": ([one.id for one in end.owners], own),
    }
    return [name for name, (after, before) in pairs.items() if after != before]


def _kept(wanted: Wanted, end: _EndState) -> str:
    """A note on what OpenMetadata has differently from Hex and keeps."""
    kept = [
        name
        for name, hex_value, value in (
            ("displayName", wanted.title, end.title),
            ("description", wanted.description, end.description),
        )
        if hex_value and hex_value != value
    ]
    return f"; {' and '.join(kept)} of OpenMetadata kept" if kept else ""


def _why(changed: Sequence[str], known: SourceHash | None, said: SourceHash) -> list[str]:
    """What differs in OpenMetadata's fields, and what Hex changed since we published last."""
    if known is None:
        in_hex = ["first publication by hex-assets"]
    else:
        fields = {
            "displayName": known.title != said.title,
            "description": known.description != said.description,
            "owners": known.owner != said.owner,
            "lifeCycle": known.life_cycle != said.life_cycle,
        }
        in_hex = [name for name, differs in fields.items() if differs and name not in changed]
    return [f"changed: {', '.join([*changed, *in_hex])}"] if changed or in_hex else []


def _dropped_tags(labels: Sequence[TagLabel], wanted: Sequence[str]) -> frozenset[str]:
    """Labels that a program put on from our classifications and that Hex no longer has."""
    ours = tuple(f"{classification}." for classification in CLASSIFICATIONS)
    return frozenset(
        label.tag_fqn
        for label in labels
        if label.label_type == "Automated"
        and label.source == "Classification"
        and label.tag_fqn.startswith(ours)
        and label.tag_fqn not in wanted
    )


def _needs(wanted: Wanted, service: str, tags: Sequence[str]) -> tuple[Key, ...]:
    charts = _linked(wanted, service) if isinstance(wanted, DesiredDashboard) else ()
    return (
        ("service", service),
        *(("tag", tag) for tag in tags),
        *(("chart", chart) for chart in charts),
        *(("property", name) for name in _values(wanted)),
    )


def _in_short(
    changed: Sequence[str],
    end: _EndState,
    stored: Published,
    charts: tuple[Sequence[str], Sequence[str]],
    tags: tuple[Iterable[str], Iterable[str]],
    properties: tuple[str, str],
) -> tuple[str, str]:
    """The changed fields before and after, for people to compare.

    Args:
        charts: links before and after.
        tags: labels that go, and that come.
        properties: those that change, before and after.
    """
    pairs = {
        "displayName": (stored.display_name, end.title),
        "description": (stored.description, end.description),
        "sourceUrl": (stored.source_url, end.url),
        "owners": (_names(stored.owners), _names(end.owners)),
        "tags": (", ".join(sorted(tags[0])), ", ".join(sorted(tags[1]))),
        "customProperties": properties,
        "charts": (
            f"{len(charts[0])} linked",
            f"{len(charts[1])} linked",
        ),
    }
    return (
        "; ".join(f"{name}: {_cut(pairs[name][0])}" for name in changed),
        "; ".join(f"{name}: {_cut(pairs[name][1])}" for name in changed),
    )


def _cut(text: str | None) -> str:
    flat = " ".join((text or "-").split())
    return flat if len(flat) <= _SHOWN else f"{flat[: _SHOWN - 1]}…"


def _names(owners: Iterable[EntityReference]) -> str:
    return ", ".join(one.name or one.id for one in owners)


def _owner_note(wanted: Wanted, owner: EntityReference | None) -> str:
    unknown = wanted.owner_email is not None and owner is None
    return f"; {wanted.owner_email}{NO_USER}" if unknown else ""


def _body(wanted: Wanted, service: str, tags: Sequence[str], said: SourceHash) -> dict[str, Any]:
    return {
        "name": fqn.encode(wanted.name),
        "service": service,
        # As OpenMetadata's connectors label what a source says, so that either can take over.
        "tags": [
            {
                "tagFQN": tag,
                "source": "Classification",
                "labelType": "Automated",
                "state": "Suggested",
            }
            for tag in tags
        ]
        or None,
        "lifeCycle": wanted.life_cycle.events() or None,
        "sourceHash": str(said),
    }


def _reference(person: EntityReference) -> dict[str, str]:
    return {"id": person.id, "type": person.type}


def _without_none(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}
