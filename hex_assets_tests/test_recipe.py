"""Recipes: what is accepted, what every mistake says, and that no secret leaves them."""

from __future__ import annotations

import datetime
import json
import re
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from hex_assets.errors import RecipeError
from hex_assets.recipe import (
    FilterPattern,
    HexAssetsSettings,
    OpenMetadataConnection,
    Recipe,
    load_recipe,
    load_recipes,
    parse_recipe,
    service_names,
)
from hex_assets.warehouse import registry
from hex_assets.warehouse.query_log import COLUMNS, LogColumn, QueryLog
from hex_assets.warehouse.snowflake import Snowflake

EXAMPLE = Path(__file__).parents[1] / "recipes" / "hex.yaml"

RECIPE = """\
source:
  type: hex
  serviceName: my_hex
  serviceConnection:
    config:
      type: Hex
      hostPort: https://app.hex.tech
      token: ${HEX_TOKEN}
  sourceConfig:
    config:
      type: DashboardMetadata
      lineageInformation:
        dbServicePrefixes: [wh.sales]
      dashboardFilterPattern:
        includes: []
sink: {type: metadata-rest, config: {}}
workflowConfig:
  successThreshold: 90
  openMetadataServerConfig:
    hostPort: http://localhost:8585/api
    securityConfig:
      jwtToken: a.b.c
  config:
    hexAssets:
      lookBackDays: 7
      warehouses:
        wh:
          type: Snowflake
          account: ab12345
          username: HEX
          password: ${PASSWORD}
          warehouse: XS
"""
ENVIRON = {"HEX_TOKEN": "hxtw_1", "PASSWORD": "pw"}


def read(
    text: str = RECIPE, environ: Mapping[str, str] = ENVIRON, origin: str = "r.yaml"
) -> Recipe:
    return parse_recipe(text, origin, environ)


def edited(*edits: tuple[str, str]) -> str:
    """The recipe with parts of its text replaced; each must be there once."""
    text = RECIPE
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def mistakes(text: str, environ: Mapping[str, str] = ENVIRON, origin: str = "r.yaml") -> list[str]:
    with pytest.raises(RecipeError) as caught:
        read(text, environ, origin)
    return str(caught.value).splitlines()


def server(**keys: Any) -> OpenMetadataConnection:
    given = {"hostPort": "https://om/api", "securityConfig": {"jwtToken": "a.b.c"}, **keys}
    return OpenMetadataConnection.model_validate(given)


# What is accepted


def test_a_recipe_says_what_its_yaml_says() -> None:
    recipe = read()
    assert recipe.service_name == "my_hex"
    assert recipe.hex.host_port == "https://app.hex.tech"
    assert recipe.hex.token.get_secret_value() == "hxtw_1"
    assert recipe.source_config.db_service_prefixes == ["wh.sales"]
    assert recipe.openmetadata.host_port == "http://localhost:8585/api"
    assert recipe.openmetadata.jwt_token() == "a.b.c"
    assert recipe.hex_assets.look_back_days == 7
    assert recipe.database_services == ["wh"]
    warehouse = recipe.hex_assets.warehouses["wh"]
    assert isinstance(warehouse, Snowflake)
    assert warehouse.password is not None
    assert warehouse.password.get_secret_value() == "pw"
    assert warehouse.account_usage_schema == "SNOWFLAKE.ACCOUNT_USAGE"


def test_the_example_recipe_is_one() -> None:
    variables = {"HEX_TOKEN": "t", "OPENMETADATA_JWT_TOKEN": "t", "SNOWFLAKE_PRIVATE_KEY": "k"}
    assert load_recipe(EXAMPLE, variables).database_services == ["snowflake"]


def test_the_example_recipe_comments_out_valid_keys_with_their_defaults() -> None:
    text = EXAMPLE.read_text().replace("- snowflake\n", "- snowflake\n          - dremio\n")
    key = re.compile(r"""^( *)# ( *(?:[a-z]\w*|X-Proxy-Token):(?: .*|$))""")
    opened = "\n".join(key.sub(r"\1\2", line) for line in text.splitlines())
    variables = dict.fromkeys(re.findall(r"\$\{(\w+)\}", opened), "secret")
    recipe = parse_recipe(opened, "hex.yaml", variables)
    plain = load_recipe(EXAMPLE, variables)
    given = {"warehouses"}
    assert recipe.hex_assets.model_dump(exclude=given) == plain.hex_assets.model_dump(exclude=given)
    assert isinstance(recipe.hex_assets.warehouses["dremio"], QueryLog)
    shown = {"lineage_information", "dashboard_filter_pattern"}
    assert recipe.source_config.model_dump(exclude=shown) == plain.source_config.model_dump(
        exclude=shown
    )
    # The text has more keys than the tests above would notice losing.
    assert len(opened.splitlines()) - len([x for x in opened.splitlines() if "# " in x]) > 50


