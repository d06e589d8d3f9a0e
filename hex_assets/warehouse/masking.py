"""Literals leave a statement before it is stored; what names a table stays.

A string becomes ``'?'``, a number ``0``, a comment a space. The masked text is still SQL of its
dialect and reads the same tables and columns, so it serves as the statement's shape: runs that
differ only in literals are equal after masking. How a dialect quotes, escapes and comments is
taken from sqlglot's tokenizer of that dialect.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from sqlglot.dialects.dialect import Dialect

_DICTIONARY_KINDS = (
    " ordefault ornull all string date datetime uuid float32 float64 ipv4 ipv6 int8 int16 int32 "
    "int64 uint8 uint16 uint32 uint64 stringordefault dateordefault datetimeordefault "
    "uuidordefault float32ordefault float64ordefault int8ordefault int16ordefault int32ordefault "
    "int64ordefault uint8ordefault uint16ordefault uint32ordefault uint64ordefault"
).split(" ")
"""What follows ``dictGet`` in the names of ClickHouse's dictionary functions."""

_ARGUMENTS: Mapping[str, Mapping[str, str]] = {
    "bigquery": {"external_query": "nf"},
    "clickhouse": {
        **{f"dictget{kind}": "nn" for kind in _DICTIONARY_KINDS},
        **dict.fromkeys(("dicthas", "dictgethierarchy", "dictisin", "dictionary"), "n"),
        **dict.fromkeys(("merge", "joinget", "sqlite"), "nn"),
        **dict.fromkeys(("remote", "remotesecure", "cluster", "clusterallreplicas"), "nnn"),
        **dict.fromkeys(("mysql", "postgresql", "mongodb"), "nnn"),
        **dict.fromkeys(("url", "file", "s3", "gcs", "hdfs", "deltalake", "iceberg"), "p"),
        **dict.fromkeys(("s3cluster", "urlcluster", "hdfscluster"), "np"),
    },
    "databricks": {"read_files": "p"},
    "duckdb": dict.fromkeys(
        "read_csv read_csv_auto read_parquet parquet_scan read_json read_json_auto read_ndjson "
        "read_text read_blob read_xlsx delta_scan iceberg_scan sqlite_scan".split(),
        "p",
    ),
    "postgres": {"dblink": "ss", "to_regclass": "n"},
    "redshift": {"unload": "s"},
}
"""By dialect, function to what its leading string arguments are.

(n)ame, (p)ath, (s)tatement of the same dialect, (f)oreign statement, of a dialect unknown here.
All other arguments are masked.
"""

_FAMILY = {
    **dict.fromkeys(("spark", "spark2", "hive"), "databricks"),
    **dict.fromkeys(("materialize", "risingwave"), "postgres"),
    **dict.fromkeys(("singlestore", "doris", "starrocks"), "mysql"),
    "fabric": "tsql",
}
"""Dialect to the one it is treated like."""

SIZED_TYPES = frozenset(
    "bigdecimal bignumeric datetime2 datetime64 datetimeoffset decimal decimal32 decimal64 "
    "decimal128 decimal256 fixedstring nchar number numeric nvarchar nvarchar2 timestamp_ltz "
    "timestamp_ntz timestamp_tz timestamptz varbinary varchar varchar2 varying".split()
)
"""Types that are no functions too, so that they are known without a cast around them."""

_TAIL = 64
"""How many characters of output decide what a literal is."""

