"""Integrity of a preference dataset: what would make its labels wrong, or right for the wrong reason.

Each check is a pure function from a dataset to findings. An error is a label that can't be right or a row that can't be
one; a warning is a shortcut by which the label could be told without reading the replies.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import polars as pl

from judges.agreement import wilson
from pipelines.pairs import Preferences

Rows = list[dict[str, Any]]
PREDICTS = 0.6  # of the labels, at the lower end of the interval: from there on something besides quality tells them
FEW = 30  # pairs: with fewer nothing is said of what predicts the label
GRADES = 3  # different scores from which on they are ratings, and not pass and fail
COMMON, AHEAD = 0.3, 3  # share of all ratings, and times the next common one: a default, not a rating
Z = 1.959964  # of a 95 % interval
PLACES = ("file", "row", "id")
SINGULAR = {"have": "has", "are": "is", "say": "says", "answer": "answers", "differ": "differs", "lack": "lacks"}


@dataclass(frozen=True)
class Finding:
    """What a check found, in words, and the rows it found it in: `file`, `row` (from 0) and `id`."""

    check: str
    severity: Literal["error", "warning"]
    told: str
    rows: Rows


def check_all(data: Preferences) -> list[Finding]:
    """Apply every check; errors come first."""
    found = [finding for check in CHECKS for finding in check(data)]
    return sorted(found, key=lambda one: one.severity)


def readable(data: Preferences) -> Iterator[Finding]:
    """Rows that can't be read as what the others are."""
    rows = data.unread.filter(~pl.col("prompts_differ"))
    yield from _found("readable", "error", "cannot be read", rows, "why")


def same_prompt(data: Preferences) -> Iterator[Finding]:
    """Pairs whose two sides answer different prompts."""
    yield from _found("same_prompt", "error", "answer different prompts", data.unread.filter("prompts_differ"), "why")


def empty(data: Preferences) -> Iterator[Finding]:
    """Replies without a word."""
    for side in ("chosen", "rejected"):
        rows = data.pairs.filter(pl.col(side).str.strip_chars() == "")
        yield from _found("empty", "error", f"have an empty {side}", rows)
    rows = data.labelled.filter(pl.col("text").str.strip_chars() == "")
    yield from _found("empty", "error", "have an empty reply", rows)


def distinct(data: Preferences) -> Iterator[Finding]:
    """Pairs whose two replies are the same, or the same but for letter case and blanks."""
    same = pl.col("chosen") == pl.col("rejected")
    alike = _plain("chosen") == _plain("rejected")
    yield from _found("distinct", "error", "have the same text on both sides", data.pairs.filter(same))
    told = "differ in letter case and blanks alone"
    yield from _found("distinct", "warning", told, data.pairs.filter(alike & ~same))


def swapped(data: Preferences) -> Iterator[Finding]:
    """Pairs that another row holds the other way round, and replies that are labelled both ways."""
    pairs = data.pairs.filter(pl.col("chosen") != pl.col("rejected"))
    turned = pairs.select("prompt", chosen="rejected", rejected="chosen").unique()
    both = pairs.join(turned, on=["prompt", "chosen", "rejected"], how="semi", maintain_order="left")
    yield from _found("swapped", "error", "are the other way round in another row", both)
    torn = data.labelled.filter(pl.col("label").n_unique().over("prompt", "text") > 1)
    yield from _found("swapped", "error", "are labelled true in one row and false in another", torn)


def ties(data: Preferences) -> Iterator[Finding]:
    """Pairs whose scores are equal, contradict the label, or are missing though the dataset has scores."""
    scored, gap = data.pairs.filter("scored"), pl.col("chosen_score") - pl.col("rejected_score")
    yield from _found("ties", "error", "have equal scores: a tie is no preference", scored.filter(gap == 0))
    yield from _found("ties", "error", "have a rejected with the higher score", scored.filter(gap < 0))
    yield from _found("ties", "warning", "lack a score, and so a margin", scored.filter(gap.is_null()))


def stand_ins(data: Preferences) -> Iterator[Finding]:
    """Scores that stand for "could not be parsed": a value below the scale of all others, or one far too common.

    Below the scale: of at least 4 different values the only negative one, unless the scale reaches as far up (error),
    or a 0 that is farther from the next than that from its own next (warning). Too common: 30 % of all scores of 5 or
    more different values, and 3 times as often as the next.
    """
    sides = [data.pairs.select(*PLACES, score=f"{side}_score") for side in ("chosen", "rejected")]
    scores = pl.concat(sides).drop_nulls("score").filter(pl.col("score").is_finite())
    counts = scores["score"].value_counts(sort=True).rows()
    values = sorted(value for value, _count in counts)
    if len(values) > GRADES and (severity := _below(values)):
        told = f"have the score {values[0]:g}, below the scale of all others ({values[1]:g} to {values[-1]:g})"
        rows = scores.filter(pl.col("score") == values[0]).unique(PLACES, maintain_order=True)
        yield from _found("stand_ins", severity, told, rows)
    if len(values) > GRADES + 1:
        (common, count), (_value, next_one) = counts[0], counts[1]
        if count >= COMMON * scores.height and count >= AHEAD * next_one and scores.height >= FEW:
            told = f"have the score {common:g}: {count / scores.height:.0%} of all, as a default would be"
            rows = scores.filter(pl.col("score") == common).unique(PLACES, maintain_order=True)
            yield from _found("stand_ins", "warning", told, rows)