def test_every_key_of_openmetadata_is_accepted() -> None:
    """The keys of openmetadata-ingestion 2.0.7 for a Hex workflow and a Snowflake service."""
    pattern = {"includes": ["a"], "excludes": ["b"]}
    indexed = "Topics Tables Dashboards Pipelines MlModels Users Teams GlossaryTerms Tags Policy"
    services = "MessagingServices DatabaseServices PipelineServices"
    recipe = {
        "source": {
            "type": "HEX",
            "serviceName": "my_hex",
            "serviceConnection": {
                "config": {
                    "type": "Hex",
                    "hostPort": "https://app.hex.tech",
                    "tokenType": "workspace",
                    "token": "hxtw_1",
                    "includeTags": True,
                    "dashboardFilterPattern": pattern,
                    "supportsMetadataExtraction": True,
                }
            },
            "sourceConfig": {
                "config": {
                    "type": "DashboardMetadata",
                    "lineageInformation": {"dbServicePrefixes": ["wh"], "more": 1},
                    "dashboardFilterPattern": pattern,
                    "chartFilterPattern": pattern,
                    "dataModelFilterPattern": pattern,
                    "projectFilterPattern": None,
                    "queryParserConfig": {"type": "SqlFluff"},
                    **dict.fromkeys(
                        "includeOwners markDeletedDashboards markDeletedDataModels "
                        "markDeletedCharts includeTags includeDataModels includeDraftDashboard "
                        "includeUsage overrideMetadata overrideLineage".split(),
                        False,
                    ),
                }
            },
        },
        "sink": {"type": "metadata-rest", "config": {"bulk_sink_batch_size": 100}},
        "processor": {"type": "p", "config": {}},
        "stage": {"type": "s", "config": None},
        "bulkSink": {"type": "b"},
        "workflowConfig": {
            "loggerLevel": "DEBUG",
            "raiseOnError": False,
            "successThreshold": 0,
            "openMetadataServerConfig": {
                "clusterName": "c",
                "type": "OpenMetadata",
                "hostPort": "https://om/api",
                "authProvider": "custom-oidc",
                "verifySSL": "validate",
                "sslConfig": {"caCertificate": "ca", "sslCertificate": "crt", "sslKey": "key"},
                "securityConfig": {"jwtToken": "a.b.c"},
                "secretsManagerProvider": "azure-kv",
                "secretsManagerLoader": "airflow",
                "apiVersion": "v1",
                **{f"include{name}": False for name in f"{indexed} {services}".split()},
                "enableVersionValidation": False,
                "limitRecords": 10,
                "forceEntityOverwriting": True,
                "storeServiceConnection": False,
                "elasticsSearch": {"type": "e", "config": {}},
                "schemaFilterPattern": pattern,
                "tableFilterPattern": pattern,
                "databaseFilterPattern": pattern,
                "supportsDataInsightExtraction": False,
                "supportsElasticSearchReindexingExtraction": False,
                "extraHeaders": {"X-A": "1"},
            },
            "config": {
                "anything": {"goes": [1]},
                "hexAssets": {
                    "warehouses": {
                        "wh": {
                            "type": "Snowflake",
                            "scheme": "snowflake",
                            "username": "u",
                            "password": "p",
                            "account": "a",
                            "role": "r",
                            "database": "d",
                            "warehouse": "w",
                            "queryTag": "q",
                            "accountUsageSchema": "x.y",
                            "privateKey": "k",
                            "snowflakePrivatekeyPassphrase": "s",
                            **dict.fromkeys(
                                "includeTransientTables includeStreams includeStages "
                                "includeSemanticViews clientSessionKeepAlive useAccessHistory "
                                "supportsMetadataExtraction supportsIncrementalMetadataExtraction "
                                "supportsUsageExtraction supportsLineageExtraction "
                                "supportsDBTExtraction supportsProfiler supportsDatabase "
                                "supportsQueryComment supportsSystemProfile "
                                "supportsDataDiff".split(),
                                True,
                            ),
                            "accessHistoryChunkSize": 3,
                            "connectionOptions": {"a": "b"},
                            "connectionArguments": {"authenticator": "oauth", "login_timeout": 5},
                            "schemaFilterPattern": pattern,
                            "tableFilterPattern": pattern,
                            "databaseFilterPattern": pattern,
                            "storedProcedureFilterPattern": pattern,
                            "sampleDataStorageConfig": {"config": {}},
                            "creditCost": 2.5,
                            "snowflakeSourceHost": "h",
                            "policyAgentConfig": {"enabled": False},
                        }
                    }
                },
            },
        },
        "ingestionPipelineFQN": "my_hex.p",
        "pipelineRunId": "0190f2b6-1111-7000-8000-000000000000",
        "enableStreamableLogs": True,
        "ingestionRunnerName": "r",
    }
    assert read(yaml.safe_dump(recipe)) == read(json.dumps(recipe), origin="r.json")


def test_null_means_the_default() -> None:
    recipe = read(edited(("lookBackDays: 7", "lookBackDays:\n      hexOrgId: ~")))
    assert recipe.hex_assets == HexAssetsSettings(warehouses=recipe.hex_assets.warehouses)


