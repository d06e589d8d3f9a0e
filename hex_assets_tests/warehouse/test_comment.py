"""Hex's comment is found, decoded and removed in every form it was seen in."""

from __future__ import annotations

import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hex_assets.warehouse.comment import HexComment, decode_comment, split_comment, split_comments
from hex_assets_tests.warehouse.comments import CELL, OTHER_PROJECT, PROJECT, comment, payload

SQL = "SELECT id, '-- not a comment' FROM db.orders\nWHERE region = 'EU'"
FULL = HexComment(PROJECT, CELL, "SCHEDULED_RUN", "larkfield", "alice@mail.com")

SQL_BODIES = st.text().filter(lambda sql: "metadata" not in sql.lower())
WILD = ['"', "\\", "}", "{", "--", "*/", "\n", "'", "é", "\u2028", '"project_id": "x"', "a"]
NESTED = [comment(OTHER_PROJECT), "Hex query metadata: {", 'Hex query metadata: {"project_id": "x"']
NAMES = st.text() | st.lists(st.sampled_from([*WILD, *NESTED])).map("".join)


@pytest.mark.parametrize(
    "text",
    [
        f"{SQL}\n{comment()}",
        f"{SQL};\n\n{comment()}",
        f"{SQL} ; {comment()}",
        f"{SQL}{comment()}",
        f"{SQL}\n{comment()}\n FORMAT Native",
        f"{SQL}\n{comment().replace('Hex query', 'HEX Query')}",
        f"{SQL}\n# {comment()[3:]}",
        f"{SQL}\n/* {comment()[3:]} */",
        f"{SQL}\n/*{comment()[3:]}*/ ;",
        f"{comment()}\n{SQL}",
        f"{comment()}\n\n{SQL};\n",
        f"/* {comment()[3:]} */ {SQL}",
        f"{SQL}\n{comment(OTHER_PROJECT)}\n{comment()}",
        SQL + "\n" + comment().replace("\\", "\\\\").replace('"', '\\"'),
    ],
    ids=lambda text: text.replace(SQL, "SQL")[:60],
)
def test_forms(text: str) -> None:
    expected = f"{SQL}\n{comment(OTHER_PROJECT)}" if OTHER_PROJECT in text else SQL
    assert split_comment(text) == (expected, FULL)


def test_other_comments_stay() -> None:
    assert split_comment(f"-- mine\n{comment()}\n{SQL}") == (f"-- mine\n{SQL}", FULL)
    assert split_comment(f"/* a */ {SQL} /* b */ {comment()}") == (f"/* a */ {SQL} /* b */", FULL)


@pytest.mark.parametrize(
    ("body", "project", "cell", "workspace"),
    [
        (payload(cell=None), PROJECT, None, "larkfield"),
        (payload(project_id=None), PROJECT, CELL, "larkfield"),
        (payload(project_url=None), PROJECT, None, None),
        (payload(PROJECT.upper(), CELL.upper()), PROJECT, CELL, "larkfield"),
        (
            payload(project_url=f"https://one.hex.tech/ws/hex/{PROJECT}/draft/logic"),
            PROJECT,
            None,
            "ws",
        ),
        (payload(project_url=f"https://invalid-url-format/{PROJECT}"), PROJECT, None, None),
        (
            {"project_id": "123", "project_url": "https://app.hex.tech/w_s/hex/project-id"},
            "123",
            None,
            "w_s",
        ),
        ({"project_url": "https://a.hex.tech/ws/app/proj_789"}, "proj_789", None, "ws"),
        ({"project_url": f"https://a.hex.tech/app/projects/{PROJECT}"}, PROJECT, None, None),
        ({"project_url": f"https://a.hex.tech/hex/hex/{PROJECT}"}, PROJECT, None, "hex"),
    ],
)
def test_ids(body: dict[str, str], project: str, cell: str | None, workspace: str | None) -> None:
    found = decode_comment(f"{SQL}\n-- Hex query metadata: {json.dumps(body)}")
    assert found is not None
    assert (found.project_id, found.cell_id, found.workspace) == (project, cell, workspace)


