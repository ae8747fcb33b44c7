"""The tiny model's tasks: nine families of arithmetic, letter and form puzzles, each with right and wrong replies.

Every function takes the `random.Random` it draws from. Payloads (number pairs, words, and pairs of topic and phrasing
for the families of form) are divided by their hash into three splits that share none: 1/10 "held_out", 2/10 "demo"
(the bundled raw data alone), 7/10 "training" (the tiny model).
"""

import hashlib
import json
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any, Literal

Split = Literal["held_out", "demo", "training"]
SPLITS: tuple[Split, ...] = ("held_out", "demo", "demo", *("training",) * 7)

PHRASINGS: dict[str, Any] = tomllib.loads(Path(__file__).with_name("phrasings.toml").read_text(encoding="utf-8"))
FORM: dict[str, Any] = PHRASINGS.pop("form")
NOUNS = Path(__file__).with_name("nouns.txt").read_text(encoding="utf-8").split()
MARKS = ("!", "?", ".", "...")
LEAD_IN = "The answer is {}."

NUMBER = json.dumps({"use": "judges.math:final_answer"})
LETTERS = json.dumps({"use": "judges.answers:exact"})
CASE = json.dumps({"use": "judges.answers:exact", "ignore_case": False})


@dataclass(frozen=True)
class Task:
    """A puzzle. `right` and `wrong` draw a reply; `reference` is the gold answer, null where only form is asked.

    `check` is JSON: the verifier under "use" and its arguments.
    """

    family: str
    prompt: str
    reference: str | None
    check: str
    right: Callable[[Random], str]
    wrong: Callable[[Random], str]


def draw(rng: Random, family: str, split: Split) -> Task:
    """Draw a task of `family` whose payload belongs to `split`."""
    return FAMILIES[family](rng, split)


def split_of(*payload: object) -> Split:
    """Tell which split a payload belongs to, from its SHA-256 alone."""
    digest = hashlib.sha256(json.dumps(payload).encode()).digest()
    return SPLITS[int.from_bytes(digest[:8], "big") % 10]


def addition(rng: Random, split: Split) -> Task:
    """Ask for the sum of two numbers from 1 to 99."""
    a, b = numbers(rng, split, 1, 99)
    return answered(rng, "addition", str(a + b), NUMBER, near_number, a=a, b=b)


def subtraction(rng: Random, split: Split) -> Task:
    """Ask for the difference of two numbers from 1 to 99, the larger first."""
    a, b = numbers(rng, split, 1, 99)
    while a < b:
        a, b = numbers(rng, split, 1, 99)
    return answered(rng, "subtraction", str(a - b), NUMBER, near_number, a=a, b=b)


def product(rng: Random, split: Split) -> Task:
    """Ask for the product of two numbers from 2 to 12."""
    a, b = numbers(rng, split, 2, 12)
    return answered(rng, "product", str(a * b), NUMBER, near_number, a=a, b=b)


def reverse(rng: Random, split: Split) -> Task:
    """Ask for the letters of a word of 3 to 6 letters in reverse."""
    chosen = word(rng, split, 3, 6)
    return answered(rng, "reverse", chosen[::-1], LETTERS, near_letters, word=chosen)


def sort(rng: Random, split: Split) -> Task:
    """Ask for the letters of a word of 3 to 5 letters in alphabetical order."""
    chosen = word(rng, split, 3, 5)
    return answered(rng, "sort", "".join(sorted(chosen)), LETTERS, near_letters, word=chosen)


def count(rng: Random, split: Split) -> Task:
    """Ask how often a letter occurs in a word of 3 to 7 letters; one time in six it does not occur."""
    chosen = word(rng, split, 3, 7)
    letter = rng.choice("abcdefghilmnoprstu" if rng.random() < 1 / 6 else chosen)
    return answered(rng, "count", str(chosen.count(letter)), NUMBER, near_count, word=chosen, letter=letter)


def uppercase(rng: Random, split: Split) -> Task:
    """Ask for one or two words of 3 to 6 letters in upper case."""
    chosen = " ".join(word(rng, split, 3, 6) for _ in range(rng.choice((1, 1, 2))))
    return answered(rng, "uppercase", chosen.upper(), CASE, near_capitals, words=chosen)


def number_of_words(rng: Random, split: Split) -> Task:
    """Ask for a line of exactly 2 to 6 words on a topic."""
    n, topic, prompt = form(rng, split, "number_of_words", "count", range(2, 7))

    def reply(rng: Random, sizes: tuple[int, ...]) -> str:
        return line(rng, topic, rng.choice(sizes)) + rng.choice(("", "."))

    check = json.dumps({"use": "judges.instructions:number_of_words", "count": n})
    right, wrong = partial(reply, sizes=(n,)), partial(reply, sizes=(n - 1, n + 1))
    return Task("number_of_words", prompt, None, check, right, wrong)


def ends_with(rng: Random, split: Split) -> Task:
    """Ask for a line on a topic that ends with a given mark."""
    mark, topic, prompt = form(rng, split, "ends_with", "mark", MARKS)
    others = [other for other in ("", *MARKS) if not other.endswith(mark)]

    def reply(rng: Random, marks: list[str]) -> str:
        return line(rng, topic, rng.randint(3, 6)) + rng.choice(marks)

    check = json.dumps({"use": "judges.instructions:ends_with", "mark": mark})
    return Task("ends_with", prompt, None, check, partial(reply, marks=[mark]), partial(reply, marks=others))