def test_anchors_and_merge_keys_work() -> None:
    text = edited(
        ("      lookBackDays: 7\n", ""),
        ("    hexAssets:\n", "    x: &d {lookBackDays: 1, concurrency: 2}\n    hexAssets:\n"),
        ("      warehouses:\n", "      <<: *d\n      lookBackDays: 2\n      warehouses:\n"),
    )
    found = read(text).hex_assets
    assert (found.look_back_days, found.concurrency) == (2, 2)
    assert mistakes(text.replace("lookBackDays: 2", "lookBackDays: 0")) == [
        "r.yaml: line 27, workflowConfig.config.hexAssets.lookBackDays: must be at least 1."
    ]


def test_settings_can_be_made_in_python() -> None:
    assert HexAssetsSettings(look_back_days=3).look_back_days == 3


def test_every_key_is_described() -> None:
    models: list[type[BaseModel]] = [Recipe]
    for model in models:
        for name, field in model.model_fields.items():
            assert (field.description or "").endswith("."), f"{model.__name__}.{name}"
            models += [m for m in sections_in(field.annotation) if m not in models]
    assert len(models) > 15


def test_a_query_log_has_the_columns_its_reader_knows() -> None:
    assert get_args(LogColumn) == tuple(COLUMNS)


def sections_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in sections_in(argument)]


# Variables


@pytest.mark.parametrize(
    ("written", "environ", "threshold"),
    [
        ("${N}", {"N": "42"}, 42),
        ("$N", {"N": "42"}, 42),
        ("4${N}", {"N": "2"}, 42),
        ("'${N}'", {"N": "42"}, 42),
        ("${N}", {"N": ""}, 90),
        ("${N}", {"N": "null"}, 90),
    ],
)
def test_a_variable_becomes_what_its_key_wants(
    written: str, environ: dict[str, str], threshold: int
) -> None:
    text = edited(("successThreshold: 90", f"successThreshold: {written}"))
    assert read(text, {**ENVIRON, **environ}).workflow_config.success_threshold == threshold


@pytest.mark.parametrize(
    "password",
    ["0123", "true", "1e3", "2024-01-01", "a: b # c", "x\ny: 1", "'", "[", "${HOME}", "$$"],
)
def test_a_variable_may_hold_any_text(password: str) -> None:
    warehouse = read(RECIPE, {**ENVIRON, "PASSWORD": password}).hex_assets.warehouses["wh"]
    assert isinstance(warehouse, Snowflake)
    assert warehouse.password is not None
    assert warehouse.password.get_secret_value() == password


def test_a_dollar_sign_of_a_regular_expression_stays() -> None:
    text = edited(("includes: []", "includes: ['draft$', '^$foo', '$HEX_TOKEN']"))
    pattern = read(text).source_config.dashboard_filter_pattern
    assert pattern is not None
    assert pattern.includes == ["draft$", "^$foo", "hxtw_1"]


def test_variables_work_in_keys() -> None:
    text = edited(("        wh:\n", "        ${SERVICE}:\n"), ("[wh.sales]", "[$SERVICE]"))
    assert list(read(text, {**ENVIRON, "SERVICE": "wh"}).hex_assets.warehouses) == ["wh"]


def test_comments_may_name_variables_that_are_not_set() -> None:
    assert read(RECIPE + "# ${NOT_SET}\n") == read()


def test_an_escaped_character_beyond_16_bits_is_one_character() -> None:
    text = json.dumps(yaml.safe_load(RECIPE.replace("my_hex", "\N{HONEYBEE}")))
    assert "\\ud83d" in text
    assert read(text, origin="r.json").service_name == "\N{HONEYBEE}"


def test_json_may_be_indented_with_tabs() -> None:
    text = json.dumps(yaml.safe_load(RECIPE), indent="\t")
    assert read(text, origin="r.json") == read()


# Mistakes

SETTINGS = "workflowConfig.config.hexAssets"
SERVER = "workflowConfig.openMetadataServerConfig"
TYPES = ", ".join(registry.warehouse_types())

