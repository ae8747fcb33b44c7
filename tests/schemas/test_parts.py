import pytest

from schemas.parts import PartError, find, load
from schemas.rules import Rule


def test_a_part_is_found_and_its_arguments_are_bound() -> None:
    rule = load("filters.length:words", {"maximum": 512})()
    assert isinstance(rule, Rule)
    assert rule.maximum == 512


@pytest.mark.parametrize(
    ("use", "told"),
    [
        ("filters.lenght:words", "did you mean 'filters.length'"),
        ("filters.length:wrods", "did you mean 'words'"),
        ("filtres.length:words", "did you mean 'filters'"),
        ("words", "parts are named module:function"),
    ],
)
def test_a_misspelt_part_is_told_with_the_nearest_right_name(use: str, told: str) -> None:
    with pytest.raises(PartError, match=told):
        find(use)


def test_all_faults_of_the_arguments_are_told_at_once() -> None:
    with pytest.raises(PartError) as caught:
        load("filters.length:words", {"maximun": 3, "minimum": "many"})
    assert len(caught.value.faults) == 2
    assert "did you mean 'maximum'" in str(caught.value)
    assert "minimum is 'many'" in str(caught.value)


def test_a_needed_argument_that_is_missing_is_told() -> None:
    with pytest.raises(PartError, match="needs the argument 'count'"):
        load("judges.instructions:number_of_words", {})
