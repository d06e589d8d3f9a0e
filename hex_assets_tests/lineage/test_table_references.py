"""Which tables a text reads, dialect by dialect. Each case is one SQL text and its tables."""

from __future__ import annotations

import pytest

from hex_assets.lineage.parse import table_references
from hex_assets.lineage.resolve import Reason


def reads(dialect: str, sql: str) -> list[str]:
    """The tables of a text that is understood in full, as written, sorted."""
    references = table_references(sql, dialect)
    assert references.unread == ()
    return sorted({reference.table.written(dialect) for reference in references.tables})


def check(dialect: str, sql: str, expected: str) -> None:
    assert reads(dialect, sql) == sorted(expected.split())


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        # Every place where a query can stand
        ("select * from a", "a"),
        ("select * from a join b using (x), c left join d on true", "a b c d"),
        ("select (select max(x) from b) from a", "a b"),
        ("select * from a where exists (select 1 from b where b.x = a.x)", "a b"),
        ("select * from a where x in (select x from b) and y = any(select y from c)", "a b c"),
        ("select * from a group by x having max(y) > (select avg(y) from b)", "a b"),
        ("select * from a order by (select 1 from b limit (select 2 from c))", "a b c"),
        (
            "select array(select x from b), case when true then (select 1 from c) end from a",
            "a b c",
        ),
        ("select sum(x) filter (where y in (select y from b)) over (order by z) from a", "a b"),
        ("select * from (select * from a) x, (b join c using (y)) z", "a b c"),
        ("select * from a, lateral (select * from b where b.x = a.x) l", "a b"),
        ("(select * from a) union all (select * from b) except select * from c", "a b c"),
        ("select * from a intersect select * from b order by (select 1 from c)", "a b c"),
        ("select * from s.a, d.s.a, a", "a d.s.a s.a"),
        ("table a", "a"),
        ("select * from only a", "a"),
        ("select * from a tablesample bernoulli (1)", "a"),
        ("select * from a for update of a skip locked", "a"),
        ("select a from a", "a"),
        ("select * from a where x = $1", "a"),
        ('select * from "A"."b.C"', '"A"."b.C"'),
        # No tables
        ("select 1", ""),
        ("values (1), (2)", ""),
        ("select * from (values (1)) v(x)", ""),
        ("select * from generate_series(1, 10) g, unnest(array[1]) u", ""),
        ("select * from generate_series(1, (select max(x) from a)) g", "a"),
        ("select * from json_to_recordset('[]') as x(y int)", ""),
        ("select * from rows from (f(1), g(2))", ""),
        ("-- select * from a\nselect 1 /* from b */", ""),
        ("select 'select * from a', $$ from b $$, $q$ from c $q$, E'it\\'s from d'", ""),
        ("set x = 1; show search_path; begin; commit; vacuum a; analyze b", ""),
        ("grant select on a to b; comment on table a is 'x'; lock table a", ""),
        ("create table a (x int); truncate b; drop table c; alter table d add y int", ""),
        ("copy a from stdin", ""),
        # Statements that read and write
        ("insert into a select * from b", "b"),
        ("insert into a values ((select max(x) from b))", "b"),
        ("insert into a select * from a", "a"),
        ("insert into a select 1 on conflict (x) do update set y = (select 1 from b)", "b"),
        ("create table a as select * from b", "b"),
        ("create table if not exists a as table b", "b"),
        ("create or replace view a as select * from b", "b"),
        ("create materialized view a as select * from b", "b"),
        ("select * into a from b", "b"),
        ("copy (select * from a) to stdout", "a"),
        ("copy a to stdout", "a"),
        ("update a set x = 1", ""),
        ("update a set x = b.x from b where a.y = b.y", "b"),
        ("update a as t set x = u.x from a as u", "a"),
        ("update a set x = (select max(x) from a)", "a"),
        ("with s as (select * from b) update a set x = 1 from s", "b"),
        ("delete from a using b where a.x = b.x", "b"),
        ("delete from a where x in (select x from b)", "b"),
        (
            "merge into a using (select * from b) s on a.x = s.x "
            "when not matched then insert values ((select 1 from c))",
            "b c",
        ),
        # Data-modifying expressions
        ("with x as (insert into a select * from b returning *) select * from x", "b"),
        ("with x as (delete from a using b returning *) insert into c select * from x, d", "b d"),
        ("with x as (update a set y = 1 from b returning *) select * from x", "b"),
    ],
)
def test_postgres(sql: str, expected: str) -> None:
    check("postgres", sql, expected)