_I, _S = re.IGNORECASE, re.DOTALL
_PREFIX = re.compile(r"(?<!\w)(?:br|rb|u&|[benqrx])\Z", _I)
_ROLE_BEFORE = re.compile(
    r"(?:(?P<s>\bIMMEDIATE)|(?P<f>\bQUERY\s*=>)|(?P<p>\b(?:FROM|JOIN|INTO|TO|LOCATION))"
    r"|(?P<n>\bAS))\s*\Z",
    _I,
)
_SHARD_BEFORE = re.compile(
    r"\b_TABLE_SUFFIX\s*(?:=|[<>]=?|\bBETWEEN(?:\s*['\"]\w*['\"]\s*AND)?)\Z", _I
)
_SHARD = re.compile(r"\w+\Z")
_WORD_BEFORE = re.compile(r"(::|\bAS)?\s*\b(\w+)\s*\Z", _I)
_REGCLASS_BEHIND = re.compile(r"\s*(?:::|\bAS\b)\s*(?:pg_catalog\.)?regclass\b", _I)
_CONCATENATION = re.compile(r"\s*\|\|\s*(?:[\w.$:@]+\s*\|\|\s*)*")
_SPACE = re.compile(r"\s*")
_COMMA = re.compile(r"\s*,\s*")
_TYPE_ARGUMENTS = re.compile(r"\s*[0-9]+(?:\s*,\s*-?[0-9]+)?(?:\s+(?:CHAR|BYTE))?\s*\)", _I)
_PATH = re.compile(
    r"@|\w+://|.*\.(?:avro|csv|feather|json|jsonl|ndjson|orc|parquet|tsv|txt|xlsx)(?:\.\w+)?\Z",
    _I | _S,
)
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@|\?[^?]*=.*", _S)
_STATEMENT = re.compile(
    r"[\s(]*(?:call|copy|create|delete|execute|explain|insert|merge|select|update|with)\b", _I
)
_DASHED_PATH = re.compile(r"\b(?:FROM|JOIN|INTO|TABLE|UPDATE|USING|MERGE)\s+[\w-]*-\Z", _I)
_DASHED_NAME = re.compile(
    r"[0-9]+(?:-\w+)*\.(?=[A-Za-z_`])(?![eE][+-]?[0-9]+(?![\w.]))(?![A-Za-z]{1,2}['\"])"
)
_GLUED = re.compile(r"\w*")
_DOLLAR_WORD = re.compile(r"\$\w*")
_BLOCK = re.compile(r"/\*|\*/")
_ORACLE_STRING = re.compile(r"'(?:\[(.*?)\]|\{(.*?)\}|\((.*?)\)|<(.*?)>|(\S)(.*?)\5)'", _S)
_TRIPLE = {quote: re.compile(rf"{quote * 3}((?:[^\\]|\\.)*?){quote * 3}", _S) for quote in "'\""}
_BACKSLASH = re.compile(r"\\(.)", _S)
_ESCAPED = {quote: re.compile(rf"\\(.)|{quote}({quote})", _S) for quote in "'\""}

_ELEMENT = r"(?:(?:[-+]\s*)?\b0\b|(?:\b\w+\s*)?'\?'|\b(?:NULL|TRUE|FALSE)\b)"
_ITEM = rf"(?:\(\s*{_ELEMENT}(?:\s*,\s*{_ELEMENT})*\s*\)|{_ELEMENT})"
_IN_LIST = rf"(?P<head>\bIN\s*)\(\s*(?P<items>{_ITEM}(?:\s*,\s*{_ITEM})*)\s*\)"
_ANY_IN_LIST = re.compile(r"\bIN\s*\(\s*(?:\w+\s*)?[-+(0'\w]", _I)
_ITEMS, _ELEMENTS = re.compile(_ITEM, _I), re.compile(_ELEMENT, _I)


def mask_literals(sql: str, dialect: str) -> str:
    """The statement without literals and comments.

    Kept, because they say what is read: digits in names, type arguments (``DECIMAL(10, 2)``),
    strings that are names or paths (``IDENTIFIER('x')``, ``'x'::regclass``, ``remote(...)``,
    ``s3(...)``; of paths, without credentials), the shards of a wildcard table
    (``_TABLE_SUFFIX = 'x'``), and the masked SQL in ``EXECUTE IMMEDIATE``,
    ``UNLOAD``, ``EXTERNAL_QUERY`` and ``dblink``. The literals of an ``IN`` list become one of
    each kind, so that its length does not tell statements apart. Masking twice equals masking
    once.

    Where quotes do not pair, nothing from the first quote on is kept.

    Args:
        sql: one or more statements, without the Hex comment.
        dialect: sqlglot's name of the dialect.

    Raises:
        ValueError: sqlglot knows no such dialect.
    """
    lexicon = lexicon_of(dialect)
    readings = [lexicon]
    if lexicon.dialect == "redshift":
        # Amazon's examples escape with backslashes, statements of PostgreSQL clients do not.
        readings.append(replace(lexicon, backslash=False))
    for reading in readings:
        try:
            return _collapse_lists(_Masking(sql, reading).text(), reading)
        except _Unpaired:
            continue
    return _collapse_lists(_before_first_quote(sql, lexicon), lexicon)


