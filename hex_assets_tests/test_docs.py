"""The documentation: its links lead somewhere, its recipes are accepted, its commands work."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from hex_assets.cli import app
from hex_assets.recipe import HexAssetsSettings, load_recipe, parse_recipe
from hex_assets_tests.conftest import Location

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page
    for folder in ("", "docs", "docs/warehouses", "benchmarks")
    for page in (ROOT / folder).glob("*/README.md" if folder == "benchmarks" else "*.md")
)
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_DEMO = "hex_growth"


def blocks(page: Path, language: str) -> list[str]:
    found = _BLOCK.findall(page.read_text(encoding="utf-8"))
    return [text for kind, text in found if kind == language]


def commands(page: Path) -> Iterator[list[str]]:
    """The ``hex-assets`` commands of the console blocks of a page, without what pipes follow."""
    for block in blocks(page, "console"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if "hex-assets" in words:
                words = words[words.index("hex-assets") + 1 :]
                ends = [at for at, word in enumerate(words) if word in ("|", "&&", ">", ";")]
                yield words[: ends[0]] if ends else words


def in_pages(language: str, marker: str) -> list[Any]:
    return [
        pytest.param(block, id=f"{page.relative_to(ROOT)}-{number}")
        for page in PAGES
        for number, block in enumerate(blocks(page, language))
        if block.lstrip().startswith(marker)
    ]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_recipe_reference_is_that_of_the_models() -> None:
    written = (ROOT / "docs" / "recipe.md").read_text(encoding="utf-8")
    assert written == script("write_recipe_reference").recipe_reference(), (
        "run `uv run python docs/write_recipe_reference.py`"
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = [one for one in _LINK.findall(page.read_text(encoding="utf-8")) if "://" not in one]
    missing = [one for one in targets if not (page.parent / one).exists()]
    assert missing == []


@pytest.mark.parametrize("text", in_pages("yaml", "source:"))
def test_recipes_are_accepted(text: str) -> None:
    environ = dict.fromkeys(_VARIABLE.findall(text), "token")
    assert parse_recipe(text, "recipe.yaml", environ).service_name


@pytest.mark.parametrize("text", in_pages("yaml", "hexAssets:"))
def test_settings_are_accepted(text: str) -> None:
    settings = yaml.safe_load(_VARIABLE.sub("token", text))["hexAssets"]
    assert HexAssetsSettings.model_validate(settings)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist(page: Path) -> None:
    for words in commands(page):
        shown = CliRunner().invoke(app, [words[0], "--help"], env={"COLUMNS": "200"})
        assert shown.exit_code == 0, words
        options = {word.split("=")[0] for word in words[1:] if word.startswith("-")}
        assert options <= set(re.findall(r"(?<![\w-])--?[\w-]+", shown.output)), words


def test_the_quick_start_works(
    location: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its recipe with the sandbox's addresses in place of the vendors', then its commands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEX_ASSETS_STORAGE", str(tmp_path / "frames"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    page = ROOT / "docs" / "quick-start.md"
    demo = yaml.safe_load(location.recipe_path(_DEMO).read_text())
    (written,) = blocks(page, "yaml")
    recipe = yaml.safe_load(_with_addresses(written, demo))
    hex_assets = demo["workflowConfig"]["config"]["hexAssets"]
    recipe["workflowConfig"]["config"]["hexAssets"] = hex_assets
    recipe["source"]["sourceConfig"]["config"]["lineageInformation"] = demo["source"][
        "sourceConfig"
    ]["config"]["lineageInformation"]
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert load_recipe(tmp_path / "recipe.yaml").service_name == "hex"
    ran = [words[0] for words in commands(page)]
    assert ran == ["check", "ingest", "impact", "project"]
    for words in commands(page):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, (words, result.output)
    dashboards = location.catalog()["dashboards"]
    assert any(name.startswith("hex.") for name in dashboards)


def _with_addresses(text: str, demo: dict[str, Any]) -> str:
    connection = demo["source"]["serviceConnection"]["config"]
    server = demo["workflowConfig"]["openMetadataServerConfig"]
    for old, new in {
        "https://app.hex.tech": connection["hostPort"],
        "https://openmetadata.example.com/api": server["hostPort"],
        "${HEX_TOKEN}": connection["token"],
        "${OPENMETADATA_JWT_TOKEN}": server["securityConfig"]["jwtToken"],
    }.items():
        assert old in text
        text = text.replace(old, new)
    return text
