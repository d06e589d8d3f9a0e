"""AWS as OpenMetadata's ``awsConfig`` describes it: credentials, an assumed role, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import Field

from hex_assets.errors import MissingExtra, WarehouseError
from hex_assets.section import Secret, Section, no_effect


class AwsCredentials(Section):
    """``awsConfig``: how to log in to AWS; without keys and profile, boto3's default chain does."""

    aws_region: str = Field(min_length=1, description="Region, for example eu-west-1.")
    aws_access_key_id: str | None = Field(default=None, description="Access key id.")
    aws_secret_access_key: Secret | None = Field(default=None, description="Secret access key.")
    aws_session_token: Secret | None = Field(default=None, description="Session token.")
    end_point_url: str | None = Field(
        default=None, alias="endPointURL", description="Endpoint of the service, if not AWS's own."
    )
    profile_name: str | None = Field(
        default=None, description="Profile of the AWS configuration files."
    )
    assume_role_arn: str | None = Field(default=None, description="ARN of a role to assume.")
    assume_role_session_name: str = Field(
        default="hex-assets", description="Name of the assumed role's session."
    )
    assume_role_source_identity: str | None = Field(
        default=None, description="Source identity of the assumed role's session."
    )

    enabled: bool = no_effect(False, "The default chain is used whenever no key is given.")

    def secrets(self) -> tuple[Any, ...]:
        """What must not be quoted."""
        return (self.aws_access_key_id, self.aws_secret_access_key, self.aws_session_token)

    def session(self, service: str) -> Any:
        """A boto3 session; an assumed role is renewed for as long as it is used.

        Args:
            service: database service that it is for.

        Raises:
            MissingExtra: boto3 is not installed.
            botocore.exceptions.BotoCoreError: the profile does not exist.
        """
        try:
            import boto3
            from botocore.credentials import (
                AssumeRoleCredentialFetcher,
                DeferredRefreshableCredentials,
            )
            from botocore.session import Session
        except ImportError:
            raise MissingExtra(service, "aws") from None

        def revealed(secret: Secret | None) -> str | None:
            return secret.get_secret_value() if secret else None

        keys = {
            "aws_access_key_id": self.aws_access_key_id,
            "aws_secret_access_key": revealed(self.aws_secret_access_key),
            "aws_session_token": revealed(self.aws_session_token),
        }
        base = Session(profile=self.profile_name)
        base.set_config_variable("region", self.aws_region)
        if self.aws_access_key_id:
            base.set_credentials(*keys.values())
        if self.assume_role_arn is None:
            return boto3.Session(botocore_session=base, region_name=self.aws_region)
        extra = {"RoleSessionName": self.assume_role_session_name}
        if self.assume_role_source_identity:
            extra["SourceIdentity"] = self.assume_role_source_identity
        fetcher = AssumeRoleCredentialFetcher(
            base.create_client, base.get_credentials(), self.assume_role_arn, extra_args=extra
        )
        assumed = Session()
        assumed.register_component(
            "credential_provider",
            _Always(DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")),
        )
        return boto3.Session(botocore_session=assumed, region_name=self.aws_region)


class _Always:
    """A botocore credential provider of one answer."""

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials

    def load_credentials(self) -> Any:
        return self._credentials


@contextmanager
def aws_errors(service: str) -> Iterator[None]:
    """AWS's refusals as ours; their texts name accounts and roles, never keys."""
    try:
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise MissingExtra(service, "aws") from None
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


def rds_password(credentials: AwsCredentials, service: str, host: str, port: int, user: str) -> str:
    """The token that takes the place of a database user's password on RDS and Aurora.

    Raises:
        MissingExtra: boto3 is not installed.
        WarehouseError: the credentials do not serve.
    """
    with aws_errors(service):
        client = credentials.session(service).client("rds")
        return str(client.generate_db_auth_token(host, port, user))
