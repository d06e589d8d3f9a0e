"""The ``hex-assets`` command."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console

if TYPE_CHECKING:
    from hex_assets.impact.answers import Derive
    from hex_assets.recipe import Recipe
    from hex_assets.runs import WorkspaceRun
    from hex_assets.settings import LocationSettings


class Exit(IntEnum):
    """Exit codes: 0 done, 1 something failed, 2 bad input, 3 a change would break something or,
    of ``plan``, there is something to change.
    """

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    BREAKS = 3
    CHANGES = 3


app = typer.Typer(
    help="Hex projects, owners, tags and table lineage in OpenMetadata, through Dagster assets.\n\n"
    "Exit codes: 0 done, 1 something failed, 2 bad input, 3 a change would break something, "
    "or a plan has changes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

RecipePath = Annotated[
    Path,
    typer.Option(
        "--config",
        "-c",
        help="Recipe: the YAML that `metadata ingest -c` takes for Hex, or a folder of them.",
    ),
]


@app.command()
def ingest(
    config: RecipePath,
    reset_history: Annotated[
        bool,
        typer.Option(
            "--reset-history",
            help="Drop the stored query history and read the whole look-back again, for example "
            "after projects became visible to the token.",
        ),
    ] = False,
    reconcile: Annotated[
        bool,
        typer.Option(
            "--reconcile",
            help="Read everything from OpenMetadata, in place of trusting what the last run left "
            "there (hexAssets.reconcileDays).",
        ),
    ] = False,
    plan_file: Annotated[
        Path | None,
        typer.Option(
            help="Publish just what this file of `hex-assets plan --out` says, from the frames of "
            "the last run, or nothing if it is not what would be done now.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run the recipe, or every recipe of a folder: read Hex and the warehouses, then publish.

    Each recipe is one Dagster run of the same assets that the Dagster UI shows.
    """
    from hex_assets.runs import RECONCILE, RESET_HISTORY

    console = Console()
    settings = _settings()
    recipes = _validate(config, console)
    settings = replace(settings, recipes=str(config))
    if plan_file is not None:
        if reset_history or reconcile:
            _refuse("--plan-file goes with neither --reset-history nor --reconcile.")
        runs = _apply_reviewed(settings, recipes, plan_file, console)
    else:
        ops: dict[str, Any] = {}
        for wanted, run_config in ((reset_history, RESET_HISTORY), (reconcile, RECONCILE)):
            ops |= run_config["ops"] if wanted else {}
        runs = _run_all(settings, None, console, lambda workspace: {"ops": ops})
    raise typer.Exit(Exit.DONE if all(run.succeeded for run in runs) else Exit.FAILED)


@app.command()
def plan(
    config: RecipePath,
    read: Annotated[
        bool,
        typer.Option(
            "--read",
            help="Read Hex and the warehouses first; by default the frames of the last run are "
            "planned from.",
        ),
    ] = False,
    reconcile: Annotated[
        bool, typer.Option("--reconcile", help="As of `hex-assets ingest`.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="For machines: the plan as JSON, on standard output.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the plan here, for `hex-assets ingest --plan-file`.", show_default=False
        ),
    ] = None,
) -> None:
    """Show what publishing would change in OpenMetadata; changes nothing there.

    Exit code 3 when there is something to change.
    """
    from hex_assets.errors import HexAssetsError
    from hex_assets.frame_files import SCHEMAS
    from hex_assets.frames import OPENMETADATA_ENTITIES
    from hex_assets.openmetadata.assets import plan_workspace
    from hex_assets.openmetadata.plan_file import PlanFile, WorkspacePlan
    from hex_assets.summary import print_plan

    console = Console(stderr=json)
    recipes = _validate(config, console)
    settings = replace(_settings(), recipes=str(config))
    if read:
        runs = _run_all(
            settings, None, console, assets=SCHEMAS.keys() - {OPENMETADATA_ENTITIES.name}
        )
        if not all(run.succeeded for run in runs):
            raise typer.Exit(Exit.FAILED)
    plans = {}
    for recipe in recipes.values():
        name = recipe.service_name
        try:
            planned = plan_workspace(settings.storage, recipe, reconcile=reconcile)
        except HexAssetsError as error:
            Console(stderr=True).print(f"{name}: {error}", style="red", markup=False)
            raise typer.Exit(Exit.FAILED) from error
        plans[name] = WorkspacePlan.of(planned)
        print_plan(console, name, plans[name])
    file = PlanFile(workspaces=plans)
    if json:
        sys.stdout.write(file.as_json())
    if out is not None:
        out.write_text(file.as_json(), encoding="utf-8")
    raise typer.Exit(Exit.CHANGES if any(one.sends for one in plans.values()) else Exit.DONE)