@pytest.mark.parametrize(
    ("dialect", "sql", "expected"),
    [
        # A name is looked up where it stands
        ("postgres", "with t as (select * from a) select * from t", "a"),
        ("postgres", "with t as (select * from t) select * from t", "t"),
        ("postgres", "with t as (select * from s.t) select * from t, s.t", "s.t"),
        ("postgres", "with a as (select * from b), b as (select * from c) select * from a", "b c"),
        ("postgres", "with t as (select 1) select * from (select * from t) x", ""),
        ("postgres", "select * from (with t as (select * from a) select * from t) x, t", "a t"),
        (
            "postgres",
            "with t as (select * from a) "
            "select * from (with t as (select * from t) select * from t) x",
            "a",
        ),
        ("postgres", "with t as (select 1) select * from a where x in (select x from t)", "a"),
        ("postgres", "with t as (select 1) select * from a union select * from t", "a"),
        # RECURSIVE
        ("postgres", "with recursive t as (select 1 union select * from t) select * from t", ""),
        ("postgres", "with recursive t as (select * from t) select * from t", ""),
        ("postgres", "with recursive a as (select * from b), b as (select * from c) table a", "c"),
        ("trino", "with recursive a as (select * from b), b as (select 1) select * from a, b", "b"),
        ("mysql", "with recursive t as (select 1 union all select n from t) select * from t", ""),
        ("mysql", "with t as (select * from t) select * from t", "t"),
        (
            "databricks",
            "with recursive r as (select 1 union all select * from r) select * from r",
            "",
        ),
        # Snowflake needs no RECURSIVE, yet only a union with an anchor is recursive
        ("snowflake", "with r as (select 1 union all select x from r join t) select * from r", "t"),
        ("snowflake", "with t as (select * from t) select * from t", "t"),
        ("snowflake", "with t as (select * from t union all select * from t) select * from t", "t"),
        (
            "snowflake",
            "with r as ((select * from b) union all (select * from r)) select * from r",
            "b",
        ),
        (
            "snowflake",
            "with r as (select * from b union all select * from r union all select * from r) "
            "select * from r",
            "b",
        ),
        ("redshift", "with r as (select 1 union all select * from r) select * from r", "r"),
        # Case of names
        ("postgres", "with T as (select 1) select * from t", ""),
        ("postgres", 'with "T" as (select 1) select * from t', "t"),
        ("postgres", 'with t as (select 1) select * from "t"', ""),
        ("snowflake", 'with t as (select 1) select * from "T"', ""),
        ("snowflake", 'with t as (select 1) select * from "t"', '"t"'),
        ("snowflake", 'with "t" as (select 1) select * from T', "T"),
        ("redshift", 'with t as (select 1) select * from "T"', ""),
        ("trino", 'with t as (select 1) select * from "T"', ""),
        ("databricks", "with t as (select 1) select * from `T`", ""),
        ("bigquery", "with T as (select 1) select * from `t`", ""),
        ("duckdb", 'with t as (select 1) select * from "T"', ""),
        ("clickhouse", "with T as (select 1) select * from t", "t"),
        ("mysql", "with T as (select 1) select * from t", "t"),
    ],
)
def test_common_table_expressions(dialect: str, sql: str, expected: str) -> None:
    check(dialect, sql, expected)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select * from db.sch.t, sch.t, t", "db.sch.t sch.t t"),
        ("select * from db..t", 'db."PUBLIC".t'),
        ("select * from t, lateral flatten(input => t.x) f, table(flatten(t.y))", "t"),
        ("select * from table(generator(rowcount => 10)), table(my_function(1))", ""),
        ("select * from table(result_scan(last_query_id()))", ""),
        ("select $1 from @stage/path (file_format => 'f'), @db.sch.s, '@s/x'", ""),
        ("select * from directory(@s)", ""),
        ("select * from dual", ""),
        ("select * from t at(timestamp => 'x'::timestamp) as x", "t"),
        ("select * from t before(statement => (select max(id) from q)) as x", "q t"),
        ("select * from t changes(information => default) at(offset => -60)", "t"),
        ("select * from t sample (10)", "t"),
        ("select * from t pivot(sum(a) for m in ('A', 'B')) as p", "t"),
        ("select * from t pivot(sum(a) for m in (select x from u)) as p", "t u"),
        ("select * from t match_recognize(measures x as y pattern (a) define a as x > 1)", "t"),
        ("select * from t asof join u match_condition(t.x >= u.x)", "t u"),
        ("select * from identifier('db.sch.t'), table('u')", "db.sch.t u"),
        ("insert all into a into b select * from c", "c"),
        ("insert first when x > 1 then into a else into b select * from c", "c"),
        ("insert overwrite into a select * from b", "b"),
        ("create table a clone b", "b"),
        ("create table a like b", ""),
        ("create dynamic table a target_lag = '1 minute' warehouse = w as select * from b", "b"),
        ("copy into @s from (select * from t)", "t"),
        ("copy into @s from t", "t"),
        ("copy into t from @s", ""),
        ("set x = (select max(a) from t)", "t"),
        ("describe table t; show tables; list @s; use role r; use warehouse w", ""),
        ("select * from t where a = :1 and b = ? // it's from u", "t"),
        ("select 'a\\'b from u' from t", "t"),
        ("begin select * from t; end", "t"),
        ("if (exists (select 1 from t)) then select * from u; end if", "t u"),
    ],
)
def test_snowflake(sql: str, expected: str) -> None:
    check("snowflake", sql, expected)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select * from `my-proj.ds.t`, `my-proj`.ds.u", "`my-proj`.`ds`.`t` `my-proj`.ds.u"),
        ("select * from my-proj-123.ds.t", "my-proj-123.ds.t"),
        ("select * from ds.2024_t", "ds.`2024_t`"),
        ("select * from `domain.com:p.ds.t`", "`domain.com:p`.`ds`.`t`"),
        ("select * from ds.events_*", "ds.events_*"),
        ("select * from `p.ds.events_*` where _TABLE_SUFFIX > '1'", "`p`.`ds`.`events_*`"),
        ("select * from `p.ds.t$20240101`", "`p`.`ds`.`t`"),
        # Arrays of a table are no tables
        ("select * from ds.t, t.items", "ds.t"),
        ("select * from ds.t x, x.a y, y.b left join y.c z", "ds.t"),
        ("select * from ds.t x cross join unnest(x.items)", "ds.t"),
        ("select (select count(*) from t.items) from ds.t", "ds.t"),
        ("select * from ds.t where exists (select 1 from T.items i, i.parts)", "ds.t"),
        ("select * from sales.sales", "sales.sales"),
        ("select * from sales.sales, other.sales2", "other.sales2 sales.sales"),
        ("select * from unnest([1, 2]) x, ds.t", "ds.t"),
        # Functions
        ("select * from ml.predict(model ds.m, table ds.t)", "ds.t"),
        ("select * from ml.predict(model ds.m, (select * from ds.t))", "ds.t"),
        ("select * from ml.forecast(model ds.m, struct(1 as horizon))", ""),
        ("select * from vector_search(table ds.t, 'e', table ds.q)", "ds.q ds.t"),
        ("select * from ds.my_function(1)", ""),
        ("select * from ds.t for system_time as of current_timestamp()", "ds.t"),
        ("from ds.t |> where x > 1 |> join ds.u using (a) |> select a", "ds.t ds.u"),
        # Scripts
        ("declare x int64 default (select max(a) from ds.p); select x from ds.t", "ds.p ds.t"),
        ("begin select * from ds.t; end", "ds.t"),
        ("begin create temp table x as select * from ds.t; select * from x; end", "ds.t"),
        ("if exists (select 1 from ds.t) then select * from ds.u; end if", "ds.t ds.u"),
        ("for r in (select * from ds.t) do select * from ds.u; end for", "ds.t ds.u"),
        ("while x < (select 1 from ds.t) do select * from ds.u; end while", "ds.t ds.u"),
        ("begin transaction; select * from ds.t; commit transaction", "ds.t"),
        ("execute immediate 'select * from ds.t'", "ds.t"),
        ("export data options (uri = 'x') as select * from ds.t", "ds.t"),
        ("create model ds.m options (x = 1) as select * from ds.t", "ds.t"),
        ("create table ds.a clone ds.b; create table ds.c copy ds.d", "ds.b ds.d"),
        ("merge ds.a using ds.b on false when not matched then insert row", "ds.b"),
        ("select \"it's from u\", r'\\d', '''from v''' from ds.t # from w", "ds.t"),
    ],
)
def test_bigquery(sql: str, expected: str) -> None:
    check("bigquery", sql, expected)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select * from main.s.t version as of 3, s.u timestamp as of '2024'", "main.s.t s.u"),
        ("select * from t lateral view explode(items) e as x", "t"),
        ("select * from t, lateral explode(items), range(10)", "t"),
        ("select * from delta.`/path/x`, parquet.`s3://b/y.parquet`, read_files('/z')", ""),
        ("select * from values (1), (2) as v(a)", ""),
        ("select /*+ broadcast(u) */ * from t join u", "t u"),
        ("select * from identifier('a.b.c'), table_changes('d.e', 1)", "a.b.c d.e"),
        ("select * from f(table(t)), g(table(select * from u))", "t u"),
        ("from t insert overwrite table a select * insert into b select *", "t"),
        ("insert overwrite table a select * from b", "b"),
        ("insert into a replace where x = 1 select * from b", "b"),
        ("create or replace temporary view v as select * from t; select * from v", "t"),
        ("cache table x as select * from t; select * from x", "t"),
        ("select * from stream(t)", "t"),
        ("select * from t left anti join u on t.x = u.x", "t u"),
        ("select transform(a, x -> x + 1) from t", "t"),
        ("create table a shallow clone b", "b"),
        ("select \"from u\", 'it\\'s from v' from `main`.`s`.`t`", "`main`.`s`.`t`"),
        ("from t |> where a > 1 |> join u using (a)", "t u"),
        ("describe history t; optimize t; vacuum t; use schema s", ""),
    ],
)
def test_databricks(sql: str, expected: str) -> None:
    check("databricks", sql, expected)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select * from db.sch.t", "db.sch.t"),
        ("select * from s.t a, a.items b, b.parts c", "s.t"),
        ("select * from t where exists (select 1 from t.items)", "t"),
        ("select * from sales.sales, sales.items", "sales.sales"),
        ("unload ('select * from t where x = ''y''') to 's3://b/p'", "t"),
        ("unload (select * from t) to 's3://b/p' with (format = 'x')", "t"),
        ("create temp table #x as select * from t; select * from #x", "t"),
        ("select * into #x from t; select * from #x", "t"),
        ("copy t from 's3://b' iam_role 'r'", ""),
        ("explain select * from t", "t"),
        ("select * from t as x, unpivot x.obj as v at k", "t"),
    ],
)
def test_redshift(sql: str, expected: str) -> None:
    check("redshift", sql, expected)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select * from db.t final sample 0.1", "db.t"),
        ("with (select max(d) from ev) as x, 5 as y select * from t where a > x", "ev t"),
        ("select * from t left array join arr, b.c", "t"),
        ("select * from t global any left join db.u using (k)", "db.u t"),
        ("select * from t prewhere a in (select a from u) limit 1 by b", "t u"),
        ("select * from t where a global in (select b from u)", "t u"),
        # The right side of IN is a table, unless it names an expression
        ("select * from t where a in u and (b, c) not in db.v", "db.v t u"),
        ("with u as (select 1) select * from t where a in u", "t"),
        ("with (1, 2) as u select * from t where a in u", "t"),
        ("select (1, 2) as u, a in u from t", "t"),
        ("select * from t where a in t.list", "t"),
        ("select a from (select 1 as a) where a in (1, 2)", ""),
        # Table functions
        ("select * from numbers(10), s3('http://x', 'CSV'), values('a Int', 1)", ""),
        ("select * from cluster('c', db.t), clusterAllReplicas('c', db, u)", "db.t db.u"),
        ("select * from cluster('c', 'db', 't')", "`db`.`t`"),
        ("select * from view(select * from t)", "t"),
        ("select joinGet('db.j', 'x', 1), dictGet('d', 'a', 1) from t", "db.j t"),
        ("insert into a select * from b settings x = 1 format Native", "b"),
        ("create table a engine = Memory as select * from b", "b"),
        ("create table a as b", ""),
        ("select * from t where x = {p:String}", "t"),
        ("explain pipeline select * from t", "t"),
        ("select * from `db.t`", "`db.t`"),
        ("select 'it\\'s from u' from t", "t"),
    ],
)
def test_clickhouse(sql: str, expected: str) -> None:
    check("clickhouse", sql, expected)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select * from db.t join `a`.`b` straight_join c", "`a`.`b` c db.t"),
        ("select 1 from (t1, t2), dual", "t1 t2"),
        ("select \"from u\", 'it\\'s', `x` from t # from v", "t"),
        ("select * from t partition (p0) force index (i)", "t"),
        ("replace into a select * from b", "b"),
        ("insert into a select * from b on duplicate key update x = (select 1 from c)", "b c"),
        ("insert into a table b", "b"),
        # UPDATE and DELETE of joined tables write those assigned or named
        ("update t join u on t.a = u.a set t.x = u.x", "u"),
        ("update t, u set u.x = t.y where t.a = u.a", "t"),
        ("update t as a join t as b using (x) set a.y = b.y", "t"),
        ("delete t from t join u on t.a = u.a", "u"),
        ("delete from t using t join u on t.a = u.a", "u"),
        ("delete a from t as a join t as b on a.x < b.x", "t"),
        ("select * from json_table('[]', '$[*]' columns(a int path '$')) j", ""),
        ("explain format = json select * from t", "t"),
        ("set @a = (select max(x) from t)", "t"),
        ("prepare s from 'select * from t'", "t"),
    ],
)
def test_mysql(sql: str, expected: str) -> None:
    check("mysql", sql, expected)


