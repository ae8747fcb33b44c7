"""What other bounds would keep, from a finished run's stored measures."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import bounds
from pipelines.__main__ import app
from pipelines.bounds_words import words
from pipelines.curate import write_kept_index
from pipelines.progress import lines
from pipelines.recipe import Recipe
from pipelines.run import build
from schemas.errors import GristmillError, StoreError

SOURCE = """
name = "words"
[[sources]]
path = "{folder}/rows.jsonl"
name = "rows"
"""
WORDS = """
[[filters]]
use = "filters.length:words"
part = "prompt"
minimum = 0
maximum = 5
[[filters]]
use = "filters.duplicates:near"
differs = ""
"""
OWN = '''
import polars as pl

from schemas.rules import MATCHES, MatchRule, Rule

def said(*, minimum: float | None = None, maximum: float | None = None) -> Rule:
    """The number that the reply says."""
    return Rule(pl.col("reply").cast(pl.Float64, strict=False), minimum, maximum)

def alike(*, threshold: float = 0.42) -> MatchRule:
    """Whether rows are like the first one: as much as the reply says."""
    def match(samples, _benchmarks):
        rows = pl.concat(list(samples))
        pairs = rows.select("id", other=pl.lit(rows["id"][0]), measured=pl.col("reply").cast(pl.Float64), span=None)
        return pairs.slice(1).cast(MATCHES)
    return MatchRule(match, threshold)
'''
CHAIN = ["abcdefghijklmnopqrstuvwxyz0123", "abcdefghijklmnopqrstuvwxyz01234", "bcdefghijklmnopqrstuvwxyz012345"]


def made(folder: Path, filters: str, rows: Sequence[tuple[str, str | None]]) -> Path:
    """Run rules over prompts and replies; gives the run's folder."""
    pl.DataFrame(rows, schema=["instruction", "output"], orient="row").write_ndjson(folder / "rows.jsonl")
    (folder / "words.toml").write_text(SOURCE.format(folder=folder) + filters)
    build(Recipe.read(folder / "words.toml"), folder / "runs", lines(lambda _line: None))
    return folder / "runs" / "words" / "latest"


