from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hex_assets.openmetadata import fqn

NAMES = st.text(min_size=1).filter(lambda name: '"' not in name)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("hex", ["hex"]),
        ("hex.abc", ["hex", "abc"]),
        ('"my.hex".abc', ["my.hex", "abc"]),
        ('HexCategories."Fin.ance"', ["HexCategories", "Fin.ance"]),
        ('"a"."b".c d/é', ["a", "b", "c d/é"]),
    ],
)
def test_a_name_is_split_outside_its_quotes(text: str, parts: list[str]) -> None:
    assert fqn.split(text) == parts


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a..b", '"a', 'a"', '"a"b', 'a"b"', '""'])
def test_what_is_no_fully_qualified_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a fully qualified name"):
        fqn.split(text)


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_split_undoes_join(names: list[str]) -> None:
    assert fqn.split(fqn.join(*names)) == names


@pytest.mark.parametrize(("name", "quoted"), [("abc", "abc"), ("a.b", '"a.b"'), ("a b", "a b")])
def test_a_part_is_quoted_only_for_a_dot(name: str, quoted: str) -> None:
    assert fqn.quote(name) == quoted


@pytest.mark.parametrize("name", ["", 'a"b'])
def test_what_cannot_be_quoted_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not the name of an entity"):
        fqn.quote(name)


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("plain name", "plain name"),
        ("a::b", "a__reserved__colon__b"),
        (":::", "__reserved__colon__:"),
        ("a->b", "a-__reserved__arrow__b"),
        ('say "x"', "say __reserved__quote__x__reserved__quote__"),
        ("bell\x07", "bell "),
    ],
)
def test_forbidden_characters_are_replaced_as_openmetadata_does(name: str, encoded: str) -> None:
    assert fqn.encode(name) == encoded


@given(st.text(min_size=1))
def test_an_encoded_name_fits_openmetadatas_rule(name: str) -> None:
    encoded = fqn.encode(name)
    assert not set(encoded) & {'"', ">", *map(chr, range(32))}
    assert "::" not in encoded
    assert len(encoded.encode("utf-16-le")) <= 2 * fqn.LONGEST_NAME


def test_long_names_stay_apart() -> None:
    one, other = "📈" * 300 + "a", "📈" * 300 + "b"
    assert fqn.encode(one) != fqn.encode(other)
    assert len(fqn.encode(one).encode("utf-16-le")) // 2 <= fqn.LONGEST_NAME
    assert fqn.encode("x" * 256) == "x" * 256


@given(st.text(alphabet='ab:>"\n\t', max_size=12))
def test_decode_undoes_encode(name: str) -> None:
    assert fqn.decode(fqn.encode(name)) == name
