"""From a client library's error to one message that says what mends it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from hex_assets.errors import WarehouseError

_LONGEST_QUOTE = 300


@dataclass(frozen=True)
class Fault:
    """A failure that users can mend.

    Attributes:
        pattern: what the client's error number, SQL state and text hold.
        problem: what is wrong; a format string.
        hint: what mends it; a format string.
        transient: whether it may be gone next time.
    """

    pattern: re.Pattern[str]
    problem: str
    hint: str
    transient: bool = False


def fault(pattern: str, problem: str, hint: str, transient: bool = False) -> Fault:
    """A fault told by a pattern, in which letter case does not count."""
    return Fault(re.compile(pattern, re.IGNORECASE), problem, hint, transient)


def translated(
    service: str,
    text: str,
    faults: Sequence[Fault],
    names: Mapping[str, str],
    secrets: Iterable[Any],
    unknown: tuple[str, str],
) -> WarehouseError:
    """The first fault that fits as an error.

    Args:
        service: OpenMetadata name of the database service.
        text: all that the client says of the error.
        faults: known failures, the more specific first.
        names: what their texts name.
        secrets: values (``SecretStr``, or text; anything else is passed over) that must not be
            quoted.
        unknown: problem and hint when none fits; to the problem the quoted text is added.
    """
    known = next((one for one in faults if one.pattern.search(text)), None)
    if known is None:
        problem, hint = unknown
        return WarehouseError(service, f"{problem}: {without_secrets(text, secrets)}", hint)
    return WarehouseError(
        service,
        known.problem.format_map(names),
        known.hint.format_map(names),
        transient=known.transient,
    )


def without_secrets(text: str, secrets: Iterable[Any]) -> str:
    """The text on one line, cut, with every secret replaced."""
    values = (
        one.get_secret_value() if isinstance(one, SecretStr) else one
        for one in secrets
        if isinstance(one, SecretStr | str)
    )
    for value in sorted(filter(None, values), key=len, reverse=True):
        text = text.replace(value, "***")
    return " ".join(text.split())[:_LONGEST_QUOTE]


def unknown_argument(service: str, error: TypeError) -> WarehouseError:
    """What a client says of an argument that it does not know; it names it, not its value."""
    return WarehouseError(
        service,
        f"connectionArguments do not fit the client library: {without_secrets(str(error), ())}",
        "Correct or remove the argument that is named",
    )
