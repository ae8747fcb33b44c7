"""Rules of selection beside `pipelines.select:best_and_worst`: which candidates of a prompt become a pair.

All of them: `on_policy` leaves out the replies that came with the data. Each prompt's best candidates, up to `replies`
of them with a score of at least `minimum`, are for SFT. A pair's two texts differ, its chosen has the higher score by
at least `margin` (above 0), and a text against another counts once. Draws are by the hash of `seed` and the ids: the
same in every run and for any order of the candidates. An unscored candidate is in no pair, but for `delta`.
"""

import math

import polars as pl

from pipelines.select import Ranked, Selection, best_and_worst, best_of, eligible, first_of, hashed, needs_margin

SIDES = ("id", "text", "score", "wins", "model", "spread")


def best_and_random(
    candidates: pl.DataFrame,
    *,
    minimum: float = 1.0,
    margin: float = 1.0,
    replies: int = 1,
    pairs: int = 1,
    on_policy: bool = False,
    seed: int = 0,
) -> Selection:
    """Pair each prompt's best candidate with up to `pairs` of the worse ones, drawn by chance.

    Source: Zephyr's pairs of UltraFeedback (arXiv 2310.16944): a drawn one is harder than the worst.
    """
    scored = eligible(candidates, on_policy=on_policy)
    best = best_of(scored, minimum, replies)
    chosen = best.unique("sample_id", keep="first", maintain_order=True).select(chosen="id")
    found = _pairs(scored, margin).join(chosen, on="chosen", how="semi", maintain_order="left")
    return _selection(best, _capped(found, pairs, seed))


def within_margin(
    candidates: pl.DataFrame,
    *,
    minimum: float = 1.0,
    margin: float = 1.0,
    maximum: float = math.inf,
    replies: int = 1,
    pairs: int = 1,
    on_policy: bool = False,
    seed: int = 0,
) -> Selection:
    """Draw up to `pairs` pairs a prompt whose scores differ by `margin` to `maximum`, both inclusive.

    The chosen has a score of at least `minimum`. A bound above leaves out the pairs that are too easy to teach much, or
    whose gap is the judge's error.
    """
    if maximum < margin:
        raise ValueError(f"maximum is {maximum}, below the margin of {margin}: no pair lies between")
    scored = eligible(candidates, on_policy=on_policy)
    found = _pairs(scored, margin).filter(_gap() <= maximum, pl.col("score") >= minimum)
    return _selection(best_of(scored, minimum, replies), _capped(found, pairs, seed))


def length_controlled(
    candidates: pl.DataFrame,
    *,
    rho: float = 0.1,
    minimum: float = 1.0,
    margin: float = 1.0,
    replies: int = 1,
    on_policy: bool = False,
) -> Selection:
    """Pair the shortest of each prompt's good candidates with the longest of its bad ones, in characters.

    Good is a score of at least (1 - `rho`) best + `rho` worst, bad one of at most (1 - `rho`) worst + `rho` best, both
    inclusive; `rho` is 0 to below 0.5, and 0 is best and worst, with the shorter of equals chosen and the longer
    rejected. The chosen has a score of at least `minimum`.
    Source: Meta-Rewarding (arXiv 2407.19594).
    """
    if not 0 <= rho < 0.5:  # noqa: PLR2004 - from there on a candidate could be good and bad
        raise ValueError(f"rho is {rho}; from 0 to below 0.5 the good and the bad are apart")
    scored = eligible(candidates, on_policy=on_policy)
    top, low = (bound.over("sample_id") for bound in (pl.col("score").max(), pl.col("score").min()))
    good = (pl.col("score") >= (1 - rho) * top + rho * low) & (pl.col("score") >= minimum)
    bad = pl.col("score") <= (1 - rho) * low + rho * top
    size = pl.col("text").str.len_chars()
    shortest = scored.filter(good).sort("sample_id", size, -pl.col("score"), "id").unique("sample_id", keep="first")
    longest = (
        scored.filter(bad).sort("sample_id", -size.cast(pl.Int64), "score", "id").unique("sample_id", keep="first")
    )
    ids = shortest.join(longest, on="sample_id", suffix="_rejected").select(chosen="id", rejected="id_rejected")
    found = _pairs(scored, margin).join(ids, on=["chosen", "rejected"], how="semi")
    return _selection(best_of(scored, minimum, replies), found.sort("sample_id"))


def delta(
    candidates: pl.DataFrame, *, strong: str, weak: str, replies: int = 1, pairs: int = 1, seed: int = 0
) -> Selection:
    """Pair replies of the model `strong` (chosen) with replies of the model `weak`, up to `pairs` a prompt.

    No score is needed: that one model is better than the other is the label. Where both replies have a score, the
    strong one's must be higher: a tie is no pair, nor is one that a verdict contradicts. For SFT are the strong model's
    replies, up to `replies` a prompt, drawn by chance. Models are named as in the candidates; "source" are the replies
    that came with the data.
    Source: the delta learning hypothesis (arXiv 2507.06187). Raises `ValueError` where both are the same model.
    """
    if strong == weak:
        raise ValueError(f"strong and weak are both {strong!r}: there is no delta between a model and itself")
    every = _sided(candidates).filter(pl.col("model") == strong, pl.col("model_rejected") == weak)
    told = every.filter(_gap().is_null() | (_gap() > 0))
    own = candidates.filter(pl.col("model") == strong)
    drawn = own.with_columns(draw=hashed("id", before=[seed])).sort("sample_id", "draw")
    good = drawn.group_by("sample_id", maintain_order=True).head(replies)
    return _selection(good, _capped(told, pairs, seed))


