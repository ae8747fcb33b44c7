"""A rule on samples that ask a benchmark's question in other words."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import chain

import polars as pl

from filters.contamination import ORIGIN, ROWS
from filters.texts import Part, text
from filters.tokens import tokenise
from schemas.rules import MATCHES, MatchRule, Shards

LETTERS = 5  # of a word that count: "produce", "produces" and "production" are one
LEAST = 10  # different words and numbers that are shared: fewer are shared by chance ("an example of a ... would be")
FLOOR = 0.35  # alike from here on is told
TINY = 1e-9  # what sums in another order may differ by
SHARED = 0.2  # of the rarity of a question's rare words that a sample must have to be compared with it
RARE, FEW = 0.02, 20  # of the questions hold a rare word at most; of few questions, 20
UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
)
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
NUMBERS = {
    **{word: str(number) for number, word in enumerate([*UNITS.split(), "eighteen", "nineteen"])},
    **{word: str(number) for number, word in zip(range(20, 100, 10), TENS.split(), strict=True)},
    "once": "1",
    "twice": "2",
    "double": "2",
    "thrice": "3",
    "triple": "3",
    "dozen": "12",
}


@dataclass(frozen=True)
class Asked:
    """A question: its row, its different words and numbers, the rarity of all its words, its length in tokens."""

    other: str
    words: AbstractSet[str]
    numbers: AbstractSet[str]
    rarity: float
    length: int

    @classmethod
    def of(cls, other: str, told: Sequence[str], rarity: Mapping[str, float]) -> "Asked":
        """Weigh a question's features."""
        numbers = {feature for feature in told if feature[0].isdigit()}
        words = set(told) - numbers
        return cls(other, words, numbers, math.fsum(rarity[word] for word in words), len(told))


def fuzzy(*, part: Part = "conversation", threshold: float = 0.42) -> MatchRule:
    """Samples of whose `part` some stretch asks a benchmark's question in other words, alike `threshold` or more.

    Alike, 0 to 1: the geometric mean of two Jaccard similarities, one of the words (their first 5 letters, weighted by
    rarity among all samples and questions), one of the numbers, which a rephrasing keeps; of the words alone where the
    question has fewer than two numbers. The best stretch counts and is kept as `span`: at most twice as long as the
    question, with at least 10 different words and numbers of it, so that a question of fewer is never found.
    `threshold` is from 0.35 to 1, inclusive; where it comes from and what others find: `benchmarks/contamination.py`.
    Raises `ValueError` where it is out of that.
    """
    if not FLOOR <= threshold <= 1:
        raise ValueError(f"threshold is {threshold}; likeness is told from {FLOOR} to 1")

    def match(samples: Shards, benchmarks: Shards) -> pl.DataFrame:
        known = _questions(benchmarks)
        rarity = _rarity(chain([known["features"]], (told for _, _, told in _texts(samples, part))))
        asked = [Asked.of(other, told, rarity) for other, told in known.iter_rows()]
        rare = _rare(known["features"], rarity)
        found = [_matches(rows, asked, rare, rarity) for rows in _texts(samples, part)]
        return pl.concat([pl.DataFrame(schema=MATCHES), *found])

    return MatchRule(match, threshold, needs_benchmarks=True)


