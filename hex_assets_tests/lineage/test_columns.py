"""Which columns a text uses and what for: SQL, catalog and what is expected, by dialect.

The catalog has ``t (id, a, b, c, ts, items)``, ``u (id, x, y)`` and ``v (id, z)``. An expectation
reads ``table.column:usages``, with o(utput), f(ilter), j(oin), g(roup) and s(orted, ORDER BY); a
column without usage is selected by a subquery, and nothing takes it up from there.
"""

from __future__ import annotations

import pickle
import re

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st

from hex_assets.lineage.names import session_of
from hex_assets.lineage.parse import Reference, parse
from hex_assets.warehouse.masking import mask_literals

CATALOG = {"t": "id a b c ts items", "u": "id x y", "v": "id z"}
LETTERS = "ofjgs"
ALL_OF_T = "t.id:o t.a:o t.b:o t.c:o t.ts:o t.items:o"


def uses(dialect: str, sql: str, catalog: dict[str, str] = CATALOG) -> set[str]:
    def known(reference: Reference) -> list[str] | None:
        columns = catalog.get(reference.table.parts[-1].text.lower(), "")
        return (columns.upper() if dialect == "snowflake" else columns).split() or None

    found, _ = parse(sql, dialect).columns(session_of(dialect, "d", "s"), known)
    written = set()
    for reference, columns in found.items():
        assert isinstance(reference, Reference)
        for column, usage in columns.items():
            letters = "".join(c for place, c in enumerate(LETTERS) if usage >> place & 1)
            written.add(f"{reference.table.parts[-1].text}.{column}:{letters}".lower())
    return written


