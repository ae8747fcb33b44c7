"""Which row of a cluster stays, what a pick leaves, and what a dropped row says."""

import polars as pl
import pytest

from filters.split import VALUES, measure, split
from schemas.rules import MATCHES, MatchRule, PickRule, Rule
from schemas.tables import SAMPLES


def samples_of(replies: list[str]) -> pl.DataFrame:
    rows = [dict.fromkeys(SAMPLES) | {"id": str(at), "reply": reply} for at, reply in enumerate(replies)]
    return pl.DataFrame(rows, schema=SAMPLES)


def linked(*pairs: tuple[str, str], keep: str = "first") -> tuple[MatchRule, pl.DataFrame]:
    """Give a rule that matches the given pairs, and its matches."""
    matches = pl.DataFrame([(a, b, 1.0, None) for a, b in pairs], schema=MATCHES, orient="row")
    return MatchRule(lambda _samples, _benchmarks: matches, 1.0, keep), matches


def valued(*values: float | None) -> pl.DataFrame:
    return pl.DataFrame([(str(at), value, None) for at, value in enumerate(values)], schema=VALUES, orient="row")


@pytest.mark.parametrize(
    ("keep", "stays"), [("first", {"0"}), ("highest by", {"2"}), ("lowest by", {"1"}), ("none", set())]
)
def test_of_rows_that_match_the_one_stays_that_keep_names(keep: str, stays: set[str]) -> None:
    rule, matches = linked(("0", "1"), ("2", "1"), ("3", "0"), keep=keep)
    by = Rule(pl.lit(0))
    kept, dropped = split(
        samples_of(["a", "b", "c", "d"]), {"by": by, "m": rule}, {"by": valued(2, 1, 3, None), "m": matches}
    )
    assert set(kept["id"]) == stays
    assert set(dropped["cluster"]) == {"0"}
    if stays:
        assert set(dropped["match"]) == stays
    else:
        assert (dropped["match"] != dropped["id"]).all()


def test_a_dropped_row_tells_the_row_that_it_was_found_to_match_and_the_one_that_stays() -> None:
    rule, matches = linked(("1", "0"), ("2", "1"))
    _kept, dropped = split(samples_of(["a", "b", "c"]), {"m": rule}, {"m": matches})
    assert dropped["why"].to_list() == ["matches 0", "matches 1, and hangs together with 0"]
    assert dropped["match"].to_list() == ["0", "0"]


def test_an_unmeasured_row_is_kept_only_where_no_measured_one_can_be() -> None:
    rule, matches = linked(("0", "1"), keep="highest by")
    values = {"by": valued(None, -5), "m": matches}
    kept, _dropped = split(samples_of(["a", "b"]), {"by": Rule(pl.lit(0)), "m": rule}, values)
    assert kept["id"].to_list() == ["1"]


def test_a_pick_is_made_of_what_the_other_rules_leave() -> None:
    def order(alive: pl.DataFrame, _vectors: object) -> pl.DataFrame:
        return alive.with_row_index("value").select("id", "value")

    rules: dict[str, Rule | PickRule] = {"pick": PickRule(order, 1.0), "by": Rule(pl.lit(0), maximum=1)}
    kept, dropped = split(samples_of(list("abcd")), rules, {"by": valued(5, 0, 0, 1)})
    assert kept["id"].to_list() == ["1", "2"]
    assert dict(dropped.select("id", "rule").iter_rows()) == {"0": "by", "3": "pick"}


def test_what_a_measurement_says_is_why_the_row_fell() -> None:
    def measured(samples: pl.DataFrame) -> pl.Series:
        return samples.select(pl.struct(value=pl.lit(0), why=pl.lit("too dull"))).to_series()

    rule = Rule(measured, minimum=1)
    samples = samples_of(["a"])
    _kept, dropped = split(samples, {"dull": rule}, {"dull": measure(samples, rule)})
    assert dropped["why"].to_list() == ["too dull"]


def test_of_rows_of_the_same_measure_the_same_stays_in_any_order_of_the_samples() -> None:
    rule, matches = linked(("0", "1"), ("2", "1"), ("2", "0"), keep="highest by")
    samples = samples_of(["a", "b", "c"])
    values = {"by": valued(2, 2, 1), "m": matches}
    for order in ([0, 1, 2], [1, 0, 2], [2, 1, 0]):
        kept, _ = split(samples[order], {"by": Rule(pl.lit(0)), "m": rule}, values)
        assert kept["id"].to_list() == ["0"]
