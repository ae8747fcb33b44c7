"""What the data says of how to train on it: the method, the loss, and whether it has anything left to teach."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

import polars as pl

from pipelines import figures
from pipelines.judge_figures import reply_judge_figures
from pipelines.scored import verified
from pipelines.store import Stored, read_table
from pipelines.train import rows_in, training_rows
from pipelines.training import Training
from schemas.errors import TrainingError
from schemas.tables import COMPARISONS, JUDGMENTS, SCORES

ENOUGH = 30  # judgments, for a rate to be taken from them
MATTERS = 0.01  # the flip rate from which the loss takes it into account
CHANCE = 0.5
ROBUST = "robust"
Cards = Mapping[str, Mapping[str, Any]]  # by a judge's name, its `people`


@dataclass(frozen=True)
class Flips:
    """The fraction of a judge's preferences that are the wrong way round, of how many judgments, how it is known."""

    rate: float
    rows: int
    how: str


def chosen(section: Training, made: Mapping[str, Stored], cards: Cards) -> tuple[Training, list[str]]:
    """Give the section with what it left to the data, and why it is so, a sentence a choice.

    `made` are the run's outputs by stage, `cards` those of its judges. Raises `TrainingError` where nothing is there to
    choose by, and where the labels are no better than chance.
    """
    reasons: list[str] = []
    if section.method == "preference":
        section, why = _by_pairs(section, made["select"])
        reasons.append(why)
    if section.method == "dpo" and "loss_type" not in section.arguments:
        section, told = _by_flips(section, made, cards)
        reasons += told
    if section.method in {"dpo", "kto"}:
        reasons += _nothing_to_teach(section, made)
    return section, reasons


def _by_pairs(section: Training, selected: Stored) -> tuple[Training, str]:
    pairs, unpaired = rows_in(selected, "preferences"), rows_in(selected, "unpaired")
    if pairs:
        return section.model_copy(update={"method": "dpo"}), f"DPO, as there are {pairs:,} pairs"
    if not unpaired:
        raise TrainingError("preference: there are no pairs and no single replies with a label; the report says why")
    foreign = [key for key, told in (("loss", section.loss), ("label_smoothing", section.label_smoothing)) if told]
    if foreign:
        raise TrainingError(f"preference: there are no pairs, so it would be KTO, which has no {' and '.join(foreign)}")
    why = f"KTO, as there are no pairs and {unpaired:,} single replies that are labelled good or bad"
    return section.model_copy(update={"method": "kto"}), why


def _by_flips(section: Training, made: Mapping[str, Stored], cards: Cards) -> tuple[Training, list[str]]:
    """Take the measured flip rate into the loss, where the section leaves that open.

    Source: arXiv 2403.00409 (robust DPO), whose rate is the probability of a flipped label.
    """
    if section.loss and section.loss != (ROBUST,):
        return section, []
    if section.label_smoothing is not None:
        why = f"loss {ROBUST!r}, as label_smoothing is told"
        return section.model_copy(update={"loss": (ROBUST,)}), [] if section.loss else [why]
    rate, how = flip_rate(made, cards)
    if rate is None:
        advice = "; ./mill calibrate measures one" if how else ""
        told = f"loss 'sigmoid': no flip rate of the labels was measured{advice}"
        if not section.loss:
            return section, [told]
        raise TrainingError(
            f"dpo: loss {ROBUST!r} needs the labels' flip rate, and none was measured: set label_smoothing"
        )
    if rate >= CHANCE:
        raise TrainingError(
            f"dpo: {rate:.1%} of the labels are flipped ({how}): no better than chance, so there is nothing to learn. "
            "Take another judge, or name a loss yourself"
        )
    if rate < MATTERS and not section.loss:
        return section, [f"loss 'sigmoid': {rate:.1%} of the labels are flipped ({how}), too few to matter"]
    update = {"loss": (ROBUST,), "label_smoothing": round(rate, 4)}
    return section.model_copy(update=update), [f"loss {ROBUST!r}: {rate:.1%} of the labels are flipped ({how})"]


def flip_rate(made: Mapping[str, Stored], cards: Cards) -> tuple[float | None, str]:
    """Give the fraction of the pairs to train on whose label is flipped, and how that is known; null if not measured.

    It is the mean over the pairs of their judge's rate. A verifier without a card counts as never wrong, and a judge
    that was not measured not at all; where all labels are verifiers' nothing was measured, and nothing is told.
    """
    folder = training_rows(made["select"].folder / "preferences")
    counts = pl.scan_parquet(folder / "*.parquet").group_by("judge").len().sort("judge").collect()
    known: list[tuple[int, Flips]] = []
    unknown = False
    for judges, pairs in counts.drop_nulls().iter_rows():
        found = [flips for name in judges.split(", ") if (flips := flips_of(name, made, cards))]
        unknown |= not found
        known += [(pairs, max(found, key=lambda flips: flips.rate))] if found else []
    measured = [flips for _pairs, flips in known if flips.rows]
    if not measured:
        return None, "a judge" if unknown else ""
    rate = sum(pairs * flips.rate for pairs, flips in known) / sum(pairs for pairs, _flips in known)
    return rate, "; ".join(dict.fromkeys(f"{flips.how}, {flips.rows:,} judgments" for flips in measured))


