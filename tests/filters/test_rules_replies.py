"""Claims on the rules that know a reply that is none, or an input: loops, refusals, placeholders, echoes, links."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import echo, links, placeholder, refusal, repetition, truncation
from tests.filters.measuring import Measured


@settings(deadline=None)  # the first call loads what it needs
@given(st.lists(st.sampled_from(["the", "cat", "sat", "down"]), min_size=10, max_size=40), st.integers(1, 5))
def test_the_repeated_fraction_is_what_a_plain_count_gives(measured: Measured, words: list[str], n: int) -> None:
    grams = [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]
    expected = 1 - len(set(grams)) / len(grams)
    assert measured(repetition.repeated_ngrams(n=n), " ".join(words)) == pytest.approx(expected)


def test_a_short_text_is_not_measured_for_repetition(measured: Measured) -> None:
    assert measured(repetition.repeated_ngrams(), "no no no no no") is None
    assert measured(repetition.repeated_lines(), "no\nno") is None
    assert measured(repetition.compression(), "no " * 60) is None


def test_repeated_lines_are_counted_without_blank_ones(measured: Measured) -> None:
    assert measured(repetition.repeated_lines(), "a\n\nb\n a \nb\n") == pytest.approx(0.5)


def test_a_loop_is_above_every_default_bound_of_repetition(measured: Measured) -> None:
    loop = "I will try again and then I will see.\n" * 60
    for rule in (repetition.repeated_ngrams(), repetition.repeated_lines(), repetition.compression()):
        value = measured(rule, loop)
        assert value is not None
        assert rule.maximum is not None
        assert value > rule.maximum


@pytest.mark.parametrize(
    "reply",
    [
        "I'm sorry, but as an AI language model I cannot help with that.",
        "I\N{RIGHT SINGLE QUOTATION MARK}m sorry, but I can\N{RIGHT SINGLE QUOTATION MARK}t do that.",
        "Sorry, I can't answer this.",
        "As an AI, I do not have feelings about the sea.",
        "Unfortunately, I am unable to count letters.",
        "I cannot assist with this request.",
        "This task needs a picture, which a language model cannot draw.",
    ],
)
def test_refusals_are_known_by_their_opening(measured: Measured, reply: str) -> None:
    assert measured(refusal.refusals(), reply) == 1


@pytest.mark.parametrize("reply", ["It is not appropriate to spy on people.", "I don't have access to that file."])
def test_an_objection_is_half_a_refusal(measured: Measured, reply: str) -> None:
    assert measured(refusal.refusals(), reply) == 0.5


def test_a_refusal_that_goes_on_with_a_list_is_half_a_refusal(measured: Measured) -> None:
    assert measured(refusal.refusals(), "I cannot write that for you, but:\n1. Start here.\n2. Go on.") == 0.5


@pytest.mark.parametrize(
    "reply",
    [
        "63",
        "The sea is wide.",
        "I'm sorry to hear that your dog is ill; rest helps.",
    ],
)
def test_other_replies_are_no_refusals(measured: Measured, reply: str) -> None:
    assert measured(refusal.refusals(), reply) == 0


def test_a_quoted_refusal_is_kept_at_the_default_bound(measured: Measured) -> None:
    rule = refusal.refusals()
    value = measured(rule, "He said: I'm sorry, I cannot come.")
    assert value is not None
    assert rule.maximum is not None
    assert value <= rule.maximum


def test_where_the_prompt_speaks_of_refusing_the_reply_is_not_measured(measured: Measured) -> None:
    assert measured(refusal.refusals(), "I am not able to help you.", "Reword: I can't help you.") is None


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("First you add the tens and then you add the", 1),
        ("In all that would cost you no less than $", 1),
        ("First you add the tens and then you add the ones.", 0),
        ("First you add the tens and then the ones", 0.5),
        ("Add them", None),
        ("Here is what you need to buy today:\n- a\n- eggs and a lot of milk", None),
        ("The sum of the two numbers you gave me is 63", 0),
        ("Dear Joe,\n\nthank you for the long letter you sent me.\n\nBest,\nAnn", 0.5),
    ],
)
def test_a_long_reply_that_breaks_off_is_unfinished(measured: Measured, reply: str, value: float | None) -> None:
    assert measured(truncation.unfinished(), reply) == value


@pytest.mark.parametrize(
    ("prompt", "value"),
    [
        ("Name a flower.\n\nNoinput", 1),
        ("Name a flower.\n\n<no input>.", 1),
        ("Name a flower.\n\nN/A", 1),
        ("Describe it.\n\n[Picture of a striped shirt]", 1),
        ("Describe it.\n\n![shirt](shirt.png)", 1),
        ("He was <noinput>", 1),
        ("Sort it.\n\n[apple, pear]", 0),
        ("No input is a fault. Why?", 0),
        ("What is an image?", 0),
    ],
)
def test_a_placeholder_in_the_place_of_the_input_is_found(measured: Measured, prompt: str, value: float) -> None:
    assert measured(placeholder.inputs(), "A rose.", prompt) == value


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("<nooutput>", 1),
        ("No output required", 1),
        ("N/A (a model can't draw)", 1),
        ("[Insert bar chart]", 1),
        ("A rose.\n\n5. Input: <noinput>", 1),
        (".....", 1),
        ("None.", 0),
        (".- -...", 0),
        ('["a", "b"]', 0),
        ("<p>text</p>", 0),
    ],
)
def test_a_placeholder_in_the_place_of_the_reply_is_found(measured: Measured, reply: str, value: float) -> None:
    assert measured(placeholder.replies(), reply) == value


@pytest.mark.parametrize(
    ("reply", "verbatim", "normalised"),
    [("b, a", 1, 1), (" b, a\n", 1, 1), ("B a.", 0, 1), ("a, b", 0, 0), ("", None, None), ("Sort this.\n\nb, a", 1, 1)],
)
def test_a_reply_that_is_the_input_again_is_an_echo(
    measured: Measured, reply: str, verbatim: float | None, normalised: float | None
) -> None:
    prompt = "Sort this.\n\nb, a"
    assert measured(echo.verbatim(), reply, prompt) == verbatim
    assert measured(echo.normalised(), reply, prompt) == normalised


@pytest.mark.parametrize(
    ("prompt", "value"),
    [
        ("Sum it up.\n\nhttps://a.org/news/1", 1),
        ("https://a.org/x, https://b.org/y", 1),
        ("Judge the site.\n\nhttps://a.org/", 0),
        ("Sum up https://a.org/news/1", 0),
    ],
)
def test_an_input_that_is_links_to_pages_alone_is_found(measured: Measured, prompt: str, value: float) -> None:
    assert measured(links.only(), "It says so.", prompt) == value