def _below(values: list[float]) -> Literal["error", "warning"] | None:
    """Say how grave it is that the lowest of sorted scores is no rating; null where it may be one."""
    low, second, third, high = values[0], values[1], values[2], values[-1]
    if low < 0 <= second and high > -low:
        return "error"
    return "warning" if low == 0 and second - low > third - second else None


def length(data: Preferences) -> Iterator[Finding]:
    """Whether length alone tells the label, of pairs or of labelled replies."""
    told = figures(data)
    for name, what in (("longer", "a pair's longer reply"), ("longer_labelled", "a longer reply")):
        one = told.get(name, {"share": 0.5, "low": 0.0, "high": 1.0, "of": 0})
        turned = {"share": 1 - one["share"], "low": 1 - one["high"], "high": 1 - one["low"], "of": one["of"]}
        for way, by in ((one, "preferred"), (turned, "not preferred")):
            if way["low"] > PREDICTS:
                said = f"{what} is {by} in {_told(way)}: length alone tells the label"
                yield Finding("length", "warning", said, [])


def generators(data: Preferences) -> Iterator[Finding]:
    """Whether who wrote the replies tells the label."""
    told = figures(data).get("generators")
    if told and told["low"] > PREDICTS:
        said = f"who wrote the replies tells the label in {_told(told)} by two generators"
        yield Finding("generators", "warning", said, [])


MAKERS = r"(?:chatgpt|gpt-?[345]\S*|claude|gemini|bard|llama|qwen|mistral|deepseek)"
SELF = rf"(?i)\b(?:i am|i'm|as|my name is|called) {MAKERS}\b|\b(?:developed|created|trained|made|built) by "
SELF += r"(?:openai|anthropic|google|meta ai|mistral|alibaba|deepseek)\b"


def names(data: Preferences) -> Iterator[Finding]:
    """Preferred replies that name the judge, or a model as their author: the judge may know its own kind."""
    good = _preferred(data)
    parts = {part.strip() for judge in good["judge"].drop_nulls().unique() for part in judge.split(",")}
    judges = sorted(re.escape(part) for part in parts if part and ":" not in part)
    if judges:
        rows = good.filter(pl.col("text").str.contains(rf"(?i)(?:^|\W)(?:{'|'.join(judges)})(?:\W|$)"))
        yield from _found("names", "warning", "have a preferred reply that names the judge", rows)
    yield from _found(
        "names",
        "warning",
        "have a preferred reply that says which model wrote it",
        good.filter(pl.col("text").str.contains(SELF)),
    )


def refusals(data: Preferences) -> Iterator[Finding]:
    """Preferred replies that refuse, by `filters.refusal`'s English wording."""
    from filters.refusal import refusals as rule

    good = _preferred(data)
    decoded = good["prompt"].str.json_decode(pl.List(pl.List(pl.String)))
    turn = pl.element().list.get(0).alias("role"), pl.element().list.get(1).alias("content")
    chats = good.with_columns(prompt=decoded).with_columns(
        prompt=pl.col("prompt").list.eval(pl.struct(*turn)), reply="text"
    )
    measure = rule().measure
    assert isinstance(measure, pl.Expr)  # noqa: S101 - it is an expression
    yield from _found("refusals", "warning", "have a preferred reply that refuses", chats.filter(measure >= 1))


def duplicates(data: Preferences) -> Iterator[Finding]:
    """Rows that say what an earlier one says, and ids that stand for several rows."""
    for table, columns in (
        (data.pairs, ["prompt", "chosen", "rejected"]),
        (data.labelled, ["prompt", "text", "label"]),
    ):
        again = table.filter(~pl.struct(columns).is_first_distinct())
        yield from _found("duplicates", "warning", "say what an earlier row says", again)
        rows = table.drop_nulls("id").unique(["file", "row"], keep="first", maintain_order=True)
        named = rows.filter(~pl.col("id").is_first_distinct())
        yield from _found("duplicates", "error", "have the id of an earlier row", named)


