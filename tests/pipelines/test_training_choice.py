"""What the data says of how to train on it."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.store import Stored, once, write_table
from pipelines.training import Training
from pipelines.training_choice import ENOUGH, chosen, flip_rate, flips_of
from schemas.errors import TrainingError
from schemas.tables import COMPARISONS, JUDGMENTS, PREFERENCES, SCORES, UNPAIRED

DPO = Training(method="dpo")


def stored(folder: Path, **tables: list[dict[str, Any]]) -> Stored:
    """Store tables as a stage does."""
    schemas = {"comparisons": COMPARISONS, "scores": SCORES, "judgments": JUDGMENTS}
    schemas |= {"preferences": PREFERENCES, "unpaired": UNPAIRED}

    def build(work: Path) -> dict[str, Any]:
        facts: dict[str, Any] = {"comparisons": 0, "scores": 0, "judgments": 0, "held_out": {}}
        for name in tables.keys() | {"comparisons", "scores", "judgments"}:
            rows = [dict.fromkeys(schemas[name]) | row for row in tables.get(name, [])]
            facts[name] = write_table(work, name, pl.DataFrame(rows, schema=schemas[name]), schemas[name])
        return facts

    return once(folder, "test", {"tables": tables}, build)


def pairs(judge: str, count: int, score: float = 1.0) -> list[dict[str, Any]]:
    return [{"id": f"{judge}{at}", "judge": judge, "chosen_score": score} for at in range(count)]


def compared(count: int, differ: int) -> list[dict[str, Any]]:
    """Give comparisons of which `differ` fell apart between the two orders."""
    return [
        {"sample_id": f"s{at}", "a_id": f"a{at}", "b_id": f"b{at}", "judge": "j", "score": 0.0 if at < differ else 1.0}
        for at in range(count)
    ]


def card(mean: float, rows: int, kind: str = "pairs") -> dict[str, Any]:
    told = {"mean": mean, "interval": None, "rows": rows}
    return {"people": {"kind": kind, "agreement": told, "decided_agreement": told}}


def made(folder: Path, judge: str = "j", count: int = 40, **tables: list[dict[str, Any]]) -> dict[str, Stored]:
    return {"select": stored(folder, preferences=pairs(judge, count)), f"score {judge}": stored(folder, **tables)}


def test_a_flip_rate_that_people_measured_makes_the_loss_robust(tmp_path: Path) -> None:
    section, [why] = chosen(DPO, made(tmp_path, comparisons=compared(40, 0)), {"j": card(0.85, 200)})
    assert (section.loss, section.label_smoothing) == (("robust",), 0.15)
    assert why == "loss 'robust': 15.0% of the labels are flipped (j against people, by its card, 200 judgments)"


def test_people_are_heard_before_verifiers_and_verifiers_before_the_judge_itself(tmp_path: Path) -> None:
    run = made(tmp_path, comparisons=compared(100, 20))
    assert "in both orders" in flips_of("j", run, {}).how  # type: ignore[union-attr] # there is one
    verdicts = [
        {
            "sample_id": f"s{at}",
            "candidate_id": f"{side}{at}",
            "judge": "v",
            "score": float(side == "a"),
            "status": "scored",
        }
        for at in range(100)
        for side in "ab"
    ]
    run["score v"] = stored(tmp_path, scores=verdicts)
    told = flips_of("j", run, {})
    assert told is not None
    assert (told.rate, told.rows, told.how) == (0.0, 80, "j against the verifiers")
    assert "people" in flips_of("j", run, {"j": card(0.8, 50)}).how  # type: ignore[union-attr] # there is one


@given(st.floats(0.02, 0.3), st.integers(0, 5))
def test_a_judge_that_errs_alike_in_both_orders_has_its_flip_rate_found(wrong: float, seed: int) -> None:
    chance = np.random.default_rng(seed)
    errs = chance.random((2, 20_000)) < wrong
    kept = errs[0] == errs[1]
    flipped = errs[0][kept].mean()
    differ = 1 - kept.mean()
    rate = (1 - np.sqrt(1 - 2 * min(differ, 0.5))) / 2
    from pipelines.training_choice import _both

    assert _both(rate) == pytest.approx(flipped, abs=0.03)


def test_orders_that_always_agree_leave_the_plain_loss_and_say_so(tmp_path: Path) -> None:
    section, [why] = chosen(DPO, made(tmp_path, comparisons=compared(40, 0)), {})
    assert section == DPO
    assert "too few to matter" in why


def test_too_few_judgments_measure_nothing(tmp_path: Path) -> None:
    section, [why] = chosen(DPO, made(tmp_path, comparisons=compared(ENOUGH - 1, 5)), {"j": card(0.7, ENOUGH - 1)})
    assert section == DPO
    assert why == "loss 'sigmoid': no flip rate of the labels was measured; ./mill calibrate measures one"


def test_labels_by_verifiers_count_as_right_beside_a_judges(tmp_path: Path) -> None:
    verdict = {"sample_id": "s", "candidate_id": "c", "judge": "v", "score": 1.0, "status": "scored"}
    run = {
        "select": stored(tmp_path, preferences=[*pairs("j", 30), *pairs("v", 90)]),
        "score j": stored(tmp_path, comparisons=compared(40, 0)),
        "score v": stored(tmp_path, scores=[verdict]),
    }
    assert flip_rate(run, {"j": card(0.8, 100)})[0] == pytest.approx(0.05)


def test_a_judge_of_single_replies_flips_a_pair_only_where_it_errs_on_both(tmp_path: Path) -> None:
    told = flips_of("j", made(tmp_path), {"j": card(0.9, 100, "replies")})
    assert told is not None
    assert told.rate == pytest.approx(0.01 / (0.01 + 0.81))


def test_labels_no_better_than_chance_are_refused_and_a_named_loss_is_taken(tmp_path: Path) -> None:
    run = made(tmp_path, comparisons=compared(40, 0))
    with pytest.raises(TrainingError, match="no better than chance"):
        chosen(DPO, run, {"j": card(0.5, 100)})
    ipo = Training(method="dpo", loss=("ipo",))
    assert chosen(ipo, run, {"j": card(0.5, 100)}) == (ipo, [])
    told = Training(method="dpo", arguments={"loss_type": ["hinge"]})
    assert chosen(told, run, {"j": card(0.5, 100)}) == (told, [])


def test_a_robust_loss_without_a_rate_is_refused_and_a_told_rate_is_taken(tmp_path: Path) -> None:
    run = made(tmp_path)
    with pytest.raises(TrainingError, match="set label_smoothing"):
        chosen(Training(method="dpo", loss=("robust",)), run, {})
    section, _why = chosen(Training(method="dpo", label_smoothing=0.2), run, {})
    assert (section.loss, section.label_smoothing) == (("robust",), 0.2)


def test_preference_is_dpo_with_pairs_kto_without_and_refused_with_neither(tmp_path: Path) -> None:
    asked = Training(method="preference")
    section, why = chosen(asked, made(tmp_path), {})
    assert (section.method, why[0]) == ("dpo", "DPO, as there are 40 pairs")
    rows = [{"id": f"u{at}", "judge": "j", "label": at % 2 == 0, "score": 1.0} for at in range(10)]
    single = {"select": stored(tmp_path, preferences=[], unpaired=rows)}
    section, why = chosen(asked, single, {})
    assert (section.method, why) == (
        "kto",
        ["KTO, as there are no pairs and 10 single replies that are labelled good or bad"],
    )
    with pytest.raises(TrainingError, match="no pairs and no single replies"):
        chosen(asked, {"select": stored(tmp_path, preferences=[], unpaired=[])}, {})


@pytest.mark.parametrize(("low", "better"), [(0.79, False), (0.81, True)])
def test_a_model_better_than_the_chosen_replies_is_told_with_advice(
    tmp_path: Path, low: float, *, better: bool
) -> None:
    verdict = {"sample_id": "s", "candidate_id": "c", "judge": "v", "score": 1.0, "status": "scored"}
    run = {
        "select": stored(tmp_path, preferences=[*pairs("v", 80), *pairs("v", 20, 0.0)]),
        "score v": stored(tmp_path, scores=[verdict]),
        "evaluate before": Stored(tmp_path, {"pass@1": 0.9, "interval": [low, 0.95]}, reused=True, seconds=0.0),
    }
    _section, why = chosen(Training(method="dpo", loss=("sigmoid",)), run, {})
    assert [("better than what it would learn from" in line, "apo_down" in line) for line in why] == [
        (True, True)
    ] * better