@app.command()
def check(config: RecipePath) -> None:
    """Validate the recipe and try each connection, before anything is read."""
    from hex_assets.connections import check_connections
    from hex_assets.summary import print_checks

    console = Console()
    failed = False
    for name, recipe in _validate(config, console).items():
        checks = check_connections(recipe)
        print_checks(console, name, checks)
        failed = failed or any(item.status == "failed" for item in checks)
    raise typer.Exit(Exit.FAILED if failed else Exit.DONE)


@app.command()
def demo(
    ui: Annotated[
        bool, typer.Option("--ui", help="Keep running, with the Dagster UI and the catalog's page.")
    ] = False,
    folder: Annotated[
        Path, typer.Option(help="Where the demo keeps its files; emptied at the start.")
    ] = Path(".hex_assets/demo"),
) -> None:
    """Start the embedded sandbox and materialize every asset for every demo workspace.

    Needs no account: a Hex API, a warehouse log and an OpenMetadata-compatible catalog run on
    free loopback ports of this machine, with a made-up company inside.
    """
    from hex_assets.demo import clean_folder, dagster_ui, demo_location
    from hex_assets.report.page import write_report

    console = Console()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(Exit.FAILED))
    home = clean_folder(folder)
    try:
        with demo_location(home) as (sandbox, settings):
            runs = _run_all(settings, home, console)
            succeeded = all(run.succeeded for run in runs)
            if succeeded:
                write_report(settings.storage, None, home / "report.html")
            if ui:
                console.print(f"\nCatalog page   {sandbox.catalog_url}")
                console.print(f"Lineage report {settings.report_url}")
                with dagster_ui(settings, home) as url:
                    console.print(f"Dagster UI     {url}\n\nCtrl-C stops everything.")
                    signal.pause()
    except KeyboardInterrupt:
        console.print("Stopped.")
        return
    console.print(
        f"\nFrames and the lineage report (report.html) are in {home}. Next: hex-assets demo --ui "
        "shows the asset graph and the catalog; hex-assets check -c recipe.yaml tries your own Hex."
    )
    raise typer.Exit(Exit.DONE if succeeded else Exit.FAILED)


Workspace = Annotated[
    str | None, typer.Option(help="Only this workspace; by default all that are stored.")
]
AsJson = Annotated[bool, typer.Option("--json", help="For machines: everything, as JSON.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="One row per project and cell, as CSV.")]


@app.command()
def impact(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Table or column: any end of its fully qualified name that only one has, in any "
            "letter case, for example core.orders or core.orders.amount.",
            show_default=False,
        ),
    ] = None,
    changed: Annotated[
        list[Path] | None,
        typer.Option(
            help="In place of a name, what a change removes: two manifests of dbt (give the "
            "option twice, the older first), a git diff (make it with -U100000), or a list of "
            "names. Exit code 3 if a project reads any of it.",
            show_default=False,
        ),
    ] = None,
    depth: Annotated[
        int,
        typer.Option(
            min=0,
            max=3,
            help="Follow table lineage of OpenMetadata so many steps down, and ask for readers of "
            "what is made of the table, too. Asks OpenMetadata, unlike all else here.",
        ),
    ] = 0,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            help="With --depth: the recipe that names OpenMetadata; by default HEX_ASSETS_RECIPES.",
        ),
    ] = None,
    workspace: Workspace = None,
    json: AsJson = False,
    csv: AsCsv = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="With --changed: a comment for a pull request.")
    ] = False,
) -> None:
    """Which Hex projects and cells read a table or column, those who would notice first.

    Answers from the frames of earlier runs (HEX_ASSETS_STORAGE); without --depth, no server is
    asked.
    """
    from hex_assets.errors import HexAssetsError
    from hex_assets.impact.answers import what_breaks, who_reads

    if (name is None) == (not changed):
        _refuse("Give either the name of a table or column, or --changed.")
    if markdown and not changed:
        _refuse("--markdown goes with --changed.")
    if json + csv + markdown > 1:
        _refuse("Give one of --json, --csv and --markdown.")
    form = "json" if json else "csv" if csv else "markdown" if markdown else "table"
    try:
        with _derived(depth, config, workspace) as derived:
            if changed:
                broken = what_breaks(_storage(), workspace, changed, form, Console(), derived)
                raise typer.Exit(Exit.BREAKS if broken else Exit.DONE)
            who_reads(_storage(), workspace, name or "", form, Console(), derived)
    except HexAssetsError as error:
        _refuse(str(error))