def leaks(data: Preferences) -> Iterator[Finding]:
    """Prompts that are in more than one split, but for letter case and blanks."""
    columns = [*PLACES, "split", "prompt"]
    rows = pl.concat([data.pairs.select(columns), data.labelled.select(columns)])
    shared = rows.with_columns(key=_plain("prompt")).filter(pl.col("split").n_unique().over("key") > 1)
    splits = ", ".join(sorted(name or "no split" for name in shared["split"].unique()))
    yield from _found("leaks", "error", f"have a prompt that is in several splits ({splits})", shared)


CHECKS: tuple[Callable[[Preferences], Iterator[Finding]], ...] = (
    readable,
    same_prompt,
    empty,
    distinct,
    swapped,
    ties,
    stand_ins,
    length,
    generators,
    names,
    refusals,
    duplicates,
    leaks,
)


def figures(data: Preferences) -> dict[str, Any]:
    """Give how well length and generator predict the label: a share, its 95 % interval, and of how many.

    `longer` counts pairs of different lengths, in characters; `longer_labelled` is the chance that of a reply labelled
    true and one labelled false the first is longer; `generators` counts pairs by two generators, each told by which of
    the two more of the other pairs prefer. Left out is what fewer than 30 tell of.
    """
    found: dict[str, Any] = {}
    sizes = data.pairs.select(pl.col(side).str.len_chars().cast(pl.Int64) for side in ("chosen", "rejected"))
    differ = sizes.filter(pl.col("chosen") != pl.col("rejected"))
    if differ.height >= FEW:
        found["longer"] = _share(float((differ["chosen"] > differ["rejected"]).sum()), differ.height)
    labelled = data.labelled.select("label", size=pl.col("text").str.len_chars())
    good = labelled.filter("label").height
    if min(good, labelled.height - good) >= FEW:
        found["longer_labelled"] = _auc(labelled, good)
    right, told = _by_generator(data.pairs)
    if told >= FEW:
        found["generators"] = _share(right, told)
    return found


def _by_generator(pairs: pl.DataFrame) -> tuple[float, int]:
    """Count the pairs whose label the other pairs of the same two generators tell; a draw tells half."""
    a, b = pl.col("chosen_generator"), pl.col("rejected_generator")
    two = pairs.filter(a.is_not_null() & b.is_not_null() & (a != b))
    kinds = two.select(low=pl.min_horizontal(a, b), high=pl.max_horizontal(a, b), won=a < b)
    right = 0.0
    for won, of in kinds.group_by("low", "high").agg(pl.col("won").sum(), pl.len()).select("won", "len").iter_rows():
        for mine, other in ((won, of - won), (of - won, won)):
            right += mine * (1.0 if mine - 1 > other else 0.5 if mine - 1 == other else 0.0)
    return right, two.height


def _share(count: float, of: int) -> dict[str, Any]:
    """Give a share with its 95 % interval (Wilson 1927)."""
    low, high = wilson(count, of) or (0.0, 1.0)
    return {"share": count / of, "low": low, "high": high, "of": of}


def _auc(labelled: pl.DataFrame, good: int) -> dict[str, Any]:
    """Give the chance that a good reply is the longer one, with its 95 % interval (Hanley and McNeil 1982)."""
    ranks = labelled.with_columns(rank=pl.col("size").rank())
    bad = labelled.height - good
    share = (float(ranks.filter("label")["rank"].sum()) - good * (good + 1) / 2) / (good * bad)
    q1, q2 = share / (2 - share), 2 * share**2 / (1 + share)
    spread = share * (1 - share) + (good - 1) * (q1 - share**2) + (bad - 1) * (q2 - share**2)
    half = Z * math.sqrt(max(spread, 0.0) / (good * bad))
    return {"share": share, "low": max(share - half, 0.0), "high": min(share + half, 1.0), "of": labelled.height}


def _told(one: dict[str, Any]) -> str:
    return f"{one['share']:.1%} ({one['low']:.1%} to {one['high']:.1%}) of {one['of']:,}"


def _preferred(data: Preferences) -> pl.DataFrame:
    columns = [*PLACES, "prompt", "judge"]
    chosen = data.pairs.select(*columns, text="chosen")
    return pl.concat([chosen, data.labelled.filter("label").select(*columns, "text")])


def _plain(column: str) -> pl.Expr:
    return pl.col(column).str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()


def _found(
    check: str, severity: Literal["error", "warning"], told: str, rows: pl.DataFrame, why: str | None = None
) -> Iterator[Finding]:
    """Give one finding on the rows, none without any; the first row's `why` is told too."""
    if rows.height:
        first = f"; the first: {rows[why][0]}" if why else ""
        verb, _, rest = told.partition(" ")
        many = f"1 row {SINGULAR.get(verb, verb)}" if rows.height == 1 else f"{rows.height:,} rows {verb}"
        yield Finding(check, severity, f"{many} {rest}{first}", rows.select(PLACES).to_dicts())


def as_json(findings: list[Finding]) -> list[dict[str, Any]]:
    """Give the findings as plain objects."""
    return [asdict(finding) for finding in findings]