CASES = [
    # Each clause
    ("postgres", "select a from t where b > 1", "t.a:o t.b:f"),
    ("postgres", "select a, sum(b) from t group by a having max(c) > 1", "t.a:og t.b:o t.c:f"),
    ("postgres", "select a, sum(b) from t group by 1", "t.a:og t.b:o"),
    ("duckdb", "select a, sum(b) from t group by all order by all", "t.a:ogs t.b:os"),
    ("postgres", "select a as q from t order by q, b", "t.a:os t.b:s"),
    ("postgres", "select distinct on (a) b from t", "t.a:g t.b:o"),
    ("postgres", "select x from t join u on t.id = u.id", "u.x:o t.id:j u.id:j"),
    ("postgres", "select sum(a) over (partition by b order by c) from t", "t.a:o t.b:o t.c:o"),
    ("snowflake", "select a from t qualify row_number() over (order by b) = 1", "t.a:o t.b:f"),
    ("clickhouse", "select 1 from t where (lower(a) as a) != '' order by a", "t.a:fs"),
    ("postgres", "select l from u, lateral (values (u.*)) as v(k, l)", "u.id:o u.x:o u.y:o"),
    # Stars
    ("postgres", "select * from t", ALL_OF_T),
    ("postgres", "select u.* from t, u", "u.id:o u.x:o u.y:o"),
    ("bigquery", "select * except (id, x) from u", "u.y:o"),
    ("snowflake", "select * exclude id rename x as k from u", "u.x:o u.y:o"),
    ("bigquery", "select * replace (y + 1 as x) from u", "u.id:o u.y:o"),
    ("postgres", "select count(*) from t", ""),
    ("postgres", "select a from t where exists (select * from u where u.id = t.id)",
     "t.a:o t.id:f u.id:f"),
    ("postgres", "select v from v", "v.id:o v.z:o"),
    ("snowflake", "select object_construct(*) from v", "v.id:o v.z:o"),
    # USING and NATURAL
    ("postgres", "select id, a, x from t join u using (id)", "t.id:oj u.id:oj t.a:o u.x:o"),
    ("postgres", "select z from u natural join v", "v.z:o u.id:j v.id:j"),
    ("postgres", "select * from u natural right join v", "u.id:oj v.id:oj u.x:o u.y:o v.z:o"),
    ("duckdb", "select id from u semi join v using (id)", "u.id:oj v.id:j"),
    ("postgres", "select p from (u cross join v) as w (p, q, r, s)", "u.id:o"),
    ("postgres", "select w.* from (u cross join v) as w", "u.id:o u.x:o u.y:o v.id:o v.z:o"),
    (
        "postgres",
        "select k from (select * from u as w (m, id, n) join v using (id)) as q (k)",
        "u.x:oj v.id:oj u.id: u.y: v.z:",
    ),
    (
        "duckdb",
        "select k from (select * from u as w (m, id, n) join v using (id)) as q (k)",
        "u.id:o u.x:j v.id:j u.y: v.z:",
    ),
    ("databricks", "select * from v left semi join u on v.id = u.id", "v.id:oj v.z:o u.id:j"),
    # Through subqueries: what reaches the output is told from what does not
    ("postgres", "with q as (select a, b, c from t) select a from q where b > 1",
     "t.a:o t.b:f t.c:"),
    ("postgres", "with q (k, l) as (select a, b from t) select k from q order by l",
     "t.a:o t.b:s"),
    ("postgres", "select a from (select * from t) q where c = 1",
     "t.a:o t.c:f t.id: t.b: t.ts: t.items:"),
    ("postgres", "select (select max(z) from v where v.id = u.id) from u",
     "v.z:o v.id:f u.id:f"),
    ("postgres", "select x from u where id in (select id from v)", "u.x:o u.id:f v.id:f"),
    ("postgres", "select id from u union all select id from v", "u.id:o v.id:o"),
    ("postgres", "select id from u except select id from v", "u.id:o v.id:f"),
    ("snowflake", "with t as (select id, x from u union all select t.id, v.z from v join t "
     "on t.id = v.id) select x from t", "u.x:o v.z:o u.id:j v.id:j"),
    ("postgres", "select l.z from u, lateral (select z from v where v.id = u.id) l",
     "v.z:o v.id:f u.id:f"),
    # Aliases of the SELECT list
    ("snowflake", "select a as k, k + 1 as l from t where l > 1", "t.a:of"),
    ("postgres", "select upper(a) as a from t group by a", "t.a:og"),
    # Struct fields, JSON paths, arrays
    ("bigquery", "select items.sku, t.items.price.net from s.t", "t.items:o"),
    ("snowflake", "select t.items:sku::string from t", "t.items:o"),
    ("bigquery", "select i.sku from s.t, t.items i where i.qty > 1", "t.items:ofj"),
    ("bigquery", "select sku from t, unnest(items)", "t.items:oj"),
    ("trino", "select k from t cross join unnest(items) as w (k)", "t.items:oj"),
    ("databricks", "select k from t lateral view explode(items) e as k", "t.items:oj"),
    ("snowflake", "select f.value:z from t, lateral flatten(input => t.items) f", "t.items:oj"),
    ("redshift", "select i.sku from s.t x, x.items i", "t.items:oj"),
    ("clickhouse", "select k from t array join items as k", "t.items:oj"),
    ("trino", "select transform(items, k -> k + a) from t", "t.items:o t.a:o"),
    # Pivots
    ("snowflake", "select * from (select id, a, b from t) pivot(sum(a) for b in ('x', 'y'))",
     "t.id:o t.a:o t.b:g"),
    ("snowflake", "select id, val from t unpivot(val for k in (a, b))",
     "t.id:o t.a:o t.b:o t.c: t.ts: t.items:"),
    ("duckdb", "pivot t on a using sum(b) group by c", "t.a:g t.b:o t.c:og"),
    ("duckdb", "select * from (pivot t on a using sum(b) group by c) p", "t.a:g t.b:o t.c:og"),
    ("duckdb", "select id from (pivot u on x using sum(y))", "u.x:g u.y: u.id:o"),
    ("clickhouse", "with (select max(z) from v) as m select a from t where b > m",
     "t.a:o t.b:f v.z:f"),
    ("bigquery", "from t |> where a > 1 |> aggregate sum(b) as s group by c",
     "t.a:f t.b:o t.c:og"),
    # Statements that write read other tables' columns, not their own
    ("postgres", "insert into t (a) select x from u where y > 1", "u.x:o u.y:f"),
    ("postgres", "update t set a = x from u where t.id = u.id and b = y", "u.x:o u.id:f u.y:f"),
    ("postgres", "merge into t using u on t.id = u.id when matched and u.y then "
     "update set a = u.x", "u.x:o u.id:j u.y:f"),
    ("postgres", "delete from t using u where t.id = u.id", "u.id:f"),
    ("postgres", "create view w as select x from u", "u.x:o"),
    ("postgres", "create temp table q as select x, y from u; select z from q join v on x = id",
     "u.x:oj u.y:o v.z:o v.id:j"),
    # Case: columns compare as the dialect compares them, and come out as the catalog has them
    ("mysql", "select T1.A from t T1 where B = 1", "t.a:o t.b:f"),
    ("snowflake", 'select "A", b from t', "t.a:o t.b:o"),
    ("clickhouse", "select t.a, A from t", "t.a:o"),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "sql", "expected"), CASES)