MISTAKES = {
    "variable not set": (
        ("${HEX_TOKEN}", "${NO_SUCH}"),
        "line 8, source.serviceConnection.config.token: the environment variable NO_SUCH is not "
        "set. Set it, or write the value here.",
    ),
    "shell default": (
        ("${HEX_TOKEN}", "${NO_SUCH:-hunter2}"),
        "line 8, source.serviceConnection.config.token: the environment variable NO_SUCH is named "
        "in a way that is not understood. Write ${NO_SUCH}; there are no defaults.",
    ),
    "variable without a name": (
        ("${HEX_TOKEN}", "${}"),
        "line 8, source.serviceConnection.config.token: has ${...} without the name of a "
        "variable. Write ${NAME}.",
    ),
    "variable not set where a number is wanted": (
        ("successThreshold: 90", "successThreshold: ${NO_SUCH}"),
        "line 18, workflowConfig.successThreshold: the environment variable NO_SUCH is not set. "
        "Set it, or write the value here.",
    ),
    "unknown key": (
        ("lookBackDays", "lookbackDay"),
        f"line 25, {SETTINGS}.lookbackDay: is not a known key. Did you mean lookBackDays?",
    ),
    "attribute name instead of key": (
        ("lookBackDays", "look_back_days"),
        f"line 25, {SETTINGS}.look_back_days: is not a known key. Did you mean lookBackDays?",
    ),
    "unknown key unlike any other": (
        ("jwtToken: a.b.c", "jwtToken: a.b.c\n      zzz: 1"),
        f"line 23, {SERVER}.securityConfig.zzz: is not a known key. Known here are jwtToken.",
    ),
    "unknown key of a warehouse": (
        ("account: ab12345", "account: ab12345\n          rol: X"),
        f"line 30, {SETTINGS}.warehouses.wh.rol: is not a known key. Did you mean role?",
    ),
    "unknown key at the top": (
        ("sink:", "snik:"),
        "line 16, snik: is not a known key. Did you mean sink?",
    ),
    "key given twice": (
        ("jwtToken: a.b.c", "jwtToken: a.b.c\n      jwtToken: d"),
        f"line 23, {SERVER}.securityConfig.jwtToken: is given twice, first on line 22. Keep one.",
    ),
    "missing key": (
        ("  serviceName: my_hex\n", ""),
        "line 1, source.serviceName: is required. Add it.",
    ),
    "connection kept in OpenMetadata": (
        (
            "  serviceConnection:\n    config:\n      type: Hex\n      "
            "hostPort: https://app.hex.tech\n      token: ${HEX_TOKEN}\n",
            "",
        ),
        "line 1, source.serviceConnection: is required. OpenMetadata may keep the Hex token on its "
        "server, but it is not read from there; put serviceConnection into the recipe, with token: "
        "${HEX_TOKEN}.",
    ),
    "no token for OpenMetadata": (
        ("    securityConfig:\n      jwtToken: a.b.c\n", ""),
        f"line 19, {SERVER}.securityConfig: is required. Give securityConfig.jwtToken, the token "
        "of a bot or the path of a file that holds it.",
    ),
    "key without value": (
        ("jwtToken: a.b.c", "jwtToken:"),
        f"line 22, {SERVER}.securityConfig.jwtToken: has no value. Give one.",
    ),
    "another source": (
        ("type: hex", "type: tableau"),
        "line 2, source.type: must be 'hex'.",
    ),
    "text for a number": (
        ("lookBackDays: 7", "lookBackDays: week"),
        f"line 25, {SETTINGS}.lookBackDays: must be a whole number.",
    ),
    "number for text": (
        ("serviceName: my_hex", "serviceName: 7"),
        "line 3, source.serviceName: must be text; put a number or date in quotes.",
    ),
    "text for a mapping": (
        ("sink: {type: metadata-rest, config: {}}", "sink: metadata-rest"),
        "line 16, sink: must be a mapping of keys to values.",
    ),
    "text for a list": (
        ("[wh.sales]", "wh.sales"),
        "line 13, source.sourceConfig.config.lineageInformation.dbServicePrefixes: must be a list.",
    ),
    "number out of bounds": (
        ("successThreshold: 90", "successThreshold: 101"),
        "line 18, workflowConfig.successThreshold: must be at most 100.",
    ),
    "none of the choices": (
        ("lookBackDays: 7", "storeSql: some"),
        f"line 25, {SETTINGS}.storeSql: must be 'full', 'masked' or 'none'.",
    ),
    "another warehouse": (
        ("type: Snowflake", "type: Oracle"),
        f"line 27, {SETTINGS}.warehouses.wh: must have a type out of {TYPES}.",
    ),
    "warehouse without type": (
        ("          type: Snowflake\n", ""),
        f"line 27, {SETTINGS}.warehouses.wh: must have a type out of {TYPES}.",
    ),
    "unknown column of a query log": (
        (
            "type: Snowflake\n          account: ab12345\n          username: HEX\n"
            "          password: ${PASSWORD}\n          warehouse: XS\n",
            "type: QueryLog\n          path: a.csv\n          dialect: mysql\n"
            "          columns: {sql: statement}\n",
        ),
        f"line 31, {SETTINGS}.warehouses.wh.columns.sql: must be "
        + ", ".join(f"'{column}'" for column in list(COLUMNS)[:-1])
        + f" or '{list(COLUMNS)[-1]}'.",
    ),
    "no way to log in": (
        ("          password: ${PASSWORD}\n", ""),
        f"line 27, {SETTINGS}.warehouses.wh: has no way to log in; give privateKey, oauthToken, "
        "programmaticAccessToken or password, or connectionArguments.authenticator.",
    ),
    "warehouse of no prefix": (
        ("[wh.sales]", "[WH.sales]"),
        f"line 27, {SETTINGS}.warehouses.wh: is in none of "
        "source.sourceConfig.config.lineageInformation.dbServicePrefixes, so no table of it would "
        "be linked. Name the service there, spelt alike.",
    ),
    "malformed prefix": (
        ("[wh.sales]", "[wh., wh]"),
        "line 13, source.sourceConfig.config.lineageInformation.dbServicePrefixes[0]: must be "
        "service, service.database or service.database.schema, with a name that holds a dot in "
        "double quotes.",
    ),
    "bad regular expression": (
        ("includes: []", "includes: [ok, '[a-']"),
        "line 15, source.sourceConfig.config.dashboardFilterPattern.includes[1]: is not a valid "
        "regular expression (see character 1).",
    ),
    "project filter": (
        ("dashboardFilterPattern", "projectFilterPattern"),
        "line 14, source.sourceConfig.config.projectFilterPattern: drops every Hex project in "
        "OpenMetadata, for Hex has no project above a dashboard. Remove it, or rename it to "
        "dashboardFilterPattern.",
    ),
    "almost our key": (
        ("hexAssets:", "hex_assets:"),
        "line 23, workflowConfig.config: has a key much like hexAssets that is not it. "
        "Write hexAssets.",
    ),
    "no scheme": (
        ("http://localhost:8585/api", "localhost:8585/api"),
        f"line 20, {SERVER}.hostPort: must be an http:// or https:// address.",
    ),
    "no port": (
        ("http://localhost:8585/api", "http://localhost:many/api"),
        f"line 20, {SERVER}.hostPort: must be an http:// or https:// address.",
    ),
    "password in address": (
        ("https://app.hex.tech", "https://me:hunter2@app.hex.tech"),
        "line 7, source.serviceConnection.config.hostPort: must not hold a user name or password; "
        "they would show up in logs.",
    ),
    "token of two words": (
        ("${HEX_TOKEN}", "Bearer hunter2"),
        "line 8, source.serviceConnection.config.token: has white space or characters that no "
        "token has; copy the token again.",
    ),
    "reference to a secrets manager": (
        ("${HEX_TOKEN}", "secret:/hex/token"),
        "line 8, source.serviceConnection.config.token: refers to OpenMetadata's secrets manager, "
        "which is not read here; give the secret itself as ${VARIABLE}.",
    ),
    "authority missing": (
        ("jwtToken: a.b.c", "jwtToken: a.b.c\n    verifySSL: validate"),
        f"line 19, {SERVER}: verifySSL: validate needs sslConfig.caCertificate.",
    ),
    "tab": (
        ("  type: hex", "\ttype: hex"),
        "line 2: is not valid YAML at column 1: found character '\\t' that cannot start any token. "
        "Check indentation and quotes there.",
    ),
    "quote not closed": (
        ("type: Hex", "type: 'Hex"),
        "line 33: is not valid YAML at column 1, in what begins on line 6: found unexpected "
        "end of stream. Check indentation and quotes there.",
    ),
    "alias in place of a secret": (
        ("${HEX_TOKEN}", "*hunter2"),
        "line 8: is not valid YAML at column 14: found undefined alias '...'. "
        "Check indentation and quotes there.",
    ),
    "tag in place of a secret": (
        ("${HEX_TOKEN}", "!hunter2"),
        "line 8, source.serviceConnection.config.token: cannot be read as what it looks like. "
        "Put it in quotes.",
    ),
    "no such day": (
        ("serviceName: my_hex", "serviceName: 2024-02-31"),
        "line 3, source.serviceName: cannot be read as what it looks like. Put it in quotes.",
    ),
    "list as a key": (
        ("type: hex", "[a]: hex"),
        "line 2, source: has a list or mapping as a key. Write a name.",
    ),
    "number as a key": (
        ("type: hex", "type: hex\n  7: hex"),
        "line 3, source.7: is not a known key. Known here are type, serviceName, "
        "serviceConnection, sourceConfig.",
    ),
    "two documents": (
        ("sink:", "---\nsink:"),
        "line 16: is not valid YAML at column 1, in what begins on line 1: but found another "
        "document. Check indentation and quotes there.",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_says_where_it_is_and_what_to_do(name: str) -> None:
    edit, message = MISTAKES[name]
    found = mistakes(edited(edit))
    assert found == [f"r.yaml: {message}"]
    assert "hunter2" not in found[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "r.yaml: is empty. Copy recipes/hex.yaml to begin with."),
        ("# nothing", "r.yaml: is empty. Copy recipes/hex.yaml to begin with."),
        ("- a", "r.yaml: line 1: must be a mapping of keys to values."),
        ("a: \0", "r.yaml: line 1: has a character that YAML does not allow. Remove it."),
        ("\n&x [*x]", "r.yaml: line 2, [0]: refers to itself by an alias. Write its values out."),
        (
            "a: " + "9" * 5000,
            "r.yaml: line 1, a: cannot be read as what it looks like. Put it in quotes.",
        ),
        ("[" * 5000, "r.yaml: is nested too deeply. A recipe has fewer than ten levels."),
    ],
)
def test_what_is_no_recipe_at_all(text: str, message: str) -> None:
    assert mistakes(text) == [message]


