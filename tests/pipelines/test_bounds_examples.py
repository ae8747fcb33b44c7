"""The examples beside a bound, and how a terminal shows them."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.texts import Part
from pipelines import bounds
from pipelines.bounds_examples import around, ends, found_in, part_of
from pipelines.bounds_words import words
from pipelines.closing import keeps, measured
from tests.pipelines.test_bounds import made

LONG = "The words of a long beginning. " * 20


def shown(folder: Path, rule: str) -> str:
    """Give what the terminal shows of a rule."""
    return words(bounds.explore(folder, rule))


def test_what_a_rule_on_the_reply_s_end_measured_is_seen(tmp_path: Path) -> None:
    reply = f"It begins. {LONG}And at last it breaks off in the"
    folder = made(tmp_path, '[[filters]]\nuse = "filters.truncation:unfinished"\n', [(LONG, reply)])
    line = "  lost at 1: It begins. The words of a long beginning. The words of a lon … "
    said = shown(folder, "filters.truncation:unfinished")
    assert line in said
    assert said.endswith("And at last it breaks off in the")


def test_what_a_rule_on_private_data_counts_is_seen_wherever_it_stands(tmp_path: Path) -> None:
    rows = [(LONG, f"{LONG} Write to jane@corner-shop.co.uk at once. {LONG}")]
    folder = made(tmp_path, '[[filters]]\nuse = "filters.private:emails"\n', rows)
    assert "Write to jane@corner-shop.co.uk at once. The words" in shown(folder, "filters.private:emails")


def test_the_part_that_the_recipe_names_is_shown(tmp_path: Path) -> None:
    rule = '[[filters]]\nuse = "filters.length:words"\npart = "prompt"\nminimum = 3\n'
    folder = made(tmp_path, rule, [("Two words", "And a longer reply."), ("Now three words", "Short.")])
    (told,) = bounds.explore(folder)
    assert told["part"] == "prompt"
    assert {one["text"] for some in told["examples"].values() for one in some} == {"Two words", "Now three words"}


def test_an_empty_and_an_absent_text_are_told(tmp_path: Path) -> None:
    folder = made(tmp_path, '[[filters]]\nuse = "filters.length:words"\n', [("Say nothing.", ""), ("Say.", "It.")])
    assert "  lost at 0: (empty)\n" in shown(folder, "filters.length:words")


@pytest.mark.parametrize(
    ("use", "arguments", "part"),
    [
        ("filters.length:words", {}, "reply"),
        ("filters.length:words", {"part": "question"}, "question"),
        ("filters.duplicates:near", {}, "question"),
        ("filters.placeholder:inputs", {}, "prompt"),
        ("filters.conflicts:replies", {}, "conversation"),
        ("gone_since:rule", {}, "conversation"),
    ],
)
def test_a_rule_measures_the_part_of_its_argument_or_of_its_default(
    use: str, arguments: dict[str, Any], part: Part
) -> None:
    assert part_of(use, arguments) == part


@pytest.mark.parametrize(
    ("use", "arguments", "text", "found"),
    [
        ("filters.private:emails", {}, "Ask jane@corner-shop.co.uk.", "jane@corner-shop.co.uk"),
        ("filters.private:emails", {}, "Ask Jane.", None),
        ("filters.links:links", {}, "See https://corner-shop.co.uk/a now", "https://corner-shop.co.uk/a"),
        ("filters.length:words", {}, "See https://corner-shop.co.uk/a now", None),
        ("filters.keywords:keywords", {"words": ["C++", "as an AI"]}, "Well, As an AI I know it.", "As an AI"),
        ("filters.keywords:keywords", {"pattern": "[0-9]+ km"}, "It is 12 km away.", "12 km"),
        ("filters.keywords:latest_year", {}, "From 1999 to 2022.", "2022"),
    ],
)
def test_what_a_rule_counts_is_found_in_the_text(
    use: str, arguments: dict[str, Any], text: str, found: str | None
) -> None:
    assert found_in(text, use, arguments, 2022.0) == found


@given(st.text(), st.text(max_size=5), st.integers(1, 20))
def test_an_excerpt_is_short_and_what_was_found_is_in_it(text: str, found: str, each: int) -> None:
    assert len(ends(text, each)) <= 2 * each + 3
    piece = around(text, found, each)
    assert len(piece) <= 2 * each + 4
    assert found not in text or len(found) > each or found.strip() in piece


@pytest.mark.parametrize(
    ("value", "apart", "said"),
    [
        (2022.0, (), "2022"),
        (12_345.0, (), "12,345"),
        (1234.5, (), "1234"),
        (1234.5, (1234.4,), "1234.5"),
        (0.96998, (), "0.97"),
        (0.96998, (0.97,), "0.96998"),
        (0.97, (0.96998,), "0.97"),
        (1.0, (0.9999999,), "1"),
        (1e300, (), "1e+300"),
        (None, (), "no figure"),
    ],
)
def test_a_measured_value_looks_like_no_other_beside_it(
    value: float | None, apart: tuple[float, ...], said: str
) -> None:
    assert measured(value, apart) == said


@given(st.lists(st.floats(-1e9, 1e9), unique=True, max_size=12))
def test_no_two_values_are_shown_alike(values: list[float]) -> None:
    known = {value + 0.0 for value in values}  # 0.0 for -0.0
    assert len({measured(value, known) for value in known}) == len(known)


def test_what_a_pick_without_an_end_keeps_is_told_in_words() -> None:
    rule = {"kind": "pick", "minimum": None, "maximum": 1_000_000_000}
    assert keeps(rule) == "every row that gets a place"
    assert keeps(rule | {"maximum": 2_000}) == "at most 2000"
