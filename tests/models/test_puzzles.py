import json
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from models.measure import is_right
from models.puzzles import FAMILIES, NOUNS, SPLITS, Split, casually, draw, instruction_words

families = st.sampled_from(sorted(FAMILIES))
splits: st.SearchStrategy[Split] = st.sampled_from(sorted(set(SPLITS)))
seeds = st.integers(0, 2**32)


@given(families, splits, seeds)
def test_a_right_reply_is_right_and_a_wrong_one_is_not(family: str, split: Split, seed: int) -> None:
    rng = Random(seed)
    task = draw(rng, family, split)
    assert is_right(task, task.right(rng))
    assert not is_right(task, task.wrong(rng))


@given(families, splits, seeds)
def test_the_same_seed_gives_the_same_task(family: str, split: Split, seed: int) -> None:
    first, second = draw(Random(seed), family, split), draw(Random(seed), family, split)
    assert (first.prompt, first.reference, first.check) == (second.prompt, second.reference, second.check)


@given(families, seeds)
def test_no_prompt_is_in_two_splits(family: str, seed: int) -> None:
    drawn = {split: {draw(Random(seed + n), family, split).prompt for n in range(20)} for split in set(SPLITS)}
    assert not drawn["held_out"] & drawn["training"]
    assert not drawn["held_out"] & drawn["demo"]
    assert not drawn["demo"] & drawn["training"]


@given(families, seeds)
def test_a_check_names_a_verifier(family: str, seed: int) -> None:
    task = draw(Random(seed), family, "demo")
    assert json.loads(task.check)["use"].startswith("judges.")
    assert (task.reference is None) == (family in {"number_of_words", "ends_with"})


@given(families, seeds)
def test_a_casual_prompt_keeps_its_payload(family: str, seed: int) -> None:
    rng = Random(seed)
    prompt = draw(rng, family, "demo").prompt
    assert casually(rng, prompt).lower() in prompt.lower()


def test_no_noun_is_a_word_of_the_instructions() -> None:
    assert not set(NOUNS) & instruction_words()