def test_columns(dialect: str, sql: str, expected: str) -> None:
    assert uses(dialect, sql) == set(expected.split())


@pytest.mark.parametrize(("dialect", "sql", "expected"), CASES)
def test_masking_changes_nothing(dialect: str, sql: str, expected: str) -> None:
    assert uses(dialect, mask_literals(sql, dialect)) == set(expected.split())


@pytest.mark.parametrize(
    ("dialect", "sql", "expected"),
    [
        pytest.param(
            "postgres",
            "with k (n) as (values (1)) values ((select a from t where b > (select n from k)))",
            "t.a:o t.b:f",
            id="sqlglot knows no WITH before VALUES",
        ),
        pytest.param(
            "trino",
            "select j.k from t, json_table(a, 'lax $' as p columns (k bigint path 'lax $.k')) j",
            "t.a:oj",
            id="sqlglot knows no names of paths in JSON_TABLE",
        ),
        pytest.param(
            "trino",
            "select l over w from t window w as (partition by a order by b measures last(c) as l"
            " rows between current row and unbounded following pattern (x y) define y as true)",
            "t.a:g t.b:g t.c:og",
            id="sqlglot knows no patterns in windows",
        ),
        pytest.param(
            "clickhouse",
            "select from, to from e",
            "e.from:o e.to:o",
            id="sqlglot takes a column called from for the clause",
        ),
        pytest.param(
            "trino",
            "select * from table(exclude_columns(input => table(v), columns => descriptor(z)))",
            "v.id:oj v.z:j",
            id="what exclude_columns leaves out counts as output",
        ),
        pytest.param(
            "trino",
            "select t.a, v.z from t cross join nearest (from v where v.id = t.id match v.z <= t.b)",
            "t.a:o t.id:f t.b:f v.id:f v.z:of",
            id="sqlglot knows no NEAREST",
        ),
    ],
)
@pytest.mark.xfail(strict=True, raises=AssertionError, reason="known faults, named by their ids")
def test_what_is_not_told(dialect: str, sql: str, expected: str) -> None:
    assert uses(dialect, sql, {**CATALOG, "e": "from to"}) == set(expected.split())


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select w.* from u join v using (id) as w where w.id > 1", "u.id:ofj v.id:ofj"),
        ("select s.w.b, w.id from s.w join v using (id) as w", "w.b:o w.id:oj v.id:oj"),
        (
            "delete from t using (select id from u join v using (id) as w where w.id > 1) as q "
            "where t.id = q.id",
            "u.id:fj v.id:fj",
        ),
        ("select * from u join v using (id) as w order by w.", ""),
    ],
)
def test_aliases_of_merged_columns(sql: str, expected: str) -> None:
    assert uses("postgres", sql, {**CATALOG, "w": "id b"}) == set(expected.split())


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select k.x from n", "n.k.x:o"),
        ("select `k.x` from n where n.k.y[1] = 1", "n.k.x:o n.k.y:f"),
        ("select k.x from n array join k as k", "n.k.x:oj n.k.y:j"),
        ("select q.y from n array join k as q", "n.k.y:oj n.k.x:j"),
        ("select `q.y` from n array join n.k as q", "n.k.y:oj n.k.x:j"),
    ],
)
def test_nested_structures(sql: str, expected: str) -> None:
    assert uses("clickhouse", sql, {"n": "s k.x k.y"}) == set(expected.split())


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select a, p.b from p where c = 1", "p.a:o p.b:o p.c:f"),
        ("select p.a, q.b from p join q on p.k = q.k", "p.a:o q.b:o p.k:j q.k:j"),
        # An unqualified name of two unknown tables is nobody's
        ("select a from p join q on p.k = q.k", "p.k:j q.k:j"),
        # What one table is known to have, or not to have, decides
        ("select x, k from p join u on p.k = u.id", "u.x:o p.k:oj u.id:j"),
        ("with w as (select * from p) select a from w where b = 1", "p.a:o p.b:f"),
        ("select date_trunc('day', ts) as day from p group by day", "p.ts:og"),
        ("select * from p", ""),
    ],
)
def test_without_columns_those_that_are_named(sql: str, expected: str) -> None:
    assert uses("postgres", sql) == set(expected.split())


