"""A dataset's licence is what its sources leave; where they leave none, it is said which stand against it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.licences import TERMS, derived, identified, stated
from schemas.errors import PublishError


def of(*said: str | None) -> tuple[str, ...]:
    return derived([(f"source {at}", one, 1) for at, one in enumerate(said)]).ids


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ("Apache-2.0", "apache-2.0"),
        ("Apache License 2.0", "apache-2.0"),
        ("The MIT License", "mit"),
        ("CC BY-SA 4.0", "cc-by-sa-4.0"),
        ("cc_by_4.0", "cc-by-4.0"),
        ("CC0", "cc0-1.0"),
        ("ODC-By", "odc-by"),
        ("GPL v3.0", "gpl-3.0"),
        ("the model's terms", None),
    ],
)
def test_a_licence_is_known_by_the_names_that_sources_give_it(said: str, known: str | None) -> None:
    assert identified(said) == known


@pytest.mark.parametrize(
    ("said", "whole"),
    [
        (("MIT", "mit"), ("mit",)),
        (("MIT", "Apache-2.0"), ("apache-2.0", "mit")),
        (("CC-BY-4.0", "CC-BY-SA-4.0"), ("cc-by-sa-4.0",)),
        (("CC-BY-SA-3.0", "CC-BY-SA-4.0"), ("cc-by-sa-4.0",)),
        (("MIT", "CC-BY-NC-4.0"), ("cc-by-nc-4.0",)),
        (("CC-BY-NC-4.0", "CC-BY-NC-SA-4.0"), ("cc-by-nc-sa-4.0",)),
        (("CC-BY-NC-SA-4.0", "MIT"), ("cc-by-nc-sa-4.0",)),
        (("CC-BY-SA-4.0", "CC-BY-NC-4.0"), None),
        (("CC-BY-SA-4.0", "ODbL"), None),
        (("CC-BY-SA-4.0", "CC-BY-NC-SA-4.0"), None),
    ],
)
def test_the_stricter_term_holds_for_the_whole_and_what_cannot_hold_together_is_refused(
    said: tuple[str, ...], whole: tuple[str, ...] | None
) -> None:
    if whole is not None:
        assert of(*said) == whole
        return
    with pytest.raises(PublishError, match=r"conflict: source 0 .*source 1 ") as refused:
        of(*said)
    assert "--license ID --license-reason" in str(refused.value)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (None, "state no licence: source 1"),
        ("ours", r"not known here: source 1 \(ours\)"),
        ("CC-BY-ND-4.0", r"forbid works made from theirs.*source 1 \(CC-BY-ND-4\.0\)"),
    ],
)
def test_a_source_without_a_licence_that_allows_it_is_named(said: str | None, told: str) -> None:
    with pytest.raises(PublishError, match=told):
        of("MIT", said)


def test_a_source_of_which_no_row_is_published_has_no_say() -> None:
    assert derived([("one", "MIT", 3), ("two", None, 0)]).ids == ("mit",)


@given(st.lists(st.sampled_from(sorted(TERMS)), min_size=1, max_size=4))
def test_neither_the_order_nor_the_count_of_sources_changes_what_they_leave(names: list[str]) -> None:
    def answer(said: list[str]) -> tuple[str, ...] | None:
        try:
            return of(*said)
        except PublishError:
            return None

    assert answer(names) == answer(names[::-1]) == answer(names + names)


def test_a_licence_is_stated_only_with_a_reason() -> None:
    assert stated(None, None) is None
    with pytest.raises(PublishError, match="go together"):
        stated("mit", None)
    with pytest.raises(PublishError, match="go together"):
        stated("mit", "  ")
