"""Texts that are made to hurt a parser, the same for the same seed.

As a script, ``python -m hex_assets_tests.lineage.hostile_sql SEED COUNT SECONDS MEBIBYTES`` has
them read by parser processes among texts that mean well, and prints what became of them as JSON.
"""

from __future__ import annotations

import json
import random
import resource
import sys
from collections.abc import Callable

from hex_assets.lineage.edges import build_edges
from hex_assets.lineage.parser_processes import Limits, ParserProcesses
from hex_assets_tests.lineage.catalogs import catalog, history, ran

DIALECTS = (
    "snowflake bigquery databricks redshift clickhouse mysql athena trino presto postgres duckdb"
).split()

_USUAL = (
    "with q as (select a, sum(b) as s from t where c in ('x', 'y') group by a) "
    "select q.a, case when s > 1 then 'é' end as d from q join u on u.id = q.a order by 1"
)
_OPENING = {
    "(": ")",
    "[": "]",
    "{": "}",
    "(select * from (": "))",
    "case when a then ": " end",
    "coalesce(a, ": ")",
    "cast(a as array<": ">)",
    "exists (select 1 from t where ": ")",
    "a in (": ")",
    "not ": "",
    "- ": "",
    "a between b and ": "",
    "select * from t join ": "",
    "x -> ": "",
    "/* ": " */",
    "{{ ": " }}",
}
_SEPARATORS = (
    *(", ", " + ", " || ", " or ", " and ", " union all select ", " join t ", "; select "),
    *(" cross join t ", " between a and ", "::", ".", "->", " as ", ", t.* ", " is not ", " "),
)
_ATOMS = ("a", "1", "'x'", '"A"', "`b`", "(select a from t)", "case when a then 1 end", "t.a", "*")
_SIGNS = (
    *("'", '"', "`", "(", ")", "[", "]", "{", "}", "$$", "/*", "*/", "--", "#", ";", "\\", "@"),
    *("\x00", "\x1b", "\ufeff", "\u200b", "\u202e", "é", "\uff03", "\U0001d494", "🦆"),
)


def _nested(chance: random.Random) -> str:
    opening = chance.choice(list(_OPENING))
    depth = chance.choice([200, 300, 2_000, 20_000])
    closing = depth + chance.choice([0, 0, -1, 1, -depth])
    return f"select * from t where {opening * depth}a{_OPENING[opening] * closing}"


def _mixed(chance: random.Random) -> str:
    chosen = chance.choices(list(_OPENING), k=chance.choice([50, 240, 1_000]))
    closing = "".join(_OPENING[opening] for opening in reversed(chosen))
    return f"select {''.join(chosen)}a{closing} from t"


def _repeated(chance: random.Random) -> str:
    separator, atom = chance.choice(_SEPARATORS), chance.choice(_ATOMS)
    count = chance.choice([100, 1_000, 10_000])
    return f"select a from t where {separator.join([atom] * count)}"


def _listed(chance: random.Random) -> str:
    atom = chance.choice(_ATOMS)
    return f"select a from t where a in ({', '.join([atom] * chance.choice([1_000, 50_000]))})"


def _scattered(chance: random.Random) -> str:
    text = _USUAL
    for _ in range(chance.choice([1, 3, 30])):
        place = chance.randrange(len(text))
        text = text[:place] + chance.choice(_SIGNS) + text[place + chance.randrange(2) :]
    return text


def _long(chance: random.Random) -> str:
    piece = chance.choice([_USUAL, f"select {'x' * 900} from t", " ", "\n", "-- x\n", "é", "\x00"])
    length = chance.choice([20_000, 200_000, 1_100_000])
    separator = chance.choice(["; ", " union all "]) if len(piece) > 10 else " "
    return (piece + separator) * (length // len(piece + separator))


def _stars(chance: random.Random) -> str:
    """Each expression has twice the columns of the one before it, or reads it twice."""
    joined = chance.choice(
        ["select * from c{0} x, c{0} y", "select a, b from c{0} union select * from c{0}"]
    )
    count = chance.choice([20, 60, 200])
    ctes = ", ".join(f"c{i} as ({joined.format(i - 1)})" for i in range(1, count))
    return f"with c0 as (select * from t), {ctes} select * from c{count - 1}"


def _shuffled(chance: random.Random) -> str:
    words = [*_USUAL.split(), *_SIGNS[:17], "lateral", "pivot", "recursive", "unnest(", "values"]
    return " ".join(chance.choices(words, k=chance.choice([5, 50, 2_000])))


_KINDS: tuple[Callable[[random.Random], str], ...] = (
    *(_nested, _mixed, _repeated, _listed, _scattered, _long, _stars, _shuffled),
)


def hostile_texts(seed: int, count: int) -> list[tuple[str, str]]:
    """Dialects and texts; every kind is among as many texts as there are kinds."""
    chance = random.Random(seed)
    kinds = [_KINDS[number % len(_KINDS)] for number in range(count)]
    return [(chance.choice(DIALECTS), kind(chance)) for kind in kinds]


def _main(seed: int, count: int, seconds: float, mebibytes: int) -> None:
    texts = hostile_texts(seed, count)
    rows = [
        ran(f"select a from t where a > {number}", dialect=dialect, project_id=f"good {number}")
        for number, (dialect, _) in enumerate(texts)
    ]
    rows += [
        ran(sql, dialect=dialect, project_id=f"bad {number}", sql_key=f"bad {number}")
        for number, (dialect, sql) in enumerate(texts)
    ]
    random.Random(seed).shuffle(rows)
    tables = catalog("snow.DB.SCH.T", "snow.DB.SCH.t", columns={"T": ["A", "B"], "t": ["a", "b"]})
    limits = Limits(seconds=seconds, memory=mebibytes << 20)
    with ParserProcesses(limits, processes=2, small_batch=0) as processes:
        built = build_edges(history(*rows), tables, [], processes=processes)
    unresolved = built.unresolved.rows
    result = {
        "linked": built.edges.rows["project_id"].unique().to_list(),
        "unresolved": unresolved.select("project_id", "reason", "detail").rows(),
        "statements": built.figures.statements,
        "workers_peak_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        "own_peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