@pytest.mark.parametrize(
    ("dialect", "sql", "expected"),
    [
        ("trino", "select * from c.s.t cross join unnest(t.items) as u(x)", "c.s.t"),
        ("trino", "select * from t for timestamp as of timestamp '2024-01-01 00:00:00'", "t"),
        ("trino", "select * from table(sequence(1, 2))", ""),
        (
            "trino",
            "select * from table(exclude_columns(input => table(c.s.t)))",
            "c.s.t",
        ),
        ("trino", 'select * from "c.s.t", "c"."s"."T"', '"c"."s"."T" "c.s.t"'),
        ("trino", "select * from ((t join u on true) join v on true)", "t u v"),
        ("trino", "with function f() returns int return 1 select * from t", "t"),
        ("trino", "select 'c:\\' from t", "t"),
        ("trino", "execute immediate 'select * from t where x = ?' using 1", "t"),
        ("trino", "prepare p from select * from t", "t"),
        ("trino", "explain (type distributed) insert into a select * from t", "t"),
        ("presto", "select * from t, unnest(a, b)", "t"),
        (
            "athena",
            "using external function f(x varchar) returns varchar lambda 'l' select f(a) from t",
            "t",
        ),
        ("athena", "unload (select * from t) to 's3://x' with (format = 'PARQUET')", "t"),
        ("athena", "create table a with (format = 'parquet') as select * from b", "b"),
        ("athena", "show tables; msck repair table t", ""),
        ("duckdb", "from t", "t"),
        ("duckdb", "select * from 'file.parquet', \"dir/x.csv\", read_csv('x'), range(3)", ""),
        ("duckdb", "pivot t on a using sum(b)", "t"),
        ("duckdb", "with x as (pivot t on a using sum(b)) select * from x", "t"),
        ("duckdb", "summarize t", "t"),
        ("duckdb", "select * from t positional join u semi join v using (a)", "t u v"),
        ("duckdb", "select [x for x in l], list_transform(l, x -> x) from t", "t"),
        ("postgres", "explain (analyze, format json) select * from t", "t"),
        ("postgres", "declare c cursor for select * from t", "t"),
        (
            "tsql",
            "select * from t with (nolock) cross apply f(t.a) outer apply (select * from u) x",
            "t u",
        ),
        ("tsql", "declare @t table (a int); insert into @t select * from u; select * from @t", "u"),
        ("tsql", "update a set x = 1 from t a join u on 1 = 1", "u"),
        ("tsql", "delete a from t a join u on 1 = 1", "u"),
        ("tsql", "if 1 = 1 begin select * from t; select * from u; end", "t u"),
    ],
)
def test_other_dialects(dialect: str, sql: str, expected: str) -> None:
    check(dialect, sql, expected)


