"""Reading and changing entities as OpenMetadata's resources and repositories do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from hex_assets.sandbox.catalog.answers import (
    decode_cursor,
    encode_cursor,
    named_columns,
    show,
    wanted_fields,
)
from hex_assets.sandbox.catalog.kinds import Kind, Link
from hex_assets.sandbox.catalog.requests import (
    DASHBOARD_SERVICE_TYPES,
    BulkDeleteStaleRequest,
    CustomProperty,
    Wire,
    check_shape,
    parse,
)
from hex_assets.sandbox.catalog.rules import (
    Content,
    Json,
    Policy,
    Refused,
    apply_patch,
    join_fqn,
    merge_put,
    not_found,
    quote_name,
    split_fqn,
)
from hex_assets.sandbox.catalog.store import Entity, Include, Key, Rows, Store

_LARGEST_PAGE = 1_000_000
_BASE_FIELDS = frozenset({"version", "updatedAt", "updatedBy"})
_UNSUPPORTED = {"domains": "domain", "dataProducts": "dataProduct"}
_CONTAINER_FIELDS = ("service", "classification", "parent")
_NOT_STORED = ("name", "associatedTags", *_CONTAINER_FIELDS)
"""What requests may hold and entities lack."""


@dataclass(frozen=True)
class Page:
    """What a listing asks for; the cursors are the opaque ones of an earlier answer."""

    limit: int = 10
    before: str | None = None
    after: str | None = None
    include: Include = "non-deleted"


class Entities:
    """The entities of one store, changed on behalf of one caller.

    Every change is one transaction. Refused requests raise ``Refused`` and change nothing.
    """

    def __init__(self, store: Store, policy: Policy, clock: Callable[[], float]) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock

    def read_one(self, kind: Kind, key: Key, include: Include, fields: str) -> Json:
        """One entity."""
        wanted = wanted_fields(kind, fields)
        with self._store.read() as rows:
            return self._shown(rows, kind, rows.existing(kind.type, key, include), wanted)

    def read_page(self, kind: Kind, filters: Mapping[str, str], page: Page, fields: str) -> Json:
        """One page of a listing, by name.

        Args:
            filters: listing filter to the fully qualified name of the ancestor.
        """
        wanted = wanted_fields(kind, fields)
        if page.before is not None and page.after is not None:
            raise Refused(400, "Only one of before or after query parameter allowed")
        if not 0 <= page.limit <= _LARGEST_PAGE:
            raise Refused(400, f"query param limit must be between 0 and {_LARGEST_PAGE}")
        below = [filters[name] for name in kind.filters if name in filters]
        before = None if page.before is None else decode_cursor(page.before)
        after = None if page.after is None else decode_cursor(page.after)
        with self._store.read() as rows:
            paging: Json = {"total": rows.count(kind.type, below=below, include=page.include)}
            if page.limit == 0:
                return {"data": [], "paging": paging}
            found = rows.listed(
                kind.type,
                below=below,
                include=page.include,
                limit=page.limit + 1,
                after=after,
                before=before,
            )
            more = len(found) > page.limit
            if before is None:
                shown, has_before, has_after = found[: page.limit], after is not None, more
            else:
                shown, has_before, has_after = found[-page.limit :], more, True
            data = show(rows, kind, shown, wanted, masked=not self._policy.bot)
            if shown and has_before:
                paging["before"] = encode_cursor(shown[0])
            if shown and has_after:
                paging["after"] = encode_cursor(shown[-1])
            return {"data": data, "paging": paging}

    def create(self, kind: Kind, body: Any) -> Json:
        """POST: a new entity; 409 when the name is taken, deleted or not."""
        request = _parsed(kind, body)
        with self._store.write() as rows:
            parent, fqn = self._place(rows, kind, request)
            if rows.find(kind.type, fqn) is not None:
                raise Refused(409, "Entity already exists")
            content = self._content(rows, kind, request, fqn)
            return self._created(rows, kind, request.name, fqn, parent, content)

    def put(self, kind: Kind, body: Any, override: bool = False) -> tuple[Json, bool]:
        """PUT: create, or merge into what exists; says whether it was created."""
        request = _parsed(kind, body)
        with self._store.write() as rows:
            parent, fqn = self._place(rows, kind, request)
            content = self._content(rows, kind, request, fqn)
            entity = rows.find(kind.type, fqn)
            if entity is None:
                return self._created(rows, kind, request.name, fqn, parent, content), True
            stored = self._stored(rows, kind, entity)
            if stored.fields.get("connection") and not content.fields.get("connection"):
                raise Refused(400, f"Invalid service connection for {fqn}")
            if entity.deleted:
                entity = self._restored(rows, kind, entity)
            merged = merge_put(stored, content, self._policy, override)
            self._check_exclusive(rows, merged)
            return self._saved(rows, kind, entity, stored, merged), False

    def bulk(self, kind: Kind, body: Any, override: bool) -> Json:
        """PUT ``/bulk``: each row as a PUT of its own; failures are reported, not raised.

        A row is skipped as passed when its ``sourceHash`` equals the stored one, the stored
        entity is live, its name occurs once in the body and metadata is not overridden.
        """
        if not isinstance(body, list):
            raise Refused(400, "Unable to process JSON")
        model = _request_model(kind)
        for row in body:
            check_shape(model, row)
        names = Counter((row.get("service"), row.get("name")) for row in body)
        passed: list[Json] = []
        failed: list[Json] = []
        for row in body:
            once = names[row.get("service"), row.get("name")] == 1
            label = _row_label(kind, row)
            try:
                if override or not once or not self._unchanged(kind, label, row):
                    self.put(kind, row, override)
            except Refused as refusal:
                failed.append({"request": label, "message": refusal.message, "status": 400})
            else:
                passed.append({"request": label, "status": 200})
        return _bulk_result(passed, failed)

    def patch(self, kind: Kind, key: Key, operations: Any) -> Json:
        """PATCH: overwrites; identity and container are silently kept."""
        model = _request_model(kind)
        with self._store.write() as rows:
            entity = rows.existing(kind.type, key, "non-deleted")
            before = show(rows, kind, [entity], kind.fields, masked=False)[0]
            after = apply_patch(before, operations)
            for name in sorted(after.keys() - before.keys() - model.model_fields.keys()):
                raise Refused(400, f'Unrecognized field "{name}"')
            if after.get("displayName") != before.get("displayName"):
                self._check_rename()
            stored = self._stored(rows, kind, entity)
            body = {
                name: after[name]
                for name in model.model_fields
                if name in after and name not in {*kind.links, *_CONTAINER_FIELDS}
            }
            body["name"] = entity.name
            if "service" in model.model_fields:
                body["service"] = split_fqn(entity.fqn)[0]
            content = self._content(rows, kind, parse(model, body), entity.fqn)
            if "serviceType" in stored.fields:
                content.fields["serviceType"] = stored.fields["serviceType"]
            links = {
                name: self._patched_link(rows, link, after.get(name), stored.links[name])
                for name, link in kind.links.items()
            }
            return self._saved(rows, kind, entity, stored, Content(content.fields, links))

    def delete(self, kind: Kind, key: Key, hard: bool, recursive: bool) -> Json:
        """Soft or hard delete, with what lives in the entity.

        A dashboard takes along the charts that no other live dashboard shows.
        """
        with self._store.write() as rows:
            entity = rows.existing(kind.type, key, "all")
            return self._deleted(rows, kind, entity, hard, recursive)

    def delete_stale(self, kind: Kind, body: Any) -> Json:
        """Delete what lives below a container and is not among the names seen.

        Nothing is deleted when nothing was seen, or when there is no such container.
        """
        request = parse(BulkDeleteStaleRequest, body)
        containers = dict(kind.ancestors)
        scope_type = containers.get(request.scopeEntityType, request.scopeEntityType)
        if scope_type not in containers.values():
            raise Refused(
                400, f"Unsupported scopeEntityType '{request.scopeEntityType}' for deleteStale"
            )
        seen = {_bare(fqn) for fqn in request.seenFqns}
        with self._store.write() as rows:
            scope = rows.find(scope_type, request.scopeFqn)
            stale: list[Entity] = []
            if scope is not None and seen:
                found = rows.listed(kind.type, below=[scope.fqn], include="non-deleted")
                stale = [one for one in found if _bare(one.fqn) not in seen]
            if not request.dryRun:
                for entity in stale:
                    self._deleted(rows, kind, entity, request.hardDelete, request.recursive)
        passed = [{"request": entity.fqn, "status": 200} for entity in stale]
        return _bulk_result(passed, [], dry_run=request.dryRun)

    def restore(self, kind: Kind, entity_id: str) -> Json:
        """Undo a soft delete."""
        with self._store.write() as rows:
            entity = rows.existing(kind.type, Key("id", entity_id), "deleted")
            restored = self._restored(rows, kind, entity)
            return self._shown(rows, kind, restored, kind.fields)

    def _deleted(self, rows: Rows, kind: Kind, entity: Entity, hard: bool, recursive: bool) -> Json:
        children = self._children(rows, kind, entity, "all" if hard else "non-deleted")
        if children and not recursive:
            raise Refused(400, f"{kind.type} {entity.fqn} is not empty")
        if kind.type == "dashboard":
            children = self._charts_only_of(rows, entity)
        for child in children:
            if hard:
                rows.delete(child.id)
            elif not child.deleted:
                self._touch(rows, replace(child, deleted=True))
        if not hard and not entity.deleted:
            entity = self._touch(rows, replace(entity, deleted=True))
        shown = self._shown(rows, kind, entity, frozenset())
        if hard:
            rows.delete(entity.id)
        return {**shown, "deleted": True}

    def _shown(self, rows: Rows, kind: Kind, entity: Entity, wanted: frozenset[str]) -> Json:
        return show(rows, kind, [entity], wanted, masked=not self._policy.bot)[0]

    def _place(self, rows: Rows, kind: Kind, request: Any) -> tuple[Entity | None, str]:
        """The container a request names, and the fully qualified name it makes."""
        if not kind.ancestors:
            return None, quote_name(request.name)
        container, container_type = kind.ancestors[-1]
        name = getattr(request, container)
        if kind.type == "tag" and request.parent is not None:
            parent = rows.existing("tag", Key("name", request.parent), "non-deleted")
        elif name is None:
            raise Refused(400, f"[{container}: must not be null]")
        else:
            parent = rows.existing(container_type, Key("name", name), "non-deleted")
        fqn = parent.fqn if kind.level is None else join_fqn(parent.fqn, kind.level)
        return parent, join_fqn(fqn, request.name)

    def _content(self, rows: Rows, kind: Kind, request: Wire, fqn: str) -> Content:
        """The request with its references resolved and its labels checked."""
        fields = request.model_dump(mode="json", exclude_none=True)
        service_type = fields.get("serviceType")
        if kind.type == "dashboardService" and (
            service_type not in DASHBOARD_SERVICE_TYPES
            or (service_type == "Hex" and not self._policy.release.knows_hex)
        ):
            raise Refused(400, f"serviceType: Cannot deserialize value {service_type!r}")
        for field, entity_type in _UNSUPPORTED.items():
            for missing in fields.pop(field, ()):
                raise not_found(entity_type, missing)
        self._check_extension(rows, kind, fields.get("extension") or {})
        for name in _NOT_STORED:
            fields.pop(name, None)
        links = {
            name: self._targets(rows, link, fields.pop(name, ()))
            for name, link in kind.links.items()
        }
        if "tags" in fields:
            fields["tags"] = self._labels(rows, fields["tags"])
        if "columns" in fields:
            fields["columns"] = named_columns(fqn, self._labelled(rows, fields["columns"]))
        content = Content(fields, links)
        self._check_exclusive(rows, content)
        return content

    def _check_extension(self, rows: Rows, kind: Kind, extension: Json) -> None:
        described = rows.find("type", kind.type)
        properties = described.document["customProperties"] if described else []
        known = {one["name"]: one["propertyType"]["name"] for one in properties}
        for name, value in extension.items():
            if name not in known:
                raise Refused(400, f"Unknown custom field {name}")
            kinds = {"integer": (int,), "number": (int, float)}.get(known[name], (str,))
            if isinstance(value, bool) or not isinstance(value, kinds):
                raise Refused(400, f"Custom field {name} has invalid JSON")

    def add_property(self, type_id: str, body: Any) -> Json:
        """Add a custom property to a type of entity, or replace the one of its name."""
        request = parse(CustomProperty, body)
        with self._store.write() as rows:
            described = rows.existing("type", Key("id", type_id), "non-deleted")
            field = rows.existing("type", Key("id", str(request.propertyType.id)), "non-deleted")
            if field.document["category"] != "field":
                raise Refused(400, f"{field.name} is no type of a property")
            told = request.model_dump(mode="json", exclude_none=True)
            told["propertyType"] = {"id": field.id, "type": "type", "name": field.name}
            others = [
                one for one in described.document["customProperties"] if one["name"] != request.name
            ]
            document = {**described.document, "customProperties": [*others, told]}
            changed = self._touch(rows, replace(described, document=document))
            return {**changed.document, "id": changed.id, "name": changed.name}

    def _targets(self, rows: Rows, link: Link, values: Sequence[Any]) -> list[str]:
        if link.by_name:
            (entity_type,) = link.types
            found = rows.by_fqns(entity_type, values)
            for fqn in values:
                if fqn not in found or found[fqn].deleted:
                    raise not_found(entity_type, fqn)
            return list(dict.fromkeys(found[fqn].id for fqn in values))
        return self._referred(rows, link, values, known=())

    def _referred(self, rows: Rows, link: Link, references: Any, known: Sequence[str]) -> list[str]:
        ids: list[str] = []
        for reference in references:
            entity_type, entity_id = reference["type"], str(reference["id"])
            if entity_type not in link.types:
                raise Refused(400, f"{link.relation} cannot refer to a {entity_type}")
            if entity_id not in known and rows.get(entity_type, entity_id, "non-deleted") is None:
                raise not_found(entity_type, entity_id)
            ids.append(entity_id)
        return list(dict.fromkeys(ids))

    def _patched_link(
        self, rows: Rows, link: Link, references: Any, stored: Sequence[str]
    ) -> list[str]:
        try:
            return self._referred(rows, link, references or (), stored)
        except (KeyError, TypeError) as error:
            raise Refused(400, f"{link.relation} takes references with id and type") from error

    def _labels(self, rows: Rows, labels: Iterable[Json]) -> list[Json]:
        """The labels with the names and texts of their tags; a repeated tag counts once."""
        by_fqn = {label["tagFQN"]: label for label in labels}
        found = rows.by_fqns("tag", by_fqn)
        complete: list[Json] = []
        for fqn in sorted(by_fqn):
            entity_type = "tag" if by_fqn[fqn]["source"] == "Classification" else "glossaryTerm"
            tag = found.get(fqn)
            if entity_type != "tag" or tag is None or tag.deleted:
                raise not_found(entity_type, fqn)
            texts: Json = {
                name: tag.document[name]
                for name in ("displayName", "description", "style")
                if name in tag.document
            }
            complete.append({**by_fqn[fqn], "name": tag.name, **texts})
        return complete

    def _labelled(self, rows: Rows, columns: Iterable[Json]) -> list[Json]:
        labelled = []
        for column in columns:
            entry = {**column, "tags": self._labels(rows, column["tags"])}
            if "children" in column:
                entry["children"] = self._labelled(rows, column["children"])
            labelled.append(entry)
        return labelled

    def _check_exclusive(self, rows: Rows, content: Content) -> None:
        by_parent: dict[str, list[str]] = {}
        for label in content.fields.get("tags", ()):
            parts = split_fqn(label["tagFQN"])
            by_parent.setdefault(".".join(parts[:-1]), []).append(label["tagFQN"])
        for parent, labels in by_parent.items():
            owner = rows.find("classification", parent) or rows.find("tag", parent)
            if len(labels) > 1 and owner and owner.document.get("mutuallyExclusive"):
                raise Refused(
                    400,
                    f"Tag labels {labels[0]} and {labels[1]} are mutually exclusive"
                    " and can't be assigned together",
                )

    def _check_rename(self) -> None:
        if not self._policy.may_rename:
            raise Refused(
                403,
                f"Principal: CatalogPrincipal{{name='{self._policy.caller}'}}"
                " operations [EditDisplayName] not allowed",
            )

    def _created(
        self,
        rows: Rows,
        kind: Kind,
        name: str,
        fqn: str,
        parent: Entity | None,
        content: Content,
    ) -> Json:
        document = dict(content.fields)
        if parent is not None and "serviceType" in parent.document:
            document["serviceType"] = parent.document["serviceType"]
        entity = Entity(str(uuid4()), kind.type, name, fqn, False, {**document, **self._stamp(0.1)})
        rows.save(entity)
        self._refer(rows, kind, entity.id, content.links)
        return self._shown(rows, kind, entity, kind.fields)

    def _saved(
        self, rows: Rows, kind: Kind, entity: Entity, stored: Content, content: Content
    ) -> Json:
        if content.differs(stored):
            kept = {name: value for name, value in entity.document.items() if name in _BASE_FIELDS}
            entity = self._touch(rows, replace(entity, document={**content.fields, **kept}))
            self._refer(rows, kind, entity.id, content.links)
        return self._shown(rows, kind, entity, kind.fields)

    def _touch(self, rows: Rows, entity: Entity) -> Entity:
        """Save the changed entity under its next version."""
        version = round(entity.document["version"] + 0.1, 1)
        touched = replace(entity, document={**entity.document, **self._stamp(version)})
        rows.save(touched)
        return touched

    def _stamp(self, version: float) -> Json:
        return {
            "version": version,
            "updatedAt": int(self._clock() * 1000),
            "updatedBy": self._policy.caller,
        }

    def _refer(
        self, rows: Rows, kind: Kind, entity_id: str, links: Mapping[str, Sequence[str]]
    ) -> None:
        for name, link in kind.links.items():
            rows.refer(link.relation, entity_id, links[name], link.backwards)

    def _stored(self, rows: Rows, kind: Kind, entity: Entity) -> Content:
        fields = {
            name: value for name, value in entity.document.items() if name not in _BASE_FIELDS
        }
        links = {
            name: rows.references(link.relation, [entity.id], link.backwards)[entity.id]
            for name, link in kind.links.items()
        }
        return Content(fields, links)

    def _unchanged(self, kind: Kind, fqn: str, row: Json) -> bool:
        with self._store.read() as rows:
            entity = rows.find(kind.type, fqn, "non-deleted")
        source_hash = row.get("sourceHash")
        if entity is None or not source_hash:
            return False
        return bool(entity.document.get("sourceHash") == source_hash)

    def _children(self, rows: Rows, kind: Kind, entity: Entity, include: Include) -> list[Entity]:
        return [
            child
            for child_type in kind.children
            for child in rows.listed(child_type, below=[entity.fqn], include=include)
        ]

    def _charts_only_of(self, rows: Rows, dashboard: Entity) -> list[Entity]:
        charts = rows.references("charts", [dashboard.id])[dashboard.id]
        users = rows.references("charts", charts, backwards=True)
        dashboards = rows.by_ids({one for ids in users.values() for one in ids})
        found = rows.by_ids(charts)
        return [
            found[chart]
            for chart in charts
            if all(one == dashboard.id or dashboards[one].deleted for one in users[chart])
        ]

    def _restored(self, rows: Rows, kind: Kind, entity: Entity) -> Entity:
        """The entity live again, and with it what went with it.

        The charts of a dashboard come back unless another dashboard that shows them is deleted.
        """
        children = self._children(rows, kind, entity, "deleted")
        restored = self._touch(rows, replace(entity, deleted=False))
        if kind.type == "dashboard":
            charts = rows.references("charts", [entity.id])[entity.id]
            users = rows.references("charts", charts, backwards=True)
            dashboards = rows.by_ids({one for ids in users.values() for one in ids})
            children = [
                chart
                for chart in rows.by_ids(charts).values()
                if chart.deleted and not any(dashboards[one].deleted for one in users[chart.id])
            ]
        for child in children:
            self._touch(rows, replace(child, deleted=False))
        return restored


def _bare(fqn: str) -> tuple[str, ...]:
    """The names in a fully qualified name, whether or not they needed their quotes."""
    return tuple(part.strip('"') for part in split_fqn(fqn))


def _bulk_result(passed: list[Json], failed: list[Json], *, dry_run: bool = False) -> Json:
    status = "success" if not failed else "partialSuccess" if passed else "failure"
    return {
        "dryRun": dry_run,
        "status": status,
        "numberOfRowsProcessed": len(passed) + len(failed),
        "numberOfRowsPassed": len(passed),
        "numberOfRowsFailed": len(failed),
        "successRequest": passed,
        "failedRequest": failed,
    }


def _request_model(kind: Kind) -> type[Wire]:
    if kind.request is None:
        raise Refused(405, "HTTP 405 Method Not Allowed")
    return kind.request


def _parsed(kind: Kind, body: Any) -> Any:
    return parse(_request_model(kind), body)


def _row_label(kind: Kind, row: Json) -> str:
    """The fully qualified name a bulk row makes, or what it says of it."""
    parts = [row.get("service"), kind.level, row.get("name")]
    try:
        return ".".join(quote_name(part) for part in parts if part)
    except Refused:
        return str(row.get("name"))
