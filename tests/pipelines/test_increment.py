"""New rows only: a recipe held against what it published, and the gate before a publication."""

from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from benchmarks.schedules import write_recipe, write_rows
from pipelines.gate import gate
from pipelines.increment import data_stages, made_in, new_rows, training_stages, write_published_index
from pipelines.progress import Progress
from pipelines.recipe import Recipe
from pipelines.run import build
from schemas.errors import PublishError, RecipeError

QUIET = Progress(lambda _told: None, lambda _work, _done, _of: None)


def data_only(file: Path) -> Recipe:
    text = file.read_text()
    file.write_text(text[: text.index("[[train]]")])
    return Recipe.read(file)


def ran(recipe: Recipe, out: Path) -> tuple[Path, dict[str, Any]]:
    summary = build(recipe, out, QUIET)
    return Path(summary["folder"]), summary


def test_rows_that_were_published_are_not_curated_again_and_new_ones_are(tmp_path: Path) -> None:
    write_rows(tmp_path, 10, 16)
    recipe, out = data_only(write_recipe(tmp_path, "sums")), tmp_path / "runs"
    assert new_rows(recipe, out, "to/") is recipe
    first, _ = ran(recipe, out)
    assert write_published_index(recipe, first, out, "to/") > 0
    write_rows(tmp_path, 13, 20)
    held = new_rows(recipe, out, "to/")
    second, summary = ran(held, out)
    assert summary["rows"]["kept"] == 4  # 16 to 19; 13 to 15 were published
    assert "against" in (second / "recipe.toml").read_text()
    assert new_rows(recipe, out, "another/") is recipe


def test_a_sample_that_is_in_no_dataset_is_tried_again(tmp_path: Path) -> None:
    write_rows(tmp_path, 10, 16)
    wrong = [{"instruction": "What is 90 + 90?", "output": "181", "reference": "180"}]
    (tmp_path / "rows" / "wrong.jsonl").write_bytes(orjson.dumps(wrong[0]))
    recipe, out = data_only(write_recipe(tmp_path, "sums")), tmp_path / "runs"
    folder, summary = ran(recipe, out)
    assert summary["rows"]["kept"] == 7
    write_published_index(recipe, folder, out, "to/")
    _, again = ran(new_rows(recipe, out, "to/"), out)
    assert again["rows"]["kept"] == 1


def test_a_recipe_that_cannot_tell_new_rows_says_what_to_add(tmp_path: Path) -> None:
    file = write_recipe(tmp_path, "sums")
    write_rows(tmp_path, 10, 11)
    file.write_text(file.read_text().replace("[[filters]]", "[[edits]]").replace("duplicates:exact", "x"))
    lines = [line for line in file.read_text().splitlines() if "edits" not in line and "filters." not in line]
    file.write_text("\n".join(lines))
    with pytest.raises(RecipeError, match=r"add \[\[filters\]\] with use = 'filters.duplicates:near'"):
        new_rows(Recipe.read(file), tmp_path / "runs", "to/")


def test_data_and_training_are_the_whole_recipe_and_share_no_stage(tmp_path: Path) -> None:
    write_rows(tmp_path, 10, 12)
    recipe = Recipe.read(write_recipe(tmp_path, "sums"))
    before, after = data_stages(recipe)
    assert (before[-1], after[-1]) == ("curate", "select")
    assert training_stages(recipe) == ["train sft"]
    with pytest.raises(RecipeError, match="nothing to fine-tune"):
        training_stages(data_only(tmp_path / "sums.toml"))


def test_the_gate_lets_a_sound_run_pass_and_names_what_is_wrong_with_another(tmp_path: Path) -> None:
    write_rows(tmp_path, 10, 16)
    folder, _ = ran(data_only(write_recipe(tmp_path, "sums")), tmp_path / "runs")
    passed = gate(folder)
    assert passed is not None
    assert (passed["errors"], passed["pairs"]) == (0, 6)
    assert set(made_in(folder)) >= {"ingest", "curate", "generate", "select"}
    file = next((folder / "preferences").rglob("*.parquet"))
    rows = pl.read_parquet(file).with_columns(rejected=pl.col("chosen"))
    file.unlink()  # a hard link to the store's
    rows.write_parquet(file)
    with pytest.raises(PublishError, match="the gate stays shut"):
        gate(folder)