class _Unpaired(Exception):
    """A quote or comment has no end: the text was cut, or is of another dialect."""


@dataclass(frozen=True)
class Lexicon:
    """How one dialect writes strings, names and comments.

    Attributes:
        name: sqlglot's name of the dialect.
        dialect: the dialect it is treated like.
        quotes: characters that open a string.
        names: characters that open a quoted name.
        backslash: whether a backslash escapes in strings.
        backslash_in_raw: whether it also hides a quote in ``r'..'``; None without such strings.
        escape_strings: whether ``E'..'`` is a string in which a backslash escapes.
        doubled: whether a doubled quote stands for one in a string.
        triple: whether three quotes open a string.
        dollar: how a string in dollars opens; None without such strings.
        lines: what opens a comment up to the end of the line.
        nested: whether block comments nest.
        digit_names: whether an unquoted name may begin with a digit.
        arguments: function to what its leading string arguments are.
        token: what must not be copied unseen; the name of its group is its kind.
    """

    name: str
    dialect: str
    quotes: str
    names: str
    backslash: bool
    backslash_in_raw: bool | None
    escape_strings: bool
    doubled: bool
    triple: bool
    dollar: re.Pattern[str] | None
    lines: tuple[str, ...]
    nested: bool
    digit_names: bool
    arguments: Mapping[str, str]
    token: re.Pattern[str]

    def encode(self, text: str) -> str:
        """The text as a string literal."""
        if self.backslash:
            text = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        escaped = "''" if self.doubled or not self.backslash else "\\'"
        return "'" + text.replace("'", escaped) + "'"


@cache
def lexicon_of(name: str) -> Lexicon:
    """The lexicon of a dialect.

    Raises:
        ValueError: sqlglot knows no such dialect.
    """
    dialect = Dialect.get_or_raise(name)
    tokenizer = dialect.tokenizer_class
    family = _FAMILY.get(name.lower(), name.lower())
    names = "".join(_opening(name) for name in tokenizer.IDENTIFIERS)
    quotes = "".join(
        quote for quote in map(_opening, tokenizer.QUOTES) if len(quote) == 1 and quote not in names
    )
    raw = any(_opening(start).lower() == "r'" for start in tokenizer.RAW_STRINGS)
    tagged = "$" in tokenizer.HEREDOC_STRINGS
    dollar = tagged or "$$" in tokenizer.RAW_STRINGS
    digit_names = dialect.IDENTIFIERS_CAN_START_WITH_DIGIT
    lines = tuple(sign for sign in tokenizer.COMMENTS if isinstance(sign, str))
    return Lexicon(
        name=name,
        dialect=family,
        quotes=quotes,
        names=names,
        # Athena reads SELECT like Trino; sqlglot's tokenizer also covers its DDL, which is Hive's.
        backslash="\\" in tokenizer.STRING_ESCAPES and family != "athena",
        backslash_in_raw=tokenizer.STRING_ESCAPES_ALLOWED_IN_RAW_STRINGS if raw else None,
        escape_strings=any(_opening(start) == "e'" for start in tokenizer.BYTE_STRINGS),
        doubled="'" in tokenizer.STRING_ESCAPES,
        triple="'''" in tokenizer.QUOTES,
        dollar=re.compile(r"\$(?:[^\W\d]\w*)?\$" if tagged else r"\$\$") if dollar else None,
        lines=lines,
        nested=tokenizer.NESTED_COMMENTS,
        digit_names=digit_names,
        arguments={"identifier": "n", "table": "n", **_ARGUMENTS.get(family, {})},
        token=_token(
            family,
            quotes,
            names,
            lines,
            digits="[0-9_]"
            if dialect.NUMBERS_CAN_BE_UNDERSCORE_SEPARATED or not digit_names
            else "[0-9]",
            suffixes="|".join(sorted(tokenizer.NUMERIC_LITERALS, key=len, reverse=True)),
        ),
    )


