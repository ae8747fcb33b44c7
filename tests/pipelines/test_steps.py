"""A table cut into small shards, and walked some samples at a time, gives what the whole one does."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import ingest, shards, steps, store
from pipelines.progress import Progress
from pipelines.recipe import Recipe
from pipelines.run import build
from pipelines.steps import in_step
from pipelines.store import Shard
from schemas.errors import StoreError

QUIET = Progress(lambda _text: None, lambda _work, _done, _total: None)
RECIPE = """
name = "cut"
[[sources]]
path = "{folder}/*.jsonl"
[benchmarks.known]
path = "{folder}/known.json"
[[filters]]
use = "filters.contamination:ngrams"
[generate]
engine = "one"
samples = 3
[engines.one]
use = "cut_engines:engine"
name = "one"
[engines.two]
use = "cut_engines:engine"
name = "two"
[[judges]]
use = "judges.math:final_answer"
[[judges]]
use = "judges.jury:of"
judges = [{{ use = "judges.pairwise:preference" }}]
engines = ["one", "two"]
pairs = 2
[[judges]]
use = "judges.jury:of"
judges = [{{ use = "judges.pointwise:rubric" }}]
engines = ["one", "two"]
[select]
{select}
"""
MODULE = """
from schemas.engines import Reply

SECRET = "the quick brown fox of benchmark seven jumps over thirteen lazy dogs tonight"

class Engine:
    revision = "1"
    def __init__(self, name):
        self.model = name
    def __call__(self, requests):
        for request in requests:
            chance = int(request.key[:6], 16)
            made = f"{SECRET}. A: 3" if chance % 7 == 0 else f"so many: A: {chance % 5}"
            judged = "Reply A" in request.chat[-1]["content"]
            rated = "Judge how" in request.chat[-1]["content"]
            text = "AB"[chance % 2] if judged else str(4 + chance % 2) if rated else made
            yield Reply(request.key, text, "stop", error="the server said 500" if chance % 31 == 0 else None)
    def close(self):
        pass

def engine(*, name: str):
    return Engine(name)
"""
CALLED = [
    {"role": "user", "content": "What is 2 plus 2?"},
    {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "add", "arguments": "{}"}}]},
    {"role": "tool", "content": "4"},
    {"role": "user", "content": "So?"},
]
BEST = 'use = "pipelines.select:best_and_worst"\nminimum = 0.5\nmargin = 0.5'
DISPUTED = 'use = "pipelines.strategies:most_disputed"\nminimum = 0.0\nshare = 0.3'


def cut(table: pl.DataFrame, at: Sequence[int]) -> list[pl.DataFrame]:
    bounds = [0, *sorted(min(one, table.height) for one in at), table.height]
    return [table.slice(start, end - start) for start, end in pairwise(bounds)]


CUTS = st.lists(st.integers(0, 40), max_size=6)


@given(st.lists(st.integers(0, 4), max_size=12), CUTS, CUTS, st.integers(1, 5))
def test_each_sample_comes_once_with_all_of_its_rows_however_the_tables_are_cut(
    counts: list[int], samples_cut: list[int], rows_cut: list[int], at_once: int
) -> None:
    samples = pl.DataFrame({"id": [f"s{at}" for at in range(len(counts))]}, {"id": pl.String})
    rows = pl.DataFrame(
        {"sample_id": [f"s{at}" for at, count in enumerate(counts) for _ in range(count)]}, {"sample_id": pl.String}
    ).with_row_index()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(steps, "SAMPLES_AT_ONCE", at_once)
        walked = list(in_step(cut(samples, samples_cut), cut(rows, rows_cut)))
    assert [one for some, _ in walked for one in some["id"]] == samples["id"].to_list()
    assert all(set(own["sample_id"]) <= set(some["id"]) for some, own in walked)
    assert [one for _, own in walked for one in own["index"]] == rows["index"].to_list()
    assert all(0 < some.height <= at_once for some, _ in walked)


@pytest.mark.parametrize("rows", [["b", "a"], ["a", "c", "b"], ["a", "a", "x"], ["x", "b"]])
def test_a_row_that_is_not_where_its_sample_is_is_told_not_lost(rows: list[str], monkeypatch: Any) -> None:
    monkeypatch.setattr(steps, "SAMPLES_AT_ONCE", 1)
    with pytest.raises(StoreError, match="does not stand in the order of the kept samples"):
        list(in_step([pl.DataFrame({"id": ["a", "b", "c"]})], [pl.DataFrame({"sample_id": rows})]))


def written(folder: Path) -> None:
    rows = [{"instruction": f"What is {at} plus 1?", "output": "A: 3", "reference": f"{at % 5}"} for at in range(40)]
    (folder / "a.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    told = {"messages": CALLED, "reference": "4"}
    (folder / "b.jsonl").write_bytes(orjson.dumps(told))
    known = "the quick brown fox of benchmark seven jumps over thirteen lazy dogs tonight"
    short = "Why not, then?"
    (folder / "known.json").write_bytes(orjson.dumps([{"instruction": ask, "output": "x"} for ask in (known, short)]))
    (folder / "cut_engines.py").write_text(MODULE)


def tables(folder: Path, out: str, select: str) -> tuple[dict[str, pl.DataFrame], dict[str, Any]]:
    """Run the recipe, and give every table that it made by stage and name, and what it counted."""
    (folder / "cut.toml").write_text(RECIPE.format(folder=folder, select=select))
    recipe = Recipe.read(folder / "cut.toml")
    summary = build(recipe, folder / out, QUIET)
    found: dict[str, list[pl.DataFrame]] = {}
    for shard in sorted((folder / out).glob("*/*/**/*.parquet")):
        if "stages" not in shard.parts:
            found.setdefault(str(shard.parent.relative_to(folder / out / "cut")), []).append(pl.read_parquet(shard))
    named = ("rows", "data", "rules", "candidates", "replies", "judges", "preferences", "datasets")
    counted = {name: summary[name] for name in named} | {"models": summary["lineage"]["models"]}
    return {name.partition("/")[2]: pl.concat(shards) for name, shards in found.items()}, counted


@pytest.mark.parametrize("select", [BEST, DISPUTED, BEST + "\nheld_out = 0.3"])
def test_a_run_in_small_shards_gives_the_tables_of_one_in_a_whole_shard(
    select: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    whole, figures = tables(tmp_path, "whole", select)
    monkeypatch.setattr(store, "SHARD", Shard(7))
    monkeypatch.setattr(ingest, "SMALL", Shard(7))
    monkeypatch.setattr(shards, "SMALL", Shard(5))
    monkeypatch.setattr(steps, "SAMPLES_AT_ONCE", 3)
    small, same = tables(tmp_path, "small", select)
    assert same == figures
    assert small.keys() == whole.keys()
    for name, table in whole.items():
        assert small[name].equals(table), name
    assert all(table.height for name, table in whole.items() if name not in {"quarantined", "dropped", "overridden"})