def features(texts: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Give each text's tokens, and for each token its number in digits or the first letters of its word."""
    joined = texts.str.replace_all(r"(?m)^\s*\d{1,2}[.)]\s", " ")  # an item's number in a list says nothing
    for _ in range(2):  # 1,000,000 takes two
        joined = joined.str.replace_all(r"(\d),(\d\d\d)", "$1$2")
    tokens = tokenise(joined)
    bare = pl.element().str.strip_chars_start("+*/=<>^-").replace(NUMBERS)
    return tokens, tokens.list.eval(pl.when(bare.str.contains(r"^\d")).then(bare).otherwise(bare.str.head(LETTERS)))


def alike(told: Sequence[str], asked: Asked, rarity: Mapping[str, float]) -> tuple[float, int, int]:
    """Give how alike the best stretch of a text's features is to the question, where it starts and where it ends."""
    best, held = (0.0, 0, 0), asked.words | asked.numbers
    for start in (at for at, feature in enumerate(told) if feature in held):
        seen: set[str] = set()
        words = shared_words = numbers = shared_numbers = 0.0
        for end, feature in enumerate(told[start : start + 2 * asked.length], start + 1):
            if feature not in seen and feature[0].isdigit():
                numbers += 1
                shared_numbers += feature in asked.numbers
            elif feature not in seen:
                words += rarity[feature]
                shared_words += rarity[feature] if feature in asked.words else 0
            seen.add(feature)
            if feature in held:
                likeness = shared_words / (asked.rarity + words - shared_words) if asked.words else 0.0
                if len(asked.numbers) > 1:  # one number agrees by chance
                    likeness *= shared_numbers / (len(asked.numbers) + numbers - shared_numbers)
                    likeness = math.sqrt(likeness)
                if likeness > best[0] and len(seen & held) >= LEAST:
                    best = (likeness, start, end)
    return best


def _questions(benchmarks: Shards) -> pl.DataFrame:
    rows = [shard.select(other=ORIGIN, text=text("question")).drop_nulls("text") for shard in benchmarks]
    asked = pl.concat([pl.DataFrame(schema={"other": pl.String, "text": pl.String}), *rows])
    told = asked.select("other", features=features(asked["text"])[1])
    long = told.filter(pl.col("features").list.n_unique() >= LEAST)
    return long.unique("features", keep="first", maintain_order=True)


def _texts(samples: Shards, part: Part) -> Iterator[tuple[pl.Series, pl.Series, pl.Series]]:
    """Give, a number of rows at a time, their ids, tokens and features."""
    for shard in samples:
        for rows in shard.iter_slices(ROWS):
            told = rows.select("id", text=text(part)).drop_nulls()
            yield told["id"], *features(told["text"])


def _rarity(texts: Iterable[pl.Series]) -> dict[str, float]:
    """Give of each feature the logarithm of 1 + all texts / those that hold it."""
    number, counts = 0, pl.DataFrame(schema={"feature": pl.String, "texts": pl.UInt32})
    for told in texts:
        number += len(told)
        held = told.list.unique().explode(empty_as_null=False).rename("feature").value_counts(name="texts")
        counts = pl.concat([counts, held]).group_by("feature").agg(pl.sum("texts"))
    return dict(counts.select("feature", (1 + number / pl.col("texts")).log()).iter_rows())


def _rare(asked: pl.Series, rarity: Mapping[str, float]) -> pl.DataFrame:
    """Give the words that few questions hold: `question`, `feature`, and its share of such words' rarity in it."""
    words = _held(asked, "question").filter(~pl.col("feature").str.contains(r"^\d"))
    few = words.filter(pl.len().over("feature") <= max(FEW, RARE * len(asked)))
    known = pl.DataFrame(list(rarity.items()), schema={"feature": pl.String, "rarity": pl.Float64}, orient="row")
    weighed = few.join(known, on="feature")
    return weighed.select("question", "feature", share=pl.col("rarity") / pl.sum("rarity").over("question"))


def _held(told: pl.Series, name: str) -> pl.DataFrame:
    """Give the different features of each text, with its place as `name`."""
    different = told.list.unique().rename("feature").to_frame().with_row_index(name)
    return different.explode("feature", empty_as_null=False)


def _matches(
    rows: tuple[pl.Series, pl.Series, pl.Series],
    asked: Sequence[Asked],
    rare: pl.DataFrame,
    rarity: Mapping[str, float],
) -> pl.DataFrame:
    """Give of each row the question that it asks most alike, where that is alike enough to be told."""
    ids, tokens, told = rows
    shares = _held(told, "row").join(rare, on="feature").group_by("row", "question").agg(pl.sum("share"))
    pairs = shares.filter(pl.col("share") >= SHARED).group_by("row").agg(pl.col("question").sort()).sort("row")
    matches = []
    for row, questions in pairs.iter_rows():
        words = told[row].to_list()
        different = set(words)
        best, other = (0.0, 0, 0), ""
        for question in (asked[at] for at in questions):
            if _at_most(different, question, rarity) > max(best[0], FLOOR - TINY):
                stretch = alike(words, question, rarity)
                best, other = (stretch, question.other) if stretch[0] > best[0] else (best, other)
        if best[0] >= FLOOR:
            matches.append((ids[row], other, best[0], " ".join(tokens[row].to_list()[best[1] : best[2]])))
    return pl.DataFrame(matches, schema=MATCHES, orient="row")


def _at_most(told: AbstractSet[str], asked: Asked, rarity: Mapping[str, float]) -> float:
    """Give what no stretch of the text can be more alike than: all that is shared, and nothing else said."""
    words, numbers = asked.words & told, asked.numbers & told
    if not words or len(words) + len(numbers) < LEAST:
        return 0.0
    likeness = math.fsum(rarity[word] for word in words) / asked.rarity
    return math.sqrt(likeness * len(numbers) / len(asked.numbers)) if len(asked.numbers) > 1 else likeness
