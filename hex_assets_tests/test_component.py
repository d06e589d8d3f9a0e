"""Projects outside this repository that embed the package, by a defs.yaml or by Python."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from click.testing import CliRunner
from dagster_dg_cli.cli import cli as dg_cli

import hex_assets
from hex_assets.automation import JOB_NAME
from hex_assets.component import HexWorkspaceComponent, ScaffoldParameters
from hex_assets.recipe import load_recipes
from hex_assets_tests.conftest import Location
from hex_assets_tests.test_docs import ROOT, blocks

FINANCE = "hex_finance"
COMPONENT = "hex_assets.HexWorkspaceComponent"

TABLES = """\
import dagster as dg

TABLE = "dagster/table_name"


@dg.asset(metadata={TABLE: "analytics.finance.fct_invoices"})
def invoices() -> int:
    return 1


customers = dg.AssetSpec(["dbt", "customers"], metadata={TABLE: "CORE.DIM_CUSTOMERS"})
unread = dg.AssetSpec("unread", metadata={TABLE: "analytics.core.nobody_reads_this"})
"""

BY_PYTHON = """\
import dagster as dg
from {tables} import customers, invoices

from hex_assets import DagsterHexTranslator, HexAutomation, build_hex_assets_definitions


class OurTranslator(DagsterHexTranslator):
    def get_asset_spec(self, spec):
        return spec.replace_attributes(owners=["team:bi"])


defs = dg.Definitions.merge(
    dg.Definitions(
        assets=[invoices, customers],
        resources={{"io_manager": dg.mem_io_manager}},
        executor=dg.multiprocess_executor,
    ),
    build_hex_assets_definitions(
        {recipes!r},
        storage={storage!r},
        key_prefix="bi",
        translator=OurTranslator(),
        automation=HexAutomation(
            schedule="0 6 * * *", timezone="Europe/Berlin", sensor_seconds=None
        ),
        projects_in_graph=True,
        table_assets=[invoices, customers],
        retry_seconds=0,
    ),
)
"""


class ComponentProject:
    """A Dagster project in the layout that ``dg`` makes, with tables of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        # Modules are cached by name, and each test has a project of its own.
        self.name = f"acme_{abs(hash(root))}"
        self.defs = root / "src" / self.name / "defs"
        (self.defs / "tables").mkdir(parents=True)
        (root / "dg.toml").write_text(
            f'directory_type = "project"\n[project]\nroot_module = "{self.name}"\n'
        )
        (self.defs.parent / "__init__.py").touch()
        (self.defs.parent / "definitions.py").write_text(
            "from pathlib import Path\n\nimport dagster as dg\n\n"
            "defs = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)\n"
        )
        (self.defs / "tables" / "defs.py").write_text(TABLES)

    def embed(self, **attributes: Any) -> None:
        folder = self.defs / "hex"
        folder.mkdir(exist_ok=True)
        text = yaml.safe_dump({"type": COMPONENT, "attributes": attributes})
        (folder / "defs.yaml").write_text(text)

    def load(self) -> dg.Definitions:
        return dg.load_from_defs_folder(path_within_project=self.defs)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ComponentProject:
    made = ComponentProject(tmp_path / "project")
    monkeypatch.syspath_prepend(str(made.root / "src"))
    return made


def specs(definitions: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}


