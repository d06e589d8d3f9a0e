"""A recipe file as YAML: environment variables filled in, and the line of every key known.

OpenMetadata expands variables in the raw text, before YAML reads it (``os.path.expandvars``).
Here they are expanded in the strings that YAML found. What differs:

- Whatever a variable holds stays inside its string: no line break, ``#`` or ``: `` of a secret
  can break the file or add keys to it.
- ``${NAME}`` that is not set is an error, where OpenMetadata would take the text ``${NAME}``.
  ``$NAME`` that is not set stays as it is in both, for regular expressions end with a dollar sign.
- Numbers and booleans stay text, which the models read as number or boolean where they want one,
  so that an all-digit password stays a password. An unquoted variable that is empty, ``null`` or
  ``~`` is no value, as in OpenMetadata.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

_VARIABLE = re.compile(r"\$(?:(?P<bare>\w+)|\{(?P<braced>[^}]*)\})", re.ASCII)
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NULL_WORDS = ("", "~", "null", "Null", "NULL")
_TAG = "tag:yaml.org,2002:"
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_UNREADABLE_SCALAR = (
    yaml.YAMLError,
    ValueError,
    OverflowError,
    # PyYAML raises these three for `!!bool x`, `!!int ""` and `!!timestamp x`.
    KeyError,
    IndexError,
    AttributeError,
)


@dataclass(frozen=True)
class Problem:
    """One thing to mend.

    Attributes:
        line: line in the file, from 1; 0 when the whole file is meant.
        key: path of the key as written in the file, for example ``source.type``.
        text: what is wrong and what to do; holds no value.
    """

    line: int
    key: str
    text: str

    def __str__(self) -> str:
        place = [f"line {self.line}"] if self.line else []
        place += [self.key] if self.key else []
        return f"{', '.join(place)}: {self.text}" if place else self.text


@dataclass(frozen=True)
class Place:
    """Where a value is in the file.

    Attributes:
        line: line of its key or item, from 1.
        key: its path, keys as written; of the nearest mapping above when the file lacks it.
        variables: names of the variables in its text.
        unset: one of them is not set, which is a problem of its own.
        is_null: it is there and has no value.
    """

    line: int
    key: str
    variables: tuple[str, ...]
    unset: bool
    is_null: bool


class Document:
    """The values of one recipe file.

    Attributes:
        data: plain Python values, variables expanded; None when they cannot be had.
        problems: what is wrong with the file before any meaning is given to its keys.
    """

    def __init__(self, text: str, is_json: bool, environ: Mapping[str, str]) -> None:
        self.data: Any = None
        self.problems: list[Problem] = []
        self._environ = environ
        self._written: dict[int, str] = {}
        self._unset: set[int] = set()
        self._read: set[int] = set()
        self._reading: set[int] = set()
        self._readable = True
        self._root: yaml.Node | None = None
        try:
            self._load(text, is_json)
        except RecursionError:
            self._refuse(0, "", "is nested too deeply. A recipe has fewer than ten levels")

    def place(self, path: Sequence[str | int]) -> Place:
        """Find the value at a path as pydantic gives it.

        Steps that the file does not have, such as pydantic's names of union members, are skipped.
        """
        node, line, key = self._root, 1, ""
        found = True
        for step in path:
            child = _child(node, step)
            found = child is not None
            if child is None:
                continue
            key_node, node = child
            line = (key_node or node).start_mark.line + 1
            shown = f"[{step}]" if key_node is None else f".{self._as_written(key_node)}"
            key = f"{key}{shown}".lstrip(".")
        written = self._written.get(id(node), "") if found else ""
        names = [match["bare"] or match["braced"] for match in _VARIABLE.finditer(written)]
        is_null = found and isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}null"
        return Place(line, key, tuple(names), found and id(node) in self._unset, is_null)

    def _load(self, text: str, is_json: bool) -> None:
        if is_json:
            try:
                json.loads(text, parse_int=str)
            except json.JSONDecodeError as error:
                advice = f"is not valid JSON at column {error.colno}: {error.msg}. Mend it there"
                return self._refuse(error.lineno, "", advice)
            # JSON is YAML but for tabs between its tokens; inside strings JSON escapes them.
            text = text.replace("\t", " ")
        try:
            loader = yaml.SafeLoader(text)
            self._root = loader.get_single_node()
            if self._root is None:
                return self._refuse(0, "", "is empty. Copy recipes/hex.yaml to begin with")
            self._expand(self._root, "", loader)
            if self._readable:
                self.data = loader.construct_document(self._root)
        except yaml.YAMLError as error:
            self._refuse_yaml(error, text)
        return None

    def _refuse(self, line: int, key: str, text: str) -> None:
        self.data = None
        self._readable = False
        self.problems.append(Problem(line, key, f"{text}."))

    def _refuse_yaml(self, error: yaml.YAMLError, text: str) -> None:
        if isinstance(error, yaml.reader.ReaderError):
            line = text.count("\n", 0, error.position) + 1
            return self._refuse(line, "", "has a character that YAML does not allow. Remove it")
        mark = getattr(error, "problem_mark", None)
        start = getattr(error, "context_mark", None)
        said = _without_values(getattr(error, "problem", None) or "unknown reason")
        where = f" at column {mark.column + 1}" if mark else ""
        began = f", in what begins on line {start.line + 1}" if start and mark else ""
        advice = f"is not valid YAML{where}{began}: {said}. Check indentation and quotes there"
        return self._refuse(mark.line + 1 if mark else 0, "", advice)

    def _expand(self, node: yaml.Node, key: str, loader: yaml.SafeLoader) -> None:
        """Expand the variables below a node, and note what is wrong on the way."""
        if id(node) in self._reading:
            line = node.start_mark.line + 1
            return self._refuse(line, key, "refers to itself by an alias. Write its values out")
        if id(node) in self._read:
            return None
        self._read.add(id(node))
        self._reading.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            self._expand_scalar(node, key, loader)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._expand(item, f"{key}[{index}]", loader)
        elif isinstance(node, yaml.MappingNode):
            self._expand_mapping(node, key, loader)
        self._reading.discard(id(node))
        return None

    def _expand_mapping(self, node: yaml.MappingNode, key: str, loader: yaml.SafeLoader) -> None:
        first_lines: dict[tuple[str, str], int] = {}
        for name, value in node.value:
            line = name.start_mark.line + 1
            if not isinstance(name, yaml.ScalarNode):
                self._refuse(line, key, "has a list or mapping as a key. Write a name")
                continue
            path = f"{key}.{name.value}".lstrip(".")
            if name.tag != f"{_TAG}merge":
                self._expand(name, path, loader)
                same = (name.tag, name.value)
                if same in first_lines:
                    advice = f"is given twice, first on line {first_lines[same]}. Keep one."
                    self.problems.append(Problem(line, path, advice))
                first_lines.setdefault(same, line)
            self._expand(value, path, loader)

    def _expand_scalar(self, node: yaml.ScalarNode, key: str, loader: yaml.SafeLoader) -> None:
        written = node.value
        node.value = _joined_surrogates(
            _VARIABLE.sub(lambda match: self._value_of(match, node, key), written)
        )
        if node.value != written:
            self._written[id(node)] = written
            if node.style is None and node.tag == f"{_TAG}str" and node.value in _NULL_WORDS:
                node.tag = f"{_TAG}null"
        if node.tag == f"{_TAG}str" or node.tag == f"{_TAG}merge":
            return
        try:
            loader.construct_object(node)
        except _UNREADABLE_SCALAR:
            line = node.start_mark.line + 1
            self._refuse(line, key, "cannot be read as what it looks like. Put it in quotes")

    def _value_of(self, match: re.Match[str], node: yaml.ScalarNode, key: str) -> str:
        name = match["bare"] or match["braced"]
        if name in self._environ:
            return self._environ[name]
        if match["bare"]:
            return match[0]
        self._unset.add(id(node))
        identifier = _IDENTIFIER.match(name)
        if identifier is None:
            advice = "has ${...} without the name of a variable. Write ${NAME}."
        elif identifier[0] == name:
            advice = f"the environment variable {name} is not set. Set it, or write the value here."
        else:
            advice = (
                f"the environment variable {identifier[0]} is named in a way that is not "
                f"understood. Write ${{{identifier[0]}}}; there are no defaults."
            )
        self.problems.append(Problem(node.start_mark.line + 1, key, advice))
        return match[0]

    def _as_written(self, node: yaml.ScalarNode) -> str:
        return self._written.get(id(node), str(node.value))


def _child(
    node: yaml.Node | None, step: str | int
) -> tuple[yaml.ScalarNode | None, yaml.Node] | None:
    """Key and value nodes of a step into a mapping, or None and the item of a list."""
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        return (None, node.value[step]) if step < len(node.value) else None
    if isinstance(node, yaml.MappingNode):
        # PyYAML puts what a merge key brings in front of the mapping's own keys, which win.
        for key, value in reversed(node.value):
            if isinstance(key, yaml.ScalarNode) and key.value == str(step):
                return key, value
    return None


def _without_values(said: str) -> str:
    """PyYAML's words without the aliases and tags it quotes, which may be misplaced secrets."""

    def shown(match: re.Match[str]) -> str:
        quoted = match[1] or match[2] or ""
        is_token = len(quoted) <= 1 or quoted.startswith("<") or quoted in ("\\t", "\\n")
        return match[0] if is_token else "'...'"

    return _QUOTED.sub(shown, said)


def _joined_surrogates(text: str) -> str:
    """Text whose characters beyond U+FFFF were escaped as two, as JSON does, put right."""
    if not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