def _opening(delimiter: str | tuple[str, str]) -> str:
    return delimiter if isinstance(delimiter, str) else delimiter[0]


def _token(
    dialect: str, quotes: str, names: str, lines: Sequence[str], digits: str, suffixes: str
) -> re.Pattern[str]:
    """See ``Lexicon.token``.

    Args:
        lines: what opens a comment up to the end of the line.
        digits: pattern of what a number goes on with.
        suffixes: pattern of letters that may end a number; empty when there are none.
    """
    # MySQL takes -- for a comment only before white space: 5--3 is 8.
    comments = "|".join(
        r"(?<=-)-+(?=\s|\Z|#|/\*)"
        if sign == "--" and dialect == "mysql"
        else rf"(?<={re.escape(sign[0])}){re.escape(sign[1:])}"
        for sign in lines
    )
    stage_path = r"(?:(?!--|//|/\*)[^\s'\"(),;])*"
    part_of_name = r"[\w\"'`\])]\."
    exponent = r"(?:[eE][+-]?[0-9][0-9_.]*)?"
    suffix = rf"(?:(?i:{suffixes})(?![\w.]))?" if suffixes else ""
    kinds = {
        "string": f"(?<=[{re.escape(quotes)}])",
        "name": f"(?<=[{re.escape(names)}])",
        "line": rf"(?:{comments})[^\r\n]*",
        "block": r"(?<=/)\*",
        "dollar": r"(?<=\$)",
        "at": "(?<=@)" + (stage_path if dialect == "snowflake" else r"\w*"),
        "number": rf"(?<=[0-9])(?<!\w[0-9])(?<!{part_of_name}[0-9])"
        r"(?:(?<=0)[xX][0-9a-fA-F]+[0-9_.]*|(?<=0)[bB][01]+[0-9_.]*"
        rf"|{digits}*(?:\.[0-9_.]*)?{exponent}){suffix}"
        rf"|(?<=\.)(?<!{part_of_name})\.*[0-9][0-9_.]*{exponent}{suffix}",
        "argument": r"(?<=\()(?=\s*(?:[0-9$'\"]|[A-Za-z]{1,2}['\"]|[uU]&'))",
    }
    # A set first, not alternatives: only then does re skip quickly to where a token may begin.
    first = re.escape(quotes + names + "".join(sign[0] for sign in lines) + "/$@.(") + "0-9"
    choices = "|".join(f"(?P<{kind}>{pattern})" for kind, pattern in kinds.items())
    return re.compile(f"[{first}](?:{choices})")


@cache
def _quoted(quote: str, backslash: bool) -> re.Pattern[str]:
    """A quoted string or name; its group is what is between the quotes."""
    end = re.escape("]" if quote == "[" else quote)
    plain = rf"[^{end}\\]" if backslash else f"[^{end}]"
    escape = rf"\\.|{end}{end}" if backslash else end * 2
    return re.compile(rf"{re.escape(quote)}({plain}*(?:(?:{escape}){plain}*)*){end}", _S)


