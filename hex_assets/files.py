"""Writing files and objects whole."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from upath import UPath


def write_whole(path: UPath, content: bytes) -> None:
    """Write so that a reader sees the old content or the new, never a part.

    A local file is written beside its place and renamed; object stores make an object visible
    only when its upload is complete.
    """
    if path.protocol in ("", "file"):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        draft.write_bytes(content)
        draft.replace(path)
    else:
        path.write_bytes(content)