@contextmanager
def _derived(depth: int, config: Path | None, workspace: str | None) -> Iterator[Derive]:
    """What tells the tables made of another, as far down as was asked for."""
    if not depth:
        from hex_assets.impact.answers import nothing_derived

        yield nothing_derived
        return
    from hex_assets.connections import open_openmetadata
    from hex_assets.impact.downstream import derived_from

    path = config or _settings().recipes
    if not path:
        _refuse("--depth asks OpenMetadata: name a recipe with -c, or set HEX_ASSETS_RECIPES.")
    recipes = _validate(Path(path), Console(stderr=True))
    recipe = recipes.get(workspace or "") or next(iter(recipes.values()))
    with open_openmetadata(recipe) as client:
        yield lambda target: derived_from(client, target, depth)


@app.command()
def project(
    name: Annotated[str, typer.Argument(help="Id, title, or a part that only one title has.")],
    workspace: Workspace = None,
    json: AsJson = False,
    csv: AsCsv = False,
) -> None:
    """What one Hex project reads, and what is known of it: the reverse of `impact`."""
    from hex_assets.errors import HexAssetsError
    from hex_assets.impact.answers import what_project_reads

    form = "json" if json else "csv" if csv else "table"
    try:
        what_project_reads(_storage(), workspace, name, form, Console())
    except HexAssetsError as error:
        _refuse(str(error))


@app.command()
def report(
    out: Annotated[Path, typer.Option(help="Where to write the page.")] = Path("report.html"),
    workspace: Workspace = None,
) -> None:
    """Write one self-contained HTML page: an explorable lineage graph, and what needs attention.

    Made from the frames of earlier runs (HEX_ASSETS_STORAGE); no server is asked.
    """
    from hex_assets.errors import HexAssetsError
    from hex_assets.report.page import write_report

    try:
        write_report(_storage(), workspace, out)
    except HexAssetsError as error:
        _refuse(str(error))
    except OSError as error:
        _refuse(f"{out} cannot be written: {error.strerror or error}.")
    Console().print(f"Written to {out}", markup=False, soft_wrap=True)


def _storage() -> str:
    return _settings().storage


def _settings() -> LocationSettings:
    from hex_assets.errors import RecipeError
    from hex_assets.settings import LocationSettings

    try:
        return LocationSettings.from_environment()
    except RecipeError as error:
        _refuse(str(error))


def _refuse(text: str) -> NoReturn:
    Console(stderr=True).print(text, style="red", markup=False, soft_wrap=True)
    raise typer.Exit(Exit.BAD_INPUT)


def _validate(config: Path, console: Console) -> dict[str, Recipe]:
    from hex_assets.errors import RecipeError
    from hex_assets.recipe import load_recipes

    try:
        return load_recipes(config)
    except RecipeError as error:
        _refuse(str(error))


def _run_all(
    settings: LocationSettings,
    home: Path | None,
    console: Console,
    run_config: Callable[[str], Mapping[str, Any]] = lambda workspace: {},
    assets: Collection[str] | None = None,
) -> list[WorkspaceRun]:
    """Run every workspace of the recipes, and print what came of them.

    Args:
        run_config: of a workspace.
        assets: as of ``run_workspace``.
    """
    from hex_assets.resources import Recipes
    from hex_assets.runs import dagster_instance, run_workspace
    from hex_assets.summary import print_summary, printed_events

    runs = []
    with dagster_instance(home) as instance:
        for workspace in Recipes(path=settings.recipes).workspaces():
            with printed_events(console, workspace) as event:
                config = run_config(workspace)
                runs.append(run_workspace(settings, workspace, instance, event, config, assets))
    print_summary(console, runs)
    return runs


def _apply_reviewed(
    settings: LocationSettings, recipes: Mapping[str, Recipe], path: Path, console: Console
) -> list[WorkspaceRun]:
    from hex_assets.errors import RecipeError
    from hex_assets.frames import OPENMETADATA_ENTITIES
    from hex_assets.openmetadata.plan_file import PlanFile
    from hex_assets.runs import reviewed_plan

    try:
        plans = PlanFile.read(path).workspaces
    except RecipeError as error:
        _refuse(str(error))
    workspaces = {recipe.service_name for recipe in recipes.values()}
    if workspaces != set(plans):
        _refuse(
            f"{path} is a plan for {', '.join(sorted(plans))}, and the recipes are for "
            f"{', '.join(sorted(workspaces))}."
        )
    return _run_all(
        settings,
        None,
        console,
        lambda workspace: reviewed_plan(plans[workspace].fingerprint),
        assets=[OPENMETADATA_ENTITIES.name],
    )


def main() -> None:
    """Entry point of the ``hex-assets`` script."""
    app()
