"""Claims on the rules that count what a text is made of: words, signs, lines, code, keywords and languages."""

from pathlib import Path

import polars as pl
import pytest

from filters import keywords, language, length, links, profanity, prose, symbols
from schemas.errors import InputError
from schemas.rules import Rule
from tests.filters.measuring import Measured


@pytest.mark.parametrize(
    ("reply", "count"), [("", 0), ("  ", 0), ("one", 1), (" a  b\nc ", 3), ("c'est-à-dire 1+1", 2)]
)
def test_words_are_runs_of_non_blank_characters(measured: Measured, reply: str, count: int) -> None:
    assert measured(length.words(), reply) == count


def test_characters_do_not_count_outer_blanks(measured: Measured) -> None:
    assert measured(length.characters(), "  añb \n") == 3


@pytest.mark.parametrize(
    ("reply", "count"),
    [
        ("", 0),
        ("One", 1),
        ("One. Two! Three?", 3),
        ('He said "No." Then he left', 2),
        ("你好。世界。", 2),
        ("3.5 is 7/2.", 1),
    ],
)
def test_sentences_end_in_a_mark_before_a_blank_or_at_the_end(measured: Measured, reply: str, count: int) -> None:
    assert measured(length.sentences(), reply) == count


def test_tokens_are_those_of_the_named_tokenizer(measured: Measured) -> None:
    from tokenizers import Tokenizer

    reply = "Sort the letters of “jer”: ejr " * 400
    known = Tokenizer.from_file("models/tiny/tokenizer.json").encode(reply, add_special_tokens=False).ids
    assert measured(length.tokens(tokenizer="models/tiny"), reply) == len(known)


def test_a_folder_without_a_tokenizer_is_told(measured: Measured, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no tokenizer\.json"):
        measured(length.tokens(tokenizer=str(tmp_path)), "a")


@pytest.mark.parametrize(
    ("rule", "reply", "value"),
    [
        (symbols.symbols(), "# a b ... c …", 3 / 6),
        (symbols.alphabetic_words(), "año 12 3x --", 2 / 4),
        (symbols.digits(), "a1 ٣\n2", 3 / 4),
        (symbols.special_characters(), "a!é?", 2 / 4),
        (symbols.uppercase(letters=4), "ÀBc d 1", 2 / 4),
        (symbols.uppercase(letters=5), "ABcd", None),
        (symbols.digits(), " \n", None),
        (links.share(), "see https://a.org/x", 15 / 18),
        (prose.closed_lines(), "One.\n\ntwo\nThree?", 2 / 3),
        (prose.stop_words(), "The cat and THE dog, together", 3),
        (prose.stop_words(words=("的", "是")), "法国的首都是巴黎", 2),
        (prose.end_mark(), 'He said "stop!"', 1),
        (prose.end_mark(), "and so", 0),
        (prose.end_mark(), "**So it is.**", 1),
        (prose.end_mark(), "ما هذا؟", 1),
        (prose.end_mark(), "यह ठीक है।", 1),
        (links.links(), "www.a.org and https://b.org/x.", 2),
    ],
)
def test_what_a_text_is_made_of_is_counted(measured: Measured, rule: Rule, reply: str, value: float | None) -> None:
    assert measured(rule, reply) == pytest.approx(value)


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("def add(a, b):\n    return a + b\n\nprint(add(1, 2))", 1),
        ("Use this:\n```\nx y\n```", 3 / 4),
        ("SELECT name\nFROM people", 1),
        ("First, sort the list. Then pick the last item.", 0),
    ],
)
def test_the_share_of_code_is_a_share_of_lines(measured: Measured, reply: str, value: float) -> None:
    assert measured(prose.code(), reply) == pytest.approx(value)


@pytest.mark.parametrize(
    ("words", "text", "count"),
    [
        (("cat",), "Cat, concatenate, cats, cat", 2),
        (("C++", "covid-19"), "C++ in COVID-19", 2),
        (("ice cream",), "ice cream", 1),
        (("a.b",), "axb a.b", 1),
        (("猫",), "猫 が いる", 1),
        (("首都",), "法国的首都是哪里", 1),
        (("Python语言",), "我喜欢Python语言", 1),
        (("python",), "我喜欢Python语言, 不是Pythonic", 1),
        (("서울",), "서울은 한국의 수도", 1),
        (("ภาษา",), "เรียนภาษาไทย", 1),
        (("na",), "naïve", 0),
    ],
)
def test_keywords_are_whole_words_in_any_case(
    measured: Measured, words: tuple[str, ...], text: str, count: int
) -> None:
    assert measured(keywords.keywords(words=words, part="reply"), text) == count


def test_a_pattern_is_counted_and_a_broken_one_refused(measured: Measured) -> None:
    assert measured(keywords.keywords(pattern=r"\d{2}", part="reply"), "12 345") == 2
    with pytest.raises(ValueError, match="no regular expression"):
        keywords.keywords(pattern="(")
    with pytest.raises(ValueError, match="either words or a pattern"):
        keywords.keywords()


@pytest.mark.parametrize(
    ("text", "year"),
    [
        ("from 1984 to 2001-05-01", 2001),
        ("the 1990s", 1990),
        ("2008年北京", 2008),
        ("$1999 or 2024.5 or 20245", None),
        ("no year", None),
    ],
)
def test_the_latest_year_is_no_price_and_no_longer_number(measured: Measured, text: str, year: int | None) -> None:
    assert measured(keywords.latest_year(part="reply"), text) == year


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("What the fuck, bullshit", 2),
        ("An ass is an animal; Moby-Dick, Scunthorpe; Wong Fuk Wing", 0),
        ("Dumb-ass! fuk", 2),
    ],
)
def test_foul_words_are_counted_but_not_what_only_looks_like_them(measured: Measured, text: str, count: int) -> None:
    assert measured(profanity.words(part="reply"), text) == count


def test_the_language_is_measured_on_the_prose_alone(measured: Measured) -> None:
    rule = language.probability(language="en", part="prompt")
    english = measured(rule, None, 'Please reverse the letters of the word "Straßenbahn" for me.')
    german = measured(rule, None, "Bitte schreibe die Buchstaben dieses Wortes rückwärts auf.")
    assert english is not None
    assert german is not None
    assert english > 0.9
    assert german < 0.01
    assert measured(rule, None, "12 + 7 = ?") is None


def test_a_task_on_a_foreign_text_is_in_the_language_it_is_set_in(measured: Measured) -> None:
    prompt = "Translate this sentence into English, please.\n\nJe vais à la bibliothèque demain matin avec ma sœur."
    value = measured(language.probability(), None, prompt)
    assert value is not None
    assert value > 0.9


def test_the_probabilities_are_those_that_the_package_gives_one_by_one() -> None:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    one = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    one.set_languages(list(language.LANGUAGES))
    texts = ["", "a", "SHOUTED WORDS OF ENGLISH", "Добрый день, как дела?", "今日は長い一日だった。", "Cafe\u0301 noir"]
    found = language.probabilities(pl.Series(texts))
    for told, row in zip(texts, found, strict=True):
        expected = dict(one.rank(told))
        assert row == pytest.approx([expected[known] for known in language.LANGUAGES], abs=1e-5)


def test_an_unknown_language_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match="known are ar, bg"):
        language.probability(language="english")