@pytest.mark.parametrize(
    ("dialect", "sql", "expected"),
    [
        ("postgres", "create temp table x as select * from a; select * from x", "a"),
        ("postgres", "create temp table x (y int); insert into x table a; select * from x", "a"),
        ("postgres", "select * into x from a; select * from X", "a"),
        ("postgres", "create view v as select * from a; select * from v", "a"),
        ("postgres", "create table x as select * from x; select * from x", "x"),
        ("postgres", "select * from x; create temp table x as select 1", "x"),
        ("postgres", "create temp table x as select 1; drop table x; select * from x", "x"),
        ("postgres", "create temp table x as select 1; select * from s.x", "s.x"),
        ("postgres", "create temp table x as select 1; select * from pg_temp.x", ""),
        ("postgres", 'create temp table x as select 1; select * from "X"', '"X"'),
        ("bigquery", "create temp table x as select 1; select * from _SESSION.x", ""),
        # Rows put into a table that was there before do not make it the text's own
        ("postgres", "insert into x select * from a; select * from x", "a x"),
    ],
)
def test_tables_that_the_text_makes_itself(dialect: str, sql: str, expected: str) -> None:
    check(dialect, sql, expected)


def test_a_made_table_is_told_from_one_of_another_schema() -> None:
    sql = "create table s.x as select 1; select * from x; use schema q; select * from x"
    references = table_references(sql, "snowflake", database="D", schema="S")
    assert [reference.session.schemas[0] for reference in references.tables] == ["Q"]


