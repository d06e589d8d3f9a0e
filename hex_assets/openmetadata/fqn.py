"""OpenMetadata's fully qualified names, and names that its naming rule forbids."""

from __future__ import annotations

import hashlib
import re

_PART = re.compile(r'"([^"]+)"|([^".]+)')

_RESERVED = {
    "::": "__reserved__colon__",
    ">": "__reserved__arrow__",
    '"': "__reserved__quote__",
    "\n": "__reserved__newline__",
    "\r": "__reserved__carriage_return__",
    "\t": "__reserved__tab__",
}
_CONTROL = re.compile(r"[\x00-\x1f]")

LONGEST_NAME = 256
_KEPT_OF_LONG_NAME = 100
"""Code points kept of a longer name; OpenMetadata counts UTF-16 units, at most two for each."""


def split(fqn: str) -> list[str]:
    """The parts of a fully qualified name, unquoted.

    Raises:
        ValueError: a part is empty, or its quotes are not balanced.
    """
    parts, position = [], 0
    while True:
        part = _PART.match(fqn, position)
        if part is None:
            raise ValueError(f"not a fully qualified name: {fqn}")
        parts.append(part[1] or part[2])
        position = part.end()
        if position == len(fqn):
            return parts
        if fqn[position] != ".":
            raise ValueError(f"not a fully qualified name: {fqn}")
        position += 1


def quote(name: str) -> str:
    """One part of a fully qualified name: in quotes if, and only if, it contains a dot.

    Raises:
        ValueError: the name is empty or contains a quote, which ``encode`` replaces.
    """
    if not name or '"' in name:
        raise ValueError(f"not the name of an entity: {name}")
    return f'"{name}"' if "." in name else name


def join(*parts: str) -> str:
    """The fully qualified name of unquoted parts."""
    return ".".join(quote(part) for part in parts)


def below(parent: str, name: str) -> str:
    """The fully qualified name of an entity of any name, below one that is qualified already."""
    return f"{parent}.{quote(encode(name))}"


def encode(name: str) -> str:
    """A name that every OpenMetadata version accepts.

    Since 2.0 entity names may hold neither ``::`` nor ``>`` nor quotes nor control characters.
    The replacements are those of OpenMetadata's ingestion framework, so both find the same
    entity. A name above 256 characters is cut and made unique by a digest.
    """
    encoded = name
    for text, reserved in _RESERVED.items():
        encoded = encoded.replace(text, reserved)
    encoded = _CONTROL.sub(" ", encoded)
    if len(encoded.encode("utf-16-le")) // 2 <= LONGEST_NAME:
        return encoded
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{encoded[:_KEPT_OF_LONG_NAME]} {digest}"


def decode(name: str) -> str:
    """The name before ``encode``, as the warehouse or Hex spells it."""
    for text, reserved in _RESERVED.items():
        name = name.replace(reserved, text)
    return name
