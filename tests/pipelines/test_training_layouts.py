"""What a selection is written as: every layout, the held-out split, and what leaks a benchmark."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.contamination import ngrams
from filters.duplicates import exact
from pipelines.decontaminate import contaminating, without_leaks
from pipelines.held_out import held_out_ids
from pipelines.scored import table_of
from pipelines.sections import FilterPart
from pipelines.select import Selection, best_and_worst
from pipelines.train import training_rows
from pipelines.training_layouts import Datasets
from schemas.rules import MatchRule
from schemas.tables import CANDIDATES, COMPARISONS, SAMPLES, SCORES

LAYOUTS = ("sft", "preferences", "plain", "unpaired", "grpo")


def samples(prompts: list[str], **columns: Any) -> pl.DataFrame:
    rows = [
        dict.fromkeys(SAMPLES)
        | {"id": f"s{at}", "prompt": [{"role": "user", "content": prompt, "tool_calls": None}], "source": "t"}
        | columns
        for at, prompt in enumerate(prompts)
    ]
    return pl.DataFrame(rows, schema=SAMPLES)


def candidates(rows: list[tuple[str, str, float]]) -> pl.DataFrame:
    """Give scored candidates of sample, text and score."""
    made = [
        dict.fromkeys(CANDIDATES)
        | {"id": f"c{at}", "sample_id": sample, "text": text, "model": "m", "sample": at, "status": "answered"}
        for at, (sample, text, _score) in enumerate(rows)
    ]
    scores = [
        dict.fromkeys(SCORES)
        | {"sample_id": sample, "candidate_id": f"c{at}", "judge": "j", "score": score, "status": "scored"}
        for at, (sample, _text, score) in enumerate(rows)
    ]
    nothing = pl.DataFrame(schema=COMPARISONS)
    return table_of(pl.DataFrame(made, schema=CANDIDATES), pl.DataFrame(scores, schema=SCORES), nothing)


def picked(sft: list[str], pairs: list[tuple[str, str]]) -> Selection:
    schema = {"chosen_id": pl.String, "rejected_id": pl.String}
    return Selection(pl.DataFrame({"id": sft}, {"id": pl.String}), pl.DataFrame(pairs, schema, orient="row"))


def written(folder: Path, layout: str) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(file) for file in sorted((folder / layout).rglob("*.parquet"))])


def write_selection(
    folder: Path, chosen: Selection, table: pl.DataFrame, asked: pl.DataFrame, *, held_out: float = 0.0
) -> dict[str, Any]:
    with Datasets(folder, rule="r", held_out=held_out) as out:
        out.write(chosen, table, asked)
    return out.facts()


def test_each_layout_has_the_columns_that_its_trainer_reads(tmp_path: Path) -> None:
    table = candidates([("s0", "right", 1.0), ("s0", "wrong", 0.0), ("s1", "right", 1.0)])
    asked = samples(["one", "two"]).with_columns(reference=pl.Series(["1", None]))
    facts = write_selection(tmp_path, picked(["c0", "c2"], [("c0", "c1")]), table, asked)
    assert {name: facts[name] for name in LAYOUTS} == {
        "sft": 2,
        "preferences": 1,
        "plain": 2,
        "unpaired": 3,
        "grpo": 1,
    }
    kto = written(tmp_path, "unpaired")
    assert dict(kto.select("candidate_id", "label").iter_rows()) == {"c0": True, "c1": False, "c2": True}
    assert written(tmp_path, "plain").select("prompt", "completion").rows() == [("one", "right"), ("two", "right")]
    assert written(tmp_path, "grpo").select("id", "check", "reference").rows() == [("s0", None, "1")]


def test_a_text_on_both_sides_of_its_prompt_has_no_label(tmp_path: Path) -> None:
    table = candidates([("s0", "same", 1.0), ("s0", "same", 0.5), ("s0", "worse", 0.0)])
    write_selection(tmp_path, picked(["c0"], [("c0", "c2"), ("c2", "c1")]), table, samples(["one"]))
    assert written(tmp_path, "unpaired").is_empty()


def test_a_conversation_is_no_plain_text(tmp_path: Path) -> None:
    turns = [{"role": role, "content": "x", "tool_calls": None} for role in ("user", "assistant", "user")]
    asked = samples(["one"]).with_columns(prompt=pl.Series([turns], dtype=SAMPLES["prompt"]))
    facts = write_selection(tmp_path, picked(["c0"], []), candidates([("s0", "a", 1.0)]), asked)
    assert (facts["sft"], facts["plain"]) == (1, 0)


@pytest.fixture
def split(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """Give 60 prompts, each asked twice (once in capitals), with a pair each, a fifth of them held out."""
    asked = samples([f"{word} {at}" for at in range(60) for word in ("Add up", "ADD UP")], reference="1")
    rows = [(f"s{at}", text, score) for at in range(120) for text, score in (("right", 1.0), ("wrong", 0.0))]
    chosen = [f"c{2 * at}" for at in range(120)]
    pairs = [(f"c{2 * at}", f"c{2 * at + 1}") for at in range(120)]
    facts = write_selection(tmp_path, picked(chosen, pairs), candidates(rows), asked, held_out=0.2)
    return tmp_path, facts


def test_load_dataset_sees_both_splits_of_every_layout_and_no_prompt_is_in_both(
    split: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, facts = split
    for layout in LAYOUTS:
        data = datasets.load_dataset(str(folder / layout), cache_dir=str(tmp_path / "cache"))
        prompts = {name: {str(row["prompt"]).lower() for row in rows} for name, rows in data.items()}
        assert set(data) == {"train", "test"}
        assert prompts["train"].isdisjoint(prompts["test"])
        assert len(data["test"]) == facts["held_out"][layout] > 0
        assert len(data["train"]) == facts[layout] - facts["held_out"][layout] > 0


def test_training_reads_the_rows_that_are_not_held_out(split: tuple[Path, dict[str, Any]]) -> None:
    folder, _facts = split
    assert training_rows(folder / "sft") == folder / "sft" / "train"
    assert training_rows(folder) == folder


@given(st.lists(st.text("abc ", min_size=1), min_size=1), st.floats(0, 0.9), st.floats(0, 0.9))
def test_a_prompts_side_depends_on_no_other_row_and_a_greater_share_holds_more_out(
    prompts: list[str], one: float, other: float
) -> None:
    table = samples(prompts)
    small, great = (set(held_out_ids(table, share)) for share in sorted((one, other)))
    assert small <= great
    alone = [
        set(held_out_ids(table[at], great_share)) for at, great_share in enumerate([max(one, other)] * len(prompts))
    ]
    assert set().union(*alone) == great


def test_about_the_share_that_was_asked_for_is_held_out() -> None:
    table = samples([f"prompt {at}" for at in range(4_000)])
    assert len(held_out_ids(table, 0.05)) / 4_000 == pytest.approx(0.05, abs=0.015)  # 4 standard deviations


QUESTION = "Natalia sold clips to forty eight of her friends in April and then half as many in May"


BENCHMARK = samples([QUESTION], origin={"file": "bench.jsonl", "row": 7})
LEAK = f"I know one: {QUESTION}."


def decontaminated(
    table: pl.DataFrame,
    asked: pl.DataFrame,
    rules: dict[str, MatchRule] | None = None,
    *,
    pick: Callable[[pl.DataFrame], Selection] = best_and_worst,
) -> tuple[Selection, pl.DataFrame]:
    """Give what is picked of two blocks of the samples by a rule that looks at each block, and what leaks."""
    half = asked.height // 2
    told = [asked[:half], asked[half:]]
    blocks = [(some, table.filter(pl.col("sample_id").is_in(some["id"].implode()))) for some in told]
    clean, leaked = without_leaks(
        blocks,
        lambda left: [(pick(rows), rows, some) for some, rows in left],
        {"ngrams": ngrams()} if rules is None else rules,
        [BENCHMARK],
    )
    sft, pairs = zip(*((one.sft, one.pairs) for one, _rows, _some in clean), strict=True)
    return Selection(pl.concat(sft), pl.concat(pairs)), leaked


def test_a_reply_that_gives_a_benchmark_away_falls_with_its_pair_and_says_why() -> None:
    table = candidates([("s0", LEAK, 1.0), ("s0", "wrong", 0.0), ("s1", "right", 1.0)])
    kept, leaked = decontaminated(table, samples(["one", "two"]))
    assert (kept.sft["id"].to_list(), kept.pairs.rows()) == (["c2"], [])
    [row] = leaked.to_dicts()
    assert (row["candidate_id"], row["picked"], row["match"]) == ("c0", ["sft", "chosen"], "bench.jsonl:7")
    assert row["measured"] == 1
    assert "forty eight" in row["span"]


def test_another_reply_that_does_not_leak_takes_the_place_of_one_that_does() -> None:
    first = [("s0", LEAK, 1.0), ("s0", "right", 1.0), ("s0", f"{LEAK} Indeed.", 1.0), ("s0", "wrong", 0.0)]
    second = [("s1", "right", 1.0), ("s1", LEAK, 0.0), ("s1", "wrong", 0.0)]
    kept, leaked = decontaminated(candidates([*first, *second]), samples(["one", "two"]))
    assert set(kept.sft["id"]) == {"c1", "c4"}
    assert set(kept.pairs.rows()) == {("c1", "c3"), ("c4", "c6")}
    told = dict(leaked.select("candidate_id", "picked").iter_rows())
    assert told == {"c0": ["sft", "chosen"], "c5": ["rejected"], "c2": []}


def test_every_prompt_with_a_good_reply_that_does_not_leak_keeps_one() -> None:
    chance = random.Random(0)
    rows = [
        (f"s{at}", f"{LEAK} {sample}" if chance.random() < 0.6 else f"reply {sample}", float(chance.random() < 0.5))
        for at in range(60)
        for sample in range(4)
    ]
    table = candidates(rows)
    kept, leaked = decontaminated(table, samples([f"prompt {at}" for at in range(60)]))
    gone = pl.col("text").str.contains(QUESTION, literal=True)
    wanted = table.filter(~gone, score=1.0)["sample_id"].unique()
    picks = kept.sft.join(table, on="id")
    assert set(picks["sample_id"]) == set(wanted)
    assert picks.filter(gone).is_empty()
    sides = pl.concat([kept.pairs["chosen_id"], kept.pairs["rejected_id"]])
    assert table.filter(gone, pl.col("id").is_in(sides.implode())).is_empty()
    assert set(leaked["candidate_id"]) <= set(table.filter(gone)["id"])
    assert leaked["candidate_id"].is_unique().all()


def test_a_rule_over_all_prompts_that_goes_on_to_leaks_ends_without_one() -> None:
    def first_of_all(rows: pl.DataFrame) -> Selection:
        return picked(rows.sort("id")["id"].head(1).to_list(), [])

    table = candidates([(f"s{at}", f"{LEAK} {at}", 1.0) for at in range(6)])
    asked = samples([f"prompt {at}" for at in range(6)])
    kept, leaked = decontaminated(table, asked, pick=first_of_all)
    assert kept.sft.is_empty()
    assert sorted(leaked["candidate_id"]) == [f"c{at}" for at in range(6)]  # three a block, one at a time


def test_only_rules_on_benchmarks_are_asked_again() -> None:
    uses = ("filters.duplicates:exact", "filters.contamination:ngrams", "filters.length:words")
    assert list(contaminating([FilterPart(use=use) for use in uses])) == ["filters.contamination:ngrams"]


def test_a_rule_that_compares_replies_with_each_other_makes_nothing_fall() -> None:
    table = candidates([("s0", "same", 1.0), ("s1", "same", 1.0)])
    kept, leaked = decontaminated(table, samples(["one", "one"]), {"exact": exact()})
    assert (kept.sft.height, leaked.height) == (2, 0)
