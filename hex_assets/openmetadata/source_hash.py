"""What Hex said when a dashboard was published last, kept in the dashboard's own ``sourceHash``.

OpenMetadata does not say who wrote a title, a description or an owner. With a digest of what we
wrote, ours and theirs can be told apart: what still has our digest is ours and follows Hex, and
anything else was written by somebody else and stays. The field is opaque to OpenMetadata, is
replaced by every PUT together with the values it describes, and holds at most 32 characters.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass

_MARK = "ha1-"
_DIGEST = 7
_FORMAT = re.compile(rf"{_MARK}([a-z2-7]{{{4 * _DIGEST}}})")


def digest(text: str | None) -> str:
    """35 bits of SHA-256 in base 32; no text and an empty text are the same."""
    whole = base64.b32encode(hashlib.sha256((text or "").encode()).digest())
    return whole[:_DIGEST].decode().lower()


@dataclass(frozen=True)
class SourceHash:
    """Digests of the values that Hex had, whether or not OpenMetadata took them.

    Attributes:
        owner: of the owner's id in OpenMetadata.
        life_cycle: of the instants of creation and last edit and of the day of the last view.
    """

    title: str
    description: str
    owner: str
    life_cycle: str

    def __str__(self) -> str:
        return f"{_MARK}{self.title}{self.description}{self.owner}{self.life_cycle}"

    @classmethod
    def parse(cls, text: str | None) -> SourceHash | None:
        """None for a dashboard that we have not published, for example OpenMetadata's connector."""
        found = _FORMAT.fullmatch(text or "")
        if found is None:
            return None
        title, description, owner, life_cycle = re.findall(f".{{{_DIGEST}}}", found[1])
        return cls(title, description, owner, life_cycle)