def test_json_has_its_own_syntax_errors() -> None:
    assert mistakes('{"source": {,}}', origin="r.json") == [
        "r.json: line 1: is not valid JSON at column 13: Expecting property name enclosed in "
        "double quotes. Mend it there."
    ]


def test_a_number_too_long_is_told_in_json_too() -> None:
    assert mistakes('{"source": %s}' % ("9" * 5000), origin="r.json") == [
        "r.json: line 1, source: cannot be read as what it looks like. Put it in quotes."
    ]


def test_an_empty_variable_is_named() -> None:
    assert mistakes(RECIPE, {**ENVIRON, "HEX_TOKEN": ""}) == [
        "r.yaml: line 8, source.serviceConnection.config.token: has no value. Give one (its text "
        "comes from the environment variable HEX_TOKEN)."
    ]


def test_all_mistakes_come_at_once_in_the_order_of_the_file() -> None:
    text = edited(
        ("type: hex", "type: hexx"),
        ("${HEX_TOKEN}", "${NO_SUCH}"),
        ("type: metadata-rest", "tpye: metadata-rest"),
        ("lookBackDays: 7", "lookBackDays: 0"),
    )
    lines = [line.split(":")[1].split(",")[0].strip() for line in mistakes(text)]
    assert lines == ["line 2", "line 8", "line 16", "line 16", "line 25"]