class _Masking:
    """One pass over one text.

    What is decided by looking back looks at the output, not at the input, so that a pass over
    the output decides the same again.
    """

    def __init__(self, sql: str, lexicon: Lexicon) -> None:
        self.sql = sql
        self.lexicon = lexicon
        self.out: list[str] = []
        self.at = 0

    def text(self) -> str:
        """The masked text.

        Raises:
            _Unpaired: a quote or comment has no end.
        """
        sql, out, search = self.sql, self.out, self.lexicon.token.search
        while found := search(sql, self.at):
            out.append(sql[self.at : found.start()])
            self.at = found.start()
            kind = found.lastgroup
            if kind == "number":
                self._number(found[0])
            elif kind == "string":
                self._emit(self._read_string())
            elif kind == "name":
                out.append(self._take(_quoted(found[0], backslash=False))[0])
            elif kind == "argument":
                self._argument()
            elif kind == "dollar":
                self._dollar()
            elif kind == "block":
                self._block_comment()
            else:
                self.at = found.end()
                if kind == "at":
                    out.append(found[0])
        out.append(sql[self.at :])
        return "".join(out)

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = pattern.match(self.sql, self.at)
        if found is None:
            raise _Unpaired
        self.at = found.end()
        return found

    def _tail(self) -> str:
        last = self.out[-1] if self.out else ""
        return last[-_TAIL:] if len(last) >= _TAIL else "".join(self.out[-12:])[-_TAIL:]

    def _number(self, number: str) -> None:
        if self.lexicon.dialect == "bigquery" and (name := self._dashed_name()):
            self.out.append(name)
            self.at += len(name)
            return
        self.at += len(number)
        glued = self._take(_GLUED)[0]
        if not glued:
            self.out.append("0")
        elif self.lexicon.digit_names and number.isalnum():
            self.out.append(number + glued)
        else:
            self.out.append("0 " + glued)

    def _dashed_name(self) -> str:
        """The digits of a BigQuery project such as ``my-project-123``, up to the next dot."""
        tail = self._tail()
        if not re.search(r"[\w`]-\Z", tail):
            return ""
        name = _DASHED_NAME.match(self.sql, self.at)
        if name is None or ("-" in name[0] and not _DASHED_PATH.search(tail)):
            return ""
        return name[0]

    def _read_string(self) -> str:
        """Read the string at the current place; a prefix leaves the output."""
        lexicon, quote = self.lexicon, self.sql[self.at]
        prefix = ""
        tail = self._tail()
        if (tail[-1:].isalpha() or tail.endswith("&")) and (found := _PREFIX.search(tail)):
            prefix = found[0].lower()
            self.out.append("".join(self.out[-2:])[: -len(prefix)])
            del self.out[-3:-1]
        if prefix == "q" and lexicon.dialect == "oracle":
            groups = self._take(_ORACLE_STRING).groups()
            return next(group for group in reversed(groups) if group is not None)
        raw = "r" in prefix and lexicon.backslash_in_raw is not None
        backslash = lexicon.backslash or (prefix == "e" and lexicon.escape_strings)
        if lexicon.triple and self.sql.startswith(quote * 3, self.at):
            content = self._take(_TRIPLE[quote])[1]
            return content if raw else _BACKSLASH.sub(_unescaped, content)
        content = self._take(_quoted(quote, bool(lexicon.backslash_in_raw) if raw else backslash))[
            1
        ]
        if raw:
            return content
        if backslash:
            return _ESCAPED[quote].sub(_unescaped, content)
        return content.replace(quote * 2, quote)

    def _emit(self, content: str, role: str = "") -> None:
        """Write a string as what it is: a name, a path, a statement or a literal."""
        if not role:
            role = self._role(content)
        text = "'?'"
        if role == "n":
            text = self.lexicon.encode(content)
        elif role == "p":
            text = self.lexicon.encode(_CREDENTIALS.sub("", content))
        elif role in ("s", "f") and _STATEMENT.match(content):
            # MySQL's reading masks most: both kinds of quotes are strings there.
            inner = self.lexicon.name if role == "s" else "mysql"
            text = self.lexicon.encode(mask_literals(content, inner))
        self.out.append(" " + text if self._tail().endswith("'") else text)

    def _role(self, content: str) -> str:
        """What a string is by what stands around it; empty for a literal."""
        dialect = self.lexicon.dialect
        before = self._tail().rstrip()
        if before[-1:].isalpha() or before.endswith("=>"):
            found = _ROLE_BEFORE.search(before)
            role = found.lastgroup if found else None
            if role == "p" and not _PATH.match(content):
                role = None
            if role == "n" and dialect not in ("mysql", "tsql"):
                role = None
            if role:
                return role
        if dialect == "bigquery":
            return "n" if _SHARD_BEFORE.search(before) and _SHARD.match(content) else ""
        if dialect in ("postgres", "redshift", "duckdb"):
            return "n" if _REGCLASS_BEHIND.match(self.sql, self.at) else ""
        return ""

    def _argument(self) -> None:
        """An opening parenthesis with a literal behind it."""
        found = _WORD_BEFORE.search(self._tail())
        self.out.append("(")
        self.at += 1
        if found is None:
            return
        word = found[2].lower()
        if roles := self.lexicon.arguments.get(word):
            self._named_arguments(roles)
        elif (found[1] or word in SIZED_TYPES) and (
            arguments := _TYPE_ARGUMENTS.match(self.sql, self.at)
        ):
            self.out.append(arguments[0])
            self.at = arguments.end()

    def _named_arguments(self, roles: str) -> None:
        for role in roles:
            if not self._at_string():
                return
            self._emit(self._read_string(), role)
            while role == "n" and (join := _CONCATENATION.match(self.sql, self.at)):
                if self.sql[join.end() : join.end() + 1] not in tuple(self.lexicon.quotes):
                    break
                self.out.append(join[0])
                self.at = join.end()
                self._emit(self._read_string(), role)
            if comma := _COMMA.match(self.sql, self.at):
                self.out.append(comma[0])
                self.at = comma.end()

    def _at_string(self) -> bool:
        """Whether a string begins here, after white space."""
        space = self._take(_SPACE)[0]
        self.out.append(space)
        return self.sql[self.at : self.at + 1] in tuple(self.lexicon.quotes)

    def _dollar(self) -> None:
        """A string in dollars, or a word such as ``$1``."""
        opening = self.lexicon.dollar and self.lexicon.dollar.match(self.sql, self.at)
        before = self._tail()[-1:]
        if not opening or before.isalnum() or before == "_":
            self.out.append(self._take(_DOLLAR_WORD)[0])
            return
        end = self.sql.find(opening[0], opening.end())
        if end < 0:
            raise _Unpaired
        self.at = end + len(opening[0])
        self._emit(self.sql[opening.end() : end])

    def _block_comment(self) -> None:
        depth = 0
        while True:
            found = _BLOCK.search(self.sql, self.at)
            if found is None:
                raise _Unpaired
            self.at = found.end()
            depth += 1 if found[0] == "/*" and (self.lexicon.nested or not depth) else 0
            depth -= 1 if found[0] == "*/" else 0
            if not depth:
                self.out.append(" ")
                return