def materialize(definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
    result = definitions.resolve_job_def(JOB_NAME).execute_in_process(
        partition_key=FINANCE, instance=instance
    )
    assert result.success
    assert {check.passed for check in result.get_asset_check_evaluations()} >= {True}


def readers(definitions: dg.Definitions, table: str) -> set[str]:
    """Titles of the Hex projects that are downstream of a table of the project's own."""
    return {
        key.split("/")[-1].rsplit("_", 1)[0]
        for key, spec in specs(definitions).items()
        if "hex" in spec.kinds and table in {dep.asset_key.to_user_string() for dep in spec.deps}
    }


def run_dg(
    project: ComponentProject, home: Path, monkeypatch: pytest.MonkeyPatch, *words: str
) -> str:
    """What ``dg`` prints, run in the project."""
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\nnux: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    monkeypatch.chdir(project.root)
    done = CliRunner().invoke(dg_cli, words)
    assert done.exit_code == 0, done.output
    return done.output


def test_dg_finds_and_scaffolds_the_component(
    project: ComponentProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["list", "components", "--package", "hex_assets", "--json"]
    listed = run_dg(project, tmp_path, monkeypatch, *words)
    keys = [entry["key"] for entry in json.loads(listed[listed.index("{") :])["items"]]
    assert keys == [COMPONENT]
    run_dg(project, tmp_path, monkeypatch, "scaffold", "defs", COMPONENT, "hex")
    assert (project.defs / "hex" / "recipes" / "hex.yaml").is_file()
    assert {"hex_projects", "openmetadata_entities", "invoices"} <= specs(project.load()).keys()


def test_the_scaffolded_recipe_needs_only_what_it_names(project: ComponentProject) -> None:
    folder = project.defs / "hex"
    folder.mkdir()
    scaffold(folder, ScaffoldParameters())
    environ = {"HEX_TOKEN": "token", "OPENMETADATA_JWT": "token"}
    assert list(load_recipes(folder / "recipes", environ)) == ["hex"]


def test_own_recipes_are_scaffolded_as_they_are(project: ComponentProject) -> None:
    folder = project.defs / "hex"
    folder.mkdir()
    scaffold(folder, ScaffoldParameters(recipes="../../recipes"))
    assert [path.name for path in folder.iterdir()] == ["defs.yaml"]
    written = yaml.safe_load((folder / "defs.yaml").read_text())
    assert written["attributes"]["recipes"] == "../../recipes"


def scaffold(folder: Path, parameters: ScaffoldParameters) -> None:
    from hex_assets.component import HexWorkspaceScaffolder

    request = dg.ScaffoldRequest(
        type_name=COMPONENT,
        target_path=folder,
        scaffold_format="yaml",
        project_root=None,
        params=parameters,
    )
    HexWorkspaceScaffolder().scaffold(request)


def test_a_project_embeds_the_component_and_materializes(
    location: Location, project: ComponentProject
) -> None:
    project.embed(
        recipes=str(location.sandbox.recipes),
        storage="frames",
        key_prefix=["bi", "hex"],
        translation={"owners": ["team:bi"], "tags": {"tier": "{{ name }}"}},
        project_translation={"group_name": "{{ project.workspace }}"},
        projects_in_graph=True,
        tables_from=["tables"],
        retry_seconds=0,
    )
    before = project.load()
    ours = specs(before)["bi/hex/lineage_edges"]
    assert ours.owners == ["team:bi"]
    assert ours.tags["tier"] == "lineage_edges"
    assert not readers(before, "invoices")

    with dg.DagsterInstance.ephemeral() as instance:
        materialize(before, instance)
        made = instance.get_latest_materialization_event(
            dg.AssetKey(["bi", "hex", "openmetadata_entities"])
        )
        assert made is not None
        assert instance.get_latest_materialization_event(dg.AssetKey("invoices")) is None
    assert (project.root / "frames" / "lineage_edges" / f"{FINANCE}.parquet").is_file()

    after = project.load()
    assert readers(after, "invoices")
    assert readers(after, "dbt/customers")
    assert readers(after, "unread") == set()
    project_specs = [one for one in specs(after).values() if one.group_name == FINANCE]
    assert project_specs
    assert all(one.key.path[:3] == ["bi", "hex", FINANCE] for one in project_specs)


def test_a_project_embeds_by_python_and_materializes(
    location: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "python_project"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    name = f"acme_python_{abs(hash(tmp_path))}"
    (folder / f"{name}_tables.py").write_text(TABLES)
    (folder / f"{name}.py").write_text(
        BY_PYTHON.format(
            tables=f"{name}_tables",
            recipes=str(location.sandbox.recipes),
            storage=str(tmp_path / "frames"),
        )
    )
    module = importlib.import_module(name)
    before: dg.Definitions = module.defs
    assert specs(before)["bi/hex_projects"].owners == ["team:bi"]
    with dg.DagsterInstance.ephemeral() as instance:
        materialize(before, instance)
    after: dg.Definitions = importlib.reload(module).defs
    assert readers(after, "invoices")
    repository = after.get_repository_def()
    (schedule,) = repository.schedule_defs
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 6 * * *", "Europe/Berlin")
    assert [sensor.name for sensor in repository.sensor_defs] == ["hex_project_runs"]


def test_the_stages_can_end_before_anything_is_published(location: Location) -> None:
    definitions = hex_assets.build_hex_assets_definitions(
        location.sandbox.recipes, through="lineage", checks=False, group_name="bi"
    )
    found = specs(definitions)
    assert "lineage_edges" in found
    assert "openmetadata_entities" not in found
    assert {spec.group_name for spec in found.values()} == {"bi"}
    assert not definitions.resolve_asset_graph().asset_check_keys


def test_without_lineage_the_catalog_is_not_read(location: Location) -> None:
    definitions = hex_assets.build_hex_assets_definitions(
        location.sandbox.recipes, through="warehouse"
    )
    found = specs(definitions)
    assert "warehouse_query_history" in found
    assert not found.keys() & {"table_references", "catalog_tables", "lineage_edges"}
    nodes = {node.key.path[-1] for node in definitions.resolve_asset_graph().asset_nodes}
    assert nodes == found.keys()


def test_resources_can_be_swapped(location: Location, tmp_path: Path) -> None:
    from hex_assets.resources import Recipes

    class OneWorkspace(Recipes):
        """Recipes from somewhere else."""

    swapped = OneWorkspace(path=str(location.recipe_path(FINANCE)))
    definitions = hex_assets.build_hex_assets_definitions(
        location.sandbox.recipes,
        storage=str(tmp_path / "frames"),
        resources={"hex_recipes": swapped},
    )
    assert (definitions.resources or {})["hex_recipes"] is swapped
    with dg.DagsterInstance.ephemeral() as instance:
        materialize(definitions, instance)


def test_a_key_has_to_end_in_the_name_of_its_frame(location: Location) -> None:
    class Renaming(hex_assets.DagsterHexTranslator):
        def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
            return spec.replace_attributes(key=f"our_{spec.key.path[-1]}")

    with pytest.raises(dg.DagsterInvalidDefinitionError, match="does not end in hex_workspace"):
        hex_assets.build_hex_assets_definitions(location.sandbox.recipes, translator=Renaming())


def test_every_attribute_is_documented() -> None:
    for name, field in HexWorkspaceComponent.model_fields.items():
        assert len(field.description or "") > 20, name
    for name, field in hex_assets.HexAutomation.model_fields.items():
        assert len(field.description or "") > 20, name


def test_what_is_offered_is_imported_when_asked_for() -> None:
    for name in hex_assets.__all__:
        assert getattr(hex_assets, name).__name__ == name
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = hex_assets.no_such_name
    code = "import hex_assets.cli, sys; print(sorted({'dagster', 'polars'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


PAGE = ROOT / "docs" / "dagster.md"


def yaml_block(start: str) -> str:
    (block,) = [one for one in blocks(PAGE, "yaml") if one.startswith(start)]
    return block


def test_the_documented_component_loads(
    location: Location, project: ComponentProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.defs / "tables").rename(project.defs / "dbt")
    (command,) = [shlex.split(one) for one in blocks(PAGE, "console")]
    recipes = os.path.relpath(location.sandbox.recipes, project.defs / "hex")
    run_dg(project, tmp_path, monkeypatch, *command[1:], "--recipes", recipes)
    defs_yaml = project.defs / "hex" / "defs.yaml"
    written = yaml.safe_load(defs_yaml.read_text())
    documented = yaml.safe_load(yaml_block("type: "))
    assert written["attributes"].keys() <= documented["attributes"].keys()
    documented["attributes"]["recipes"] = written["attributes"]["recipes"]
    defs_yaml.write_text(yaml.safe_dump(documented))
    found = specs(project.load())
    assert found["bi/hex/hex_projects"].tags["tier"] == "bi"


def test_every_attribute_and_check_is_in_the_documentation(location: Location) -> None:
    first_cells = re.findall(r"^\| (`.*?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    named = {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}
    definitions = hex_assets.build_hex_assets_definitions(location.sandbox.recipes)
    checks = {key.name for key in definitions.resolve_asset_graph().asset_check_keys}
    assert named == checks | HexWorkspaceComponent.model_fields.keys()
    automation = hex_assets.HexAutomation.model_fields.keys()
    documented = yaml.safe_load(yaml_block("type: "))["attributes"]["automation"]
    assert documented.keys() == automation


def test_the_documented_python_runs(
    location: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").symlink_to(location.sandbox.recipes)
    (block,) = blocks(PAGE, "python")
    names: dict[str, Any] = {}
    exec(block, names)
    assert {"orders", "bi/hex_projects"} <= specs(names["defs"]).keys()
    assert specs(names["defs"])["bi/hex_projects"].owners == ["team:analytics"]


def test_the_documented_instance_is_that_of_this_checkout() -> None:
    documented = yaml.safe_load(yaml_block("run_retries"))
    ours = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    assert documented["run_retries"] == ours["run_retries"]
    assert documented["concurrency"]["pools"] == ours["concurrency"]["pools"]
    limits = "tag_concurrency_limits"
    assert documented["concurrency"]["runs"][limits] == ours["concurrency"]["runs"][limits]