@pytest.mark.parametrize(
    "name",
    ["", " a", "a ", "a/b", "a\\b", "a::b", "a>b", 'a"b', "a...b", "a\nb", "a\x7f", "x" * 201],
)
def test_a_service_name_must_suit_openmetadata_dagster_and_file_systems(name: str) -> None:
    (found,) = mistakes(edited(("my_hex", json.dumps(name))))
    assert found.startswith("r.yaml: line 3, source.serviceName: must not ")


@pytest.mark.parametrize("name", ["Hex (EU)", "hex.prod", "h,e|x", "Bücher", "x" * 200])
def test_other_service_names_are_fine(name: str) -> None:
    assert read(edited(("my_hex", json.dumps(name)))).service_name == name


# Files


def test_a_folder_holds_recipes_by_service_name(tmp_path: Path) -> None:
    (tmp_path / "1.yml").write_text(RECIPE.replace("my_hex", "b"))
    (tmp_path / "2.yaml").write_text(RECIPE.replace("my_hex", "c"))
    (tmp_path / "3.json").write_text(json.dumps(yaml.safe_load(RECIPE.replace("my_hex", "a"))))
    (tmp_path / "notes.txt").write_text("not a recipe")
    (tmp_path / ".hidden.yaml").write_text("not a recipe")
    (tmp_path / "folder.yaml").mkdir()
    found = load_recipes(tmp_path, ENVIRON)
    assert {name: recipe.service_name for name, recipe in found.items()} == {
        "a": "a",
        "b": "b",
        "c": "c",
    }
    assert list(found) == ["a", "b", "c"]
    assert service_names(tmp_path, {}) == {
        "a": tmp_path / "3.json",
        "b": tmp_path / "1.yml",
        "c": tmp_path / "2.yaml",
    }


def test_service_names_need_no_secrets_and_forgive_other_mistakes(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(edited(("lookBackDays: 7", "lookBackDays: ${NO_SUCH}"), ("sink:", "snik:")))
    assert service_names(file, {}) == {"my_hex": file}


def test_service_names_need_the_variables_of_the_name(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(edited(("my_hex", "hex_${STAGE}")))
    assert list(service_names(file, {"STAGE": "prod"})) == ["hex_prod"]
    with pytest.raises(RecipeError, match=r"variable STAGE is not set"):
        service_names(file, {})


@pytest.mark.parametrize("read_folder", [load_recipes, service_names])
def test_two_recipes_of_one_service_are_refused(tmp_path: Path, read_folder: Any) -> None:
    (tmp_path / "1.yaml").write_text(RECIPE)
    (tmp_path / "2.yaml").write_text(RECIPE.replace("my_hex", "My_Hex"))
    with pytest.raises(RecipeError) as caught:
        read_folder(tmp_path, ENVIRON)
    assert str(caught.value) == (
        f"{tmp_path}/2.yaml: line 3, source.serviceName: is the same as in {tmp_path}/1.yaml. "
        "Give each Hex workspace a name of its own."
    )


def test_a_folder_reports_the_mistakes_of_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "1.yaml").write_text("a: b: c")
    (tmp_path / "2.yaml").write_text(RECIPE.replace("sink:", "snik:"))
    with pytest.raises(RecipeError) as caught:
        load_recipes(tmp_path, ENVIRON)
    assert [line.partition(": ")[0] for line in str(caught.value).splitlines()] == [
        f"{tmp_path}/1.yaml",
        f"{tmp_path}/2.yaml",
    ]


@pytest.mark.parametrize("read_path", [load_recipe, load_recipes, service_names])
def test_files_that_cannot_be_read(tmp_path: Path, read_path: Any) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"a: \xff")
    advice = "Give the path of a recipe or a folder of them."
    cases = {
        tmp_path / "none.yaml": f"cannot be read (No such file or directory). {advice}",
        Path("nul\0.yaml"): f"cannot be read (not a file name). {advice}",
        binary: "is not UTF-8 text (see byte 4). Save it as UTF-8.",
        tmp_path / "r.toml": "is not a recipe by its name. Name it *.yaml, *.yml, *.json.",
    }
    for path, message in cases.items():
        with pytest.raises(RecipeError) as caught:
            read_path(path, ENVIRON)
        assert str(caught.value) == f"{path}: {message}"


def test_a_folder_without_recipes(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipes(tmp_path, ENVIRON)
    assert str(caught.value) == (
        f"{tmp_path}: holds no recipe (.yaml, .yml, .json). Copy recipes/hex.yaml into it."
    )


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE, encoding="utf-8-sig")
    assert load_recipe(tmp_path / "r.yaml", ENVIRON) == read()


# Filters