def most_disputed(
    candidates: pl.DataFrame,
    *,
    share: float = 0.5,
    minimum: float = 1.0,
    margin: float = 0.01,
    replies: int = 1,
    on_policy: bool = False,
    seed: int = 0,
) -> Ranked:
    """Take the `share` (above 0, to 1) of the prompts whose judges disagree most, and of each the pair they do most on.

    The disagreement on a pair is the sum of its candidates' `spread`: what a candidate's judges, or a jury's members,
    differ by at most. Without two verdicts it is unknown, and no pair. `margin` is on the reconciled scores, `minimum`
    on the candidates for SFT alone. The number of prompts is rounded up.
    Source: uncertainty sampling, the ensemble's variance of arXiv 1706.03741 (section 2.2.4); arXiv 2603.09692 finds
    that pairs with a wide predicted gap teach more, which a higher `margin` asks for.
    """
    _needs_share(share)
    scored = eligible(candidates, on_policy=on_policy)
    disputed = _pairs(scored, margin).with_columns(doubt=pl.col("spread") + pl.col("spread_rejected"))
    ranked = disputed.drop_nulls("doubt").with_columns(draw=hashed("chosen", "rejected", before=[seed]))
    widest = ranked.sort(-pl.col("doubt"), "draw").unique("sample_id", keep="first", maintain_order=True)
    one = _selection(best_of(scored, minimum, replies), first_of(widest, share).sort("sample_id"))
    order = widest.select("doubt", "draw", chosen_id="chosen", rejected_id="rejected")
    return Ranked(one.sft, one.pairs, order, share)


def most_learnable(
    candidates: pl.DataFrame,
    *,
    share: float = 1 / 3,
    minimum: float = 1.0,
    margin: float = 1.0,
    replies: int = 1,
    on_policy: bool = False,
    seed: int = 0,
) -> Ranked:
    """Take the best and the worst of the `share` (above 0, to 1) of the prompts whose candidates' scores vary most.

    What a model always or never gets right teaches it little. Of right and wrong the variance is p (1 - p), p being the
    prompt's share of right ones; among equals the draw decides. SFT's replies are `best_and_worst`'s, of all prompts.
    The number of pairs is rounded up.
    Source: sampling for learnability (arXiv 2502.12272).
    """
    _needs_share(share)
    one = best_and_worst(candidates, minimum=minimum, margin=margin, replies=replies, on_policy=on_policy)
    varied = eligible(candidates, on_policy=on_policy).select(
        chosen_id="id",
        doubt=pl.col("score").var(ddof=0).over("sample_id").round(9),  # whatever order they were added up in
    )
    found = one.pairs.join(varied, on="chosen_id", maintain_order="left")
    ranked = found.with_columns(draw=hashed("chosen_id", "rejected_id", before=[seed]))
    return Ranked(one.sft, first_of(ranked, share).select("chosen_id", "rejected_id"), ranked, share)


def _needs_share(share: float) -> None:
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}; expected above 0, to 1")


def _sided(candidates: pl.DataFrame) -> pl.DataFrame:
    """Give a prompt's candidates two by two, in both orders, with different texts; the second's end in `_rejected`."""
    sides = candidates.select("sample_id", *SIDES)
    both = sides.join(sides, on="sample_id", suffix="_rejected").filter(pl.col("text") != pl.col("text_rejected"))
    return both.rename({"id": "chosen", "id_rejected": "rejected"})


def _gap() -> pl.Expr:
    return pl.col("score") - pl.col("score_rejected")


def _pairs(scored: pl.DataFrame, margin: float) -> pl.DataFrame:
    needs_margin(margin)
    return _sided(scored).filter(_gap() >= margin)


def _capped(pairs: pl.DataFrame, most: int, seed: int) -> pl.DataFrame:
    """Draw up to `most` pairs a prompt; one text against one other is one pair, however often each was given."""
    if most < 1:
        raise ValueError(f"pairs is {most}; a prompt gives at least one")
    drawn = pairs.with_columns(draw=hashed("chosen", "rejected", before=[seed])).sort("sample_id", "draw")
    once = drawn.unique(["sample_id", "text", "text_rejected"], keep="first", maintain_order=True)
    return once.group_by("sample_id", maintain_order=True).head(most)


def _selection(good: pl.DataFrame, pairs: pl.DataFrame) -> Selection:
    return Selection(good.select("id"), pairs.select(chosen_id="chosen", rejected_id="rejected"))
