"""`./mill train` on the datasets of a finished run."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipelines.finetune import finetune, read_sections, with_sections
from pipelines.increment import made_in
from pipelines.progress import Progress, lines
from pipelines.recipe import Recipe
from pipelines.training import Lora, Only, Training
from pipelines.training_told import Told
from schemas.errors import RecipeError

RECIPE = """name = "pairs"
[[sources]]
path = "{folder}/pairs.jsonl"
license = "MIT"

[[judges]]
use = "judges.labels:given"

[[train]] # not what is wanted
method = "sft"
base = "nowhere"
learning_rate = 1e-4
[train.only]
matching = "What"

[select]
use = "pipelines.select:best_and_worst"
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipe")
    rows = [{"prompt": f"What is {at} + 3?", "chosen": str(at + 3), "rejected": str(at + 4)} for at in range(12)]
    (folder / "pairs.jsonl").write_text("".join(orjson.dumps(row).decode() + "\n" for row in rows))
    (folder / "pairs.toml").write_text(RECIPE.format(folder=folder))
    return folder / "pairs.toml"


@pytest.fixture(scope="module")
def finished(recipe: Path) -> Path:
    """A finished run of the recipe without its training."""
    plain = recipe.with_name("plain.toml")
    text = recipe.read_text()
    plain.write_text(text[: text.index("[[train]]")])
    subprocess.run(mill("run", plain, "--out", recipe.parent / "runs"), check=True, capture_output=True)
    return (recipe.parent / "runs" / "pairs" / "latest").resolve()


def mill(*told: object) -> list[str]:
    return [sys.executable, "-m", "pipelines", *map(str, told)]


def quiet() -> Progress:
    return lines(lambda _told: None)


def test_other_sections_take_the_place_of_a_recipes_own_and_nothing_else_changes(recipe: Path, tmp_path: Path) -> None:
    own = Recipe.read(recipe)
    sections = (
        Training(method="dpo", loss=("hinge", "sft"), base='a "quoted" base', learning_rate=1e-6, lora=Lora(rank=2)),
        Training(method="grpo", generations=4, only=Only(sources=("x", "y")), accelerate={"cpu": True}),
    )
    read = with_sections(own, sections, tmp_path)
    assert read.train == sections
    assert read.model_dump(exclude={"train", "file"}) == own.model_dump(exclude={"train", "file"})


def test_sections_that_stand_between_others_are_found_by_their_headings(recipe: Path, tmp_path: Path) -> None:
    text = Path(
        with_sections(Recipe.read(recipe), [Training(method="sft", base="models/x")], tmp_path).file
    ).read_text()
    assert "not what is wanted" not in text
    assert "best_and_worst" in text


@pytest.mark.slow
def test_a_finished_run_is_trained_on_and_laid_out_beside_it_with_its_recipe(finished: Path, tiny: str) -> None:
    out = finished.parent.parent
    options = ["--base", tiny, "--batch-size", 4, "--max-length", 64, "--budget", "2steps", "--set", "epochs=2"]
    command = mill("train", "pairs", "--out", out, "--method", "preference", *options, "--json")
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    summary: dict[str, Any] = orjson.loads(done.stdout)
    folder = Path(summary["folder"])
    assert folder.parent == finished.parent
    assert folder != finished
    [job] = summary["training"]
    assert (job["method"], job["steps"], job["reasons"][0]) == ("dpo", 2, "DPO, as there are 12 pairs")
    assert "DPO, as there are 12 pairs" in done.stderr
    assert (folder / "checkpoint" / "model.safetensors").is_file()
    assert (folder / "training" / "1-dpo" / "metrics.jsonl").is_file()
    assert Recipe.read(folder / "recipe.toml").train == (
        Training(method="preference", base=tiny, batch_size=4, max_length=64, budget=("2steps",), epochs=2),
    )
    told = orjson.loads((folder / "checkpoint" / "training.json").read_bytes())
    assert told["recipe"] == "pairs"
    assert made_in(folder).keys() == made_in(finished).keys()


def test_a_run_of_a_recipe_without_training_says_what_to_tell(finished: Path) -> None:
    with pytest.raises(RecipeError, match="--method says what to train"):
        finetune(finished, quiet())


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        (Told(epochs=2.0), "epochs: of which --method"),
        (Told(method=["sft"], set=["epochs is 2"]), "this is no TOML"),
        (Told(method=["sft"], set=["epoch=2"]), "epoch: Extra inputs"),
        (Told(method=["stf"]), "method: Input should be 'sft'"),
        (Told(method=["sft"], recipe=Path("x.toml")), "either --recipe"),
    ],
)
def test_options_that_say_nothing_clear_are_refused(told: Told, fault: str) -> None:
    with pytest.raises(RecipeError) as refused:
        told.sections()
    assert fault in str(refused.value)


def test_options_are_a_section_a_method_in_their_order() -> None:
    told = Told(method=["sft", "dpo"], epochs=2.0, lora=8, source=["a"], set=["seed = 1"][:0])
    sections = told.sections()
    assert [one.method for one in sections] == ["sft", "dpo"]
    assert all(one.lora and one.lora.rank == 8 and one.only.sources == ("a",) for one in sections)
    assert Told().sections() == ()


def test_a_file_of_sections_alone_is_read_and_one_without_any_refused(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text('[[train]]\nmethod = "sft"\n[[train]]\nmethod = "dpo"\n')
    assert [one.method for one in read_sections(tmp_path / "t.toml")] == ["sft", "dpo"]
    (tmp_path / "e.toml").write_text("name = 'x'\n")
    with pytest.raises(RecipeError, match=r"there is no \[\[train\]\]"):
        read_sections(tmp_path / "e.toml")
