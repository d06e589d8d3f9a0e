"""What the sections of database servers share: address, login, TLS files and the row limit."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator
from typing_extensions import Self

from hex_assets.section import Secret, Section, free_form
from hex_assets.warehouse.aws import AwsCredentials

ROWS_PER_BATCH = 10_000
CONNECT_SECONDS = 15

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]

_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/@\[\]]+))(?::(\d{1,5}))?")


def _host_port(value: str) -> str:
    found = _ADDRESS.fullmatch(value.strip())
    if found is None or not 0 < int(found[3] or 1) < 65_536:
        raise ValueError("must be host or host:port, without a scheme")
    return value.strip()


HostPort = Annotated[str, AfterValidator(_host_port)]


def host_and_port(address: str, default_port: int) -> tuple[str, int]:
    """The parts of a ``HostPort``."""
    found = _ADDRESS.fullmatch(address)
    assert found is not None  # validated
    return found[1] or found[2], int(found[3] or default_port)


class AuthType(Section):
    """OpenMetadata's ``authType``: a password, or an identity of the cloud."""

    password: Secret | None = Field(default=None, description="Password; an access token too.")
    aws_config: AwsCredentials | None = Field(
        default=None, description="AWS identity that gets a short-lived password."
    )
    azure_config: dict[str, Any] = free_form("Not built; give an access token as password.")
    gcp_config: dict[str, Any] = free_form("Not built; give an access token as password.")
    enable_iam_auth: bool = Field(default=False, description="Not built; see gcpConfig.")

    @model_validator(mode="after")
    def _can_log_in(self) -> Self:
        if self.azure_config or self.enable_iam_auth:
            raise ValueError(
                "asks for a login by Azure or Google identity, which is not built; give a database "
                "password, or an access token as authType.password"
            )
        return self


class SslConfig(Section):
    """OpenMetadata's ``sslConfig``; each value is PEM text or the path of a PEM file."""

    ca_certificate: Secret | None = Field(default=None, description="Authority to trust.")
    ssl_certificate: Secret | None = Field(default=None, description="Certificate of ours.")
    ssl_key: Secret | None = Field(default=None, description="Key of that certificate.")

    @contextmanager
    def files(self) -> Iterator[dict[str, str]]:
        """Paths by ``ca``, ``cert`` and ``key`` of those that are given, while it lasts."""
        given = {"ca": self.ca_certificate, "cert": self.ssl_certificate, "key": self.ssl_key}
        paths = {}
        with tempfile.TemporaryDirectory(prefix="hex-assets-") as folder:
            for name, secret in given.items():
                if secret is None:
                    continue
                text = secret.get_secret_value().replace("\\n", "\n")
                if "-----BEGIN" not in text:
                    paths[name] = text
                    continue
                path = Path(folder, f"{name}.pem")
                path.touch(mode=0o600)
                path.write_text(text)
                paths[name] = str(path)
            yield paths


def naive(instant: Any) -> Any:
    """An instant as a date and time in UTC for sources that keep no zone; others as they are."""
    if isinstance(instant, datetime) and instant.tzinfo is not None:
        return instant.astimezone(timezone.utc).replace(tzinfo=None)
    return instant