@pytest.mark.parametrize(
    ("includes", "excludes", "title", "kept"),
    [
        ([], [], "Sales", True),
        (["sales"], [], "Sales 2024", True),
        (["sales"], [], "My sales", False),
        ([".*sales"], [], "My sales", True),
        (["sales", "ops"], ["sales 2023"], "SALES 2023", False),
        ([], ["old"], "Older", False),
        ([], ["^new$"], "newer", True),
        ([], [], "", False),
    ],
)
def test_filters_keep_what_openmetadata_keeps(
    includes: list[str], excludes: list[str], title: str, kept: bool
) -> None:
    assert FilterPattern(includes=includes, excludes=excludes).keeps(title) is kept


def test_the_filter_of_the_source_config_wins_over_that_of_the_connection() -> None:
    connection = ("type: Hex\n", "type: Hex\n      dashboardFilterPattern: {excludes: [a]}\n")
    source = ("      dashboardFilterPattern:\n        includes: []\n", "")
    both = read(edited(connection))
    assert both.publishes("a")
    only_connection = read(edited(connection, source))
    assert not only_connection.publishes("a")
    assert only_connection.publishes("b")
    assert read(edited(source)).publishes("")


# OpenMetadata's token


def test_a_token_in_a_file_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "jwt token"
    file.write_text("one\n")
    connection = server(securityConfig={"jwtToken": str(file)})
    assert connection.jwt_token() == "one"
    file.write_text("two\n")
    assert connection.jwt_token() == "two"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "looks like a path, but no such file exists. Mount the file, or give the token "),
        (b"", "the file it names is empty. Write the token into it."),
        (b"\xff", "the file it names cannot be read (UnicodeDecodeError). Let the user that runs "),
        (b"two words", "has white space or characters that no token has; copy the token again."),
    ],
)
def test_a_token_file_without_a_token(tmp_path: Path, content: bytes | None, problem: str) -> None:
    file = tmp_path / "jwt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(RecipeError) as caught:
        server(securityConfig={"jwtToken": str(file)}).jwt_token()
    assert str(caught.value).startswith(f"{SERVER}.securityConfig.jwtToken: {problem}")


# TLS


