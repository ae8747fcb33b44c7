"""What `./mill check` tells of rules that can't be meant, before anything is run."""

from pathlib import Path

import pytest

from pipelines.recipe import Recipe
from schemas.errors import RecipeError

RECIPE = """
name = "mine"
[[sources]]
path = "{folder}/rows.jsonl"
[engines.answers]
use = "generators.replay:recorded"
path = "{folder}/rows.jsonl"
[engines.vectors]
use = "generators.embeddings:server"
url = "http://127.0.0.1:1/v1"
model = "m"
"""
RULES = {
    'use = "filters.length:words"\nminimum = 10\nmaximum = 5': "minimum 10 is above the maximum 5",
    'use = "filters.length:words"\nmaximum = "5"': "maximum is '5': expected a number, without quotes",
    'use = "filters.length:words"\nmaximum = true': "maximum is True: expected a number",
    'use = "filters.echo:verbatim"\nmaximum = nan': "maximum is nan",
    'use = "filters.language:probability"\nminimum = 5': "a probability is 1 at most",
    'use = "filters.duplicates:near"\nkeep = "highest filters.duplicates:near"': "compares rows with each other",
    'use = "filters.duplicates:exact"\nagainst = ["{folder}/no.parquet"]': "no.parquet: no such index",
    'use = "filters.length:tokens"\ntokenizer = "{folder}/none"': "there is no such folder",
    'use = "filters.contamination:ngrams"': "the recipe names none: add [benchmarks.NAME]",
    'use = "filters.rephrased:fuzzy"': "the recipe names none: add [benchmarks.NAME]",
    'use = "filters.picks:mixed"\nweights = {{ a = 1 }}\ncaps = {{ b = 1 }}': "caps names ['b']",
    'use = "filters.redaction:redact"': "is an edit, no rule: name it under [[edits]]",
    'use = "filters.semantic:similar"\nengine = "answers"': "the engine 'answers' makes none",
    'use = "filters.likelihood:perplexity"\nengine = "vectors"': "the engine 'vectors' makes vectors",
    'use = "filters.likelihood:perplexity"': "give it `engine`",
    'use = "os.path:join"': "os.path:join is no part: a recipe can't give it 'a'",
    'use = "os:getcwd"': "os:getcwd makes no rule",
    'use = "filters.datatrove:quality"\nname = "SamplerFilter"': "draws at random",
}


def faults(folder: Path, rest: str) -> tuple[str, ...]:
    (folder / "rows.jsonl").write_text('{"instruction": "a", "output": "b"}\n')
    (folder / "mine.toml").write_text((RECIPE + rest).format(folder=folder))
    with pytest.raises(RecipeError) as caught:
        Recipe.read(folder / "mine.toml")
    return caught.value.faults


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_that_cannot_be_meant_is_one_fault(tmp_path: Path, rule: str) -> None:
    (fault,) = faults(tmp_path, f"[[filters]]\n{rule}\n")
    assert fault.startswith("filters.0")
    assert RULES[rule] in fault


def test_a_rule_is_no_edit(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, '[[edits]]\nuse = "filters.length:words"\n')
    assert "is a rule, no edit: name it under [[filters]]" in fault


def test_what_makes_vectors_answers_no_prompts(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, '[generate]\nengine = "vectors"\n')
    assert fault == "generate.engine: the engine 'vectors' makes vectors: name one that answers"


def test_an_embedder_needs_a_model_that_is_there(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, f'[engines.e]\nuse = "generators.embeddings:mean_pooled"\nmodel = "{tmp_path}/none"\n')
    assert "there is no such folder" in fault
