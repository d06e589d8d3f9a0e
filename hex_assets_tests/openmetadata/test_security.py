"""TLS as the recipe's ``verifySSL`` and ``sslConfig`` say, and a token that is renewed mid-run."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from hex_assets.connections import open_openmetadata
from hex_assets.errors import ConnectionFailed
from hex_assets.openmetadata.publish import Sources, publish
from hex_assets.recipe import Recipe, parse_recipe
from hex_assets.sandbox.catalog.app import create_catalog
from hex_assets.sandbox.faults import Fault, FaultInjector
from hex_assets.sandbox.server import serve
from hex_assets_tests.openmetadata.catalogs import JWT, Stage
from hex_assets_tests.openmetadata.workspaces import document, edges, project, projects


def recipe(url: str, jwt: str = JWT, **server: Any) -> Recipe:
    connection = {"hostPort": f"{url}/api", "securityConfig": {"jwtToken": jwt}, **server}
    written = document(connection, {"retry": {"attempts": 1}, "concurrency": 1})
    return parse_recipe(json.dumps(written), "recipe.json", {})


@dataclass(frozen=True)
class Https:
    """A catalog behind TLS that asks its clients for a certificate."""

    url: str
    authority: trustme.CA
    folder: Path

    def file(self, name: str, content: trustme.Blob) -> str:
        path = self.folder / name
        content.write_to_path(str(path))
        return str(path)


@pytest.fixture(scope="module", params=[False, True], ids=["server only", "mutual"])
def https(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Https]:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    here = authority.issue_cert("127.0.0.1")
    made = Https("", authority, folder)
    options: dict[str, Any] = {
        "ssl_certfile": made.file("server.pem", here.cert_chain_pems[0]),
        "ssl_keyfile": made.file("server.key", here.private_key_pem),
    }
    if request.param:
        options["ssl_ca_certs"] = made.file("ca.pem", authority.cert_pem)
        options["ssl_cert_reqs"] = ssl.CERT_REQUIRED
    with serve(create_catalog(folder / "catalog.sqlite", jwt=JWT), **options) as url:
        yield Https(url, authority, folder)


def ssl_config(https: Https, *, as_files: bool) -> dict[str, str]:
    """The company's authority, and a certificate of ours that it issued."""
    ours = https.authority.issue_cert("hex-assets@shop.example")
    pems = {
        "caCertificate": https.authority.cert_pem,
        "sslCertificate": ours.cert_chain_pems[0],
        "sslKey": ours.private_key_pem,
    }
    if as_files:
        return {key: https.file(f"{key}.pem", pem) for key, pem in pems.items()}
    return {key: pem.bytes().decode() for key, pem in pems.items()}


@pytest.mark.parametrize("as_files", [True, False], ids=["files", "texts"])
def test_the_companys_authority_and_our_certificate(https: Https, as_files: bool) -> None:
    given = recipe(https.url, verifySSL="validate", sslConfig=ssl_config(https, as_files=as_files))
    with open_openmetadata(given) as client:
        assert client.check() == "2.0.7"


def test_an_unknown_authority_is_refused_unless_told_to_ignore(https: Https) -> None:
    with (
        open_openmetadata(recipe(https.url)) as client,
        pytest.raises(ConnectionFailed, match="verifySSL"),
    ):
        client.check()
    ours = ssl_config(https, as_files=True)
    with open_openmetadata(recipe(https.url, verifySSL="ignore", sslConfig=ours)) as client:
        assert client.check() == "2.0.7"


def test_another_authority_than_the_servers_is_refused(https: Https) -> None:
    other = Https(https.url, trustme.CA(), https.folder)
    given = recipe(https.url, verifySSL="validate", sslConfig=ssl_config(other, as_files=False))
    with open_openmetadata(given) as client, pytest.raises(ConnectionFailed):
        client.check()


def test_a_token_that_is_renewed_during_the_run_is_read_anew(stage: Stage, tmp_path: Path) -> None:
    database, token = tmp_path / "catalog.sqlite", tmp_path / "token"
    token.write_text("the-first-token")
    with stage.catalog(database) as catalog:
        servers = {
            jwt: FaultInjector(create_catalog(database, jwt=jwt))
            for jwt in ("the-first-token", "the-second-token")
        }

        def renew() -> None:
            token.write_text("the-second-token\n")
            stage.serve(servers["the-second-token"])

        stage.serve(servers["the-first-token"])
        servers["the-first-token"].faults.append(Fault("PUT ", "act", act=renew))
        rows = projects(*(project(number) for number in range(5)))
        with open_openmetadata(recipe(catalog.url, str(token))) as client:
            publish(client, recipe(catalog.url, str(token)), Sources(rows, edges()))
        assert len(catalog.dashboards()) == 5
    assert servers["the-first-token"].requests
    assert servers["the-second-token"].writes()