def said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: list[Any], rule: str = "said", more: str = ""
) -> Path:
    """Run a rule of one's own whose measures are `values`."""
    (tmp_path / "bounded_rules.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    rows = [(f"Say number {at} of them all.", str(value)) for at, value in enumerate(values)]
    return made(tmp_path, f'[[filters]]\nuse = "bounded_rules:{rule}"\n{more}', rows)


def told(folder: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Give what `./mill bounds --json` prints."""
    app(["bounds", str(folder), "--json"], result_action="return_value")
    printed = capsys.readouterr().out
    assert "NaN" not in printed
    return json.loads(printed)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Run a recipe over prompts of 1 to 9 words; two of them are near duplicates."""
    prompts = [" ".join(f"word{at}x{step}" for step in range(at)) for at in range(1, 10)]
    return made(tmp_path, WORDS, [(prompt, "yes") for prompt in [*prompts, prompts[3] + "s"]])


def test_other_bounds_are_counted_and_the_nearest_samples_shown(run: Path) -> None:
    (told,) = bounds.explore(run, "filters.length:words")
    counted = {one["maximum"]: (one["kept"], one["lost"]) for one in told["other_maximum"]}
    assert counted[5.0] == (6, 4)
    assert counted[9.0] == (10, 0)
    assert [one["value"] for one in told["examples"]["lost"]] == [6, 7, 8]
    assert told["examples"]["kept"][0]["value"] == 5
    assert told["examples"]["kept"][0]["text"].startswith("word5x0")
    assert sum(one["rows"] for one in told["histogram"]) == 10


def test_another_threshold_tells_who_would_stay(run: Path) -> None:
    (told,) = bounds.explore(run, "filters.duplicates:near")
    counted = {one["maximum"]: one["lost"] for one in told["other_maximum"]}
    assert counted[0.8] == 1
    assert counted[max(counted)] == 0
    assert {one["other_text"][:7] for one in told["examples"]["lost"]} == {"word4x0"}


def test_the_words_mark_the_recipe_s_own_bound(run: Path) -> None:
    said = words(bounds.explore(run))
    assert "at most" in said
    (own,) = (line for line in said.splitlines() if line.endswith("<- the recipe's") and line.split()[0] == "5")
    assert own.split()[1:3] == ["6", "4"]


@pytest.mark.parametrize("keep", ["first", "none", "highest filters.length:words", "lowest filters.length:words"])
def test_at_the_recipe_s_own_threshold_falls_what_fell_in_the_run(keep: str, tmp_path: Path) -> None:
    """Of three rows in a chain, each like the next alone, one falls or two do: as `keep` has it."""
    rules = '[[filters]]\nuse = "filters.length:words"\n[[filters]]\nuse = "filters.duplicates:near"\n'
    replies = ["one", "one two three", "one"]
    folder = made(
        tmp_path, f'{rules}threshold = 0.85\ndiffers = ""\nkeep = "{keep}"\n', list(zip(CHAIN, replies, strict=True))
    )
    summary = orjson.loads((folder / "summary.json").read_bytes())
    (told,) = bounds.explore(folder, "filters.duplicates:near")
    (own,) = (one for one in told["other_maximum"] if one["maximum"] == 0.85)
    assert own["lost"] == summary["rules"][1]["broken"] == summary["rows"]["dropped"]
    assert own["lost"] == {"none": 3, "highest filters.length:words": 2}.get(keep, own["lost"])


def test_rows_above_a_source_s_cap_are_told_apart_and_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rule = '[[filters]]\nuse = "filters.picks:mixed"\nweights = {rows = 1}\ncaps = {rows = 14}\n'
    folder = made(tmp_path, rule, [(f"Say {at}.", "yes") for at in range(30)])
    (found,) = told(folder, capsys)
    assert (found["measured"], found["never_picked"]) == (14, 16)
    assert sum(one["rows"] for one in found["histogram"]) == 14
    assert {type(one[end]) for one in found["histogram"] for end in ("from", "to")} == {float}
    assert found["other_maximum"][-1] | {"kept": 14, "lost": 16} == found["other_maximum"][-1]
    app(["bounds", str(folder)], result_action="return_value")
    printed = capsys.readouterr().out
    assert "kept: every row that gets a place; placed 14, never picked: 16\n" in printed
    assert "lost never picked (its source 'rows' gives no more than its cap of 14 rows): Say" in printed
    assert "inf" not in printed
    assert "1,000,000,000" not in printed
    dropped = pl.read_parquet(folder / "dropped" / "**" / "*.parquet")
    assert set(dropped["why"]) == {"its source 'rows' gives no more than its cap of 14 rows"}
    report = (folder / "report.md").read_text()
    assert "| Placed | 14 |\n| Never picked | 16 |" in report
    assert "never picked: `its source 'rows' gives no more than its cap of 14 rows`" in report
    assert "1,000,000,000" not in report


def test_a_rule_without_a_bound_shows_what_first_bounds_would_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = said(tmp_path, monkeypatch, list(range(101)))
    (found,) = bounds.explore(folder)
    assert [(one["minimum"], one["lost"]) for one in found["other_minimum"]] == [
        (1, 1),
        (5, 5),
        (10, 10),
        (25, 25),
        (50, 50),
    ]
    assert [(one["maximum"], one["lost"]) for one in found["other_maximum"]][:2] == [(50, 50), (75, 25)]
    printed = words([found])
    assert "kept: everything" in printed
    assert "  lowest at 0: Say number 0 of them all. 0\n" in printed
    assert "  highest at 100: Say number 100 of them all. 100\n" in printed
    report = (folder / "report.md").read_text()
    assert report.index("Lowest first:") < report.index(", measured 0\n") < report.index("Highest first:")
    assert report.index("Highest first:") < report.index(", measured 100\n")


def test_a_rule_with_one_bound_shows_the_other_side_in_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = bounds.explore(said(tmp_path, monkeypatch, list(range(101)), more="minimum = 20\n"))
    assert [(one["minimum"], one["lost"]) for one in found["other_minimum"]][-1] == (100, 100)
    assert [(one["minimum"], one["maximum"], one["lost"]) for one in found["other_maximum"]] == [
        (20, 60, 60),
        (20, 80, 40),
        (20, 96, 24),
        (20, 99, 21),
    ]


def test_what_can_t_be_measured_is_kept_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = said(tmp_path, monkeypatch, ["?", 1, 2, 3, "nan", "?"], more="maximum = 2\n")
    (found,) = bounds.explore(folder)
    (own,) = (one for one in found["other_maximum"] if one["maximum"] == 2)
    assert own["kept"] + own["lost"] == 6
    assert found["not_measurable"] == 3
    assert "measured 3, not measurable and so kept 3\n" in words([found])
    assert "| Measured | 3 |\n| Not measurable, so kept | 3 |" in (folder / "report.md").read_text()


def test_where_nothing_can_be_measured_all_is_kept_as_in_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = said(tmp_path, monkeypatch, ["?"] * 4, more="minimum = 3\n")
    (found,) = bounds.explore(folder)
    assert found["other_minimum"] == [{"minimum": 3, "maximum": None, "kept": 4, "lost": 0}]
    assert orjson.loads((folder / "summary.json").read_bytes())["rows"]["kept"] == 4


def test_a_match_rule_claims_to_have_measured_nothing_but_its_pairs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [("What is it?", "This."), ("What is it?", "That."), ("And that?", None)]
    folder = made(tmp_path, '[[filters]]\nuse = "filters.conflicts:replies"\n', rows)
    (found,) = told(folder, capsys)
    assert (found["samples"], found["pairs"]) == (3, 1)
    assert not {"measured", "not_measurable"} & set(found)
    assert "1 pair among 3 samples" in words([found])


def test_thresholds_lie_where_the_matches_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = bounds.explore(said(tmp_path, monkeypatch, [0, 0.353, 0.39, 0.41, 0.43, 0.47], "alike"))
    counted = {one["maximum"]: one["lost"] for one in found["other_maximum"]}
    assert counted == {0.35: 5, 0.4: 3, 0.42: 2, 0.45: 1, 0.5: 0}


@given(st.lists(st.floats(0, 1), min_size=1), st.floats(0, 1))
def test_thresholds_are_few_and_span_what_was_measured(measured: list[float], bound: float) -> None:
    found = bounds.thresholds(pl.Series(measured), bound)
    assert len(found) <= 8
    assert bound in found
    assert min(found) <= min(measured)
    assert all(0 <= one <= 1 for one in found)


def test_a_rule_that_is_not_there_is_told_with_the_nearest(run: Path) -> None:
    with pytest.raises(GristmillError, match=r"did you mean 'filters.length:words'"):
        bounds.explore(run, "filters.length:word")


def test_a_run_whose_stages_were_deleted_is_told_to_be_made_again(run: Path, tmp_path: Path) -> None:
    shutil.rmtree(run.resolve().parent / "stages")
    for look in (lambda: bounds.explore(run), lambda: write_kept_index(run, tmp_path / "index")):
        with pytest.raises(StoreError, match=r"stages were removed .*`./mill run RECIPE` makes them again.*ledger"):
            look()


@given(st.lists(st.floats(-5, 5) | st.none(), min_size=1), st.floats(-5, 5), st.floats(0, 3))
def test_a_stricter_bound_never_keeps_more(values: list[float | None], bound: float, slack: float) -> None:
    series = pl.Series(values, dtype=pl.Float64)
    strict, loose = bounds.kept(series, None, bound), bounds.kept(series, None, bound + slack)
    assert strict["kept"] <= loose["kept"]
    assert strict["kept"] + strict["lost"] == len(values)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_a_bound_made_of_values_keeps_the_value_at_that_end(values: list[float]) -> None:
    series = pl.Series(values)
    assert bounds.worth(series, "minimum", [0.0])[0] <= series.min()  # type: ignore[operator]  # numbers
    assert bounds.worth(series, "maximum", [1.0])[-1] >= series.max()  # type: ignore[operator]