FAMILIES: dict[str, Callable[[Random, Split], Task]] = {
    "addition": addition,
    "subtraction": subtraction,
    "product": product,
    "reverse": reverse,
    "sort": sort,
    "count": count,
    "uppercase": uppercase,
    "number_of_words": number_of_words,
    "ends_with": ends_with,
}


def answered(
    rng: Random, family: str, answer: str, check: str, near: Callable[[Random, str], str], **payload: object
) -> Task:
    """Give the task that has one answer, phrased at random; `near` draws a plausible wrong one."""

    def wrong(rng: Random) -> str:
        return styled(rng, near(rng, answer))

    prompt = rng.choice(PHRASINGS[family]).format(**payload)
    return Task(family, prompt, answer, check, partial(styled, answer=answer), wrong)


def styled(rng: Random, answer: str) -> str:
    """Give the bare answer, one time in four in a sentence."""
    return LEAD_IN.format(answer) if rng.random() < 1 / 4 else answer


def numbers(rng: Random, split: Split, low: int, high: int) -> tuple[int, int]:
    """Draw an ordered pair of numbers from `low` to `high`, both inclusive."""
    while True:
        pair = rng.randint(low, high), rng.randint(low, high)
        if split_of(*pair) == split:
            return pair


def word(rng: Random, split: Split, shortest: int, longest: int) -> str:
    """Draw a noun or, one time in two, a made-up word, of `shortest` to `longest` letters, both inclusive."""
    while True:
        drawn = invented(rng, rng.randint(shortest, longest)) if rng.random() < 1 / 2 else rng.choice(NOUNS)
        if shortest <= len(drawn) <= longest and drawn not in instruction_words() and split_of(drawn) == split:
            return drawn


def invented(rng: Random, letters: int) -> str:
    """Make up a word of consonants and vowels in turn."""
    kinds = rng.choice((("bcdfghjklmnprstvwz", "aeiou"), ("aeiou", "bcdfghklmnprstvwxz")))
    return "".join(rng.choice(kinds[place % 2]) for place in range(letters))


@cache
def instruction_words() -> frozenset[str]:
    """Give the words of phrasings and lines: no payload is one of them, so payloads are spelt byte by byte."""
    text = json.dumps([PHRASINGS, FORM])
    return frozenset("".join(c if c.isalpha() else " " for c in text).lower().split())


def form(rng: Random, split: Split, family: str, name: str, values: Sequence[Any]) -> tuple[Any, str, str]:
    """Draw the value asked for, a topic and the prompt that asks for a line on it."""
    while True:
        value, topic, phrasing = rng.choice(values), rng.choice(FORM["topics"]), rng.choice(PHRASINGS[family])
        if split_of(topic, phrasing) == split:
            return value, topic, phrasing.format(topic=topic, **{name: value})


def line(rng: Random, topic: str, words: int) -> str:
    """Write a line of 1 to 7 words on `topic`, without an end mark."""
    adjectives, verbs = rng.sample(FORM["adjectives"], 2), rng.sample(FORM["verbs"], 2)
    return str(
        rng.choice(FORM["lines"][str(words)]).format(
            topic=topic,
            Topic=topic.capitalize(),
            adjective=adjectives[0],
            Adjective=adjectives[0].capitalize(),
            adjective2=adjectives[1],
            verb=verbs[0],
            verb2=verbs[1],
            adverb=rng.choice(FORM["adverbs"]),
        )
    )


def near_number(rng: Random, answer: str) -> str:
    """Draw a number close to `answer`: off by 1, 2 or 10, or with two digits swapped; never negative."""
    value = int(answer)
    near = rng.choice((*(value + step for step in (-10, -2, -1, 1, 2, 10)), int(answer[::-1])))
    return str(near) if near >= 0 and near != value else near_number(rng, answer)


def near_count(rng: Random, answer: str) -> str:
    """Draw a count that is off by one, or by two upwards; never negative."""
    near = int(answer) + rng.choice((-1, -1, 1, 1, 2))
    return str(near) if near >= 0 else near_count(rng, answer)


def near_letters(rng: Random, answer: str) -> str:
    """Spoil `answer`: two neighbours swapped, a letter missing, doubled or replaced."""
    place = rng.randrange(len(answer) - 1)
    before, here, after, rest = answer[:place], answer[place], answer[place + 1], answer[place + 2 :]
    other = rng.choice("abcdefghijklmnoprstuvwxyz")
    near = before + rng.choice((after + here, after, here + here + after, other + after, here + other)) + rest
    return near if near != answer else near_letters(rng, answer)


def near_capitals(rng: Random, answer: str) -> str:
    """Spoil `answer`: lower case, first capitals only, one letter small, or the letters spoilt."""
    place = rng.randrange(len(answer))
    one_small = answer[:place] + answer[place].lower() + answer[place + 1 :]
    near = rng.choice((answer.lower(), answer.title(), one_small, near_letters(rng, answer).upper()))
    return near if near != answer else near_capitals(rng, answer)


def casually(rng: Random, prompt: str) -> str:
    """Type `prompt` as people in a hurry do: a small first letter, no end mark, or both."""
    if rng.random() < 2 / 3:
        prompt = prompt[0].lower() + prompt[1:]
    return prompt.removesuffix("?").removesuffix(".") if rng.random() < 2 / 3 else prompt
