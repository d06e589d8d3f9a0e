"""The catalog's one page for people: what was published, read-only."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import jinja2

from hex_assets.sandbox.catalog.store import Rows, Store

_TEMPLATE = jinja2.Environment(
    autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
).from_string(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sandbox catalog</title>
<style>
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem;
  color: light-dark(#1c1e21, #e4e6eb); background: light-dark(#fff, #18191a); }
h1 { font-size: 1.5rem; margin-bottom: 0; }
h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .45rem .75rem .45rem 0;
  border-bottom: 1px solid light-dark(#dcdfe3, #3a3b3c); overflow-wrap: anywhere; }
th { font-weight: 600; }
a { color: light-dark(#0b57d0, #8ab4f8); }
ul { list-style: none; margin: 0; padding: 0; }
code { font-size: .875em; }
.tag { display: inline-block; padding: 0 .45rem; border-radius: .6rem;
  background: light-dark(#eef1f5, #303134); }
.quiet { color: light-dark(#5f6368, #9aa0a6); }
.deleted td:first-child { text-decoration: line-through; }
</style>
</head>
<body>
<h1>Sandbox catalog</h1>
<p class="quiet">OpenMetadata-compatible, version {{ version }}. {{ table_count }} tables known.
{% if report %}<a href="{{ report }}">Lineage report</a>{% endif %}</p>
{% for service in services %}
<h2>{{ service.name }} <span class="quiet">{{ service.live }} dashboards</span></h2>
<table>
<thead><tr><th>Dashboard</th><th>Owners</th><th>Tags</th><th>Upstream tables</th></tr></thead>
<tbody>
{% for card in service.cards %}
<tr{% if card.deleted %} class="deleted"{% endif %}>
<td>
{% if card.url %}
<a href="{{ card.url }}">{{ card.title }}</a>
{% else %}
{{ card.title }}
{% endif %}
</td>
<td>{{ card.owners | join(", ") }}</td>
<td>{% for tag in card.tags %}<span class="tag">{{ tag }}</span> {% endfor %}</td>
<td><ul>{% for table in card.tables %}<li><code>{{ table }}</code></li>{% endfor %}</ul></td>
</tr>
{% endfor %}
</tbody>
</table>
{% else %}
<p>Nothing has been published yet.</p>
{% endfor %}
</body>
</html>
"""
)


@dataclass(frozen=True)
class _Card:
    title: str
    url: str | None
    owners: Sequence[str]
    tags: Sequence[str]
    tables: Sequence[str]
    deleted: bool


@dataclass(frozen=True)
class _Service:
    name: str
    cards: Sequence[_Card]

    @property
    def live(self) -> int:
        return sum(not card.deleted for card in self.cards)


def render_page(store: Store, version: str, report: str | None = None) -> str:
    """The page as HTML: dashboards by service, soft-deleted ones struck through at the end.

    Args:
        store: the catalog.
        version: what the catalog says it is.
        report: address of the lineage report; None for no link.
    """
    with store.read() as rows:
        services = [
            _Service(_title(service.document, service.name), _cards(rows, service.fqn))
            for service in rows.listed("dashboardService", include="non-deleted")
        ]
        table_count = rows.count("table", include="non-deleted")
    return _TEMPLATE.render(
        services=services, table_count=table_count, version=version, report=report
    )


def _cards(rows: Rows, service_fqn: str) -> list[_Card]:
    dashboards = rows.listed("dashboard", below=[service_fqn])
    owner_ids = rows.references("owners", [dashboard.id for dashboard in dashboards])
    owners = rows.by_ids({one for ids in owner_ids.values() for one in ids})
    upstream = {
        dashboard.id: [edge.from_id for edge in rows.edges_to(dashboard.id)]
        for dashboard in dashboards
    }
    sources = rows.by_ids({one for ids in upstream.values() for one in ids})
    tables: defaultdict[str, list[str]] = defaultdict(list)
    for dashboard_id, ids in upstream.items():
        tables[dashboard_id] = sorted(sources[one].fqn for one in ids)
    cards = [
        _Card(
            title=_title(dashboard.document, dashboard.name),
            url=_web_link(dashboard.document.get("sourceUrl")),
            owners=[
                _title(owners[one].document, owners[one].name) for one in owner_ids[dashboard.id]
            ],
            tags=[label["tagFQN"] for label in dashboard.document.get("tags", ())],
            tables=tables[dashboard.id],
            deleted=dashboard.deleted,
        )
        for dashboard in dashboards
    ]
    return sorted(cards, key=lambda card: (card.deleted, card.title.casefold()))


def _title(document: dict[str, object], name: str) -> str:
    return str(document.get("displayName") or name)


def _web_link(url: str | None) -> str | None:
    """The URL, unless a browser would run it instead of following it."""
    return url if url and re.match("https?://", url, re.IGNORECASE) else None
