"""Render the report: one HTML file that holds its data, its style and its scripts."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib import resources
from pathlib import Path
from urllib.parse import quote

import jinja2
from upath import UPath

from hex_assets.files import write_whole
from hex_assets.report.findings import (
    changed_entities,
    most_read_tables,
    project_facts,
    troubled,
    unresolved_references,
    unused,
)
from hex_assets.report.graph import graph_data
from hex_assets.report.stored import ReportFrames, read_report_frames

_ROWS_SHOWN = 100
_SCRIPTS = ("vendor/cytoscape.min.js", "vendor/cytoscape-dagre.min.js", "explorer.js")


def write_report(root: str, workspace: str | None, out: Path) -> None:
    """Write the report to a file, of which a reader never sees a part.

    Raises:
        NothingStored, FrameError: see ``render_report``.
        OSError: the file cannot be written.
    """
    html = render_report(root, workspace, datetime.now(timezone.utc))
    write_whole(UPath(out), html.encode())


def render_report(root: str, workspace: str | None, now: datetime) -> str:
    """The report as HTML.

    Args:
        root: the storage root, a path or object-store URL.
        workspace: name of one workspace; None for all that have lineage.
        now: the present, aware; shown, and what staleness is judged by.

    Raises:
        NothingStored: no lineage is stored there, or none of that workspace.
        FrameError: a frame is of another version.
    """
    return render_page(read_report_frames(root, workspace), now)


def render_page(frames: ReportFrames, now: datetime) -> str:
    """The report of these frames as HTML; titles and names in it are text, never markup."""
    projects = project_facts(frames, now)
    scripts = [_file(name) for name in _SCRIPTS]
    read = most_read_tables(frames, projects)
    changed = changed_entities(frames)
    return _template().render(
        now=now,
        workspaces=frames.workspaces,
        live=sum(one.live for one in projects),
        tables_read=len(read),
        tables_known=frames.tables["table_fqn"].n_unique(),
        columns_read=sum(one.columns for one in read),
        edges=frames.edges.height,
        most_read=read,
        troubled=troubled(projects),
        unused=unused(projects),
        unresolved=unresolved_references(frames),
        changed=changed,
        changed_counts=Counter(f"{one.kind} {one.action}" for one in changed).most_common(),
        gaps=frames.gaps,
        rows_shown=_ROWS_SHOWN,
        data=graph_data(frames, projects),
        style=_file("report.css"),
        scripts=scripts,
        policy=_policy(scripts),
    )


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    environment.filters |= {"day": _day, "number": _number, "component": _component}
    return environment.from_string(_file("template.html"))


def _policy(scripts: Sequence[str]) -> str:
    """A Content-Security-Policy that lets only these scripts run, and nothing be fetched."""
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src {allowed}"


def _file(name: str) -> str:
    return (resources.files("hex_assets.report") / name).read_text(encoding="utf-8")


def _day(instant: datetime | None) -> str:
    return "\N{EN DASH}" if instant is None else f"{instant:%Y-%m-%d}"


def _number(number: int) -> str:
    return f"{number:,}"


def _component(text: str) -> str:
    """Text as one component of a URL's fragment."""
    return quote(text, safe="")
