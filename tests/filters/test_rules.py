"""Laws that hold for every rule that looks at a row alone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import (
    echo,
    keywords,
    language,
    length,
    links,
    placeholder,
    private,
    profanity,
    prose,
    refusal,
    repetition,
    symbols,
    truncation,
)
from schemas.rules import Rule
from tests.filters.measuring import Column, Measured

RATIOS: list[Rule] = [
    symbols.alphabetic_words(),
    symbols.special_characters(),
    symbols.digits(),
    symbols.uppercase(letters=1),
    prose.closed_lines(),
    prose.code(),
    links.share(),
    repetition.repeated_ngrams(words=1),
    repetition.repeated_lines(lines=1),
    language.probability(part="reply", letters=1),
]
REPLIES: list[Rule] = [  # the rules on the reply
    *RATIOS,
    length.words(),
    length.characters(),
    length.sentences(),
    length.tokens(tokenizer="models/tiny"),
    symbols.symbols(),
    prose.stop_words(),
    prose.end_mark(),
    repetition.compression(),
    truncation.unfinished(),
    refusal.refusals(),
    placeholder.replies(),
    links.only(part="reply"),
    links.links(),
    keywords.keywords(words=("cat",), part="reply"),
    keywords.latest_year(part="reply"),
    profanity.words(part="reply"),
    echo.verbatim(),
    echo.normalised(),
    private.emails(part="reply"),
    private.phones(part="reply"),
    private.cards(part="reply"),
    private.ibans(part="reply"),
    private.addresses(part="reply"),
    private.secrets(part="reply"),
]
TEXT = st.text(st.characters(codec="utf-8"), max_size=60)


@settings(deadline=None)  # the first call loads what it needs
@given(TEXT)
def test_a_share_lies_between_0_and_1_for_any_text(measured: Measured, text: str) -> None:
    for rule in RATIOS:
        value = measured(rule, text)
        assert value is None or 0 <= value <= 1


@pytest.mark.parametrize("rule", REPLIES)
def test_an_absent_reply_is_not_measured(column: Column, rule: Rule) -> None:
    assert column(rule, ("What is it?", None), ("What is it?", "It is a cat, and it sat there."))[0] is None


@pytest.mark.parametrize("rule", REPLIES)
def test_a_row_has_the_same_value_alone_and_among_others(column: Column, rule: Rule) -> None:
    texts = [
        "A cat sat on the mat in 1984.",
        None,
        "",
        "Ω ñ 你好。世界 مرحبا",
        "the cat sat the cat sat the cat sat " * 30,
    ]
    pairs = [("Write.", text) for text in texts]
    assert column(rule, *pairs) == [column(rule, pair)[0] for pair in pairs]


@pytest.mark.parametrize("rule", REPLIES)
def test_no_rows_give_no_values(column: Column, rule: Rule) -> None:
    assert column(rule) == []


def test_a_bound_is_no_part_of_a_measurement(measured: Measured) -> None:
    for loose, strict in (
        (length.words(), length.words(minimum=9, maximum=9)),
        (refusal.refusals(maximum=1), refusal.refusals(maximum=0)),
        (repetition.repeated_ngrams(maximum=1), repetition.repeated_ngrams(maximum=0.0)),
        (private.phones(maximum=9), private.phones(maximum=0)),
    ):
        text = "Sorry, I can't do that. Call me on 212 664 7665. " * 3
        assert measured(loose, text) == measured(strict, text)
