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

from hex_assets.errors import MissingExtra, WarehouseError
from hex_assets.section import Secret, Section, free_form, no_effect

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


class AwsCredentials(Section):
    """OpenMetadata's ``awsConfig``; without keys, the usual chain of AWS's own clients counts."""

    aws_region: str = Field(min_length=1, description="AWS region.")
    aws_access_key_id: str | None = Field(default=None, description="Access key id.")
    aws_secret_access_key: Secret | None = Field(default=None, description="Secret access key.")
    aws_session_token: Secret | None = Field(default=None, description="Session token.")
    profile_name: str | None = Field(default=None, description="Profile of the AWS config files.")
    assume_role_arn: str | None = Field(default=None, description="Role to assume.")
    assume_role_session_name: str = Field(
        default="hex-assets", description="Name of the session of the assumed role."
    )
    assume_role_source_identity: str | None = Field(
        default=None, description="Source identity of the session of the assumed role."
    )
    end_point_url: str | None = Field(
        default=None, alias="endPointURL", description="Address of the AWS API, if not AWS's own."
    )
    enabled: bool = no_effect(False)

    def session(self, service: str) -> Any:
        """A boto3 session with these credentials, the role assumed.

        Raises:
            MissingExtra: boto3 is not installed.
            WarehouseError: the credentials do not serve.
        """
        try:
            import boto3
        except ImportError:
            raise MissingExtra(service, "aws") from None
        with aws_errors(service):
            session = boto3.Session(
                aws_access_key_id=self.aws_access_key_id,
                aws_secret_access_key=_plain(self.aws_secret_access_key),
                aws_session_token=_plain(self.aws_session_token),
                region_name=self.aws_region,
                profile_name=self.profile_name,
            )
            if self.assume_role_arn is None:
                return session
            role = {
                "RoleArn": self.assume_role_arn,
                "RoleSessionName": self.assume_role_session_name,
            }
            if self.assume_role_source_identity:
                role["SourceIdentity"] = self.assume_role_source_identity
            granted = session.client("sts").assume_role(**role)["Credentials"]
            return boto3.Session(
                aws_access_key_id=granted["AccessKeyId"],
                aws_secret_access_key=granted["SecretAccessKey"],
                aws_session_token=granted["SessionToken"],
                region_name=self.aws_region,
            )


@contextmanager
def aws_errors(service: str) -> Iterator[None]:
    """AWS's refusals as ours; their texts name accounts and roles, never keys."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        code = type(error).__name__
        if isinstance(error, ClientError):
            code = str(error.response.get("Error", {}).get("Code", code))
        raise WarehouseError(
            service,
            f"AWS gave no credentials for the database ({code})",
            "Check authType.awsConfig, and that its identity may assume the role and make "
            "database credentials (rds-db:connect, redshift:GetClusterCredentials or "
            "redshift-serverless:GetCredentials)",
        ) from None


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


def _plain(secret: Any) -> str | None:
    return None if secret is None else str(secret.get_secret_value())
