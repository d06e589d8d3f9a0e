"""The stored copy of what was read of each project, so that nothing is asked twice.

Each answer is stored the moment it comes, as a small file of its own beside one large file; the
large one takes the small ones in now and then. A kill at any moment loses at most the answer
under way. Where two runs of one workspace overlap, the copy read last wins.
"""

from __future__ import annotations

import gzip
import json
import uuid
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from upath import UPath

from hex_assets.files import write_whole

Kind = Literal["cells", "queried_tables", "runs"]

KINDS: tuple[Kind, ...] = ("cells", "queried_tables", "runs")
"""In the order of their worth, in which they are read."""

_VERSION = 1
"""Of the stored shape; a copy of another version counts as never read."""

_PARTS_AT_MOST = 200


@dataclass(frozen=True)
class Detail:
    """What one answer (or a few pages) said about one project.

    Attributes:
        mark: what the listing said of the project at that time, see ``incremental.mark_of``.
        read_at: UTC.
        version: ``published`` or ``draft`` for cells.
        rows: of the frame that the kind belongs to; instants as ISO 8601 text. SQL is masked.
        imports: rows of ``HEX_COMPONENT_IMPORTS``, for cells.
        malformed: one sentence for each part that was left out as unreadable.
        inlined: whether cells of imported components stand among the rows.
    """

    project_id: str
    kind: Kind
    mark: str
    read_at: datetime
    rows: tuple[dict[str, Any], ...]
    version: str | None = None
    imports: tuple[dict[str, Any], ...] = ()
    malformed: tuple[str, ...] = ()
    inlined: bool = False

    @property
    def key(self) -> tuple[str, Kind]:
        return self.project_id, self.kind


Details = dict[tuple[str, Kind], Detail]


class StoredDetails:
    """The stored copy of one workspace.

    Args:
        folder: of this workspace alone; local or in an object store.
    """

    def __init__(self, folder: UPath) -> None:
        self._whole = folder / f"details.v{_VERSION}.jsonl.gz"
        self._folder = folder / f"parts.v{_VERSION}"
        self._details: Details = {}
        self._parts: list[UPath] = []
        for path in [self._whole, *self._listed()]:
            for detail in _read(path):
                known = self._details.get(detail.key)
                if known is None or known.read_at <= detail.read_at:
                    self._details[detail.key] = detail

    @property
    def details(self) -> Details:
        """By project and kind."""
        return dict(self._details)

    def put(self, detail: Detail) -> None:
        """Store one answer."""
        part = self._folder / f"{uuid.uuid4().hex}.json.gz"
        write_whole(part, _encoded([detail]))
        self._parts.append(part)
        # Not by its time: the clock may have been ahead when the other copy was read.
        self._details[detail.key] = detail
        if len(self._parts) >= _PARTS_AT_MOST:
            self._compact()

    def keep(self, project_ids: Iterable[str]) -> None:
        """Forget all other projects, and take the small files into the large one.

        Only after a complete listing: what is forgotten must be read again if it comes back.
        """
        wanted = set(project_ids)
        gone = [key for key in self._details if key[0] not in wanted]
        for key in gone:
            del self._details[key]
        if gone or self._parts:
            self._compact()

    def compact(self) -> None:
        """Take the small files into the large one."""
        if self._parts:
            self._compact()

    def _compact(self) -> None:
        write_whole(self._whole, _encoded(self._details.values()))
        for part in self._parts:
            part.unlink(missing_ok=True)
        self._parts.clear()

    def _listed(self) -> list[UPath]:
        if self._folder.exists():
            self._parts = sorted(
                (path for path in self._folder.iterdir() if not path.name.startswith(".")),
                key=str,
            )
        return list(self._parts)


def _encoded(details: Iterable[Detail]) -> bytes:
    lines = (json.dumps(vars(detail), default=datetime.isoformat) for detail in details)
    return gzip.compress("\n".join(lines).encode(), compresslevel=3, mtime=0)


def _read(path: UPath) -> list[Detail]:
    """The details of a file; a file that is gone or damaged holds none, so they are read anew."""
    try:
        text = gzip.decompress(path.read_bytes()).decode()
        return [_decoded(json.loads(line)) for line in text.splitlines()]
    except (
        FileNotFoundError,
        gzip.BadGzipFile,
        EOFError,
        zlib.error,
        ValueError,
        TypeError,
        KeyError,
    ):
        return []


def _decoded(fields: dict[str, Any]) -> Detail:
    return Detail(
        **{
            **fields,
            "read_at": datetime.fromisoformat(fields["read_at"]),
            "rows": tuple(fields["rows"]),
            "imports": tuple(fields["imports"]),
            "malformed": tuple(fields["malformed"]),
        }
    )