@pytest.mark.parametrize(
    ("dialect", "sql", "database", "schemas"),
    [
        ("snowflake", "use schema b", "D", ("B", "PUBLIC")),
        ("snowflake", 'use a."b"', "A", ("b", "PUBLIC")),
        ("snowflake", "use database a", "A", ("PUBLIC",)),
        ("snowflake", "use database a; use schema b; use role c", "A", ("B", "PUBLIC")),
        ("databricks", "use catalog A; use schema B", "a", ("b",)),
        ("databricks", "use catalog a", "a", ("default",)),
        ("databricks", "use b", "D", ("b",)),
        ("databricks", "use a.b", "a", ("b",)),
        ("trino", "use c.s", "c", ("s",)),
        ("trino", "use s", "D", ("s",)),
        ("mysql", "use Db", None, ("Db",)),
        ("clickhouse", "use Db", None, ("Db",)),
        ("redshift", "use db", "db", ()),
        ("duckdb", "use x", None, ()),
        ("bigquery", "set @@dataset_id = 'ds'", "D", ("ds",)),
        ("bigquery", "set @@dataset_id = '?'", "D", ()),
        ("bigquery", "set @@dataset_project_id = 'p'", "p", ("S",)),
        ("bigquery", "set @@dataset_project_id = '?'", None, ("S",)),
        ("bigquery", "set @@time_zone = 'UTC'", "D", ("S",)),
        ("postgres", 'set search_path to A, "B", \'"$user"\'', "D", ("a", "B", '"$user"')),
        ("postgres", 'set search_path = "$user", a', "D", ("a",)),
        ("postgres", "set local search_path = a", "D", ("a",)),
        ("postgres", "set search_path to default", "D", ()),
        ("postgres", "set search_path to '?'", "D", ()),
        ("postgres", "set schema 'a'", "D", ("a",)),
    ],
)
def test_session_changes_inside_a_text(
    dialect: str, sql: str, database: str | None, schemas: tuple[str, ...]
) -> None:
    references = table_references(f"{sql}; select * from t", dialect, "D", "S")
    (reference,) = references.tables
    assert references.unread == ()
    assert (reference.session.database, reference.session.schemas) == (database, schemas)


