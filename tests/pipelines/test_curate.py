"""The second stage with what a recipe can ask of it: edits, rules that ask a model, shards."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from generators import rendering
from pipelines import ingest, store
from pipelines.curate import values_of
from pipelines.opened import opened
from pipelines.progress import lines
from pipelines.recipe import Recipe
from pipelines.run import build, stages
from pipelines.store import Shard, Stored, read_table
from schemas.errors import RecipeError
from schemas.tables import DROPPED, EDITS, SAMPLES

PART = '''
import polars as pl

def shout(*, word: str = "please"):
    """Put a word into capitals."""
    def change(samples):
        has = pl.col("reply").str.count_matches(word)
        told = samples.select("id", part=pl.lit("reply"), kind=pl.lit(word), count=has.cast(pl.Int64))
        louder = samples.with_columns(pl.col("reply").str.replace_all(word, word.upper()))
        return louder, told.filter(pl.col("count") > 0)
    return change
'''
SOURCES = """
name = "small"
[[sources]]
path = "{folder}/rows.jsonl"
"""


def curated(folder: Path, rest: str, rows: list[tuple[str, str]]) -> dict[str, Stored]:
    """Run ingest and curate of a recipe over prompts and replies."""
    said = pl.DataFrame(rows, schema=["instruction", "output"], orient="row")
    said.write_ndjson(folder / "rows.jsonl")
    (folder / "small.toml").write_text(SOURCES.format(folder=folder) + rest)
    recipe = Recipe.read(folder / "small.toml")
    with opened(recipe, folder / "runs", lines(lambda _line: None)) as run:
        for name in ("ingest", "curate"):
            stages(recipe)[name](run)
        return run.made


def test_an_edit_changes_samples_under_their_ids_and_tells_how_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_edits.py").write_text(PART)
    monkeypatch.syspath_prepend(str(tmp_path))
    rest = '[[edits]]\nuse = "own_edits:shout"\n[[filters]]\nuse = "filters.length:characters"\nmaximum = 12\n'
    made = curated(tmp_path, rest, [("Say it.", "please, please"), ("Say that.", "no")])
    before = read_table(made["ingest"], "samples", SAMPLES)
    after = read_table(made["edit"], "samples", SAMPLES)
    assert after["id"].equals(before["id"])
    assert after["reply"].to_list() == ["PLEASE, PLEASE", "no"]
    told = read_table(made["edit"], "edits", EDITS).to_dicts()
    assert told == [{"id": before["id"][0], "use": "own_edits:shout", "part": "reply", "kind": "please", "count": 2}]
    assert read_table(made["curate"], "dropped", DROPPED)["reply"].to_list() == ["PLEASE, PLEASE"]


def test_shards_of_any_size_give_the_same_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rest = '[[filters]]\nuse = "filters.length:words"\nmaximum = 2\n[[filters]]\nuse = "filters.duplicates:exact"\n'
    rows = [(f"Say {at % 7}.", "a b c" if at % 5 == 0 else f"{at}") for at in range(40)]
    tables = {}
    for size in (3, 1000):
        monkeypatch.setattr(store, "SHARD", Shard(size))
        monkeypatch.setattr(ingest, "SMALL", Shard(size))
        (tmp_path / str(size)).mkdir()
        made = curated(tmp_path / str(size), rest, rows)
        tables[size] = [
            read_table(made["curate"], name, schema).drop("origin")
            for name, schema in (("kept", SAMPLES), ("dropped", DROPPED))
        ]
    assert len(list((tmp_path / "3" / "runs" / "small" / "stages").glob("ingest-*/samples/*.parquet"))) > 5
    assert all(small.equals(whole) for small, whole in zip(*tables.values(), strict=True))


def test_a_rule_that_asks_needs_an_engine_and_keep_a_rule(tmp_path: Path) -> None:
    rest = """
[[filters]]
use = "filters.likelihood:difficulty"
[[filters]]
use = "filters.duplicates:exact"
keep = "highest filters.length:word"
[[filters]]
use = "filters.length:words"
"""
    with pytest.raises(RecipeError) as raised:
        curated(tmp_path, rest, [("a", "b")])
    told = str(raised.value)
    assert "filters.0: filters.likelihood:difficulty asks a model: give it `engine`" in told
    assert "filters.1: keep names the rule 'filters.length:word'; did you mean 'filters.length:words'?" in told


TINY = """
[engines.tiny]
use = "generators.vllm:local"
model = "models/tiny"
[engines.states]
use = "generators.embeddings:mean_pooled"
model = "models/tiny"
"""
DIFFICULTY = '[[filters]]\nuse = "filters.likelihood:difficulty"\nengine = "tiny"\n'
ROWS = [
    ("What is 12 plus 7?", "19"),
    ('Reverse the letters of "tree".', "eert"),
    ('Write "lamp" in capital letters.', "39 + 41 = ??"),
]


@pytest.mark.vllm
def test_replies_that_the_prompt_helps_to_are_easier_and_no_answer_is_paid_twice(tmp_path: Path) -> None:
    made = curated(tmp_path, TINY + DIFFICULTY, ROWS)
    facts = made["curate"].facts
    assert (facts["asked"], facts["failed"]) == (2 * len(ROWS), 0)
    values = values_of(made["curate"])["filters.likelihood:difficulty"]["value"].to_list()
    assert values[0] < 1
    assert values[1] < 1
    again = curated(tmp_path, TINY + DIFFICULTY + "maximum = 0.5\n", ROWS)
    assert again["curate"].facts["asked"] == 0


def test_the_worker_counts_no_token_that_nothing_stands_before() -> None:
    class Words:
        bos_token_id = None

        def __call__(self, text: str, **_more: Any) -> dict[str, list[int]]:
            return {"input_ids": list(range(len(text)))}

    request: dict[str, Any] = {"messages": [], "continuation": "abcd"}
    assert rendering.prompt_tokens(Words(), request) == [0, 1, 2, 3]
    assert request["scored"] == 3


def test_a_run_with_edits_tells_them_in_its_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_changes.py").write_text(PART)
    monkeypatch.syspath_prepend(str(tmp_path))
    curated(tmp_path, '[[edits]]\nuse = "own_changes:shout"\n', [("Say it.", "please")])
    summary = build(Recipe.read(tmp_path / "small.toml"), tmp_path / "runs", lines(lambda _line: None))
    assert summary["edits"] == {"please": 1}
    assert "please" in (Path(summary["folder"]) / "report.md").read_text()
