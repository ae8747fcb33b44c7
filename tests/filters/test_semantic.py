import itertools
from collections.abc import Iterable

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters import semantic
from filters.standing import MANY, clusters
from schemas.rules import MATCHES
from schemas.vectors import Vectors


def vectors_of(seed: int, rows: int) -> Vectors:
    """Give unit vectors in families of a few, alike at all degrees."""
    random = np.random.default_rng(seed)
    heads = random.normal(size=(max(rows // 4, 1), 16))
    drawn = heads[random.integers(0, len(heads), rows)] + random.normal(size=(rows, 16)) * random.random((rows, 1))
    unit: Vectors = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    return unit


def matched(ids: list[str], vectors: Vectors) -> pl.DataFrame:
    matches = semantic.similar().match(ids, vectors)
    assert matches.schema == MATCHES
    return matches


def groups(pairs: Iterable[tuple[str, str]]) -> set[frozenset[str]]:
    found = clusters(pl.DataFrame(list(pairs), schema={"id": pl.String, "other": pl.String}, orient="row"))
    return set(map(frozenset, found.group_by("cluster").agg("id")["id"].to_list()))


@given(st.integers(0, 1000), st.integers(0, 60), st.sampled_from([0.8, 0.85, 0.9, 0.99]))
def test_at_any_threshold_the_clusters_are_those_of_all_pairs(seed: int, rows: int, threshold: float) -> None:
    vectors = vectors_of(seed, rows)
    ids = [f"{row:03}" for row in range(rows)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(semantic, "BLOCK", 7)
        patch.setattr(semantic, "PAIRS", 5)
        matches = matched(ids, vectors)
    exact = vectors.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)  # of length 1 in single precision alone
    every = [(a, b) for a, b in itertools.combinations(range(rows), 2) if exact[a] @ exact[b] >= threshold]
    found = matches.filter(pl.col("measured") >= threshold).select("id", "other").iter_rows()
    assert groups(found) == groups((ids[a], ids[b]) for a, b in every)
    assert matches.height <= rows * MANY
    for row, other, measured, _ in matches.iter_rows():
        assert measured == pytest.approx(min(exact[int(row)] @ exact[int(other)], 1), abs=1e-9)


@given(st.integers(0, 1000))
def test_the_matches_are_the_same_for_any_order_of_rows(seed: int) -> None:
    vectors = vectors_of(seed, 40)
    ids = [f"{row:03}" for row in range(40)]
    order = np.random.default_rng(seed).permutation(40)
    assert set(matched([ids[at] for at in order], vectors[order]).rows()) == set(matched(ids, vectors).rows())


def test_a_threshold_below_what_is_measured_is_refused() -> None:
    with pytest.raises(ValueError, match=r"threshold is 0\.7; cosines are measured from 0\.8 to 1"):
        semantic.similar(threshold=0.7)


def test_texts_that_are_the_same_are_alike_by_1() -> None:
    vectors = np.repeat(vectors_of(3, 3), 4, axis=0)
    ids = [f"{row:02}" for row in range(len(vectors))]
    found = matched(ids, vectors)
    assert groups(found.filter(measured=1.0).select("id", "other").rows()) >= {
        frozenset(ids[at : at + 4]) for at in (0, 4, 8)
    }
