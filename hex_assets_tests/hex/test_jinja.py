"""Jinja leaves SQL that parses and reads the tables written in it, or names what it builds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hex_assets.hex.jinja import neutralise
from hex_assets.lineage.parse import table_references


def tables(sql: str) -> set[str]:
    return {
        reference.table.written("snowflake").lower()
        for reference in table_references(sql, "snowflake").tables
    }


@pytest.mark.parametrize(
    ("source", "sql", "names"),
    [
        ("select 1 from t", "select 1 from t", ()),
        ("select * from t where a = {{ x }}", "select * from t where a = NULL", ()),
        ("select * from {{ t }}", "select * from jinja_1", ("jinja_1",)),
        ("select * from s.{{ t }}", "select * from s.jinja_1", ("jinja_1",)),
        ("select * from t {# not {{ this }} #}", "select * from t ", ()),
        ("{% raw %}select '{{ x }}' from t{% endraw %}", "select '{{ x }}' from t", ()),
        (
            "select * from {% if a %}t{% else %}u{% endif %}",
            "select * from u;\nselect * from t",
            (),
        ),
        ("select {{ 'a{{ b' }} from t", "select NULL from t", ()),
        ("select * from t where a in {{ xs | array }}", None, ()),
        ("{% for c in cs %}select {{ c }} from t{% endfor %}", "select NULL from t", ()),
        ("select * from t where {{ broken", "select * from t where {{ broken", ()),
    ],
)
def test_golden(source: str, sql: str | None, names: tuple[str, ...]) -> None:
    neutral = neutralise(source, "snowflake")
    assert neutral.names == names
    if sql is None:
        assert tables(neutral.sql) == {"t"}
    else:
        assert neutral.sql == sql


PIECES = st.sampled_from(
    [
        "select a from t1 ",
        "join s.t2 on x = y ",
        "where b = ",
        "from ",
        ", ",
        "'text' ",
        "(select 1) ",
        "{{ value }} ",
        "{{ value | sqlsafe }} ",
        "{{ 'quoted }}' }} ",
        "'{{ value }}' ",
        "{% if flag %}",
        "{% else %}",
        "{% elif other %}",
        "{% endif %}",
        "{% for c in list %}",
        "{% endfor %}",
        "{% set x = 1 %}",
        "{# a comment {{ #} ",
        "{{ ",
        "%} ",
        "jinja_1 ",
        "é\u2028",
        "-- it's\n",
        ";\n",
    ]
)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.lists(PIECES, max_size=12).map("".join))
def test_nothing_raises_and_no_name_is_invented(source: str) -> None:
    neutral = neutralise(source, "snowflake")
    written = {"t1", "s.t2", "jinja_1"}
    # What is not valid Jinja stays as it is, and may parse as whatever it looks like.
    if neutral.sql != source:
        made = tables(neutral.sql)
        built = {name.lower() for name in neutral.names}
        for name in made - written:
            assert set(name.split(".")) & built, (name, neutral)
    if "jinja_1" in source:
        assert "jinja_1" not in neutral.names


@settings(deadline=None, derandomize=True)
@given(st.text())
def test_any_text(source: str) -> None:
    assert neutralise(neutralise(source).sql).sql is not None
