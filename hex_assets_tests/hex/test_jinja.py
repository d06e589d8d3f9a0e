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


VALUES = st.sampled_from(
    [
        "1",
        "'text'",
        "{{ value }}",
        "{{ form.value | default('it''s') }}",
        "'{{ value }}'",
        "{{ value | int + 1 }}",
        "{% if flag %}1{% else %}{{ value }}{% endif %}",
        "{% raw %}'{{ as written }}'{% endraw %}",
    ]
)
CONDITIONS = st.one_of(
    VALUES.map("a = {}".format),
    VALUES.map("a between 1 and {}".format),
    st.just("a in {{ values | array }}"),
    st.just("a in ({% for v in values %}{{ v }}{% if not loop.last %}, {% endif %}{% endfor %})"),
    st.just("{{ condition | sqlsafe }}"),
    st.just("{{ column | sqlsafe }} > 1"),
)
BUILT = st.sampled_from(["{{ t }}", "s.{{ t }}", "{{ s }}.t", "{{ t | sqlsafe }}", "t_{{ t }}"])
TABLES = st.sampled_from(["t1", "s.t2", "(select a from t3) sub"])
ENDS = st.sampled_from(
    [
        "",
        " order by a {{ direction | sqlsafe }}",
        " {# a comment #} limit 10",
        " {% if flag %}limit 10{% endif %}",
        " limit {{ value }}",
    ]
)
TABLE_OF = {"t1": {"t1"}, "s.t2": {"s.t2"}, "(select a from t3) sub": {"t3"}}


@st.composite
def queries(draw: st.DrawFn) -> tuple[str, set[str]]:
    """A query that is sound but for its Jinja, and the tables that it names without Jinja."""
    table = draw(TABLES)
    built = draw(st.one_of(st.none(), BUILT))
    join = "" if built is None else f" join {built} b on b.x = {draw(VALUES)}"
    value, condition, end = draw(VALUES), draw(CONDITIONS), draw(ENDS)
    return f"select {value} as v from {table}{join} where {condition}{end}", TABLE_OF[table]


@settings(deadline=None, derandomize=True, max_examples=300)
@given(queries())
def test_sound_sql_stays_sound_keeps_its_tables_and_reports_what_jinja_builds(
    query: tuple[str, set[str]],
) -> None:
    source, written = query
    neutral = neutralise(source, "snowflake")
    found = table_references(neutral.sql, "snowflake")
    assert not found.unread, (source, neutral.sql, found.unread)
    made = tables(neutral.sql)
    assert written <= made
    built = {name.lower() for name in neutral.names}
    for name in made - written:
        assert any(part in built for part in name.split(".")), (source, neutral)


@settings(deadline=None, derandomize=True)
@given(st.text())
def test_any_text(source: str) -> None:
    assert neutralise(neutralise(source).sql).sql is not None
