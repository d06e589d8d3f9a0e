"""What a change to a warehouse's models takes away: tables and columns dropped or renamed.

Three forms of a change are understood: two manifests of dbt, before and after; a git diff; and a
plain list of names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from hex_assets.errors import ChangeUnreadable

_MODELS = ("model", "seed", "snapshot", "source")
_NAME = re.compile(r'[\w$"`][\w$."`\- ]*')
_LISTED = "is in the list"
_FOLDERS = ("models", "seeds", "snapshots")
_EXPRESSION = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_STATEMENT = re.compile(r"\{\{\s*config\(.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_TAKES_AWAY = re.compile(r"\b(?:drop|alter|rename)\b", re.IGNORECASE)


@dataclass(frozen=True, order=True)
class Removed:
    """A table or column that is there no more.

    Attributes:
        table: parts of its name as the source of the change tells them, the last is the table.
        column: None when the whole table is gone.
        reason: what happened, for people.
    """

    table: tuple[str, ...]
    column: str | None
    reason: str

    @property
    def listed(self) -> bool:
        """Whether the name is one text of a list, that may mean a table or a column."""
        return self.reason == _LISTED

    def __str__(self) -> str:
        return ".".join((*self.table, *([] if self.column is None else [self.column])))


def read_change(paths: Iterable[Path]) -> list[Removed]:
    """What the files say is removed, sorted.

    Args:
        paths: two manifests of dbt, the older first; or one git diff; or one list of names, a
            name on each line (``#`` starts a comment).

    Raises:
        ChangeUnreadable: they are none of these.
    """
    files = list(paths)
    texts = [_text(path) for path in files]
    if len(files) == 2:
        before, after = (_manifest(path, text) for path, text in zip(files, texts, strict=True))
        return sorted(set(_between(before, after)))
    if len(files) != 1:
        raise ChangeUnreadable("--changed", f"takes one or two files, not {len(files)}")
    text = texts[0]
    if text.lstrip().startswith("{"):
        raise ChangeUnreadable(str(files[0]), "is one manifest; give the one before it, too")
    if any(line.startswith(("diff --git ", "--- ")) for line in text.splitlines()):
        return sorted(set(_from_diff(files[0], text)))
    return sorted(set(_listed(files[0], text)))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ChangeUnreadable(str(path), error.strerror or "cannot be read") from None
    except UnicodeDecodeError:
        raise ChangeUnreadable(str(path), "is not UTF-8 text") from None


@dataclass(frozen=True)
class _Relation:
    """A table that a project of dbt makes or reads."""

    name: tuple[str, ...]
    columns: Mapping[str, str]
    """Case-folded to exact; empty when the manifest documents none."""


def _manifest(path: Path, text: str) -> dict[str, _Relation]:
    try:
        document = json.loads(text)
        nodes = {**document["nodes"], **document.get("sources", {})}
        return {
            key: _relation(node)
            for key, node in nodes.items()
            if node["resource_type"] in _MODELS
            and (node.get("config") or {}).get("materialized") != "ephemeral"
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"is not a manifest.json of dbt ({type(error).__name__})"
        raise ChangeUnreadable(str(path), reason) from None


def _relation(node: Mapping[str, Any]) -> _Relation:
    table = node.get("identifier") or node.get("alias") or node["name"]
    name = tuple(str(part) for part in (node.get("database"), node.get("schema"), table) if part)
    columns = [str(column["name"]) for column in (node.get("columns") or {}).values()]
    documented = {column.casefold(): column for column in columns}
    return _Relation(name, documented or _selected(node.get("compiled_code") or ""))


def _selected(sql: str) -> dict[str, str]:
    """Names of the columns that a compiled model returns; none when it cannot be told."""
    if not sql.strip():
        return {}
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        query = sqlglot.parse_one(sql)
    except (SqlglotError, RecursionError):
        return {}
    if not isinstance(query, exp.Query) or query.is_star:
        return {}
    return {name.casefold(): name for name in query.named_selects if name}


def _between(before: Mapping[str, _Relation], after: Mapping[str, _Relation]) -> Iterator[Removed]:
    still_made = {_folded(relation.name) for relation in after.values()}
    for key, old in before.items():
        new = after.get(key)
        if new is None or _folded(new.name) != _folded(old.name):
            if _folded(old.name) in still_made:
                continue
            moved = "is removed" if new is None else f"is now {'.'.join(new.name)}"
            yield Removed(old.name, None, f"table {moved}")
        elif old.columns and new.columns:
            for folded in old.columns.keys() - new.columns.keys():
                yield Removed(old.name, old.columns[folded], "column is removed or renamed")


def _folded(name: Iterable[str]) -> tuple[str, ...]:
    return tuple(part.casefold() for part in name)


def _listed(path: Path, text: str) -> Iterator[Removed]:
    for number, line in enumerate(text.splitlines(), start=1):
        name = line.partition("#")[0].strip()
        if not name:
            continue
        if not _NAME.fullmatch(name):
            raise ChangeUnreadable(f"{path}, line {number}", "is not the name of a table or column")
        yield Removed((name,), None, _LISTED)


def _from_diff(path: Path, text: str) -> Iterator[Removed]:
    """What a git diff of a dbt project, or of SQL migrations, removes.

    A model is named like its file; its columns are those of the YAML that documents it and of
    its last SELECT. DROP and ALTER statements count in any SQL file.
    """
    from unidiff import PatchSet, UnidiffParseError

    try:
        files = PatchSet(text)
    except UnidiffParseError as error:
        raise ChangeUnreadable(str(path), f"is not a git diff: {error}") from None
    for file in files:
        suffix = PurePosixPath(file.path).suffix.lower()
        if suffix in (".yml", ".yaml"):
            yield from _yaml_columns(file)
        elif suffix == ".sql":
            yield from _sql_file(file)


def _sides(file: Any) -> tuple[str, str]:
    """The file before and after.

    Raises:
        ChangeUnreadable: the diff shows only parts of it.
    """
    starts = [hunk.source_start for hunk in file] + [hunk.target_start for hunk in file]
    if len(file) > 1 or any(start > 1 for start in starts):
        raise ChangeUnreadable(file.path, "is shown only in part; use git diff -U100000")
    before = "".join(line.value for hunk in file for line in hunk.source_lines())
    after = "".join(line.value for hunk in file for line in hunk.target_lines())
    return before, after


def _yaml_columns(file: Any) -> Iterator[Removed]:
    before, after = (_documented(file.path, text) for text in _sides(file))
    for table, columns in before.items():
        # A model that is documented no more may still be made; its file tells.
        kept = after.get(table)
        for folded in columns.keys() - kept.keys() if kept is not None else ():
            reason = f"column is removed or renamed in {file.path}"
            yield Removed((table,), columns[folded], reason)


def _documented(path: str, text: str) -> dict[str, dict[str, str]]:
    """Columns of each model, seed, snapshot or source table that a YAML file documents."""
    import yaml  # every answer would wait for it, and few need it

    try:
        document = yaml.safe_load(text) or {}
        tables = [
            one for kind in ("models", "seeds", "snapshots") for one in document.get(kind, [])
        ]
        tables += [one for source in document.get("sources", []) for one in source["tables"]]
        return {
            str(table.get("identifier") or table["name"]): {
                str(column["name"]).casefold(): str(column["name"])
                for column in table.get("columns") or []
            }
            for table in tables
        }
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise ChangeUnreadable(path, f"is not YAML of dbt ({type(error).__name__})") from None


def _sql_file(file: Any) -> Iterator[Removed]:
    stem = PurePosixPath(file.source_file.removeprefix("a/")).stem
    is_model = any(part in _FOLDERS for part in PurePosixPath(file.path).parts[:-1])
    added = "".join(line.value for hunk in file for line in hunk if line.is_added)
    yield from _taken_away_by(added, file.path)
    if not is_model or file.is_added_file:
        return
    if file.is_removed_file:
        yield Removed((stem,), None, f"{file.path} is removed")
    elif file.is_rename and PurePosixPath(file.path).stem != stem:
        yield Removed((stem,), None, f"is renamed to {PurePosixPath(file.path).stem}")
    elif len(file):
        old, new = (_selected(_without_jinja(text)) for text in _sides(file))
        for folded in old.keys() - new.keys() if old and new else ():
            yield Removed((stem,), old[folded], f"column is removed or renamed in {file.path}")


def _without_jinja(text: str) -> str:
    return _EXPRESSION.sub(" jinja ", _STATEMENT.sub(" ", text))


def _taken_away_by(sql: str, path: str) -> Iterator[Removed]:
    """What DROP and ALTER statements take away."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    if not _TAKES_AWAY.search(sql):
        return
    try:
        statements = sqlglot.parse(_without_jinja(sql))
    except (SqlglotError, RecursionError):
        raise ChangeUnreadable(path, "has a DROP or ALTER that cannot be parsed") from None
    for statement in statements:
        if isinstance(statement, exp.Drop):
            for dropped in statement.args.get("tables") or ():
                if isinstance(dropped, exp.Table):
                    yield Removed(_parts(dropped), None, f"is dropped in {path}")
        elif isinstance(statement, exp.Alter) and isinstance(statement.this, exp.Table):
            table = _parts(statement.this)
            for action in statement.args.get("actions") or ():
                if isinstance(action, exp.Drop):
                    for dropped in action.args.get("tables") or ():
                        yield Removed(table, dropped.name, f"column is dropped in {path}")
                elif isinstance(action, exp.RenameColumn):
                    yield Removed(table, action.this.name, f"column is renamed in {path}")
                elif isinstance(action, exp.AlterRename):
                    yield Removed(table, None, f"is renamed in {path}")


def _parts(table: Any) -> tuple[str, ...]:
    return tuple(part.name for part in table.parts)