@pytest.mark.parametrize(
    "body",
    [
        '{"project_name": "x"}',
        '{"project_id": null}',
        '{"project_id": 7, "project_url": 8}',
        '{"project_id": ""}',
        "{",
        "",
        '{"project_url": "https://a.hex.tech/ws/hex/"}',
        "[" * 100_000,
        '{"a": ' + "[" * 100_000,
    ],
)
def test_a_comment_that_names_no_project(body: str) -> None:
    found = decode_comment(f"{SQL}\n-- Hex query metadata: {body}")
    assert found is None


def test_malformed_json_keeps_its_whole_fields() -> None:
    body = f'{{"categories": ["Scratchpad"], "project_id": "{PROJECT}", INVALID_JSON}}'
    assert split_comment(f"{SQL}\n-- Hex query metadata: {body}") == (SQL, HexComment(PROJECT))


def test_a_statement_about_the_marker_is_no_comment() -> None:
    about = "SELECT count(*) FROM history WHERE query_text ILIKE '%Hex query metadata: %'"
    assert split_comment(about) == (about, None)
    assert split_comment(f"{comment()}\n{about}") == (about, FULL)
    assert split_comment(f"{about}\n{comment()}") == (about, FULL)


def test_the_address_is_not_shown() -> None:
    assert "alice" not in repr(decode_comment(comment()))


@settings(deadline=None, derandomize=True)
@given(SQL_BODIES)
def test_sql_without_marker_is_untouched(sql: str) -> None:
    assert split_comment(sql) == (sql, None)


@settings(deadline=None, derandomize=True)
@given(SQL_BODIES, NAMES)
def test_any_name_any_sql(sql: str, name: str) -> None:
    statement, found = split_comment(f"SELECT {sql}\n{comment(project_name=name, status=name)}")
    assert found == FULL
    assert statement == f"SELECT {sql}".rstrip(" \t\r\n\f\v;")


@settings(deadline=None, derandomize=True)
@given(NAMES, st.booleans(), st.data())
def test_a_cut_never_gives_a_wrong_id(name: str, escaped: bool, data: st.DataObject) -> None:
    text = f"{SQL}\n{comment(project_name=name, categories=[name])}"
    if escaped:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    statement, found = split_comment(text[: data.draw(st.integers(0, len(text)))])
    assert text.startswith(statement)
    if found is not None:
        assert found.project_id == PROJECT
        assert found.cell_id in (None, CELL)
        assert found.user_email in (None, "alice@mail.com")


@settings(deadline=None, derandomize=True)
@given(st.data())
def test_a_cut_url_gives_the_project_only_when_it_is_whole(data: st.DataObject) -> None:
    text = f"{SQL}\n{comment(project_id=None)}"
    found = decode_comment(text[: data.draw(st.integers(0, len(text)))])
    assert found is None or (found.project_id, found.workspace) == (PROJECT, "larkfield")
    whole = text.index("/draft") + 1
    assert decode_comment(text[:whole]) == HexComment(
        PROJECT, context="SCHEDULED_RUN", workspace="larkfield"
    )
    assert decode_comment(text[: whole - 1]) is None


@settings(deadline=None, derandomize=True)
@given(
    st.lists(
        st.lists(
            st.one_of(
                st.sampled_from(
                    [
                        SQL,
                        ";\n",
                        " -",
                        "-- mine\n",
                        "/* a */",
                        "'",
                        *WILD,
                        *NESTED,
                        "HEX QUERY METADATA:",
                    ]
                ),
                st.builds(
                    lambda project, trace, name: comment(
                        project, trace_id=trace, project_name=name
                    ),
                    st.sampled_from([PROJECT, OTHER_PROJECT, None]),
                    st.text("0123456789abcdef", min_size=32, max_size=32),
                    NAMES,
                ),
            ),
            max_size=5,
        ).map("".join),
        max_size=8,
    )
)
def test_many_at_once_are_read_as_each_alone(texts: list[str]) -> None:
    alone = []
    for text in texts:
        statement, found = split_comment(text)
        fields = (found.project_id, found.cell_id, found.context) if found else (None,) * 3
        alone.append((statement, *fields))
    assert split_comments(pl.Series(texts, dtype=pl.String)).rows() == alone
