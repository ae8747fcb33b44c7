"""A rule on samples that give away a benchmark's test."""

import re
from functools import partial

import polars as pl

from filters.runs import Index, longest
from filters.texts import Part, text
from filters.tokens import tokenise
from schemas.rules import MATCHES, UNCHECKED, MatchRule, Shards

ANYWHERE = 8  # tokens from which on a question is its own in running text: the least N of GPT-3's check
TEMPLATE = 20  # different questions that share a run: it is the wording they are all asked in
ROWS = 20_000  # searched at a time
SENTENCE = re.compile(r"""[.!?:;]+[*_'’]*\s|["“”«»()\n。！？：；]""")  # noqa: RUF001 - where one ends, in any script
ORIGIN = pl.format("{}:{}", pl.col("origin").struct.field("file"), pl.col("origin").struct.field("row"))


def ngrams(
    *, n: int = 13, shortest: int = 4, part: Part = "conversation", answers: bool = False, threshold: float = 0.0
) -> MatchRule:
    """Samples whose `part` shares a run of `n` tokens (words, numbers with their sign) with a benchmark's question.

    Measured: the share of the question's tokens that the longest such run covers, 0 to 1. Dropped: `threshold` and
    more, inclusive; at 0 every shared run counts. A question of fewer than `n` tokens counts where all of it occurs,
    one of fewer than 8 where it is a sentence by itself, one of fewer than `shortest` never: `too_short` tells which.
    With `answers` the benchmark's references and replies of `n` tokens and more are looked for too. What its system
    messages say is no question, and neither is a run that more than 20 questions share. Letter case, punctuation and
    accents don't count. The run is kept as `span`, with the benchmark's file and row. 13, and 8 for short questions:
    GPT-3's check (arXiv 2005.14165, appendix C). Raises `ValueError` where `n` or `shortest` is below 1.
    """
    if min(n, shortest) < 1:
        raise ValueError(f"n is {n} and shortest is {shortest}; a run has at least one token")

    def match(samples: Shards, benchmarks: Shards) -> pl.DataFrame:
        known = _known(benchmarks, n, answers=answers)
        index = Index(known["tokens"], n=n, shortest=shortest, template=TEMPLATE)
        found = [pl.DataFrame(schema=MATCHES)]
        for shard in samples:
            texts = (rows.select("id", text=text(part)).drop_nulls() for rows in shard.iter_slices(ROWS))
            found += [_matches(rows, known, index, n) for rows in texts]
        return pl.concat(found)

    return MatchRule(match, threshold, unchecked=partial(too_short, n=n, shortest=shortest), needs_benchmarks=True)


def too_short(benchmarks: Shards, *, n: int = 13, shortest: int = 4) -> pl.DataFrame:
    """Give `UNCHECKED`: the benchmarks' questions of fewer than `n` tokens.

    `checked` is what `ngrams` looks for: "whole", all of the question; "sentence", the same by itself; "no".
    """
    tokens = pl.col("tokens").list.len()
    how = pl.when(tokens < shortest).then(pl.lit("no")).when(tokens < ANYWHERE).then(pl.lit("sentence"))
    short = _texts(benchmarks, text("question")).filter(tokens < n)
    found = short.select("other", tokens.alias("tokens"), "text", checked=how.otherwise(pl.lit("whole")))
    return found.cast(UNCHECKED)


def _texts(benchmarks: Shards, part: pl.Expr) -> pl.DataFrame:
    rows = [shard.select(other=ORIGIN, text=part).drop_nulls("text") for shard in benchmarks]
    texts = pl.concat([pl.DataFrame(schema={"other": pl.String, "text": pl.String}), *rows])
    return texts.with_columns(tokens=tokenise(texts["text"]))


def _known(benchmarks: Shards, n: int, *, answers: bool) -> pl.DataFrame:
    """Give the texts to look for, each once, by the first row that holds it: `other`, `tokens` and their number."""
    known = [_texts(benchmarks, text("question"))]
    if answers:
        told = [_texts(benchmarks, pl.col(column)) for column in ("reference", "reply")]
        known += [texts.filter(pl.col("tokens").list.len() >= n) for texts in told]
    texts = pl.concat(known).unique("tokens", keep="first", maintain_order=True)
    return texts.select("other", "tokens", size=pl.col("tokens").list.len().cast(pl.Int64))


def _matches(rows: pl.DataFrame, known: pl.DataFrame, index: Index, n: int) -> pl.DataFrame:
    """Give each row that holds a known run with the run that covers most of its question."""
    tokens = tokenise(rows["text"])
    runs = longest(index.places(tokens))
    shares = runs.with_columns(share=runs["length"] / known["size"].gather(runs["known"]))
    ordered = shares.sort("row", -pl.col("share"), "known", "start", "known_start")
    found: dict[int, tuple[str, str, float, str]] = {}
    for row, place, length, start, known_start, share in ordered.iter_rows():
        if row not in found:
            words = tokens[row].to_list()[start : start + length]
            same = words == known["tokens"][place].to_list()[known_start : known_start + length]
            if same and (length >= min(n, ANYWHERE) or _stands_alone(start, length, rows["text"][row])):
                found[row] = (rows["id"][row], known["other"][place], share, " ".join(words))
    return pl.DataFrame(list(found.values()), schema=MATCHES, orient="row")


def _stands_alone(start: int, length: int, within: str) -> bool:
    """Tell whether the run begins and ends with a sentence, a line, a quotation or a bracket of the text."""
    bounds = tokenise(pl.Series(SENTENCE.split(within))).list.len().cum_sum().to_list()
    return start in (0, *bounds) and start + length in bounds
