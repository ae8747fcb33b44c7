from pathlib import Path

import pytest

from pipelines.recipe import Recipe
from schemas.errors import RecipeError

GOOD = """
name = "mine"
[[sources]]
path = "{source}"
[[filters]]
use = "filters.length:words"
maximum = 512
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"instruction": "a", "output": "b"}\n')
    return file


def read(tmp_path: Path, text: str) -> Recipe:
    file = tmp_path / "recipe.toml"
    file.write_text(text)
    return Recipe.read(file)


def faults(tmp_path: Path, text: str) -> str:
    with pytest.raises(RecipeError) as caught:
        read(tmp_path, text)
    return str(caught.value)


def test_a_good_recipe_is_read_with_its_parts(tmp_path: Path, source: Path) -> None:
    recipe = read(tmp_path, GOOD.format(source=source))
    assert recipe.filters[0].arguments == {"maximum": 512}


@pytest.mark.parametrize("path", sorted(Path("recipes").glob("*.toml")), ids=str)
def test_every_shipped_recipe_is_free_of_faults(path: Path) -> None:
    try:
        assert Recipe.read(path).file == str(path)
    except RecipeError as error:
        missing = [fault for fault in error.faults if "no file" in fault]
        if len(missing) == len(error.faults):
            pytest.skip(f"the recipe's data is not here: {missing[0]}")
        raise


def test_everything_that_is_wrong_is_told_at_once_with_the_nearest_right_name(tmp_path: Path) -> None:
    told = faults(
        tmp_path,
        """
        name = "mine"
        sede = 3
        [[sources]]
        path = "nowhere.jsonl"
        layuot = "alpaca"
        layout = "shargpt"
        [[filters]]
        use = "filters.length:wrods"
        [[filters]]
        use = "filters.length:words"
        maximun = 3
        [[filters]]
        use = "filters.duplicates:near"
        threshold = 0.2
        [generate]
        engine = "tiny"
        tempreature = 1.0
        """,
    )
    for part in [
        "sede: unknown key; did you mean 'seed'?",
        "sources.0.layuot: unknown key; did you mean 'layout'?",
        "filters.0: filters.length has no part 'wrods'; did you mean 'words'?",
        "filters.1: filters.length:words takes no argument 'maximun'; did you mean 'maximum'?",
        "filters.2: filters.duplicates:near: threshold is 0.2",
        "generate.tempreature: unknown key; did you mean 'temperature'?",
        "sources.0: no layout 'shargpt'; did you mean 'sharegpt'?",
        "sources.0: no file 'nowhere.jsonl'",
        "generate.engine: no engine 'tiny'",
        "9 fault(s), nothing was run",
    ]:
        assert part in told


def test_a_missing_source_and_an_unknown_engine_are_told_before_any_work(tmp_path: Path) -> None:
    told = faults(
        tmp_path,
        """
        name = "mine"
        [[sources]]
        path = "nowhere.jsonl"
        [engines.tiny]
        use = "generators.replay:recorded"
        path = "nothing.jsonl"
        [generate]
        engine = "tyni"
        [evaluate]
        benchmark = "held-out"
        judge = { use = "judges.math:final_answer" }
        """,
    )
    assert "sources.0: no file 'nowhere.jsonl'" in told
    assert "generate.engine: no engine 'tyni'; did you mean 'tiny'?" in told
    assert "evaluate.benchmark: no benchmark 'held-out'" in told


def test_a_missing_recipe_offers_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no such file; did you mean 'recipes/demo\.toml'"):
        Recipe.read("recipes/demmo.toml")
    with pytest.raises(RecipeError, match="this is no TOML"):
        read(tmp_path, "name = ")


def test_variables_are_put_in_and_a_missing_one_is_told(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE", str(source.parent))
    assert read(tmp_path, GOOD.format(source="${MINE}/rows.jsonl")).sources[0].path == str(source)
    assert read(tmp_path, GOOD.format(source=f"${{OTHER:-{source.parent}}}/rows.jsonl")).sources[0].path == str(source)
    assert "the environment has no variable OTHER" in faults(tmp_path, GOOD.format(source="${OTHER}/rows.jsonl"))
