"""The entities that should be in OpenMetadata, as a plan compares them with those that are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hex_assets.openmetadata import fqn
from hex_assets.openmetadata.properties import Value


@dataclass(frozen=True)
class DesiredTag:
    """A tag; ``name`` is encoded, ``display_name`` as in Hex."""

    classification: str
    name: str
    display_name: str
    description: str

    @property
    def fqn(self) -> str:
        return fqn.join(self.classification, self.name)


@dataclass(frozen=True)
class LifeCycle:
    """Instants in milliseconds since 1970; None when unknown or never."""

    created: int | None = None
    updated: int | None = None
    accessed: int | None = None

    def events(self) -> dict[str, Any]:
        """The request's ``lifeCycle``."""
        events = {"created": self.created, "updated": self.updated, "accessed": self.accessed}
        return {name: {"timestamp": at} for name, at in events.items() if at is not None}

    def significant(self) -> str:
        """What has to change for the dashboard to be written again.

        A later view on the same day is not worth another version of the dashboard.
        """
        day = None if self.accessed is None else self.accessed // (24 * 60 * 60 * 1000)
        return f"{self.created} {self.updated} {day}"


@dataclass(frozen=True)
class DesiredEntity:
    """What Hex says of something that is published.

    Attributes:
        name: in OpenMetadata, before it is encoded.
        owner_email: owner, else creator; None when Hex names neither.
        url: page in Hex; None when unknown.
        tags: fully qualified names of tags in our classifications, sorted.
    """

    name: str
    title: str
    description: str | None = None
    owner_email: str | None = None
    url: str | None = None
    tags: tuple[str, ...] = ()
    life_cycle: LifeCycle = LifeCycle()


@dataclass(frozen=True)
class DesiredDashboard(DesiredEntity):
    """A Hex project; its name is the project's id in lower case.

    Attributes:
        charts: names of the charts of ours that are linked to it, sorted.
        properties: its custom properties, None for one it is not to have; empty to leave all.
    """

    charts: tuple[str, ...] = ()
    properties: Mapping[str, Value | None] = field(default_factory=dict)


@dataclass(frozen=True)
class DesiredChart(DesiredEntity):
    """A component, named by its id, or a SQL cell, named ``<project id>-<cell id>``."""

    chart_type: str = "Other"


@dataclass(frozen=True)
class DesiredEdge:
    """Lineage from a table to the dashboard of a project.

    Attributes:
        description: which evidence shows it, and that it is ours.
        statements: masked statements that show it, the best first.
        columns: fully qualified names of the columns read, by the name of the chart that reads
            them.
    """

    project_id: str
    table_id: str
    table_fqn: str
    description: str
    statements: tuple[str, ...] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Desired:
    """Everything that should be in OpenMetadata for one workspace.

    Attributes:
        service: name of the dashboard service.
        charts: components, and cells with lineage.
        dashboards: live projects within the filters.
        not_published: why any other project of Hex has no dashboard.
        leaving: which of those are to be deleted: the archived and trashed ones, and dashboards
            of what is a component now.
    """

    service: str
    tags: tuple[DesiredTag, ...] = ()
    dashboards: tuple[DesiredDashboard, ...] = ()
    edges: tuple[DesiredEdge, ...] = ()
    not_published: Mapping[str, str] = field(default_factory=dict)
    leaving: frozenset[str] = frozenset()
    charts: tuple[DesiredChart, ...] = ()

    def fqn_of(self, name: str) -> str:
        """Of a dashboard or chart of the service."""
        return fqn.below(fqn.quote(self.service), name)