def test_a_column_that_the_catalog_lacks_is_not_made_up() -> None:
    assert uses("postgres", "select t.gone, a from t") == {"t.a:o"}


def test_a_stored_parse_serves_another_catalog() -> None:
    script = parse("select * from t", "postgres")
    again = pickle.loads(pickle.dumps(script))
    assert again == script
    session = session_of("postgres", None, "s")
    for columns in (["a"], ["a", "b"]):
        (used,) = again.columns(session, lambda _, known=columns: known)[0].values()
        assert sorted(used) == columns


def test_long_chains_end() -> None:
    ctes = ", ".join(f"c{i} as (select * from c{i - 1})" for i in range(1, 2_000))
    sql = f"with c0 as (select x from u), {ctes} select x from c1999"
    assert uses("postgres", sql) == {"u.x:o"}


def test_stars_of_joined_stars_and_many_outputs_end() -> None:
    joined = ", ".join(f"c{i} as (select * from c{i - 1} x join c{i - 1} y using (id))"
                       for i in range(1, 60))  # fmt: skip
    sql = f"with c0 as (select * from v), {joined} select id from c59"
    assert uses("postgres", sql) == {"v.id:oj", "v.z:"}
    listed = ", ".join(f"x + {number}" for number in range(20_000))
    assert uses("postgres", f"select {listed} from u") == {"u.x:o"}


SHAPES = [sql for dialect, sql, _ in CASES if dialect == "postgres" and ";" not in sql]
QUERIES = [sql for sql in SHAPES if re.match("select|with", sql)]
BLANKS = st.sampled_from([" ", "\n", "\t", " /* t.gone, it's */ ", ' -- "x" it\'s\n'])


@given(st.sampled_from(SHAPES), st.data())
def test_formatting_and_comments_change_nothing(sql: str, data: st.DataObject) -> None:
    # sqlglot knows no comment inside GROUP BY, which is one word to it.
    parts = re.split(r"('[^']*'|group by|order by|partition by)", sql)
    scattered = "".join(
        part
        if part[:1] == "'" or part[-3:] == " by"
        else "".join(data.draw(BLANKS) if c == " " else c for c in part)
        for part in parts
    )
    assert uses("postgres", scattered) == uses("postgres", sql)


@given(st.sampled_from(SHAPES))
def test_quoting_style_changes_nothing(sql: str) -> None:
    tree = sqlglot.parse_one(sql, read="postgres")
    for identifier in tree.find_all(sqlglot.exp.Identifier):
        identifier.set("quoted", True)
    assert uses("postgres", tree.sql("postgres")) == uses("postgres", sql)


@given(st.sampled_from(QUERIES))
def test_wrapping_in_an_expression_changes_nothing(sql: str) -> None:
    # A column without a name cannot be taken up by name, but a star takes it up.
    assert uses("postgres", f"with w9 as ({sql}) select * from w9") == uses("postgres", sql)
    assert uses("postgres", f"select * from ({sql}) w9") == uses("postgres", sql)


@given(st.sampled_from(QUERIES), st.sampled_from(["t", "u", "v", "zz"]))
def test_renaming_an_alias_changes_nothing(sql: str, alias: str) -> None:
    wrapped = f"select q9.* from ({sql}) q9"
    assert uses("postgres", wrapped.replace("q9", alias)) == uses("postgres", sql)


@given(st.permutations(SHAPES).map(lambda order: order[:3]))
def test_the_order_of_statements_changes_nothing(statements: list[str]) -> None:
    forwards = uses("postgres", "; ".join(statements))
    assert forwards == uses("postgres", "; ".join(reversed(statements)))