KEY_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def certificate(name: str) -> tuple[str, str]:
    """A self-signed certificate for localhost and its key, as PEM text."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.datetime(2020, 1, 1)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        # Python 3.13 and later verify strictly, and want these three of an authority.
        .add_extension(KEY_USAGE, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    return signed.public_bytes(serialization.Encoding.PEM).decode(), pem(
        key, serialization.NoEncryption()
    )


def pem(key: ec.EllipticCurvePrivateKey, lock: serialization.KeySerializationEncryption) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock
    ).decode()


SERVER_PEM = certificate("server")
CLIENT_PEM = certificate("client")


def peer_of(verify: bool | ssl.SSLContext, ask: bool = False) -> dict[str, Any]:
    """Shake hands with a server of SERVER_PEM, in memory; gives the certificate it was shown."""
    assert isinstance(verify, ssl.SSLContext)
    listening = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_own(listening, *SERVER_PEM)
    if ask:
        listening.verify_mode = ssl.CERT_REQUIRED
        listening.load_verify_locations(cadata=CLIENT_PEM[0])
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = verify.wrap_bio(to_client, to_server, server_hostname="localhost")
    answering = listening.wrap_bio(to_server, to_client, server_side=True)
    done: set[ssl.SSLObject] = set()
    while len(done) < 2:
        for side in (client, answering):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                continue
    return dict(answering.getpeercert() or {})


def load_own(context: ssl.SSLContext, chain: str, key: str) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(chain + key)
        file.flush()
        context.load_cert_chain(file.name)


def test_certificates_are_checked_unless_told_otherwise() -> None:
    assert server().verify() is True
    assert server(verifySSL="no-ssl").verify() is True
    assert server(verifySSL="ignore").verify() is False


@pytest.mark.parametrize("as_file", [False, True])
def test_an_authority_of_ones_own(tmp_path: Path, as_file: bool) -> None:
    authority = SERVER_PEM[0]
    if as_file:
        (tmp_path / "ca.pem").write_text(authority)
        authority = str(tmp_path / "ca.pem")
    peer_of(server(verifySSL="validate", sslConfig={"caCertificate": authority}).verify())


def test_another_authority_is_not_trusted() -> None:
    context = server(verifySSL="validate", sslConfig={"caCertificate": CLIENT_PEM[0]}).verify()
    with pytest.raises(ssl.SSLCertVerificationError):
        peer_of(context)


@pytest.mark.parametrize("as_file", [False, True])
def test_our_certificate_is_shown(tmp_path: Path, as_file: bool) -> None:
    given = list(CLIENT_PEM)
    if as_file:
        for index, text in enumerate(CLIENT_PEM):
            (tmp_path / str(index)).write_text(text)
            given[index] = str(tmp_path / str(index))
    keys = {"sslCertificate": given[0], "sslKey": given[1]}
    ignoring = server(verifySSL="ignore", sslConfig=keys).verify()
    assert peer_of(ignoring, ask=True)["subject"] == ((("commonName", "client"),),)


LOCKED_KEY = pem(
    ec.generate_private_key(ec.SECP256R1()), serialization.BestAvailableEncryption(b"x")
)


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"caCertificate": "/no/such.pem"}, "caCertificate"),
        ({"caCertificate": "-----BEGIN CERTIFICATE-----\nhunter2\n"}, "caCertificate"),
        ({"sslCertificate": "/no/such.pem"}, "sslCertificate and sslKey"),
        ({"sslCertificate": CLIENT_PEM[0], "sslKey": SERVER_PEM[1]}, "sslCertificate and sslKey"),
        ({"sslCertificate": CLIENT_PEM[0], "sslKey": LOCKED_KEY}, "sslCertificate and sslKey"),
    ],
)
def test_certificates_that_cannot_be_used(keys: dict[str, str], named: str) -> None:
    with pytest.raises(RecipeError) as caught:
        server(sslConfig=keys).verify()
    said = str(caught.value)
    assert said.startswith(f"{SERVER}.sslConfig: {named} cannot be used (")
    assert said.endswith("Give PEM text or the path of a readable PEM file, without a passphrase.")
    assert "hunter2" not in said
    assert "no/such" not in said


# Whatever comes

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | st.text(
    "ab:-[]{}&*!|>'\"%@`#?, \n\t$\\~=<.0123", max_size=40
)


@settings(max_examples=150, deadline=None)
@given(ANY_TEXT, st.sampled_from(["r.yaml", "r.json"]))
def test_no_text_raises_anything_but_a_recipe_error(text: str, origin: str) -> None:
    with pytest.raises(RecipeError):
        parse_recipe(text, origin, {})


LINES = RECIPE.splitlines(keepends=True)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(LINES) - 1), ANY_TEXT, st.booleans())
def test_no_damaged_line_raises_anything_but_a_recipe_error(
    at: int, text: str, only_value: bool
) -> None:
    kept = LINES[at].partition(":")[0] + ": " if only_value else ""
    try:
        read("".join([*LINES[:at], f"{kept}{text}\n", *LINES[at + 1 :]]))
    except RecipeError as error:
        assert str(error).startswith("r.yaml: ")


SENTINEL = "s3nt1nel"
SCALARS = [
    ["source", "type"],
    ["source", "serviceName"],
    ["source", "serviceConnection", "config", "type"],
    ["source", "serviceConnection", "config", "hostPort"],
    ["source", "serviceConnection", "config", "token"],
    ["source", "serviceConnection", "config", "tokenType"],
    ["source", "sourceConfig", "config", "dashboardFilterPattern", "includes"],
    ["source", "sourceConfig", "config", "lineageInformation", "dbServicePrefixes"],
    ["source", "sourceConfig", "config", "projectFilterPattern"],
    ["source", "unknown"],
    ["sink", "config"],
    ["pipelineRunId"],
    ["workflowConfig", "successThreshold"],
    ["workflowConfig", "openMetadataServerConfig", "hostPort"],
    ["workflowConfig", "openMetadataServerConfig", "verifySSL"],
    ["workflowConfig", "openMetadataServerConfig", "sslConfig"],
    ["workflowConfig", "openMetadataServerConfig", "extraHeaders"],
    ["workflowConfig", "openMetadataServerConfig", "securityConfig", "jwtToken"],
    ["workflowConfig", "config", "hexAssets", "lookBackDays"],
    ["workflowConfig", "config", "hexAssets", "warehouses", "wh", "type"],
    ["workflowConfig", "config", "hexAssets", "warehouses", "wh", "password"],
    ["workflowConfig", "config", "hexAssets", "warehouses", "wh", "connectionArguments"],
    ["workflowConfig", "config", "hexAssets", "retry", "attempts"],
]
SECRETS = ("token", "jwtToken", "password", "sslConfig", "extraHeaders", "connectionArguments")


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(SCALARS),
    st.sampled_from(["{}", "[{}]", "{{a: {}}}", "{{{}: a}}", "!!int {}", "!!bool '{}'", "x/{}"]),
    st.sampled_from(
        [
            "",
            " ",
            "\n",
            "(?P<",
            "http://",
            "https://a:",
            "secret:",
            "/",
            "[",
            "\N{HONEYBEE}",
            "1.",
            "::",
        ]
    ),
    st.sampled_from(["", " b", "\nc: d", ")", "@h", "'", "...", "\0"]),
)
def test_a_secret_never_shows(path: list[str], shape: str, before: str, after: str) -> None:
    data = yaml.safe_load(RECIPE)
    section = data
    for key in path[:-1]:
        section = section.setdefault(key, {})
    section[path[-1]] = "PLACE"
    text = yaml.safe_dump(data).replace("PLACE", shape.format("${SECRET}"))
    try:
        recipe = read(text, {**ENVIRON, "SECRET": f"{before}{SENTINEL}{after}"})
    except RecipeError as error:
        assert SENTINEL not in f"{error} {error!r} {error.__cause__!r}"
        assert error.__cause__ is None
        assert error.__suppress_context__ or error.__context__ is None
        return
    if path[-1] in SECRETS:
        assert SENTINEL not in repr(recipe)
        assert SENTINEL not in str(recipe)
