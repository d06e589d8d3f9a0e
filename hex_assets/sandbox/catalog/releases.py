"""The releases of OpenMetadata that the catalog can behave like."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Release:
    """How a release of OpenMetadata behaves, where releases differ.

    Attributes:
        version: what it says it is.
        bot_may_rename: bots may change ``displayName``; since about 1.8 the seeded
            ``IngestionBotPolicy`` denies it.
        knows_hex: ``Hex`` is a dashboard ``serviceType``; else it is refused with 400.
        refuse_unknown_columns: column lineage that names no column is refused with 400 instead of
            dropped without a word, as since 2.0.
        bulk: PUT ``/bulk`` is served (since about 1.11); else 405.
        delete_stale: DELETE ``/deleteStale`` is served (since 2.0); else 404.
        array_statuses: ``pipelineStatuses`` is a list, as since 2.0, not only the latest.
    """

    version: str
    bot_may_rename: bool
    knows_hex: bool
    refuse_unknown_columns: bool
    bulk: bool
    delete_stale: bool
    array_statuses: bool


OPENMETADATA_1_6 = Release(
    version="1.6.9",
    bot_may_rename=True,
    knows_hex=False,
    refuse_unknown_columns=True,
    bulk=False,
    delete_stale=False,
    array_statuses=False,
)
OPENMETADATA_2_0 = Release(
    version="2.0.7",
    bot_may_rename=False,
    knows_hex=True,
    refuse_unknown_columns=False,
    bulk=True,
    delete_stale=True,
    array_statuses=True,
)