def flips_of(name: str, made: Mapping[str, Stored], cards: Cards) -> Flips | None:
    """Give how often a judge's preference is flipped: as people say, else as verifiers say, else as it says itself.

    Of a verifier without a card it is 0, of no judgments.
    """
    by_people = _by_people(cards.get(name, {}).get("people"), name)
    stored = made.get(f"score {name}")
    if by_people or stored is None:
        return by_people
    if stored.facts["comparisons"]:
        comparisons = read_table(stored, "comparisons", COMPARISONS)
        return _by_verifiers(comparisons, made, name) or _by_itself(comparisons, name)
    if not stored.facts["judgments"]:
        return Flips(0.0, 0, "")
    scores, judgments = read_table(stored, "scores", SCORES), read_table(stored, "judgments", JUDGMENTS)
    told = reply_judge_figures(scores, judgments, verified(_verifiers(made)))
    if told["verified_pairs"] < ENOUGH:
        return None
    return Flips(1 - told["agreement"], told["verified_pairs"], f"{name} against the verifiers")


def _by_people(card: Mapping[str, Any] | None, name: str) -> Flips | None:
    """Take the rate from a judge's card.

    Of a judge of single replies both verdicts on a pair must be wrong for it to be flipped, and both right for it to
    stand; where one is wrong, people see no preference. The two errors are taken as independent.
    """
    if card is None:
        return None
    pairs = card["kind"] == "pairs"
    agreed = card["decided_agreement" if pairs else "agreement"]
    if agreed["mean"] is None or agreed["rows"] < ENOUGH:
        return None
    wrong = 1 - agreed["mean"]
    return Flips(wrong if pairs else _both(wrong), agreed["rows"], f"{name} against people, by its card")


def _by_verifiers(comparisons: pl.DataFrame, made: Mapping[str, Stored], name: str) -> Flips | None:
    told = figures.judge_figures(comparisons, verified(_verifiers(made)))
    if told["reconciled_pairs"] < ENOUGH:
        return None
    return Flips(1 - told["reconciled_agreement"], told["reconciled_pairs"], f"{name} against the verifiers")


def _by_itself(comparisons: pl.DataFrame, name: str) -> Flips | None:
    """Take the rate from pairs judged in both orders, of which those that agree are kept.

    With two answers independently wrong at rate e, they differ at rate d = 2e(1 - e), and e^2 / (e^2 + (1 - e)^2) of
    those that agree are wrong. Pairs that are hard in both orders make it more: it is a lower bound.
    """
    both = comparisons.filter(pl.col("score").is_not_null())
    differ = both.filter(pl.col("score") == 0).height / max(both.height, 1)
    if both.height < ENOUGH:
        return None
    wrong = (1 - sqrt(max(1 - 2 * differ, 0.0))) / 2
    return Flips(_both(wrong), both.height, f"{name} in both orders, at least")


def _both(wrong: float) -> float:
    return wrong**2 / (wrong**2 + (1 - wrong) ** 2)


def _verifiers(made: Mapping[str, Stored]) -> pl.DataFrame:
    """Read the scores of the verifiers: of the judges that asked nobody."""
    stored = [one for name, one in made.items() if name.startswith("score ") and one.facts["scores"]]
    tables = [read_table(one, "scores", SCORES) for one in stored if not one.facts["judgments"]]
    return pl.concat([pl.DataFrame(schema=SCORES), *tables])


def _nothing_to_teach(section: Training, made: Mapping[str, Stored]) -> list[str]:
    """Say so where the model before training passes more often than the chosen replies do, by the verifiers."""
    before = made["evaluate before"].facts if "evaluate before" in made else {}
    table, column = ("preferences", "chosen_score") if section.method == "dpo" else ("unpaired", "score")
    folder = training_rows(made["select"].folder / table)
    names = [
        name.removeprefix("score ") for name, one in made.items() if name.startswith("score ") and one.facts["scores"]
    ]
    rows = pl.scan_parquet(folder / "*.parquet").filter(pl.col("judge").is_in(names))
    rows = rows if section.method == "dpo" else rows.filter("label")
    score, count = rows.select(pl.col(column).mean(), rows=pl.len()).collect().row(0)
    if not before.get("interval") or count < ENOUGH or not before["interval"][0] > score:
        return []
    return [
        f"the model passes {before['pass@1']:.1%} of the benchmark before training, and {score:.1%} of the {count:,} "
        "good replies pass: it is better than what it would learn from. Take replies of its own ([select] on_policy = "
        'true), or targeted RL (method = "grpo")' + (', or loss = "apo_down"' if section.method == "dpo" else "")
    ]