def test_one_name_in_two_sessions_is_two_references() -> None:
    references = table_references("select * from t; use schema q; select * from t", "snowflake")
    assert [reference.session.schemas for reference in references.tables] == [(), ("Q", "PUBLIC")]


@pytest.mark.parametrize(
    ("dialect", "source", "reason", "reference"),
    [
        ("snowflake", "identifier($v)", Reason.COMPUTED_NAME, "IDENTIFIER(...)"),
        ("snowflake", "identifier('?')", Reason.COMPUTED_NAME, "IDENTIFIER(...)"),
        ("snowflake", "table($v)", Reason.COMPUTED_NAME, "IDENTIFIER(...)"),
        ("snowflake", "$v", Reason.COMPUTED_NAME, "v"),
        (
            "databricks",
            "identifier('a' || :x)",
            Reason.COMPUTED_NAME,
            "IDENTIFIER(...)",
        ),
        ("clickhouse", "{p:Identifier}", Reason.COMPUTED_NAME, "p"),
        ("clickhouse", "merge('db', '^t')", Reason.WILDCARD, "merge(...)"),
        ("clickhouse", "remote('h', 'd', 't')", Reason.OTHER_SYSTEM, "remote(...)"),
        (
            "bigquery",
            "EXTERNAL_QUERY('c', '?')",
            Reason.OTHER_SYSTEM,
            "external_query(...)",
        ),
        (
            "postgres",
            "dblink('c', '?') as t(a int)",
            Reason.OTHER_SYSTEM,
            "dblink(...)",
        ),
        (
            "trino",
            "table(m.system.query(query => '?'))",
            Reason.OTHER_SYSTEM,
            "query(...)",
        ),
    ],
)
def test_what_the_text_does_not_name(
    dialect: str, source: str, reason: Reason, reference: str
) -> None:
    references = table_references(f"select * from {source}; select * from known", dialect)
    assert [(u.reason, u.reference) for u in references.unread] == [(reason, reference)]
    assert [r.table.written(dialect) for r in references.tables] == ["known"]
