import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters import language, length, private, refusal, repetition, truncation
from filters.split import measure
from schemas.rules import Rule
from schemas.tables import SAMPLES


def measured(rule: Rule, reply: str | None, prompt: str = "What is it?") -> float | None:
    message = {"role": "user", "content": prompt, "tool_calls": None}
    row = dict.fromkeys(SAMPLES) | {"id": "1", "prompt": [message], "reply": reply}
    value: float | None = measure(pl.DataFrame([row], schema=SAMPLES), rule)["value"][0]
    return value


@pytest.mark.parametrize(
    ("reply", "count"), [("", 0), ("  ", 0), ("one", 1), (" a  b\nc ", 3), ("c'est-à-dire 1+1", 2)]
)
def test_words_are_runs_of_non_blank_characters(reply: str, count: int) -> None:
    assert measured(length.words(), reply) == count


def test_characters_do_not_count_outer_blanks() -> None:
    assert measured(length.characters(), "  añb \n") == 3


def test_an_absent_reply_is_not_measured() -> None:
    assert measured(length.words(), None) is None


@given(st.lists(st.sampled_from(["the", "cat", "sat", "down"]), min_size=10, max_size=40))
def test_the_repeated_fraction_is_what_a_plain_count_gives(words: list[str]) -> None:
    grams = list(zip(words, words[1:], words[2:], strict=False))
    expected = 1 - len(set(grams)) / len(grams)
    assert measured(repetition.repeated_ngrams(), " ".join(words)) == pytest.approx(expected)


def test_a_short_text_is_not_measured_for_repetition() -> None:
    assert measured(repetition.repeated_ngrams(), "no no no no no") is None
    assert measured(repetition.repeated_lines(), "no\nno") is None


def test_repeated_lines_are_counted_without_blank_ones() -> None:
    assert measured(repetition.repeated_lines(), "a\n\nb\n a \nb\n") == pytest.approx(0.5)


@pytest.mark.parametrize(
    "reply",
    [
        "I'm sorry, but as an AI language model I cannot help with that.",
        "I\N{RIGHT SINGLE QUOTATION MARK}m sorry, but I can\N{RIGHT SINGLE QUOTATION MARK}t do that.",
        "Sorry, I can't answer this.",
        "As an AI, I do not have feelings about the sea.",
        "Unfortunately, I am unable to count letters.",
        "I cannot assist with this request.",
    ],
)
def test_refusals_are_known_by_their_opening(reply: str) -> None:
    assert measured(refusal.refusals(), reply) == 1


@pytest.mark.parametrize(
    "reply",
    [
        "63",
        "The sea is wide.",
        "He said: I'm sorry, I cannot come.",
        "I'm sorry to hear that your dog is ill; rest helps.",
    ],
)
def test_other_replies_are_no_refusals(reply: str) -> None:
    assert measured(refusal.refusals(), reply) == 0


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("First you add the tens and then you add the", 1),
        ("First you add the tens and then you add the ones.", 0),
        ("Add them", None),
        ("Here is what you need to buy today:\n- a\n- eggs and a lot of milk", None),
        ("The sum of the two numbers you gave me is 63", 0),
    ],
)
def test_a_long_reply_without_a_closing_mark_is_unfinished(reply: str, value: float | None) -> None:
    assert measured(truncation.unfinished(), reply) == value


@pytest.mark.parametrize(
    ("reply", "count"),
    [("write to ann.lee+x@mail.example.co.uk or bo@a.org", 2), ("a@b", 0), ("user @ example.com", 0)],
)
def test_email_addresses_are_counted(reply: str, count: int) -> None:
    assert measured(private.emails(), reply) == count


@pytest.mark.parametrize(
    ("text", "count"), [("AKIA" + "Q7" * 8, 1), ("sk-" + "aB3" * 14, 1), ("sk-ill, task-based", 0)]
)
def test_keys_are_counted_by_their_form(text: str, count: int) -> None:
    assert measured(private.keys(), f"use {text}") == count


def test_the_language_is_measured_on_the_prose_alone() -> None:
    rule = language.probability(language="en")
    english = measured(rule, None, 'Please reverse the letters of the word "Straßenbahn" for me.')
    german = measured(rule, None, "Bitte schreibe die Buchstaben dieses Wortes rückwärts auf.")
    assert english is not None
    assert german is not None
    assert english > 0.9
    assert german < 0.01
    assert measured(rule, None, "12 + 7 = ?") is None


def test_an_unknown_language_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match="known are ar, bg"):
        language.probability(language="english")