def _unescaped(match: re.Match[str]) -> str:
    """What an escape stands for; a doubled quote is the second group."""
    if match[1] is None:
        return str(match[2])
    return {"n": "\n", "r": "\r", "t": "\t"}.get(match[1], match[1])


def _before_first_quote(sql: str, lexicon: Lexicon) -> str:
    """What precedes anything that may have been opened, and one string for the rest."""
    dollar = rf"|{lexicon.dollar.pattern}" if lexicon.dollar else ""
    first = re.search(rf"[{re.escape(lexicon.quotes + lexicon.names)}]|/\*{dollar}", sql)
    before = sql[: first.start()] if first else ""
    masked = _PREFIX.sub("", _Masking(before, lexicon).text()) + "'?'"
    return _Masking(masked, lexicon).text()


@cache
def _in_lists(names: str, backslash: bool) -> re.Pattern[str]:
    kept = "|".join(_quoted(quote, backslash and quote == "'").pattern for quote in "'" + names)
    return re.compile(rf"{kept}|{_IN_LIST}", _I | _S)


def _collapse_lists(masked: str, lexicon: Lexicon) -> str:
    """Keep one element of each kind in the ``IN`` lists of a masked text."""
    if not _ANY_IN_LIST.search(masked):
        return masked
    return _in_lists(lexicon.names, lexicon.backslash).sub(_collapsed, masked)


def _collapsed(match: re.Match[str]) -> str:
    if match["items"] is None:
        return match[0]
    items = (_without_sign(item[0]) for item in _ITEMS.finditer(match["items"]))
    return f"{match['head']}({', '.join(dict.fromkeys(items))})"


def _without_sign(item: str) -> str:
    elements = [" ".join(element[0].lstrip("+-").split()) for element in _ELEMENTS.finditer(item)]
    return f"({', '.join(elements)})" if item.startswith("(") else elements[0]
