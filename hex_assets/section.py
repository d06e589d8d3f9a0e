"""What every section of a recipe shares: strictness, spelling of keys, and the types of values."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    model_validator,
)
from pydantic.alias_generators import to_camel
from typing_extensions import Self

from hex_assets.openmetadata import fqn

_DROP_UNKNOWN: Mapping[str, Any] = MappingProxyType({})
"""Context of a validation, told by its identity."""


class Section(BaseModel):
    """One mapping of the YAML.

    Unknown keys are errors, as in ``metadata ingest``; keys are camelCase in YAML, attributes are
    snake_case. A key without value (null) counts as absent, so that it gets its default.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        hide_input_in_errors=True,
    )

    @classmethod
    def of_another_version(cls, data: Any) -> Self:
        """A section that OpenMetadata stores, whose version may know keys that are unknown here.

        Those are left out, at any depth.

        Raises:
            ValidationError: what is known of it has mistakes.
        """
        return cls.model_validate(data, context=_DROP_UNKNOWN, by_alias=True, by_name=False)

    @model_validator(mode="before")
    @classmethod
    def _drop_empty_keys(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, dict):
            return data
        if info.context is _DROP_UNKNOWN:
            known = {field.alias for field in cls.model_fields.values()}
            data = {key: value for key, value in data.items() if key in known}
        optional = {
            name
            for attribute, field in cls.model_fields.items()
            if not field.is_required()
            for name in (attribute, field.alias)
        }
        return {
            key: value for key, value in data.items() if value is not None or key not in optional
        }


def no_effect(default: Any, why: str = "") -> Any:
    """A key that OpenMetadata accepts and that changes nothing here."""
    text = "No effect here; accepted because OpenMetadata accepts it."
    return Field(default, description=f"{text} {why}".rstrip(), repr=False)


def free_form(description: str) -> Any:
    """A mapping with keys of any name; kept out of ``repr`` because it may hold secrets."""
    return Field(default_factory=dict, description=description, repr=False)


def _secret(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text.strip():
        raise ValueError("must not be empty")
    if text.startswith("secret:"):
        raise ValueError(
            "refers to OpenMetadata's secrets manager, which is not read here; "
            "give the secret itself as ${VARIABLE}"
        )
    return value


def header_text(value: SecretStr) -> SecretStr:
    """The secret without surrounding white space, fit for an HTTP header.

    Raises:
        ValueError: it has white space or characters outside ASCII inside.
    """
    text = value.get_secret_value().strip()
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("has white space or characters that no token has; copy the token again")
    return SecretStr(text)


Secret = Annotated[SecretStr, AfterValidator(_secret)]
Token = Annotated[SecretStr, AfterValidator(_secret), AfterValidator(header_text)]


def _web_address(value: str) -> str:
    try:
        parts = urlsplit(value.strip())
        # `port` is parsed when read, and raises for what is no port.
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
        parts = urlsplit("")
    if not usable:
        raise ValueError("must be an http:// or https:// address")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user name or password; they would show up in logs")
    return value.strip().rstrip("/")


WebAddress = Annotated[str, AfterValidator(_web_address)]


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    with warnings.catch_warnings():
        # Python warns about patterns that a later version may read differently.
        warnings.simplefilter("ignore")
        return re.compile(pattern, re.IGNORECASE)


def _regular_expression(pattern: str) -> str:
    try:
        _compiled(pattern)
    except re.error as error:
        at = "" if error.pos is None else f" (see character {error.pos + 1})"
        raise ValueError(f"is not a valid regular expression{at}") from None
    except (OverflowError, RecursionError):
        raise ValueError("is a regular expression too large to compile") from None
    return pattern


RegularExpression = Annotated[str, AfterValidator(_regular_expression)]


_LEVELS_ABOVE_TABLES = 3


def _prefix(value: str) -> str:
    try:
        usable = len(fqn.split(value)) <= _LEVELS_ABOVE_TABLES
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(
            "must be service, service.database or service.database.schema, with a name that "
            "holds a dot in double quotes"
        )
    return value


Prefix = Annotated[str, AfterValidator(_prefix)]


class FilterPattern(Section):
    """Which names to keep, by regular expressions.

    As in OpenMetadata, an expression matches from the start of the name, ignoring case, and need
    not reach its end.
    """

    includes: list[RegularExpression] = Field(
        default_factory=list, description="Keep only names that match one of these; empty: all."
    )
    excludes: list[RegularExpression] = Field(
        default_factory=list, description="Drop names that match one of these, even if included."
    )

    def keeps(self, name: str) -> bool:
        """Whether a name passes. An empty name never does (OpenMetadata, utils/filters.py)."""
        if not name:
            return False
        included = not self.includes or any(_compiled(i).match(name) for i in self.includes)
        return included and not any(_compiled(e).match(name) for e in self.excludes)
