from typing import Any

import polars as pl
import pytest

from pipelines import closing, figures
from schemas.tables import COMPARISONS, SCORES


def run(**other: Any) -> dict[str, Any]:
    """Give a finished run's summary with a verifier, a pairwise judge, training and both evaluations."""
    scores = [
        {"candidate_id": f"{row}{side}", "judge": "judges.math:final_answer", "score": float(side == "g")}
        for row in range(10)
        for side in "gb"
    ]
    comparisons = [
        {"sample_id": str(row), "a_id": f"{row}g", "b_id": f"{row}b", "score": 1.0 if row < 8 else 0.0}
        for row in range(10)
    ]
    verdicts = pl.DataFrame(scores, schema=SCORES)
    compared = figures.judge_figures(
        pl.DataFrame(comparisons, schema=COMPARISONS), verdicts.select("candidate_id", "score")
    )
    return {
        "name": "sums",
        "version": "0123456789abcdef",
        "folder": "runs/sums/0123456789abcdef",
        "rows": {"read": 52_002, "quarantined": 2, "dropped": 1_465, "kept": 50_535}
        | {"candidates": 202_140, "sft": 40_000, "preferences": 12_345},
        "requests": {"asked": 1_500, "from_ledger": 20, "failed": 0},
        "judges": {"judges.math:final_answer": figures.verifier_figures(verdicts), "judges.pairwise:better": compared},
        "training": [{"method": "sft"}],
        "evaluation": {
            "before": {"pass@1": 0.61, "interval": [0.58, 0.64]},
            "after": {"pass@1": 0.832, "interval": [0.80, 0.86]},
            "rise": {"pass@1": 0.222, "interval": [0.199, 0.245], "tasks": 1_319},
        },
        "seconds": {"ingest": 1.25, "train 0": 3_725.0},
        **other,
    }


def test_the_closing_words_tell_a_run_from_its_rows_to_its_folder() -> None:
    assert closing.closing_words(run()).splitlines() == [
        "sums, version 0123456789abcdef",
        "",
        "  rows read               52,002",
        "  quarantined                  2",
        "  dropped                  1,465",
        "  kept                    50,535",
        "  candidates             202,140",
        "  SFT rows                40,000",
        "  preference pairs        12,345",
        "",
        "requests: 1,500 asked, 20 from the ledger, 0 failed",
        "judges.math:final_answer: 10 of 20 candidates pass (50.0 %)",
        "judges.pairwise:better: agrees with the verifiers in 90.0 % [76.9, 100.0] of 10 pairs",
        "pass@1: 61.0 % [58.0, 64.0] -> 83.2 % [80.0, 86.0]",
        "rise: +22.2 points [19.9, 24.5], paired over 1,319 tasks",
        "time: 62 min 06 s in all stages, counting those that were used again",
        "",
        "runs/sums/0123456789abcdef",
        "  sft/  preferences/  dropped/  report.html  checkpoint/",
        "the newest run is always runs/sums/latest",
    ]


def test_ratings_and_ranks_are_not_told_as_passing_without_a_word() -> None:
    rated = pl.DataFrame({"score": [4.5, 2.0, 0.5, -1.0, 1.0, None], "status": [None] * 5 + ["no_reference"]})
    words = closing.closing_words(run(judges={"judges.labels:given": figures.verifier_figures(rated)}))
    told = "3 of 5 candidates pass (60.0 %); 3 scores are not between 0 and 1: a `least` says from which on one passes"
    assert f"judges.labels:given: {told}" in words


def test_what_a_run_has_not_is_not_told() -> None:
    words = closing.closing_words(run(judges={}, evaluation={}, training=[]))
    assert "judges" not in words
    assert "pass@1" not in words
    assert "checkpoint" not in words


def test_failed_requests_are_told_with_what_to_do() -> None:
    words = closing.closing_words(run(requests={"asked": 3, "from_ledger": 0, "failed": 2}))
    assert "2 failed; run again to ask the failed ones again" in words


def test_a_judge_that_no_verifier_can_check_has_no_agreement() -> None:
    alone = figures.judge_figures(
        pl.DataFrame([{"a_id": "a", "b_id": "b", "score": 1.0}], schema=COMPARISONS),
        pl.DataFrame(schema={"candidate_id": pl.String, "score": pl.Float64}),
    )
    words = closing.closing_words(run(judges={"judges.pairwise:better": alone}))
    assert "judges.pairwise:better: 1 comparisons, none of which a verifier can check" in words


def test_an_escape_sequence_in_a_name_does_not_reach_the_terminal() -> None:
    assert "\x1b" not in closing.closing_words(run(name="sums\x1b[31m"))
    assert "sums⟦U+001B⟧[31m" in closing.closing_words(run(name="sums\x1b[31m"))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "no figure"),
        (0, "0"),
        (1_234_567, "1,234,567"),
        (2048.0, "2,048"),
        (0.30000000000000004, "0.3"),
        (1234.5, "1,234"),
        (0.00104, "0.00104"),
    ],
)
def test_numbers_have_separators_and_four_digits(value: float | None, shown: str) -> None:
    assert closing.number(value) == shown


def test_shares_and_differences_are_told_with_their_intervals() -> None:
    assert closing.share(0.61, [0.582, 0.638]) == "61.0 % [58.2, 63.8]"
    assert closing.share(0.61, None) == "61.0 %"
    assert closing.share(None, None) == "no figure"
    assert closing.points(-0.05, [-0.1, 0.001]) == "-5.0 points [-10.0, 0.1]"
    assert closing.of(28, 52_002) == "28 (0.1 %)"
    assert closing.of(0, 0) == "0"


def test_a_text_is_cut_by_characters_and_by_lines() -> None:
    assert closing.shortened("abc", 3) == "abc"
    assert closing.shortened("abcd", 3) == "abc … (4 characters)"
    assert closing.shortened("a\nb\nc", 99, lines=2) == "a\nb … (5 characters)"


@pytest.mark.parametrize(
    "hidden", ["\u202e", "\u200b", "\u2066", "\ufeff", "\x00", "\r", "\u2028", "\u3164", "\U000e0041"]
)
def test_what_is_not_seen_is_shown_by_its_number(hidden: str) -> None:
    assert closing.visible(f"a{hidden}b") == f"a⟦U+{ord(hidden):04X}⟧b"


def test_what_is_seen_stays_as_it_is() -> None:
    text = "Grüße, 你好 🙂\n\t❤️ नमस्ते"
    assert closing.visible(text) == text
